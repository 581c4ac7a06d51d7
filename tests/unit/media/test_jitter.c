#include "tests/unit/media/unit.h"

#include "media/jitter.h"

static struct jitter jitter;

static int put(uint16_t sequence, uint64_t ms)
{
    const uint8_t payload[2] = {(uint8_t)(sequence >> 8), (uint8_t)sequence};
    const struct rtp_header rtp = {.sequence = sequence,
                                   .timestamp = 160u * sequence,
                                   .payload = payload,
                                   .payload_bytes = sizeof payload};
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
        assert_int_equal(packet->payload[0] << 8 | packet->payload[1], packet->sequence);
        at += (size_t)snprintf(text + at, sizeof text - at, "%u ", packet->sequence);
    }
}

static int fresh(void **state)
{
    (void)state;
    jitter_init(&jitter);
    return 0;
}

static void a_clean_stream_is_not_delayed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        char expected[16];
        uint16_t sequence = (uint16_t)(65500 + i);
        snprintf(expected, sizeof expected, "%u ", sequence);
        assert_int_equal(put(sequence, 20 * i), 0);
        assert_string_equal(drain(20 * i), expected);
        assert_true(jitter_deadline_us(&jitter) == 0);
    }
    /* and one place in memory was enough */
    assert_int_equal(jitter.order[0], 0);
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
                assert_true(packet->sequence > last);
                last = packet->sequence;
            }
        }
    }
    assert_int_equal(out + lost, 1000);
    assert_int_equal(late, lost);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_clean_stream_is_not_delayed, fresh),
        cmocka_unit_test_setup(disorder_is_put_right, fresh),
        cmocka_unit_test_setup(a_hole_is_given_up_after_a_while, fresh),
        cmocka_unit_test_setup(the_wait_follows_the_path, fresh),
        cmocka_unit_test_setup(a_full_house_gives_up_at_once, fresh),
        cmocka_unit_test_setup(a_leap_begins_anew, fresh),
        cmocka_unit_test_setup(nothing_is_lost_or_doubled, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
