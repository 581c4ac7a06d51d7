/* Supernodes that know each other: births, deaths, halves that part and meet again, and what this
 * does to the names that they hold. */
#include "overlay/core_internal.h"
#include "tests/sim/crowd.h"
#include "tests/sim/scene.h"

#include <stdio.h>
#include <string.h>

#define KNOWN_WITHIN_MS 2000

static struct sim_node *node_of(struct crowd *crowd, const struct member *member)
{
    for (int i = 0; i < crowd->supernode_count; i++)
        if (crowd->supernodes[i]->core && memcmp(crowd->supernodes[i]->core->self->node,
                                                 member->node, OVERLAY_NODE_ID_BYTES) == 0)
            return crowd->supernodes[i];
    return NULL;
}

/* Does each that runs know just those that run? */
static bool all_agree(void *arg)
{
    struct crowd *crowd = arg;
    int running = 0;

    for (int i = 0; i < crowd->supernode_count; i++)
        running += crowd->supernodes[i]->core != NULL;
    for (int i = 0; i < crowd->supernode_count; i++) {
        const struct core *core = crowd->supernodes[i]->core;
        if (core && core->members->live_count != running)
            return false;
        for (int k = 0; core && k < running; k++)
            if (!node_of(crowd, core->members->live[k]))
                return false;
    }
    return true;
}

static void open_crowd(struct crowd *crowd, int supernodes, int gateways, uint64_t seed)
{
    crowd_open(crowd, &(struct crowd_settings){
                          .supernodes = supernodes, .gateways = gateways, .seed = seed});
    crowd_start(crowd, 3000);
    sim_check(&crowd->world, crowd_wait_attached(crowd, 20000));
    sim_check(&crowd->world, world_run_until(&crowd->world, all_agree, crowd, 30000));
}

static void the_death_of_one_is_known_to_all(uint64_t seed, int supernodes)
{
    struct crowd crowd;

    open_crowd(&crowd, supernodes, 2, seed);
    world_run(&crowd.world, 10000 + world_random(&crowd.world, 5000));
    struct sim_node *one = crowd.supernodes[world_random(&crowd.world, (uint64_t)supernodes)];
    if (seed % 2)
        sim_node_silence(one);
    else
        sim_node_stop(one);
    sim_check(&crowd.world, world_run_until(&crowd.world, all_agree, &crowd, KNOWN_WITHIN_MS));
    crowd_close(&crowd);
}

static void the_death_of_one_of_ten(uint64_t seed)
{
    the_death_of_one_is_known_to_all(seed, 10);
}

/* More than a mesh. */
static void the_death_of_one_of_hundred(uint64_t seed)
{
    the_death_of_one_is_known_to_all(seed, 100);
}

/* One that was only cut off for a moment is back before anything has moved. */
static void a_false_alarm_is_put_right(uint64_t seed)
{
    struct crowd crowd;

    open_crowd(&crowd, 12, 2, seed);
    struct sim_node *accuser = crowd.supernodes[0];
    struct member *accused = members_next(accuser->core, 5);
    gossip_accuse(accuser->core, accused);
    sim_check(&crowd.world, accused->is_down);
    world_run(&crowd.world, 1000);
    sim_check(&crowd.world, all_agree(&crowd));
    crowd_close(&crowd);
}

static int half_of(const struct sim_node *node)
{
    return node->name[strlen(node->name) - 1] % 2;
}

static void two_halves_meet_again(uint64_t seed)
{
    struct crowd crowd;

    open_crowd(&crowd, 16, 4, seed);
    world_split(&crowd.world, half_of);
    world_run(&crowd.world, seed % 2 ? 20000 : 600000);
    for (int i = 0; i < crowd.supernode_count; i++)
        sim_check(&crowd.world, crowd.supernodes[i]->core->members->live_count == 8);
    world_heal(&crowd.world);
    sim_check(&crowd.world, world_run_until(&crowd.world, all_agree, &crowd, 30000));
    crowd_close(&crowd);
}

