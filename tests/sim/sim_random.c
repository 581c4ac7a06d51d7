/* Small worlds in which anything happens, by chance: `sim_random [SEEDS]`, one alone with
 * `sim_random random SEED`.
 *
 * After each burst of trouble nothing happens for SETTLE_MS: 2 s until each death is known, 1.5 s
 * until records are on their way to new holders, and some round trips. Then, and more so in the
 * calm at the end:
 *
 *   a node that has a living home is found by any other that has one, within 1 s, and a call to it
 *   rings; one that has withdrawn is not found;
 *   no record is held whose owner may not have the name, whatever was sent; at any time;
 *   no supernode has more clients than seats; at any time;
 *   supernodes agree on who they are, once no link is dead without anybody's knowing;
 *   what goes on in the calm is bounded, and so is what one call sends: nothing goes round.
 *
 * Supernodes remember for a minute what was found; a look-up that leads nowhere is made again past
 * that memory (is_fresh), as calls do. So "is not found" is asked for with fresh look-ups, and of
 * the others those count that were fresh or not needed to be.
 */
#include "overlay/core_internal.h"
#include "tests/sim/realm_checks.h"
#include "tests/sim/scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUPERNODES_MAX 6
#define WILLING_MAX 2
#define GATEWAYS_MAX 8
#define NODES_MAX (SUPERNODES_MAX + WILLING_MAX + GATEWAYS_MAX)
#define NAMES 60 /* that nodes are drawn from: other ids, another ring */
#define BURSTS 6
#define BURST_MS 8000
#define SETTLE_MS 5000
#define CALM_MS 60000
#define AGREED_MAX_MS 600000
#define KEPT_MAX 8
#define FOUND_WITHIN_MS 1000

/* Something signed that was true once. */
struct kept {
    char name[OVERLAY_NAME_MAX];
    Sallyport__SignedRecord wire;
};

struct chaos {
    struct world world;
    struct sim_node *node[NODES_MAX];
    int count, supernodes, gateways; /* supernodes are the first */
    bool was_left[NODES_MAX];        /* core_leave, not started since */
    bool was_split, has_liars;
    struct kept kept[KEPT_MAX];
    int kept_count;
};

static struct {
    unsigned long long asked, asked_again, called, longest_ms;
} totals;

static bool is_alone; /* one seed only: what happens is told */

static void tell(const struct chaos *chaos, const char *what, const struct sim_node *node,
                 const struct sim_node *other)
{
    if (is_alone)
        printf("%llu ms: %s %s %s\n", (unsigned long long)chaos->world.now_ms, what,
               node ? node->name : "", other ? other->name : "");
}

/* For whoever looks for the cause. */
static void tell_all(const struct chaos *chaos)
{
    for (int i = 0; i < chaos->count && is_alone; i++) {
        const struct sim_node *node = chaos->node[i];
        const struct core *core = node->core;
        printf("  %-4s %s%s%s, homes %d of %d, members %d, records %u, clients %u of %u\n",
               node->name, core ? "up" : "down", sim_serves(node) ? ", serves" : "",
               chaos->was_left[i] ? ", left" : "", sim_living_homes(node),
               core ? core->upstream_count : 0, sim_serves(node) ? core->members->live_count : 0,
               core ? directory_count(core->directory) : 0, core ? core->client_count : 0,
               core ? core->seats : 0);
    }
}

static uint64_t draw(struct chaos *chaos, uint64_t below)
{
    return world_random(&chaos->world, below);
}

static struct sim_node *any_node(struct chaos *chaos)
{
    return chaos->node[draw(chaos, (uint64_t)chaos->count)];
}

static struct sim_node *any_gateway(struct chaos *chaos)
{
    return chaos->node[chaos->count - 1 - (int)draw(chaos, (uint64_t)chaos->gateways)];
}

/* ---- the world --------------------------------------------------------------------------------
 */

static void add(struct chaos *chaos, struct sim_node *node)
{
    chaos->node[chaos->count++] = node;
    sim_node_knows(node, chaos->node[0]); /* which is there at the end */
    for (int tries = 0; tries < 4 && node->supernode_count < 3; tries++) {
        struct sim_node *known = chaos->node[draw(chaos, (uint64_t)chaos->supernodes)];
        if (known != node && known->roles & CONF_ROLE_SUPERNODE)
            sim_node_knows(node, known);
    }
}

