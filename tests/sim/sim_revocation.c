/* A revocation list handed in at one supernode: how soon all know it, and what becomes of those in
 * it. */
#include "overlay/core_internal.h"
#include "overlay/realm.h"
#include "tests/sim/scene.h"
#include "tests/sim/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SOON_MS 5000
#define HUBS 4
#define SITES 6

/* Four supernodes, six gateways, and an operator's node that is attached to one supernode only. */
struct land {
    struct world world;
    struct sim_node *hubs[HUBS], *sites[SITES], *operator;
};

static const char *const hub_names[HUBS] = {"hub1", "hub2", "hub3", "hub4"};
static const char *const site_names[SITES] = {"berlin", "paris", "rome", "oslo", "lima", "cairo"};

static void land_open(struct land *land, uint64_t seed)
{
    world_init(&land->world, seed);
    for (int i = 0; i < HUBS; i++) {
        land->hubs[i] = world_supernode(&land->world, hub_names[i]);
        if (i > 0)
            sim_node_knows(land->hubs[i], land->hubs[0]);
    }
    for (int i = 0; i < SITES; i++) {
        land->sites[i] = world_gateway(&land->world, site_names[i]);
        sim_node_knows(land->sites[i], land->hubs[i % HUBS]);
        sim_node_knows(land->sites[i], land->hubs[(i + 1) % HUBS]);
    }
    for (int i = 0; i < land->world.node_count; i++)
        sim_node_start(land->world.nodes[i]);
    world_run(&land->world, 4000);
    land->operator= world_gateway(&land->world, "operator");
    sim_node_knows(land->operator, land->hubs[3]);
    for (int i = 0; i < SITES; i++)
        sim_check(&land->world, land->sites[i]->core->upstream_count == 2);
}

/* The lists that this story's identities have taken must not reach the next one. */
static void land_close(struct land *land)
{
    struct sim_call *call;

    STAILQ_FOREACH(call, &land->world.calls, next)
    if (call->call && call->node->core && call->epoch == call->node->epoch)
        sim_call_end(call, CALL_NORMAL);
    world_run(&land->world, 45000);
    world_check_calm(&land->world);
    world_fini(&land->world);
    sim_identities_free();
}

/* ---- lists ------------------------------------------------------------------------------------
 */

struct made {
    uint8_t *der;
    size_t bytes;
};

static struct made make_list(const struct realm *realm, uint64_t number,
                             struct sim_node *const *nodes, size_t count)
{
    uint8_t(*serials)[CERTIFICATE_SERIAL_BYTES] = calloc(count + 1, CERTIFICATE_SERIAL_BYTES);
    struct realm_list list = {.number = number, .count = count};
    struct made made;

    for (size_t i = 0; i < count; i++)
        memcpy(serials[i], identity_certificate(nodes[i]->identity)->serial, sizeof serials[i]);
    list.serials = (const uint8_t(*)[CERTIFICATE_SERIAL_BYTES])serials;
    if (realm_list_make(realm, &list, &made.der, &made.bytes) < 0)
        abort();
    free(serials);
    return made;
}

static int take(const struct sim_node *node, const struct made *list)
{
    char why[160];

    return identity_revoke(node->identity, list->der, list->bytes, why, sizeof why);
}

/* As `sallyport realm publish` does: a node of the realm that has the list attaches. */
static void publish(struct land *land, uint64_t number, struct sim_node *const *nodes, size_t count)
{
    struct made list = make_list(sim_realm(), number, nodes, count);

    sim_check(&land->world, take(land->operator, & list) == 0);
    free(list.der);
    sim_node_start(land->operator);
}

static uint64_t number_of(const struct sim_node *node)
{
    return identity_list(node->identity).number;
}

static bool all_know(struct land *land, uint64_t number)
{
    for (int i = 0; i < land->world.node_count; i++)
        if (land->world.nodes[i]->core && number_of(land->world.nodes[i]) != number)
            return false;
    return true;
}

