/* The realm as this node sees it: the supernodes that it is linked to, and those that it only knows
 * of. */
#include "overlay/core_internal.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define SHARE_ALL 1000 /* each supernode keeps all names */

static void set_node(struct overlay_node *out, const uint8_t node[OVERLAY_NODE_ID_BYTES])
{
    sodium_bin2hex(out->node, sizeof out->node, node, OVERLAY_NODE_ID_BYTES);
}

static bool is_linked(const struct peer *peer)
{
    return peer->is_ready && !peer->other &&
           (peer->role == &role_upstream || peer->role == &role_fellow);
}

static const struct peer *find_linked(const struct core *core, const struct host *host)
{
    for (const struct peer *peer = core->peers; peer; peer = peer->hh.next)
        if (is_linked(peer) &&
            (peer->host == host ||
             (host->has_node && memcmp(peer->node, host->node, OVERLAY_NODE_ID_BYTES) == 0)))
            return peer;
    return NULL;
}

static void describe_self(const struct core *core, struct overlay_node *out)
{
    *out = (struct overlay_node){
        .is_self = true,
        .is_home = core->upstream_count > 0 && core->upstream[0]->other,
        .is_leaving = core->is_leaving,
        .version = PROTOCOL_VERSION,
        .seats = core->seats,
        .clients = core->client_count,
        .records = directory_count(core->directory),
        .share = SHARE_ALL,
    };
    snprintf(out->address, sizeof out->address, "%s", core->address);
    snprintf(out->site, sizeof out->site, "%s", core->self->site);
    set_node(out, core->self->node);
}

static void describe_peer(const struct core *core, const struct peer *peer,
                          struct overlay_node *out)
{
    *out = (struct overlay_node){
        .is_home = core->upstream_count > 0 && core->upstream[0] == peer,
        .is_standby = core->upstream_count > 1 && core->upstream[1] == peer,
        .is_linked = true,
        .share = core->is_supernode ? SHARE_ALL : 0,
        .round_trip_us = peer->round_trip_us,
        .heard_ms = core_now(core) - peer->heard_ms,
    };
    snprintf(out->address, sizeof out->address, "%s", peer->address);
    snprintf(out->site, sizeof out->site, "%s", peer->site);
    set_node(out, peer->node);
}

static void describe_host(const struct host *host, struct overlay_node *out)
{
    *out = (struct overlay_node){.is_down = host->failures > 0, .heard_ms = UINT64_MAX};
    strcpy(out->address, host->address);
    if (host->has_node)
        set_node(out, host->node);
}

void core_each_node(const struct core *core,
                    void (*each)(void *ctx, const struct overlay_node *node), void *ctx)
{
    struct overlay_node node;

    if (core->is_supernode) {
        describe_self(core, &node);
        each(ctx, &node);
    }
    for (const struct peer *peer = core->peers; peer; peer = peer->hh.next) {
        if (!is_linked(peer))
            continue;
        describe_peer(core, peer, &node);
        each(ctx, &node);
    }
    for (const struct host *host = core->hosts; host < core->hosts + HOSTS_MAX; host++) {
        if (!host->address[0] || host->is_self || find_linked(core, host))
            continue;
        describe_host(host, &node);
        each(ctx, &node);
    }
}

static void count(void *ctx, const struct overlay_node *node)
{
    struct overlay_realm *realm = ctx;

    if (node->is_down)
        return;
    realm->supernodes++;
    realm->seats += node->seats;
    realm->clients += node->clients;
}

void core_realm_state(const struct core *core, struct overlay_realm *realm)
{
    core_each_node(core, count, realm);
}
