/* One supernode of the realm is bad: it has a certificate and speaks the protocol, but lies.
 *
 * What it can do:
 *   - withhold: say that it knows of no record, keep what clients publish to itself. Who asks hears
 *     the other holder, or by the standby: 300 ms later at worst. Names whose three holders are all
 *     bad are not found: of S supernodes with b bad ones about (b/S)^3 of the names;
 *   - answer old records while their signatures last (15 minutes): the call that follows one leads
 *     nowhere, which its home says at once, and asks all holders; what was tried is no answer, the
 *     newest counts, and a withdrawn one is a record too;
 *   - drop or delay calls that pass through it: what is not acknowledged takes two other ways after
 *     300 ms, and all four (two supernodes at either end) after 600 ms, when the directory is asked
 *     anew, too. Acknowledgements go back by the supernode that brought the message, which works.
 *     A caller waits 1.8 s before it says that nobody is there. Who has both homes at bad ones is
 *     cut off while these pretend to serve;
 *   - accuse others of being down: an accused one contradicts within a second; who accuses many
 *     that live is not believed any more. For that second holders are other ones, and a look-up in
 *     a thousand may miss;
 *   - see which node sends to which, when, and how much: not who speaks, nor what about;
 *   - claim to have many free seats, so that clients come to it.
 * What it cannot do:
 *   - invent a record or change one: the owner's signature and its certificate's grant are checked
 *     by each that keeps it and by each that asks;
 *   - take a name from its owner, read or change a call, answer in somebody's place: calls are
 *     sealed to the certificate that the record carries;
 *   - keep others apart: statements and accusations go by several ways, and are signed;
 *   - end calls that are up: they do not need it.
 */
#include "overlay/core_internal.h"
#include "tests/sim/realm_checks.h"
#include "tests/sim/tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASKS_PER_S 20
#define WATCH_MS 60000
#define CALLS 200
#define ACCUSE_EVERY_MS 500

/* A record as it was before its node moved. */
struct old {
    UT_hash_handle hh;
    Sallyport__SignedRecord wire;
    char name[];
};

static struct bad {
    struct crowd *crowd;
    struct sim_node *node;
    struct old *old;
    bool is_over;
} bad;

/* ---- lies in answers --------------------------------------------------------------------------
 */

static void lie_nothing(Sallyport__Found *found)
{
    found->n_records = 0;
}

static void set(ProtobufCBinaryData *to, const ProtobufCBinaryData *from)
{
    free(to->data);
    to->len = from->len;
    to->data = core_alloc(from->len);
    memcpy(to->data, from->data, from->len);
}

static void lie_old(Sallyport__Found *found)
{
    for (size_t i = 0; i < found->n_records; i++) {
        Sallyport__SignedRecord *wire = found->records[i];
        Sallyport__Record *record =
            sallyport__record__unpack(NULL, wire->record.len, wire->record.data);
        struct old *old;
        HASH_FIND_STR(bad.old, record->name, old);
        sallyport__record__free_unpacked(record, NULL);
        if (!old)
            continue;
        set(&wire->record, &old->wire.record);
        set(&wire->signature, &old->wire.signature);
    }
}

/* The same name, served by itself. */
static void lie_invented(Sallyport__Found *found)
{
    for (size_t i = 0; i < found->n_records; i++) {
        Sallyport__SignedRecord *wire = found->records[i], invented;
        Sallyport__Record *told =
            sallyport__record__unpack(NULL, wire->record.len, wire->record.data);
        struct record *record = core_alloc(sizeof *record);
        strcpy(record->name, told->name);
        record->sequence = told->sequence + 1000;
        record->issued_s = told->issued_s;
        record->lifetime_s = told->lifetime_s;
        record_sign(bad.node->identity, record, &invented);
        set(&wire->record, &invented.record);
        set(&wire->signature, &invented.signature);
        record_signed_fini(&invented);
        free(record);
        sallyport__record__free_unpacked(told, NULL);
    }
}

static void (*answer_lie)(Sallyport__Found *found);

