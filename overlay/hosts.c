/* The host cache: supernodes that we know of, from settings and from what supernodes tell. */
#include "overlay/core_internal.h"

#include <stdlib.h>
#include <string.h>

#define BACKOFF_FIRST_MS 1000
#define BACKOFF_MAX_MS 300000
/* One that somebody else says lives is dialled so soon. */
#define TOLD_ALIVE_MS 2000
/* One that took us before is likely to be back soon. */
#define GOOD_DOUBLINGS_MAX 4

static bool same_node(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, OVERLAY_NODE_ID_BYTES) == 0;
}

struct host *host_find_node(struct core *core, const uint8_t node[OVERLAY_NODE_ID_BYTES])
{
    for (int i = 0; i < core->host_count; i++)
        if (core->hosts[i]->has_node && same_node(core->hosts[i]->node, node))
            return core->hosts[i];
    return NULL;
}

static struct host *find_address(struct core *core, const char *address)
{
    for (int i = 0; i < core->host_count; i++)
        if (strcmp(core->hosts[i]->address, address) == 0)
            return core->hosts[i];
    return NULL;
}

/* A new place, else that of the one that failed most; those in use or given stay. */
static struct host **make_room(struct core *core)
{
    struct host **worst = NULL;

    if (core->host_count < HOSTS_MAX) {
        core->hosts = realloc(core->hosts, (core->host_count + 1) * sizeof *core->hosts);
        if (!core->hosts)
            abort(); /* as core_alloc */
        core->hosts[core->host_count] = NULL;
        return &core->hosts[core->host_count++];
    }
    for (int i = 0; i < HOSTS_MAX; i++) {
        const struct host *host = core->hosts[i];
        if (!host->peer && !host->is_given && !host->is_self &&
            (!worst || host->failures > (*worst)->failures))
            worst = &core->hosts[i];
    }
    return worst && (*worst)->failures > 0 ? worst : NULL;
}

struct host *host_learn(struct core *core, const struct home *home, bool is_given)
{
    if (!home_address_is_valid(home->address))
        return NULL;

    struct host *host = find_address(core, home->address);
    if (!host) {
        struct host **place = make_room(core);
        if (!place)
            return NULL;
        free(*place);
        *place = host = core_alloc(sizeof *host + strlen(home->address) + 1);
        host->is_self = strcmp(home->address, core->address) == 0;
        strcpy(host->address, home->address);
    }
    host->is_given |= is_given;
    if (home->has_node && !host->has_node) {
        host->has_node = true;
        memcpy(host->node, home->node, OVERLAY_NODE_ID_BYTES);
    }
    if (host->has_node && same_node(host->node, core->self->node))
        host->is_self = true;
    return host;
}

void host_learn_all(struct core *core, Sallyport__Supernode *const *wire, size_t count)
{
    struct home home;

    for (size_t i = 0; i < count && i < HOST_LIST_MAX; i++) {
        struct host *host = home_decode(&home, wire[i]) ? host_learn(core, &home, false) : NULL;
        if (!host || wire[i]->version == 0)
            continue;
        host->seats = wire[i]->seats;
        host->clients = wire[i]->clients;
        host->version = wire[i]->version;
        host->told_ms = core_now(core);
        /* others see it live: no reason to wait as long as for one that may be gone */
        if (host->failures > 0 && host->next_ms > core_now(core) + TOLD_ALIVE_MS)
            host->next_ms = core_now(core) + core_random(core, TOLD_ALIVE_MS);
        snprintf(host->site, sizeof host->site, "%s", wire[i]->site);
    }
}

void hosts_close(struct core *core)
{
    for (int i = 0; i < core->host_count; i++)
        free(core->hosts[i]);
    free(core->hosts);
}

bool host_is_wanted(const struct core *core, const struct host *host)
{
    if (host->is_self || host->peer)
        return false;
    if (!host->has_node)
        return !members_find_address(core, host->address);
    if (fellow_find(core, host->node) || attach_has(core, host->node))
        return false;
    const struct member *member = members_find(core, host->node);
    return !member || member->is_down; /* else its link is made by pulse.c, if it is wanted */
}