static bool is_linked(const struct sim_node *node)
{
    for (const struct peer *peer = node->core->peers; peer; peer = peer->hh.next)
        if (!peer->other)
            return true;
    return false;
}

static struct peer *link_to(const struct sim_node *node, const struct sim_node *other)
{
    const uint8_t *id = identity_certificate(other->identity)->node;
    struct peer *peer = node->core->peers;

    while (peer && !(peer->is_up && memcmp(peer->node, id, OVERLAY_NODE_ID_BYTES) == 0))
        peer = peer->hh.next;
    return peer;
}

static bool is_linked_to(const struct sim_node *node, const struct sim_node *other)
{
    return link_to(node, other) != NULL;
}

static void check_nobody_knows(struct land *land, const struct sim_node *revoked)
{
    for (int i = 0; i < HUBS; i++) {
        struct directory_answer answers[DIRECTORY_ANSWERS_MAX];
        if (land->hubs[i] == revoked)
            continue;
        sim_check(&land->world, !is_linked_to(land->hubs[i], revoked));
        sim_check(&land->world, directory_find(land->hubs[i]->core->directory, revoked->name,
                                               land->world.now_ms, answers) == 0);
    }
}

static bool do_all_know(void *arg)
{
    return all_know(arg, 1);
}

static uint64_t slowest_ms;

/* Counted from the start of the node that hands it in. */
static void check_all_know_soon(struct land *land)
{
    uint64_t start_ms = land->world.now_ms;

    world_run_until(&land->world, do_all_know, land, SOON_MS);
    if (land->world.now_ms - start_ms > slowest_ms)
        slowest_ms = land->world.now_ms - start_ms;
    world_run(&land->world, start_ms + SOON_MS - land->world.now_ms);
    sim_check(&land->world, all_know(land, 1));
}

/* ---- stories ----------------------------------------------------------------------------------
 */

static uint64_t count_dials(const struct land *land)
{
    uint64_t dials = 0;

    for (int i = 0; i < land->world.node_count; i++)
        dials += land->world.nodes[i]->door.dials;
    return dials;
}

static void a_client_is_revoked(uint64_t seed)
{
    struct land land;

    land_open(&land, seed);
    struct sim_node *paris = land.sites[1], *berlin = land.sites[0];
    struct sim_call *call = scene_call(berlin, "202@paris");
    struct sim_call *other = scene_call(berlin, "202@rome");
    world_run(&land.world, 1000);
    struct sim_call *far = sim_call_far(&land.world, call);
    sim_check(&land.world, call->answers == 1 && other->answers == 1);

    publish(&land, 1, &paris, 1);
    check_all_know_soon(&land);
    sim_check(&land.world, link_to(land.operator, land.hubs[3])->revocation.held == 1);
    sim_check(&land.world, call->ends == 1 && far->ends == 1);
    sim_check(&land.world, strstr(call->cause.text, "its certificate was revoked"));
    sim_check(&land.world, strstr(far->cause.text, "its certificate was revoked"));
    sim_check(&land.world, other->call && other->ends == 0);
    sim_check(&land.world, !is_linked(paris) && !paris->is_told_attached);
    check_nobody_knows(&land, paris);

    /* It may not come back, and does not try all the time. */
    uint64_t dials = count_dials(&land);
    sim_node_stop(paris);
    sim_node_start(paris);
    world_run(&land.world, 60000);
    sim_check(&land.world, paris->attached == 1 && !is_linked_to(land.hubs[1], paris));
    sim_check(&land.world, count_dials(&land) - dials < 60);
    call = scene_call(berlin, "202@paris");
    world_run(&land.world, 3000);
    sim_check(&land.world, call->ends == 1 && call->cause.reason == CALL_NOT_FOUND);
    land_close(&land);
}

