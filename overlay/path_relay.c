/* The way through a relay: a bundle of outgoing TLS connections, RelayBind on each, then packets;
 * by UDP (path_channel.c) as soon as and as long as that works.
 *
 * That the relay has bound us says nothing about the far end: the way is proved by checks that go
 * through, like any other.
 */
#include "overlay/bundle_dial.h"
#include "overlay/path_worker.h"
#include "overlay/relay_frame.h"

#include "conf/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* For each per cent of load, squared: a relay that is full counts as one that is 100 ms away. */
#define PENALTY_US 10
/* Any other relay is better than one that leaves. */
#define LEAVING_US 60000000

struct relay_way {
    struct path_way way; /* first */
    char address[CANDIDATE_HOST_MAX];
    uint8_t tunnel[CANDIDATE_TUNNEL_BYTES];
    bool is_reserve;
    struct relay_bind bind;
    struct relay_bound bound; /* what the relay has told last */
    struct path_channel channel;
    struct bundle bundle;
    struct bundle_dial dial;
};

static uint64_t now_of(const struct relay_way *relay)
{
    return uv_now(relay->way.path->worker->loop);
}

/* ---- packets ----------------------------------------------------------------------------------
 */

static int relay_send(struct path_way *way, const uint8_t *packet, size_t bytes)
{
    struct relay_way *relay = (struct relay_way *)way;

    if (relay->channel.is_bound)
        return path_channel_send(&relay->channel, packet, bytes);
    return bundle_send(&relay->bundle, packet, bytes);
}

/* Those in reserve are wanted from now on. */
static void in_trouble(struct relay_way *relay)
{
    if (!relay->is_reserve)
        relay->way.path->live.is_in_trouble = true;
    path_live_wake(relay->way.path);
}

/* It still forwards for a moment: time to take another, if there is one. */
static void on_leaving(struct relay_way *relay)
{
    struct path *path = relay->way.path;

    relay->way.penalty_us = LEAVING_US;
    in_trouble(relay);
    path_live_note(path, "leg", "relay %s: about to leave", relay->address);
    path_choice_make(path, "the relay is about to leave");
}

static void on_packet(void *ctx, uint8_t *packet, size_t bytes)
{
    struct path_way *way = &((struct relay_way *)ctx)->way;

    if (bytes == 0) {
        on_leaving(ctx);
        return;
    }
    path_worker_receive(way->path->worker, way, NULL, packet, bytes);
}

/* ---- connections ------------------------------------------------------------------------------
 */

static void complain(const struct relay_way *relay, const char *why)
{
    const char *proxy = relay->dial.proxy;

    log_info(LOG_OVERLAY, NULL, "path %s: relay %s%s%s: %s", relay->way.path->username,
             relay->address, proxy ? " by proxy " : "", proxy ? proxy : "", why);
}

static void on_lost(void *ctx, const char *why)
{
    struct relay_way *relay = ctx;

    complain(relay, why);
    bundle_dial_lost(&relay->dial, now_of(relay));
    if (bundle_count(&relay->bundle) == 0) {
        in_trouble(relay);
        /* Most likely the relay has gone. By UDP one does not hear of that: it is asked. */
        relay->way.is_up = relay->channel.is_bound;
        relay->way.is_proved = false;
        if (relay->way.is_up)
            path_check_hurry(&relay->way, now_of(relay));
    }
    path_choice_make(relay->way.path, why);
    path_live_wake(relay->way.path);
}

static const struct bundle_events bundle_events = {.on_packet = on_packet, .on_lost = on_lost};

static const char *refuse(void *ctx, const struct certificate *peer)
{
    (void)ctx;
    return peer->roles & CONF_ROLE_RELAY ? NULL
                                         : "its certificate does not grant the role of a relay";
}

/* A call may outlast its ticket: either end may sign, so we do. */
static void renew_ticket(struct relay_way *relay)
{
    struct path *path = relay->way.path;
    struct relay_bind *bind = &relay->bind;
    struct ticket ticket;
    int64_t now_s = time(NULL);

    if (ticket_decode(bind->ticket, bind->ticket_bytes, &ticket) < 0 ||
        (now_s >= ticket.issued_s - TICKET_CLOCK_S && now_s < ticket.issued_s + ticket.lifetime_s))
        return;
    ticket.issued_s = now_s;
    ticket.lifetime_s = TICKET_LIFETIME_MAX_S;
    memcpy(ticket.peer, path->peer, sizeof ticket.peer);
    bind->ticket_bytes =
        ticket_sign(paths_get_settings(path->paths)->identity, &ticket, bind->ticket);
    bind->certificate_bytes = 0;
}

