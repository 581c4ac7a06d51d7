#include "tests/unit/media/unit.h"

#include "media/source.h"

static enum source_verdict take(struct source *source, uint32_t ssrc, uint16_t sequence)
{
    const struct rtp_header rtp = {
        .ssrc = ssrc, .sequence = sequence, .timestamp = 160u * sequence};
    return source_receive(source, &rtp, 8000, 20000u * sequence);
}

static void streams_are_followed(void **state)
{
    static const struct {
        uint32_t ssrc;
        uint16_t sequence;
        enum source_verdict verdict;
        int lost;
    } story[] = {
        {1, 65534, SOURCE_NEW, 0},   {1, 65535, SOURCE_FOLLOWS, 0}, {1, 0, SOURCE_FOLLOWS, 0},
        {1, 0, SOURCE_DUPLICATE, 0}, {1, 3, SOURCE_FOLLOWS, 2},     {1, 2, SOURCE_REORDERED, 1},
        {1, 2, SOURCE_DUPLICATE, 1}, {1, 30000, SOURCE_LEAP, 1},    {1, 4, SOURCE_FOLLOWS, 1},
        {1, 30001, SOURCE_LEAP, 1},  {1, 30002, SOURCE_NEW, 1},     {1, 30003, SOURCE_FOLLOWS, 1},
        {2, 7, SOURCE_NEW, 1},       {2, 9, SOURCE_FOLLOWS, 2},
    };
    struct source source = {0};
    (void)state;
    for (size_t i = 0; i < COUNT(story); i++) {
        assert_int_equal(take(&source, story[i].ssrc, story[i].sequence), story[i].verdict);
        assert_int_equal(source_lost(&source), story[i].lost);
    }
}

static void reports_tell_the_loss_of_their_interval(void **state)
{
    struct source source = {0};
    struct source_report report;
    (void)state;
    for (uint16_t sequence = 0; sequence < 100; sequence++)
        if (sequence % 4 != 1)
            take(&source, 1, sequence);
    source_report(&source, &report);
    assert_int_equal(report.fraction_lost, 64);
    assert_int_equal(report.lost, 25);
    assert_int_equal(report.highest, 99);
    take(&source, 1, 100);
    source_report(&source, &report);
    assert_int_equal(report.fraction_lost, 0);
    assert_int_equal(report.lost, 25);
    source_report(&source, &report);
    assert_int_equal(report.fraction_lost, 0);
}

static void jitter_is_that_of_the_path(void **state)
{
    struct source source = {0};
    (void)state;
    for (uint16_t i = 0; i < 200; i++) { /* each second one comes 5 ms late */
        const struct rtp_header rtp = {.ssrc = 1, .sequence = i, .timestamp = 160u * i};
        source_receive(&source, &rtp, 8000, 1000000 + 20000u * i + (i % 2 ? 5000 : 0));
    }
    assert_in_range(source_jitter_us(&source), 4500, 5100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_are_followed),
        cmocka_unit_test(reports_tell_the_loss_of_their_interval),
        cmocka_unit_test(jitter_is_that_of_the_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
