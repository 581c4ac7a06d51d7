/* The directory under attack and with the passing of time. */
#include "overlay/core_internal.h"
#include "tests/sim/crowd.h"
#include "tests/sim/scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned count_records(struct sim_node *supernode)
{
    return directory_count(supernode->core->directory);
}

static void send_publish(struct sim_node *from, Sallyport__SignedRecord *record)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Publish publish = SALLYPORT__PUBLISH__INIT;

    publish.records = &record;
    publish.n_records = 1;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_PUBLISH;
    envelope.publish = &publish;
    for (int i = 0; i < from->core->upstream_count; i++)
        peer_send(from->core->upstream[i], &envelope);
}

static void make_record(struct sim_node *signer, const char *name, uint64_t sequence, int64_t age_s,
                        Sallyport__SignedRecord *wire)
{
    struct core *core = signer->core;
    struct record *record = core_alloc(sizeof *record);

    strcpy(record->name, name);
    attach_homes(core, &record->homes);
    record->sequence = sequence;
    record->issued_s = core->io.time_s(core->io.ctx) - age_s;
    record->lifetime_s = 600;
    record_sign(signer->identity, record, wire);
    free(record);
}

/* A node publishes a name that is not its own, with all that it has: its own signature. */
static void a_stolen_name_is_refused(uint64_t seed)
{
    struct scene scene;
    Sallyport__SignedRecord wire;

    scene_open(&scene, seed);
    unsigned before = count_records(scene.one);
    make_record(scene.berlin, "paris", UINT64_MAX / 4, 0, &wire);
    send_publish(scene.berlin, &wire);
    record_signed_fini(&wire);
    make_record(scene.berlin, "+49", UINT64_MAX / 4, 0, &wire); /* shorter than its prefix */
    send_publish(scene.berlin, &wire);
    world_run(&scene.world, 500);
    sim_check(&scene.world, count_records(scene.one) == before);
    struct sim_call *call = scene_call(scene.berlin, "202@paris");
    world_run(&scene.world, 1000);
    sim_check(&scene.world, call->answers == 1);
    record_signed_fini(&wire);
    scene_close(&scene);
}

/* A record of the past does not displace the present one, nor come back after it was withdrawn. */
static void a_stale_record_is_refused(uint64_t seed)
{
    struct scene scene;
    Sallyport__SignedRecord wire, expired;

    scene_open(&scene, seed);
    make_record(scene.paris, "paris", 7, 0, &wire);
    make_record(scene.paris, "paris", UINT64_MAX / 4, 601, &expired);
    send_publish(scene.paris, &wire);
    send_publish(scene.paris, &expired);
    world_run(&scene.world, 500);
    struct sim_call *call = scene_call(scene.berlin, "202@paris");
    world_run(&scene.world, 1000);
    sim_check(&scene.world, call->answers == 1);

    struct sim_call *closing = scene_call(scene.paris, "202@berlin");
    world_run(&scene.world, 100);
    sim_call_end(closing, CALL_CANCELLED);
    core_leave(scene.paris->core);
    world_run(&scene.world, 500);
    sim_check(&scene.world, call->ends == 1);
    send_publish(scene.paris, &wire);
    world_run(&scene.world, 500);
    call = scene_call(scene.berlin, "202@paris");
    world_run(&scene.world, 2000);
    sim_check(&scene.world, call->ends == 1 && call->cause.reason == CALL_UNAVAILABLE);
    record_signed_fini(&wire);
    record_signed_fini(&expired);
    sim_node_stop(scene.paris);
    scene_close(&scene);
}

/* A node whose clock (or whose earlier life's clock) was ahead is told, and publishes above it. */
static void a_clock_that_went_back_is_overcome(uint64_t seed)
{
    struct scene scene;
    Sallyport__SignedRecord wire;

    scene_open(&scene, seed);
    uint64_t ahead = scene.paris->core->sequence + (100000ull << 20);
    make_record(scene.paris, "paris", ahead, 0, &wire);
    send_publish(scene.paris, &wire);
    record_signed_fini(&wire);
    world_run(&scene.world, 500);
    publish_soon(scene.paris->core);
    world_run(&scene.world, 500);
    sim_check(&scene.world, scene.paris->core->sequence > ahead);
    scene_close(&scene);
}

/* Spoils a byte in the records of each answer. */
static int lie(struct sim_node *node, uint8_t *frame, size_t bytes, size_t room)
{
    Sallyport__Envelope *envelope = sallyport__envelope__unpack(NULL, bytes, frame);

    if (envelope && envelope->body_case == SALLYPORT__ENVELOPE__BODY_FOUND) {
        for (size_t i = 0; i < envelope->found->n_records; i++) {
            ProtobufCBinaryData *record = &envelope->found->records[i]->record;
            record->data[world_random(node->world, record->len)] ^= 1;
        }
        bytes = sallyport__envelope__pack(envelope, frame);
        sim_check(node->world, bytes <= room);
    }
    if (envelope)
        sallyport__envelope__free_unpacked(envelope, NULL);
    return (int)bytes;
}

static void a_lying_supernode_can_withhold_but_not_forge(uint64_t seed)
{
    struct scene scene;

    scene_open(&scene, seed);
    struct sim_node *liar = scene_home(&scene, scene.berlin, 0);
    liar->on_send = lie;
    struct sim_call *call = scene_call(scene.berlin, "202@paris");
    world_run(&scene.world, 1500);
    sim_check(&scene.world, call->answers == 1); /* by the word of the standby */
    sim_call_end(call, CALL_NORMAL);

    scene.one->on_send = scene.two->on_send = lie;
    call = scene_call(scene.berlin, "202@paris");
    world_run(&scene.world, 3000);
    sim_check(&scene.world, call->ends == 1 && call->answers == 0);
    scene_close(&scene);
}

