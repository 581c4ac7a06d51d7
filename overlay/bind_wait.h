/* overlay/bind_wait.h: accepted connections that have not said yet what they want to be bound to.
 *
 * The listener hands a connection over after its TLS handshake; its first frame must come within
 * 5 s, and no more than 512 wait at a time, 16 of one
 * node. Whoever owns the waits is given the frame and either
 * refuses it or takes the connection away, to another loop. Control thread.
 */
#ifndef OVERLAY_BIND_WAIT_H
#define OVERLAY_BIND_WAIT_H

#include "overlay/bind_frame.h"
#include "overlay/identity.h"

#include <uv.h>

struct bind_waits;
struct bind_wait;
struct tls_stream;

struct bind_waits_settings {
    uv_loop_t *loop;
    const char *what; /* "relay", "path": for the log */
    /* The frame is whole: bind_wait_refuse or bind_wait_take has to be called before it returns. */
    void (*on_frame)(void *ctx, struct bind_wait *wait, const uint8_t *frame, size_t bytes);
    /* The answer that refuses; as relay_refused_encode. */
    size_t (*refusal)(const char *why, uint8_t *out);
    void *ctx;
};
/* -ENOMEM. */
int bind_waits_open(const struct bind_waits_settings *settings, struct bind_waits **waits);
/* Drops all that wait and reports when they are gone. */
void bind_waits_close(struct bind_waits *waits, void (*on_closed)(void *ctx), void *ctx);
/* Takes the connection (and frees it in the end); may be called from inside the stream's on_up. */
void bind_waits_add(struct bind_waits *waits, struct tls_stream *stream,
                    const struct certificate *peer);

/* Who is at the other end. */
const struct certificate *bind_wait_peer(const struct bind_wait *wait);
/* Answers why not, logs (once a minute), closes; the wait is gone. */
void bind_wait_refuse(struct bind_wait *wait, const char *why);
/* The connection, detached (tls_stream_resume), with what came behind the frame; the wait is gone.
 * NULL: there was no memory, and it was refused. */
struct tls_stream *bind_wait_take(struct bind_wait *wait);

#endif
