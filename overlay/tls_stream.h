/* overlay/tls_stream.h: a TLS connection from the inside. Private to tls*.c.
 *
 *   tls.c        life: dial, accept, send, close
 *   tls_move.c   to another loop
 *   tls_wire.c   bytes to and from the kernel, by libuv
 *   tls_crypt.c  bytes to and from OpenSSL, by memory BIOs; what failed, in words
 *   tls_session.c  sessions to be resumed
 *   tls_dial.c   from "host:port" to a TCP connection
 *
 * Handles are allocated apart from the stream, because libuv frees them later than a stream may
 * move to another thread. After an event was given to the owner, the stream may have been closed or
 * moved: what comes next asks tls_is_live first, with the handle, which is still there.
 */
#ifndef OVERLAY_TLS_STREAM_H
#define OVERLAY_TLS_STREAM_H

#include "overlay/identity_tls.h"
#include "overlay/proxy.h"
#include "overlay/tls.h"
#include "overlay/tls_dial.h"
#include "overlay/tls_session.h"

#define TLS_QUEUE_MAX (1024 * 1024)
#define TLS_WHY_MAX 200

/*  DIALLING -> PROXY? -> HANDSHAKE -> UP <-> DETACHED
 *      all of them -> DOWN (on_down is told from the loop) -> CLOSING (what is queued goes out) ->
 * CLOSED */
enum tls_state {
    TLS_DIALLING,
    TLS_PROXY,
    TLS_HANDSHAKE,
    TLS_UP,
    TLS_DETACHED,
    TLS_DOWN,
    TLS_CLOSING,
    TLS_CLOSED,
    TLS_STATES
};

struct tls_write {
    uv_write_t request;
    size_t bytes;
    uint8_t data[];
};

/* What only a connection through a proxy needs. */
struct tls_tunnel {
    struct proxy proxy;
    struct proxy_answer answer;
    char target[PROXY_ADDRESS_MAX];
};

struct tls_stream {
    enum tls_state state;
    bool is_server;
    bool is_eof;  /* the other side sends no more */
    bool is_told; /* on_down was told */
    const struct identity *identity;
    const struct tls_stream_events *events;
    void *ctx;
    unsigned timeout_ms;
    char alpn[24]; /* asked for, or agreed on */
    struct sockaddr_storage peer;

    uv_loop_t *loop;
    uv_tcp_t *tcp;     /* NULL before it is connected and while detached */
    uv_timer_t *timer; /* timeout, then whatever is to be done from the loop */
    int handles;       /* not closed yet */
    int fd;            /* while detached; else -1 */
    struct tls_race *race;
    struct tls_tunnel *tunnel;
    struct tls_sessions *sessions; /* NULL: none is kept */
    char *session_name;

    SSL *ssl;
    BIO *in, *out;                    /* the SSL's */
    struct identity_verdict *verdict; /* until it is up */
    struct tls_write *writing;        /* one at a time, so that a move knows what is left */
    uint64_t handed;                  /* bytes given to libuv, ever */
    uint8_t *unread;                  /* plain bytes given back by the owner */
    size_t unread_bytes;

    char why[TLS_WHY_MAX];
    void (*on_closed)(void *ctx);
    void *closed_ctx;
};

/* tls.c */
void tls_set_state(struct tls_stream *stream, enum tls_state state);
/* The stream is over: on_down will be told from the loop. */
void tls_fail(struct tls_stream *stream, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* What the state asks for is done from the loop. */
void tls_soon(struct tls_stream *stream);
uv_timer_t *tls_make_timer(struct tls_stream *stream, uv_loop_t *loop);
/* Frees the handle; with the last one of a stream, the stream. */
void tls_on_handle_closed(uv_handle_t *handle);
bool tls_is_live(const struct tls_stream *stream, const uv_tcp_t *tcp);

/* tls_wire.c */
/* Takes a connected handle: options, peer's address, reading. */
int tls_wire_start(struct tls_stream *stream, uv_tcp_t *tcp);
/* Hands what TLS has made to the kernel, as far as it takes it. */
void tls_wire_flush(struct tls_stream *stream);
/* After what is queued a FIN; then reads what still comes, so that no RST overtakes our last words.
 */
void tls_wire_shutdown(struct tls_stream *stream);
/* What was not written yet goes back into `out`. */
int tls_wire_reclaim(struct tls_stream *stream);

/* tls_crypt.c */
int tls_crypt_start(struct tls_stream *stream);
/* Encrypted bytes came. */
void tls_crypt_take(struct tls_stream *stream, const uint8_t *data, size_t bytes);
/* Goes on with what has come: handshake, then plain bytes to the owner. */
void tls_crypt_go(struct tls_stream *stream);
/* The connection ends: its newest session is for the next dial. */
void tls_crypt_keep_session(struct tls_stream *stream);
/* Gives back the memory of large messages that are through. */
void tls_crypt_trim(struct tls_stream *stream);
int tls_crypt_send(struct tls_stream *stream, const uint8_t *data, size_t bytes);

#endif
