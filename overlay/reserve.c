/* Relay tunnels: asked for at our home (node side), kept for the relay (supernode side). */
#include "overlay/core_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TUNNEL_BYTES 16
#define UNBOUND_MS 120000
/* A bound tunnel that nobody gave back: longer than any call without a new bind. */
#define BOUND_MS (12 * 3600 * 1000ull)
#define RESERVATIONS_MAX 65536
/* New ones of one node: those that nobody binds are soon gone, so it cannot fill the table. */
#define PER_S 5
#define BURST 200

struct reservation {
    uint8_t tunnel[TUNNEL_BYTES];
    uint8_t asker[OVERLAY_NODE_ID_BYTES], peer[OVERLAY_NODE_ID_BYTES];
    bool is_bound; /* an end came */
    struct core *core;
    struct core_timer timer;
    UT_hash_handle hh;
};

/* ---- node side --------------------------------------------------------------------------------
 */

int core_reserve(struct core *core, const uint8_t peer_node[OVERLAY_NODE_ID_BYTES],
                 const uint8_t tunnel[16], char *address, size_t address_bytes)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Reserve reserve = SALLYPORT__RESERVE__INIT;

    for (int i = 0; i < core->upstream_count; i++) {
        struct peer *peer = core->upstream[i];
        if (!peer->relays)
            continue;
        reserve.tunnel.data = (uint8_t *)tunnel;
        reserve.tunnel.len = TUNNEL_BYTES;
        reserve.peer.data = (uint8_t *)peer_node;
        reserve.peer.len = OVERLAY_NODE_ID_BYTES;
        envelope.body_case = SALLYPORT__ENVELOPE__BODY_RESERVE;
        envelope.reserve = &reserve;
        if (peer_send(peer, &envelope) < 0)
            continue;
        snprintf(address, address_bytes, "%s", peer->address);
        return 0;
    }
    return -ENOTCONN;
}

void reserve_on_reserved(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope)
{
    (void)core;
    if (envelope->reserved->refused[0])
        log_warn(LOG_OVERLAY, NULL, "relay %s refused a tunnel: %s", peer->address,
                 envelope->reserved->refused);
}

/* ---- supernode side ---------------------------------------------------------------------------
 */

static void forget(void *owner)
{
    struct reservation *reservation = owner;
    struct core *core = reservation->core;

    core_timer_stop(core, &reservation->timer);
    HASH_DELETE(hh, core->reservations, reservation);
    free(reservation);
}

static void set_timer(struct reservation *reservation)
{
    core_timer_set(reservation->core, &reservation->timer,
                   core_now(reservation->core) + (reservation->is_bound ? BOUND_MS : UNBOUND_MS));
}

static bool is_of(const struct reservation *reservation, const uint8_t *asker, const uint8_t *peer)
{
    return memcmp(reservation->asker, asker, OVERLAY_NODE_ID_BYTES) == 0 &&
           memcmp(reservation->peer, peer, OVERLAY_NODE_ID_BYTES) == 0;
}

static const char *reserve(struct core *core, struct peer *peer, const Sallyport__Reserve *wanted)
{
    struct reservation *reservation;

    if (wanted->tunnel.len != TUNNEL_BYTES || wanted->peer.len != OVERLAY_NODE_ID_BYTES)
        return "malformed";
    if (!(core->roles & CONF_ROLE_RELAY))
        return "not a relay";
    HASH_FIND(hh, core->reservations, wanted->tunnel.data, TUNNEL_BYTES, reservation);
    if (reservation && !is_of(reservation, peer->node, wanted->peer.data))
        return "there is such a tunnel";
    if (reservation) { /* asked for again with each call over the same path */
        set_timer(reservation);
        return "";
    }
    if (!bucket_take(&peer->tunnels, core_now(core), PER_S, BURST) ||
        HASH_COUNT(core->reservations) >= RESERVATIONS_MAX)
        return "too many tunnels";

    reservation = core_alloc(sizeof *reservation);
    reservation->core = core;
    memcpy(reservation->tunnel, wanted->tunnel.data, TUNNEL_BYTES);
    memcpy(reservation->asker, peer->node, OVERLAY_NODE_ID_BYTES);
    memcpy(reservation->peer, wanted->peer.data, OVERLAY_NODE_ID_BYTES);
    core_timer_init(&reservation->timer, forget, reservation);
    set_timer(reservation);
    HASH_ADD(hh, core->reservations, tunnel, TUNNEL_BYTES, reservation);
    return "";
}

void reserve_on_reserve(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope)
{
    Sallyport__Envelope reply = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Reserved reserved = SALLYPORT__RESERVED__INIT;

    reserved.tunnel = envelope->reserve->tunnel;
    reserved.refused = (char *)reserve(core, peer, envelope->reserve);
    reserved.address = core->address;
    reply.body_case = SALLYPORT__ENVELOPE__BODY_RESERVED;
    reply.reserved = &reserved;
    peer_send(peer, &reply);
}

int core_reservation(struct core *core, const uint8_t tunnel[16],
                     const uint8_t asker[OVERLAY_NODE_ID_BYTES],
                     uint8_t peer[OVERLAY_NODE_ID_BYTES])
{
    struct reservation *reservation;
    const uint8_t *other = NULL;

    HASH_FIND(hh, core->reservations, tunnel, TUNNEL_BYTES, reservation);
    if (reservation && memcmp(reservation->asker, asker, OVERLAY_NODE_ID_BYTES) == 0)
        other = reservation->peer;
    else if (reservation && memcmp(reservation->peer, asker, OVERLAY_NODE_ID_BYTES) == 0)
        other = reservation->asker;
    if (!other)
        return -EACCES;
    memcpy(peer, other, OVERLAY_NODE_ID_BYTES);
    reservation->is_bound = true;
    set_timer(reservation);
    return 0;
}

void core_reservation_end(struct core *core, const uint8_t tunnel[16])
{
    struct reservation *reservation;

    HASH_FIND(hh, core->reservations, tunnel, TUNNEL_BYTES, reservation);
    if (reservation)
        forget(reservation);
}

void reserve_close(struct core *core)
{
    struct reservation *reservation, *after;

    HASH_ITER(hh, core->reservations, reservation, after)
    forget(reservation);
}
