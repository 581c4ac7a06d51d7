/* Those next in the ring watched, and the links made that should be there. */
#include "overlay/core_internal.h"
#include "overlay/spread.h"

#include <string.h>

#define PULSE_MS 200
#define ASK_MS 300          /* one that is watched says something at least so often */
#define ANSWER_MS 800       /* and answers within this, else it is down */
#define UNLINKED_MS 3000    /* no link can be made for so long: down */
#define OTHER_DIALS_MS 2000 /* for those without a link that it is the other one's turn to make */
#define IDLE_MS 120000
#define IDLE_EVERY_MS 5000
/* How often somebody is tried that is not known to live: so halves of a realm find each other. */
#define HEAL_EVERY_MS 10000
#define DIALS_MAX 32
#define RETRY_MAX_MS 60000
/* A link that lasted so long is made again at once. */
#define LASTED_MS 5000

/* ---- watching ---------------------------------------------------------------------------------
 */

static void watch(struct core *core, struct member *member, uint64_t now_ms)
{
    struct peer *peer = fellow_find(core, member->node);

    if (!peer) {
        if (now_ms >= member->unlinked_ms + UNLINKED_MS)
            gossip_accuse(core, member);
    } else if (peer->ping_ms) {
        if (now_ms >= peer->ping_ms + ANSWER_MS)
            gossip_accuse(core, member);
    } else if (now_ms >= peer->heard_ms + ASK_MS) {
        peer_ping(peer, false);
    }
}

/* ---- links ------------------------------------------------------------------------------------
 */

static bool may_dial(struct core *core, const struct member *member, uint64_t now_ms)
{
    return !member->is_self && !member->dialling && member->next_ms <= now_ms &&
           !fellow_find(core, member->node);
}

/* Of two the one with the lower id dials, so that they do not dial each other. */
static bool is_our_turn(struct core *core, const struct member *member, uint64_t now_ms)
{
    return memcmp(core->self->node, member->node, OVERLAY_NODE_ID_BYTES) < 0 ||
           member->failures > 0 || now_ms >= member->unlinked_ms + OTHER_DIALS_MS;
}

struct peer *pulse_dial(struct core *core, struct member *member)
{
    if (member->dialling || member->next_ms > core_now(core))
        return member->dialling;
    /* it may be dialled already, as one that was not known as a member; but two that say that they
     * listen there are two */
    struct peer *peer = host_dialling(core, member->address);
    if (!peer || peer->member || peer->is_for_us)
        peer = attach_dial_address(core, member->address);
    peer->member = member;
    member->dialling = peer;
    return peer;
}

static void make_links(struct core *core, uint64_t now_ms)
{
    struct members *members = core->members;
    struct member *ring[RING_LINKS_MAX];
    int count = members_ring(core, ring), dials = 0;

    if (identity_is_revoked(core->identity, core->self->serial))
        return; /* nobody will have us */
    for (int i = 0; i < count; i++)
        if (may_dial(core, ring[i], now_ms))
            pulse_dial(core, ring[i]);
    if (members->live_count > MEMBERS_MESH)
        return;
    for (int i = 0; i < members->live_count && dials < DIALS_MAX; i++)
        if (may_dial(core, members->live[i], now_ms) &&
            is_our_turn(core, members->live[i], now_ms)) {
            pulse_dial(core, members->live[i]);
            dials++;
        }
}

static bool is_standing(struct core *core, const struct peer *fellow)
{
    struct member *ring[RING_LINKS_MAX];
    int count;

    if (core->members->live_count <= MEMBERS_MESH || fellow->version < 2)
        return true;
    count = members_ring(core, ring);
    for (int i = 0; i < count; i++)
        if (memcmp(ring[i]->node, fellow->node, OVERLAY_NODE_ID_BYTES) == 0)
            return true;
    return false;
}