static size_t ask(void *ctx, uint8_t *out)
{
    renew_ticket(ctx);
    return relay_bind_encode(&((struct relay_way *)ctx)->bind, out);
}

static int answered(void *ctx, const uint8_t *frame, size_t bytes, char *refused)
{
    struct relay_way *relay = ctx;
    struct relay_bound *bound = &relay->bound;

    if (relay_bound_decode(frame, bytes, bound) < 0)
        return -EBADMSG;
    strcpy(refused, bound->refused);
    relay->way.penalty_us = bound->load * bound->load * PENALTY_US;
    return 0;
}

/* Whoever may not talk to the relay but through a proxy has no UDP either. */
static void open_channel(struct relay_way *relay)
{
    const struct bundle_stream *newest = NULL;

    if (paths_get_settings(relay->way.path->paths)->conf->proxy)
        return;
    for (int i = 0; i < BUNDLE_STREAMS; i++) {
        const struct bundle_stream *stream = &relay->bundle.streams[i];
        if (stream->stream && (!newest || stream->number > newest->number))
            newest = stream;
    }
    if (newest)
        path_channel_open(&relay->channel, &relay->way, &relay->bound,
                          tls_stream_peer_address(newest->stream));
}

static void on_bound(void *ctx)
{
    struct relay_way *relay = ctx;

    relay->way.is_up = true;
    open_channel(relay);
    path_check_hurry(&relay->way, now_of(relay));
}

/* Its text has changed, perhaps that of the path. */
static void tell(struct relay_way *relay, const char *what)
{
    struct path *path = relay->way.path;

    path_live_note(path, "leg", "relay %s: %s", relay->address, what);
    if (path->live.current == &relay->way)
        path_choice_report(path);
}

void path_relay_on_channel(struct path_way *way)
{
    struct relay_way *relay = (struct relay_way *)way;

    way->is_up = true;
    tell(relay, "by UDP from now on");
    path_check_hurry(way, now_of(relay));
}

/* The channel has ended: TLS, if it is there. */
static void on_channel_lost(struct relay_way *relay)
{
    tell(relay, "no answer by UDP: over TCP");
    if (bundle_count(&relay->bundle) > 0)
        return;
    relay->way.is_up = relay->way.is_proved = false;
    path_choice_make(relay->way.path, "no connection to the relay");
}

static void on_change(void *ctx, const char *why)
{
    struct relay_way *relay = ctx;

    if (why) {
        complain(relay, why);
        in_trouble(relay);
    }
    path_live_wake(relay->way.path);
}

static const struct bundle_dial_events dial_events = {.alpn = TLS_ALPN_RELAY,
                                                      .refuse = refuse,
                                                      .ask = ask,
                                                      .answered = answered,
                                                      .on_bound = on_bound,
                                                      .on_change = on_change};

/* ---- the way ----------------------------------------------------------------------------------
 */

static uint64_t relay_tick(struct path_way *way, uint64_t now_ms)
{
    struct relay_way *relay = (struct relay_way *)way;
    bool is_lost;
    uint64_t channel_ms = path_channel_tick(&relay->channel, now_ms, &is_lost);
    bool is_wanted = path_live_is_wanted(way->path, now_ms) &&
                     (!relay->is_reserve || way->path->live.is_in_trouble);
    uint64_t dial_ms = bundle_dial_tick(&relay->dial, is_wanted, now_ms);

    if (is_lost)
        on_channel_lost(relay);
    return channel_ms < dial_ms ? channel_ms : dial_ms;
}

/* By UDP nothing came: over TCP from now on. That may have died as well, and long ago: a fresh
 * connection in any case. */
static void relay_doubt(struct path_way *way, uint64_t now_ms)
{
    struct relay_way *relay = (struct relay_way *)way;

    if (path_channel_doubt(&relay->channel, now_ms)) {
        tell(relay, "nothing comes by UDP: over TCP");
        if (bundle_count(&relay->bundle) == 0)
            bundle_dial_hurry(&relay->dial);
    }
    bundle_dial_doubt(&relay->dial, now_ms);
    in_trouble(relay);
}

