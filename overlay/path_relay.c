/* The way through a relay: outgoing TLS, RelayBind, then RFC 4571 frames.
 *
 * That the relay has bound us says nothing about the far end: the way is proved by checks that go
 * through, like any other.
 */
#include "overlay/path_worker.h"
#include "overlay/relay_frame.h"
#include "overlay/relay_pipe.h"

#include "conf/log.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTIONS 1
#define DIAL_TIMEOUT_MS 10000
#define BIND_TIMEOUT_MS 5000
#define BACKOFF_MIN_MS 500
#define BACKOFF_MAX_MS 16000

enum leg_state { LEG_DOWN, LEG_DIALLING, LEG_BINDING, LEG_BOUND };

/* One connection to the relay. */
struct leg {
    struct relay_way *relay;
    enum leg_state state;
    struct relay_pipe pipe; /* its stream: unless DOWN */
    unsigned failures;
    uint64_t deadline_ms; /* DOWN: to dial again; BINDING: to give up */
    struct relay_first first;
};

struct relay_way {
    struct path_way way; /* first */
    char address[CANDIDATE_HOST_MAX];
    uint8_t tunnel[CANDIDATE_TUNNEL_BYTES];
    struct leg legs[CONNECTIONS];
};

/* ---- what goes out ----------------------------------------------------------------------------
 */

static struct leg *bound_leg(struct relay_way *relay)
{
    for (int i = 0; i < CONNECTIONS; i++)
        if (relay->legs[i].state == LEG_BOUND)
            return &relay->legs[i];
    return NULL;
}

static int relay_send(struct path_way *way, const uint8_t *packet, size_t bytes)
{
    struct leg *leg = bound_leg((struct relay_way *)way);

    if (!leg)
        return -ENOTCONN;
    return relay_pipe_send(&leg->pipe, packet, bytes, uv_now(way->path->worker->loop));
}

/* ---- connections ------------------------------------------------------------------------------
 */

static void on_stream_gone(void *ctx)
{
    path_worker_leave(ctx);
}

static void drop_stream(struct leg *leg)
{
    struct path_worker *worker = leg->relay->way.path->worker;

    if (leg->pipe.stream) {
        worker->lingering++;
        tls_stream_close_then(leg->pipe.stream, on_stream_gone, worker);
    }
    leg->state = LEG_DOWN;
    leg->first.have = 0;
    relay_pipe_fini(&leg->pipe);
}

static void fail(struct leg *leg, const char *why)
{
    struct relay_way *relay = leg->relay;
    struct path *path = relay->way.path;
    uint64_t wait_ms = (uint64_t)BACKOFF_MIN_MS << (leg->failures < 5 ? leg->failures : 5);

    log_info(LOG_OVERLAY, NULL, "path %s: relay %s: %s", path->username, relay->address, why);
    drop_stream(leg);
    leg->failures++;
    wait_ms = wait_ms < BACKOFF_MAX_MS ? wait_ms : BACKOFF_MAX_MS;
    leg->deadline_ms =
        uv_now(path->worker->loop) + wait_ms / 2 + randombytes_uniform((uint32_t)wait_ms / 2);
    relay->way.is_up = bound_leg(relay) != NULL;
    if (!relay->way.is_up)
        relay->way.is_proved = false;
    path_live_choose(path);
    path_live_wake(path);
}

static void on_up(void *ctx, struct tls_stream *stream, const struct certificate *peer,
                  const char *alpn)
{
    struct leg *leg = ctx;
    uint8_t frame[4 + RELAY_FRAME_MAX];

    (void)alpn;
    if (!(peer->roles & CONF_ROLE_RELAY)) {
        fail(leg, "its certificate does not grant the role of a relay");
        return;
    }
    leg->state = LEG_BINDING;
    relay_pipe_start(&leg->pipe, stream);
    leg->deadline_ms = uv_now(leg->relay->way.path->worker->loop) + BIND_TIMEOUT_MS;
    tls_stream_send(stream, frame, relay_bind_encode(leg->relay->tunnel, frame));
    path_live_wake(leg->relay->way.path);
}

/* RelayBound; 0 when there is more to come, 1 when bound, -1 when the leg has failed. */
static int take_bound(struct leg *leg, const uint8_t **data, size_t *bytes)
{
    char refused[RELAY_REASON_MAX];
    const uint8_t *frame;
    size_t frame_bytes;
    int got = relay_first_take(&leg->first, data, bytes, &frame, &frame_bytes);

    if (got == 0)
        return 0;
    if (got < 0 || relay_bound_decode(frame, frame_bytes, refused) < 0) {
        fail(leg, "it does not speak our protocol");
        return -1;
    }
    if (refused[0]) {
        fail(leg, refused);
        return -1;
    }
    leg->state = LEG_BOUND;
    leg->failures = 0;
    leg->relay->way.is_up = true;
    path_check_hurry(&leg->relay->way, uv_now(leg->relay->way.path->worker->loop));
    return 1;
}

