#include "tests/unit/media/unit.h"

#include "media/forward.h"

#include <stdbool.h>

struct hop {
    struct sender sender;
    struct forward forward;
    uint64_t now_us;
};

static void begin(struct hop *hop)
{
    memset(hop, 0, sizeof *hop);
    sender_init(&hop->sender);
    hop->sender.sequence = 999;
    hop->sender.timestamp = 5000;
    hop->now_us = 1000000;
}

/* Forwards one packet; returns its number on the way out, relative to the first ever, or -1. */
static int pass(struct hop *hop, uint32_t ssrc, uint16_t sequence, uint32_t timestamp)
{
    const struct rtp_header in = {.ssrc = ssrc, .sequence = sequence, .timestamp = timestamp};
    struct rtp_header out;
    if (forward_map(&hop->forward, &hop->sender, &in, 8000, hop->now_us, &out) < 0)
        return -1;
    assert_int_equal(out.ssrc, hop->sender.ssrc);
    sender_sent(&hop->sender, &out, 8000, hop->now_us);
    return (uint16_t)(out.sequence - 1000);
}

static void holes_and_disorder_are_handed_on(void **state)
{
    static const struct {
        uint16_t in;
        int out;
    } story[] = {{65534, 0}, {65535, 1}, {2, 4}, {1, 3}, {3, 5}};
    struct hop hop;
    (void)state;
    begin(&hop);
    for (size_t i = 0; i < COUNT(story); i++) {
        assert_int_equal(pass(&hop, 1, story[i].in, (uint16_t)(story[i].in - 65534) * 160u),
                         story[i].out);
        hop.now_us += 20000;
    }
    assert_int_equal(hop.sender.sequence, 1005);
    assert_int_equal(hop.sender.timestamp - 5000, 5 * 160);
}

static void another_source_goes_on_in_the_same_stream(void **state)
{
    struct hop hop;
    (void)state;
    begin(&hop);
    pass(&hop, 1, 100, 0);
    pass(&hop, 1, 101, 160);
    hop.now_us += 1000000; /* a second of nothing */
    assert_int_equal(pass(&hop, 2, 40000, 987654), 2);
    assert_int_equal(hop.sender.timestamp - 5000, 160 + 8000);
    assert_int_equal(pass(&hop, 2, 39999, 987494), -1); /* would overlap what was there before */
    assert_int_equal(pass(&hop, 2, 40001, 987814), 3);
}

static void what_others_send_is_stepped_over(void **state)
{
    struct hop hop;
    (void)state;
    begin(&hop);
    pass(&hop, 1, 100, 0);
    struct rtp_header digit = {.sequence = 1001, .timestamp = 5160};
    hop.now_us += 100000;
    sender_sent(&hop.sender, &digit, 8000, hop.now_us);
    hop.now_us += 20000;
    assert_int_equal(pass(&hop, 1, 107, 1120), 2);
    assert_int_equal(hop.sender.timestamp, 5160 + 160);
}

static void skipped_packets_leave_no_hole(void **state)
{
    struct hop hop;
    (void)state;
    begin(&hop);
    pass(&hop, 1, 100, 0);
    for (uint16_t sequence = 101; sequence < 104; sequence++) {
        const struct rtp_header noise = {.ssrc = 1, .sequence = sequence};
        forward_skip(&hop.forward, &noise);
    }
    assert_int_equal(pass(&hop, 1, 104, 640), 1);
    assert_int_equal(pass(&hop, 1, 105, 800), 2);
}

static void a_leap_of_the_clock_is_taken_out(void **state)
{
    struct hop hop;
    (void)state;
    begin(&hop);
    pass(&hop, 1, 100, 0);
    hop.now_us += 20000;
    assert_int_equal(pass(&hop, 1, 101, 4000000), 1); /* 500 s ahead in 20 ms */
    assert_int_equal(hop.sender.timestamp, 5000 + 160);
}

static void a_long_stream_keeps_its_place(void **state)
{
    struct hop hop;
    (void)state;
    begin(&hop);
    for (unsigned i = 0; i < 200000; i += 2) { /* in pairs that are swapped */
        hop.now_us += 40000;
        int later = pass(&hop, 1, (uint16_t)(i + 1), 160 * (i + 1));
        int sooner = pass(&hop, 1, (uint16_t)i, 160 * i);
        if (i == 0)
            continue; /* the very first has nobody to wait for */
        assert_int_equal(later, (uint16_t)i);
        assert_int_equal(sooner, (uint16_t)(i - 1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holes_and_disorder_are_handed_on),
        cmocka_unit_test(another_source_goes_on_in_the_same_stream),
        cmocka_unit_test(what_others_send_is_stepped_over),
        cmocka_unit_test(skipped_packets_leave_no_hole),
        cmocka_unit_test(a_leap_of_the_clock_is_taken_out),
        cmocka_unit_test(a_long_stream_keeps_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