struct peer *host_dialling(struct core *core, const char *address)
{
    struct host *host = find_address(core, address);

    return host && host->peer && host->peer->role == &role_dialled ? host->peer : NULL;
}

void host_try_one(struct core *core)
{
    struct host *chosen = NULL;
    uint64_t count = 0;

    for (int i = 0; i < core->host_count; i++)
        if (host_is_wanted(core, core->hosts[i]) && core_random(core, ++count) == 0)
            chosen = core->hosts[i];
    if (chosen)
        attach_dial(core, chosen);
}

void host_failed(struct core *core, struct host *host)
{
    unsigned most = host->was_good ? GOOD_DOUBLINGS_MAX : 9;
    unsigned shift = host->failures < most ? host->failures : most;
    uint64_t longest_ms = (uint64_t)BACKOFF_FIRST_MS << shift;

    if (longest_ms > BACKOFF_MAX_MS)
        longest_ms = BACKOFF_MAX_MS;
    host->failures++;
    host->next_ms = core_now(core) + longest_ms / 2 + core_random(core, longest_ms / 2);
}

static Sallyport__Supernode *list_add(struct core *core, struct host_list *list,
                                      const uint8_t *node, const char *address)
{
    if (list->count == HOST_LIST_MAX || !address[0] || same_node(node, core->self->node))
        return NULL;
    struct home *home = &list->home[list->count];
    *home = (struct home){.has_node = true};
    memcpy(home->node, node, OVERLAY_NODE_ID_BYTES);
    strcpy(home->address, address);
    home_encode(&list->supernode[list->count], home);
    list->list[list->count] = &list->supernode[list->count];
    return &list->supernode[list->count++];
}

static void list_add_member(struct core *core, struct host_list *list, const struct member *member)
{
    Sallyport__Supernode *wire = list_add(core, list, member->node, member->address);

    if (!wire)
        return;
    wire->seats = member->seats;
    wire->clients = member->clients;
    wire->version = member->version;
    wire->site = (char *)member->site;
}

/* Some of them by lot, from a place in the ring on; those that are full only when nobody else is
 * there. */
static void list_add_members(struct core *core, struct host_list *list, const uint8_t *except)
{
    const struct members *members = core->members;
    uint64_t first = core_random(core, (uint64_t)members->live_count);

    for (int pass = 0; pass < 2 && (pass == 0 || list->count == 0); pass++)
        for (int i = 0; i < members->live_count && list->count < HOST_LIST_MAX; i++) {
            const struct member *member = members->live[((int)first + i) % members->live_count];
            bool has_room = member->clients < member->seats && !member->is_leaving;
            if (has_room == (pass == 0) && !same_node(member->node, except))
                list_add_member(core, list, member);
        }
}

void host_list_fill(struct core *core, struct host_list *list, const struct peer *except)
{
    list->count = 0;
    if (core->members)
        list_add_members(core, list, except->node);
    for (struct peer *fellow = core->fellows; fellow; fellow = fellow->hh_node.next)
        if (fellow->version < 2 && fellow != except && !same_node(fellow->node, except->node))
            list_add(core, list, fellow->node, fellow->address);
    for (int i = 0; i < core->upstream_count && !core->members; i++)
        list_add(core, list, core->upstream[i]->node, core->upstream[i]->address);
}

void core_each_host(const struct core *core, void (*each)(void *ctx, const char *address),
                    void *ctx)
{
    for (int i = 0; i < core->host_count; i++)
        if (!core->hosts[i]->is_self)
            each(ctx, core->hosts[i]->address);
}

void core_add_host(struct core *core, const char *address)
{
    struct home home = {.has_node = false};

    if (!home_address_is_valid(address))
        return;
    strcpy(home.address, address);
    host_learn(core, &home, false);
    attach_wake(core);
}