static void a_supernode_is_revoked(uint64_t seed)
{
    struct land land;

    land_open(&land, seed);
    struct sim_node *hub = land.hubs[world_random(&land.world, 3)];
    struct sim_call *call = scene_call(land.sites[0], "202@paris");
    world_run(&land.world, 1000);
    publish(&land, 7, &hub, 1);
    world_run(&land.world, SOON_MS);
    sim_check(&land.world, all_know(&land, 7));
    sim_check(&land.world, !is_linked(hub));
    check_nobody_knows(&land, hub);
    for (int i = 0; i < SITES; i++)
        sim_check(&land.world, land.sites[i]->core->upstream_count == 2);
    world_run(&land.world, 30000);
    sim_check(&land.world, call->call && call->answers == 1);
    sim_check(&land.world, !is_linked(hub));
    land_close(&land);
}

/* The operator happens to hand it to the very supernode that is in it. */
static void the_supernode_that_hears_first_is_revoked(uint64_t seed)
{
    struct land land;

    land_open(&land, seed);
    struct made list = make_list(sim_realm(), 1, &land.hubs[3], 1);
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Revocation revocation = SALLYPORT__REVOCATION__INIT;

    sim_node_start(land.operator);
    world_run(&land.world, 1000);
    revocation.list.data = list.der;
    revocation.list.len = list.bytes;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_REVOCATION;
    envelope.revocation = &revocation;
    sim_check(&land.world, peer_send(link_to(land.operator, land.hubs[3]), &envelope) == 0);
    free(list.der);
    world_run(&land.world, SOON_MS);
    sim_check(&land.world, all_know(&land, 1));
    sim_check(&land.world, !is_linked(land.hubs[3]));
    land_close(&land);
}

static void who_was_away_hears_of_it_when_he_returns(uint64_t seed)
{
    struct land land;

    land_open(&land, seed);
    struct sim_node *oslo = land.sites[3], *hub = land.hubs[2], *paris = land.sites[1];
    sim_node_stop(oslo);
    sim_node_stop(hub);
    world_run(&land.world, 1000);
    publish(&land, 3, &paris, 1);
    world_run(&land.world, SOON_MS);
    sim_check(&land.world, number_of(oslo) == 0 && number_of(hub) == 0);
    sim_node_start(oslo);
    sim_node_start(hub);
    world_run(&land.world, SOON_MS);
    sim_check(&land.world, number_of(oslo) == 3 && number_of(hub) == 3);

    /* And who comes back knowing more tells the others. */
    struct made newer = make_list(sim_realm(), 4, land.sites, 2);
    sim_node_stop(oslo);
    world_run(&land.world, 100);
    sim_check(&land.world, take(oslo, &newer) == 0);
    free(newer.der);
    sim_node_start(oslo);
    world_run(&land.world, SOON_MS);
    for (int i = 0; i < land.world.node_count; i++)
        sim_check(&land.world, number_of(land.world.nodes[i]) ==
                                   (land.world.nodes[i] == paris ? 3 : 4)); /* shut out by then */
    sim_check(&land.world, !is_linked(land.sites[0]));
    land_close(&land);
}

/* The power of the callee's node is off, its record stands. Once it is revoked the offer goes to
 * the other node of the site, or to nobody. */
static void offers_do_not_wait_for_the_revoked(uint64_t seed, bool has_twin)
{
    struct land land;

    land_open(&land, seed);
    struct sim_node *paris = land.sites[1], *berlin = land.sites[0], *twin = NULL;
    if (has_twin) {
        twin = world_twin(&land.world, "paris");
        sim_node_knows(twin, land.hubs[0]);
        sim_node_start(twin);
        world_run(&land.world, 2000);
    }
    publish(&land, 1, NULL, 0);
    world_run(&land.world, 1000);
    sim_node_silence(paris);
    struct sim_call *call = scene_call(berlin, "202@paris");
    world_run(&land.world, 100);
    sim_node_stop(land.operator);
    publish(&land, 2, &paris, 1);
    world_run(&land.world, 500);
    if (has_twin) {
        world_run(&land.world, 500);
        sim_check(&land.world, call->answers == 1);
        sim_check(&land.world, sim_call_far(&land.world, call)->node == twin);
    } else {
        sim_check(&land.world, call->ends == 1);
        sim_check(&land.world, strstr(call->cause.text, "its certificate was revoked"));
    }
    land_close(&land);
}

