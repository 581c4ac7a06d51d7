/* Node side of links: home and standby, taken, compared, left and lost. */
#include "overlay/call.h"
#include "overlay/core_internal.h"
#include "overlay/event.h"

#include <stdio.h>
#include <string.h>

/* A link that lasted so long was no failure. */
#define STABLE_MS 30000
/* Of two that stay the other one becomes home only when it is clearly nearer; one that is clearly
 * better takes the place of one that is there, which is left after so long. */
#define NEARER_BY_US 5000
#define BETTER_BY_US 15000
#define LEAVE_MS 2000
/* Many lose the same supernode at the same time: they do not all knock at the next one at once. */
#define LOST_BOTH_SPREAD_MS 300
#define LOST_ONE_SPREAD_MS 2000
#define ALONE_FIRST_MS 500 /* until a node with one supernode asks it for others */
#define AGAIN_MS 1000      /* one that was left may be back after so long */
#define GRACE_MAX_MS 60000
#define FULL_PAUSE_MS 15000 /* one that was full is not asked sooner */

/* ---- home and standby -------------------------------------------------------------------------
 */

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
    attach_wake_at(core, core_now(core) + pause_ms);
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
        attach_close_surplus(peer, peer->is_for_us ? "we serve ourselves now" : "we serve no more");
        return;
    }
    if (attach_has(core, peer->node)) {
        attach_close_surplus(peer, "attached to it already");
        return;
    }
    if (attach_staying(core) >= HOMES_WANTED && !replaces_one(core, peer)) {
        attach_close_surplus(peer, "home and standby are there already");
        return;
    }
    if (core->upstream_count == UPSTREAMS_MAX) {
        attach_close_surplus(peer, "too many are being left");
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
        attach_close_surplus(peer, why);
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
