/* Nodes of three versions of the protocol in one realm: 1, 2, and a 3 that says in everything what
 * nobody knows yet. */
#include "overlay/core_internal.h"
#include "tests/sim/scene.h"

#include <stdio.h>
#include <string.h>

#define SUPERNODES_MAX 5
#define SITES 3

/* ---- what old and new programs say ------------------------------------------------------------
 */

static void forget_load(Sallyport__Supernode *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        list[i]->seats = list[i]->clients = list[i]->version = 0;
        if (list[i]->site[0])
            list[i]->site[0] = '\0';
    }
}

static void drop_member(Sallyport__SignedMember **member)
{
    if (*member)
        sallyport__signed_member__free_unpacked(*member, NULL);
    *member = NULL;
}

/* All that version 2 has added goes; false: the whole message. */
static bool speak_one(Sallyport__Envelope *envelope)
{
    switch (envelope->body_case) {
    case SALLYPORT__ENVELOPE__BODY_WILLING:
    case SALLYPORT__ENVELOPE__BODY_INVITE:
    case SALLYPORT__ENVELOPE__BODY_MEMBERS:
    case SALLYPORT__ENVELOPE__BODY_REVOCATION:
    case SALLYPORT__ENVELOPE__BODY_REVOCATION_HELD:
        return false;
    case SALLYPORT__ENVELOPE__BODY_HELLO:
        envelope->hello->calls = 0;
        envelope->hello->revocation = 0;
        drop_member(&envelope->hello->member);
        break;
    case SALLYPORT__ENVELOPE__BODY_WELCOME:
        envelope->welcome->revocation = 0;
        drop_member(&envelope->welcome->member);
        forget_load(envelope->welcome->supernodes, envelope->welcome->n_supernodes);
        break;
    case SALLYPORT__ENVELOPE__BODY_GOODBYE:
        envelope->goodbye->grace_ms = 0;
        envelope->goodbye->idle = envelope->goodbye->full = false;
        forget_load(envelope->goodbye->supernodes, envelope->goodbye->n_supernodes);
        break;
    case SALLYPORT__ENVELOPE__BODY_PUBLISHED:
        envelope->published->node.len = 0;
        break;
    case SALLYPORT__ENVELOPE__BODY_FOUND:
        envelope->found->busy = false;
        break;
    default:
        break;
    }
    return true;
}

static ProtobufCMessage *body_of(Sallyport__Envelope *envelope)
{
    /* all bodies share one place in the union */
    return envelope->body_case ? (ProtobufCMessage *)envelope->hello : NULL;
}

static uint8_t unknown_data[] = {3, 'n', 'e', 'w'};
static ProtobufCMessageUnknownField unknown_fields[] = {
    {.tag = 200, .wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED, .len = 4, .data = unknown_data},
    {.tag = 201, .wire_type = PROTOBUF_C_WIRE_TYPE_VARINT, .len = 1, .data = unknown_data},
};

static void add_unknown(ProtobufCMessage *message)
{
    message->n_unknown_fields = 2;
    message->unknown_fields = unknown_fields;
}

static void speak_three(Sallyport__Envelope *envelope)
{
    add_unknown(&envelope->base);
    if (body_of(envelope))
        add_unknown(body_of(envelope));
    if (envelope->body_case == SALLYPORT__ENVELOPE__BODY_WELCOME &&
        envelope->welcome->n_supernodes > 0)
        add_unknown(&envelope->welcome->supernodes[0]->base);
}

static void forget_unknown(ProtobufCMessage *message)
{
    message->n_unknown_fields = 0;
    message->unknown_fields = NULL;
}