static void an_offer_goes_to_the_twin(uint64_t seed)
{
    offers_do_not_wait_for_the_revoked(seed, true);
}

static void an_offer_goes_to_nobody(uint64_t seed)
{
    offers_do_not_wait_for_the_revoked(seed, false);
}

/* ---- large lists --------------------------------------------------------------------------------
 */

static struct made make_large(size_t count)
{
    uint8_t(*serials)[CERTIFICATE_SERIAL_BYTES] = calloc(count, CERTIFICATE_SERIAL_BYTES);
    struct realm_list list = {.number = 1, .count = count};
    struct made made;

    for (size_t i = 0; i < count; i++) {
        serials[i][4] = 0x7f; /* 16 bytes, as all have */
        serials[i][10] = (uint8_t)(i >> 8);
        serials[i][19] = (uint8_t)i;
    }
    list.serials = (const uint8_t(*)[CERTIFICATE_SERIAL_BYTES])serials;
    if (realm_list_make(sim_realm(), &list, &made.der, &made.bytes) < 0)
        abort();
    free(serials);
    return made;
}

/* What fits into a frame goes round, what does not stays where it is and does no harm. */
static void lists_are_as_large_as_a_frame(uint64_t seed)
{
    for (size_t count = 1800; count <= 2000; count += 200) {
        struct land land;
        land_open(&land, seed);
        struct made list = make_large(count);
        bool fits = list.bytes <= IDENTITY_LIST_MAX;
        sim_check(&land.world, fits == (count == 1800));
        sim_check(&land.world, take(land.operator, & list) == 0);
        sim_node_start(land.operator);
        world_run(&land.world, SOON_MS);
        sim_check(&land.world, all_know(&land, 1) == fits);
        for (int i = 0; i < HUBS; i++)
            sim_check(&land.world, number_of(land.hubs[i]) == fits);
        sim_check(&land.world, land.operator->core->upstream_count == 2);
        free(list.der);
        land_close(&land);
    }
}

/* ---- lists that are none -----------------------------------------------------------------------
 */

static void hand_in(struct land *land, const struct made *list)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Revocation revocation = SALLYPORT__REVOCATION__INIT;
    size_t room = list->bytes + 64;
    uint8_t *frame = malloc(room);
    struct peer *peer = link_to(land->operator, land->hubs[3]);

    revocation.list.data = list->der;
    revocation.list.len = list->bytes;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_REVOCATION;
    envelope.revocation = &revocation;
    size_t bytes = sallyport__envelope__pack(&envelope, frame);
    land->operator->core->io.send(land->operator, peer->link, frame, bytes);
    free(frame);
    world_run(&land->world, 2000);
}

static uint64_t malformed(const struct land *land)
{
    return land->hubs[3]->core->malformed;
}

