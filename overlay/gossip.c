/* What supernodes tell each other of supernodes: statements, accusations, comparisons. */
#include "overlay/core_internal.h"
#include "overlay/seats.h"

#include <stdlib.h>
#include <string.h>

#define FLUSH_MS 20
#define AT_ONCE 40 /* statements in a frame, if they fit */
#define BATCH_BYTES_MAX (FRAME_BYTES_MAX - 512)
#define DOWN_BYTES 128 /* on the wire, or less */
#define EXTRA_BYTES 80 /* of a statement: its signature, tags and lengths */
#define KNOWN_MAX 1800 /* fit into a frame */
/* A newcomer hears of so many at once, of the others when it is compared again. */
#define ANSWER_MAX 600
/* Our own statement: when something in it has changed, when it is refuted, and in any case. */
#define SAY_SOON_MS 1000
#define SAY_AGAIN_MS 200
#define SAY_PAUSE_MS 5000
#define SAY_EVERY_MS 60000
#define SAY_EVERY_PER_MEMBER_MS 300
#define COMPARE_EVERY_MS 20000
/* What one link may tell; beyond it statements are dropped and come with the next comparison. */
#define HEARD_PER_S 500
#define HEARD_BURST 4000
/* Comparisons that one link may ask for: an answer is long. */
#define COMPARED_PER_S 1
#define COMPARED_BURST 5
/* We accuse one that lives again after so long, doubled each time. */
#define WRONGLY_FIRST_MS 5000
#define WRONGLY_MAX_DOUBLINGS 6

/* ---- telling ----------------------------------------------------------------------------------
 */

/* A frame of Members that is being filled; its statements stay where they are. */
struct batch {
    Sallyport__SignedMember member[AT_ONCE], *members[AT_ONCE];
    Sallyport__Down down[AT_ONCE], *downs[AT_ONCE];
    size_t member_count, down_count, bytes;
};

static void wire_of(const struct member *member, Sallyport__SignedMember *wire)
{
    sallyport__signed_member__init(wire);
    wire->member.data = member->data;
    wire->member.len = member->bytes;
    wire->signature.data = (uint8_t *)member->signature;
    wire->signature.len = sizeof member->signature;
}

static void batch_add(struct batch *batch, const struct member *member)
{
    if (member->is_down) {
        accusation_encode(&batch->down[batch->down_count], &member->down);
        batch->downs[batch->down_count] = &batch->down[batch->down_count];
        batch->down_count++;
        batch->bytes += DOWN_BYTES;
    } else {
        wire_of(member, &batch->member[batch->member_count]);
        batch->members[batch->member_count] = &batch->member[batch->member_count];
        batch->member_count++;
        batch->bytes += member->bytes + EXTRA_BYTES;
    }
}

static bool batch_has_room(const struct batch *batch, const struct member *member)
{
    size_t bytes = member->is_down ? DOWN_BYTES : member->bytes + EXTRA_BYTES;

    return batch->member_count < AT_ONCE && batch->down_count < AT_ONCE &&
           batch->bytes + bytes <= BATCH_BYTES_MAX;
}

static void batch_send(struct batch *batch, struct peer *const *to, int count)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Members members = SALLYPORT__MEMBERS__INIT;

    members.members = batch->members;
    members.n_members = batch->member_count;
    members.downs = batch->downs;
    members.n_downs = batch->down_count;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_MEMBERS;
    envelope.members = &members;
    for (int i = 0; i < count && batch->member_count + batch->down_count > 0; i++)
        peer_send(to[i], &envelope);
    batch->member_count = batch->down_count = batch->bytes = 0;
}

/* News go along the ring and across it: each member hears them after a few steps, and more than
 * once. */
static int listeners(struct core *core, struct peer *out[RING_LINKS_MAX])
{
    struct member *ring[RING_LINKS_MAX];
    int count = 0, links = members_ring(core, ring);

    for (int i = 0; i < links; i++) {
        struct peer *peer = fellow_find(core, ring[i]->node);
        if (peer)
            out[count++] = peer;
    }
    return count;
}