static void draw_name(struct chaos *chaos, char letter, char name[16])
{
    bool is_taken = true;

    while (is_taken) {
        snprintf(name, 16, "%c%u", letter, (unsigned)draw(chaos, NAMES));
        is_taken = false;
        for (int i = 0; i < chaos->count; i++)
            is_taken |= strcmp(chaos->node[i]->name, name) == 0;
    }
}

static void make_world(struct chaos *chaos)
{
    struct world *world = &chaos->world;
    int willing = (int)draw(chaos, WILLING_MAX + 1);
    char name[16];

    chaos->supernodes = 2 + (int)draw(chaos, SUPERNODES_MAX - 1);
    chaos->gateways = 3 + (int)draw(chaos, GATEWAYS_MAX - 2);
    chaos->has_liars = draw(chaos, 2) == 0;
    bool is_tight = draw(chaos, 3) == 0;
    unsigned seats = (unsigned)(2 * (chaos->gateways + willing) / chaos->supernodes + 2);
    for (int i = 0; i < chaos->supernodes; i++) {
        draw_name(chaos, 's', name);
        struct sim_node *node = world_supernode(world, name);
        node->seats = is_tight ? seats : 0;
        for (int k = 0; k < i; k++)
            sim_node_knows(node, chaos->node[k]);
        chaos->node[chaos->count++] = node;
    }
    for (int i = 0; i < willing; i++) {
        draw_name(chaos, 'w', name);
        struct sim_node *node = world_willing(world, name);
        node->seats = 2 + (unsigned)draw(chaos, 30);
        node->plenty_for_ms = 10000 + draw(chaos, 40000);
        add(chaos, node);
    }
    for (int i = 0; i < chaos->gateways; i++) {
        draw_name(chaos, 'g', name);
        bool is_twin = i > 0 && draw(chaos, 5) == 0;
        const char *other = chaos->node[chaos->count - 1]->name;
        bool had_twin = i > 1 && strcmp(chaos->node[chaos->count - 2]->name, other) == 0;
        add(chaos, is_twin && !had_twin ? world_twin(world, other) : world_gateway(world, name));
    }
}

/* ---- what happens -----------------------------------------------------------------------------
 */

static int index_of(struct chaos *chaos, const struct sim_node *node)
{
    int i = 0;

    while (chaos->node[i] != node)
        i++;
    return i;
}

static int half_of(const struct sim_node *node)
{
    return node->group;
}

static void start(struct chaos *chaos, struct sim_node *node)
{
    if (node->core)
        return;
    tell(chaos, "start", node, NULL);
    sim_node_start(node);
    chaos->was_left[index_of(chaos, node)] = false;
}

static void hang_up(void *arg)
{
    struct sim_call *call = arg;

    if (call->call && call->node->core && call->epoch == call->node->epoch)
        sim_call_end(call, CALL_NORMAL);
}

static struct sim_call *call_somebody(struct chaos *chaos, struct sim_node *from,
                                      const struct sim_node *to, uint64_t talk_ms)
{
    char address[32];
    int error;

    snprintf(address, sizeof address, "202@%s", to->name);
    struct sim_call *call = from->core ? sim_call_new(from, address, &error) : NULL;
    if (call)
        world_at(&chaos->world, talk_ms, hang_up, call);
    return call;
}

static void split(struct chaos *chaos)
{
    for (int i = 0; i < chaos->count; i++)
        chaos->node[i]->group = (int)draw(chaos, 2);
    tell(chaos, "split", NULL, NULL);
    world_split(&chaos->world, half_of);
    chaos->was_split = true;
}

/* Whoever has no living home for half a second, or leaves while supernodes do not know of each
 * other, is not heard by all that should hear: that is no promise. */
static void leave(struct chaos *chaos, struct sim_node *node)
{
    bool is_heard = sim_living_homes(node) > 0 && realm_is_agreed(&chaos->world);

    tell(chaos, "leave", node, NULL);
    core_leave(node->core);
    world_run(&chaos->world, 500);
    chaos->was_left[index_of(chaos, node)] =
        is_heard && sim_living_homes(node) > 0 && !chaos->world.group_of;
}