static void wrong_lists_are_dropped(uint64_t seed)
{
    struct land land;
    struct realm foreign;
    char why[160];

    land_open(&land, seed);
    struct sim_node *paris = land.sites[1];
    publish(&land, 5, &paris, 1);
    world_run(&land.world, SOON_MS);
    sim_check(&land.world, all_know(&land, 5) && malformed(&land) == 0);
    if (realm_make(&foreign, "simulation", 365, why, sizeof why) < 0)
        abort();

    struct made forged = make_list(&foreign, 6, land.sites, SITES);
    hand_in(&land, &forged);
    sim_check(&land.world, malformed(&land) == 1);
    struct made older = make_list(sim_realm(), 4, land.sites, SITES);
    hand_in(&land, &older);
    sim_check(&land.world, malformed(&land) == 2);
    struct made good = make_list(sim_realm(), 6, land.sites, SITES);
    good.der[good.bytes / 2] ^= 1;
    hand_in(&land, &good);
    sim_check(&land.world, malformed(&land) == 3);
    good.der[good.bytes / 2] ^= 1;
    good.bytes--;
    hand_in(&land, &good);
    sim_check(&land.world, malformed(&land) == 4);
    struct made garbage = {.der = calloc(1, FRAME_BYTES_MAX), .bytes = FRAME_BYTES_MAX - 16};
    hand_in(&land, &garbage);
    garbage.bytes = FRAME_BYTES_MAX; /* and what does not fit into a frame */
    hand_in(&land, &garbage);
    garbage.bytes = 0;
    hand_in(&land, &garbage);
    sim_check(&land.world, malformed(&land) == 7);
    sim_check(&land.world, all_know(&land, 5));
    for (int i = 0; i < SITES; i++)
        sim_check(&land.world, is_linked(land.sites[i]) == (land.sites[i] != paris));
    free(forged.der);
    free(older.der);
    free(good.der);
    free(garbage.der);
    realm_fini(&foreign);
    land_close(&land);
}

/* ---- how often it goes over the wires
 * ------------------------------------------------------------
 */

static unsigned lists_sent;

static int count_lists(struct sim_node *node, uint8_t *frame, size_t bytes, size_t room)
{
    Sallyport__Envelope *envelope = sallyport__envelope__unpack(NULL, bytes, frame);

    (void)node;
    (void)room;
    lists_sent += envelope && envelope->body_case == SALLYPORT__ENVELOPE__BODY_REVOCATION;
    if (envelope)
        sallyport__envelope__free_unpacked(envelope, NULL);
    return (int)bytes;
}

/* At most once each way over each link; then there is peace, also when it is heard again. */
static void it_does_not_go_round(uint64_t seed)
{
    struct land land;

    land_open(&land, seed);
    lists_sent = 0;
    for (int i = 0; i < land.world.node_count; i++)
        land.world.nodes[i]->on_send = count_lists;
    publish(&land, 1, &land.sites[5], 1);
    world_run(&land.world, 2000);
    sim_check(&land.world, all_know(&land, 1));
    /* links: 6 of fellows, 12 of sites, 1 of the operator */
    sim_check(&land.world, lists_sent >= HUBS + SITES && lists_sent <= 2 * (6 + 2 * SITES + 1));
    lists_sent = 0;
    struct identity_list held = identity_list(land.operator->identity);
    hand_in(&land, &(struct made){.der = (uint8_t *)held.der, .bytes = held.bytes});
    world_run(&land.world, 60000);
    sim_check(&land.world, lists_sent == 1);
    land_close(&land);
}

int main(int argc, char **argv)
{
    scene_seeds(argc, argv, "client", a_client_is_revoked, 10);
    scene_seeds(argc, argv, "supernode", a_supernode_is_revoked, 10);
    scene_seeds(argc, argv, "first", the_supernode_that_hears_first_is_revoked, 10);
    scene_seeds(argc, argv, "away", who_was_away_hears_of_it_when_he_returns, 10);
    scene_seeds(argc, argv, "twin", an_offer_goes_to_the_twin, 10);
    scene_seeds(argc, argv, "nobody", an_offer_goes_to_nobody, 10);
    scene_seeds(argc, argv, "large", lists_are_as_large_as_a_frame, 2);
    scene_seeds(argc, argv, "wrong", wrong_lists_are_dropped, 5);
    scene_seeds(argc, argv, "round", it_does_not_go_round, 10);
    printf("a list was everywhere after at most %llu ms\n", (unsigned long long)slowest_ms);
    return 0;
}
