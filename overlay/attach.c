/* Node side of links: keeps us attached to a home and a standby; a supernode to its fellows. */
#include "overlay/call.h"
#include "overlay/core_internal.h"
#include "overlay/event.h"

#include <stdio.h>
#include <string.h>

#define RACE_MAX 3 /* dials at once while nothing is attached */
/* A link that lasted so long was no failure. */
#define STABLE_MS 30000
/* How often a node with one supernode asks it for others. */
#define ALONE_FIRST_MS 500
#define ALONE_MAX_MS 30000
/* The other one becomes home only when it is clearly nearer. */
#define NEARER_BY_US 5000
/* Many lose the same supernode at the same time: they do not all knock at the next one at once. */
#define LOST_BOTH_SPREAD_MS 300
#define LOST_ONE_SPREAD_MS 2000
/* A node that is well attached tries now and then whether another supernode is better. */
#define BETTER_FIRST_MS 60000
#define BETTER_EVERY_MS 1200000
#define BETTER_BY_US 15000
#define AGAIN_MS 1000 /* one that was left may be back after so long */
#define LEAVE_MS 2000 /* for the one that is given up then */
#define GRACE_MAX_MS 60000
#define FULL_PAUSE_MS 15000 /* one that was full is not asked sooner */

static void attach_step(void *owner);

void attach_open(struct core *core)
{
    core->next_link = 3; /* 1 and 2 join a supernode to itself */
    core_timer_init(&core->attach_timer, attach_step, core);
    snprintf(core->last_error, sizeof core->last_error, "%s", "not attached yet");
    core->better_ms = core_now(core) + BETTER_FIRST_MS + core_random(core, BETTER_FIRST_MS);
    attach_wake(core);
}

static void wake_at(struct core *core, uint64_t at_ms)
{
    if (!core->attach_timer.place || core->attach_timer.at_ms > at_ms)
        core_timer_set(core, &core->attach_timer, at_ms);
}

void attach_wake(struct core *core)
{
    wake_at(core, core_now(core));
}

int attach_staying(const struct core *core)
{
    int count = 0;

    for (int i = 0; i < core->upstream_count; i++)
        count += !core->upstream[i]->is_leaving;
    return count;
}

bool attach_has(const struct core *core, const uint8_t node[OVERLAY_NODE_ID_BYTES])
{
    for (int i = 0; i < core->upstream_count; i++)
        if (memcmp(core->upstream[i]->node, node, OVERLAY_NODE_ID_BYTES) == 0)
            return true;
    return false;
}

/* ---- dialling ---------------------------------------------------------------------------------
 */

struct peer *attach_dial_address(struct core *core, const char *address)
{
    do {
        core->next_link = (core->next_link + 1) & 0x7fffffff; /* the top bit is for accepted ones */
    } while (core->next_link < 3 || peer_find(core, core->next_link));

    struct peer *peer = peer_new(core, core->next_link, &role_dialled);
    strcpy(peer->address, address);
    log_debug(LOG_OVERLAY, NULL, "dialling supernode %s", address);
    core->io.dial(core->io.ctx, peer->link, address);
    return peer;
}

struct peer *attach_dial(struct core *core, struct host *host)
{
    if (!host->peer) {
        host->peer = attach_dial_address(core, host->address);
        host->peer->host = host;
    }
    return host->peer;
}

/* Of a supernode: those to be reached that it does not know as members (pulse.c makes the other
 * links). */
static int dials_wanted(const struct core *core)
{
    int staying = attach_staying(core);

    if (core->is_leaving || core->is_retiring)
        return 0;
    if (core->is_supernode || staying == 0)
        return RACE_MAX - core->dialling;
    return HOMES_WANTED - staying - core->dialling;
}

/* One that said it was full comes after those that did not. */
static unsigned doubts(const struct host *host)
{
    return host->failures + (host->seats > 0 && host->clients >= host->seats ? 2 : 0);
}

/* The best that may be dialled now: fewest failures, by lot among equals, so that nodes spread. */
static struct host *choose_host(struct core *core, uint64_t now_ms)
{
    struct host *best = NULL;
    uint64_t equals = 0;

