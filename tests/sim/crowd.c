#include "tests/sim/crowd.h"

#include "overlay/core_internal.h"
#include "tests/sim/realm_checks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEET_MS 5000
#define GIVEN 3 /* supernodes that a gateway is given */
#define CALL_MAX_MS 60000

static struct sim_node **node_list(int count)
{
    return core_alloc((size_t)count * sizeof(struct sim_node *));
}

static struct sim_node *any(struct crowd *crowd, struct sim_node *const *nodes, int count)
{
    return nodes[world_random(&crowd->world, (uint64_t)count)];
}

static void make_supernodes(struct crowd *crowd, const struct crowd_settings *settings)
{
    char site[16];

    for (int i = 0; i < crowd->supernode_count; i++) {
        snprintf(site, sizeof site, "s%d", i);
        struct sim_node *node = world_supernode(&crowd->world, site);
        node->seats = settings->seats;
        node->door.accepts_per_s = settings->accepts_per_s;
        for (int k = 0; k < i && k < SIM_KNOWN_MAX; k++)
            sim_node_knows(node, i <= SIM_KNOWN_MAX ? crowd->supernodes[k]
                                                    : any(crowd, crowd->supernodes, i));
        crowd->supernodes[i] = node;
    }
}

static void make_gateways(struct crowd *crowd)
{
    char site[16];

    for (int i = 0; i < crowd->gateway_count; i++) {
        snprintf(site, sizeof site, "g%d", i);
        struct sim_node *node = world_site(&crowd->world, site);
        node->has_disk = true;
        for (int k = 0; k < GIVEN; k++)
            sim_node_knows(node, any(crowd, crowd->supernodes, crowd->supernode_count));
        crowd->gateways[i] = node;
    }
}

void crowd_open(struct crowd *crowd, const struct crowd_settings *settings)
{
    sim_share_checks(true);
    world_init(&crowd->world, settings->seed);
    world_spread(&crowd->world, 10, 150, 5);
    crowd->supernode_count = settings->supernodes;
    crowd->gateway_count = settings->gateways;
    crowd->supernodes = node_list(settings->supernodes);
    crowd->gateways = node_list(settings->gateways);
    make_supernodes(crowd, settings);
    make_gateways(crowd);
}

void crowd_close(struct crowd *crowd)
{
    world_fini(&crowd->world);
    sim_share_checks(false);
    free(crowd->supernodes);
    free(crowd->gateways);
}

static void act_start(void *arg)
{
    sim_node_start(arg);
}

void crowd_start(struct crowd *crowd, uint64_t ms)
{
    for (int i = 0; i < crowd->supernode_count; i++)
        sim_node_start(crowd->supernodes[i]);
    world_run(&crowd->world, MEET_MS);
    for (int i = 0; i < crowd->gateway_count; i++)
        world_at(&crowd->world, ms * (uint64_t)i / (uint64_t)crowd->gateway_count, act_start,
                 crowd->gateways[i]);
    world_run(&crowd->world, ms);
}

static bool are_all_attached(void *arg)
{
    const struct crowd *crowd = arg;

    return crowd->world.attached_count == (unsigned)(crowd->gateway_count + crowd->supernode_count);
}

bool crowd_wait_attached(struct crowd *crowd, uint64_t ms)
{
    return world_run_until(&crowd->world, are_all_attached, crowd, ms);
}

int crowd_wait_standby(struct crowd *crowd, uint64_t ms)
{
    int count = 0;

    world_run(&crowd->world, ms);
    for (int i = 0; i < crowd->gateway_count; i++) {
        const struct core *core = crowd->gateways[i]->core;
        count += core && attach_staying(core) == HOMES_WANTED;
    }
    return count;
}

int crowd_cut(struct crowd *crowd, unsigned per_mille)
{
    int count = 0;

    for (int i = 0; i < crowd->gateway_count; i++) {
        if (world_random(&crowd->world, 1000) >= per_mille)
            continue;
        world_cut(&crowd->world, crowd->gateways[i], NULL);
        count++;
    }
    return count;
}