/* Keeps a record that is true now. */
static bool keep(void *ctx, const struct directory_answer *held)
{
    struct chaos *chaos = ctx;
    struct kept *kept = &chaos->kept[draw(chaos, KEPT_MAX)];

    if (draw(chaos, 4) != 0)
        return true;
    if (kept->wire.record.data)
        record_signed_fini(&kept->wire);
    strcpy(kept->name, held->name);
    sallyport__signed_record__init(&kept->wire);
    kept->wire.record.data = malloc(held->record.len);
    memcpy(kept->wire.record.data, held->record.data, held->record.len);
    kept->wire.record.len = held->record.len;
    kept->wire.signature.data = malloc(held->signature.len);
    memcpy(kept->wire.signature.data, held->signature.data, held->signature.len);
    kept->wire.signature.len = held->signature.len;
    return false;
}

static void send_record(struct sim_node *from, Sallyport__SignedRecord *record)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Publish publish = SALLYPORT__PUBLISH__INIT;
    struct core *core = from->core;

    publish.records = &record;
    publish.n_records = 1;
    publish.forwarded = core->members != NULL;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_PUBLISH;
    envelope.publish = &publish;
    for (int i = 0; i < core->upstream_count; i++)
        peer_send(core->upstream[i], &envelope);
    for (struct peer *fellow = core->fellows; fellow; fellow = fellow->hh_node.next)
        peer_send(fellow, &envelope);
}

/* Sends somebody's old record, or one of a name that is not the sender's, or one that is spoilt. */
static void lie(struct chaos *chaos, struct sim_node *node)
{
    struct kept *kept = &chaos->kept[draw(chaos, KEPT_MAX)];
    Sallyport__SignedRecord wire;

    if (!node->core)
        return;
    if (draw(chaos, 2) == 0 && kept->wire.record.data) {
        uint8_t *byte = &kept->wire.record.data[draw(chaos, kept->wire.record.len)];
        bool is_spoilt = draw(chaos, 2) == 0;
        *byte ^= is_spoilt;
        send_record(node, &kept->wire);
        *byte ^= is_spoilt;
        return;
    }
    struct record *record = core_alloc(sizeof *record);
    strcpy(record->name, any_gateway(chaos)->name);
    attach_homes(node->core, &record->homes);
    record->sequence = UINT64_MAX / 4;
    record->issued_s = node->core->io.time_s(node->core->io.ctx);
    record->lifetime_s = 600;
    record->is_withdrawn = draw(chaos, 2) == 0;
    if (strcmp(record->name, node->name) != 0) {
        record_sign(node->identity, record, &wire);
        send_record(node, &wire);
        record_signed_fini(&wire);
    }
    free(record);
}

static void take_some(struct chaos *chaos)
{
    struct sim_node *node = any_node(chaos);

    if (node->core)
        directory_each(node->core->directory, 0, keep, chaos);
}

static void do_something(struct chaos *chaos)
{
    struct world *world = &chaos->world;
    struct sim_node *node = any_node(chaos), *other;

    switch (draw(chaos, 16)) {
    case 0:
        tell(chaos, "stop", node, NULL);
        sim_node_stop(node);
        break;
    case 1:
        tell(chaos, "silence", node, NULL);
        sim_node_silence(node);
        break;
    case 2:
    case 3:
    case 4:
        start(chaos, node);
        break;
    case 5:
        node = any_gateway(chaos);
        if (node->core && !node->core->is_leaving)
            leave(chaos, node);
        break;
    case 6:
        other = any_node(chaos);
        tell(chaos, "cut", node, other);
        world_cut(world, node, other);
        break;
    case 7:
        tell(chaos, "cut", node, NULL);
        world_cut(world, node, NULL);
        break;
    case 8:
        if (draw(chaos, 3) == 0)
            split(chaos);
        else
            world_heal(world);
        break;
    case 9:
    case 10:
        take_some(chaos);
        break;
    case 11:
    case 12:
        if (chaos->has_liars)
            lie(chaos, node);
        break;
    default:
        (void)call_somebody(chaos, any_gateway(chaos), any_gateway(chaos), draw(chaos, 20000));
    }
}

