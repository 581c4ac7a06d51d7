/* A realm that falls into two halves for ten minutes, and heals.
 *
 * The halves cannot reach each other: links between them are dead without anybody being told, dials
 * time out. Look-ups within a half go on; those across are asked for again once it has healed.
 * Calls between the halves were up before; their media is not simulated, and the overlay is not to
 * end them.
 */
#include "overlay/core_internal.h"
#include "tests/sim/realm_checks.h"
#include "tests/sim/tables.h"

#include <stdio.h>
#include <stdlib.h>

#define SPLIT_MS 600000
#define HEAL_MAX_MS 900000
#define SAMPLE_MS 1000
#define ASKS_PER_S 20
#define CALLS 20

struct split {
    struct crowd crowd;
    bool is_split;
    struct sim_call *calls[CALLS];
    int call_count;
};

static int half_of(const struct sim_node *node)
{
    return node->x < 0.5f;
}

/* During the split those of the same half, after it those of the other one. */
static bool may_ask(struct crowd *crowd, const struct sim_node *from, const struct sim_node *to)
{
    const struct split *split = (const struct split *)crowd; /* its first part */

    return (half_of(from) == half_of(to)) == split->is_split;
}

static void begin_calls(struct split *split)
{
    struct crowd *crowd = &split->crowd;
    char to[32];
    int error;

    for (int i = 0; i + 1 < crowd->gateway_count && split->call_count < CALLS; i++) {
        struct sim_node *a = crowd->gateways[i], *b = crowd->gateways[i + 1];
        if (half_of(a) == half_of(b))
            continue;
        snprintf(to, sizeof to, "202@%s", b->name);
        split->calls[split->call_count++] = sim_call_new(a, to, &error);
    }
    world_run(&crowd->world, 5000);
    for (int i = 0; i < split->call_count; i++)
        sim_check(&crowd->world, split->calls[i] && split->calls[i]->answers == 1);
}

static int count_lost_calls(struct split *split)
{
    int lost = 0;

    for (int i = 0; i < split->call_count; i++) {
        struct sim_call *far = sim_call_far(&split->crowd.world, split->calls[i]);
        lost += !split->calls[i]->call || !far || !far->call;
        if (split->calls[i]->call)
            sim_call_end(split->calls[i], CALL_NORMAL);
    }
    world_run(&split->crowd.world, 10000);
    for (int i = 0; i < split->call_count; i++)
        lost += sim_call_far(&split->crowd.world, split->calls[i])->ends != 1;
    return lost;
}

/* Does each half know its own supernodes, and nobody else? */
static bool are_halves_whole(const struct crowd *crowd)
{
    int count[2] = {0, 0};

    for (int i = 0; i < crowd->supernode_count; i++)
        count[half_of(crowd->supernodes[i])]++;
    for (int i = 0; i < crowd->supernode_count; i++)
        if (crowd->supernodes[i]->core->members->live_count != count[half_of(crowd->supernodes[i])])
            return false;
    return true;
}

static unsigned count_without(const struct crowd *crowd, int wanted)
{
    unsigned count = 0;

    for (int i = 0; i < crowd->gateway_count; i++)
        count += sim_living_homes(crowd->gateways[i]) < wanted;
    return count;
}

static void print_asked(const struct split *split, const char *what, uint64_t from_ms,
                        uint64_t to_ms)
{
    struct crowd_asked asked = crowd_asked(&split->crowd, from_ms, to_ms);

    printf("   look-ups %-34s %6d, failed %d, later than 1 s %d; ms: median %llu, 99 %% %llu\n",
           what, asked.asked, asked.wrong, asked.late, (unsigned long long)asked.took_ms[0],
           (unsigned long long)asked.took_ms[2]);
}