    for (int i = 0; i < core->host_count; i++) {
        struct host *host = core->hosts[i];
        if (!host_is_wanted(core, host) || host->next_ms > now_ms)
            continue;
        if (!best || doubts(host) < doubts(best)) {
            best = host;
            equals = 1;
        } else if (doubts(host) == doubts(best) && core_random(core, ++equals) == 0) {
            best = host;
        }
    }
    return best;
}

static void set_next_step(struct core *core)
{
    uint64_t next_ms = UINT64_MAX;

    if (dials_wanted(core) <= 0)
        return;
    for (int i = 0; i < core->host_count; i++)
        if (host_is_wanted(core, core->hosts[i]) && core->hosts[i]->next_ms < next_ms)
            next_ms = core->hosts[i]->next_ms;
    if (next_ms != UINT64_MAX)
        wake_at(core, next_ms);
    else if (core->upstream_count == 0 && core->dialling == 0)
        snprintf(core->last_error, sizeof core->last_error, "%s",
                 "no supernode is known: neither enrolment nor settings name one");
}

/* Our one supernode may have learnt of others since its Welcome. */
static void ask_for_others(struct core *core, uint64_t now_ms)
{
    if (core->is_supernode || core->is_leaving || core->upstream_count != 1)
        return;
    if (now_ms >= core->alone_ms) {
        peer_ping(core->upstream[0], true);
        core->alone_ms = now_ms + core->alone_pause_ms;
        core->alone_pause_ms =
            core->alone_pause_ms < ALONE_MAX_MS ? 2 * core->alone_pause_ms : ALONE_MAX_MS;
    }
    wake_at(core, core->alone_ms);
}

/* Is there one that is nearer, or less busy? What comes of it is decided by its Welcome. */
static void look_for_better(struct core *core, uint64_t now_ms)
{
    if (core->is_supernode || core->is_leaving || attach_staying(core) < HOMES_WANTED)
        return;
    if (now_ms >= core->better_ms) {
        struct host *host = core->dialling == 0 ? choose_host(core, now_ms) : NULL;
        core->better_ms = now_ms + BETTER_EVERY_MS / 2 + core_random(core, BETTER_EVERY_MS);
        if (host && host->failures == 0)
            attach_dial(core, host);
    }
    wake_at(core, core->better_ms);
}

/* Nothing is wrong with it: no back-off. */
static void close_surplus(struct peer *peer, const char *why)
{
    if (peer->host)
        peer->host->peer = NULL;
    peer->host = NULL;
    peer_close(peer, why);
}

/* Those that are to be left, once others are there or their time is over. */
static void leave(struct core *core, uint64_t now_ms)
{
    bool is_enough = !core->is_supernode && attach_staying(core) >= HOMES_WANTED;

    for (int i = core->upstream_count - 1; i >= 0; i--) {
        struct peer *peer = core->upstream[i];
        if (!peer->is_leaving || peer->other)
            continue;
        if (is_enough || now_ms >= peer->leave_ms)
            close_surplus(peer, "left for another supernode");
        else
            wake_at(core, peer->leave_ms);
    }
}

static void attach_step(void *owner)
{
    struct core *core = owner;
    uint64_t now_ms = core_now(core);

    for (int wanted = dials_wanted(core); wanted > 0; wanted--) {
        struct host *host = choose_host(core, now_ms);
        if (!host)
            break;
        attach_dial(core, host);
    }
    set_next_step(core);
    leave(core, now_ms);
    ask_for_others(core, now_ms);
    look_for_better(core, now_ms);
}

