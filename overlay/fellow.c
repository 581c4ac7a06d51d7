/* Supernode to supernode: one link per pair, whoever dialled it. */
#include "overlay/core_internal.h"

#include <string.h>

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

static struct peer *find(struct core *core, const uint8_t *node)
{
    struct peer *fellow;

    HASH_FIND(hh_node, core->fellows, node, OVERLAY_NODE_ID_BYTES, fellow);
    return fellow;
}

/* Makes room for `peer`; false: the link that is there stays. */
static bool take_place(struct core *core, struct peer *peer)
{
    struct peer *held = find(core, peer->node);

    if (!held)
        return true;
    if (!is_better(core, peer, held)) {
        peer_probe(held); /* should it be dead, this ends it and the next dial succeeds */
        return false;
    }
    peer_close(held, "replaced by another link of the same two");
    return true;
}

static void add(struct core *core, struct peer *peer)
{
    peer_ready(peer, &role_fellow);
    HASH_ADD_KEYPTR(hh_node, core->fellows, peer->node, OVERLAY_NODE_ID_BYTES, peer);
    log_info(LOG_OVERLAY, NULL, "linked to fellow supernode %s (%s)", peer->address, peer->site);
    registry_on_fellow_ready(core, peer);
    forward_on_fellow_ready(core, peer);
    relays_on_ready(core, peer);
    attach_wake(core);
}

void fellow_accept(struct core *core, struct peer *peer, const Sallyport__Hello *hello)
{
    if (!(peer->roles_granted & CONF_ROLE_SUPERNODE)) {
        serve_goodbye(peer, "its certificate does not grant the role supernode");
        peer_close(peer, "its certificate does not grant the role supernode");
        return;
    }
    if (memcmp(peer->node, core->self->node, OVERLAY_NODE_ID_BYTES) == 0 ||
        !take_place(core, peer)) {
        peer_close(peer, "linked already");
        return;
    }
    if (home_address_is_valid(hello->address)) {
        struct home home = {.has_node = true};
        memcpy(home.node, peer->node, OVERLAY_NODE_ID_BYTES);
        strcpy(home.address, hello->address);
        strcpy(peer->address, hello->address);
        host_learn(core, &home, false);
    }
    serve_welcome(core, peer);
    add(core, peer);
}

void fellow_welcomed(struct core *core, struct peer *peer)
{
    if (!take_place(core, peer))
        peer_close(peer, "linked already");
    else
        add(core, peer);
}

static void on_fellow_gone(struct core *core, struct peer *peer, const char *why)
{
    HASH_DELETE(hh_node, core->fellows, peer);
    if (!find(core, peer->node)) {
        struct host *host = host_find_node(core, peer->node);
        attach_lost(core, peer, why);
        if (host && host != peer->host)
            host_failed(core, host); /* spreads the dials of both sides */
    }
    forward_on_fellow_gone(core, peer->link);
    query_on_fellow_gone(core);
    attach_wake(core);
}

const struct role role_fellow = {
    .name = "fellow supernode",
    .handle =
        {
            [SALLYPORT__ENVELOPE__BODY_PING] = peer_on_ping,
            [SALLYPORT__ENVELOPE__BODY_PONG] = peer_on_pong,
            [SALLYPORT__ENVELOPE__BODY_GOODBYE] = attach_on_goodbye,
            [SALLYPORT__ENVELOPE__BODY_PUBLISH] = registry_on_publish,
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
