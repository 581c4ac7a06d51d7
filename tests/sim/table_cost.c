/* What a supernode bears, by the size of the realm.
 *
 * Steady state: nobody comes or goes; each gateway looks somebody up every ten minutes. Messages
 * and bytes are those of the protocol, in and out together, without what TLS, TCP and IP add.
 *
 * The model for sizes that do not fit here: a supernode bears g(S), which is there without any
 * client and grows with the number of supernodes (watching: constant; statements: each of the S
 * states itself every 60 s + 0.3 s * S, and each statement comes by up to log2 S links, so g grows
 * like log S and is bounded but for that), and c for each of the 2 N / S attachments that it holds.
 * Both are measured. Memory in the same way: m0 per member known, m per attachment.
 */
#include "overlay/core_internal.h"
#include "tests/sim/realm_checks.h"
#include "tests/sim/tables.h"

#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define LOOK_UP_EVERY_S 600
#define ALONE_GATEWAYS 4 /* in realms that are to show what supernodes cost by themselves */

struct cost {
    int gateways, supernodes;
    double frames, bytes; /* per supernode and second */
    double memory;        /* per supernode */
    double known_ms[2];   /* until a failure is known to all: crashed, silent */
};

/* ---- one realm --------------------------------------------------------------------------------
 */

static double measure_memory(struct crowd *crowd)
{
    double bytes = 0;
    int count = crowd->supernode_count < 10 ? 1 : 3;

    for (int i = 0; i < count; i++) {
        size_t before = mallinfo2().uordblks;
        sim_node_silence(crowd->supernodes[i]);
        bytes += (double)(before - mallinfo2().uordblks) / count;
    }
    return bytes;
}

static bool is_agreed(void *arg)
{
    return realm_is_agreed(arg);
}

/* How long until all others know, in ms. */
static double measure_failure(struct crowd *crowd, int which, bool is_silent)
{
    struct world *world = &crowd->world;
    uint64_t start_ms = world->now_ms;

    if (is_silent)
        sim_node_silence(crowd->supernodes[which]);
    else
        sim_node_crash(crowd->supernodes[which]);
    while (!realm_is_agreed(world) && world->now_ms < start_ms + 30000)
        world_run(world, 20);
    double took_ms = (double)(world->now_ms - start_ms);
    sim_check(world, took_ms <= 2000 + 20);
    sim_node_start(crowd->supernodes[which]);
    world_run(world, 15000);
    sim_check(world, world_run_until(world, is_agreed, world, 60000));
    return took_ms;
}

static void open_realm(struct crowd *crowd, int gateways, int supernodes, uint64_t seed)
{
    crowd_open(crowd, &(struct crowd_settings){
                          .supernodes = supernodes, .gateways = gateways, .seed = seed});
    crowd_start(crowd, 10000 + 2 * (uint64_t)gateways);
    sim_check(&crowd->world, crowd_wait_attached(crowd, 60000));
    sim_check(&crowd->world, crowd_wait_standby(crowd, 60000) == gateways);
    sim_check(&crowd->world, realm_is_agreed(&crowd->world));
}

static void measure_rate(struct crowd *crowd, uint64_t steady_ms, struct cost *cost)
{
    world_count_anew(&crowd->world);
    world_run(&crowd->world, steady_ms);
    struct crowd_rate rate = crowd_rate(crowd);
    cost->frames = rate.in_frames + rate.out_frames;
    cost->bytes = rate.in_bytes + rate.out_bytes;
}

static struct cost measure_with_gateways(int gateways, int supernodes, uint64_t seed,
                                         uint64_t steady_ms)
{
    struct cost cost = {.gateways = gateways, .supernodes = supernodes};
    struct crowd crowd;
    struct crowd_asks asks = {.may_ask = NULL};

    open_realm(&crowd, gateways, supernodes, seed);
    unsigned per_s = (unsigned)gateways / LOOK_UP_EVERY_S;
    crowd_ask(&crowd, &asks, per_s ? per_s : 1, steady_ms);
    measure_rate(&crowd, steady_ms, &cost);
    world_run(&crowd.world, 5000);
    struct crowd_asked asked = crowd_asked(&crowd, 0, UINT64_MAX);
    world_forget_asks(&crowd.world);
    cost.memory = measure_memory(&crowd);
    printf("   %7d %6d %8d %9.1f %9.0f %9.0f   %5d/%-6d %5llu %5llu %5llu %6.2f\n", gateways,
           supernodes, 2 * gateways / supernodes, cost.frames, cost.bytes, cost.memory / 1024,
           asked.wrong, asked.asked, (unsigned long long)asked.took_ms[0],
           (unsigned long long)asked.took_ms[1], (unsigned long long)asked.took_ms[2], asked.ideal);
    sim_check(&crowd.world, asked.wrong == 0 && asked.late == 0);
    crowd_close(&crowd);
    return cost;
}

