#include "tests/unit/media/unit.h"

#include "media/event.h"

static void payloads_survive_the_round_trip(void **state)
{
    const struct event out = {.code = 11, .end = true, .volume = 63, .duration = 0xabcd};
    uint8_t payload[EVENT_BYTES];
    struct event in;
    (void)state;
    event_write(payload, &out);
    assert_int_equal(event_parse(payload, 3, &in), -EBADMSG);
    assert_int_equal(event_parse(payload, 4, &in), 0);
    assert_int_equal(in.code, 11);
    assert_true(in.end);
    assert_int_equal(in.volume, 63);
    assert_int_equal(in.duration, 0xabcd);
}

static void digits_have_codes(void **state)
{
    static const char all[] = "0123456789*#ABCD";
    (void)state;
    for (int code = 0; code < 16; code++) {
        assert_int_equal(event_digit((uint8_t)code), all[code]);
        assert_int_equal(event_code(all[code]), code);
    }
    assert_int_equal(event_digit(16), 0); /* flash */
    assert_int_equal(event_code('d'), 15);
    assert_int_equal(event_code('e'), -EINVAL);
    assert_int_equal(event_code(0), -EINVAL);
}

static void durations_are_scaled(void **state)
{
    static const struct {
        uint16_t in;
        int from, to;
        uint16_t out;
    } cases[] = {
        {800, 8000, 48000, 4800}, {4800, 48000, 8000, 800},
        {800, 8000, 8000, 800},   {20000, 8000, 48000, 65535}, /* stays within 16 bits */
        {0, 8000, 48000, 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(event_scale(cases[i].in, cases[i].from, cases[i].to), cases[i].out);
}

struct step {
    uint32_t timestamp;
    uint8_t code;
    bool end;
    uint16_t duration;
    char heard; /* 0: nothing is reported */
    int ms;
};

static void tell(const struct step *story, size_t count)
{
    struct event_watch watch = {0};
    uint64_t now_us = 1000000;
    for (size_t i = 0; i < count; i++, now_us += 50000) {
        const struct event event = {
            .code = story[i].code, .end = story[i].end, .duration = story[i].duration};
        struct event_heard heard = {0};
        bool due = event_watch_packet(&watch, &event, story[i].timestamp, 8000, now_us, &heard);
        assert_int_equal(due, story[i].heard != 0);
        if (!due)
            continue;
        assert_int_equal(heard.digit, story[i].heard);
        assert_int_equal(heard.duration_ms, story[i].ms);
    }
}

static void each_digit_is_heard_once(void **state)
{
    static const struct step plain[] = {
        {1000, 1, false, 160, 0, 0},   {1000, 1, false, 320, 0, 0}, {1000, 1, true, 480, '1', 60},
        {1000, 1, true, 480, 0, 0},    {1000, 1, true, 480, 0, 0},  {3000, 1, false, 160, 0, 0},
        {3000, 1, true, 400, '1', 50}, {3000, 1, true, 400, 0, 0},
    };
    static const struct step end_lost[] = {
        {1000, 1, false, 160, 0, 0},
        {1000, 1, false, 320, 0, 0},
        {3000, 2, false, 160, '1', 40},
        {3000, 2, true, 320, '2', 40},
    };
    static const struct step only_ends[] = {{1000, 11, true, 800, '#', 100},
                                            {1000, 11, true, 800, 0, 0}};
    static const struct step reordered[] = {
        {1000, 1, false, 160, 0, 0}, {1000, 1, true, 480, '1', 60}, {1000, 1, false, 320, 0, 0}};
    static const struct step no_digit[] = {{1000, 16, false, 160, 0, 0},
                                           {1000, 16, true, 480, 0, 0}};
    (void)state;
    tell(plain, COUNT(plain));
    tell(end_lost, COUNT(end_lost));
    tell(only_ends, COUNT(only_ends));
    tell(reordered, COUNT(reordered));
    tell(no_digit, COUNT(no_digit));
}

static void a_lost_end_is_heard_in_time(void **state)
{
    struct event_watch watch = {0};
    struct event_heard heard;
    const struct event event = {.code = 9, .duration = 800};
    (void)state;
    assert_false(event_watch_tick(&watch, 8000, 1000000, &heard));
    assert_false(event_watch_packet(&watch, &event, 5, 8000, 1000000, &heard));
    assert_false(event_watch_tick(&watch, 8000, 1100000, &heard));
    assert_true(event_watch_tick(&watch, 8000, 1400000, &heard));
    assert_int_equal(heard.digit, '9');
    assert_false(event_watch_tick(&watch, 8000, 1800000, &heard));
}

static void a_flood_is_not_reported(void **state)
{
    struct event_watch watch = {0};
    int reports = 0;
    (void)state;
    for (unsigned i = 0; i < 1000; i++) { /* in one second */
        const struct event event = {.code = 1, .end = true, .duration = 8};
        struct event_heard heard;
        reports += event_watch_packet(&watch, &event, i * 8, 8000, 1000000 + 1000 * i, &heard);
    }
    assert_in_range(reports, 1, 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(payloads_survive_the_round_trip),
        cmocka_unit_test(digits_have_codes),
        cmocka_unit_test(durations_are_scaled),
        cmocka_unit_test(each_digit_is_heard_once),
        cmocka_unit_test(a_lost_end_is_heard_in_time),
        cmocka_unit_test(a_flood_is_not_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