/* Names stay published for hours, through expiry and a change of supernodes. */
static void names_are_published_again(uint64_t seed)
{
    struct scene scene;

    scene_open(&scene, seed);
    world_run(&scene.world, 3600 * 1000);
    sim_check(&scene.world, count_records(scene.one) == 4 && count_records(scene.two) == 4);
    sim_node_stop(scene.one);
    sim_node_start(scene.one);
    world_run(&scene.world, 20000);
    struct sim_call *call = scene_call(scene.berlin, "202@paris");
    world_run(&scene.world, 1000);
    sim_check(&scene.world, call->answers == 1);
    sim_node_stop(scene.paris);
    world_run(&scene.world, 20 * 60 * 1000);
    sim_check(&scene.world, count_records(scene.one) == 2 && count_records(scene.two) == 2);
    scene_close(&scene);
}

#define HUBS 5

static bool is_over(void *arg)
{
    return ((struct sim_ask *)arg)->is_over;
}

/* Who held a name once and was not told that it was withdrawn may still have it: the holders know
 * better. */
static void a_withdrawn_name_is_not_found_at_former_holders(uint64_t seed)
{
    struct world world;
    struct sim_node *hub[HUBS], *gateway[2];
    struct directory_answer held[DIRECTORY_ANSWERS_MAX];
    Sallyport__SignedRecord wire = SALLYPORT__SIGNED_RECORD__INIT;
    struct record *record = core_alloc(sizeof *record);
    char name[16], why[96];
    uint64_t sequence;

    world_init(&world, seed);
    for (int i = 0; i < HUBS; i++) {
        snprintf(name, sizeof name, "hub%d", i);
        hub[i] = world_supernode(&world, name);
        for (int k = 0; k < i; k++)
            sim_node_knows(hub[i], hub[k]);
        sim_node_start(hub[i]);
    }
    gateway[0] = world_gateway(&world, "berlin");
    gateway[1] = world_gateway(&world, "paris");
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < HUBS; k++)
            sim_node_knows(gateway[i], hub[k]);
    world_run(&world, 5000);
    sim_node_start(gateway[0]);
    sim_node_start(gateway[1]);
    world_run(&world, 5000);
    for (int i = 0; i < HUBS && !wire.record.data; i++) {
        struct core *core = hub[i]->core;
        if (directory_find(core->directory, "paris", core->io.time_s(core->io.ctx), held) == 0)
            continue;
        wire.record = held->record;
        wire.signature = held->signature;
        sim_check(&world, record_verify(&core->trust, &wire, core->io.time_s(core->io.ctx), record,
                                        why, sizeof why) == 0);
        record->homes.count = 1;
        record_sign(gateway[1]->identity, record, &wire);
    }
    sim_check(&world, wire.record.data);
    core_leave(gateway[1]->core);
    world_run(&world, 1000);
    for (int i = 0; i < HUBS; i++)
        if (!directory_told(hub[i]->core->directory, "paris", record->certificate.node))
            sim_check(&world,
                      directory_put(hub[i]->core->directory, record, &wire, &sequence) == 0);
    struct sim_ask *ask = sim_ask_new(gateway[0], "paris", gateway[1], true);
    sim_check(&world, world_run_until(&world, is_over, ask, 3000));
    sim_check(&world, ask->count == 0 && ask->error == 0);
    record_signed_fini(&wire);
    free(record);
    world_fini(&world);
}

static uint64_t publishes_of(struct sim_node **nodes, int count)
{
    uint64_t sum = 0;

    for (int i = 0; i < count; i++)
        sum += nodes[i]->traffic->out[SALLYPORT__ENVELOPE__BODY_PUBLISH].frames;
    return sum;
}

/* Each record that a client publishes goes to its holders once, though all that is held is looked
 * at each minute: as long as no supernode comes or goes, nobody hands it on again. */
static void in_calm_nothing_is_handed_on_again(uint64_t seed)
{
    struct crowd crowd;

    crowd_open(&crowd, &(struct crowd_settings){.supernodes = 6, .gateways = 60, .seed = seed});
    for (int i = 0; i < crowd.world.node_count; i++)
        sim_traffic_start(crowd.world.nodes[i]);
    crowd_start(&crowd, 10000);
    sim_check(&crowd.world, crowd_wait_standby(&crowd, 60000) == 60);
    world_run(&crowd.world, 120000);
    world_count_anew(&crowd.world);
    world_run(&crowd.world, 1200000);
    uint64_t said = publishes_of(crowd.gateways, crowd.gateway_count);
    uint64_t handed_on = publishes_of(crowd.supernodes, crowd.supernode_count);
    sim_check(&crowd.world, said >= 2 * 60);
    sim_check(&crowd.world, handed_on >= said);
    sim_check(&crowd.world, handed_on <= HOLDERS * said);
    crowd_close(&crowd);
}

int main(int argc, char **argv)
{
    scene_seeds(argc, argv, "stolen", a_stolen_name_is_refused, 3);
    scene_seeds(argc, argv, "stale", a_stale_record_is_refused, 3);
    scene_seeds(argc, argv, "clock", a_clock_that_went_back_is_overcome, 2);
    scene_seeds(argc, argv, "liar", a_lying_supernode_can_withhold_but_not_forge, 20);
    scene_seeds(argc, argv, "former", a_withdrawn_name_is_not_found_at_former_holders, 10);
    scene_seeds(argc, argv, "again", names_are_published_again, 2);
    scene_seeds(argc, argv, "calm", in_calm_nothing_is_handed_on_again, 3);
    sim_identities_free();
    return 0;
}