/* What it answers is a lie; what clients publish it keeps to itself. */
static int lie(struct sim_node *node, uint8_t *frame, size_t bytes, size_t room)
{
    Sallyport__Envelope *envelope = sallyport__envelope__unpack(NULL, bytes, frame);
    size_t length = bytes;

    (void)node;
    if (envelope && envelope->body_case == SALLYPORT__ENVELOPE__BODY_FOUND) {
        size_t count = envelope->found->n_records;
        answer_lie(envelope->found);
        if (sallyport__envelope__get_packed_size(envelope) > room)
            envelope->found->n_records = 0;
        length = sallyport__envelope__pack(envelope, frame);
        envelope->found->n_records = count;
    }
    if (envelope && envelope->body_case == SALLYPORT__ENVELOPE__BODY_PUBLISH &&
        answer_lie == lie_nothing)
        length = 0;
    if (envelope)
        sallyport__envelope__free_unpacked(envelope, NULL);
    return (int)length;
}

static bool remember(void *ctx, const struct directory_answer *held)
{
    struct old *old;

    (void)ctx;
    HASH_FIND_STR(bad.old, held->name, old);
    if (old)
        return true;
    old = core_alloc(sizeof *old + strlen(held->name) + 1);
    strcpy(old->name, held->name);
    sallyport__signed_record__init(&old->wire);
    set(&old->wire.record, &held->record);
    set(&old->wire.signature, &held->signature);
    HASH_ADD_STR(bad.old, name, old);
    return true;
}

static void forget_old(void)
{
    struct old *old, *after;

    HASH_ITER(hh, bad.old, old, after)
    {
        HASH_DEL(bad.old, old);
        record_signed_fini(&old->wire);
        free(old);
    }
}

/* ---- accusations ------------------------------------------------------------------------------
 */

static void act_accuse(void *arg)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Members members = SALLYPORT__MEMBERS__INIT;
    Sallyport__Down down, *downs[] = {&down};
    struct core *core = bad.node->core;

    (void)arg;
    if (bad.is_over)
        return;
    members.downs = downs;
    members.n_downs = 1;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_MEMBERS;
    envelope.members = &members;
    for (int i = 0; i < core->members->live_count; i++) {
        const struct member *member = core->members->live[i];
        struct accusation accusation = {.sequence = member->sequence};
        if (member->is_self)
            continue;
        memcpy(accusation.node, member->node, sizeof accusation.node);
        accusation_sign(bad.node->identity, &accusation);
        accusation_encode(&down, &accusation);
        for (struct peer *fellow = core->fellows; fellow; fellow = fellow->hh_node.next)
            peer_send(fellow, &envelope);
    }
    world_at(&bad.crowd->world, ACCUSE_EVERY_MS, act_accuse, NULL);
}

/* ---- the kinds of badness ---------------------------------------------------------------------
 */

static const struct sim_faults drops = {.lost = 1000};
static const struct sim_faults delays = {.late = 1000, .late_ms = 4000};

static void be_honest(void)
{
}

static void withhold(void)
{
    answer_lie = lie_nothing;
    bad.node->on_send = lie;
}

static void answer_old(void)
{
    answer_lie = lie_old;
    bad.node->on_send = lie;
}

static void invent(void)
{
    answer_lie = lie_invented;
    bad.node->on_send = lie;
}

static void drop_calls(void)
{
    bad.node->faults = &drops;
}

static void delay_calls(void)
{
    bad.node->faults = &delays;
}

static void withhold_and_drop(void)
{
    withhold();
    drop_calls();
}

static void accuse_all(void)
{
    act_accuse(NULL);
}

static const struct {
    const char *name;
    void (*begin)(void);
} kinds[] = {
    {"honest", be_honest},
    {"withholds records", withhold},
    {"answers old records", answer_old},
    {"invents records", invent},
    {"drops calls", drop_calls},
    {"delays calls by up to 4 s", delay_calls},
    {"withholds and drops", withhold_and_drop},
    {"accuses all others", accuse_all},
};

