/* overlay/tls.h: one TLS 1.3 connection on a libuv TCP handle, mutual certificates of the realm.
 *
 * Used by links (link.c) and by whatever carries media over TCP (bundle.h). A stream lives on one
 * loop; tls_stream_move carries it to another one (listener -> worker) after its handshake. Thread:
 * that of its loop.
 */
#ifndef OVERLAY_TLS_H
#define OVERLAY_TLS_H

#include "overlay/identity.h"

struct tls_stream;

#define TLS_ALPN_LINK "sallyport/1"
#define TLS_ALPN_RELAY "sallyport-relay/1"
#define TLS_ALPN_PATH "sallyport-path/1"

struct tls_stream_events {
    /* Handshake done: the peer's verified certificate, and the protocol agreed on (one of
     * those above). */
    void (*on_up)(void *ctx, struct tls_stream *stream, const struct certificate *peer,
                  const char *alpn);
    /* Plain bytes came. */
    void (*on_data)(void *ctx, struct tls_stream *stream, const uint8_t *data, size_t bytes);
    /* Failed or ended by the other side, in words ("connection refused", "peer refused our
     * certificate: expired", …). tls_stream_close is still to be called. */
    void (*on_down)(void *ctx, struct tls_stream *stream, const char *why);
    /* What was queued has been handed to the kernel; NULL: not wanted. */
    void (*on_drain)(void *ctx, struct tls_stream *stream);
};

/* Sessions of connections that this identity has dialled, at most 16: the next dial to the same
 * address with the same protocol resumes one, which spares both sides most of the handshake. Who
 * the peer is and whether its certificate is good is judged as if it were the first time. Must
 * outlive the streams that use it; one thread. */
struct tls_sessions;
struct tls_sessions *tls_sessions_new(const struct identity *identity);
void tls_sessions_free(struct tls_sessions *sessions);

struct tls_dial {
    const struct identity *identity;
    const char *address; /* "host:port" or numeric */
    const char *proxy;   /* HTTP CONNECT proxy "host:port"; NULL: none */
    const char *alpn;
    struct tls_sessions *sessions; /* NULL, or another identity's: always a full handshake */
    /* Addresses that the name leads to and that are refused are not tried; NULL: all are. */
    bool (*may_dial)(const struct sockaddr_storage *to);
    unsigned timeout_ms; /* for everything until on_up; 0: 10 s */
};
/* Resolves, connects, shakes hands. */
int tls_stream_dial(uv_loop_t *loop, const struct tls_dial *dial,
                    const struct tls_stream_events *events, void *ctx, struct tls_stream **stream);
/* Takes a connection from a listening handle and shakes hands (5 s). */
int tls_stream_accept(uv_stream_t *listener, const struct identity *identity,
                      const struct tls_stream_events *events, void *ctx,
                      struct tls_stream **stream);
/* The same with a connection that was accepted already; the handle, malloc'ed, is taken over, also
 * on failure. */
int tls_stream_serve(uv_tcp_t *tcp, const struct identity *identity,
                     const struct tls_stream_events *events, void *ctx, struct tls_stream **stream);
/* Once up: was it resumed? */
bool tls_stream_is_resumed(const struct tls_stream *stream);
/* From now on the events go to another owner on the same loop; also from inside on_up. */
void tls_stream_hand(struct tls_stream *stream, const struct tls_stream_events *events, void *ctx);
/* Encrypts and queues. -ENOBUFS when `limit` bytes are queued already (0: 1 MiB). */
int tls_stream_send(struct tls_stream *stream, const uint8_t *data, size_t bytes);
/* Bytes handed over but not yet taken by the kernel: uv's queue plus what TCP has not sent
 * (SIOCOUTQNSD). */
size_t tls_stream_queued(const struct tls_stream *stream);
/* Bytes that were ever to be sent, as TLS made them; and how many of them the other side's TCP has
 * acknowledged (SIOCOUTQ). Their difference is what is on its way. */
uint64_t tls_stream_sent(const struct tls_stream *stream);
uint64_t tls_stream_acknowledged(const struct tls_stream *stream);
/* How the line is, as far as the kernel has seen it. */
struct tls_line {
    uint32_t resent; /* segments, ever: they or their acknowledgements were lost */
    uint32_t round_trip_us;
};
void tls_stream_line(const struct tls_stream *stream, struct tls_line *line);
/* For voice: the kernel takes no more once so many bytes are unsent (TCP_NOTSENT_LOWAT); the rest
 * waits here, and on_drain tells when it is gone. Once up. */
void tls_stream_limit_unsent(struct tls_stream *stream, unsigned bytes);
/* Does the kernel take no more for now? Then on_drain will come. */
bool tls_stream_is_stalled(const struct tls_stream *stream);
/* Plain bytes that were received and not used yet go along with the stream to the other loop.
 * Called on the old loop's thread; afterwards the stream belongs to `loop`'s thread once
 * tls_stream_resume was called there. */
int tls_stream_detach(struct tls_stream *stream);
int tls_stream_resume(struct tls_stream *stream, uv_loop_t *loop,
                      const struct tls_stream_events *events, void *ctx);
/* Gives back plain bytes of the on_data that is being handled: they come again first, before newer
 * ones, after tls_stream_resume. Once, right before tls_stream_detach. 0 or -ENOMEM. */
int tls_stream_unread(struct tls_stream *stream, const uint8_t *data, size_t bytes);
const struct sockaddr_storage *tls_stream_peer_address(const struct tls_stream *stream);
/* Sends what is queued (at most 1 s) and frees; no event comes any more. */
void tls_stream_close(struct tls_stream *stream);
/* The same, and reports when all of it is gone from the loop (at once when the stream is detached).
 */
void tls_stream_close_then(struct tls_stream *stream, void (*on_closed)(void *ctx), void *ctx);

#endif
