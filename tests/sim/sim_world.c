/* The simulator itself: large worlds do what world.h says. */
#include "overlay/core_internal.h"
#include "tests/sim/crowd.h"
#include "tests/sim/scene.h"
#include "tests/sim/wire.h"

#include <stdlib.h>
#include <string.h>

static int half_of(const struct sim_node *node)
{
    return node->x < 0.5f;
}

static struct sim_node *node_at(struct world *world, const char *address)
{
    struct sim_node *node;

    HASH_FIND_STR(world->listeners, address, node);
    return node;
}

static bool is_linked_across(struct crowd *crowd)
{
    for (int i = 0; i < crowd->gateway_count; i++) {
        const struct sim_node *gateway = crowd->gateways[i];
        for (int k = 0; k < gateway->core->upstream_count; k++)
            if (half_of(node_at(&crowd->world, gateway->core->upstream[k]->address)) !=
                half_of(gateway))
                return true;
    }
    return false;
}

/* Nobody hears that the world is split: links across die of silence. After it all find back. */
static void a_split_world_heals(uint64_t seed)
{
    struct crowd crowd;

    crowd_open(&crowd, &(struct crowd_settings){.supernodes = 8, .gateways = 40, .seed = seed});
    crowd_start(&crowd, 2000);
    sim_check(&crowd.world, crowd_wait_attached(&crowd, 30000));
    sim_check(&crowd.world, crowd_wait_standby(&crowd, 10000) == 40);
    sim_check(&crowd.world, is_linked_across(&crowd));
    world_split(&crowd.world, half_of);
    world_run(&crowd.world, 1000);
    sim_check(&crowd.world, is_linked_across(&crowd));
    world_run(&crowd.world, 90000);
    sim_check(&crowd.world, !is_linked_across(&crowd));
    world_heal(&crowd.world);
    sim_check(&crowd.world, crowd_wait_standby(&crowd, 400000) == 40);
    sim_check(&crowd.world, crowd_call(&crowd, 20, 1000, 2000).answered == 20);
    world_check_calm(&crowd.world);
    crowd_close(&crowd);
}

/* All come at once to a supernode that takes ten a second and lets twenty wait. */
static void a_door_takes_so_many(uint64_t seed)
{
    struct crowd crowd;

    crowd_open(&crowd, &(struct crowd_settings){
                           .supernodes = 1, .gateways = 100, .seed = seed, .accepts_per_s = 10});
    struct sim_door *door = &crowd.supernodes[0]->door;
    door->queue_max = 20;
    crowd_start(&crowd, 1);
    world_run(&crowd.world, 5000);
    sim_check(&crowd.world, door->per_s_max >= 100 && door->waiting_max == 20);
    sim_check(&crowd.world, door->lost_syns >= 80);
    sim_check(&crowd.world, door->accepted >= 40 && door->accepted <= 50);
    world_count_anew(&crowd.world);
    sim_check(&crowd.world, door->accepted == 0 && door->accepts_per_s == 10);
    sim_check(&crowd.world, crowd_wait_attached(&crowd, 120000));
    sim_check(&crowd.world, door->timed_out > 0);
    crowd_close(&crowd);
}

/* Half of all come back at once; the doors say how hard it was. */
static void half_come_back_at_once(uint64_t seed)
{
    struct crowd crowd;

    crowd_open(&crowd, &(struct crowd_settings){
                           .supernodes = 4, .gateways = 200, .seed = seed, .accepts_per_s = 20});
    crowd_start(&crowd, 20000);
    sim_check(&crowd.world, crowd_wait_standby(&crowd, 60000) == 200);
    sim_check(&crowd.world, crowd_doors(&crowd).timed_out == 0);
    world_count_anew(&crowd.world);
    int cut = crowd_cut(&crowd, 500);
    sim_check(&crowd.world, cut > 60 && cut < 140);
    world_run(&crowd.world, 200);
    sim_check(&crowd.world, crowd.world.attached_count < 204 - (unsigned)cut / 2);
    sim_check(&crowd.world, crowd_wait_standby(&crowd, 120000) == 200);
    struct sim_door doors = crowd_doors(&crowd);
    sim_check(&crowd.world, doors.accepted >= 2 * (unsigned)cut && doors.waiting_max > 10);
    crowd_close(&crowd);
}