/* ---- one realm each ---------------------------------------------------------------------------
 */

static struct sim_node *busiest(const struct crowd *crowd)
{
    struct sim_node *node = crowd->supernodes[0];

    for (int i = 1; i < crowd->supernode_count; i++)
        if (crowd->supernodes[i]->core->client_count > node->core->client_count)
            node = crowd->supernodes[i];
    return node;
}

/* All clients of one good supernode move, so that old records are wrong. */
static void move_some(struct crowd *crowd)
{
    struct sim_node *node = crowd->supernodes[crowd->supernodes[0] == bad.node];

    directory_each(bad.node->core->directory, 0, remember, NULL);
    sim_node_crash(node);
    world_run(&crowd->world, 10000);
    sim_node_start(node);
    world_run(&crowd->world, 10000);
}

static int count_clients(const struct crowd *crowd)
{
    int count = 0;

    for (int i = 0; i < crowd->gateway_count; i++)
        count += attach_has(crowd->gateways[i]->core, bad.node->core->self->node);
    return count;
}

static void run(int kind, const struct crowd_settings *settings)
{
    struct crowd crowd;
    struct crowd_asks asks = {.may_ask = NULL};
    struct world *world = &crowd.world;

    crowd_open(&crowd, settings);
    crowd_start(&crowd, 10000);
    sim_check(world, crowd_wait_attached(&crowd, 60000));
    crowd_wait_standby(&crowd, 60000);
    bad = (struct bad){.crowd = &crowd, .node = busiest(&crowd)};
    move_some(&crowd);
    int clients = count_clients(&crowd);
    kinds[kind].begin();
    uint64_t start_ms = world->now_ms;
    crowd_ask(&crowd, &asks, ASKS_PER_S, WATCH_MS);
    world_run(world, WATCH_MS + 3000);
    struct crowd_asked asked = crowd_asked(&crowd, start_ms, world->now_ms);
    struct crowd_calls calls = crowd_call(&crowd, CALLS, 20000, 3000);
    realm_check_records(world);
    printf("   %-26s %4d  %5d/%-5d %4d %5llu %5llu   %5d/%-4d %5llu %5llu %5llu\n",
           kinds[kind].name, clients, asked.wrong, asked.asked, asked.late,
           (unsigned long long)asked.took_ms[0], (unsigned long long)asked.took_ms[2], calls.failed,
           calls.begun, (unsigned long long)calls.ringing_ms[0],
           (unsigned long long)calls.ringing_ms[1], (unsigned long long)calls.ringing_ms[2]);
    sim_check(world, 200 * asked.wrong <= asked.asked);
    sim_check(world, calls.failed == 0);
    bad.is_over = true;
    world_run(world, 1000);
    forget_old();
    crowd_close(&crowd);
}

void table_byzantine(const struct table_size *size)
{
    static const int gateways[] = {40, 200, 1000}, supernodes[] = {6, 8, 16};
    struct crowd_settings settings = {
        .gateways = size->gateways ? size->gateways : gateways[size->extent],
        .supernodes = size->supernodes ? size->supernodes : supernodes[size->extent],
        .seed = size->seed,
    };

    printf("   %d gateways, %d supernodes, one of which is bad; look-ups and calls go on as before "
           "by the second holder or home\n"
           "   %-26s %4s  %11s %4s %11s   %10s %17s\n"
           "   %-26s %4s  %11s %4s %11s   %10s %17s\n",
           settings.gateways, settings.supernodes, "it", "its", "look-ups", ">1 s", "ms", "calls",
           "rings after ms", "", "clients", "failed", "", "median, 99 %", "failed",
           "median, 95, 99 %");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        run((int)i, &settings);
    printf("   it can: delay, withhold while all three holders of a name are bad, cut off who has "
           "both homes "
           "at bad ones, see which node sends to which\n"
           "   it cannot: invent or change records, take over names, read, change or answer calls, "
           "split the realm, end calls that are up\n");
}
