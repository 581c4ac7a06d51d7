#include "overlay/listen.h"

#include "overlay/door.h"

#include "conf/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BACKLOG 512

struct half_open {
    struct listener *listener;
    struct tls_stream *stream;
    struct door_host *host;
    struct half_open *previous, *next;
};

struct listener {
    uv_tcp_t tcp;
    struct listener_settings settings;
    struct sockaddr_storage address;
    struct half_open *half_open;
    struct door *door;
    uint64_t refused;
    /* Apart, because noise from the whole Internet must not hide a node that is refused. */
    struct log_limit noise, members, trouble;
    int open; /* handles and streams not closed yet */
    void (*on_closed)(void *ctx);
    void *closed_ctx;
};

static void let_go(void *ctx)
{
    struct listener *listener = ctx;

    if (--listener->open > 0)
        return;
    void (*on_closed)(void *) = listener->on_closed;
    void *closed_ctx = listener->closed_ctx;
    door_free(listener->door);
    free(listener);
    if (on_closed)
        on_closed(closed_ctx);
}

/* ---- handshakes ----------------------------------------------------------------------- */

static uint64_t now_ms(const struct listener *listener)
{
    return uv_now(listener->tcp.loop);
}

static void forget(struct half_open *half, bool has_failed)
{
    struct listener *listener = half->listener;

    if (half->previous)
        half->previous->next = half->next;
    else
        listener->half_open = half->next;
    if (half->next)
        half->next->previous = half->previous;
    door_leave(listener->door, half->host, has_failed, now_ms(listener));
    free(half);
}

static void on_up(void *ctx, struct tls_stream *stream, const struct certificate *peer,
                  const char *alpn)
{
    struct half_open *half = ctx;
    struct listener *listener = half->listener;

    forget(half, false);
    listener->open--;
    listener->settings.on_stream(listener->settings.ctx, stream, peer, alpn);
}

static void log_refused(struct listener *listener, const struct tls_stream *stream, const char *why)
{
    bool is_member = strstr(why, "certificate") != NULL;
    struct log_limit *limit = is_member ? &listener->members : &listener->noise;
    char from[ADDRESS_TEXT_MAX];
    uint64_t count;

    if (!log_limit(limit, now_ms(listener), &count))
        return;
    address_format(tls_stream_peer_address(stream), from);
    if (count > 1)
        log_warn(LOG_OVERLAY, NULL, "refused %s: %s (one of %llu since the last line)", from, why,
                 (unsigned long long)count);
    else
        log_warn(LOG_OVERLAY, NULL, "refused %s: %s", from, why);
}

static void on_down(void *ctx, struct tls_stream *stream, const char *why)
{
    struct half_open *half = ctx;
    struct listener *listener = half->listener;

    listener->refused++;
    log_refused(listener, stream, why);
    forget(half, true);
    tls_stream_close_then(stream, let_go, listener);
}

static const struct tls_stream_events handshake_events = {.on_up = on_up, .on_down = on_down};

static void take(struct listener *listener, struct half_open *half)
{
    half->next = listener->half_open;
    if (half->next)
        half->next->previous = half;
    listener->half_open = half;
}

static void complain(struct listener *listener, const char *what)
{
    uint64_t count;

    if (log_limit(&listener->trouble, now_ms(listener), &count))
        log_warn(LOG_OVERLAY, NULL, "cannot accept a connection: %s (%llu so far)", what,
                 (unsigned long long)count);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct listener *listener = server->data;
    struct half_open *half = status < 0 ? NULL : calloc(1, sizeof *half);
    const char *why;

    if (!half) {
        complain(listener, uv_strerror(status < 0 ? status : UV_ENOMEM));
        return;
    }
    half->listener = listener;
    int error = tls_stream_accept(server, listener->settings.identity, &handshake_events, half,
                                  &half->stream);
    if (error < 0) {
        complain(listener, uv_strerror(error));
        free(half);
        return;
    }
    listener->open++;
    half->host =
        door_enter(listener->door, tls_stream_peer_address(half->stream), now_ms(listener), &why);
    if (half->host) {
        take(listener, half);
        return;
    }
    listener->refused++;
    log_refused(listener, half->stream, why);
    tls_stream_close_then(half->stream, let_go, listener);
    free(half);
}

/* ---- life ----------------------------------------------------------------------------- */

static void on_handle_closed(uv_handle_t *handle)
{
    let_go(handle->data);
}

int listener_open(const struct listener_settings *settings, struct listener **listener)
{
    struct listener *made = calloc(1, sizeof *made);
    int length = sizeof made->address;

    if (!made)
        return -ENOMEM;
    made->door = door_new();
    if (!made->door) {
        free(made);
        return -ENOMEM;
    }
    made->settings = *settings;
    made->open = 1;
    uv_tcp_init(settings->loop, &made->tcp);
    made->tcp.data = made;
    int error = uv_tcp_bind(&made->tcp, (const struct sockaddr *)settings->address, 0);
    if (error == 0)
        error = uv_listen((uv_stream_t *)&made->tcp, BACKLOG, on_connection);
    if (error == 0)
        error = uv_tcp_getsockname(&made->tcp, (struct sockaddr *)&made->address, &length);
    if (error < 0) {
        uv_close((uv_handle_t *)&made->tcp, on_handle_closed);
        return error;
    }
    *listener = made;
    return 0;
}

void listener_close(struct listener *listener, void (*on_closed)(void *ctx), void *ctx)
{
    listener->on_closed = on_closed;
    listener->closed_ctx = ctx;
    while (listener->half_open) {
        struct tls_stream *stream = listener->half_open->stream;
        forget(listener->half_open, false);
        tls_stream_close_then(stream, let_go, listener);
    }
    uv_close((uv_handle_t *)&listener->tcp, on_handle_closed);
}

const struct sockaddr_storage *listener_address(const struct listener *listener)
{
    return &listener->address;
}

uint64_t listener_refused(const struct listener *listener)
{
    return listener->refused;
}
