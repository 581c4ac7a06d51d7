/* Frames on a link, however TLS cuts them. */
#include "overlay/frame.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const size_t lengths[] = {5, 0, 1, 300, 4096, FRAME_MAX, 4097, 2};
#define COUNT (sizeof lengths / sizeof lengths[0])

/* All frames of the table, one after the other; the n-th holds bytes n, n+1, … */
static uint8_t *make_stream(size_t *bytes)
{
    uint8_t *stream = malloc(FRAME_MAX * 2), *to = stream;

    assert_non_null(stream);
    for (size_t n = 0; n < COUNT; n++) {
        frame_head(to, lengths[n]);
        to += FRAME_HEAD_BYTES;
        for (size_t i = 0; i < lengths[n]; i++)
            *to++ = (uint8_t)(n + i);
    }
    *bytes = (size_t)(to - stream);
    return stream;
}

static void frames_come_whole_however_they_are_cut(void **state)
{
    static const size_t steps[] = {1, 2, 3, 7, 1000, 16384, 1000000};
    size_t bytes;
    uint8_t *stream = make_stream(&bytes);

    (void)state;
    for (size_t s = 0; s < sizeof steps / sizeof steps[0]; s++) {
        struct frame_reader reader = {0};
        size_t count = 0;

        for (size_t at = 0; at < bytes; at += steps[s]) {
            size_t left = bytes - at < steps[s] ? bytes - at : steps[s], length;
            uint8_t *piece = malloc(left); /* so that a read beyond it is seen */
            assert_non_null(piece);
            memcpy(piece, stream + at, left);
            const uint8_t *data = piece, *frame;
            while (frame_take(&reader, &data, &left, &frame, &length) == 1) {
                assert_int_equal(length, lengths[count]);
                for (size_t i = 0; i < length; i++)
                    assert_int_equal(frame[i], (uint8_t)(count + i));
                count++;
            }
            assert_int_equal(left, 0);
            free(piece);
        }
        assert_int_equal(count, COUNT);
        assert_null(reader.body);
        frame_reader_fini(&reader);
    }
    free(stream);
}

static void a_length_above_the_limit_ends_it(void **state)
{
    static const uint8_t heads[][4] = {
        {0, 1, 0, 1}, {0xff, 0xff, 0xff, 0xff}, {'G', 'E', 'T', ' '}};
    size_t length;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct frame_reader reader = {0};
        const uint8_t *data = heads[i], *frame;
        size_t bytes = 4;
        assert_int_equal(frame_take(&reader, &data, &bytes, &frame, &length), -EMSGSIZE);
        frame_reader_fini(&reader);
    }
}

static void memory_is_taken_as_bytes_come(void **state)
{
    static const uint8_t start[] = {0, 1, 0, 0, 'x'};
    struct frame_reader reader = {0};
    const uint8_t *data = start, *frame;
    size_t bytes = sizeof start, length;

    (void)state;
    assert_int_equal(frame_take(&reader, &data, &bytes, &frame, &length), 0);
    assert_true(reader.body_room < 8192);
    frame_reader_fini(&reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_come_whole_however_they_are_cut),
        cmocka_unit_test(a_length_above_the_limit_ends_it),
        cmocka_unit_test(memory_is_taken_as_bytes_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
