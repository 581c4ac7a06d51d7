#include "overlay/listen.h"

#include "overlay/door.h"

#include "conf/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define BACKLOG 4096
#define WAIT_MAX 512
#define WAIT_MAX_MS 1000
#define TICK_MS 20
#define ACCEPTS_PER_TURN 512 /* of the loop */

/* One at the door: waits, then shakes hands. */
struct half_open {
    struct listener *listener;
    struct door_host *host;
    struct sockaddr_storage from;
    uint64_t since_ms;
    uv_tcp_t *tcp;             /* while it waits */
    struct tls_stream *stream; /* from then on */
    TAILQ_ENTRY(half_open) next;
};
TAILQ_HEAD(half_opens, half_open);

struct listener {
    uv_tcp_t tcp;
    uv_timer_t tick; /* while anybody is at the door */
    struct listener_settings settings;
    struct sockaddr_storage address;
    struct half_opens waiting, shaking;
    unsigned waiting_count;
    struct door *door;
    uint64_t ticked_ns; /* when the loop was looked at last */
    uint64_t turn_ms;   /* of the loop */
    unsigned turn_accepts;
    bool is_paused; /* somebody is accepted by libuv, but not taken */
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

    if (half->tcp)
        listener->waiting_count--;
    TAILQ_REMOVE(half->tcp ? &listener->waiting : &listener->shaking, half, next);
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

static void log_refused(struct listener *listener, const struct sockaddr_storage *address,
                        const char *why)
{
    bool is_member = strstr(why, "certificate") != NULL;
    struct log_limit *limit = is_member ? &listener->members : &listener->noise;
    char from[ADDRESS_TEXT_MAX];
    uint64_t count;

    listener->refused++;
    if (!log_limit(limit, now_ms(listener), &count))
        return;
    address_format(address, from);
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

    log_refused(listener, &half->from, why);
    forget(half, true);
    tls_stream_close_then(stream, let_go, listener);
}

static const struct tls_stream_events handshake_events = {.on_up = on_up, .on_down = on_down};

static void complain(struct listener *listener, const char *what)
{
    uint64_t count;

    if (log_limit(&listener->trouble, now_ms(listener), &count))
        log_warn(LOG_OVERLAY, NULL, "cannot accept a connection: %s (%llu so far)", what,
                 (unsigned long long)count);
}

static void begin(struct half_open *half)
{
    struct listener *listener = half->listener;
    uv_tcp_t *tcp = half->tcp;

    int error =
        tls_stream_serve(tcp, listener->settings.identity, &handshake_events, half, &half->stream);
    if (error < 0) {
        complain(listener, uv_strerror(error));
        forget(half, false);
        return;
    }
    TAILQ_REMOVE(&listener->waiting, half, next);
    listener->waiting_count--;
    half->tcp = NULL;
    TAILQ_INSERT_TAIL(&listener->shaking, half, next);
    listener->open++;
}

/* ---- who comes ------------------------------------------------------------------------ */

static void on_tcp_closed(uv_handle_t *tcp)
{
    free(tcp);
}

/* The kernel says so at once: whoever is told can try elsewhere, or later. */
static void reset(struct listener *listener, uv_tcp_t *tcp, const struct sockaddr_storage *from,
                  const char *why)
{
    log_refused(listener, from, why);
    if (uv_tcp_close_reset(tcp, on_tcp_closed) < 0)
        uv_close((uv_handle_t *)tcp, on_tcp_closed);
}

static void turn_away(struct half_open *half, const char *why)
{
    uv_tcp_t *tcp = half->tcp;

    reset(half->listener, tcp, &half->from, why);
    forget(half, false);
}

/* Those who have waited too long go first: who comes again by itself does not wait in vain. */
static void let_in(struct listener *listener)
{
    struct half_open *half;

    while ((half = TAILQ_FIRST(&listener->waiting)) &&
           half->since_ms + WAIT_MAX_MS < now_ms(listener))
        turn_away(half, "too many come at once");
    while ((half = TAILQ_FIRST(&listener->waiting)) && door_begin(listener->door, now_ms(listener)))
        begin(half);
}

static void receive(struct listener *listener, uv_tcp_t *tcp, const struct sockaddr_storage *from)
{
    const char *why = "too many come at once";
    struct half_open *half = NULL;
    struct door_host *host = NULL;

    if (listener->waiting_count < WAIT_MAX)
        host = door_enter(listener->door, from, now_ms(listener), &why);
    if (host)
        half = calloc(1, sizeof *half);
    if (!half) {
        if (host)
            door_leave(listener->door, host, false, now_ms(listener));
        reset(listener, tcp, from, why);
        return;
    }
    half->listener = listener;
    half->host = host;
    half->from = *from;
    half->since_ms = now_ms(listener);
    half->tcp = tcp;
    TAILQ_INSERT_TAIL(&listener->waiting, half, next);
    listener->waiting_count++;
    let_in(listener);
}

static int accept_one(struct listener *listener)
{
    struct sockaddr_storage from;
    int length = sizeof from;
    uv_tcp_t *tcp = malloc(sizeof *tcp);

    if (!tcp)
        return UV_ENOMEM;
    uv_tcp_init(listener->tcp.loop, tcp);
    int error = uv_accept((uv_stream_t *)&listener->tcp, (uv_stream_t *)tcp);
    if (error == 0)
        error = uv_tcp_getpeername(tcp, (struct sockaddr *)&from, &length);
    if (error < 0) {
        uv_close((uv_handle_t *)tcp, on_tcp_closed);
        return error == UV_ENOTCONN ? 0 : error; /* it is gone already */
    }
    address_normalise(&from);
    receive(listener, tcp, &from);
    return 0;
}

static void on_tick(uv_timer_t *tick)
{
    struct listener *listener = tick->data;
    uint64_t now_ns = uv_hrtime(), passed_ms = (now_ns - listener->ticked_ns) / 1000000;

    listener->ticked_ns = now_ns;
    door_on_loop(listener->door, passed_ms > TICK_MS ? passed_ms - TICK_MS : 0);
    let_in(listener);
    if (listener->is_paused) {
        listener->is_paused = false;
        accept_one(listener); /* libuv goes on with the others */
    }
    if (door_is_quiet(listener->door))
        uv_timer_stop(tick);
}

static void watch_loop(struct listener *listener)
{
    if (uv_is_active((uv_handle_t *)&listener->tick))
        return;
    listener->ticked_ns = uv_hrtime();
    uv_timer_start(&listener->tick, on_tick, TICK_MS, TICK_MS);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct listener *listener = server->data;

    watch_loop(listener);
    if (listener->turn_ms != now_ms(listener)) {
        listener->turn_ms = now_ms(listener);
        listener->turn_accepts = 0;
    }
    if (status == 0 && ++listener->turn_accepts > ACCEPTS_PER_TURN) {
        listener->is_paused = true; /* the links have a turn, too */
        return;
    }
    int error = status < 0 ? status : accept_one(listener);
    if (error < 0)
        complain(listener, uv_strerror(error));
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
    made->open = 2;
    TAILQ_INIT(&made->waiting);
    TAILQ_INIT(&made->shaking);
    uv_timer_init(settings->loop, &made->tick);
    made->tick.data = made;
    uv_tcp_init(settings->loop, &made->tcp);
    made->tcp.data = made;
    int error = uv_tcp_bind(&made->tcp, (const struct sockaddr *)settings->address, 0);
    if (error == 0)
        error = uv_listen((uv_stream_t *)&made->tcp, BACKLOG, on_connection);
    if (error == 0)
        error = uv_tcp_getsockname(&made->tcp, (struct sockaddr *)&made->address, &length);
    if (error < 0) {
        uv_close((uv_handle_t *)&made->tick, on_handle_closed);
        uv_close((uv_handle_t *)&made->tcp, on_handle_closed);
        return error;
    }
    *listener = made;
    return 0;
}

void listener_close(struct listener *listener, void (*on_closed)(void *ctx), void *ctx)
{
    struct half_open *half;

    listener->on_closed = on_closed;
    listener->closed_ctx = ctx;
    while ((half = TAILQ_FIRST(&listener->waiting))) {
        uv_close((uv_handle_t *)half->tcp, on_tcp_closed);
        forget(half, false);
    }
    while ((half = TAILQ_FIRST(&listener->shaking))) {
        struct tls_stream *stream = half->stream;
        forget(half, false);
        tls_stream_close_then(stream, let_go, listener);
    }
    uv_close((uv_handle_t *)&listener->tick, on_handle_closed);
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
