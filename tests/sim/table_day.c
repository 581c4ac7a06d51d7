/* The day of December 2010: of all supernodes 30 % die at once, and half of all clients crash and
 * come back together.
 *
 * In ordinary times each client connects anew once an hour; here those that crashed do at 100 times
 * the rate of all that: within 18 s. Half of the supernodes that die crash (their links break),
 * the other half fall silent (nobody is told). Each supernode has just the seats that the reserve
 * demands, and takes 300 connections a second. Look-ups and calls go on all the while.
 */
#include "overlay/core_internal.h"
#include "tests/sim/realm_checks.h"
#include "tests/sim/tables.h"

#include <stdio.h>
#include <stdlib.h>

#define USUAL_S 3600 /* each client connects once in so long */
#define TIMES 100
#define LOST_PERCENT 30
#define ACCEPTS_PER_S 300
#define SAMPLE_MS 250
#define WATCH_MS 600000
#define ASKS_PER_S 50
#define MOST_CALLS 500
#define KEPT_FOR_CALLS 16 /* seats.c */

struct day {
    struct crowd crowd;
    bool *crashes; /* by gateway */
    struct sim_call *calls[MOST_CALLS];
    int call_count, lost_supernodes, crashed;
    uint64_t start_ms;
    /* when it was so for the first time since, after start; 0: not yet */
    uint64_t attached_ms, standby_ms, known_ms;
    unsigned most_unattached;
    double most_load;                     /* clients of seats */
    uint64_t frames[2000], most_frames_s; /* of each supernode until now; within one second */
    uint64_t bytes[2000], most_bytes_s;
};

static void choose_who_crashes(struct day *day)
{
    day->crashes = core_alloc((size_t)day->crowd.gateway_count * sizeof *day->crashes);
    for (int i = 0; i < day->crowd.gateway_count; i++) {
        day->crashes[i] = world_random(&day->crowd.world, 2) == 0;
        day->crashed += day->crashes[i];
    }
}

static bool stays(const struct crowd *crowd, const struct sim_node *node)
{
    const struct day *day = (const struct day *)crowd; /* its first part */

    return !day->crashes[atoi(node->name + 1)];
}

static bool may_ask(struct crowd *crowd, const struct sim_node *from, const struct sim_node *to)
{
    (void)from;
    return stays(crowd, to);
}

/* Calls of nodes that do not crash: each must be there at the end. */
static void begin_calls(struct day *day)
{
    struct crowd *crowd = &day->crowd;
    int most = crowd->gateway_count / 8 < MOST_CALLS ? crowd->gateway_count / 8 : MOST_CALLS;
    char to[32];
    int error;

    for (int i = 0; i < 50 * most && day->call_count < most; i++) {
        uint64_t count = (uint64_t)crowd->gateway_count;
        struct sim_node *a = crowd->gateways[world_random(&crowd->world, count)],
                        *b = crowd->gateways[world_random(&crowd->world, count)];
        if (a == b || !stays(crowd, a) || !stays(crowd, b))
            continue;
        snprintf(to, sizeof to, "202@%s", b->name);
        day->calls[day->call_count] = sim_call_new(a, to, &error);
        sim_check(&crowd->world, day->calls[day->call_count++]);
        world_run(&crowd->world, 10);
    }
    world_run(&crowd->world, 5000);
    for (int i = 0; i < day->call_count; i++)
        sim_check(&crowd->world, day->calls[i]->answers == 1);
}

/* ---- the blow ---------------------------------------------------------------------------------
 */

static void act_start(void *arg)
{
    sim_node_start(arg);
}

