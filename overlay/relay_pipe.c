/* Packets over one TLS connection. */
#include "overlay/relay_pipe.h"

#include <errno.h>
#include <string.h>

/* Unsent bytes in the kernel: a dozen packets of voice. What is in flight is not counted, so this
 * is no limit for a connection that moves. */
#define UNSENT_BYTES 2048

void relay_pipe_fini(struct relay_pipe *pipe)
{
    stream_queue_fini(&pipe->queue);
    pipe->frames.have = 0;
    pipe->stream = NULL;
}

void relay_pipe_start(struct relay_pipe *pipe, struct tls_stream *stream)
{
    pipe->stream = stream;
    tls_stream_limit_unsent(stream, UNSENT_BYTES);
}

int relay_pipe_send(struct relay_pipe *pipe, const uint8_t *packet, size_t bytes, uint64_t now_ms)
{
    uint8_t frame[STREAM_LENGTH_BYTES + STREAM_PACKET_MAX];

    if (bytes > STREAM_PACKET_MAX)
        return -EMSGSIZE;
    if (tls_stream_is_stalled(pipe->stream))
        return stream_queue_put(&pipe->queue, packet, bytes, now_ms);
    stream_frame_length(frame, bytes);
    memcpy(frame + STREAM_LENGTH_BYTES, packet, bytes);
    return tls_stream_send(pipe->stream, frame, STREAM_LENGTH_BYTES + bytes);
}

void relay_pipe_drain(struct relay_pipe *pipe, uint64_t now_ms)
{
    const uint8_t *frame;
    size_t bytes;

    while (!tls_stream_is_stalled(pipe->stream) &&
           (frame = stream_queue_peek(&pipe->queue, now_ms, &bytes))) {
        tls_stream_send(pipe->stream, frame, bytes);
        stream_queue_pop(&pipe->queue);
    }
}
