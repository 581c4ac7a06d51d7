/* Links as the core sees them: table, sending, keepalive, and the pair that joins a supernode to
 * itself. */
#include "overlay/core_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The I/O side may take 10 s for a dial; this catches what it forgets. */
#define DIAL_MAX_MS 20000
#define PONG_MAX_MS 5000
#define PONG_TROUBLE_MS 1500 /* when there is reason to think that the link is dead */
#define IDLE_MIN_MS 25000
#define IDLE_SPREAD_MS 5000
/* Whoever was dialled hears something in each idle time, if only a Ping. */
#define SILENCE_MAX_MS (2 * (IDLE_MIN_MS + IDLE_SPREAD_MS) + PONG_MAX_MS)
/* No Pong for so long: another way is tried first. */
#define SUSPECT_AFTER_MS 250

#define QUIET_MS 100
#define NEWS_EVERY_MS 600000

#define LOCAL_NODE_SIDE 1
#define LOCAL_SUPERNODE_SIDE 2

static void on_timer(void *owner);

static void drop_waiting(struct waiting_frames *frames)
{
    struct waiting_frame *frame;

    while ((frame = STAILQ_FIRST(frames))) {
        STAILQ_REMOVE_HEAD(frames, next);
        free(frame);
    }
}

static void peer_free(struct peer *peer)
{
    drop_waiting(&peer->waiting);
    free(peer->told);
    free(peer);
}

struct peer *peer_find(const struct core *core, core_link link)
{
    struct peer *peer;

    HASH_FIND(hh, core->peers, &link, sizeof link, peer);
    return peer;
}

struct peer *peer_new(struct core *core, core_link link, const struct role *role)
{
    if (peer_find(core, link))
        return NULL;

    struct peer *peer = core_alloc(sizeof *peer);
    peer->core = core;
    peer->link = link;
    peer->role = role;
    peer->is_dialled = role == &role_dialled;
    core->dialling += peer->is_dialled;
    peer->heard_ms = core_now(core);
    core_timer_init(&peer->timer, on_timer, peer);
    core_timer_set(core, &peer->timer,
                   peer->heard_ms + (peer->is_dialled ? DIAL_MAX_MS : GREETING_MAX_MS));
    STAILQ_INIT(&peer->waiting);
    HASH_ADD(hh, core->peers, link, sizeof peer->link, peer);
    return peer;
}

void peer_forget(struct peer *peer)
{
    struct core *core = peer->core;

    HASH_DEL(core->peers, peer);
    core->dialling -= peer->role == &role_dialled;
    core_timer_stop(core, &peer->timer);
    if (peer->host)
        peer->host->peer = NULL;
    if (peer->member)
        peer->member->dialling = NULL;
    peer_free(peer);
}

void peer_drop(struct peer *peer, const char *why)
{
    /* The role sees it out of the table: what it does next must not find this link again. */
    HASH_DEL(peer->core->peers, peer);
    peer->core->dialling -= peer->role == &role_dialled;
    core_timer_stop(peer->core, &peer->timer);
    if (peer->host)
        peer->host->peer = NULL;
    if (peer->role->on_gone)
        peer->role->on_gone(peer->core, peer, why);
    relays_on_gone(peer->core, peer);
    if (peer->member)
        peer->member->dialling = NULL;
    peer_free(peer);
}

void peer_close(struct peer *peer, const char *why)
{
    if (!peer->other)
        peer->core->io.close(peer->core->io.ctx, peer->link, why);
    peer_drop(peer, why);
}

static int send_local(struct peer *peer, const uint8_t *frame, size_t bytes)
{
    struct waiting_frame *local = core_alloc(sizeof *local + bytes);

    local->to = peer->other->link;
    local->bytes = bytes;
    memcpy(local->data, frame, bytes);
    STAILQ_INSERT_TAIL(&peer->core->local, local, next);
    peer->core->io.defer(peer->core->io.ctx);
    return 0;
}

int peer_send(struct peer *peer, Sallyport__Envelope *envelope)
{
    static _Thread_local uint8_t frame[FRAME_BYTES_MAX]; /* the I/O side copies it */
    struct core *core = peer->core;

    if (!peer->is_up)
        return -ENOTCONN;
    if (sallyport__envelope__get_packed_size(envelope) > FRAME_BYTES_MAX)
        return -EMSGSIZE;
    size_t bytes = sallyport__envelope__pack(envelope, frame);
    if (peer->other)
        return send_local(peer, frame, bytes);
    peer->said_ms = core_now(core);
    return core->io.send(core->io.ctx, peer->link, frame, bytes);
}

/* ---- keepalive --------------------------------------------------------------------------------
 */

/* Either end may have nothing to say, however much the other one does. */
static uint64_t idle_since(const struct peer *peer)
{
    return peer->heard_ms < peer->said_ms ? peer->heard_ms : peer->said_ms;
}

static uint64_t next_idle(struct peer *peer)
{
    return idle_since(peer) + IDLE_MIN_MS + core_random(peer->core, IDLE_SPREAD_MS);
}

void peer_ready(struct peer *peer, const struct role *role)
{
    peer->core->dialling -= peer->role == &role_dialled;
    peer->role = role;
    peer->is_ready = true;
    peer->since_ms = core_now(peer->core);
    if (peer->other)
        return;
    revocation_on_ready(peer);
    core_timer_set(peer->core, &peer->timer,
                   peer->is_dialled ? next_idle(peer) : peer->heard_ms + SILENCE_MAX_MS);
}

