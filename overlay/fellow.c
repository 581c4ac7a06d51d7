/* Supernode to supernode: one link per pair, whoever dialled it. */
#include "overlay/core_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What may wait for a link that is being made. */
#define WAITING_BYTES_MAX (256u << 10)

/* Both may dial each other at the same time: the link that the lower node id dialled is kept. Of
 * two that the same side dialled the newer one is, since that side knows that the older one is
 * dead. */
static bool is_better(const struct core *core, const struct peer *peer, const struct peer *held)
{
    if (peer->is_dialled == held->is_dialled)
        return true;
    bool we_are_lower = memcmp(core->self->node, peer->node, OVERLAY_NODE_ID_BYTES) < 0;
    return peer->is_dialled == we_are_lower;
}

struct peer *fellow_find(const struct core *core, const uint8_t node[OVERLAY_NODE_ID_BYTES])
{
    struct peer *fellow;

    HASH_FIND(hh_node, core->fellows, node, OVERLAY_NODE_ID_BYTES, fellow);
    return fellow;
}

/* Makes room for `peer`; false: the link that is there stays. */
static bool take_place(struct core *core, struct peer *peer)
{
    struct peer *held = fellow_find(core, peer->node);

    if (!held)
        return true;
    if (!is_better(core, peer, held)) {
        peer_probe(held); /* should it be dead, this ends it and the next dial succeeds */
        return false;
    }
    held->is_leaving = true; /* nothing is lost */
    peer_close(held, "replaced by another link of the same two");
    return true;
}

/* What waited for the link goes by `to`: itself, or one that was there before. */
static void send_waiting(struct core *core, struct peer *peer, struct peer *to)
{
    struct waiting_frame *frame;

    while ((frame = STAILQ_FIRST(&peer->waiting))) {
        STAILQ_REMOVE_HEAD(&peer->waiting, next);
        core->io.send(core->io.ctx, to->link, frame->data, frame->bytes);
        free(frame);
    }
    peer->waiting_bytes = 0;
    forward_on_fellow_ready(core, peer->link, to);
}

static void add(struct core *core, struct peer *peer)
{
    pulse_linked(core, peer);
    peer_ready(peer, &role_fellow);
    HASH_ADD_KEYPTR(hh_node, core->fellows, peer->node, OVERLAY_NODE_ID_BYTES, peer);
    log_info(LOG_OVERLAY, NULL, "linked to fellow supernode %s (%s)", peer->address, peer->site);
    send_waiting(core, peer, peer);
    if (peer->version >= 2)
        gossip_compare(core, peer);
    registry_on_fellow_ready(core, peer);
    relays_on_ready(core, peer);
    attach_wake(core);
}

static void learn_address(struct core *core, struct peer *peer, const char *address)
{
    struct home home = {.has_node = true};

    if (!home_address_is_valid(address))
        return;
    memcpy(home.node, peer->node, OVERLAY_NODE_ID_BYTES);
    strcpy(home.address, address);
    strcpy(peer->address, address);
    host_learn(core, &home, false);
}

void fellow_accept(struct core *core, struct peer *peer, const Sallyport__Hello *hello)
{
    if (!(peer->roles_granted & CONF_ROLE_SUPERNODE)) {
        serve_refuse(peer, "its certificate does not grant the role supernode");
        return;
    }
    gossip_hear(core, peer, hello->member);
    if (memcmp(peer->node, core->self->node, OVERLAY_NODE_ID_BYTES) == 0 ||
        !take_place(core, peer)) {
        peer_close(peer, "linked already");
        return;
    }
    peer->version = core_common_version(core, hello->version);
    learn_address(core, peer, hello->address);
    serve_welcome(core, peer);
    add(core, peer);
}

void fellow_welcomed(struct core *core, struct peer *peer, const Sallyport__Welcome *welcome)
{
    gossip_hear(core, peer, welcome->member);
    if (take_place(core, peer)) {
        add(core, peer);
        return;
    }
    send_waiting(core, peer, fellow_find(core, peer->node));
    pulse_linked(core, peer);
    peer_close(peer, "linked already");
}

