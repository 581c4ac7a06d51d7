/* The way over TCP without a relay: a bundle of TLS connections to a node that can be dialled.
 *
 * Whoever was told of a TCP candidate dials it and knows by the certificate that it is the far end;
 * whoever offered it gets the connections by path_accept.c. As with any other way, a check has to
 * prove it.
 */
#include "overlay/bundle_dial.h"
#include "overlay/path_frame.h"
#include "overlay/path_worker.h"

#include "conf/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How many places a peer may name in how long: we are not to knock at doors for it. */
#define NAMED_MAX 8
#define NAMED_MS 600000

struct tcp_way {
    struct path_way way; /* first */
    bool is_dialled;     /* by us; else the far end dials */
    char address[CANDIDATE_HOST_MAX];
    struct bundle bundle;
    struct bundle_dial dial; /* when dialled */
};

static uint64_t now_of(const struct tcp_way *tcp)
{
    return uv_now(tcp->way.path->worker->loop);
}

/* ---- packets ----------------------------------------------------------------------------------
 */

static int tcp_send(struct path_way *way, const uint8_t *packet, size_t bytes)
{
    return bundle_send(&((struct tcp_way *)way)->bundle, packet, bytes);
}

static void on_packet(void *ctx, uint8_t *packet, size_t bytes)
{
    struct path_way *way = &((struct tcp_way *)ctx)->way;

    path_worker_receive(way->path->worker, way, NULL, packet, bytes);
}

/* ---- connections ------------------------------------------------------------------------------
 */

static void complain(const struct tcp_way *tcp, const char *why)
{
    const char *proxy = tcp->is_dialled ? tcp->dial.proxy : NULL;

    log_info(LOG_OVERLAY, NULL, "path %s: tcp %s%s%s: %s", tcp->way.path->username, tcp->address,
             proxy ? " by proxy " : "", proxy ? proxy : "", why);
}

static void on_lost(void *ctx, const char *why)
{
    struct tcp_way *tcp = ctx;

    complain(tcp, why);
    if (tcp->is_dialled)
        bundle_dial_lost(&tcp->dial, now_of(tcp));
    if (bundle_count(&tcp->bundle) == 0)
        tcp->way.is_up = tcp->way.is_proved = false;
    path_choice_make(tcp->way.path, why);
    path_live_wake(tcp->way.path);
}

static const struct bundle_events bundle_events = {.on_packet = on_packet, .on_lost = on_lost};

static const char *refuse(void *ctx, const struct certificate *peer)
{
    const struct tcp_way *tcp = ctx;

    return memcmp(peer->node, tcp->way.path->peer, sizeof peer->node) == 0
               ? NULL
               : "its certificate is that of another node";
}

static size_t ask(void *ctx, uint8_t *out)
{
    return path_bind_encode(((struct tcp_way *)ctx)->way.path->id, out);
}

static int answered(void *ctx, const uint8_t *frame, size_t bytes, char *refused)
{
    (void)ctx;
    return path_bound_decode(frame, bytes, refused);
}

static void on_bound(void *ctx)
{
    struct tcp_way *tcp = ctx;

    tcp->way.is_up = true;
    path_check_hurry(&tcp->way, now_of(tcp));
}

static void on_change(void *ctx, const char *why)
{
    struct tcp_way *tcp = ctx;

    if (why)
        complain(tcp, why);
    path_live_wake(tcp->way.path);
}

static const struct bundle_dial_events dial_events = {.alpn = TLS_ALPN_PATH,
                                                      .refuse = refuse,
                                                      .ask = ask,
                                                      .answered = answered,
                                                      .on_bound = on_bound,
                                                      .on_change = on_change};

/* ---- the way ----------------------------------------------------------------------------------
 */

static uint64_t tcp_tick(struct path_way *way, uint64_t now_ms)
{
    struct tcp_way *tcp = (struct tcp_way *)way;

    if (!tcp->is_dialled)
        return PATH_NEVER;
    return bundle_dial_tick(&tcp->dial, path_live_is_wanted(way->path, now_ms), now_ms);
}

static void tcp_doubt(struct path_way *way, uint64_t now_ms)
{
    struct tcp_way *tcp = (struct tcp_way *)way;

    if (tcp->is_dialled && bundle_dial_doubt(&tcp->dial, now_ms))
        path_live_wake(way->path);
}

static void tcp_describe(const struct path_way *way, char *text, size_t bytes)
{
    snprintf(text, bytes, "tcp %s", ((const struct tcp_way *)way)->address);
}