/* It stands in the ring no more, but should it live it is to say so. */
static void tell_accused(const struct member *member, struct peer *accused)
{
    struct batch *batch = core_alloc(sizeof *batch);

    batch_add(batch, member);
    batch_send(batch, &accused, 1);
    free(batch);
}

static void on_flush(void *owner)
{
    struct core *core = owner;
    struct batch *batch = core_alloc(sizeof *batch);
    struct peer *to[RING_LINKS_MAX], *accused;
    int count = listeners(core, to);

    for (struct member *member = core->members->table; member; member = member->hh.next) {
        if (!member->is_news && !member->is_down_news)
            continue;
        if (member->is_down_news && (accused = fellow_find(core, member->node)) != NULL)
            tell_accused(member, accused);
        member->is_news = member->is_down_news = false;
        if (!batch_has_room(batch, member))
            batch_send(batch, to, count);
        batch_add(batch, member);
    }
    batch_send(batch, to, count);
    free(batch);
}

void gossip_flush_soon(struct core *core)
{
    if (!core->members->flush_timer.place)
        core_timer_set(core, &core->members->flush_timer, core_now(core) + FLUSH_MS);
}

/* ---- our own statement ------------------------------------------------------------------------
 */

static uint64_t say_every_ms(const struct core *core)
{
    return SAY_EVERY_MS + SAY_EVERY_PER_MEMBER_MS * (uint64_t)core->members->live_count;
}

static void on_say(void *owner)
{
    struct core *core = owner;
    uint64_t every_ms = say_every_ms(core);
    struct statement statement = {
        .sequence = core_next_sequence(core),
        .instance = core->members->instance,
        .issued_s = core->io.time_s(core->io.ctx),
        .lifetime_s = (uint32_t)(4 * every_ms / 1000),
        .version = core->version,
        .seats = core->seats,
        .clients = core->client_count,
        .willing = core->seats_state.willing,
        .records = directory_count(core->directory),
        .is_invited = core->is_invited,
        .is_leaving = core->is_retiring || core->is_leaving,
    };
    Sallyport__SignedMember wire;
    char why[96];

    if (statement.lifetime_s > MEMBER_LIFETIME_MAX_S)
        statement.lifetime_s = MEMBER_LIFETIME_MAX_S;
    strcpy(statement.address, core->address);
    statement_sign(core->identity, &statement, &wire);
    if (members_take(core, &wire, why, sizeof why) < 0)
        core_complain(core, COMPLAINT_MEMBER, "our own statement is refused: %s", why);
    statement_signed_fini(&wire);
    core->members->said_ms = core_now(core);
    core_timer_set(core, &core->members->say_timer,
                   core_now(core) + every_ms - core_random(core, every_ms / 4));
    gossip_flush_soon(core);
}

void gossip_say(struct core *core, bool is_urgent)
{
    struct members *members = core->members;
    uint64_t now_ms = core_now(core), at_ms;

    if (!members)
        return;
    uint64_t soonest_ms = members->said_ms + (is_urgent ? SAY_AGAIN_MS : SAY_PAUSE_MS);
    at_ms = is_urgent ? now_ms : now_ms + SAY_SOON_MS;
    if (at_ms < soonest_ms)
        at_ms = soonest_ms;
    if (!members->say_timer.place || members->say_timer.at_ms > at_ms)
        core_timer_set(core, &members->say_timer, at_ms);
}

Sallyport__SignedMember *gossip_own(struct core *core, Sallyport__SignedMember *wire)
{
    if (!core->members || !core->members->self || core->version < 2)
        return NULL;
    wire_of(core->members->self, wire);
    return wire;
}

/* ---- accusing ---------------------------------------------------------------------------------
 */

