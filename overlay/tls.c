/* The life of a TLS connection: dialled or accepted, up, moved, closed. */
#include "overlay/tls.h"

#include "overlay/tls_stream.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DIAL_TIMEOUT_MS 10000
#define ACCEPT_TIMEOUT_MS 5000
#define LINGER_MS 1000

#define TO(state) (1u << (state))
static const unsigned allowed[TLS_STATES] = {
    [TLS_DIALLING] = TO(TLS_PROXY) | TO(TLS_HANDSHAKE) | TO(TLS_DOWN) | TO(TLS_CLOSED),
    [TLS_PROXY] = TO(TLS_HANDSHAKE) | TO(TLS_DOWN) | TO(TLS_CLOSED),
    [TLS_HANDSHAKE] = TO(TLS_UP) | TO(TLS_DOWN) | TO(TLS_CLOSED),
    [TLS_UP] = TO(TLS_DETACHED) | TO(TLS_DOWN) | TO(TLS_CLOSING),
    [TLS_DETACHED] = TO(TLS_UP) | TO(TLS_CLOSED),
    [TLS_DOWN] = TO(TLS_CLOSING) | TO(TLS_CLOSED),
    [TLS_CLOSING] = TO(TLS_CLOSED),
};

void tls_set_state(struct tls_stream *stream, enum tls_state state)
{
    assert(allowed[stream->state] & TO(state));
    stream->state = state;
}

bool tls_is_live(const struct tls_stream *stream, const uv_tcp_t *tcp)
{
    return tcp->data == stream && stream->state < TLS_CLOSING;
}

static void free_stream(struct tls_stream *stream)
{
    SSL_free(stream->ssl); /* and both BIOs */
    if (stream->fd >= 0)
        close(stream->fd);
    free(stream->tunnel);
    free(stream->session_name);
    free(stream->verdict);
    free(stream->unread);
    void (*on_closed)(void *ctx) = stream->on_closed;
    void *ctx = stream->closed_ctx;
    free(stream);
    if (on_closed)
        on_closed(ctx);
}

void tls_on_handle_closed(uv_handle_t *handle)
{
    struct tls_stream *stream = handle->data;

    free(handle);
    if (stream && --stream->handles == 0)
        free_stream(stream);
}

static void finish(struct tls_stream *stream)
{
    tls_set_state(stream, TLS_CLOSED);
    if (stream->tcp)
        uv_close((uv_handle_t *)stream->tcp, tls_on_handle_closed);
    uv_close((uv_handle_t *)stream->timer, tls_on_handle_closed);
}