struct sim_door crowd_doors(const struct crowd *crowd)
{
    struct sim_door sum = {0};

    for (int i = 0; i < crowd->supernode_count; i++) {
        const struct sim_door *door = &crowd->supernodes[i]->door;
        sum.dials += door->dials;
        sum.accepted += door->accepted;
        sum.lost_syns += door->lost_syns;
        sum.timed_out += door->timed_out;
        if (door->waiting_max > sum.waiting_max)
            sum.waiting_max = door->waiting_max;
        if (door->per_s_max > sum.per_s_max)
            sum.per_s_max = door->per_s_max;
    }
    return sum;
}

/* ---- calls ------------------------------------------------------------------------------------
 */

struct caller {
    struct crowd *crowd;
    uint64_t talk_ms;
    struct sim_call *call;
};

static void act_hang_up(void *arg)
{
    struct caller *caller = arg;

    if (caller->call->call)
        sim_call_end(caller->call, CALL_NORMAL);
}

static void act_call(void *arg)
{
    struct caller *caller = arg;
    struct crowd *crowd = caller->crowd;
    struct sim_node *from = any(crowd, crowd->gateways, crowd->gateway_count), *to;
    char address[32];
    int error;

    do {
        to = any(crowd, crowd->gateways, crowd->gateway_count);
    } while (to == from && crowd->gateway_count > 1);
    snprintf(address, sizeof address, "202@%s", to->name);
    if (from->core)
        caller->call = sim_call_new(from, address, &error);
    if (caller->call)
        world_at(&crowd->world, caller->talk_ms, act_hang_up, caller);
}

static int compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

    return a < b ? -1 : a > b;
}

static void percentiles(uint64_t *times, size_t count, uint64_t out[3])
{
    qsort(times, count, sizeof *times, compare);
    out[0] = count ? times[count / 2] : 0;
    out[1] = count ? times[count * 95 / 100] : 0;
    out[2] = count ? times[count * 99 / 100] : 0;
}

static struct crowd_calls result(const struct caller *callers, int count)
{
    struct crowd_calls calls = {.begun = count};
    uint64_t *times = core_alloc((size_t)count * sizeof *times);
    size_t rang = 0;

    for (int i = 0; i < count; i++) {
        const struct sim_call *call = callers[i].call;
        calls.answered += call && call->answers > 0;
        if (call && call->rings > 0)
            times[rang++] = call->rang_ms - call->start_ms;
    }
    calls.failed = count - calls.answered;
    percentiles(times, rang, calls.ringing_ms);
    free(times);
    return calls;
}

/* ---- look-ups ---------------------------------------------------------------------------------
 */

static struct sim_node *any_attached(struct crowd_asks *asks, const struct sim_node *from)
{
    struct crowd *crowd = asks->crowd;

    for (int tries = 0; tries < 100; tries++) {
        struct sim_node *node = any(crowd, crowd->gateways, crowd->gateway_count);
        if (node != from && sim_living_homes(node) > 0 &&
            (!from || !asks->may_ask || asks->may_ask(crowd, from, node)))
            return node;
    }
    return NULL;
}

static uint64_t ideal_ms(const struct world *world, const struct sim_node *from,
                         const struct sim_node *to)
{
    struct member *holders[HOLDERS];
    struct sim_node *home, *holder;
    uint64_t best_ms = UINT64_MAX;

    HASH_FIND_STR(world->listeners, from->core->upstream[0]->address, home);
    if (!home || !home->core || !home->core->members)
        return 0;
    int count = members_rank(home->core, members_key(to->name), holders);
    for (int i = 0; i < count; i++) {
        HASH_FIND_STR(world->listeners, holders[i]->address, holder);
        uint64_t ms = holder == home ? 0 : world_distance_ms(world, home, holder);
        best_ms = ms < best_ms ? ms : best_ms;
    }
    return count ? 2 * (world_distance_ms(world, from, home) + best_ms) : 0;
}