static void check_always(struct chaos *chaos)
{
    realm_check_seats(&chaos->world);
    realm_check_records(&chaos->world);
}

static void burst(struct chaos *chaos)
{
    for (uint64_t passed_ms = 0; passed_ms < BURST_MS;) {
        uint64_t pause_ms = draw(chaos, draw(chaos, 2) ? 200 : 3000);
        do_something(chaos);
        world_run(&chaos->world, pause_ms);
        passed_ms += pause_ms + 1;
        check_always(chaos);
    }
}

/* ---- what must be so --------------------------------------------------------------------------
 */

static bool can_be_found(const struct sim_node *node)
{
    return node->roles & CONF_ROLE_GATEWAY && node->core && !node->core->is_leaving &&
           sim_living_homes(node) > 0;
}

static bool is_over(void *arg)
{
    return ((struct sim_ask *)arg)->is_over;
}

static struct sim_ask *ask(struct chaos *chaos, struct sim_node *from, const struct sim_node *to,
                           bool is_fresh)
{
    struct sim_ask *asked = sim_ask_new(from, to->name, to, is_fresh);

    sim_check(&chaos->world, world_run_until(&chaos->world, is_over, asked, 3000));
    return asked;
}

static void check_found(struct chaos *chaos, struct sim_node *from, const struct sim_node *to)
{
    struct world *world = &chaos->world;
    struct sim_ask *asked = ask(chaos, from, to, false);
    uint64_t took_ms = asked->took_ms;

    totals.asked++;
    if (!asked->is_found) {
        totals.asked_again++;
        asked = ask(chaos, from, to, true);
        took_ms += asked->took_ms;
    }
    if (!asked->is_found || took_ms > FOUND_WITHIN_MS) {
        tell(chaos, "is not found in time:", to, from);
        tell_all(chaos);
    }
    sim_check(world, asked->is_found);
    sim_check(world, took_ms <= FOUND_WITHIN_MS);
    if (took_ms > totals.longest_ms)
        totals.longest_ms = took_ms;
    world_forget_asks(world);
}

static void check_not_found(struct chaos *chaos, struct sim_node *from, const struct sim_node *to)
{
    struct sim_ask *asked = ask(chaos, from, to, true);

    if (asked->is_found) {
        tell(chaos, "is found although it left:", to, from);
        tell_all(chaos);
    }
    sim_check(&chaos->world, !asked->is_found);
    world_forget_asks(&chaos->world);
}

static void check_all_found(struct chaos *chaos)
{
    for (int i = 0; i < chaos->count; i++)
        for (int k = 0; k < chaos->count; k++) {
            struct sim_node *from = chaos->node[i], *to = chaos->node[k];
            if (from != to && can_be_found(from) && can_be_found(to))
                check_found(chaos, from, to);
            if (from != to && can_be_found(from) && chaos->was_left[k] && !chaos->was_split)
                check_not_found(chaos, from, to);
        }
}

static bool has_living_twin(struct chaos *chaos, const struct sim_node *node)
{
    for (int i = 0; i < chaos->count; i++)
        if (chaos->node[i] != node && strcmp(chaos->node[i]->name, node->name) == 0)
            return true;
    return false;
}

static uint64_t routes_sent(struct chaos *chaos)
{
    uint64_t count = 0;

    for (int i = 0; i < chaos->count; i++)
        if (chaos->node[i]->traffic)
            count += chaos->node[i]->traffic->out[SALLYPORT__ENVELOPE__BODY_ROUTE].frames;
    return count;
}

