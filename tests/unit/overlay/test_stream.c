/* Frames out of a stream in whatever pieces, and the queue that forgets what is old. */
#include "overlay/stream.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static size_t put_frame(uint8_t *out, const char *text)
{
    size_t bytes = strlen(text);

    stream_frame_length(out, bytes);
    memcpy(out + STREAM_LENGTH_BYTES, text, bytes);
    return STREAM_LENGTH_BYTES + bytes;
}

static void frames_come_out_whole_in_any_pieces(void **state)
{
    static const char *const texts[] = {"one", "", "three", "a longer fourth one"};
    uint8_t stream[256];
    size_t bytes = 0;

    (void)state;
    for (int i = 0; i < 4; i++)
        bytes += put_frame(stream + bytes, texts[i]);
    for (size_t piece = 1; piece <= bytes; piece++) {
        struct stream_frames frames = {0};
        int found = 0;

        for (size_t at = 0; at < bytes; at += piece) {
            const uint8_t *data = stream + at;
            size_t left = bytes - at < piece ? bytes - at : piece, packet_bytes;
            uint8_t *packet;

            while (stream_frames_next(&frames, &data, &left, &packet, &packet_bytes) > 0) {
                assert_int_equal(packet_bytes, strlen(texts[found]));
                assert_memory_equal(packet, texts[found++], packet_bytes);
            }
            assert_int_equal(left, 0);
        }
        assert_int_equal(found, 4);
    }
}

static void too_long_a_frame_ends_it(void **state)
{
    struct stream_frames frames = {0};
    uint8_t length[2], *packet;
    const uint8_t *data = length;
    size_t left = sizeof length, bytes;

    (void)state;
    stream_frame_length(length, STREAM_PACKET_MAX + 1);
    assert_int_equal(stream_frames_next(&frames, &data, &left, &packet, &bytes), -EMSGSIZE);
}

static void expect(struct stream_queue *queue, uint64_t now_ms, const char *text)
{
    size_t bytes;
    const uint8_t *frame = stream_queue_peek(queue, now_ms, &bytes);

    if (!text) {
        assert_null(frame);
        return;
    }
    assert_non_null(frame);
    assert_int_equal(bytes, STREAM_LENGTH_BYTES + strlen(text));
    assert_memory_equal(frame + STREAM_LENGTH_BYTES, text, strlen(text));
    stream_queue_pop(queue);
}

static void keep(struct stream_queue *queue, uint64_t now_ms, const char *text)
{
    assert_int_equal(stream_queue_put(queue, (const uint8_t *)text, strlen(text), now_ms), 0);
}

static void queue_keeps_the_order_and_forgets_the_old(void **state)
{
    struct stream_queue queue = {0};

    (void)state;
    expect(&queue, 0, NULL);
    keep(&queue, 1000, "first");
    keep(&queue, 1020, "second");
    keep(&queue, 1090, "third");
    expect(&queue, 1099, "first");
    expect(&queue, 1125, "third"); /* the second was 105 ms old */
    assert_int_equal(queue.dropped, 1);
    keep(&queue, 1130, "fourth");
    expect(&queue, 1230, NULL);
    assert_int_equal(queue.dropped, 2);
    assert_true(stream_queue_is_empty(&queue));
    stream_queue_fini(&queue);
}

/* A minute of a call behind a connection that does not move: never more than 100 ms are kept. */
static void queue_behind_a_stalled_reader_stays_short(void **state)
{
    struct stream_queue queue = {0};
    uint8_t packet[180] = {0};
    size_t bytes, kept = 0;
    uint64_t now_ms = 0;

    (void)state;
    for (; now_ms < 60000; now_ms += 20)
        assert_int_equal(stream_queue_put(&queue, packet, sizeof packet, now_ms), 0);
    while (stream_queue_peek(&queue, now_ms, &bytes)) {
        stream_queue_pop(&queue);
        kept++;
    }
    assert_in_range(kept, 4, 5);
    assert_int_equal(queue.dropped, 3000 - kept);
    stream_queue_fini(&queue);
}

static void queue_is_bounded_in_bytes_too(void **state)
{
    struct stream_queue queue = {0};
    uint8_t packet[STREAM_PACKET_MAX + 1];
    size_t bytes;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        memset(packet, i & 0xff, sizeof packet);
        assert_int_equal(stream_queue_put(&queue, packet, 100 + (size_t)(i * 37) % 1900, 1), 0);
        assert_in_range(queue.end, 0, STREAM_QUEUE_BYTES);
        if (i % 3 == 0) {
            assert_non_null(stream_queue_peek(&queue, 1, &bytes));
            stream_queue_pop(&queue);
        }
    }
    assert_true(queue.dropped > 0);
    /* the newest are those that stay, in order */
    const uint8_t *frame, last = 999 & 0xff;
    uint8_t newest = 0;
    while ((frame = stream_queue_peek(&queue, 1, &bytes))) {
        newest = frame[STREAM_LENGTH_BYTES];
        stream_queue_pop(&queue);
    }
    assert_int_equal(newest, last);
    assert_int_equal(stream_queue_put(&queue, packet, sizeof packet, 1), -EMSGSIZE);
    stream_queue_fini(&queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_come_out_whole_in_any_pieces),
        cmocka_unit_test(too_long_a_frame_ends_it),
        cmocka_unit_test(queue_keeps_the_order_and_forgets_the_old),
        cmocka_unit_test(queue_behind_a_stalled_reader_stays_short),
        cmocka_unit_test(queue_is_bounded_in_bytes_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
