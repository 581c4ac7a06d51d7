/* Supernodes that vanish, find each other, restart; sites that are offline. */
#include "overlay/core_internal.h"
#include "tests/sim/realm_checks.h"
#include "tests/sim/scene.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SETUP_MS 120 /* from the call to the first ring, with a little more */

enum loss { STOPPED, SILENT };

static void vanish(struct sim_node *supernode, enum loss loss)
{
    if (loss == STOPPED)
        sim_node_stop(supernode);
    else
        sim_node_silence(supernode);
}

/* However the home goes, and whenever: the phone rings within 1.5 s. */
static void home_vanishes(uint64_t seed, bool is_caller, enum loss loss)
{
    struct scene scene;

    scene_open(&scene, seed);
    scene.paris->plan.answer_ms = SIM_NEVER;
    struct sim_node *home = scene_home(&scene, is_caller ? scene.berlin : scene.paris, 0);
    struct sim_call *call = scene_call(scene.berlin, "202@paris");
    world_run(&scene.world, world_random(&scene.world, SETUP_MS));
    vanish(home, loss);
    world_run(&scene.world, 3000);
    sim_check(&scene.world, call->rings == 1);
    sim_check(&scene.world, call->rang_ms - call->start_ms < (loss == STOPPED ? 300 : 1500));

    struct sim_call *far = sim_call_far(&scene.world, call);
    struct overlay_media media = {.codec = CODEC_OPUS, .direction = MEDIA_SENDRECV};
    sim_check(&scene.world, overlay_call_answer(far->call, &media) == 0);
    world_run(&scene.world, 1500);
    sim_check(&scene.world, call->answers == 1);
    world_run(&scene.world, 6000);
    sim_check(&scene.world, scene.berlin->core->upstream_count == 1); /* found out by a probe */
    /* What goes on while the call is up does not end it. */
    world_run(&scene.world, 60000);
    sim_check(&scene.world, call->call && far->call);
    sim_call_end(call, CALL_NORMAL);
    world_run(&scene.world, 1000);
    sim_check(&scene.world, far->ends == 1);
    scene_close(&scene);
}

static void the_callers_home_stops(uint64_t seed)
{
    home_vanishes(seed, true, STOPPED);
}

static void the_callers_home_falls_silent(uint64_t seed)
{
    home_vanishes(seed, true, SILENT);
}

static void the_callees_home_stops(uint64_t seed)
{
    home_vanishes(seed, false, STOPPED);
}

static void the_callees_home_falls_silent(uint64_t seed)
{
    home_vanishes(seed, false, SILENT);
}

/* It was dead before the call and nobody had noticed. */
static void the_home_was_dead_already(uint64_t seed)
{
    struct scene scene;

    scene_open(&scene, seed);
    sim_node_silence(scene_home(&scene, scene.berlin, 0));
    world_run(&scene.world, 500);
    struct sim_call *call = scene_call(scene.berlin, "202@paris");
    world_run(&scene.world, 2000);
    sim_check(&scene.world, call->rings == 1 && call->rang_ms - call->start_ms < 1000);
    scene_close(&scene);
}

static void all_supernodes_are_gone_while_a_call_is_up(uint64_t seed)
{
    struct scene scene;

    scene_open(&scene, seed);
    struct sim_call *call = scene_call(scene.berlin, "202@paris");
    world_run(&scene.world, 1000);
    sim_check(&scene.world, call->answers == 1);
    sim_node_stop(scene.one);
    sim_node_stop(scene.two);
    world_run(&scene.world, 100);
    sim_check(&scene.world, scene.berlin->detached == 1 && scene.berlin->why[0]);
    struct overlay_media hold = {.codec = CODEC_OPUS, .direction = MEDIA_SENDONLY};
    sim_check(&scene.world, overlay_call_update(call->call, &hold) == 0);
    world_run(&scene.world, 120000);
    sim_check(&scene.world, call->call);
    sim_node_start(scene.one);
    /* Back-off has grown to some minutes at most. */
    world_run(&scene.world, 400000);
    struct sim_call *far = sim_call_far(&scene.world, call);
    sim_check(&scene.world, far->call && far->direction == MEDIA_RECVONLY);
    scene_close(&scene);
}