static void relay_describe(const struct path_way *way, char *text, size_t bytes)
{
    const struct relay_way *relay = (const struct relay_way *)way;

    snprintf(text, bytes, "relay %s%s", relay->address, relay->channel.is_bound ? " by udp" : "");
}

static void relay_close(struct path_way *way)
{
    struct relay_way *relay = (struct relay_way *)way;

    path_channel_close(&relay->channel);
    bundle_dial_fini(&relay->dial);
    bundle_fini(&relay->bundle);
    path_way_fini(way);
    free(relay);
}

static const struct path_way_ops relay_ops = {
    .rank = PATH_RANK_RELAY,
    .send = relay_send,
    .tick = relay_tick,
    .doubt = relay_doubt,
    .describe = relay_describe,
    .close = relay_close,
};

static bool is_used(const struct path_way *way)
{
    const struct path *path = way->path;

    return way == path->live.current || way == path->live.nominated || way == path->live.second;
}

static struct relay_way *find(const struct path *path, const struct candidate *candidate)
{
    struct path_way *way;

    TAILQ_FOREACH(way, &path->live.ways, next)
    {
        struct relay_way *relay = (struct relay_way *)way;

        if (way->ops == &relay_ops &&
            memcmp(relay->tunnel, candidate->tunnel, sizeof relay->tunnel) == 0 &&
            strcmp(relay->address, candidate->host) == 0)
            return relay;
    }
    return NULL;
}

/* Room for one more: there is, or the oldest that carries nothing goes, rather one that is down. */
static bool make_room(struct path *path)
{
    struct path_way *way, *worst = NULL;
    int count = 0;

    TAILQ_FOREACH(way, &path->live.ways, next)
    {
        if (way->ops != &relay_ops)
            continue;
        count++;
        if (!is_used(way) && (!worst || (worst->is_up && !way->is_up)))
            worst = way;
    }
    if (count < PATH_RELAY_MAX)
        return true;
    if (worst)
        path_live_remove_way(path, worst);
    return worst != NULL;
}

/* Who signed it is told to the relay, unless it was us. */
static void take_ticket(struct relay_way *relay, const struct candidate *candidate,
                        const uint8_t *signer, size_t signer_bytes)
{
    struct relay_bind *bind = &relay->bind;

    memcpy(bind->ticket, candidate->ticket, candidate->ticket_bytes);
    bind->ticket_bytes = candidate->ticket_bytes;
    bind->certificate_bytes = candidate->is_own ? 0 : signer_bytes;
    memcpy(bind->certificate, signer, bind->certificate_bytes);
}

static struct relay_way *make(struct path *path, const struct candidate *candidate)
{
    const struct paths_settings *settings = paths_get_settings(path->paths);
    struct relay_way *relay = calloc(1, sizeof *relay);

    if (!relay)
        return NULL;
    path_way_init(&relay->way, &relay_ops, path);
    snprintf(relay->address, sizeof relay->address, "%s", candidate->host);
    memcpy(relay->tunnel, candidate->tunnel, sizeof relay->tunnel);
    relay->is_reserve = candidate->is_reserve;
    struct bundle_host host = path_worker_host(path->worker);
    bundle_init(&relay->bundle, &host, &bundle_events, relay);
    struct bundle_dial_settings dial = {.bundle = &relay->bundle,
                                        .identity = settings->identity,
                                        .address = relay->address,
                                        .proxy = settings->conf->proxy,
                                        .may_dial = path_may_dial(path),
                                        .events = &dial_events,
                                        .ctx = relay};
    bundle_dial_init(&relay->dial, &dial);
    return relay;
}

void path_relay_add(struct path *path, const struct candidate *candidate, const uint8_t *signer,
                    size_t signer_bytes)
{
    struct relay_way *relay = find(path, candidate);

    if (relay) {
        take_ticket(relay, candidate, signer, signer_bytes);
        relay->is_reserve &= candidate->is_reserve;
        bundle_dial_hurry(&relay->dial);
        path_live_wake(path);
        return;
    }
    if (!make_room(path) || !(relay = make(path, candidate)))
        return;
    take_ticket(relay, candidate, signer, signer_bytes);
    path_live_add_way(path, &relay->way);
    path_live_wake(path);
}
