/* A realm whose nodes come and go, with the life times that were measured in Skype: half of the
 * supernodes are up for more than 5.5 hours (Guha, Daswani and Jain, 2006).
 *
 * Life times are drawn from an exponential distribution with that median; real ones have a longer
 * tail, which is kinder. A supernode is down for 5 to 30 minutes and comes back at the same
 * address, so their number stays about the same. Gateways are up for a median of 2 hours, and down
 * as long. Half of the ends are crashes, a quarter are silent, a quarter say goodbye.
 */
#include "overlay/core_internal.h"
#include "tests/sim/realm_checks.h"
#include "tests/sim/tables.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define SUPERNODE_MEDIAN_MS (5.5 * 3600 * 1000)
#define GATEWAY_MEDIAN_MS (2.0 * 3600 * 1000)
#define QUIET_MS 1800000
#define ASKS_PER_S 5
#define STEP_MS 600000

struct life {
    struct churn *churn;
    struct sim_node *node;
    bool is_supernode;
};

struct churn {
    struct crowd crowd;
    struct life *lives;
    bool is_over;
    int supernode_ends, gateway_ends;
};

static void act_end(void *arg);

static uint64_t draw_ms(struct churn *churn, double median_ms)
{
    double part = ((double)world_random(&churn->crowd.world, 1000000) + 1) / 1000001;

    return (uint64_t)(-log(part) / log(2) * median_ms);
}

static uint64_t up_ms(struct churn *churn, const struct life *life)
{
    return draw_ms(churn, life->is_supernode ? SUPERNODE_MEDIAN_MS : GATEWAY_MEDIAN_MS);
}

static void act_start(void *arg)
{
    struct life *life = arg;

    if (!life->node->core)
        sim_node_start(life->node);
    world_at(&life->churn->crowd.world, up_ms(life->churn, life), act_end, life);
}

static void act_end(void *arg)
{
    struct life *life = arg;
    struct world *world = &life->churn->crowd.world;

    if (life->churn->is_over)
        return;
    switch (world_random(world, 4)) {
    case 0:
        sim_node_silence(life->node);
        break;
    case 1:
        sim_node_stop(life->node);
        break;
    default:
        sim_node_crash(life->node);
    }
    if (life->is_supernode)
        life->churn->supernode_ends++;
    else
        life->churn->gateway_ends++;
    world_at(world,
             life->is_supernode ? 300000 + world_random(world, 1500000)
                                : draw_ms(life->churn, GATEWAY_MEDIAN_MS),
             act_start, life);
}

static void begin(struct churn *churn)
{
    struct crowd *crowd = &churn->crowd;
    int count = crowd->supernode_count + crowd->gateway_count;

    churn->lives = core_alloc((size_t)count * sizeof *churn->lives);
    for (int i = 0; i < count; i++) {
        bool is_supernode = i < crowd->supernode_count;
        churn->lives[i] = (struct life){
            .churn = churn,
            .node =
                is_supernode ? crowd->supernodes[i] : crowd->gateways[i - crowd->supernode_count],
            .is_supernode = is_supernode,
        };
        world_at(&crowd->world, up_ms(churn, &churn->lives[i]), act_end, &churn->lives[i]);
    }
}

/* ---- what it costs ----------------------------------------------------------------------------
 */

/* Records that clients publish, those handed from supernode to supernode, and all messages. */
struct traffic {
    double published, records, record_bytes, frames, bytes; /* per supernode and second */
};

static struct traffic measure(struct crowd *crowd)
{
    struct crowd_rate rate = crowd_rate(crowd);
    struct traffic traffic = {.frames = rate.in_frames + rate.out_frames,
                              .bytes = rate.in_bytes + rate.out_bytes};