static void tcp_close(struct path_way *way)
{
    struct tcp_way *tcp = (struct tcp_way *)way;

    if (tcp->is_dialled)
        bundle_dial_fini(&tcp->dial);
    bundle_fini(&tcp->bundle);
    path_way_fini(way);
    free(tcp);
}

static const struct path_way_ops tcp_ops = {
    .rank = PATH_RANK_TCP,
    .send = tcp_send,
    .tick = tcp_tick,
    .doubt = tcp_doubt,
    .describe = tcp_describe,
    .close = tcp_close,
};

static struct tcp_way *make(struct path *path, const char *address, bool is_dialled)
{
    const struct paths_settings *settings = paths_get_settings(path->paths);
    struct bundle_host host = path_worker_host(path->worker);
    struct tcp_way *tcp = calloc(1, sizeof *tcp);

    if (!tcp)
        return NULL;
    path_way_init(&tcp->way, &tcp_ops, path);
    tcp->is_dialled = is_dialled;
    snprintf(tcp->address, sizeof tcp->address, "%s", address);
    bundle_init(&tcp->bundle, &host, &bundle_events, tcp);
    struct bundle_dial_settings dial = {.bundle = &tcp->bundle,
                                        .identity = settings->identity,
                                        .address = tcp->address,
                                        .proxy = settings->conf->proxy,
                                        .may_dial = path_may_dial(path),
                                        .events = &dial_events,
                                        .ctx = tcp};
    bundle_dial_init(&tcp->dial, &dial);
    path_live_add_way(path, &tcp->way);
    return tcp;
}

/* ---- dialled ----------------------------------------------------------------------------------
 */

/* The way to this address, else one that is not up and may go when there are too many. */
static struct tcp_way *find(struct path *path, const char *address, bool *is_full,
                            struct tcp_way **idle)
{
    struct path_way *way;
    int count = 0;

    *idle = NULL;
    TAILQ_FOREACH(way, &path->live.ways, next)
    {
        struct tcp_way *tcp = (struct tcp_way *)way;

        if (way->ops != &tcp_ops || !tcp->is_dialled)
            continue;
        if (strcmp(tcp->address, address) == 0)
            return tcp;
        count++;
        if (!way->is_up)
            *idle = tcp;
    }
    *is_full = count >= PATH_TCP_MAX;
    return NULL;
}

static bool may_be_named(struct path *path)
{
    uint64_t now_ms = uv_now(path->worker->loop);

    if (now_ms >= path->live.tcp_named_ms + NAMED_MS) {
        path->live.tcp_named_ms = now_ms;
        path->live.tcp_named = 0;
    }
    if (path->live.tcp_named < NAMED_MAX) {
        path->live.tcp_named++;
        return true;
    }
    path->worker->figures.implausible++;
    return false;
}

void path_tcp_add(struct path *path, const struct candidate *candidate)
{
    struct tcp_way *idle, *tcp;
    bool is_full;

    tcp = find(path, candidate->host, &is_full, &idle);
    if (tcp) {
        bundle_dial_hurry(&tcp->dial);
    } else {
        if ((is_full && !idle) || !may_be_named(path))
            return;
        if (is_full)
            path_live_remove_way(path, &idle->way);
        if (!make(path, candidate->host, true))
            return;
    }
    path_live_wake(path);
}

/* ---- accepted ---------------------------------------------------------------------------------
 */

static struct tcp_way *find_accepted(const struct path *path)
{
    struct path_way *way;

    TAILQ_FOREACH(way, &path->live.ways, next)
    if (way->ops == &tcp_ops && !((struct tcp_way *)way)->is_dialled)
        return (struct tcp_way *)way;
    return NULL;
}

void path_tcp_accept(struct path *path, struct tls_stream *stream)
{
    struct tcp_way *tcp = find_accepted(path);
    uint8_t frame[BIND_LENGTH_BYTES + BIND_FRAME_MAX];
    char address[ADDRESS_TEXT_MAX];

    address_format(tls_stream_peer_address(stream), address);
    if (!tcp && !(tcp = make(path, address, false))) {
        tls_stream_close(stream); /* detached: gone at once */
        return;
    }
    snprintf(tcp->address, sizeof tcp->address, "%s", address);
    if (bundle_resume(&tcp->bundle, stream, frame, path_bound_encode("", frame)) == 0)
        on_bound(tcp);
}
