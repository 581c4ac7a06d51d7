/* What comes over a connection that carries media: the first frame, then RFC 4571, in pieces of any
 * length. */
#include "overlay/path_frame.h"
#include "overlay/relay_frame.h"
#include "overlay/stream.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void must_be_printable(const char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            abort();
}

static void first_frame(const uint8_t **data, size_t *bytes, struct bind_first *first)
{
    struct relay_bind bind;
    struct relay_bound bound;
    uint8_t id[PATH_ID_BYTES];
    char refused[BIND_REASON_MAX];
    const uint8_t *frame;
    size_t frame_bytes;

    if (bind_first_take(first, data, bytes, &frame, &frame_bytes) <= 0)
        return;
    relay_bind_decode(frame, frame_bytes, &bind);
    path_bind_decode(frame, frame_bytes, id);
    if (relay_bound_decode(frame, frame_bytes, &bound) == 0)
        must_be_printable(bound.refused);
    if (path_bound_decode(frame, frame_bytes, refused) == 0)
        must_be_printable(refused);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct bind_first first = {0};
    struct stream_frames frames = {0};
    struct stream_queue queue = {0};
    uint64_t now_ms = 0;
    size_t piece, packet_bytes = 0;
    uint8_t *packet;

    if (bytes < 1)
        return 0;
    piece = data[0] % 32 + 1u;
    data++;
    bytes--;
    first_frame(&data, &bytes, &first);
    while (bytes > 0) {
        const uint8_t *at = data;
        size_t left = bytes < piece ? bytes : piece;

        data += left;
        bytes -= left;
        while (stream_frames_next(&frames, &at, &left, &packet, &packet_bytes) > 0) {
            if (stream_queue_put(&queue, packet, packet_bytes, now_ms) < 0)
                abort();
            now_ms += packet_bytes & 31;
        }
        if (left > 0)
            break; /* a frame that is too long */
        if (packet_bytes & 1 && stream_queue_peek(&queue, now_ms, &packet_bytes))
            stream_queue_pop(&queue);
        packet_bytes = 0;
    }
    stream_queue_fini(&queue);
    return 0;
}