static const char *doing(const struct tls_stream *stream)
{
    switch (stream->state) {
    case TLS_DIALLING:
        if (stream->race && tls_race_is_resolving(stream->race))
            return stream->tunnel ? "the proxy: its name was not resolved"
                                  : "the name was not resolved: no answer from the resolver";
        return stream->tunnel ? "no answer from the proxy" : "no answer to the connection";
    case TLS_PROXY:
        return "no answer from the proxy";
    default:
        return "no end of the handshake";
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct tls_stream *stream = timer->data;

    switch (stream->state) {
    case TLS_DIALLING:
    case TLS_PROXY:
    case TLS_HANDSHAKE:
        tls_fail(stream, "%s within %g s", doing(stream), stream->timeout_ms / 1000.0);
        break;
    case TLS_UP: /* came from another loop, with what was read there */
        tls_wire_flush(stream);
        tls_crypt_go(stream);
        break;
    case TLS_DOWN:
        if (!stream->is_told) {
            stream->is_told = true;
            stream->events->on_down(stream->ctx, stream, stream->why);
        }
        break;
    case TLS_CLOSING:
        finish(stream);
        break;
    default:
        break;
    }
}

void tls_soon(struct tls_stream *stream)
{
    uv_timer_start(stream->timer, on_timer, 0, 0);
}

void tls_fail(struct tls_stream *stream, const char *fmt, ...)
{
    va_list args;

    if (stream->state >= TLS_DOWN)
        return;
    va_start(args, fmt);
    vsnprintf(stream->why, sizeof stream->why, fmt, args);
    va_end(args);
    tls_set_state(stream, TLS_DOWN);
    if (stream->race) {
        tls_race_cancel(stream->race);
        stream->race = NULL;
    }
    tls_soon(stream);
}

uv_timer_t *tls_make_timer(struct tls_stream *stream, uv_loop_t *loop)
{
    uv_timer_t *timer = malloc(sizeof *timer);

    if (!timer)
        return NULL;
    uv_timer_init(loop, timer);
    timer->data = stream;
    stream->loop = loop;
    stream->timer = timer;
    stream->handles++;
    return timer;
}

static struct tls_stream *make_stream(uv_loop_t *loop, const struct identity *identity,
                                      const struct tls_stream_events *events, void *ctx)
{
    struct tls_stream *stream = calloc(1, sizeof *stream);

    if (!stream)
        return NULL;
    stream->identity = identity;
    stream->events = events;
    stream->ctx = ctx;
    stream->fd = -1;
    if (tls_make_timer(stream, loop))
        return stream;
    free(stream);
    return NULL;
}

static void start_tls(struct tls_stream *stream)
{
    tls_set_state(stream, TLS_HANDSHAKE);
    if (tls_crypt_start(stream) < 0)
        tls_fail(stream, "out of memory");
    else
        tls_crypt_go(stream);
}

static void ask_proxy(struct tls_stream *stream)
{
    char request[PROXY_REQUEST_MAX];
    size_t bytes = proxy_request(&stream->tunnel->proxy, stream->tunnel->target, request);
    uv_buf_t buffer = uv_buf_init(request, (unsigned)bytes);

    tls_set_state(stream, TLS_PROXY);
    /* The first bytes on a connection: there is room for them. */
    int put = uv_try_write((uv_stream_t *)stream->tcp, &buffer, 1);
    if (put != (int)bytes)
        tls_fail(stream, "the proxy: %s", put < 0 ? uv_strerror(put) : "takes no request");
}

static void on_connected(void *ctx, uv_tcp_t *tcp, const char *why)
{
    struct tls_stream *stream = ctx;

    stream->race = NULL;
    if (!tcp) {
        tls_fail(stream, stream->tunnel ? "the proxy: %s" : "%s", why);
        return;
    }
    int error = tls_wire_start(stream, tcp);
    if (error < 0)
        tls_fail(stream, "%s", uv_strerror(error));
    else if (stream->tunnel)
        ask_proxy(stream);
    else
        start_tls(stream);
}

static int make_tunnel(struct tls_stream *stream, const struct tls_dial *dial)
{
    stream->tunnel = calloc(1, sizeof *stream->tunnel);
    if (!stream->tunnel)
        return -ENOMEM;
    if (proxy_parse(dial->proxy, &stream->tunnel->proxy) < 0 ||
        strlen(dial->address) >= sizeof stream->tunnel->target)
        return -EINVAL;
    strcpy(stream->tunnel->target, dial->address);
    return 0;
}

static int name_session(struct tls_stream *stream, const struct tls_dial *dial)
{
    stream->sessions = dial->sessions;
    return asprintf(&stream->session_name, "%s %s", dial->alpn, dial->address) < 0 ? -ENOMEM : 0;
}

int tls_stream_dial(uv_loop_t *loop, const struct tls_dial *dial,
                    const struct tls_stream_events *events, void *ctx, struct tls_stream **stream)
{
    struct tls_stream *made = make_stream(loop, dial->identity, events, ctx);
    struct tls_race_to to = {dial->address, dial->may_dial};
    int error = 0;

    if (!made)
        return -ENOMEM;
    assert(strlen(dial->alpn) < sizeof made->alpn);
    strcpy(made->alpn, dial->alpn);
    made->timeout_ms = dial->timeout_ms ? dial->timeout_ms : DIAL_TIMEOUT_MS;
    if (dial->sessions && tls_sessions_are_of(dial->sessions, dial->identity))
        error = name_session(made, dial);
    if (error == 0 && dial->proxy)
        error = make_tunnel(made, dial);
    if (error == 0 && dial->proxy) /* which may be anywhere */
        to = (struct tls_race_to){made->tunnel->proxy.address, NULL};
    if (error == 0)
        error = tls_race_start(loop, &to, on_connected, made, &made->race);
    if (error < 0) {
        finish(made);
        return error;
    }
    uv_timer_start(made->timer, on_timer, made->timeout_ms, 0);
    *stream = made;
    return 0;
}

int tls_stream_serve(uv_tcp_t *tcp, const struct identity *identity,
                     const struct tls_stream_events *events, void *ctx, struct tls_stream **stream)
{
    struct tls_stream *made = make_stream(tcp->loop, identity, events, ctx);

    tcp->data = NULL;
    if (!made) {
        uv_close((uv_handle_t *)tcp, tls_on_handle_closed);
        return -ENOMEM;
    }
    made->is_server = true;
    made->timeout_ms = ACCEPT_TIMEOUT_MS;
    tls_set_state(made, TLS_HANDSHAKE);
    int error = tls_wire_start(made, tcp);
    if (error == 0)
        error = tls_crypt_start(made);
    if (error < 0) {
        finish(made);
        return error;
    }
    uv_timer_start(made->timer, on_timer, made->timeout_ms, 0);
    *stream = made;
    return 0;
}

int tls_stream_accept(uv_stream_t *listener, const struct identity *identity,
                      const struct tls_stream_events *events, void *ctx, struct tls_stream **stream)
{
    uv_tcp_t *tcp = malloc(sizeof *tcp);

    if (!tcp)
        return -ENOMEM;
    uv_tcp_init(listener->loop, tcp);
    tcp->data = NULL;
    int error = uv_accept(listener, (uv_stream_t *)tcp);
    if (error < 0) {
        uv_close((uv_handle_t *)tcp, tls_on_handle_closed);
        return error;
    }
    return tls_stream_serve(tcp, identity, events, ctx, stream);
}

bool tls_stream_is_resumed(const struct tls_stream *stream)
{
    return stream->ssl && SSL_session_reused(stream->ssl);
}

void tls_stream_hand(struct tls_stream *stream, const struct tls_stream_events *events, void *ctx)
{
    stream->events = events;
    stream->ctx = ctx;
}

/* What waits on our side of the kernel. */
static size_t waiting(const struct tls_stream *stream)
{
    size_t bytes = stream->out ? BIO_ctrl_pending(stream->out) : 0;

    return bytes + (stream->tcp ? uv_stream_get_write_queue_size((uv_stream_t *)stream->tcp) : 0);
}

int tls_stream_send(struct tls_stream *stream, const uint8_t *data, size_t bytes)
{
    if (stream->state != TLS_UP)
        return -ENOTCONN;
    if (waiting(stream) + bytes > TLS_QUEUE_MAX)
        return -ENOBUFS;
    int error = bytes > 0 ? tls_crypt_send(stream, data, bytes) : 0;
    if (error < 0) {
        tls_fail(stream, "TLS failed while sending");
        return error;
    }
    tls_wire_flush(stream);
    return 0;
}

/* What the kernel says about the socket's queue; 0 when it cannot. */
static size_t ask_kernel(const struct tls_stream *stream, unsigned long question)
{
    uv_os_fd_t fd;
    int bytes = 0;

    if (!stream->tcp || uv_fileno((uv_handle_t *)stream->tcp, &fd) < 0 ||
        ioctl(fd, question, &bytes) < 0)
        return 0;
    return (size_t)bytes;
}

void tls_stream_line(const struct tls_stream *stream, struct tls_line *line)
{
    struct tcp_info info;
    socklen_t length = sizeof info;
    uv_os_fd_t fd;

    memset(line, 0, sizeof *line);
    if (!stream->tcp || uv_fileno((uv_handle_t *)stream->tcp, &fd) < 0 ||
        getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0)
        return;
    line->resent = info.tcpi_total_retrans;
    line->round_trip_us = info.tcpi_rtt;
}

size_t tls_stream_queued(const struct tls_stream *stream)
{
    return waiting(stream) + ask_kernel(stream, SIOCOUTQNSD);
}

uint64_t tls_stream_sent(const struct tls_stream *stream)
{
    return stream->handed + (stream->out ? BIO_ctrl_pending(stream->out) : 0);
}

uint64_t tls_stream_acknowledged(const struct tls_stream *stream)
{
    return tls_stream_sent(stream) - waiting(stream) - ask_kernel(stream, SIOCOUTQ);
}

void tls_stream_limit_unsent(struct tls_stream *stream, unsigned bytes)
{
    uv_os_fd_t fd;

    if (stream->tcp && uv_fileno((uv_handle_t *)stream->tcp, &fd) == 0)
        setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof bytes);
}

