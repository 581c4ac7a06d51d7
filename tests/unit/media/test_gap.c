#include "tests/unit/media/unit.h"

#include "media/gap.h"

/* What comes in, and how long nothing was heard before it. */
struct arrival {
    int at_ms, number, timestamp_ms, gap_ms;
};

static void play(const struct arrival *arrivals, int count)
{
    struct gap gap;
    gap_reset(&gap);
    for (int i = 0; i < count; i++) {
        const struct rtp_header rtp = {
            .sequence = (uint16_t)(65530 + arrivals[i].number),
            .timestamp = 0xfffffe00u + 8u * (unsigned)arrivals[i].timestamp_ms,
        };
        assert_int_equal(gap_us(&gap, &rtp, 8000, 1000000 + 1000u * (unsigned)arrivals[i].at_ms),
                         1000 * arrivals[i].gap_ms);
    }
}

static void losses_and_stalls_are_gaps(void **state)
{
    static const struct arrival lost[] = {
        {0, 0, 0, 0}, {20, 1, 20, 20}, {120, 6, 120, 100}, {140, 7, 140, 20}};
    static const struct arrival stalled[] = {
        {0, 0, 0, 0}, {20, 1, 20, 20}, {340, 2, 40, 320}, {340, 3, 60, 0}, {345, 4, 80, 5}};
    static const struct arrival moved[] = {
        {0, 0, 0, 0}, {20, 3, 60, 20}, {21, 1, 20, 0}, {25, 2, 40, 0}, {40, 4, 80, 20}};
    (void)state;
    play(lost, COUNT(lost));
    play(stalled, COUNT(stalled));
    play(moved, COUNT(moved));
}

static void pauses_of_the_speaker_are_none(void **state)
{
    static const struct arrival paused[] = {
        {0, 0, 0, 0}, {20, 1, 20, 20}, {2020, 2, 2020, 20}, {2040, 3, 2040, 20}};
    static const struct arrival paused_then_late[] = {
        {0, 0, 0, 0}, {2080, 1, 2000, 100}, {2080, 2, 2020, 0}};
    static const struct arrival paused_and_lost[] = {{0, 0, 0, 0}, {2000, 5, 2000, 2000}};
    static const struct arrival held[] = {{0, 0, 0, 0}, {100, 1, 2000, 0}, {120, 2, 2020, 20}};
    (void)state;
    play(paused, COUNT(paused));
    play(paused_then_late, COUNT(paused_then_late));
    play(paused_and_lost, COUNT(paused_and_lost)); /* nobody can tell */
    play(held, COUNT(held));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_and_stalls_are_gaps),
        cmocka_unit_test(pauses_of_the_speaker_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