void attach_connected(struct core *core, struct peer *peer)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Hello hello = SALLYPORT__HELLO__INIT;
    Sallyport__SignedMember member;

    if (peer->host) {
        peer->host->has_node = true;
        memcpy(peer->host->node, peer->node, OVERLAY_NODE_ID_BYTES);
    }
    if (memcmp(peer->node, core->self->node, OVERLAY_NODE_ID_BYTES) == 0) {
        if (peer->host)
            peer->host->is_self = true;
        peer_close(peer, "that is this node itself");
        return;
    }
    if (!(peer->roles_granted & CONF_ROLE_SUPERNODE)) {
        peer_close(peer, "its certificate does not grant the role supernode");
        return;
    }
    hello.version = core->version;
    hello.supernode = core->is_supernode && !peer->is_for_us;
    peer->is_for_us = !hello.supernode; /* we may begin to serve, or cease, before its Welcome */
    hello.relay = core->relays.is_offered;
    hello.calls = HASH_COUNT(core->calls->by_name);
    if (hello.supernode)
        hello.member = gossip_own(core, &member);
    if (hello.supernode || hello.relay)
        hello.address = core->address;
    peer->told_digest = hello.relay; /* not that there are none */
    hello.revocation = identity_list(core->identity).number;
    hello.software = (char *)"sallyport/0.1";
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_HELLO;
    envelope.hello = &hello;
    peer->ping_number = core_now(core); /* for the first round trip: Hello to Welcome */
    peer_send(peer, &envelope);
    core_timer_set(core, &peer->timer, core_now(core) + GREETING_MAX_MS);
}

/* ---- home and standby -------------------------------------------------------------------------
 */

static void tell_attached(struct core *core, const char *why)
{
    bool is_attached = core->upstream_count > 0;

    if (is_attached != core->is_told_attached) {
        core->is_told_attached = is_attached;
        event_attached(core, is_attached, is_attached ? core->upstream[0]->address : why);
    }
}

static void upstreams_changed(struct core *core, const char *why, uint64_t pause_ms)
{
    if (core->upstream_count > 0 && !core->is_leaving)
        publish_soon(core);
    tell_attached(core, why);
    lookup_on_upstreams_changed(core);
    call_on_upstreams_changed(core);
    core->alone_pause_ms = ALONE_FIRST_MS;
    core->alone_ms = core_now(core) + ALONE_FIRST_MS;
    wake_at(core, core_now(core) + pause_ms);
}

/* Those that are being left behind the others; home before standby. */
static void order_upstreams(struct core *core)
{
    struct peer **all = core->upstream;
    int staying = 0;

    for (int i = 0; i < core->upstream_count; i++) {
        struct peer *peer = all[i];
        if (peer->is_leaving)
            continue;
        memmove(&all[staying + 1], &all[staying], (size_t)(i - staying) * sizeof *all);
        all[staying++] = peer;
    }
    if (staying == 2 && !all[0]->other &&
        all[1]->round_trip_us + NEARER_BY_US < all[0]->round_trip_us) {
        struct peer *home = all[0];
        all[0] = all[1];
        all[1] = home;
    }
}

void attach_add(struct core *core, struct peer *peer)
{
    core->upstream[core->upstream_count++] = peer;
    order_upstreams(core);
    log_info(LOG_OVERLAY, NULL, "attached to supernode %s (%s) as %s", peer->address, peer->site,
             core->upstream[0] == peer ? "home" : "standby");
    seats_on_attached(core, peer);
    upstreams_changed(core, NULL, 0);
}

void attach_leave(struct core *core, struct peer *upstream, uint64_t grace_ms)
{
    if (upstream->is_leaving)
        return;
    upstream->is_leaving = true;
    upstream->leave_ms = core_now(core) + grace_ms;
    if (upstream->host)
        upstream->host->next_ms =
            core_now(core) + grace_ms + AGAIN_MS / 2 + core_random(core, AGAIN_MS / 2);
    order_upstreams(core);
    attach_wake(core);
}

/* What it costs to use it: a busy one counts as one that is further away. */
static uint64_t cost_us(const struct peer *peer)
{
    uint64_t load = peer->seats ? 100 * (uint64_t)peer->clients / peer->seats : 0;

    return peer->round_trip_us + 10 * load * load;
}

