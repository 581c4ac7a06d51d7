/* Gateways whose supernodes have nothing in common: each message passes two of them. */
#include "overlay/core_internal.h"
#include "tests/sim/scene.h"

#include <stdlib.h>
#include <string.h>

/* berlin is at a and b, paris at c and d, which have no seat for anybody else; e and f are spare.
 */
struct apart {
    struct world world;
    struct sim_node *a, *b, *c, *d, *e, *f, *berlin, *paris;
};

static void open_apart(struct apart *apart, uint64_t seed)
{
    struct world *world = &apart->world;
    struct sim_node **supernodes[] = {&apart->a, &apart->b, &apart->c,
                                      &apart->d, &apart->e, &apart->f};
    static const char *const names[] = {"a", "b", "c", "d", "e", "f"};

    world_init(world, seed);
    for (int i = 0; i < 6; i++) {
        *supernodes[i] = world_supernode(world, names[i]);
        (*supernodes[i])->seats = 1;
        for (int j = 0; j < i; j++)
            sim_node_knows(*supernodes[i], *supernodes[j]);
    }
    apart->berlin = world_gateway(world, "berlin");
    apart->paris = world_gateway(world, "paris");
    sim_node_knows(apart->berlin, apart->a);
    sim_node_knows(apart->berlin, apart->b);
    sim_node_knows(apart->paris, apart->c);
    sim_node_knows(apart->paris, apart->d);
    for (int i = 0; i < world->node_count; i++)
        if (world->nodes[i] != apart->e && world->nodes[i] != apart->f)
            sim_node_start(world->nodes[i]);
    world_run(world, 2000);
    sim_check(world, apart->berlin->core->upstream_count == 2);
    sim_check(world, apart->paris->core->upstream_count == 2);
}

static void close_apart(struct apart *apart)
{
    struct sim_call *call;

    STAILQ_FOREACH(call, &apart->world.calls, next)
    if (call->call && call->node->core && call->epoch == call->node->epoch)
        sim_call_end(call, CALL_NORMAL);
    world_run(&apart->world, 45000);
    world_check_calm(&apart->world);
    world_fini(&apart->world);
}

static bool holds(const struct sim_node *supernode, const struct sim_node *gateway)
{
    struct directory_answer answers[DIRECTORY_ANSWERS_MAX];
    const struct core *core = supernode->core;

    return directory_find(core->directory, gateway->name, core->io.time_s(core->io.ctx), answers) ==
           1;
}

/* The name of each gateway, at each of the three that rank highest for it. */
static void records_are_handed_to_their_holders(uint64_t seed)
{
    struct apart apart;
    struct member *holders[HOLDERS];

    open_apart(&apart, seed);
    struct sim_node *up[] = {apart.a, apart.b, apart.c, apart.d};
    struct sim_node *gateways[] = {apart.berlin, apart.paris};
    world_run(&apart.world, 3000);
    for (int g = 0; g < 2; g++) {
        uint64_t key = members_key(gateways[g]->name);
        sim_check(&apart.world, members_rank(apart.a->core, key, holders) == HOLDERS);
        for (int h = 0; h < HOLDERS; h++)
            for (int i = 0; i < 4; i++)
                if (memcmp(holders[h]->node, up[i]->core->self->node, OVERLAY_NODE_ID_BYTES) == 0)
                    sim_check(&apart.world, holds(up[i], gateways[g]));
    }
    close_apart(&apart);
}

static struct sim_node *home_of(struct apart *apart, struct sim_node *node)
{
    for (int i = 0; i < apart->world.node_count; i++)
        if (strcmp(apart->world.nodes[i]->address, node->core->upstream[0]->address) == 0)
            return apart->world.nodes[i];
    return NULL;
}

/* Whichever of the four dies without a word, a repetition goes another way. */
static void any_supernode_may_be_dead(uint64_t seed)
{
    struct apart apart;

    open_apart(&apart, seed);
    struct sim_node *dead = home_of(&apart, seed % 2 ? apart.berlin : apart.paris);
    sim_node_silence(dead);
    struct sim_call *call = scene_call(apart.berlin, "202@paris");
    world_run(&apart.world, 3000);
    sim_check(&apart.world, call->rings == 1 && call->answers == 1);
    sim_check(&apart.world, call->rang_ms - call->start_ms < 1500);
    close_apart(&apart);
}

/* The far end has moved to other supernodes while the call was up. */
static void an_end_finds_who_has_moved(uint64_t seed)
{
    struct apart apart;

    open_apart(&apart, seed);
    struct sim_call *call = scene_call(apart.berlin, "202@paris");
    world_run(&apart.world, 1000);
    struct sim_call *far = sim_call_far(&apart.world, call);
    sim_check(&apart.world, call->answers == 1);
    sim_node_start(apart.e);
    sim_node_start(apart.f);
    world_run(&apart.world, 40000);
    sim_node_stop(apart.c);
    sim_node_stop(apart.d);
    world_run(&apart.world, 60000);
    sim_check(&apart.world, apart.paris->core->upstream_count == 2);
    if (seed % 2) {
        sim_call_end(call, CALL_NORMAL);
        world_run(&apart.world, 5000);
        sim_check(&apart.world, far->ends == 1);
    } else {
        sim_call_end(far, CALL_NORMAL);
        world_run(&apart.world, 5000);
        sim_check(&apart.world, call->ends == 1);
    }
    close_apart(&apart);
}

