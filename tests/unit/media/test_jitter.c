#include "tests/unit/media/unit.h"

#include "media/jitter.h"

static struct jitter jitter;

static struct rtp_header packet_of(uint16_t sequence)
{
    static uint8_t payload[2];
    payload[0] = (uint8_t)(sequence >> 8);
    payload[1] = (uint8_t)sequence;
    return (struct rtp_header){.sequence = sequence,
                               .timestamp = 160u * sequence,
                               .payload = payload,
                               .payload_bytes = sizeof payload};
}

static int put(uint16_t sequence, uint64_t ms)
{
    const struct rtp_header rtp = packet_of(sequence);
    return jitter_put(&jitter, JITTER_AUDIO, &rtp, ms * 1000);
}

/* What comes out at this time, in words: numbers, and "x" for a lost one. */
static const char *drain(uint64_t ms)
{
    static char text[256];
    const struct jitter_packet *packet;
    int missing;
    size_t at = 0;
    text[0] = 0;
    for (;;) {
        enum jitter_result result = jitter_get(&jitter, ms * 1000, &packet, &missing);
        if (result == JITTER_NOTHING)
            return text;
        if (result == JITTER_LOST) {
            at += (size_t)snprintf(text + at, sizeof text - at, "x%d ", missing);
            continue;
        }
        assert_int_equal(packet->payload[0] << 8 | packet->payload[1], packet->rtp.sequence);
        at += (size_t)snprintf(text + at, sizeof text - at, "%u ", packet->rtp.sequence);
    }
}

static int fresh(void **state)
{
    (void)state;
    jitter_init(&jitter, 8000, 10000);
    return 0;
}

static int done(void **state)
{
    (void)state;
    jitter_fini(&jitter);
    return 0;
}

static void a_clean_stream_is_neither_delayed_nor_copied(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        const struct rtp_header rtp = packet_of((uint16_t)(65500 + i));
        assert_true(jitter_pass(&jitter, JITTER_AUDIO, &rtp, 20000 * i));
        assert_true(jitter_deadline_us(&jitter) == 0);
    }
    assert_null(jitter.slot);
}

/* The stream moves from a way of `slow` ms to one of `fast` ms at its thirtieth packet. Each packet
 * that arrives at all comes out, in order, and never later than the slow way would have brought it.
 */
struct move {
    unsigned slow, fast, frame_ms;
    unsigned lost; /* one of those that are overtaken; 0: none */
    unsigned patience_us;
};

static void play_move(const struct move *move)
{
    uint16_t next = 0;
    unsigned missing_one = 0;
    jitter_init(&jitter, 8000, move->patience_us);
    for (unsigned us = 0; us < 4000000; us += 1000) {
        const struct jitter_packet *packet;
        enum jitter_result result;
        int missing;
        for (unsigned i = 0; i < 60; i++) {
            unsigned way = i < 30 ? move->slow : move->fast;
            if ((i * move->frame_ms + way) * 1000 != us || (move->lost && i == move->lost))
                continue;
            struct rtp_header rtp = packet_of((uint16_t)i);
            rtp.timestamp = i * move->frame_ms * 8;
            if (jitter_pass(&jitter, JITTER_AUDIO, &rtp, us))
                assert_int_equal(next++, i);
            else
                assert_int_equal(jitter_put(&jitter, JITTER_AUDIO, &rtp, us), 0);
        }
        while ((result = jitter_get(&jitter, us, &packet, &missing)) != JITTER_NOTHING) {
            missing_one += result == JITTER_LOST;
            if (result == JITTER_PACKET) {
                assert_int_equal(packet->rtp.sequence, next);
                assert_true(us <= (next * move->frame_ms + move->slow + 1) * 1000);
            }
            next++;
        }
    }
    assert_int_equal(next, 60);
    assert_int_equal(missing_one, move->lost != 0);
}