static void strike(struct day *day)
{
    struct crowd *crowd = &day->crowd;
    uint64_t within_ms = (uint64_t)1000 * USUAL_S * (uint64_t)day->crashed /
                         (uint64_t)(TIMES * crowd->gateway_count);

    day->lost_supernodes = (crowd->supernode_count * LOST_PERCENT + 50) / 100;
    for (int lost = 0; lost < day->lost_supernodes;) {
        struct sim_node *node =
            crowd->supernodes[world_random(&crowd->world, (uint64_t)crowd->supernode_count)];
        if (!node->core)
            continue;
        if (lost++ % 2)
            sim_node_silence(node);
        else
            sim_node_crash(node);
    }
    for (int i = 0; i < crowd->gateway_count; i++) {
        if (!day->crashes[i])
            continue;
        sim_node_crash(crowd->gateways[i]);
        world_at(&crowd->world, 200 + world_random(&crowd->world, within_ms), act_start,
                 crowd->gateways[i]);
    }
}

/* ---- watching ---------------------------------------------------------------------------------
 */

static void look_at_supernodes(struct day *day, bool is_second_over)
{
    for (int i = 0; i < day->crowd.supernode_count; i++) {
        const struct sim_node *node = day->crowd.supernodes[i];
        if (!node->core)
            continue;
        double load = (double)node->core->client_count / node->core->seats;
        day->most_load = load > day->most_load ? load : day->most_load;
        if (!is_second_over)
            continue;
        struct sim_kind in = sim_traffic_sum(node->traffic->in);
        struct sim_kind out = sim_traffic_sum(node->traffic->out);
        uint64_t frames = in.frames + out.frames, bytes = in.bytes + out.bytes;
        if (day->frames[i] && frames - day->frames[i] > day->most_frames_s)
            day->most_frames_s = frames - day->frames[i];
        if (day->bytes[i] && bytes - day->bytes[i] > day->most_bytes_s)
            day->most_bytes_s = bytes - day->bytes[i];
        day->frames[i] = frames;
        day->bytes[i] = bytes;
    }
}

static void note(uint64_t *first_ms, bool is_so, uint64_t after_ms)
{
    if (!is_so)
        *first_ms = 0;
    else if (*first_ms == 0)
        *first_ms = after_ms;
}

static void look(struct day *day, int number)
{
    struct crowd *crowd = &day->crowd;
    unsigned without = 0, without_standby = 0;
    uint64_t after_ms = crowd->world.now_ms - day->start_ms;

    look_at_supernodes(day, number % (1000 / SAMPLE_MS) == 0);
    realm_check_seats(&crowd->world);
    for (int i = 0; i < crowd->gateway_count; i++) {
        int homes = sim_living_homes(crowd->gateways[i]);
        without += homes == 0;
        without_standby += homes < 2;
    }
    if (without > day->most_unattached)
        day->most_unattached = without;
    note(&day->attached_ms, without == 0, after_ms);
    note(&day->standby_ms, without_standby == 0, after_ms);
    if (crowd->supernode_count <= 200)
        note(&day->known_ms, realm_is_agreed(&crowd->world), after_ms);
}

static void watch(struct day *day)
{
    for (int i = 0; i < WATCH_MS / SAMPLE_MS; i++) {
        world_run(&day->crowd.world, SAMPLE_MS);
        look(day, i);
        uint64_t after_ms = day->crowd.world.now_ms - day->start_ms;
        if (day->standby_ms && after_ms > 90000 && after_ms > day->standby_ms + 20000)
            return;
    }
}

/* ---- what came of it --------------------------------------------------------------------------
 */

static int count_lost_calls(struct day *day)
{
    int lost = 0;

    for (int i = 0; i < day->call_count; i++) {
        struct sim_call *far = sim_call_far(&day->crowd.world, day->calls[i]);
        lost += !day->calls[i]->call || !far || !far->call;
        if (day->calls[i]->call)
            sim_call_end(day->calls[i], CALL_NORMAL);
    }
    world_run(&day->crowd.world, 10000);
    for (int i = 0; i < day->call_count; i++) /* each end reaches the other one still */
        lost += sim_call_far(&day->crowd.world, day->calls[i])->ends != 1;
    return lost;
}