static void delays_grow_with_the_distance(uint64_t seed)
{
    struct world world;
    uint64_t near_ms, far_ms;

    world_init(&world, seed);
    world_spread(&world, 10, 150, 5);
    struct sim_node *here = world_supernode(&world, "here"), *there = world_site(&world, "there");
    here->x = here->y = there->x = there->y = 0;
    for (int i = 0; i < 100; i++) {
        near_ms = world_delay_ms(&world, here, there);
        sim_check(&world, near_ms >= 10 && near_ms <= 15);
    }
    there->x = there->y = 1;
    for (int i = 0; i < 100; i++) {
        far_ms = world_delay_ms(&world, here, there);
        sim_check(&world, far_ms >= 149 && far_ms <= 155);
    }
    sim_node_knows(there, here);
    sim_node_start(here);
    sim_node_start(there);
    world_run(&world, 500);
    sim_check(&world, !there->is_told_attached);
    world_run(&world, 700);
    sim_check(&world, there->is_told_attached);
    world_fini(&world);
}

static void frames_are_counted(uint64_t seed)
{
    struct world world;

    world_init(&world, seed);
    struct sim_node *hub = world_supernode(&world, "hub"), *berlin = world_site(&world, "berlin");
    sim_node_knows(berlin, hub);
    sim_traffic_start(berlin);
    sim_node_start(hub);
    sim_node_start(berlin);
    world_run(&world, 5000);
    const struct sim_traffic *heard = hub->traffic, *said = berlin->traffic;
    sim_check(&world, heard->in[SALLYPORT__ENVELOPE__BODY_HELLO].frames == 1);
    sim_check(&world, heard->in[SALLYPORT__ENVELOPE__BODY_HELLO].bytes > 20);
    sim_check(&world, sim_traffic_sum(heard->in).bytes == sim_traffic_sum(said->out).bytes);
    sim_check(&world, sim_traffic_sum(heard->out).frames == sim_traffic_sum(said->in).frames);
    world_count_anew(&world);
    sim_check(&world, sim_traffic_sum(hub->traffic->in).frames == 0);
    world_run(&world, 60000);
    sim_check(&world, hub->traffic->in[SALLYPORT__ENVELOPE__BODY_PING].frames >= 2);
    world_fini(&world);
}

/* Lives come and go; what was between them does not pile up. */
static void what_is_over_is_freed(uint64_t seed)
{
    struct crowd crowd;

    crowd_open(&crowd, &(struct crowd_settings){.supernodes = 3, .gateways = 50, .seed = seed});
    crowd_start(&crowd, 1000);
    for (int i = 0; i < 50; i++) {
        struct sim_node *node = crowd.gateways[i];
        if (i % 2)
            sim_node_stop(node);
        else
            sim_node_silence(node);
        sim_node_start(node);
        world_run(&crowd.world, world_random(&crowd.world, 200));
    }
    sim_check(&crowd.world, crowd_wait_standby(&crowd, 120000) == 50);
    /* Two for each gateway, one between each two supernodes. */
    sim_check(&crowd.world, HASH_COUNT(crowd.world.ends) == 2 * (50 * 2 + 3));
    for (int i = 0; i < crowd.world.node_count; i++)
        sim_node_stop(crowd.world.nodes[i]);
    world_run(&crowd.world, 1000);
    sim_check(&crowd.world, LIST_EMPTY(&crowd.world.wires) && crowd.world.attached_count == 0);
    crowd_close(&crowd);
}

int main(int argc, char **argv)
{
    scene_seeds(argc, argv, "split", a_split_world_heals, 2);
    scene_seeds(argc, argv, "door", a_door_takes_so_many, 2);
    scene_seeds(argc, argv, "half", half_come_back_at_once, 2);
    scene_seeds(argc, argv, "places", delays_grow_with_the_distance, 2);
    scene_seeds(argc, argv, "counted", frames_are_counted, 2);
    scene_seeds(argc, argv, "freed", what_is_over_is_freed, 2);
    sim_identities_free();
    return 0;
}