static void who_overtakes_waits_for_the_others(void **state)
{
    static const struct move moves[] = {
        {150, 10, 20, 0, 0},  {150, 10, 20, 0, 10000}, {120, 10, 10, 0, 0},  {150, 1, 10, 0, 0},
        {100, 80, 20, 0, 0},  {60, 10, 20, 0, 0},      {150, 10, 20, 27, 0}, {190, 10, 20, 29, 0},
        {150, 10, 60, 29, 0}, {10, 10, 20, 0, 0},      {10, 150, 20, 0, 0},  {200, 10, 20, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(moves); i++)
        play_move(&moves[i]);
}

/* Losses on a path that never brings anything back late: the forwarder does not wait at all. */
static void a_loss_costs_a_forwarder_no_time(void **state)
{
    (void)state;
    jitter_init(&jitter, 8000, 0);
    for (unsigned i = 0; i < 100; i++) {
        if (i % 10 == 9)
            continue;
        const struct rtp_header rtp = packet_of((uint16_t)i);
        if (jitter_pass(&jitter, JITTER_AUDIO, &rtp, 20000 * i))
            continue;
        assert_int_equal(put((uint16_t)i, 20 * i), 0);
        char expected[16];
        snprintf(expected, sizeof expected, "x1 %u ", i);
        assert_string_equal(drain(20 * i), expected);
    }
}

static void disorder_is_put_right(void **state)
{
    (void)state;
    put(1, 0);
    assert_string_equal(drain(0), "1 ");
    put(3, 20);
    put(4, 22);
    assert_string_equal(drain(22), "");
    assert_int_equal(put(3, 23), -EEXIST);
    put(2, 25);
    assert_string_equal(drain(25), "2 3 4 ");
}

static void a_hole_is_given_up_after_a_while(void **state)
{
    (void)state;
    put(1, 0);
    drain(0);
    put(4, 60);
    assert_string_equal(drain(60), "");
    uint64_t deadline_us = jitter_deadline_us(&jitter);
    assert_in_range(deadline_us, 61000, 100000);
    assert_string_equal(drain(deadline_us / 1000 + 1), "x2 x1 4 ");
    assert_int_equal(put(2, 101), -ETIME);
    put(5, 102);
    assert_string_equal(drain(102), "5 ");
}

/* A way died, and another took over: what is missing is gone. */
static void a_long_hole_is_given_up_sooner(void **state)
{
    (void)state;
    put(1, 0);
    drain(0);
    put(11, 200);
    assert_string_equal(drain(209), "");
    assert_string_equal(drain(210), "x9 x8 x7 x6 x5 x4 x3 x2 x1 11 ");
    put(14, 260);
    assert_string_equal(drain(270), "");
    assert_string_equal(drain(290), "x2 x1 14 ");
}

static void the_wait_follows_the_path(void **state)
{
    uint16_t sequence = 1;
    uint64_t ms = 0;
    (void)state;
    put(sequence, ms);
    drain(ms);
    for (int i = 0; i < 100; i++) { /* losses that never come back: waits less and less */
        sequence = (uint16_t)(sequence + 2);
        put(sequence, ms += 200);
        drain(ms += 150);
    }
    assert_in_range(jitter.wait_us, 10000, 12000);
    sequence = (uint16_t)(sequence + 2);
    put(sequence, ms += 200);
    drain(ms + 50);                                                   /* lost … */
    assert_int_equal(put((uint16_t)(sequence - 1), ms + 60), -ETIME); /* … no: 60 ms late */
    assert_in_range(jitter.wait_us, 60000, 120000);
    sequence = (uint16_t)(sequence + 2);
    put(sequence, ms += 200);
    assert_string_equal(drain(ms + 50), ""); /* the next time it waits */
    assert_int_equal(put((uint16_t)(sequence - 1), ms + 55), 0);
}

static void a_full_house_gives_up_at_once(void **state)
{
    (void)state;
    put(1, 0);
    drain(0);
    for (uint16_t sequence = 3; sequence < 3 + JITTER_SLOTS - 1; sequence++)
        assert_int_equal(put(sequence, 1), 0);
    assert_memory_equal(drain(1), "x1 3 4 5 ", 9);
}

static void a_leap_begins_anew(void **state)
{
    (void)state;
    put(1, 0);
    put(3, 0);
    assert_string_equal(drain(0), "1 ");
    put(5000, 20);
    assert_string_equal(drain(20), "5000 ");
    put(4000, 40);
    assert_string_equal(drain(40), "4000 ");
}

/* A thousand packets in any disorder within ten: each comes out once, or is counted as lost. */
static void nothing_is_lost_or_doubled(void **state)
{
    unsigned seed = 4711;
    uint16_t order[1000];
    int out = 0, lost = 0, late = 0;
    const struct jitter_packet *packet;
    int missing, last = -1;
    (void)state;
    for (uint16_t i = 0; i < 1000; i++)
        order[i] = i;
    for (int i = 1; i + 10 < 1000; i++) {
        seed = seed * 1103515245 + 12345;
        int other = i + (int)(seed >> 16) % 10;
        uint16_t swap = order[i];
        order[i] = order[other];
        order[other] = swap;
    }
    for (unsigned i = 0; i < 1000; i++) {
        late += put(order[i], 2 * i) == -ETIME;
        for (;;) {
            enum jitter_result result = jitter_get(&jitter, 2000 * i, &packet, &missing);
            if (result == JITTER_NOTHING)
                break;
            lost += result == JITTER_LOST;
            if (result == JITTER_PACKET) {
                out++;
                assert_true(packet->rtp.sequence > last);
                last = packet->rtp.sequence;
            }
        }
    }
    assert_int_equal(out + lost, 1000);
    assert_int_equal(late, lost);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_clean_stream_is_neither_delayed_nor_copied, fresh, done),
        cmocka_unit_test_setup_teardown(who_overtakes_waits_for_the_others, fresh, done),
        cmocka_unit_test_setup_teardown(a_loss_costs_a_forwarder_no_time, fresh, done),
        cmocka_unit_test_setup_teardown(disorder_is_put_right, fresh, done),
        cmocka_unit_test_setup_teardown(a_hole_is_given_up_after_a_while, fresh, done),
        cmocka_unit_test_setup_teardown(a_long_hole_is_given_up_sooner, fresh, done),
        cmocka_unit_test_setup_teardown(the_wait_follows_the_path, fresh, done),
        cmocka_unit_test_setup_teardown(a_full_house_gives_up_at_once, fresh, done),
        cmocka_unit_test_setup_teardown(a_leap_begins_anew, fresh, done),
        cmocka_unit_test_setup_teardown(nothing_is_lost_or_doubled, fresh, done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