/* Takes the place of the worse of the two that are there, if it is clearly better. */
static bool replaces_one(struct core *core, const struct peer *peer)
{
    struct peer *worst = NULL;

    for (int i = 0; i < core->upstream_count; i++)
        if (!core->upstream[i]->is_leaving &&
            (!worst || cost_us(core->upstream[i]) > cost_us(worst)))
            worst = core->upstream[i];
    if (core->upstream_count == UPSTREAMS_MAX || !worst ||
        cost_us(peer) + BETTER_BY_US > cost_us(worst))
        return false;
    attach_leave(core, worst, LEAVE_MS);
    return true;
}

static void on_welcome(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope)
{
    const Sallyport__Welcome *welcome = envelope->welcome;

    if (welcome->version < 1) {
        peer_close(peer, "speaks no known version");
        return;
    }
    peer->round_trip_us = (uint32_t)(1000 * (core_now(core) - peer->ping_number));
    peer->version = core_common_version(core, welcome->version);
    peer->seats = welcome->seats;
    peer->clients = welcome->clients;
    if (peer->host) {
        peer->host->next_ms = 0;
        peer->host->was_good = true;
    }
    host_learn_all(core, welcome->supernodes, welcome->n_supernodes);
    revocation_greeted(peer, welcome->revocation);

    if (core->is_supernode && !peer->is_for_us) {
        fellow_welcomed(core, peer, welcome);
        return;
    }
    if (peer->is_for_us == (core->is_supernode && !core->is_retiring)) {
        pulse_linked(core, peer);
        close_surplus(peer, peer->is_for_us ? "we serve ourselves now" : "we serve no more");
        return;
    }
    if (attach_has(core, peer->node)) {
        close_surplus(peer, "attached to it already");
        return;
    }
    if (attach_staying(core) >= HOMES_WANTED && !replaces_one(core, peer)) {
        close_surplus(peer, "home and standby are there already");
        return;
    }
    if (core->upstream_count == UPSTREAMS_MAX) {
        close_surplus(peer, "too many are being left");
        return;
    }
    peer_ready(peer, &role_upstream);
    relays_on_ready(core, peer);
    attach_add(core, peer);
}

/* Welcome again: the answer to ask_for_others. */
static void on_news(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope)
{
    peer->seats = envelope->welcome->seats;
    peer->clients = envelope->welcome->clients;
    host_learn_all(core, envelope->welcome->supernodes, envelope->welcome->n_supernodes);
    attach_wake(core);
}

struct peer *attach_upstream(const struct core *core, int attempt)
{
    if (core->upstream_count == 0)
        return NULL;
    struct peer *chosen = core->upstream[attempt % core->upstream_count];
    struct peer *other = core->upstream[(attempt + 1) % core->upstream_count];
    return peer_is_suspect(chosen) && !peer_is_suspect(other) ? other : chosen;
}

void attach_homes(const struct core *core, struct homes *homes)
{
    int staying = attach_staying(core);

    homes->count = 0;
    for (int i = 0; i < core->upstream_count && homes->count < HOMES_MAX; i++) {
        const struct peer *peer = core->upstream[i];
        struct home *home = &homes->home[homes->count];
        if (peer->is_leaving && staying > 0)
            continue;
        homes->count++;
        memset(home, 0, sizeof *home);
        home->has_node = true;
        memcpy(home->node, peer->node, OVERLAY_NODE_ID_BYTES);
        strcpy(home->address, peer->address);
    }
}

/* ---- ends -------------------------------------------------------------------------------------
 */

static void note_error(struct core *core, const struct peer *peer, const char *why)
{
    snprintf(core->last_error, sizeof core->last_error, "%.50s: %.70s", peer->address, why);
}

static void on_dialled_gone(struct core *core, struct peer *peer, const char *why)
{
    if (peer->member)
        pulse_dial_failed(core, peer);
    if (peer->host && !peer->host->is_self && host_is_wanted(core, peer->host)) {
        note_error(core, peer, why);
        log_info(LOG_OVERLAY, NULL, "supernode %s: %s", peer->address, why);
        host_failed(core, peer->host);
    }
    forward_on_fellow_gone(core, peer->link);
    attach_wake(core);
}