static void split_up(struct split *split)
{
    struct crowd *crowd = &split->crowd;
    uint64_t start_ms = crowd->world.now_ms, whole_ms = 0, attached_ms = 0;

    split->is_split = true;
    world_split(&crowd->world, half_of);
    unsigned without = count_without(crowd, 1);
    while (crowd->world.now_ms < start_ms + SPLIT_MS) {
        world_run(&crowd->world, SAMPLE_MS / 4);
        uint64_t after_ms = crowd->world.now_ms - start_ms;
        if (whole_ms == 0 && are_halves_whole(crowd))
            whole_ms = after_ms;
        if (attached_ms == 0 && count_without(crowd, 1) == 0)
            attached_ms = after_ms;
    }
    printf("   split: %u clients had both homes in the other half; supernodes of each half agreed "
           "after %.1f s, all were attached after %.1f s\n",
           without, (double)whole_ms / 1000, (double)attached_ms / 1000);
    sim_check(&crowd->world, whole_ms > 0 && attached_ms > 0);
    print_asked(split, "in a half, first 10 s", start_ms, start_ms + 10000);
    print_asked(split, "in a half, 10 s to 2 minutes", start_ms + 10000, start_ms + 120000);
    print_asked(split, "in a half, after that", start_ms + 120000, crowd->world.now_ms - 3000);
}

/* When the last look-up began that failed. */
static uint64_t last_failure_ms(const struct world *world, uint64_t from_ms)
{
    const struct sim_ask *ask;
    uint64_t last_ms = from_ms;

    STAILQ_FOREACH(ask, &world->asks, next)
    if (ask->start_ms >= from_ms && ask->is_over && !ask->is_found && ask->start_ms > last_ms)
        last_ms = ask->start_ms;
    return last_ms;
}

static void heal(struct split *split, struct crowd_asks *asks)
{
    struct crowd *crowd = &split->crowd;
    uint64_t start_ms = crowd->world.now_ms, agreed_ms = 0;

    split->is_split = false;
    world_heal(&crowd->world);
    while (crowd->world.now_ms < start_ms + HEAL_MAX_MS) {
        world_run(&crowd->world, SAMPLE_MS / 4);
        uint64_t after_ms = crowd->world.now_ms - start_ms;
        if (agreed_ms == 0 && realm_is_agreed(&crowd->world))
            agreed_ms = after_ms;
        if (agreed_ms && after_ms > agreed_ms + 60000)
            break;
    }
    asks->until_ms = 0;
    world_run(&crowd->world, 3000);
    uint64_t last_ms = last_failure_ms(&crowd->world, start_ms) - start_ms;
    printf("   healed: all supernodes agreed after %.1f s; the last look-up across that failed "
           "began after %.1f s\n",
           (double)agreed_ms / 1000, (double)last_ms / 1000);
    print_asked(split, "across, from then on", start_ms + last_ms + 1, UINT64_MAX / 2);
    sim_check(&crowd->world, agreed_ms > 0 && last_ms <= agreed_ms + 5000);
}

static void run(int gateways, int supernodes, uint64_t seed)
{
    struct split *split = core_alloc(sizeof *split);
    struct crowd *crowd = &split->crowd;
    struct crowd_asks asks = {.may_ask = may_ask};

    crowd_open(crowd, &(struct crowd_settings){
                          .supernodes = supernodes, .gateways = gateways, .seed = seed});
    printf("   %d gateways, %d supernodes, split for %d minutes\n", gateways, supernodes,
           SPLIT_MS / 60000);
    crowd_start(crowd, 10000 + 2 * (uint64_t)gateways);
    sim_check(&crowd->world, crowd_wait_attached(crowd, 60000));
    crowd_wait_standby(crowd, 60000);
    begin_calls(split);
    crowd_ask(crowd, &asks, ASKS_PER_S, SPLIT_MS + HEAL_MAX_MS);
    split_up(split);
    heal(split, &asks);
    int lost = count_lost_calls(split);
    printf("   calls across that were up: %d, lost %d\n", split->call_count, lost);
    sim_check(&crowd->world, lost == 0);
    crowd_close(crowd);
    free(split);
}

void table_split(const struct table_size *size)
{
    static const int gateways[] = {40, 1000, 5000}, supernodes[] = {6, 20, 60};

    run(size->gateways ? size->gateways : gateways[size->extent],
        size->supernodes ? size->supernodes : supernodes[size->extent], size->seed);
}