    for (int i = 0; i < crowd->supernode_count; i++) {
        const struct sim_traffic *counted = crowd->supernodes[i]->traffic;
        const struct sim_kind *kind = &counted->out[SALLYPORT__ENVELOPE__BODY_PUBLISH];
        const struct sim_kind *heard = &counted->in[SALLYPORT__ENVELOPE__BODY_PUBLISH];
        double s = (double)(crowd->world.now_ms - counted->since_ms) / 1000;
        traffic.records += (double)kind->frames / s / crowd->supernode_count;
        traffic.record_bytes += (double)kind->bytes / s / crowd->supernode_count;
        traffic.published += (double)heard->frames / s / crowd->supernode_count;
    }
    traffic.published -= traffic.records; /* what others handed on was heard, too */
    return traffic;
}

static void print_traffic(const char *when, const struct traffic *traffic)
{
    printf(
        "   %-8s per supernode: records published %.2f/s, handed on %.2f/s, %.0f bytes/s; in all "
        "%.1f messages/s, %.0f bytes/s\n",
        when, traffic->published, traffic->records, traffic->record_bytes, traffic->frames,
        traffic->bytes);
}

static void add_up(struct crowd_asked *sum, const struct crowd_asked *part)
{
    sum->asked += part->asked;
    sum->wrong += part->wrong;
    sum->late += part->late;
    for (int i = 0; i < 3; i++)
        sum->took_ms[i] = part->took_ms[i] > sum->took_ms[i] ? part->took_ms[i] : sum->took_ms[i];
}

static void run(int gateways, int supernodes, uint64_t seed, uint64_t hours)
{
    struct churn *churn = core_alloc(sizeof *churn);
    struct crowd *crowd = &churn->crowd;
    struct crowd_asks asks = {.may_ask = NULL};
    struct crowd_asked all = {0};

    crowd_open(crowd, &(struct crowd_settings){
                          .supernodes = supernodes, .gateways = gateways, .seed = seed});
    printf("   %d gateways, %d supernodes, %llu hours\n", gateways, supernodes,
           (unsigned long long)hours);
    for (int i = 0; i < supernodes; i++)
        crowd->supernodes[i]->has_disk = true;
    crowd_start(crowd, 10000 + 2 * (uint64_t)gateways);
    sim_check(&crowd->world, crowd_wait_attached(crowd, 60000));
    crowd_wait_standby(crowd, 60000);
    crowd_ask(crowd, &asks, ASKS_PER_S, QUIET_MS + hours * 3600000);
    world_count_anew(&crowd->world);
    world_run(&crowd->world, QUIET_MS);
    struct traffic quiet = measure(crowd);
    begin(churn);
    world_count_anew(&crowd->world);
    for (uint64_t ms = 0; ms < hours * 3600000; ms += STEP_MS) {
        world_run(&crowd->world, STEP_MS);
        realm_check_seats(&crowd->world);
        struct crowd_asked part = crowd_asked(crowd, 0, crowd->world.now_ms - 10000);
        add_up(&all, &part);
        world_forget_asks(&crowd->world);
    }
    struct traffic lively = measure(crowd);
    churn->is_over = true;
    print_traffic("quiet", &quiet);
    print_traffic("lively", &lively);
    printf("   because supernodes came and went %.3f/s were handed on\n",
           lively.records - lively.published * quiet.records / quiet.published);
    printf("   %d supernodes and %d gateways ended\n", churn->supernode_ends, churn->gateway_ends);
    printf("   look-ups %d, failed %d (%.3f %%), later than 1 s %d; the worst 10 minutes: median "
           "%llu ms, 99 %% %llu ms\n",
           all.asked, all.wrong, 100.0 * all.wrong / (all.asked ? all.asked : 1), all.late,
           (unsigned long long)all.took_ms[0], (unsigned long long)all.took_ms[2]);
    sim_check(&crowd->world, all.wrong * 200 <= all.asked);
    crowd_close(crowd);
    free(churn->lives);
    free(churn);
}

void table_churn(const struct table_size *size)
{
    static const int gateways[] = {40, 1000, 2000}, supernodes[] = {6, 20, 40};
    static const uint64_t hours[] = {4, 4, 12};

    run(size->gateways ? size->gateways : gateways[size->extent],
        size->supernodes ? size->supernodes : supernodes[size->extent], size->seed,
        hours[size->extent]);
}