static void nodes_of_two_supernodes_find_each_other(uint64_t seed)
{
    struct scene scene;

    scene_open_apart(&scene, seed);
    /* Supernodes tell of each other: soon both gateways are attached to both. */
    sim_check(&scene.world, scene.berlin->core->upstream_count == 2);
    struct sim_call *call = scene_call(scene.berlin, "202@paris");
    struct sim_call *back = scene_call(scene.paris, "202@berlin");
    world_run(&scene.world, 1000);
    sim_check(&scene.world, call->answers == 1 && back->answers == 1);
    scene_close(&scene);
}

static int relays_known(const struct sim_node *node)
{
    struct core_relay relays[CORE_RELAYS_MAX];

    return core_take_relays(node->core, relays, CORE_RELAYS_MAX);
}

/* Each gateway hears of the relays of both supernodes, whichever it is attached to, and of the end
 * of one within seconds. */
static void relays_are_known_everywhere(uint64_t seed)
{
    struct scene scene;

    scene_open_apart(&scene, seed);
    world_run(&scene.world, 3000);
    sim_check(&scene.world, relays_known(scene.berlin) == 2 && relays_known(scene.paris) == 2);
    sim_node_stop(scene.two);
    world_run(&scene.world, 3000);
    sim_check(&scene.world, relays_known(scene.berlin) == 1);
    sim_node_start(scene.two);
    world_run(&scene.world, 60000);
    sim_check(&scene.world, relays_known(scene.berlin) == 2 && relays_known(scene.paris) == 2);
    scene_close(&scene);
}

/* Each supernode has one seat for strangers, so each gateway stays at its own. */
static void a_route_takes_two_supernodes(uint64_t seed)
{
    struct world world;
    struct sim_node *one, *two, *berlin, *paris;

    world_init(&world, seed);
    one = world_supernode(&world, "one");
    two = world_supernode(&world, "two");
    one->seats = two->seats = 1;
    sim_node_knows(one, two);
    berlin = world_gateway(&world, "berlin");
    paris = world_gateway(&world, "paris");
    sim_node_knows(berlin, one);
    sim_node_knows(paris, two);
    for (int i = 0; i < world.node_count; i++)
        sim_node_start(world.nodes[i]);
    world_run(&world, 5000);
    sim_check(&world, berlin->core->upstream_count == 1 && paris->core->upstream_count == 1);
    struct sim_call *call = scene_call(berlin, "202@paris");
    world_run(&world, 1000);
    sim_check(&world, call->answers == 1);

    /* The site of the other supernode goes offline: told within 2 s. */
    sim_node_stop(paris);
    world_run(&world, 1000);
    struct sim_call *late = scene_call(berlin, "202@paris");
    world_run(&world, 2000);
    sim_check(&world, late->ends == 1 && late->cause.reason == CALL_UNAVAILABLE);
    sim_check(&world, strcmp(late->cause.text, "paris is offline") == 0);
    sim_call_end(call, CALL_NORMAL);
    world_run(&world, 40000);
    world_check_calm(&world);
    world_fini(&world);
}

/* Supernodes that serve a site of their own, with no one else: attached to themselves. */
static void a_supernode_serves_itself(uint64_t seed)
{
    struct world world;

    world_init(&world, seed);
    struct sim_node *berlin = world_both(&world, "hauptstadt");
    struct sim_node *paris = world_both(&world, "capitale");
    sim_node_start(berlin);
    world_run(&world, 100);
    sim_check(&world, berlin->is_told_attached);
    struct sim_call *call = scene_call(berlin, "202@capitale");
    world_run(&world, 100);
    sim_check(&world, call->ends == 1 && call->cause.reason == CALL_NOT_FOUND);

    sim_node_knows(paris, berlin);
    sim_node_start(paris);
    world_run(&world, 2000);
    call = scene_call(berlin, "202@capitale");
    struct sim_call *back = scene_call(paris, "202@hauptstadt");
    world_run(&world, 1000);
    sim_check(&world, call->answers == 1 && back->answers == 1);
    struct sim_call *own = scene_call(berlin, "202@hauptstadt");
    world_run(&world, 1000);
    sim_check(&world, own->ends == 1 && own->cause.reason == CALL_NOT_FOUND);
    sim_call_end(call, CALL_NORMAL);
    sim_call_end(back, CALL_NORMAL);
    world_run(&world, 40000);
    world_check_calm(&world);
    world_fini(&world);
}