/* ---- to one of them ---------------------------------------------------------------------------
 */

static int wait_for(struct peer *peer, Sallyport__Envelope *envelope)
{
    size_t bytes = sallyport__envelope__get_packed_size(envelope);
    struct waiting_frame *frame;

    if (bytes > FRAME_BYTES_MAX)
        return -EMSGSIZE;
    if (peer->waiting_bytes + bytes > WAITING_BYTES_MAX)
        return -ENOBUFS;
    frame = core_alloc(sizeof *frame + bytes);
    frame->to = peer->link;
    frame->bytes = sallyport__envelope__pack(envelope, frame->data);
    STAILQ_INSERT_TAIL(&peer->waiting, frame, next);
    peer->waiting_bytes += bytes;
    return 0;
}

int fellow_send(struct core *core, struct member *member, Sallyport__Envelope *envelope)
{
    struct peer *peer = fellow_find(core, member->node);

    if (peer) {
        peer->used_ms = core_now(core);
        return peer_send(peer, envelope);
    }
    peer = pulse_dial(core, member);
    return peer ? wait_for(peer, envelope) : -ENOTCONN;
}

/* Nothing is wrong with it: no complaint, no back-off, at either end. */
void fellow_close_idle(struct peer *fellow)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Goodbye goodbye = SALLYPORT__GOODBYE__INIT;

    goodbye.reason = (char *)"idle";
    goodbye.idle = true;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_GOODBYE;
    envelope.goodbye = &goodbye;
    peer_send(fellow, &envelope);
    fellow->is_leaving = true;
    peer_close(fellow, "idle");
}

static void on_goodbye(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope)
{
    host_learn_all(core, envelope->goodbye->supernodes, envelope->goodbye->n_supernodes);
    peer->is_leaving = envelope->goodbye->idle;
    peer_close(peer, envelope->goodbye->idle ? "idle" : "it says goodbye");
}

static void on_fellow_gone(struct core *core, struct peer *peer, const char *why)
{
    HASH_DELETE(hh_node, core->fellows, peer);
    if (!fellow_find(core, peer->node) && !peer->is_leaving) {
        struct host *host = host_find_node(core, peer->node);
        attach_lost(core, peer, why);
        if (host && host != peer->host)
            host_failed(core, host); /* spreads the dials of both sides */
    }
    pulse_unlinked(core, peer);
    forward_on_fellow_gone(core, peer->link);
    query_on_node_gone(core, peer->node);
    attach_wake(core);
}

const struct role role_fellow = {
    .name = "fellow supernode",
    .handle =
        {
            [SALLYPORT__ENVELOPE__BODY_PING] = peer_on_ping,
            [SALLYPORT__ENVELOPE__BODY_PONG] = peer_on_pong,
            [SALLYPORT__ENVELOPE__BODY_GOODBYE] = on_goodbye,
            [SALLYPORT__ENVELOPE__BODY_MEMBERS] = gossip_on_members,
            [SALLYPORT__ENVELOPE__BODY_PUBLISH] = registry_on_publish,
            [SALLYPORT__ENVELOPE__BODY_PUBLISHED] = registry_on_published,
            [SALLYPORT__ENVELOPE__BODY_LOOKUP] = query_on_lookup,
            [SALLYPORT__ENVELOPE__BODY_FOUND] = query_on_found,
            [SALLYPORT__ENVELOPE__BODY_ROUTE] = forward_on_route_of_fellow,
            [SALLYPORT__ENVELOPE__BODY_ROUTE_FAILED] = forward_on_route_failed,
            [SALLYPORT__ENVELOPE__BODY_RELAYS] = relays_on_relays,
            [SALLYPORT__ENVELOPE__BODY_DIAL_BACK] = dialback_on_dial_back,
            [SALLYPORT__ENVELOPE__BODY_DIALED_BACK] = dialback_on_dialed_back,
            [SALLYPORT__ENVELOPE__BODY_REVOCATION] = revocation_on_revocation,
        },
    .on_gone = on_fellow_gone,
};
