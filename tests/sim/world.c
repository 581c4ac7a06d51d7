#include "tests/sim/world.h"

#include "overlay/call.h"
#include "overlay/core_internal.h"
#include "overlay/realm.h"
#include "tests/sim/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const struct sim_plan sim_answers = {
    .accept_ms = 0, .ring_ms = 20, .progress_ms = SIM_NEVER, .answer_ms = 300, .end_ms = SIM_NEVER};

/* ---- identities -------------------------------------------------------------------------------
 */

#define IDENTITIES_MAX 64

static struct realm realm;
static struct {
    char site[32];
    struct identity *identity;
} pool[IDENTITIES_MAX];
static int pool_count;

static struct identity *make_identity(const char *site, unsigned roles)
{
    struct overlay_enrolment enrolment = {.site = site, .roles = roles, .days = 30};
    char number[16], why[200], *pem;
    struct identity *identity;

    if (!realm.root && realm_make(&realm, "simulation", 365, why, sizeof why) < 0)
        abort();
    if (roles & CONF_ROLE_GATEWAY) {
        /* +49<length><first letters>: something that differs from site to site */
        snprintf(number, sizeof number, "+49%u%u%u", (unsigned char)site[0], (unsigned char)site[1],
                 (unsigned)strlen(site));
        enrolment.numbers[0] = number;
        enrolment.number_count = 1;
    }
    if (realm_issue(&realm, &enrolment, time(NULL), &pem, NULL, why, sizeof why) < 0 ||
        identity_parse(pem, strlen(pem), &identity, why, sizeof why) < 0) {
        fprintf(stderr, "%s\n", why);
        abort();
    }
    free(pem);
    return identity;
}

/* `which` tells several identities of one site apart. */
static const struct identity *get_identity(const char *site, unsigned roles, int which)
{
    for (int i = 0; i < pool_count; i++)
        if (strcmp(pool[i].site, site) == 0 && which-- == 0)
            return pool[i].identity;
    if (pool_count == IDENTITIES_MAX)
        abort();
    snprintf(pool[pool_count].site, sizeof pool[0].site, "%s", site);
    pool[pool_count].identity = make_identity(site, roles);
    return pool[pool_count++].identity;
}

const struct realm *sim_realm(void)
{
    return &realm;
}

void sim_identities_free(void)
{
    while (pool_count > 0)
        identity_free(pool[--pool_count].identity);
    realm_fini(&realm);
}

/* ---- the clock and what happens next -----------------------------------------------------------
 */

uint64_t world_random(struct world *world, uint64_t below)
{
    /* splitmix64 */
    uint64_t z = (world->random += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return below ? z % below : z;
}

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_ms < b->at_ms || (a->at_ms == b->at_ms && a->order < b->order);
}

void world_add(struct world *world, struct sim_event *event, uint64_t at_ms)
{
    if (world->queued == world->room) {
        world->room = world->room ? 2 * world->room : 256;
        world->queue = realloc(world->queue, world->room * sizeof *world->queue);
        if (!world->queue)
            abort();
    }
    event->at_ms = at_ms;
    event->order = world->order++;

    size_t place = world->queued++;
    while (place > 0 && is_before(event, world->queue[(place - 1) / 2])) {
        world->queue[place] = world->queue[(place - 1) / 2];
        place = (place - 1) / 2;
    }
    world->queue[place] = event;
}

static struct sim_event *take_first(struct world *world)
{
    struct sim_event *first = world->queue[0], *last = world->queue[--world->queued];
    size_t place = 0;

    for (;;) {
        size_t child = 2 * place + 1;
        if (child + 1 < world->queued && is_before(world->queue[child + 1], world->queue[child]))
            child++;
        if (child >= world->queued || !is_before(world->queue[child], last))
            break;
        world->queue[place] = world->queue[child];
        place = child;
    }
    world->queue[place] = last;
    return first;
}

struct sim_event *sim_event_new(void (*run)(struct world *, struct sim_event *), size_t bytes)
{
    struct sim_event *event = calloc(1, sizeof *event + bytes);