static int translate(struct sim_node *node, uint8_t *frame, size_t bytes, size_t room)
{
    Sallyport__Envelope *envelope = sallyport__envelope__unpack(NULL, bytes, frame);
    bool is_said = true;
    size_t packed = 0;

    sim_check(node->world, envelope != NULL);
    if (node->version == 1)
        is_said = speak_one(envelope);
    else
        speak_three(envelope);
    if (is_said) {
        packed = sallyport__envelope__get_packed_size(envelope);
        sim_check(node->world, packed <= room);
        sallyport__envelope__pack(envelope, frame);
    }
    if (node->version != 1) {
        if (envelope->body_case == SALLYPORT__ENVELOPE__BODY_WELCOME &&
            envelope->welcome->n_supernodes > 0)
            forget_unknown(&envelope->welcome->supernodes[0]->base);
        if (body_of(envelope))
            forget_unknown(body_of(envelope));
        forget_unknown(&envelope->base);
    }
    sallyport__envelope__free_unpacked(envelope, NULL);
    return (int)packed;
}

/* A body that nobody knows, and one without any, on all links. */
static void say_the_unknown(struct sim_node *node)
{
    static const uint8_t frame[] = {0xca, 0x0c, 0x03, 'n', 'e', 'w'}; /* field 201 */
    struct core *core = node->core;

    for (struct peer *peer = core->peers; peer; peer = peer->hh.next)
        if (peer->is_up && !peer->other) {
            core->io.send(core->io.ctx, peer->link, frame, sizeof frame);
            core->io.send(core->io.ctx, peer->link, frame, 0);
        }
}

/* ---- realms of several versions ---------------------------------------------------------------
 */

struct mix {
    struct world world;
    struct sim_node *supernode[SUPERNODES_MAX], *site[SITES];
    int supernodes;
};

static void set_version(struct sim_node *node, unsigned version)
{
    node->version = version;
    node->on_send = version == 2 ? NULL : translate;
}

/* Each supernode knows the one before; a site of each version knows two supernodes by chance. */
static void mix_open(struct mix *mix, uint64_t seed, const unsigned *versions, int supernodes)
{
    static const char *const names[] = {"berlin", "paris", "rome"};
    char name[16];

    world_init(&mix->world, seed);
    mix->supernodes = supernodes;
    for (int i = 0; i < supernodes; i++) {
        snprintf(name, sizeof name, "hub%d", i);
        mix->supernode[i] = world_supernode(&mix->world, name);
        set_version(mix->supernode[i], versions[i]);
        if (i > 0)
            sim_node_knows(mix->supernode[i], mix->supernode[i - 1]);
        sim_node_start(mix->supernode[i]);
    }
    world_run(&mix->world, 3000);
    for (int i = 0; i < SITES; i++) {
        mix->site[i] = world_gateway(&mix->world, names[i]);
        set_version(mix->site[i], (unsigned)i + 1);
        uint64_t first = world_random(&mix->world, (uint64_t)supernodes);
        for (uint64_t k = 0; k < 2 && k < (uint64_t)supernodes; k++)
            sim_node_knows(mix->site[i], mix->supernode[(first + k) % (uint64_t)supernodes]);
        sim_node_start(mix->site[i]);
    }
    world_run(&mix->world, 5000);
}

static void check_malformed(struct mix *mix)
{
    for (int i = 0; i < mix->world.node_count; i++) {
        struct overlay_status status = {.site = NULL};
        core_status(mix->world.nodes[i]->core, &status);
        sim_check(&mix->world, status.malformed == 0);
    }
}

static void check_call(struct mix *mix, struct sim_node *from, struct sim_node *to,
                       const char *dialled)
{
    struct sim_call *call = scene_call(from, dialled);

    world_run(&mix->world, 1500);
    struct sim_call *far = sim_call_far(&mix->world, call);
    sim_check(&mix->world, call->rings == 1 && call->answers == 1);
    sim_check(&mix->world, far && far->node == to);
    sim_call_end(call, CALL_NORMAL);
    world_run(&mix->world, 300);
    sim_check(&mix->world, far->ends == 1);
}

