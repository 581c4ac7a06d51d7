#include "tests/sim/world.h"

#include "overlay/call.h"
#include "overlay/core_internal.h"
#include "tests/sim/wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *sim_story = "";

const struct sim_plan sim_answers = {
    .accept_ms = 0, .ring_ms = 20, .progress_ms = SIM_NEVER, .answer_ms = 300, .end_ms = SIM_NEVER};

#define SITE_ONLY (-1) /* an identity without a number */

/* ---- nodes ------------------------------------------------------------------------------------
 */

static struct sim_node *add_node(struct world *world, const char *site, unsigned roles, int which)
{
    struct sim_node *node = calloc(1, sizeof *node);

    if (world->node_count == world->node_room) {
        world->node_room = world->node_room ? 2 * world->node_room : 32;
        world->nodes = realloc(world->nodes, (size_t)world->node_room * sizeof(struct sim_node *));
    }
    if (!node || !world->nodes)
        abort();
    world->nodes[world->node_count++] = node;
    node->world = world;
    node->roles = roles;
    node->plan = sim_answers;
    STAILQ_INIT(&node->calls);
    TAILQ_INIT(&node->ends);
    place_choose(node);
    snprintf(node->name, sizeof node->name, "%s", site);
    if (roles & CONF_ROLE_SUPERNODE) {
        snprintf(node->address, sizeof node->address, "%s.example:443", site);
        HASH_ADD_STR(world->listeners, address, node);
        sim_traffic_start(node);
    }
    node->identity = sim_identity(site, roles, which, which >= 0 && roles & CONF_ROLE_GATEWAY);
    return node;
}

struct sim_node *world_supernode(struct world *world, const char *site)
{
    return add_node(world, site, CONF_ROLE_SUPERNODE | CONF_ROLE_RELAY, 0);
}

struct sim_node *world_both(struct world *world, const char *site)
{
    return add_node(world, site, CONF_ROLE_SUPERNODE | CONF_ROLE_RELAY | CONF_ROLE_GATEWAY, 0);
}

struct sim_node *world_gateway(struct world *world, const char *site)
{
    return add_node(world, site, CONF_ROLE_GATEWAY, 0);
}

struct sim_node *world_twin(struct world *world, const char *site)
{
    return add_node(world, site, CONF_ROLE_GATEWAY, 1);
}

struct sim_node *world_site(struct world *world, const char *site)
{
    return add_node(world, site, CONF_ROLE_GATEWAY, SITE_ONLY);
}

struct sim_node *world_willing(struct world *world, const char *site)
{
    struct sim_node *node =
        add_node(world, site, CONF_ROLE_SUPERNODE | CONF_ROLE_GATEWAY, SITE_ONLY);

    node->roles = CONF_ROLE_GATEWAY;
    node->may_serve = true;
    return node;
}

void sim_node_knows(struct sim_node *node, const struct sim_node *supernode)
{
    if (node->supernode_count == SIM_KNOWN_MAX)
        abort();
    node->supernodes[node->supernode_count++] = supernode->address;
}

void sim_node_start(struct sim_node *node)
{
    struct core_settings settings = {
        .identity = node->identity,
        .roles = node->roles,
        .address = node->address[0] ? node->address : NULL,
        .supernode_count = node->supernode_count,
        .seats = node->seats,
        .may_serve = node->may_serve,
        .plenty_for_ms = node->plenty_for_ms,
        .priority = node->priority,
        .weight = node->weight,
        .version = node->version,
    };
    struct core_io io = sim_io(node);

    for (int i = 0; i < node->supernode_count; i++)
        settings.supernodes[i] = node->supernodes[i];
    node->epoch++;
    node->is_silent = false;
    node->is_told_attached = false;
    node->is_deferred = false;
    node->wake_ms = 0;
    if (core_new(&settings, &io, &node->core) < 0)
        abort();
    for (int i = 0; i < node->disk_count; i++)
        core_add_host(node->core, node->disk[i]);
    if (node->may_serve)
        core_reachable(node->core, true);
}

static void write_host(void *ctx, const char *address)
{
    struct sim_node *node = ctx;

    snprintf(node->disk[node->disk_count++], ADDRESS_TEXT_MAX, "%s", address);
}

static void write_disk(struct sim_node *node)
{
    if (!node->has_disk)
        return;
    if (!node->disk)
        node->disk = core_alloc(HOSTS_MAX * sizeof *node->disk);
    node->disk_count = 0;
    core_each_host(node->core, write_host, node);
}

/* It lives no more; its wires are cut or stalled. */
static void end_life(struct sim_node *node)
{
    asks_forget(node);
    write_disk(node);
    core_free(node->core);
    node->core = NULL;
    node->world->attached_count -= node->is_told_attached;
    node->is_told_attached = false;
    calls_forget(node);
}

void sim_node_stop(struct sim_node *node)
{
    if (!node->core)
        return;
    end_life(node);
    wires_cut(node, NULL);
    wires_leave(node);
}

void sim_node_crash(struct sim_node *node)
{
    if (!node->core)
        return;
    wires_cut(node, NULL);
    wires_leave(node); /* what it says from now on is not heard */
    end_life(node);
}

void sim_node_silence(struct sim_node *node)
{
    if (!node->core)
        return;
    node->is_silent = true;
    wires_stall(node);
    end_life(node);
    wires_leave(node);
}

void world_cut(struct world *world, struct sim_node *a, struct sim_node *b)
{
    (void)world;
    wires_cut(a, b);
}

/* ---- life and checks --------------------------------------------------------------------------
 */

void world_init(struct world *world, uint64_t seed)
{
    *world = (struct world){.seed = seed, .random = seed, .now_ms = 1000, .delay_ms = 20};
    LIST_INIT(&world->wires);
    STAILQ_INIT(&world->calls);
    STAILQ_INIT(&world->asks);
}

void world_fini(struct world *world)
{
    for (int i = 0; i < world->node_count; i++)
        if (world->nodes[i]->core) {
            asks_forget(world->nodes[i]);
            core_free(world->nodes[i]->core);
        }
    world_forget_asks(world);
    calls_free(world);
    wires_free(world);
    for (size_t i = 0; i < world->queued; i++)
        free(world->queue[i]);
    free(world->queue);
    HASH_CLEAR(hh, world->listeners);
    for (int i = 0; i < world->node_count; i++) {
        free(world->nodes[i]->traffic);
        free(world->nodes[i]->disk);
        free(world->nodes[i]);
    }
    free(world->nodes);
}

_Noreturn void sim_failed(const struct world *world, const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: seed %llu, at %llu ms: not so: %s\nalone: %s %s %llu\n", file, line,
            (unsigned long long)world->seed, (unsigned long long)world->now_ms, what,
            program_invocation_name, sim_story, (unsigned long long)world->seed);
    abort();
}

void world_check_calm(struct world *world)
{
    struct sim_call *call;

    STAILQ_FOREACH(call, &world->calls, next)
    {
        bool node_lived = call->epoch == call->node->epoch && call->node->core;
        sim_check(world, call->ends <= 1);
        sim_check(world, !(call->ends && call->is_ended_here));
        sim_check(world, !node_lived || call->ends || call->is_ended_here);
    }
    for (int i = 0; i < world->node_count; i++) {
        const struct core *core = world->nodes[i]->core;
        if (!core)
            continue;
        sim_check(world, HASH_COUNT(core->calls->by_name) == 0);
        sim_check(world, core->lookups == NULL);
        sim_check(world, core->queries == NULL);
        sim_check(world, STAILQ_EMPTY(&core->local));
    }
}