    if (!event)
        abort();
    event->run = run;
    event->bytes = bytes;
    return event;
}

static void step(struct world *world)
{
    struct sim_event *event = take_first(world);

    world->now_ms = event->at_ms;
    event->run(world, event);
    free(event);
}

void world_run(struct world *world, uint64_t ms)
{
    uint64_t end_ms = world->now_ms + ms;

    while (world->queued > 0 && world->queue[0]->at_ms <= end_ms)
        step(world);
    world->now_ms = end_ms;
}

bool world_run_until(struct world *world, bool (*is_so)(void *arg), void *arg, uint64_t ms)
{
    uint64_t end_ms = world->now_ms + ms;

    while (!is_so(arg) && world->queued > 0 && world->queue[0]->at_ms <= end_ms)
        step(world);
    return is_so(arg);
}

static void run_act(struct world *world, struct sim_event *event)
{
    (void)world;
    event->act(event->arg);
}

void world_at(struct world *world, uint64_t ms, void (*act)(void *arg), void *arg)
{
    struct sim_event *event = sim_event_new(run_act, 0);

    event->act = act;
    event->arg = arg;
    world_add(world, event, world->now_ms + ms);
}

/* ---- nodes ------------------------------------------------------------------------------------
 */

static struct sim_node *add_node(struct world *world, const char *site, unsigned roles, int which)
{
    if (world->node_count == SIM_NODES_MAX)
        abort();
    struct sim_node *node = &world->nodes[world->node_count++];

    *node = (struct sim_node){.world = world, .roles = roles, .plan = sim_answers};
    snprintf(node->name, sizeof node->name, "%s", site);
    node->identity = get_identity(site, roles, which);
    if (roles & CONF_ROLE_SUPERNODE)
        snprintf(node->address, sizeof node->address, "%s.example:443", site);
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

void sim_node_knows(struct sim_node *node, const struct sim_node *supernode)
{
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
}

static void forget_calls(struct sim_node *node)
{
    struct sim_call *call;

    STAILQ_FOREACH(call, &node->world->calls, next)
    if (call->node == node)
        call->call = NULL;
}

void sim_node_stop(struct sim_node *node)
{
    if (!node->core)
        return;
    core_free(node->core);
    node->core = NULL;
    forget_calls(node);
    wires_cut(node->world, node, NULL);
}

void sim_node_silence(struct sim_node *node)
{
    node->is_silent = true;
    wires_stall(node->world, node);
    core_free(node->core);
    node->core = NULL;
    forget_calls(node);
}

void world_cut(struct world *world, struct sim_node *a, struct sim_node *b)
{
    wires_cut(world, a, b);
}

/* ---- life and checks --------------------------------------------------------------------------
 */

void world_init(struct world *world, uint64_t seed)
{
    *world = (struct world){.seed = seed, .random = seed, .now_ms = 1000, .delay_ms = 20};
    STAILQ_INIT(&world->wires);
    STAILQ_INIT(&world->calls);
}

void world_fini(struct world *world)
{
    struct sim_call *call;

    for (int i = 0; i < world->node_count; i++)
        if (world->nodes[i].core)
            core_free(world->nodes[i].core);
    wires_free(world);
    while ((call = STAILQ_FIRST(&world->calls))) {
        STAILQ_REMOVE_HEAD(&world->calls, next);
        free(call);
    }
    for (size_t i = 0; i < world->queued; i++)
        free(world->queue[i]);
    free(world->queue);
}

_Noreturn void sim_failed(const struct world *world, const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: seed %llu, at %llu ms: not so: %s\n", file, line,
            (unsigned long long)world->seed, (unsigned long long)world->now_ms, what);
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
        const struct core *core = world->nodes[i].core;
        if (!core)
            continue;
        sim_check(world, HASH_COUNT(core->calls->by_name) == 0);
        sim_check(world, core->lookups == NULL);
        sim_check(world, core->queries == NULL);
        sim_check(world, STAILQ_EMPTY(&core->local));
    }
}