void peer_ping(struct peer *peer, bool is_alone)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Ping ping = SALLYPORT__PING__INIT;

    if (peer->ping_ms || peer->other || !peer->is_up)
        return;
    peer->ping_ms = core_now(peer->core);
    ping.number = ++peer->ping_number;
    ping.alone = is_alone;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_PING;
    envelope.ping = &ping;
    peer_send(peer, &envelope);
    peer->pong_until_ms = peer->ping_ms + PONG_MAX_MS;
    core_timer_set(peer->core, &peer->timer, peer->pong_until_ms);
}

void peer_probe(struct peer *peer)
{
    peer_ping(peer, false);
}

void peer_probe_in_trouble(struct peer *peer)
{
    peer_ping(peer, false);
    if (!peer->ping_ms || peer->pong_until_ms <= core_now(peer->core) + PONG_TROUBLE_MS)
        return;
    peer->pong_until_ms = core_now(peer->core) + PONG_TROUBLE_MS;
    core_timer_set(peer->core, &peer->timer, peer->pong_until_ms);
}

void peer_probe_if_quiet(struct peer *peer)
{
    if (core_now(peer->core) > peer->heard_ms + QUIET_MS)
        peer_probe(peer);
}

bool peer_is_suspect(const struct peer *peer)
{
    return peer->ping_ms && core_now(peer->core) > peer->ping_ms + SUSPECT_AFTER_MS;
}

/* Which supernodes there are changes: a client asks its own now and then. */
static bool wants_news(struct peer *peer, uint64_t now_ms)
{
    if (peer->role != &role_upstream || now_ms < peer->news_ms + NEWS_EVERY_MS)
        return false;
    peer->news_ms = now_ms;
    return true;
}

static void on_ready_timer(struct peer *peer, uint64_t now_ms)
{
    if (peer->ping_ms) {
        if (now_ms >= peer->pong_until_ms)
            peer_close(peer, "does not answer");
        else
            core_timer_set(peer->core, &peer->timer, peer->pong_until_ms);
    } else if (peer->is_dialled) {
        if (now_ms >= idle_since(peer) + IDLE_MIN_MS)
            peer_ping(peer, wants_news(peer, now_ms));
        else
            core_timer_set(peer->core, &peer->timer, next_idle(peer));
    } else if (now_ms >= peer->heard_ms + SILENCE_MAX_MS) {
        peer_close(peer, "silent for too long");
    } else {
        core_timer_set(peer->core, &peer->timer, peer->heard_ms + SILENCE_MAX_MS);
    }
}

static void on_timer(void *owner)
{
    struct peer *peer = owner;

    if (peer->is_ready)
        on_ready_timer(peer, core_now(peer->core));
    else if (!peer->is_up)
        peer_close(peer, "no connection in time");
    else
        peer_close(peer, "no greeting in time");
}

void peer_on_ping(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope)
{
    Sallyport__Envelope reply = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Pong pong = SALLYPORT__PONG__INIT;

    pong.number = envelope->ping->number;
    reply.body_case = SALLYPORT__ENVELOPE__BODY_PONG;
    reply.pong = &pong;
    peer_send(peer, &reply);
    if (envelope->ping->alone && peer->role == &role_client)
        serve_welcome(core, peer);
}

void peer_on_pong(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope)
{
    if (!peer->ping_ms || envelope->pong->number != peer->ping_number)
        return;
    peer->round_trip_us = (uint32_t)(1000 * (core_now(core) - peer->ping_ms));
    peer->ping_ms = 0;
    core_timer_set(core, &peer->timer,
                   peer->is_dialled ? next_idle(peer) : peer->heard_ms + SILENCE_MAX_MS);
}

/* ---- a supernode as its own client ------------------------------------------------------------
 */

static struct peer *local_peer(struct core *core, core_link link, const struct role *role)
{
    struct peer *peer = peer_new(core, link, role);

    assert(peer);
    core_timer_stop(core, &peer->timer);
    memcpy(peer->node, core->self->node, OVERLAY_NODE_ID_BYTES);
    strcpy(peer->site, core->self->site);
    strcpy(peer->address, core->address);
    peer->roles_granted = core->self->roles;
    peer->is_up = true;
    return peer;
}

void local_open(struct core *core)
{
    struct peer *node_side = local_peer(core, LOCAL_NODE_SIDE, &role_upstream);
    struct peer *supernode_side = local_peer(core, LOCAL_SUPERNODE_SIDE, &role_client);

    node_side->other = supernode_side;
    supernode_side->other = node_side;
    peer_ready(supernode_side, &role_client);
    HASH_ADD_KEYPTR(hh_node, core->clients, supernode_side->node, OVERLAY_NODE_ID_BYTES,
                    supernode_side);
    peer_ready(node_side, &role_upstream);
    attach_add(core, node_side);
    relays_on_ready(core, supernode_side);
}

void local_deliver(struct core *core)
{
    struct waiting_frame *local;

    while ((local = STAILQ_FIRST(&core->local))) {
        STAILQ_REMOVE_HEAD(&core->local, next);
        struct peer *peer = peer_find(core, local->to);
        if (peer)
            core_dispatch(core, peer, local->data, local->bytes);
        free(local);
    }
}

void local_close(struct core *core)
{
    struct peer *node_side = peer_find(core, LOCAL_NODE_SIDE);
    struct peer *supernode_side = peer_find(core, LOCAL_SUPERNODE_SIDE);

    drop_waiting(&core->local);
    if (supernode_side)
        peer_close(supernode_side, "we serve no more");
    if (node_side)
        peer_close(node_side, "we serve no more");
}

void local_drop(struct core *core)
{
    drop_waiting(&core->local);
}