void gossip_accuse(struct core *core, struct member *member)
{
    struct accusation accusation = {.sequence = member->sequence};
    uint64_t now_ms = core_now(core);
    unsigned doublings =
        member->wrongly < WRONGLY_MAX_DOUBLINGS ? member->wrongly : WRONGLY_MAX_DOUBLINGS;

    if (member->is_down || now_ms < member->accuse_ms)
        return;
    member->accuse_ms = now_ms + ((uint64_t)WRONGLY_FIRST_MS << doublings);
    memcpy(accusation.node, member->node, sizeof accusation.node);
    accusation_sign(core->identity, &accusation);
    if (members_accuse(core, &accusation) > 0)
        gossip_flush_soon(core);
}

void gossip_farewell(struct core *core)
{
    struct batch *batch;

    if (!core->members || !core->members->self)
        return;
    struct accusation accusation = {.sequence = core->members->self->sequence};
    memcpy(accusation.node, core->self->node, sizeof accusation.node);
    accusation_sign(core->identity, &accusation);
    batch = core_alloc(sizeof *batch);
    for (struct peer *fellow = core->fellows; fellow; fellow = fellow->hh_node.next) {
        accusation_encode(&batch->down[0], &accusation);
        batch->downs[0] = &batch->down[0];
        batch->down_count = 1;
        batch_send(batch, &fellow, 1);
    }
    free(batch);
}

/* ---- comparing --------------------------------------------------------------------------------
 */

void gossip_compare(struct core *core, struct peer *fellow)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Members members = SALLYPORT__MEMBERS__INIT;
    size_t count = 0, live = (size_t)core->members->live_count;
    Sallyport__Known *known = core_alloc((live + 1) * sizeof *known);
    Sallyport__Known **list = core_alloc((live + 1) * sizeof *list);

    if (live > KNOWN_MAX)
        live = KNOWN_MAX; /* of the others it tells again what we know */
    for (; count < live; count++) {
        struct member *member = core->members->live[count];
        sallyport__known__init(&known[count]);
        known[count].node.data = member->node;
        known[count].node.len = sizeof member->node;
        known[count].sequence = member->sequence;
        list[count] = &known[count];
    }
    members.known = list;
    members.n_known = count;
    members.whole = true;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_MEMBERS;
    envelope.members = &members;
    peer_send(fellow, &envelope);
    free(known);
    free(list);
}

static int compare_known(const void *left, const void *right)
{
    const Sallyport__Known *a = *(Sallyport__Known *const *)left,
                           *b = *(Sallyport__Known *const *)right;

    return memcmp(a->node.data, b->node.data, OVERLAY_NODE_ID_BYTES);
}

/* Sorts those that are well-formed to the front; returns how many. */
static size_t sort_known(const Sallyport__Members *told)
{
    size_t count = 0;

    for (size_t i = 0; i < told->n_known; i++) {
        Sallyport__Known *known = told->known[i];
        if (known->node.len != OVERLAY_NODE_ID_BYTES)
            continue;
        told->known[i] = told->known[count];
        told->known[count++] = known;
    }
    if (count > 0)
        qsort(told->known, count, sizeof *told->known, compare_known);
    return count;
}

/* Have they something older than this, or believe in one that is down? */
static bool is_wanted(const struct member *member, Sallyport__Known *const *known, size_t count)
{
    Sallyport__Known key = SALLYPORT__KNOWN__INIT, *key_at = &key;

    key.node.data = (uint8_t *)member->node;
    key.node.len = OVERLAY_NODE_ID_BYTES;
    Sallyport__Known *const *at =
        count ? bsearch(&key_at, known, count, sizeof *known, compare_known) : NULL;
    if (member->is_down)
        return at && (*at)->sequence <= member->down.sequence;
    return !at || (*at)->sequence < member->sequence;
}

