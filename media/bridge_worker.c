#include "media/bridge.h"

#include <stdlib.h>

/* ---- time ------------------------------------------------------------------------------------ */

static void on_wake(uv_timer_t *timer)
{
    struct media_bridge *bridge = timer->data;
    uint64_t now = now_us();
    bridge->wake_us = 0;
    for (int i = 0; i < 2; i++) {
        uint64_t next_us = leg_wake(&bridge->legs[i], now);
        if (next_us)
            bridge_wake(bridge, next_us);
    }
}

void bridge_wake(struct media_bridge *bridge, uint64_t at_us)
{
    if (bridge->wake_us && bridge->wake_us <= at_us)
        return;
    uint64_t now = now_us();
    uv_timer_t *timer = &bridge->wake;
    bridge->wake_us = at_us;
    uv_update_time(timer->loop);
    uv_timer_start(timer, on_wake, at_us > now ? (at_us - now + 999) / 1000 : 0, 0);
}

void bridges_tick(struct worker *worker, uint64_t now_us)
{
    for (struct media_bridge *bridge = worker->bridges; bridge; bridge = bridge->hh.next)
        for (int i = 0; i < 2; i++)
            leg_tick(&bridge->legs[i], now_us);
}

/* ---- orders of the control thread ------------------------------------------------------------ */

static void open_bridge(struct worker *worker, struct media_bridge *bridge)
{
    for (int i = 0; i < 2; i++)
        leg_init(&bridge->legs[i], bridge, worker, (enum media_side)i);
    uv_timer_init(&worker->loop, &bridge->wake);
    bridge->wake.data = bridge;
    bridge->self = bridge;
    HASH_ADD_PTR(worker->bridges, self, bridge);
}

/* Whether the streams between the legs begin anew. A new address alone changes nothing. */
static bool changes_sound(const struct media_leg *old, const struct media_leg *new)
{
    if (old->kind != new->kind || old->direction != new->direction || old->codec != new->codec ||
        old->payload_type != new->payload_type || old->ptime_ms != new->ptime_ms ||
        old->event_payload_type != new->event_payload_type ||
        old->receive_count != new->receive_count || old->rtp != new->rtp ||
        new->kind == MEDIA_LEG_FILE)
        return true;
    for (int i = 0; i < new->receive_count; i++)
        if (old->receive[i].payload_type != new->receive[i].payload_type ||
            old->receive[i].codec != new->receive[i].codec)
            return true;
    return false;
}

static void set(struct media_bridge *bridge, const struct inbox_item *item)
{
    struct leg *leg = &bridge->legs[item->side];
    struct bridge_change *change = item->argument;
    bool changes = changes_sound(&leg->set, &change->leg);
    leg_set(leg, change, now_us());
    if (changes)
        leg_join(bridge->legs);
}

static void answer(struct media_bridge *bridge)
{
    for (int i = 0; i < 2; i++)
        leg_stats(&bridge->legs[i], &bridge->answer[i]);
    const struct inbox_item item = {.tag = INBOX_STATS, .object = bridge};
    worker_tell(bridge->worker, &item);
}

static void on_closed(uv_handle_t *handle)
{
    struct media_bridge *bridge = handle->data;
    const struct inbox_item item = {.tag = INBOX_CLOSED, .object = bridge};
    worker_tell(bridge->worker, &item);
}

static void close_bridge(struct media_bridge *bridge)
{
    HASH_DEL(bridge->worker->bridges, bridge);
    for (int i = 0; i < 2; i++) {
        leg_close(&bridge->legs[i]);
        leg_stats(&bridge->legs[i], &bridge->last[i]);
    }
    uv_close((uv_handle_t *)&bridge->wake, on_closed);
}

void bridge_handle(struct worker *worker, const struct inbox_item *item)
{
    struct media_bridge *bridge = item->object;
    switch (item->tag) {
    case INBOX_OPEN:
        open_bridge(worker, bridge);
        break;
    case INBOX_SET:
        set(bridge, item);
        break;
    case INBOX_ASK:
        answer(bridge);
        break;
    case INBOX_SEND_DIGIT:
        if (leg_can_send(&bridge->legs[item->side]))
            digits_add(&bridge->legs[item->side], item->digit, item->duration_ms, now_us());
        break;
    case INBOX_CLOSE:
        close_bridge(bridge);
        break;
    default:
        break;
    }
}

/* ---- packets of the overlay ------------------------------------------------------------------ */

/* The SSRC stands in the clear, at another place in SRTCP than in SRTP. */
static struct leg *peer_leg(struct media_bridge *bridge, const uint8_t *packet, size_t bytes)
{
    struct leg *found = NULL;
    for (int i = 0; i < 2; i++) {
        struct leg *leg = &bridge->legs[i];
        if (!leg->ops || leg->set.kind != MEDIA_LEG_PEER)
            continue;
        size_t at = rtp_is_rtcp(packet, bytes) ? 4 : 8;
        if (!found || (bytes >= at + 4 && rtp_get32(packet + at) == leg->set.ssrc_in))
            found = leg;
    }
    return found;
}

void media_bridge_receive(void *ctx, uint8_t *packet, size_t bytes)
{
    struct worker *worker = worker_current();
    struct media_bridge *bridge = NULL;
    if (worker)
        HASH_FIND_PTR(worker->bridges, &ctx, bridge);
    if (!bridge)
        return; /* closed, and the path does not know yet */
    struct leg *leg = peer_leg(bridge, packet, bytes);
    if (leg)
        leg_peer_receive(leg, packet, bytes, now_us());
}