bool tls_stream_is_stalled(const struct tls_stream *stream)
{
    return stream->writing != NULL;
}

const struct sockaddr_storage *tls_stream_peer_address(const struct tls_stream *stream)
{
    return &stream->peer;
}

void tls_stream_close_then(struct tls_stream *stream, void (*on_closed)(void *ctx), void *ctx)
{
    stream->on_closed = on_closed;
    stream->closed_ctx = ctx;
    if (stream->race)
        tls_race_cancel(stream->race);
    stream->race = NULL;
    tls_crypt_keep_session(stream);
    if (stream->state == TLS_DETACHED) {
        free_stream(stream);
        return;
    }
    bool has_words = stream->tcp && stream->ssl && !stream->is_eof &&
                     (stream->state == TLS_UP || stream->state == TLS_DOWN);
    if (!has_words) {
        finish(stream);
        return;
    }
    if (stream->state == TLS_UP)
        SSL_shutdown(stream->ssl);
    tls_set_state(stream, TLS_CLOSING);
    tls_wire_flush(stream);
    tls_wire_shutdown(stream);
    uv_timer_start(stream->timer, on_timer, LINGER_MS, 0);
}

void tls_stream_close(struct tls_stream *stream)
{
    tls_stream_close_then(stream, NULL, NULL);
}