static struct cost measure_alone(int supernodes, uint64_t seed, uint64_t steady_ms)
{
    struct cost cost = {.gateways = ALONE_GATEWAYS, .supernodes = supernodes};
    struct crowd crowd;

    open_realm(&crowd, ALONE_GATEWAYS, supernodes, seed);
    world_run(&crowd.world, 120000); /* links that were needed at first are closed */
    measure_rate(&crowd, steady_ms, &cost);
    for (int i = 0; i < 2; i++)
        cost.known_ms[i] = measure_failure(&crowd, supernodes / 2 + i, i == 1);
    cost.memory = measure_memory(&crowd);
    printf("   %6d %9.1f %9.0f %9.0f %9.2f %9.2f\n", supernodes, cost.frames, cost.bytes,
           cost.memory / 1024, cost.known_ms[0] / 1000, cost.known_ms[1] / 1000);
    crowd_close(&crowd);
    return cost;
}

/* ---- the model --------------------------------------------------------------------------------
 */

/* Between two of those measured, and beyond the last one: linear in log S. */
static double alone_at(const struct cost *alone, int count, double supernodes,
                       double (*part)(const struct cost *cost))
{
    int i = 1;

    while (i < count - 1 && alone[i].supernodes < supernodes)
        i++;
    if (count == 1)
        return part(&alone[0]);
    double x0 = log2(alone[i - 1].supernodes), x1 = log2(alone[i].supernodes);
    double y0 = part(&alone[i - 1]), y1 = part(&alone[i]);
    double y = y0 + (y1 - y0) * (log2(supernodes) - x0) / (x1 - x0);
    return y > 0 ? y : 0;
}

static double frames_of(const struct cost *cost)
{
    return cost->frames;
}

static double bytes_of(const struct cost *cost)
{
    return cost->bytes;
}

static double memory_at(const struct cost *last, double supernodes)
{
    return last->memory * supernodes / last->supernodes;
}

static void print_model(const struct cost *alone, int count, const struct cost *large)
{
    static const int nodes[] = {10000, 100000, 1000000, 1000000, 1000000};
    static const int supernodes[] = {24, 200, 200, 500, 2000};
    double attached = 2.0 * large->gateways / large->supernodes;
    double frames =
        (large->frames - alone_at(alone, count, large->supernodes, frames_of)) / attached;
    double bytes = (large->bytes - alone_at(alone, count, large->supernodes, bytes_of)) / attached;
    double memory = (large->memory - memory_at(&alone[count - 1], large->supernodes)) / attached;

    printf("   model: for each attachment %.3f messages/s, %.1f bytes/s, %.1f kB; the rest by the "
           "number of supernodes\n",
           frames, bytes, memory / 1024);
    printf("   %7s %6s %8s %9s %9s %9s\n", "nodes", "super", "attached", "messages", "bytes/s",
           "kB");
    for (int i = 0; i < 5; i++) {
        double each = 2.0 * nodes[i] / supernodes[i];
        printf("   %7d %6d %8.0f %9.0f %9.0f %9.0f\n", nodes[i], supernodes[i], each,
               alone_at(alone, count, supernodes[i], frames_of) + frames * each,
               alone_at(alone, count, supernodes[i], bytes_of) + bytes * each,
               (memory_at(&alone[count - 1], supernodes[i]) + memory * each) / 1024);
    }
}

void table_cost(const struct table_size *size)
{
    static const int gateways[] = {60, 1000, 10000}, supernodes[] = {5, 6, 24};
    static const int alone_supernodes[] = {8, 50, 100, 200};
    static const int counts[] = {1, 3, 3}, alone_counts[] = {1, 3, 4};
    struct cost alone[4], cost;
    int count = alone_counts[size->extent];

    printf("   supernodes by themselves; a failure known to all others after s, crashed and "
           "silent:\n   %6s %9s %9s %9s %9s %9s\n",
           "super", "messages", "bytes/s", "kB", "crashed", "silent");
    for (int i = 0; i < count; i++)
        alone[i] = measure_alone(alone_supernodes[i], size->seed, 300000);
    printf("   with gateways, per supernode; look-ups: failed of all, ms (median, 95 %%, 99 %%), "
           "median in the way there and back:\n   %7s %6s %8s %9s %9s %9s   %12s %17s %6s\n",
           "nodes", "super", "attached", "messages", "bytes/s", "kB", "look-ups", "ms", "ideal");
    if (size->gateways) {
        cost = measure_with_gateways(size->gateways, size->supernodes ? size->supernodes : 20,
                                     size->seed, 300000);
    } else {
        if (size->extent != TABLE_SMOKE)
            measure_with_gateways(100, 4, size->seed, 600000);
        for (int i = 0; i < counts[size->extent]; i++)
            if (size->extent == TABLE_SMOKE || i > 0)
                cost = measure_with_gateways(gateways[i], supernodes[i], size->seed,
                                             gateways[i] > 10000 ? 300000 : 600000);
    }
    if (size->extent != TABLE_SMOKE)
        print_model(alone, count, &cost);
}