/* a knows of paris only what was true long ago: the call finds out, and asks the others. */
static void a_stale_record_costs_a_moment_only(uint64_t seed)
{
    struct apart apart;
    Sallyport__SignedRecord wire;
    struct record *record = core_alloc(sizeof *record);
    uint64_t held;

    open_apart(&apart, seed);
    struct core *paris = apart.paris->core;
    strcpy(record->name, "paris");
    record->certificate = *paris->self;
    record->sequence = 1;
    record->issued_s = paris->io.time_s(paris->io.ctx);
    record->lifetime_s = 900;
    record->homes.count = 1;
    strcpy(record->homes.home[0].address, apart.b->address);
    record->homes.home[0].has_node = true;
    memcpy(record->homes.home[0].node, apart.b->core->self->node, OVERLAY_NODE_ID_BYTES);
    record_sign(apart.paris->identity, record, &wire);
    struct sim_node *ours[] = {apart.a, apart.b};
    for (int i = 0; i < 2; i++) {
        directory_free(ours[i]->core->directory);
        ours[i]->core->directory = directory_new();
        directory_put(ours[i]->core->directory, record, &wire, &held);
    }
    struct sim_call *call = scene_call(apart.berlin, "202@paris");
    world_run(&apart.world, 2000);
    sim_check(&apart.world, call->answers == 1);
    sim_check(&apart.world, call->rang_ms - call->start_ms < 800);
    record_signed_fini(&wire);
    free(record);
    close_apart(&apart);
}

/* Says nothing to anybody about calls. */
static int be_mute(struct sim_node *node, uint8_t *frame, size_t bytes, size_t room)
{
    (void)node;
    (void)room;
    return sim_is_route(frame, bytes) ? 0 : (int)bytes;
}

/* One supernode is the home of the one and the standby of the other, and swallows what it is to
 * carry: one of the four ways is left. */
static void one_that_swallows_calls_is_passed_by(uint64_t seed)
{
    static const struct sim_faults swallows = {.lost = 1000};
    struct scene scene;
    struct world *world = &scene.world;

    scene_open(&scene, seed);
    struct sim_node *third = world_supernode(world, "three");
    sim_node_knows(third, scene.one);
    sim_node_start(third);
    struct sim_node *rome = world_gateway(world, "rome");
    sim_node_knows(rome, third);
    sim_node_start(rome);
    world_run(world, 5000);
    sim_check(world, rome->core->upstream_count == 2);
    struct sim_node *all[] = {scene.one, scene.two, third}, *from[] = {scene.berlin, rome};
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 2; k++) {
            all[i]->faults = &swallows;
            struct sim_call *call = scene_call(from[k], k ? "202@paris" : "202@rome");
            world_run(world, 3000);
            sim_check(world, call->answers == 1);
            sim_call_end(call, CALL_NORMAL);
            world_run(world, 12000);
            all[i]->faults = NULL;
        }
    scene_close(&scene);
}

/* One of two gateways of a site hears the offer but cannot answer: the other one gets it, and the
 * first one stops ringing. */
static void an_offer_is_taken_back(uint64_t seed)
{
    struct apart apart;

    open_apart(&apart, seed);
    struct sim_node *twin = world_twin(&apart.world, "paris");
    sim_node_knows(twin, apart.e);
    sim_node_start(apart.e);
    sim_node_start(twin);
    apart.paris->plan.answer_ms = SIM_NEVER;
    world_run(&apart.world, 40000);
    sim_check(&apart.world, twin->is_told_attached);
    apart.paris->on_send = be_mute;
    struct sim_call *call = scene_call(apart.berlin, "202@paris"), *mute = NULL, *other;
    world_run(&apart.world, 3000);
    sim_check(&apart.world, call->answers == 1);
    STAILQ_FOREACH(other, &apart.world.calls, next)
    if (other->node == apart.paris)
        mute = other;
    sim_check(&apart.world, !mute || mute->ends == 1);
    close_apart(&apart);
}

int main(int argc, char **argv)
{
    scene_seeds(argc, argv, "handed", records_are_handed_to_their_holders, 5);
    scene_seeds(argc, argv, "dead", any_supernode_may_be_dead, 20);
    scene_seeds(argc, argv, "moved", an_end_finds_who_has_moved, 6);
    scene_seeds(argc, argv, "stale", a_stale_record_costs_a_moment_only, 4);
    scene_seeds(argc, argv, "swallows", one_that_swallows_calls_is_passed_by, 12);
    scene_seeds(argc, argv, "take-back", an_offer_is_taken_back, 8);
    sim_identities_free();
    return 0;
}