void attach_lost(struct core *core, struct peer *peer, const char *why)
{
    note_error(core, peer, why);
    log_warn(LOG_OVERLAY, NULL, "lost supernode %s: %s", peer->address, why);
    if (!peer->host)
        return;
    if (core_now(core) - peer->since_ms > STABLE_MS)
        peer->host->failures = 0;
    host_failed(core, peer->host);
}

/* The last one is gone. What others did some time ago says nothing of now: those that took us
 * before are tried again, once, and so are those that were told to live. */
static void end_pauses(struct core *core)
{
    for (int i = 0; i < core->host_count; i++) {
        struct host *host = core->hosts[i];
        uint64_t soon_ms = core_now(core) + core_random(core, LOST_BOTH_SPREAD_MS);
        if ((host->was_good || host->version) && host->next_ms > soon_ms + 1000)
            host->next_ms = soon_ms;
    }
}

static void on_upstream_gone(struct core *core, struct peer *peer, const char *why)
{
    int kept = 0;

    if (!peer->is_leaving)
        attach_lost(core, peer, why);
    for (int i = 0; i < core->upstream_count; i++)
        if (core->upstream[i] != peer)
            core->upstream[kept++] = core->upstream[i];
    core->upstream_count = kept;
    if (kept == 0)
        end_pauses(core);
    upstreams_changed(
        core, core->last_error,
        core_random(core, attach_staying(core) == 0 ? LOST_BOTH_SPREAD_MS : LOST_ONE_SPREAD_MS));
}

static void on_goodbye(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope)
{
    const Sallyport__Goodbye *goodbye = envelope->goodbye;
    char why[160];

    host_learn_all(core, goodbye->supernodes, goodbye->n_supernodes);
    snprintf(why, sizeof why, "it says goodbye: %.120s", goodbye->reason);
    if (goodbye->full && peer->host) {
        peer->host->next_ms = core_now(core) + FULL_PAUSE_MS + core_random(core, FULL_PAUSE_MS);
        log_info(LOG_OVERLAY, NULL, "supernode %s: %s", peer->address, why);
        note_error(core, peer, why);
        close_surplus(peer, why);
    } else if (goodbye->grace_ms > 0 && peer->role == &role_upstream) {
        log_info(LOG_OVERLAY, NULL, "supernode %s is left: %s", peer->address, why);
        attach_leave(core, peer,
                     goodbye->grace_ms < GRACE_MAX_MS ? goodbye->grace_ms : GRACE_MAX_MS);
    } else {
        peer_close(peer, why);
    }
}

const struct role role_dialled = {
    .name = "dialled supernode",
    .handle =
        {
            [SALLYPORT__ENVELOPE__BODY_WELCOME] = on_welcome,
            [SALLYPORT__ENVELOPE__BODY_GOODBYE] = on_goodbye,
        },
    .on_gone = on_dialled_gone,
};

const struct role role_upstream = {
    .name = "supernode",
    .handle =
        {
            [SALLYPORT__ENVELOPE__BODY_PING] = peer_on_ping,
            [SALLYPORT__ENVELOPE__BODY_PONG] = peer_on_pong,
            [SALLYPORT__ENVELOPE__BODY_WELCOME] = on_news,
            [SALLYPORT__ENVELOPE__BODY_GOODBYE] = on_goodbye,
            [SALLYPORT__ENVELOPE__BODY_PUBLISHED] = publish_on_published,
            [SALLYPORT__ENVELOPE__BODY_FOUND] = lookup_on_found,
            [SALLYPORT__ENVELOPE__BODY_ROUTE] = call_on_route,
            [SALLYPORT__ENVELOPE__BODY_ROUTE_FAILED] = call_on_route_failed,
            [SALLYPORT__ENVELOPE__BODY_RELAYS] = relays_on_relays,
            [SALLYPORT__ENVELOPE__BODY_INVITE] = seats_on_invite,
            [SALLYPORT__ENVELOPE__BODY_DIALED_BACK] = dialback_on_dialed_back,
            [SALLYPORT__ENVELOPE__BODY_REVOCATION] = revocation_on_revocation,
            [SALLYPORT__ENVELOPE__BODY_REVOCATION_HELD] = revocation_on_held,
        },
    .on_gone = on_upstream_gone,
};