static void answer(struct core *core, struct peer *peer, const Sallyport__Members *told)
{
    struct batch *batch = core_alloc(sizeof *batch);
    size_t count = sort_known(told);
    int told_count = 0;

    for (struct member *member = core->members->table; member && told_count < ANSWER_MAX;
         member = member->hh.next) {
        if (!is_wanted(member, told->known, count))
            continue;
        told_count++;
        if (!batch_has_room(batch, member))
            batch_send(batch, &peer, 1);
        batch_add(batch, member);
    }
    batch_send(batch, &peer, 1);
    free(batch);
}

static void on_compare(void *owner)
{
    struct core *core = owner;
    unsigned count = HASH_CNT(hh_node, core->fellows);
    uint64_t chosen = core_random(core, count);

    members_expire(core);
    for (struct peer *fellow = core->fellows; fellow; fellow = fellow->hh_node.next)
        if (chosen-- == 0 && fellow->version >= 2) {
            gossip_compare(core, fellow);
            break;
        }
    core_timer_set(core, &core->members->compare_timer,
                   core_now(core) + COMPARE_EVERY_MS / 2 + core_random(core, COMPARE_EVERY_MS));
}

/* ---- hearing ----------------------------------------------------------------------------------
 */

static bool may_tell(struct core *core, struct peer *peer)
{
    if (bucket_take(&peer->heard, core_now(core), HEARD_PER_S, HEARD_BURST))
        return true;
    core->malformed++;
    core_complain(core, COMPLAINT_GOSSIP, "%s (%s) tells too much of supernodes", peer->site,
                  peer->address);
    return false;
}

void gossip_hear(struct core *core, struct peer *peer, const Sallyport__SignedMember *wire)
{
    char why[96];

    if (!wire || !core->members || core->version < 2 || !may_tell(core, peer))
        return;
    int result = members_take(core, wire, why, sizeof why);
    if (result > 0)
        gossip_flush_soon(core);
    if (result < 0) {
        core->malformed++;
        core_complain(core, COMPLAINT_MEMBER, "a statement from %s (%s) was refused: %s",
                      peer->site, peer->address, why);
    }
}

static void hear_down(struct core *core, struct peer *peer, const Sallyport__Down *wire)
{
    struct accusation accusation;

    if (!may_tell(core, peer))
        return;
    if (!accusation_decode(&accusation, wire)) {
        core->malformed++;
        return;
    }
    int result = members_accuse(core, &accusation);
    if (result > 0)
        gossip_flush_soon(core);
    if (result < 0) {
        core->malformed++;
        core_complain(core, COMPLAINT_MEMBER, "an accusation from %s (%s) was refused: forged",
                      peer->site, peer->address);
    }
}

void gossip_on_members(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope)
{
    const Sallyport__Members *told = envelope->members;

    if (!core->members)
        return;
    for (size_t i = 0; i < told->n_members; i++)
        gossip_hear(core, peer, told->members[i]);
    for (size_t i = 0; i < told->n_downs; i++)
        hear_down(core, peer, told->downs[i]);
    if (!told->whole)
        return;
    if (bucket_take(&peer->compared, core_now(core), COMPARED_PER_S, COMPARED_BURST)) {
        answer(core, peer, told);
        return;
    }
    core->malformed++;
    core_complain(core, COMPLAINT_GOSSIP, "%s (%s) compares too often", peer->site, peer->address);
}

/* ---- life -------------------------------------------------------------------------------------
 */

void members_open(struct core *core)
{
    struct members *members = core_alloc(sizeof *members);

    core->members = members;
    core->io.random(core->io.ctx, &members->instance, sizeof members->instance);
    core_timer_init(&members->flush_timer, on_flush, core);
    core_timer_init(&members->say_timer, on_say, core);
    core_timer_init(&members->compare_timer, on_compare, core);
    core_timer_set(core, &members->compare_timer, core_now(core) + COMPARE_EVERY_MS);
    pulse_open(core);
    on_say(core);
}
