/* The core's hands: clock, dice, links and paths; and what comes in for it. */
#include "overlay/overlay_parts.h"

#include "conf/log.h"

#include <sodium.h>
#include <string.h>
#include <time.h>

/* A timer started inside one of sofia's callbacks is up to 16 ms late: wishes for sooner wake the
 * loop. */
#define SOON_MS 20

uint64_t overlay_now_ms(void)
{
    return uv_hrtime() / 1000000;
}

/* ---- the core's hands ----------------------------------------------------------------- */

static uint64_t io_now_ms(void *ctx)
{
    (void)ctx;
    return overlay_now_ms();
}

static int64_t io_time_s(void *ctx)
{
    (void)ctx;
    return time(NULL);
}

static void io_random(void *ctx, void *bytes, size_t count)
{
    (void)ctx;
    randombytes_buf(bytes, count);
}

static void io_dial(void *ctx, core_link link, const char *address)
{
    links_dial(((struct overlay *)ctx)->links, link, address);
}

static int io_send(void *ctx, core_link link, const uint8_t *frame, size_t bytes)
{
    return links_send(((struct overlay *)ctx)->links, link, frame, bytes);
}

static void io_close(void *ctx, core_link link, const char *why)
{
    links_end(((struct overlay *)ctx)->links, link, why);
}

#define PACE_MS 100

static void on_pace(uv_timer_t *timer)
{
    struct overlay *overlay = timer->data;
    uint64_t now_ms = overlay_now_ms(), due_ms = overlay->paced_ms + PACE_MS;

    overlay->paced_ms = now_ms;
    if (overlay->core)
        core_on_late(overlay->core, now_ms > due_ms ? (unsigned)(now_ms - due_ms) : 0);
}

void overlay_pace(struct overlay *overlay)
{
    overlay->paced_ms = overlay_now_ms();
    uv_timer_start(&overlay->pace, on_pace, PACE_MS, PACE_MS);
}

static void on_wake(uv_timer_t *timer)
{
    core_tick(((struct overlay *)timer->data)->core);
}

static void io_wake(void *ctx, uint64_t at_ms)
{
    struct overlay *overlay = ctx;
    uint64_t now = overlay_now_ms(), delay_ms = at_ms > now ? at_ms - now : 0;

    uv_update_time(overlay->loop);
    uv_timer_start(&overlay->wake, on_wake, delay_ms, 0);
    if (delay_ms <= SOON_MS)
        uv_async_send(&overlay->deliver);
}

void overlay_on_deliver(uv_async_t *async)
{
    struct overlay *overlay = async->data;

    if (overlay->core)
        core_deliver(overlay->core);
}

static void io_defer(void *ctx)
{
    uv_async_send(&((struct overlay *)ctx)->deliver);
}

static int io_path_offer(void *ctx, const struct certificate *peer, struct core_path *ours,
                         void **path, uint32_t *ssrc_in)
{
    return paths_offer(((struct overlay *)ctx)->paths, peer, ours, path, ssrc_in);
}

static int io_path_accept(void *ctx, const struct certificate *peer, const struct core_path *theirs,
                          struct core_path *ours, void **path, uint32_t *ssrc_in)
{
    return paths_accept(((struct overlay *)ctx)->paths, peer, theirs, ours, path, ssrc_in);
}

static int io_path_learn(void *ctx, void *path, const struct core_path *theirs)
{
    return paths_learn(((struct overlay *)ctx)->paths, path, theirs);
}

static bool io_path_is_warm(void *ctx, void *path)
{
    (void)ctx;
    return paths_is_warm(path);
}

static int io_path_show(void *ctx, void *path, struct core_path *ours)
{
    return paths_show(((struct overlay *)ctx)->paths, path, ours);
}

static void io_path_release(void *ctx, void *path, uint32_t ssrc_in)
{
    paths_release(((struct overlay *)ctx)->paths, path, ssrc_in);
}

/* ---- what comes in -------------------------------------------------------------------- */

static void on_link_up(void *ctx, core_link link, bool is_accepted, const struct certificate *peer,
                       const struct sockaddr_storage *address)
{
    core_on_link_up(((struct overlay *)ctx)->core, link, is_accepted, peer, address);
}