static void print_asked(const struct day *day, const char *when, uint64_t from_ms, uint64_t to_ms)
{
    struct crowd_asked asked =
        crowd_asked(&day->crowd, day->start_ms + from_ms, day->start_ms + to_ms);

    printf(
        "   look-ups %-16s %6d, failed %d, later than 1 s %d; ms: median %llu, 95 %% %llu, 99 %% "
        "%llu\n",
        when, asked.asked, asked.wrong, asked.late, (unsigned long long)asked.took_ms[0],
        (unsigned long long)asked.took_ms[1], (unsigned long long)asked.took_ms[2]);
}

static void report(struct day *day, int lost_calls)
{
    struct sim_door doors = crowd_doors(&day->crowd);

    printf("   %d of %d supernodes died, %d clients crashed and came back within %d s; "
           "%u at most had no home\n",
           day->lost_supernodes, day->crowd.supernode_count, day->crashed,
           USUAL_S * day->crashed / (TIMES * day->crowd.gateway_count), day->most_unattached);
    printf("   all attached after %.1f s, all with a standby after %.1f s, the survivors agreed "
           "after %.1f s\n",
           (double)day->attached_ms / 1000, (double)day->standby_ms / 1000,
           (double)day->known_ms / 1000);
    printf("   load: %.0f %% of the seats at most; %llu frames/s and %llu bytes/s of the busiest\n",
           100 * day->most_load, (unsigned long long)day->most_frames_s,
           (unsigned long long)day->most_bytes_s);
    printf("   doors: %u dials in the worst second, %u waited at most, %llu SYNs lost, %llu timed "
           "out (cap %d/s)\n",
           doors.per_s_max, doors.waiting_max, (unsigned long long)doors.lost_syns,
           (unsigned long long)doors.timed_out, ACCEPTS_PER_S);
    printf("   calls in progress: %d, lost %d\n", day->call_count, lost_calls);
    print_asked(day, "first 2 s", 0, 2000);
    print_asked(day, "2 to 5 s", 2000, 5000);
    print_asked(day, "5 to 30 s", 5000, 30000);
    print_asked(day, "after that", 30000, UINT64_MAX / 2);
}

static void run(int gateways, int supernodes, uint64_t seed)
{
    unsigned needed = (unsigned)(2 * gateways * 100 / ((100 - LOST_PERCENT) * supernodes));
    struct crowd_settings settings = {.supernodes = supernodes,
                                      .gateways = gateways,
                                      .seed = seed,
                                      .seats = needed + needed / (KEPT_FOR_CALLS - 1) + 8,
                                      .accepts_per_s = ACCEPTS_PER_S};
    struct day *day = core_alloc(sizeof *day);
    struct crowd_asks asks = {.may_ask = may_ask};
    struct world *world = &day->crowd.world;

    crowd_open(&day->crowd, &settings);
    printf("   %d gateways, %d supernodes of %u seats\n", gateways, supernodes, settings.seats);
    crowd_start(&day->crowd, gateways / 100 * 1000 + 10000);
    sim_check(world, crowd_wait_attached(&day->crowd, 60000));
    sim_check(world, crowd_wait_standby(&day->crowd, 60000) == gateways);
    choose_who_crashes(day);
    begin_calls(day);
    world_count_anew(world);
    crowd_ask(&day->crowd, &asks, ASKS_PER_S, WATCH_MS);
    world_run(world, 20000);
    day->start_ms = world->now_ms;
    strike(day);
    watch(day);
    asks.until_ms = 0;
    world_run(world, 5000);
    int lost_calls = count_lost_calls(day);
    report(day, lost_calls);
    sim_check(world, lost_calls == 0);
    sim_check(world, day->attached_ms > 0 && day->standby_ms > 0);
    crowd_close(&day->crowd);
    free(day->crashes);
    free(day);
}

void table_day(const struct table_size *size)
{
    static const int gateways[] = {60, 2000, 10000}, supernodes[] = {7, 20, 40};

    run(size->gateways ? size->gateways : gateways[size->extent],
        size->supernodes ? size->supernodes : supernodes[size->extent], size->seed);
}
