/* The realm as this node sees it: a supernode its members, others their homes and the supernodes
 * that these told of. */
#include "overlay/core_internal.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHARE_KEYS 1000 /* shares are told per mille: of so many keys */

static void set_node(struct overlay_node *out, const uint8_t node[OVERLAY_NODE_ID_BYTES])
{
    sodium_bin2hex(out->node, sizeof out->node, node, OVERLAY_NODE_ID_BYTES);
}

static const struct peer *find_upstream(const struct core *core, const uint8_t *node, int *place)
{
    for (*place = 0; *place < core->upstream_count; ++*place)
        if (memcmp(core->upstream[*place]->node, node, OVERLAY_NODE_ID_BYTES) == 0)
            return core->upstream[*place];
    return NULL;
}

static void set_link(const struct core *core, const struct peer *peer, struct overlay_node *out)
{
    out->is_linked = true;
    out->round_trip_us = peer->round_trip_us;
    out->heard_ms = core_now(core) - peer->heard_ms;
}

/* ---- a supernode's members --------------------------------------------------------------------
 */

/* How many of the keys each member holds, by its place in the ring; the caller frees. */
static unsigned *count_shares(const struct core *core)
{
    const struct members *members = core->members;
    unsigned *shares = core_alloc((size_t)(members->live_count + 1) * sizeof *shares);
    struct member *holders[HOLDERS];

    for (unsigned key = 0; key < SHARE_KEYS; key++) {
        int count = members_rank(core, members_hash(&key, sizeof key), holders);
        for (int h = 0; h < count; h++)
            for (int i = 0; i < members->live_count; i++)
                shares[i] += members->live[i] == holders[h];
    }
    return shares;
}

static void describe_member(const struct core *core, const struct member *member,
                            struct overlay_node *out)
{
    const struct peer *fellow = fellow_find(core, member->node);
    int place;

    find_upstream(core, member->node, &place);
    *out = (struct overlay_node){
        .is_self = member->is_self,
        .is_home = place == 0 && core->upstream_count > 0,
        .is_standby = place == 1 && core->upstream_count > 1,
        .is_down = member->is_down,
        .is_leaving = member->is_leaving,
        .is_invited = member->is_invited,
        .version = member->version,
        .seats = member->is_self ? core->seats : member->seats,
        .clients = member->is_self ? core->client_count : member->clients,
        .records = member->is_self ? directory_count(core->directory) : member->records,
        .heard_ms = member->is_self ? 0 : core_now(core) - member->heard_ms,
    };
    snprintf(out->address, sizeof out->address, "%s", member->address);
    snprintf(out->site, sizeof out->site, "%s", member->site);
    set_node(out, member->node);
    if (fellow) {
        uint64_t heard_ms = out->heard_ms;
        set_link(core, fellow, out);
        if (heard_ms < out->heard_ms)
            out->heard_ms = heard_ms;
    }
}

static void each_member(const struct core *core,
                        void (*each)(void *ctx, const struct overlay_node *node), void *ctx)
{
    const struct members *members = core->members;
    unsigned *shares = count_shares(core);
    struct overlay_node node;

    for (int i = 0; i < members->live_count; i++) {
        describe_member(core, members->live[i], &node);
        node.share = shares[i];
        each(ctx, &node);
    }
    free(shares);
    for (const struct member *member = members->table; member; member = member->hh.next) {
        if (!member->is_down)
            continue;
        describe_member(core, member, &node);
        each(ctx, &node);
    }
}

/* ---- links, and what is known only by its address ----------------------------------------------
 */

static void describe_peer(const struct core *core, const struct peer *peer,
                          struct overlay_node *out)
{
    int place;

    find_upstream(core, peer->node, &place);
    *out = (struct overlay_node){
        .is_home = place == 0 && core->upstream_count > 0,
        .is_standby = place == 1 && core->upstream_count > 1,
        .is_leaving = peer->is_leaving,
        .version = peer->version,
        .seats = peer->seats,
        .clients = peer->clients,
    };
    snprintf(out->address, sizeof out->address, "%s", peer->address);
    snprintf(out->site, sizeof out->site, "%s", peer->site);
    set_node(out, peer->node);
    set_link(core, peer, out);
}

static void describe_host(const struct core *core, const struct host *host,
                          struct overlay_node *out)
{
    *out = (struct overlay_node){
        .is_down = host->failures > 0,
        .version = host->version,
        .seats = host->seats,
        .clients = host->clients,
        .heard_ms = host->version ? core_now(core) - host->told_ms : UINT64_MAX,
    };
    snprintf(out->address, sizeof out->address, "%s", host->address);
    snprintf(out->site, sizeof out->site, "%s", host->site);
    if (host->has_node)
        set_node(out, host->node);
}

static bool is_told(const struct core *core, const struct host *host)
{
    int place;

    if (host->is_self || (host->peer && host->peer->is_ready) ||
        members_find_address(core, host->address))
        return true;
    return host->has_node && (fellow_find(core, host->node) || members_find(core, host->node) ||
                              find_upstream(core, host->node, &place));
}

void core_each_node(const struct core *core,
                    void (*each)(void *ctx, const struct overlay_node *node), void *ctx)
{
    struct overlay_node node;

    if (core->members)
        each_member(core, each, ctx);
    for (int i = 0; i < core->upstream_count; i++) {
        if (core->upstream[i]->other || members_find(core, core->upstream[i]->node))
            continue;
        describe_peer(core, core->upstream[i], &node);
        each(ctx, &node);
    }
    for (const struct peer *fellow = core->fellows; fellow; fellow = fellow->hh_node.next) {
        if (members_find(core, fellow->node))
            continue;
        describe_peer(core, fellow, &node);
        each(ctx, &node);
    }
    for (int i = 0; i < core->host_count; i++) {
        if (is_told(core, core->hosts[i]))
            continue;
        describe_host(core, core->hosts[i], &node);
        each(ctx, &node);
    }
}

struct sum {
    unsigned *each; /* seats */
    unsigned supernodes, clients, room;
};

static void count(void *ctx, const struct overlay_node *node)
{
    struct sum *sum = ctx;

    if (node->is_down || sum->supernodes == sum->room)
        return;
    sum->each[sum->supernodes++] = node->seats;
    sum->clients += node->clients;
}

/* As far as its supernodes have told. */
static struct realm_seats seats_of_client(const struct core *core)
{
    struct sum sum = {.room = (unsigned)(core->upstream_count + core->host_count)};

    sum.each = core_alloc((sum.room + 1) * sizeof *sum.each);
    core_each_node(core, count, &sum);
    struct realm_seats seats = seats_judge(sum.each, sum.supernodes, sum.clients);
    free(sum.each);
    return seats;
}

void core_realm_state(const struct core *core, struct overlay_realm *realm)
{
    struct realm_seats seats = core->members ? seats_of_realm(core, NULL) : seats_of_client(core);

    realm->serving = seats_serving_text(core);
    realm->revocation = identity_list(core->identity).number;
    realm->supernodes = seats.supernodes;
    realm->seats = seats.seats;
    realm->clients = seats.clients;
    realm->reserve = seats.reserve;
    realm->is_short = seats.is_short;
}