static void everything_restarts(uint64_t seed)
{
    struct scene scene;

    scene_open(&scene, seed);
    struct sim_call *call = scene_call(scene.berlin, "202@paris");
    world_run(&scene.world, world_random(&scene.world, 600));
    for (int i = 0; i < scene.world.node_count; i++)
        if (seed % 2)
            sim_node_stop(scene.world.nodes[i]);
        else
            sim_node_silence(scene.world.nodes[i]);
    world_run(&scene.world, 1000);
    for (int i = 0; i < scene.world.node_count; i++) {
        sim_node_start(scene.world.nodes[i]);
        world_run(&scene.world, world_random(&scene.world, 500));
    }
    world_run(&scene.world, 15000);
    sim_check(&scene.world, scene.berlin->is_told_attached && scene.paris->is_told_attached);
    sim_check(&scene.world, !call->call);
    call = scene_call(scene.berlin, "202@paris");
    world_run(&scene.world, 1000);
    sim_check(&scene.world, call->answers == 1);
    scene_close(&scene);
}

static void a_gateway_restarts_during_a_call(uint64_t seed)
{
    struct scene scene;

    scene_open(&scene, seed);
    scene.paris->plan.answer_ms = SIM_NEVER;
    struct sim_call *call = scene_call(scene.berlin, "202@paris");
    world_run(&scene.world, world_random(&scene.world, 300));
    sim_node_stop(scene.paris);
    world_run(&scene.world, 200);
    sim_node_start(scene.paris);
    world_run(&scene.world, 5000);
    if (call->call)
        sim_call_end(call, CALL_CANCELLED);
    scene.paris->plan = sim_answers;
    call = scene_call(scene.berlin, "202@paris");
    world_run(&scene.world, 1000);
    sim_check(&scene.world, call->answers == 1);
    scene_close(&scene);
}

/* Both dial each other at the same moment: one link is left, and stays. */
static void two_supernodes_dial_each_other(uint64_t seed)
{
    struct world world;

    world_init(&world, seed);
    struct sim_node *one = world_supernode(&world, "one"), *two = world_supernode(&world, "two");
    sim_node_knows(one, two);
    sim_node_knows(two, one);
    sim_node_start(one);
    sim_node_start(two);
    world_run(&world, 10000);
    struct peer *of_one = one->core->fellows, *of_two = two->core->fellows;
    sim_check(&world, of_one && of_two && of_one->is_dialled != of_two->is_dialled);
    uint64_t since_ms = of_one->since_ms;
    sim_check(&world, since_ms < 2000);
    world_run(&world, 100000);
    sim_check(&world, one->core->fellows && one->core->fellows->since_ms == since_ms);
    world_fini(&world);
}

static void a_full_supernode_sends_on(uint64_t seed)
{
    struct world world;

    world_init(&world, seed);
    struct sim_node *full = world_supernode(&world, "one");
    struct sim_node *other = world_supernode(&world, "two");
    full->seats = 1;
    sim_node_knows(other, full);
    struct sim_node *berlin = world_gateway(&world, "berlin");
    struct sim_node *paris = world_gateway(&world, "paris");
    sim_node_knows(berlin, full);
    sim_node_knows(paris, full);
    sim_node_start(full);
    sim_node_start(other);
    world_run(&world, 1000);
    sim_node_start(berlin);
    world_run(&world, 1000);
    sim_node_start(paris);
    world_run(&world, 3000);
    sim_check(&world, berlin->is_told_attached && paris->is_told_attached);
    sim_check(&world, full->core->client_count == 1);
    struct sim_call *call = scene_call(berlin, "202@paris");
    world_run(&world, 1000);
    sim_check(&world, call->answers == 1);
    sim_call_end(call, CALL_NORMAL);
    world_run(&world, 40000);
    world_check_calm(&world);
    world_fini(&world);
}