/* Each calls each other one, by site and by number. */
static void check_calls(struct mix *mix)
{
    char dialled[OVERLAY_NAME_MAX + 16];

    for (int i = 0; i < mix->world.node_count; i++)
        if (mix->world.nodes[i]->version == 3)
            say_the_unknown(mix->world.nodes[i]);
    for (int from = 0; from < SITES; from++)
        for (int to = 0; to < SITES; to++) {
            const struct certificate *whose = identity_certificate(mix->site[to]->identity);
            if (from == to)
                continue;
            snprintf(dialled, sizeof dialled, "202@%s", whose->site);
            check_call(mix, mix->site[from], mix->site[to], dialled);
            snprintf(dialled, sizeof dialled, "%s55", whose->numbers[0]);
            check_call(mix, mix->site[from], mix->site[to], dialled);
        }
    struct sim_call *nobody = scene_call(mix->site[0], "202@nowhere");
    world_run(&mix->world, 2000);
    sim_check(&mix->world, nobody->ends == 1 && nobody->cause.reason == CALL_NOT_FOUND);
}

static void mix_close(struct mix *mix)
{
    world_run(&mix->world, 45000);
    world_check_calm(&mix->world);
    check_malformed(mix);
    world_fini(&mix->world);
}

/* ---- stories ----------------------------------------------------------------------------------
 */

static void all_versions_call_each_other(uint64_t seed)
{
    static const unsigned versions[][SUPERNODES_MAX] = {
        {1},
        {2},
        {3},
        {1, 1},
        {1, 2},
        {2, 1},
        {2, 2},
        {1, 3},
        {3, 1},
        {2, 3},
        {3, 2},
        {1, 1, 2},
        {2, 1, 1},
        {1, 2, 2},
        {2, 2, 1},
        {1, 2, 3},
        {3, 2, 1},
        {3, 3, 3},
        {1, 2, 2, 2, 2},
        {2, 2, 1, 2, 3},
        {1, 1, 1, 1, 2},
        {3, 1, 2, 1, 2},
    };
    const unsigned *chosen = versions[seed % (sizeof versions / sizeof versions[0])];
    struct mix mix;
    int supernodes = 0;

    while (supernodes < SUPERNODES_MAX && chosen[supernodes])
        supernodes++;
    mix_open(&mix, seed, chosen, supernodes);
    for (int i = 0; i < SITES; i++)
        sim_check(&mix.world, mix.site[i]->is_told_attached);
    check_calls(&mix);
    /* Names stay where they are found when records have been published again. */
    world_run(&mix.world, 500000);
    check_calls(&mix);
    mix_close(&mix);
}

/* One supernode after the other is replaced by one of another version, up and down again; the
 * gateways as well. */
static void a_realm_is_upgraded_step_by_step(uint64_t seed)
{
    static const unsigned path[] = {1, 2, 3, 2, 1};
    static const unsigned ones[SUPERNODES_MAX] = {1, 1, 1};
    struct mix mix;

    mix_open(&mix, seed, ones, 3);
    for (size_t step = 1; step < sizeof path / sizeof path[0]; step++) {
        for (int i = 0; i < 3; i++) {
            sim_node_stop(mix.supernode[i]);
            world_run(&mix.world, world_random(&mix.world, 3000));
            set_version(mix.supernode[i], path[step]);
            sim_node_start(mix.supernode[i]);
            world_run(&mix.world, 30000);
            check_calls(&mix);
        }
        for (int i = 0; i < SITES; i++) {
            sim_node_stop(mix.site[i]);
            set_version(mix.site[i], path[step]);
            sim_node_start(mix.site[i]);
            world_run(&mix.world, 3000);
        }
        check_calls(&mix);
    }
    mix_close(&mix);
}

int main(int argc, char **argv)
{
    scene_seeds(argc, argv, "mixed", all_versions_call_each_other, 66);
    scene_seeds(argc, argv, "upgrade", a_realm_is_upgraded_step_by_step, 5);
    sim_identities_free();
    return 0;
}