/* ---- names ------------------------------------------------------------------------------------
 */

static int count_holders(struct crowd *crowd, const struct sim_node *gateway)
{
    struct directory_answer answers[DIRECTORY_ANSWERS_MAX];
    struct member *holders[HOLDERS];
    const struct core *any = NULL;
    int count = 0;

    for (int i = 0; i < crowd->supernode_count && !any; i++)
        any = crowd->supernodes[i]->core;
    int ranked = members_rank(any, members_key(gateway->name), holders);
    for (int i = 0; i < ranked; i++) {
        const struct sim_node *holder = node_of(crowd, holders[i]);
        count += holder && directory_find(holder->core->directory, gateway->name,
                                          any->io.time_s(any->io.ctx), answers) > 0;
    }
    return count;
}

/* Is it attached to one that runs? */
static bool has_a_home(struct crowd *crowd, const struct sim_node *gateway)
{
    for (int i = 0; i < gateway->core->upstream_count; i++)
        for (int k = 0; k < crowd->supernode_count; k++)
            if (crowd->supernodes[k]->core &&
                strcmp(crowd->supernodes[k]->address, gateway->core->upstream[i]->address) == 0)
                return true;
    return false;
}

static int first_failed;

/* Two of the three that hold a name die at the same moment: it is found all the time, and soon
 * three hold it again. */
static void two_holders_of_three_die(uint64_t seed)
{
    struct crowd crowd;
    struct member *holders[HOLDERS];
    char to[40];

    open_crowd(&crowd, 9, 6, seed);
    world_run(&crowd.world, 5000);
    struct sim_node *callee = crowd.gateways[seed % 6], *caller = crowd.gateways[(seed + 1) % 6];
    sim_check(&crowd.world, count_holders(&crowd, callee) == HOLDERS);
    int spared = (int)world_random(&crowd.world, HOLDERS);
    sim_check(&crowd.world, members_rank(crowd.supernodes[0]->core, members_key(callee->name),
                                         holders) == HOLDERS);
    struct sim_node *dying[HOLDERS];
    for (int i = 0; i < HOLDERS; i++)
        dying[i] = node_of(&crowd, holders[i]);
    for (int i = 0; i < HOLDERS; i++)
        if (i != spared && seed % 2)
            sim_node_silence(dying[i]);
        else if (i != spared)
            sim_node_stop(dying[i]);
    snprintf(to, sizeof to, "201@%s", callee->name);
    bool can_call = has_a_home(&crowd, caller) && has_a_home(&crowd, callee);
    world_run(&crowd.world, 100);
    struct sim_call *call = caller->is_told_attached ? scene_call(caller, to) : NULL;
    world_run(&crowd.world, 4000);
    if (call && can_call && call->rings == 0) {
        /* Two that died without a word may stand on each way that it tried in its time; who dials
         * again gets through. */
        first_failed++;
        call = scene_call(caller, to);
        world_run(&crowd.world, 2000);
        sim_check(&crowd.world, call->rings == 1);
    }
    sim_check(&crowd.world, count_holders(&crowd, callee) == HOLDERS);
    crowd_close(&crowd);
}

int main(int argc, char **argv)
{
    scene_seeds(argc, argv, "one-of-ten", the_death_of_one_of_ten, 20);
    scene_seeds(argc, argv, "one-of-hundred", the_death_of_one_of_hundred, 2);
    scene_seeds(argc, argv, "false-alarm", a_false_alarm_is_put_right, 5);
    scene_seeds(argc, argv, "halves", two_halves_meet_again, 4);
    scene_seeds(argc, argv, "two-holders", two_holders_of_three_die, 60);
    printf("two-holders: %d calls that began at that moment had to be dialled again\n",
           first_failed);
    sim_identities_free();
    return 0;
}