static void on_data(void *ctx, struct tls_stream *stream, const uint8_t *data, size_t bytes)
{
    struct leg *leg = ctx;
    struct path_way *way = &leg->relay->way;
    uint8_t *packet;
    size_t packet_bytes;
    int got;

    (void)stream;
    if (leg->state == LEG_BINDING && take_bound(leg, &data, &bytes) <= 0)
        return;
    while ((got = stream_frames_next(&leg->pipe.frames, &data, &bytes, &packet, &packet_bytes)) > 0)
        path_worker_receive(way->path->worker, way, NULL, packet, packet_bytes);
    if (got < 0)
        fail(leg, "it sent a frame that is too long");
}

static void on_down(void *ctx, struct tls_stream *stream, const char *why)
{
    (void)stream;
    fail(ctx, why);
}

static void on_drain(void *ctx, struct tls_stream *stream)
{
    struct leg *leg = ctx;

    (void)stream;
    if (leg->state == LEG_BOUND)
        relay_pipe_drain(&leg->pipe, uv_now(leg->relay->way.path->worker->loop));
}

static const struct tls_stream_events stream_events = {
    .on_up = on_up, .on_data = on_data, .on_down = on_down, .on_drain = on_drain};

static void dial(struct leg *leg)
{
    struct path *path = leg->relay->way.path;
    const struct paths_settings *settings = paths_get_settings(path->paths);
    struct tls_dial dial = {.identity = settings->identity,
                            .address = leg->relay->address,
                            .proxy = settings->conf->proxy,
                            .alpn = TLS_ALPN_RELAY,
                            .timeout_ms = DIAL_TIMEOUT_MS};

    leg->state = LEG_DIALLING;
    int err = tls_stream_dial(path->worker->loop, &dial, &stream_events, leg, &leg->pipe.stream);
    if (err < 0) {
        leg->pipe.stream = NULL;
        fail(leg, uv_strerror(err));
    }
}

/* ---- the way ----------------------------------------------------------------------------------
 */

static uint64_t tick_leg(struct leg *leg, uint64_t now_ms)
{
    bool is_wanted = path_live_is_wanted(leg->relay->way.path, now_ms);

    if (leg->state == LEG_DOWN && is_wanted && now_ms >= leg->deadline_ms)
        dial(leg);
    else if (leg->state == LEG_BINDING && now_ms >= leg->deadline_ms)
        fail(leg, "no answer to RelayBind");

    if (leg->state == LEG_BINDING || (leg->state == LEG_DOWN && is_wanted))
        return leg->deadline_ms;
    return PATH_NEVER;
}

static uint64_t relay_tick(struct path_way *way, uint64_t now_ms)
{
    struct relay_way *relay = (struct relay_way *)way;
    uint64_t next_ms = PATH_NEVER;

    for (int i = 0; i < CONNECTIONS; i++) {
        uint64_t wish_ms = tick_leg(&relay->legs[i], now_ms);
        next_ms = wish_ms < next_ms ? wish_ms : next_ms;
    }
    return next_ms;
}

static void relay_describe(const struct path_way *way, char *text, size_t bytes)
{
    snprintf(text, bytes, "relay %s", ((const struct relay_way *)way)->address);
}

static void relay_close(struct path_way *way)
{
    struct relay_way *relay = (struct relay_way *)way;

    for (int i = 0; i < CONNECTIONS; i++)
        drop_stream(&relay->legs[i]);
    path_way_fini(way);
    free(relay);
}

static const struct path_way_ops relay_ops = {
    .rank = PATH_RANK_RELAY,
    .send = relay_send,
    .tick = relay_tick,
    .describe = relay_describe,
    .close = relay_close,
};

/* The way through this tunnel, else one that is not up and may go when there are too many. */
static struct relay_way *find(struct path *path, const struct candidate *candidate, bool *is_full,
                              struct relay_way **idle)
{
    struct path_way *way;
    int count = 0;

    *idle = NULL;
    TAILQ_FOREACH(way, &path->live.ways, next)
    {
        struct relay_way *relay = (struct relay_way *)way;

        if (way->ops != &relay_ops)
            continue;
        if (memcmp(relay->tunnel, candidate->tunnel, sizeof relay->tunnel) == 0 &&
            strcmp(relay->address, candidate->host) == 0)
            return relay;
        count++;
        if (!way->is_up)
            *idle = relay;
    }
    *is_full = count >= PATH_RELAY_MAX;
    return NULL;
}

void path_relay_add(struct path *path, const struct candidate *candidate)
{
    struct relay_way *idle, *relay;
    bool is_full;

    relay = find(path, candidate, &is_full, &idle);
    if (relay) {
        for (int i = 0; i < CONNECTIONS; i++)
            if (relay->legs[i].state == LEG_DOWN)
                relay->legs[i].deadline_ms = 0;
        path_live_wake(path);
        return;
    }
    if (is_full && !idle)
        return;
    if (is_full)
        path_live_remove_way(path, &idle->way);
    if (!(relay = calloc(1, sizeof *relay)))
        return;
    path_way_init(&relay->way, &relay_ops, path);
    snprintf(relay->address, sizeof relay->address, "%s", candidate->host);
    memcpy(relay->tunnel, candidate->tunnel, sizeof relay->tunnel);
    for (int i = 0; i < CONNECTIONS; i++)
        relay->legs[i].relay = relay;
    path_live_add_way(path, &relay->way);
    path_live_wake(path);
}
