/* RFC 4571 framing and the queue that forgets. */
#include "overlay/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static size_t length_of(const uint8_t *frame)
{
    return (size_t)(frame[0] << 8 | frame[1]);
}

void stream_frame_length(uint8_t out[STREAM_LENGTH_BYTES], size_t packet_bytes)
{
    out[0] = (uint8_t)(packet_bytes >> 8);
    out[1] = (uint8_t)packet_bytes;
}

/* Fills the buffer up to `want` bytes; true when it has them. */
static bool fill(struct stream_frames *frames, size_t want, const uint8_t **data, size_t *bytes)
{
    size_t take = want > frames->have ? want - frames->have : 0;

    if (take > *bytes)
        take = *bytes;
    memcpy(frames->buffer + frames->have, *data, take);
    frames->have += take;
    *data += take;
    *bytes -= take;
    return frames->have >= want;
}

int stream_frames_next(struct stream_frames *frames, const uint8_t **data, size_t *bytes,
                       uint8_t **packet, size_t *packet_bytes)
{
    if (*bytes == 0 || !fill(frames, STREAM_LENGTH_BYTES, data, bytes))
        return 0;

    size_t length = length_of(frames->buffer);
    if (length > STREAM_PACKET_MAX)
        return -EMSGSIZE;
    if (!fill(frames, STREAM_LENGTH_BYTES + length, data, bytes))
        return 0;
    frames->have = 0;
    *packet = frames->buffer + STREAM_LENGTH_BYTES;
    *packet_bytes = length;
    return 1;
}

/* ---- queue ------------------------------------------------------------------------------------
 */

/* Each entry: when it was put (ms, 8 bytes), then the frame. */
#define STAMP_BYTES sizeof(uint64_t)

void stream_queue_fini(struct stream_queue *queue)
{
    free(queue->buffer);
    queue->buffer = NULL;
    queue->start = queue->end = 0;
}

bool stream_queue_is_empty(const struct stream_queue *queue)
{
    return queue->start == queue->end;
}

static size_t entry_bytes(const uint8_t *entry)
{
    return STAMP_BYTES + STREAM_LENGTH_BYTES + length_of(entry + STAMP_BYTES);
}

void stream_queue_pop(struct stream_queue *queue)
{
    queue->start += entry_bytes(queue->buffer + queue->start);
    if (queue->start == queue->end)
        queue->start = queue->end = 0;
}

static void drop(struct stream_queue *queue)
{
    stream_queue_pop(queue);
    queue->dropped++;
}

static void drop_old(struct stream_queue *queue, uint64_t now_ms)
{
    uint64_t put_ms;

    while (!stream_queue_is_empty(queue)) {
        memcpy(&put_ms, queue->buffer + queue->start, STAMP_BYTES);
        if (now_ms < put_ms + STREAM_AGE_MS)
            return;
        drop(queue);
    }
}

int stream_queue_put(struct stream_queue *queue, const uint8_t *packet, size_t bytes,
                     uint64_t now_ms)
{
    size_t need = STAMP_BYTES + STREAM_LENGTH_BYTES + bytes;

    if (bytes > STREAM_PACKET_MAX)
        return -EMSGSIZE;
    if (!queue->buffer && !(queue->buffer = malloc(STREAM_QUEUE_BYTES)))
        return -ENOMEM;
    drop_old(queue, now_ms);
    while (queue->end - queue->start + need > STREAM_QUEUE_BYTES)
        drop(queue);
    if (queue->end + need > STREAM_QUEUE_BYTES) {
        memmove(queue->buffer, queue->buffer + queue->start, queue->end - queue->start);
        queue->end -= queue->start;
        queue->start = 0;
    }

    uint8_t *at = queue->buffer + queue->end;
    memcpy(at, &now_ms, STAMP_BYTES);
    stream_frame_length(at + STAMP_BYTES, bytes);
    memcpy(at + STAMP_BYTES + STREAM_LENGTH_BYTES, packet, bytes);
    queue->end += need;
    return 0;
}

const uint8_t *stream_queue_peek(struct stream_queue *queue, uint64_t now_ms, size_t *frame_bytes)
{
    drop_old(queue, now_ms);
    if (stream_queue_is_empty(queue))
        return NULL;
    *frame_bytes = entry_bytes(queue->buffer + queue->start) - STAMP_BYTES;
    return queue->buffer + queue->start + STAMP_BYTES;
}
