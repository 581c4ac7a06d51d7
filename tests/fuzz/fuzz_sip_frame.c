/* The stream framer and the Via work of the edge. However the bytes are cut, the same messages come
 * out; and what was pushed on can be popped off. */
#include "sip/stream_frame.h"
#include "sip/stream_via.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void via(const char *message, size_t bytes)
{
    static char out[65536], back[65536];
    int length;

    (void)via_key(message, bytes);
    (void)via_is_response(message, bytes);
    length = via_mark(message, bytes, "2001:db8::1", 65535, out, sizeof out);
    assert(length == -EBADMSG || (length > 0 && (size_t)length > bytes));
    length = via_pop(message, bytes, out, sizeof out);
    assert(length == -EBADMSG || (length > 0 && (size_t)length < bytes));
    length = via_push(message, bytes, "SIP/2.0/UDP 127.0.0.1:1;branch=z9hG4bK0", out, sizeof out);
    assert(length > 0);
    length = via_pop(out, (size_t)length, back, sizeof back);
    assert(length == (int)bytes && !memcmp(back, message, bytes));
}

/* Feeds in pieces; returns how many messages came and a sum over their lengths. */
static size_t run(const uint8_t *data, size_t size, size_t piece, size_t *sum)
{
    static struct framer framer;
    size_t count = 0, length;
    int found = 0;

    memset(&framer, 0, sizeof framer);
    *sum = 0;
    while (size && found >= 0) {
        size_t room = sizeof framer.bytes - framer.used;
        size_t take = piece < size ? piece : size;

        take = take < room ? take : room;
        memcpy(framer.bytes + framer.used, data, take);
        framer.used += take;
        data += take;
        size -= take;
        for (;;) {
            framer_skip(&framer);
            found = framer_next(&framer, &length);
            if (found <= 0)
                break;
            assert(length && length <= framer.used);
            if (piece > 1)
                via(framer.bytes, length);
            count++;
            *sum = *sum * 31 + length;
            framer_drop(&framer, length);
        }
        assert(found < 0 || framer.used < sizeof framer.bytes);
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t one, all;

    if (size > 20000)
        return 0;
    assert(run(data, size, 1, &one) == run(data, size, SIZE_MAX, &all));
    assert(one == all);
    return 0;
}