static void nobody_is_there(uint64_t seed)
{
    struct scene scene;
    int error;

    scene_open(&scene, seed);
    struct sim_call *unknown = scene_call(scene.berlin, "202@rome");
    sim_check(&scene.world, !sim_call_new(scene.berlin, "nonsense", &error) && error == -EINVAL);
    sim_check(&scene.world, !sim_call_new(scene.berlin, "a b@paris", &error) && error == -EINVAL);
    world_run(&scene.world, 200);
    sim_check(&scene.world, unknown->ends == 1 && unknown->cause.reason == CALL_NOT_FOUND);

    /* Gone without a word: the supernodes still believe in its link. */
    sim_node_silence(scene.paris);
    struct sim_call *silent = scene_call(scene.berlin, "202@paris");
    world_run(&scene.world, 2000);
    sim_check(&scene.world, silent->ends == 1 && silent->cause.reason == CALL_UNAVAILABLE);
    sim_check(&scene.world, silent->ended_ms - silent->start_ms <= 2000);

    sim_node_stop(scene.one);
    sim_node_stop(scene.two);
    world_run(&scene.world, 1000);
    sim_check(&scene.world, !sim_call_new(scene.berlin, "202@paris", &error) && error == -ENOTCONN);
    scene_close(&scene);
}

/* Two gateways serve one site; one of them died without a word. */
static void the_other_gateway_of_the_site_answers(uint64_t seed)
{
    struct scene scene;

    scene_open(&scene, seed);
    struct sim_node *twin = world_twin(&scene.world, "paris");
    sim_node_knows(twin, scene.one);
    sim_node_knows(twin, scene.two);
    sim_node_start(twin);
    world_run(&scene.world, 2000);
    sim_check(&scene.world, twin->is_told_attached);
    if (seed % 2)
        sim_node_silence(scene.paris);
    else
        sim_node_stop(scene.paris);
    world_run(&scene.world, 100);
    struct sim_call *call = scene_call(scene.berlin, "202@paris");
    world_run(&scene.world, 3000);
    sim_check(&scene.world, call->answers == 1);
    sim_check(&scene.world, sim_call_far(&scene.world, call)->node == twin);
    scene_close(&scene);
}

/* Calls go to the gateways of a site as often as their weights say, and to one of a higher priority
 * only when the others do not answer. */
static void the_gateways_of_a_site_share_its_calls(uint64_t seed)
{
    struct scene scene;
    int to_twin = 0;

    scene_open(&scene, seed);
    bool is_by_weight = seed % 2;
    struct sim_node *twin = world_twin(&scene.world, "paris");
    sim_node_knows(twin, scene.one);
    sim_node_knows(twin, scene.two);
    twin->weight = is_by_weight ? 3 : 100;
    twin->priority = is_by_weight ? 0 : 10;
    sim_node_start(twin);
    world_run(&scene.world, 2000);
    for (int i = 0; i < 100; i++) {
        struct sim_call *call = scene_call(scene.berlin, "202@paris");
        world_run(&scene.world, 500);
        sim_check(&scene.world, call->answers == 1);
        to_twin += sim_call_far(&scene.world, call)->node == twin;
        sim_call_end(call, CALL_NORMAL);
        world_run(&scene.world, 100);
    }
    sim_check(&scene.world, is_by_weight ? to_twin > 60 && to_twin < 90 : to_twin == 0);
    sim_node_stop(scene.paris);
    world_run(&scene.world, 100);
    struct sim_call *call = scene_call(scene.berlin, "202@paris");
    world_run(&scene.world, 2000);
    sim_check(&scene.world, call->answers == 1);
    scene_close(&scene);
}

/* Supernodes that tell much, and clients that have nothing to say: the links stay. */
static void who_only_listens_is_not_dropped(uint64_t seed)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Pong pong = SALLYPORT__PONG__INIT;
    struct scene scene;

    scene_open(&scene, seed);
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_PONG;
    envelope.pong = &pong; /* asked for by nobody: something that needs no answer */
    for (int i = 0; i < 40; i++) {
        world_run(&scene.world, 5000);
        sim_check(&scene.world, scene.one->core->client_count == 2);
        for (struct peer *client = scene.one->core->clients; client; client = client->hh_node.next)
            if (!client->other)
                peer_send(client, &envelope);
    }
    scene_close(&scene);
}

/* Invited just when one of its two supernodes has died and nobody knows: the other one takes it for
 * a fellow. */
