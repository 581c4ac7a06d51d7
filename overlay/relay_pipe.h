/* overlay/relay_pipe.h: packets over one TLS connection: frames in, frames out, nothing old.
 *
 * What TCP has not sent stays short; the rest waits in a queue that forgets what is too old
 * (stream.h). Both ends use it: a path's way through a relay and the relay itself. Thread: that of
 * the stream's loop.
 */
#ifndef OVERLAY_RELAY_PIPE_H
#define OVERLAY_RELAY_PIPE_H

#include "overlay/stream.h"
#include "overlay/tls.h"

/* Zero-initialise. relay_pipe_fini frees, but not the stream. */
struct relay_pipe {
    struct tls_stream *stream;
    struct stream_frames frames;
    struct stream_queue queue;
};
void relay_pipe_fini(struct relay_pipe *pipe);

/* The stream is up: packets may go. */
void relay_pipe_start(struct relay_pipe *pipe, struct tls_stream *stream);
/* Sends the packet now, or keeps it. -EMSGSIZE, -ENOTCONN, -ENOMEM. */
int relay_pipe_send(struct relay_pipe *pipe, const uint8_t *packet, size_t bytes, uint64_t now_ms);
/* For the stream's on_drain: sends of the kept ones what goes. */
void relay_pipe_drain(struct relay_pipe *pipe, uint64_t now_ms);

#endif