/* Those that we dialled because we had something to say, long ago. */
static void close_idle(struct core *core, uint64_t now_ms)
{
    struct peer *fellow = core->fellows, *next;

    for (; fellow; fellow = next) {
        next = fellow->hh_node.next;
        if (fellow->is_dialled && now_ms >= fellow->used_ms + IDLE_MS &&
            now_ms >= fellow->since_ms + IDLE_MS && !is_standing(core, fellow))
            fellow_close_idle(fellow);
    }
}

/* One of the supernodes that we once knew of. */
static void heal(struct core *core)
{
    struct member *member, *down = NULL;
    uint64_t count = 0;

    if (identity_is_revoked(core->identity, core->self->serial))
        return;
    for (member = core->members->table; member; member = member->hh.next)
        if (member->is_down && core_random(core, ++count) == 0)
            down = member;
    if (down && !down->dialling && !fellow_find(core, down->node)) {
        down->next_ms = 0;
        pulse_dial(core, down);
    }
    host_try_one(core);
}

static void on_pulse(void *owner)
{
    struct core *core = owner;
    struct members *members = core->members;
    uint64_t now_ms = core_now(core);

    for (int distance = 1; distance <= RING_NEXT; distance++) {
        struct member *member = members_next(core, distance);
        if (member)
            watch(core, member, now_ms);
    }
    make_links(core, now_ms);
    if (now_ms >= members->idle_ms + IDLE_EVERY_MS) {
        members->idle_ms = now_ms;
        close_idle(core, now_ms);
    }
    if (now_ms >= members->heal_ms + HEAL_EVERY_MS) {
        members->heal_ms = now_ms - core_random(core, HEAL_EVERY_MS / 4);
        heal(core);
    }
    core_timer_set(core, &members->pulse_timer, core_now(core) + PULSE_MS);
}

void pulse_open(struct core *core)
{
    core_timer_init(&core->members->pulse_timer, on_pulse, core);
    core->members->heal_ms = core_now(core);
    core_timer_set(core, &core->members->pulse_timer, core_now(core) + PULSE_MS);
}

void pulse_soon(struct core *core)
{
    if (core->members)
        core_timer_set(core, &core->members->pulse_timer, core_now(core));
}

/* ---- what becomes of links --------------------------------------------------------------------
 */

static void back_off(struct core *core, struct member *member)
{
    uint64_t pause_ms = (uint64_t)500 << (member->failures < 7 ? member->failures : 7);

    member->failures++;
    member->next_ms = core_now(core) + pause_ms / 2 +
                      core_random(core, (pause_ms < RETRY_MAX_MS ? pause_ms : RETRY_MAX_MS));
}

void pulse_dial_failed(struct core *core, struct peer *peer)
{
    struct member *member = peer->member;

    member->dialling = NULL;
    peer->member = NULL;
    member->losses++;
    spread_soon(core);
    back_off(core, member);
    for (int distance = 1; distance <= RING_NEXT; distance++)
        if (members_next(core, distance) == member)
            gossip_accuse(core, member);
    query_on_node_gone(core, member->node);
}

void pulse_linked(struct core *core, struct peer *peer)
{
    struct member *member = peer->member;

    if (!member)
        return;
    if (memcmp(member->node, peer->node, OVERLAY_NODE_ID_BYTES) != 0) {
        pulse_dial_failed(core, peer); /* somebody else listens there */
        return;
    }
    member->dialling = NULL;
    peer->member = NULL;
}

void pulse_unlinked(struct core *core, const struct peer *peer)
{
    struct member *member = members_find(core, peer->node);

    if (!member)
        return;
    member->unlinked_ms = core_now(core);
    if (!peer->is_leaving) {
        member->losses++;
        spread_soon(core);
    }
    if (member->unlinked_ms >= peer->since_ms + LASTED_MS) {
        member->failures = 0;
        member->next_ms = 0;
    } else {
        back_off(core, member);
    }
    pulse_soon(core);
}