static void an_invited_one_joins_by_either_home(uint64_t seed)
{
    struct scene scene;

    scene_open(&scene, seed);
    struct sim_node *rome = world_willing(&scene.world, "rome");
    sim_node_knows(rome, scene.one);
    sim_node_knows(rome, scene.two);
    sim_node_start(rome);
    world_run(&scene.world, 29500);
    sim_check(&scene.world, !sim_serves(rome) && rome->core->upstream_count == 2);
    sim_node_silence(scene_home(&scene, rome, (int)(seed % 2)));
    world_run(&scene.world, 8000);
    sim_check(&scene.world, sim_serves(rome) && realm_is_agreed(&scene.world));
    scene_close(&scene);
}

#define LATE 16

/* Who greets a supernode that has just ceased to be one is sent away; so is whoever it had greeted
 * as a supernode or as a client when that was not what it is any more. */
static void greetings_cross_a_change_of_role(uint64_t seed)
{
    struct sim_node *late[LATE];
    struct scene scene;
    char name[16];

    scene_open(&scene, seed);
    struct sim_node *rome = world_willing(&scene.world, "rome");
    sim_node_knows(rome, scene.one);
    sim_node_knows(rome, scene.two);
    sim_node_start(rome);
    world_run(&scene.world, 40000);
    sim_check(&scene.world, sim_serves(rome));
    serving_retire(rome->core, "for a test");
    for (int i = 0; i < LATE; i++) {
        snprintf(name, sizeof name, "late%d", i);
        late[i] = world_gateway(&scene.world, name);
        sim_node_knows(late[i], rome);
        sim_node_knows(late[i], scene.one);
        sim_node_start(late[i]);
        world_run(&scene.world, 25);
    }
    sim_check(&scene.world, !sim_serves(rome));
    /* and back again, while its links as a client are being made */
    world_cut(&scene.world, rome, NULL);
    world_run(&scene.world, 40 + world_random(&scene.world, 200));
    if (!sim_serves(rome))
        serving_begin(rome->core);
    world_run(&scene.world, 60000);
    sim_check(&scene.world, realm_is_agreed(&scene.world));
    for (int i = 0; i < LATE; i++)
        sim_check(&scene.world, sim_living_homes(late[i]) == 2);
    scene_close(&scene);
}

int main(int argc, char **argv)
{
    scene_seeds(argc, argv, "caller-stops", the_callers_home_stops, 25);
    scene_seeds(argc, argv, "caller-silent", the_callers_home_falls_silent, 25);
    scene_seeds(argc, argv, "callee-stops", the_callees_home_stops, 25);
    scene_seeds(argc, argv, "callee-silent", the_callees_home_falls_silent, 25);
    scene_seeds(argc, argv, "dead-already", the_home_was_dead_already, 10);
    scene_seeds(argc, argv, "all-gone", all_supernodes_are_gone_while_a_call_is_up, 3);
    scene_seeds(argc, argv, "pair", nodes_of_two_supernodes_find_each_other, 10);
    scene_seeds(argc, argv, "relays", relays_are_known_everywhere, 10);
    scene_seeds(argc, argv, "two-hops", a_route_takes_two_supernodes, 5);
    scene_seeds(argc, argv, "itself", a_supernode_serves_itself, 5);
    scene_seeds(argc, argv, "restart", everything_restarts, 20);
    scene_seeds(argc, argv, "gateway-restart", a_gateway_restarts_during_a_call, 20);
    scene_seeds(argc, argv, "both-dial", two_supernodes_dial_each_other, 10);
    scene_seeds(argc, argv, "full", a_full_supernode_sends_on, 5);
    scene_seeds(argc, argv, "nobody", nobody_is_there, 5);
    scene_seeds(argc, argv, "twin", the_other_gateway_of_the_site_answers, 10);
    scene_seeds(argc, argv, "shares", the_gateways_of_a_site_share_its_calls, 6);
    scene_seeds(argc, argv, "listens", who_only_listens_is_not_dropped, 3);
    scene_seeds(argc, argv, "roles", greetings_cross_a_change_of_role, 20);
    scene_seeds(argc, argv, "invited", an_invited_one_joins_by_either_home, 10);
    sim_identities_free();
    return 0;
}
