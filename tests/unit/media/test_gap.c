/* What is a gap in what comes in, what a pause, and what is told of them. */
#include "tests/unit/media/unit.h"

#include "media/gap.h"

static struct gap_watch watch;
static uint64_t now_us;

static int setup(void **state)
{
    (void)state;
    watch = (struct gap_watch){0};
    now_us = 1000000;
    return 0;
}

/* The next packet `after_ms` later: number and clock of the sender have gone on by so many. */
static uint32_t hear(unsigned after_ms, unsigned numbers, unsigned clock_ms, bool marker)
{
    const struct rtp_header rtp = {
        .marker = marker,
        .ssrc = 1,
        .sequence = (uint16_t)(watch.sequence + numbers),
        .timestamp = watch.timestamp + 8 * clock_ms,
    };
    now_us += after_ms * 1000;
    return gap_hear(&watch, &rtp, 8000, now_us);
}

static void a_steady_stream_has_none(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++)
        assert_int_equal(hear(20 + (unsigned)i % 3, 1, 20, false), 0);
    assert_int_equal(watch.count, 0);
    assert_int_equal(watch.longest_us, 22000);
}

static void lost_and_late_packets_leave_gaps(void **state)
{
    static const struct {
        unsigned after_ms, numbers, clock_ms;
        bool marker;
        uint32_t gap_us;
        unsigned count;
    } cases[] = {
        {59, 3, 60, false, 0, 0},            /* too short */
        {80, 4, 80, false, 80000, 1},        /* three were lost */
        {300, 1, 20, false, 300000, 2},      /* held up: none was lost */
        {300, 1, 300, false, 0, 2},          /* nobody spoke */
        {300, 1, 20, true, 0, 2},            /* nobody spoke, a clock that stands still meanwhile */
        {2000, 100, 2000, true, 2000000, 3}, /* the path was dead */
    };

    (void)state;
    hear(20, 1, 20, false);
    for (size_t i = 0; i < COUNT(cases); i++) {
        now_us += 2000000; /* told of one a second */
        watch.last_us = now_us;
        assert_int_equal(
            hear(cases[i].after_ms, cases[i].numbers, cases[i].clock_ms, cases[i].marker),
            cases[i].gap_us);
        assert_int_equal(watch.count, cases[i].count);
    }
    assert_int_equal(watch.longest_us, 2000000);
}

static void another_stream_in_between_is_no_pause(void **state)
{
    const struct rtp_header other = {.ssrc = 2, .sequence = 1, .marker = true};

    (void)state;
    hear(20, 1, 20, false);
    assert_int_equal(gap_hear(&watch, &other, 8000, now_us + 500000), 500000);
}

static void hold_is_no_gap(void **state)
{
    (void)state;
    hear(20, 1, 20, false);
    gap_forget(&watch);
    assert_int_equal(hear(60000, 5, 100, false), 0);
    assert_int_equal(watch.count, 0);
}

static void a_terrible_line_is_counted_and_told_of_now_and_then(void **state)
{
    unsigned told = 0;

    (void)state;
    hear(20, 1, 20, false);
    for (int i = 0; i < 1000; i++)
        told += hear(100, 5, 100, false) > 0;
    assert_int_equal(watch.count, 1000);
    assert_int_equal(told, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_steady_stream_has_none, setup),
        cmocka_unit_test_setup(lost_and_late_packets_leave_gaps, setup),
        cmocka_unit_test_setup(another_stream_in_between_is_no_pause, setup),
        cmocka_unit_test_setup(hold_is_no_gap, setup),
        cmocka_unit_test_setup(a_terrible_line_is_counted_and_told_of_now_and_then, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
