/* Calls between two gateways: under lost, doubled and late messages, and hung up at every moment.
 */
#include "tests/sim/scene.h"

#include <string.h>

/* From the call to the answer takes about 400 ms; a moment is drawn from a little more. */
#define SETUP_MS 450

static void a_call_is_set_up_and_ended(uint64_t seed)
{
    struct scene scene;

    scene_open(&scene, seed);
    struct sim_call *call = scene_call(scene.berlin, "202@paris");
    world_run(&scene.world, 1000);
    struct sim_call *far = sim_call_far(&scene.world, call);

    sim_check(&scene.world, call->rings == 1 && call->answers == 1 && call->medias == 1);
    sim_check(&scene.world, call->rang_ms - call->start_ms < 250);
    sim_check(&scene.world, far && strcmp(far->caller, "201") == 0);
    sim_check(&scene.world, strcmp(far->caller_site, "berlin") == 0);
    sim_check(&scene.world, strcmp(far->dialled, "202") == 0);
    sim_call_end(call, CALL_NORMAL);
    world_run(&scene.world, 200);
    sim_check(&scene.world, far->ends == 1 && far->cause.reason == CALL_NORMAL);
    scene_close(&scene);
}

static void a_call_by_number_finds_its_prefix(uint64_t seed)
{
    struct scene scene;

    scene_open(&scene, seed);
    struct sim_call *call = scene_call(scene.berlin, "+4911297555");
    world_run(&scene.world, 1000);
    struct sim_call *far = sim_call_far(&scene.world, call);
    sim_check(&scene.world, call->answers == 1 && far && far->node == scene.paris);
    sim_check(&scene.world, strcmp(far->dialled, "+4911297555") == 0);
    scene_close(&scene);
}

static void messages_get_lost_doubled_and_late(uint64_t seed)
{
    struct scene scene;

    scene_open(&scene, seed);
    scene.world.faults =
        (struct sim_faults){.lost = 150, .doubled = 200, .late = 300, .late_ms = 700};
    scene.paris->plan.progress_ms = 100;
    struct sim_call *call = scene_call(scene.berlin, "202@paris");
    world_run(&scene.world, 5000);
    struct sim_call *far = sim_call_far(&scene.world, call);

    /* One in some hundred offers finds no way in 1.8 s; it must end well too. */
    sim_check(&scene.world, call->ends == 1 || call->answers == 1);
    sim_check(&scene.world, call->rings <= 1 && call->answers <= 1 && call->medias <= 2);
    if (call->call) {
        sim_check(&scene.world, far && far->call);
        for (const char *digit = "0123456789*#"; *digit; digit++)
            sim_check(&scene.world, overlay_call_digit(call->call, *digit, 100) == 0);
        struct overlay_media hold = {
            .codec = CODEC_OPUS, .direction = MEDIA_SENDONLY, .ptime_ms = 20};
        sim_check(&scene.world, overlay_call_update(call->call, &hold) == 0);
        world_run(&scene.world, 20000);
        sim_check(&scene.world, strcmp(far->digits, "0123456789*#") == 0);
        sim_check(&scene.world, far->direction == MEDIA_RECVONLY);
        sim_check(&scene.world, call->call && far->call);
    }
    scene_close(&scene);
}

static void the_caller_hangs_up(uint64_t seed)
{
    struct scene scene;

    scene_open(&scene, seed);
    if (seed % 2)
        scene.world.faults =
            (struct sim_faults){.lost = 100, .doubled = 100, .late = 200, .late_ms = 500};
    struct sim_call *call = scene_call(scene.berlin, "202@paris");
    world_run(&scene.world, world_random(&scene.world, SETUP_MS));
    if (call->call)
        sim_call_end(call, CALL_CANCELLED);
    world_run(&scene.world, 12000);
    struct sim_call *far = sim_call_far(&scene.world, call);
    sim_check(&scene.world, !far || !far->call);
    scene_close(&scene);
}

static void the_callee_hangs_up(uint64_t seed)
{
    struct scene scene;

    scene_open(&scene, seed);
    if (seed % 2)
        scene.world.faults =
            (struct sim_faults){.lost = 100, .doubled = 100, .late = 200, .late_ms = 500};
    scene.paris->plan.accept_ms = seed % 3 ? 0 : 30;
    scene.paris->plan.end_ms = world_random(&scene.world, SETUP_MS);
    scene.paris->plan.reason = CALL_BUSY;
    struct sim_call *call = scene_call(scene.berlin, "202@paris");
    world_run(&scene.world, 12000);
    sim_check(&scene.world, call->ends == 1);
    if (seed % 2 == 0)
        sim_check(&scene.world, call->cause.reason == CALL_BUSY);
    scene_close(&scene);
}

static void both_hang_up_at_once(uint64_t seed)
{
    struct scene scene;

    scene_open(&scene, seed);
    struct sim_call *call = scene_call(scene.berlin, "202@paris");
    world_run(&scene.world, 60 + world_random(&scene.world, SETUP_MS));
    struct sim_call *far = sim_call_far(&scene.world, call);
    if (call->call)
        sim_call_end(call, CALL_NORMAL);
    if (far && far->call)
        sim_call_end(far, CALL_DECLINED);
    world_run(&scene.world, 12000);
    scene_close(&scene);
}

static void many_calls_at_once(uint64_t seed)
{
    struct scene scene;
    struct sim_call *calls[40];

    scene_open(&scene, seed);
    for (int i = 0; i < 40; i++) {
        calls[i] =
            i % 2 ? scene_call(scene.berlin, "202@paris") : scene_call(scene.paris, "202@Berlin");
        world_run(&scene.world, world_random(&scene.world, 20));
    }
    world_run(&scene.world, 2000);
    for (int i = 0; i < 40; i++)
        sim_check(&scene.world, calls[i]->answers == 1);
    scene_close(&scene);
}

static void an_end_is_told_unchanged(uint64_t seed)
{
    struct scene scene;
    struct call_cause cause = call_cause(CALL_DECLINED, "not now, bitte");

    cause.sip_status = 603;
    cause.q850 = 21;
    scene_open(&scene, seed);
    scene.paris->plan.answer_ms = SIM_NEVER;
    struct sim_call *call = scene_call(scene.berlin, "202@paris");
    world_run(&scene.world, 300);
    struct sim_call *far = sim_call_far(&scene.world, call);
    struct overlay_call *dead = far->call;
    far->call = NULL;
    far->is_ended_here = true;
    overlay_call_end(dead, &cause);
    world_run(&scene.world, 200);
    sim_check(&scene.world, call->ends == 1 && call->cause.reason == CALL_DECLINED);
    sim_check(&scene.world, call->cause.sip_status == 603 && call->cause.q850 == 21);
    sim_check(&scene.world, strcmp(call->cause.text, "not now, bitte") == 0);
    scene_close(&scene);
}

int main(int argc, char **argv)
{
    scene_seeds(argc, argv, "set-up", a_call_is_set_up_and_ended, 5);
    scene_seeds(argc, argv, "number", a_call_by_number_finds_its_prefix, 2);
    scene_seeds(argc, argv, "faults", messages_get_lost_doubled_and_late, 60);
    scene_seeds(argc, argv, "caller", the_caller_hangs_up, 60);
    scene_seeds(argc, argv, "callee", the_callee_hangs_up, 60);
    scene_seeds(argc, argv, "both", both_hang_up_at_once, 40);
    scene_seeds(argc, argv, "many", many_calls_at_once, 2);
    scene_seeds(argc, argv, "cause", an_end_is_told_unchanged, 2);
    sim_identities_free();
    return 0;
}