/* Each calls another one: it rings in time, is answered, and takes a few messages only. */
static void check_calls(struct chaos *chaos)
{
    struct world *world = &chaos->world;

    for (int i = 0; i < chaos->count; i++) {
        struct sim_node *from = chaos->node[i], *to = any_gateway(chaos);
        if (from == to || !can_be_found(from) || !can_be_found(to) || has_living_twin(chaos, to) ||
            strcmp(from->name, to->name) == 0)
            continue;
        uint64_t before = routes_sent(chaos);
        struct sim_call *call = call_somebody(chaos, from, to, 2000);
        totals.called++;
        sim_check(world, call != NULL);
        world_run(world, 1500);
        sim_check(world, call->rings == 1 && call->answers == 1);
        sim_check(world, call->rang_ms - call->start_ms <= FOUND_WITHIN_MS);
        world_run(world, 2000);
        sim_check(world, routes_sent(chaos) - before < 60);
    }
}

/* ---- the calm at the end ----------------------------------------------------------------------
 */

static bool is_calm(void *arg)
{
    struct chaos *chaos = arg;

    for (int i = 0; i < chaos->count; i++)
        if (chaos->node[i]->core && !chaos->node[i]->core->is_leaving &&
            sim_living_homes(chaos->node[i]) == 0)
            return false;
    return realm_is_agreed(&chaos->world) && !realm_is_changing(&chaos->world);
}

static void check_quiet(struct chaos *chaos)
{
    struct world *world = &chaos->world;
    uint64_t before = world->frames;

    world_run(world, 10000);
    /* those next in the ring are watched: three each, 2.5 times a second, question and answer */
    sim_check(world, world->frames - before < 10 * 25 * (uint64_t)chaos->count);
}

static void calm_down(struct chaos *chaos)
{
    struct world *world = &chaos->world;

    world_heal(world);
    for (int i = 0; i < chaos->count; i++)
        if (chaos->node[i]->core && chaos->node[i]->core->is_leaving)
            sim_node_stop(chaos->node[i]);
    /* all supernodes: with fewer there may not be a seat for everyone */
    for (int i = 0; i < chaos->count; i++)
        if (i < chaos->supernodes || draw(chaos, 3) > 0)
            start(chaos, chaos->node[i]);
    world_run(world, CALM_MS);
    check_always(chaos);
    bool is_agreed = world_run_until(world, is_calm, chaos, AGREED_MAX_MS);
    if (!is_agreed)
        tell_all(chaos);
    sim_check(world, is_agreed);
    world_run(world, SETTLE_MS);
}

static void open_chaos(struct chaos *chaos, uint64_t seed)
{
    *chaos = (struct chaos){.count = 0};
    sim_share_checks(true);
    world_init(&chaos->world, seed);
    make_world(chaos);
    tell(chaos, chaos->has_liars ? "there are liars" : "nobody lies", NULL, NULL);
    for (int i = 0; i < chaos->count; i++) {
        chaos->node[i]->has_disk = true;
        sim_node_start(chaos->node[i]);
    }
    world_run(&chaos->world, 10000);
}

static void close_chaos(struct chaos *chaos)
{
    struct sim_call *call;

    STAILQ_FOREACH(call, &chaos->world.calls, next)
    hang_up(call);
    world_run(&chaos->world, 45000);
    check_always(chaos);
    world_check_calm(&chaos->world);
    world_fini(&chaos->world);
    for (int i = 0; i < KEPT_MAX; i++)
        if (chaos->kept[i].wire.record.data)
            record_signed_fini(&chaos->kept[i].wire);
    sim_share_checks(false);
}

static void anything_happens(uint64_t seed)
{
    struct chaos chaos;

    open_chaos(&chaos, seed);
    for (int i = 0; i < BURSTS; i++) {
        burst(&chaos);
        if (chaos.world.group_of)
            continue;
        world_run(&chaos.world, SETTLE_MS);
        if (!chaos.was_split)
            check_all_found(&chaos);
    }
    calm_down(&chaos);
    chaos.was_split = false;
    check_all_found(&chaos);
    check_calls(&chaos);
    check_quiet(&chaos);
    close_chaos(&chaos);
}

int main(int argc, char **argv)
{
    uint64_t count = argc == 2 ? strtoull(argv[1], NULL, 10) : 200;

    is_alone = argc > 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    scene_seeds(argc, argv, "random", anything_happens, count);
    printf("look-ups %llu, of them past the memory %llu, the longest %llu ms; calls %llu\n",
           totals.asked, totals.asked_again, totals.longest_ms, totals.called);
    sim_identities_free();
    return 0;
}