static void act_ask(void *arg)
{
    struct crowd_asks *asks = arg;
    struct world *world = &asks->crowd->world;
    struct sim_node *from = any_attached(asks, NULL), *to = from ? any_attached(asks, from) : NULL;

    if (from && to) {
        uint64_t ms = ideal_ms(world, from, to);
        sim_ask_new(from, to->name, to, false)->ideal_ms = ms;
    }
    asks->next_us += asks->pause_us;
    if (asks->next_us / 1000 < asks->until_ms)
        world_at(world, asks->next_us / 1000 - world->now_ms, act_ask, asks);
}

void crowd_ask(struct crowd *crowd, struct crowd_asks *asks, unsigned per_s, uint64_t ms)
{
    asks->crowd = crowd;
    asks->pause_us = 1000000 / per_s;
    asks->next_us = 1000 * crowd->world.now_ms;
    asks->until_ms = crowd->world.now_ms + ms;
    world_at(&crowd->world, 0, act_ask, asks);
}

struct crowd_asked crowd_asked(const struct crowd *crowd, uint64_t from_ms, uint64_t to_ms)
{
    struct crowd_asked sum = {0};
    const struct sim_ask *ask;
    size_t count = 0, found = 0;

    STAILQ_FOREACH(ask, &crowd->world.asks, next)
    count++;
    uint64_t *times = core_alloc((count + 1) * sizeof *times);
    uint64_t *parts = core_alloc((count + 1) * sizeof *parts), middle[3];
    size_t part_count = 0;
    STAILQ_FOREACH(ask, &crowd->world.asks, next)
    {
        if (ask->start_ms < from_ms || ask->start_ms >= to_ms || ask->was_stopped)
            continue;
        sum.asked++;
        sum.wrong += !ask->is_over || !ask->is_found;
        sum.late += ask->is_found && ask->took_ms > 1000;
        if (ask->is_found)
            times[found++] = ask->took_ms;
        if (ask->is_found && ask->ideal_ms)
            parts[part_count++] = 1000 * ask->took_ms / ask->ideal_ms;
    }
    sum.found = (int)found;
    percentiles(times, found, sum.took_ms);
    percentiles(parts, part_count, middle);
    sum.ideal = (double)middle[0] / 1000;
    free(times);
    free(parts);
    return sum;
}

struct crowd_calls crowd_call(struct crowd *crowd, int count, uint64_t ms, uint64_t talk_ms)
{
    struct caller *callers = core_alloc((size_t)count * sizeof *callers);

    for (int i = 0; i < count; i++) {
        callers[i] = (struct caller){.crowd = crowd, .talk_ms = talk_ms};
        world_at(&crowd->world, ms * (uint64_t)i / (uint64_t)count, act_call, &callers[i]);
    }
    world_run(&crowd->world, ms + talk_ms + CALL_MAX_MS);
    struct crowd_calls calls = result(callers, count);
    free(callers);
    world_forget_calls(&crowd->world);
    return calls;
}

/* ---- what it costs ----------------------------------------------------------------------------
 */

struct crowd_rate crowd_rate(const struct crowd *crowd)
{
    struct crowd_rate rate = {0};

    for (int i = 0; i < crowd->supernode_count; i++) {
        const struct sim_traffic *traffic = crowd->supernodes[i]->traffic;
        struct sim_kind in = sim_traffic_sum(traffic->in), out = sim_traffic_sum(traffic->out);
        double s = (double)(crowd->world.now_ms - traffic->since_ms) / 1000;
        double frames = (double)(in.frames + out.frames) / s;
        double bytes = (double)(in.bytes + out.bytes) / s;
        rate.in_frames += (double)in.frames / s / crowd->supernode_count;
        rate.out_frames += (double)out.frames / s / crowd->supernode_count;
        rate.in_bytes += (double)in.bytes / s / crowd->supernode_count;
        rate.out_bytes += (double)out.bytes / s / crowd->supernode_count;
        rate.most_frames = frames > rate.most_frames ? frames : rate.most_frames;
        rate.most_bytes = bytes > rate.most_bytes ? bytes : rate.most_bytes;
    }
    return rate;
}