static void on_link_frame(void *ctx, core_link link, const uint8_t *frame, size_t bytes)
{
    core_on_frame(((struct overlay *)ctx)->core, link, frame, bytes);
}

static void on_link_down(void *ctx, core_link link, const char *why)
{
    core_on_link_down(((struct overlay *)ctx)->core, link, why);
}

const struct link_events overlay_link_events = {
    .on_up = on_link_up,
    .on_frame = on_link_frame,
    .on_down = on_link_down,
};

void overlay_on_stream(void *ctx, struct tls_stream *stream, const struct certificate *peer,
                       const char *alpn)
{
    struct overlay *overlay = ctx;

    if (identity_is_revoked(overlay->identity, peer->serial))
        tls_stream_close(stream); /* since the handshake */
    else if (strcmp(alpn, TLS_ALPN_LINK) == 0)
        links_take(overlay->links, stream, peer);
    else if (strcmp(alpn, TLS_ALPN_PATH) == 0)
        paths_take(overlay->paths, stream, peer);
    else if (overlay->relay)
        relay_take(overlay->relay, stream, peer);
    else
        tls_stream_close(stream); /* not a relay */
}

void overlay_on_load(void *ctx, unsigned load)
{
    struct overlay *overlay = ctx;

    if (overlay->core)
        core_relay_load(overlay->core, load);
}

int overlay_take_relays(void *ctx, struct core_relay *out, int max)
{
    return core_take_relays(((struct overlay *)ctx)->core, out, max);
}

void overlay_on_network_change(void *ctx)
{
    struct overlay *overlay = ctx;

    if (overlay->is_closing)
        return;
    log_info(LOG_OVERLAY, NULL,
             "this machine's addresses or default route have changed: supernodes and paths are "
             "tried anew");
    core_on_network_change(overlay->core);
    paths_on_network_change(overlay->paths);
    overlay_reach_again(overlay);
}

void overlay_on_way(void *ctx, void *path, const char *text)
{
    struct overlay *overlay = ctx;

    if (overlay->core)
        core_on_path(overlay->core, path, text);
}

void overlay_on_path_note(void *ctx, void *path, const char *event, const char *text)
{
    struct overlay *overlay = ctx;

    if (overlay->core)
        core_on_path_note(overlay->core, path, event, text);
}

void overlay_on_path_lost(void *ctx)
{
    struct overlay *overlay = ctx;

    if (!overlay->core)
        return;
    core_probe(overlay->core);
    overlay_reach_doubt(overlay);
}

/* ---- events, as long as somebody wants them ------------------------------------------- */

static void on_attached(void *ctx, const char *supernode)
{
    struct overlay *overlay = ctx;

    if (overlay->is_closing)
        return;
    overlay_hosts_keep(overlay);
    overlay->events->on_attached(overlay->ctx, supernode);
}

static void on_detached(void *ctx, const char *why)
{
    struct overlay *overlay = ctx;

    if (!overlay->is_closing)
        overlay->events->on_detached(overlay->ctx, why);
}

static void on_offer(void *ctx, struct overlay_call *call, const struct overlay_offer *offer)
{
    struct overlay *overlay = ctx;
    const struct call_cause cause = call_cause(CALL_UNAVAILABLE, "closing");

    if (overlay->is_closing)
        overlay_call_end(call, &cause);
    else
        overlay->events->on_offer(overlay->ctx, call, offer);
}

static const struct overlay_events core_events = {
    .on_attached = on_attached,
    .on_detached = on_detached,
    .on_offer = on_offer,
};

void overlay_fill_io(struct overlay *overlay, struct core_io *io)
{
    *io = (struct core_io){
        .ctx = overlay,
        .now_ms = io_now_ms,
        .time_s = io_time_s,
        .random = io_random,
        .dial = io_dial,
        .send = io_send,
        .close = io_close,
        .wake = io_wake,
        .defer = io_defer,
        .revoked = overlay_on_revoked,
        .dial_back = overlay_dial_back,
        .dialed_back = overlay_on_dialed_back,
        .path_offer = io_path_offer,
        .path_accept = io_path_accept,
        .path_learn = io_path_learn,
        .path_is_warm = io_path_is_warm,
        .path_show = io_path_show,
        .path_release = io_path_release,
        .events = &core_events,
        .events_ctx = overlay,
    };
}
