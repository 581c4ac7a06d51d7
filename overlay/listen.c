#include "overlay/listen.h"

#include "conf/log.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define BACKLOG 512
#define HALF_OPEN_MAX 512
#define HALF_OPEN_PER_HOST_MAX 64

/* Handshakes going on from one host. */
struct host_count {
    uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d */
    unsigned count;
    UT_hash_handle hh;
};

struct half_open {
    struct listener *listener;
    struct tls_stream *stream;
    struct host_count *host;
    struct half_open *previous, *next;
};

struct listener {
    uv_tcp_t tcp;
    struct listener_settings settings;
    struct sockaddr_storage address;
    struct half_open *half_open;
    unsigned half_open_count;
    struct host_count *hosts;
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
    free(listener);
    if (on_closed)
        on_closed(closed_ctx);
}

/* ---- counting hosts ------------------------------------------------------------------- */

static void host_key(const struct sockaddr_storage *address, uint8_t key[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    if (address->ss_family == AF_INET6) {
        memcpy(key, &((const struct sockaddr_in6 *)address)->sin6_addr, 16);
        memset(key + 8, 0, 8); /* who has one address of a /64 has all of them */
        return;
    }
    memcpy(key, mapped, sizeof mapped);
    memcpy(key + 12, &((const struct sockaddr_in *)address)->sin_addr, 4);
}

static struct host_count *host_take(struct listener *listener,
                                    const struct sockaddr_storage *address)
{
    struct host_count *host;
    uint8_t key[16];

    host_key(address, key);
    HASH_FIND(hh, listener->hosts, key, sizeof key, host);
    if (!host) {
        host = calloc(1, sizeof *host);
        if (!host)
            return NULL;
        memcpy(host->address, key, sizeof key);
        HASH_ADD(hh, listener->hosts, address, sizeof host->address, host);
    }
    if (host->count == HALF_OPEN_PER_HOST_MAX)
        return NULL;
    host->count++;
    return host;
}

static void host_let_go(struct listener *listener, struct host_count *host)
{
    if (--host->count > 0)
        return;
    HASH_DEL(listener->hosts, host);
    free(host);
}

/* ---- handshakes ----------------------------------------------------------------------- */

static void forget(struct half_open *half)
{
    struct listener *listener = half->listener;

    if (half->previous)
        half->previous->next = half->next;
    else
        listener->half_open = half->next;
    if (half->next)
        half->next->previous = half->previous;
    listener->half_open_count--;
    host_let_go(listener, half->host);
    free(half);
}

static void on_up(void *ctx, struct tls_stream *stream, const struct certificate *peer,
                  const char *alpn)
{
    struct half_open *half = ctx;
    struct listener *listener = half->listener;

    forget(half);
    listener->open--;
    listener->settings.on_stream(listener->settings.ctx, stream, peer, alpn);
}

static void log_refused(struct listener *listener, const struct tls_stream *stream, const char *why)
{
    bool is_member = strstr(why, "certificate") != NULL;
    struct log_limit *limit = is_member ? &listener->members : &listener->noise;
    char from[ADDRESS_TEXT_MAX];
    uint64_t count;

    if (!log_limit(limit, uv_now(listener->tcp.loop), &count))
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
    forget(half);
    tls_stream_close_then(stream, let_go, listener);
}

static const struct tls_stream_events handshake_events = {.on_up = on_up, .on_down = on_down};

static bool is_room_for(struct listener *listener, struct half_open *half)
{
    if (listener->half_open_count >= HALF_OPEN_MAX)
        return false;
    half->host = host_take(listener, tls_stream_peer_address(half->stream));
    return half->host != NULL;
}

static void take(struct listener *listener, struct half_open *half)
{
    half->next = listener->half_open;
    if (half->next)
        half->next->previous = half;
    listener->half_open = half;
    listener->half_open_count++;
}

static void complain(struct listener *listener, const char *what)
{
    uint64_t count;

    if (log_limit(&listener->trouble, uv_now(listener->tcp.loop), &count))
        log_warn(LOG_OVERLAY, NULL, "cannot accept a connection: %s (%llu so far)", what,
                 (unsigned long long)count);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct listener *listener = server->data;
    struct half_open *half = status < 0 ? NULL : calloc(1, sizeof *half);

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
    if (is_room_for(listener, half)) {
        take(listener, half);
        return;
    }
    listener->refused++;
    log_refused(listener, half->stream, "too many handshakes are open");
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
        forget(listener->half_open);
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
