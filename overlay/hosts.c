/* The host cache: supernodes that we know of, from settings and from what supernodes tell. */
#include "overlay/core_internal.h"

#include <stdlib.h>
#include <string.h>

#define BACKOFF_FIRST_MS 1000
#define BACKOFF_MAX_MS 300000

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

    for (size_t i = 0; i < count && i < 20; i++)
        if (home_decode(&home, wire[i]))
            host_learn(core, &home, false);
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
        return true;

    struct peer *fellow;
    HASH_FIND(hh_node, core->fellows, host->node, OVERLAY_NODE_ID_BYTES, fellow);
    if (fellow)
        return false;
    for (int i = 0; i < core->upstream_count; i++)
        if (same_node(core->upstream[i]->node, host->node))
            return false;
    return true;
}

void host_failed(struct core *core, struct host *host)
{
    unsigned shift = host->failures < 9 ? host->failures : 9;
    uint64_t longest_ms = (uint64_t)BACKOFF_FIRST_MS << shift;

    if (longest_ms > BACKOFF_MAX_MS)
        longest_ms = BACKOFF_MAX_MS;
    host->failures++;
    host->next_ms = core_now(core) + longest_ms / 2 + core_random(core, longest_ms / 2);
}

static void list_add(struct core *core, struct host_list *list, const struct peer *peer)
{
    if (list->count == HOST_LIST_MAX || !peer->address[0] ||
        same_node(peer->node, core->self->node))
        return;
    struct home *home = &list->home[list->count];
    *home = (struct home){.has_node = true};
    memcpy(home->node, peer->node, OVERLAY_NODE_ID_BYTES);
    strcpy(home->address, peer->address);
    home_encode(&list->supernode[list->count], home);
    list->list[list->count] = &list->supernode[list->count];
    list->count++;
}

void host_list_fill(struct core *core, struct host_list *list, const struct peer *except)
{
    list->count = 0;
    for (struct peer *fellow = core->fellows; fellow; fellow = fellow->hh_node.next)
        if (fellow != except && !same_node(fellow->node, except->node))
            list_add(core, list, fellow);
    for (int i = 0; i < core->upstream_count; i++)
        list_add(core, list, core->upstream[i]);
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
