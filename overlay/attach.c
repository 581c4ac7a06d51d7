/* Node side of links: keeps us attached to a home and a standby; a supernode to its fellows. */
#include "overlay/call.h"
#include "overlay/core_internal.h"
#include "overlay/event.h"

#include <stdio.h>
#include <string.h>

#define RACE_MAX 3     /* dials at once while nothing is attached */
#define FELLOWS_MAX 32 /* of a supernode, by its own dialling */
/* A link that lasted so long was no failure. */
#define STABLE_MS 30000
/* How often a node with one supernode asks it for others. */
#define ALONE_FIRST_MS 500
#define ALONE_MAX_MS 30000
/* The other one becomes home only when it is clearly nearer. */
#define NEARER_BY_US 5000

static void attach_step(void *owner);

void attach_open(struct core *core)
{
    core->next_link = 3; /* 1 and 2 join a supernode to itself */
    core_timer_init(&core->attach_timer, attach_step, core);
    snprintf(core->last_error, sizeof core->last_error, "%s", "not attached yet");
    attach_wake(core);
}

void attach_wake(struct core *core)
{
    core_timer_set(core, &core->attach_timer, core_now(core));
}

/* ---- dialling ---------------------------------------------------------------------------------
 */

struct peer *attach_dial(struct core *core, struct host *host)
{
    if (host->peer)
        return host->peer;
    do {
        core->next_link = (core->next_link + 1) & 0x7fffffff; /* the top bit is for accepted ones */
    } while (core->next_link < 3 || peer_find(core, core->next_link));

    struct peer *peer = peer_new(core, core->next_link, &role_dialled);
    peer->host = host;
    host->peer = peer;
    strcpy(peer->address, host->address);
    log_debug(LOG_OVERLAY, NULL, "dialling supernode %s", host->address);
    core->io.dial(core->io.ctx, peer->link, host->address);
    return peer;
}

static int count_dialling(const struct core *core)
{
    int count = 0;

    for (const struct peer *peer = core->peers; peer; peer = peer->hh.next)
        count += peer->role == &role_dialled;
    return count;
}

static int dials_wanted(const struct core *core)
{
    int dialling = count_dialling(core);

    if (core->is_leaving)
        return 0;
    if (core->is_supernode)
        return FELLOWS_MAX - (int)HASH_CNT(hh_node, core->fellows) - dialling;
    if (core->upstream_count == 0)
        return RACE_MAX - dialling;
    return UPSTREAMS_MAX - core->upstream_count - dialling;
}

/* The best that may be dialled now: fewest failures, by lot among equals, so that nodes spread. */
static struct host *choose_host(struct core *core, uint64_t now_ms)
{
    struct host *best = NULL;
    uint64_t equals = 0;

    for (int i = 0; i < HOSTS_MAX; i++) {
        struct host *host = &core->hosts[i];
        if (!host_is_wanted(core, host) || host->next_ms > now_ms)
            continue;
        if (!best || host->failures < best->failures) {
            best = host;
            equals = 1;
        } else if (host->failures == best->failures && core_random(core, ++equals) == 0) {
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
    for (int i = 0; i < HOSTS_MAX; i++)
        if (host_is_wanted(core, &core->hosts[i]) && core->hosts[i].next_ms < next_ms)
            next_ms = core->hosts[i].next_ms;
    if (next_ms != UINT64_MAX)
        core_timer_set(core, &core->attach_timer, next_ms);
    else if (core->upstream_count == 0 && count_dialling(core) == 0)
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
    if (!core->attach_timer.place || core->attach_timer.at_ms > core->alone_ms)
        core_timer_set(core, &core->attach_timer, core->alone_ms);
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
    ask_for_others(core, now_ms);
}

void attach_connected(struct core *core, struct peer *peer)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Hello hello = SALLYPORT__HELLO__INIT;

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
    hello.version = PROTOCOL_VERSION;
    hello.supernode = core->is_supernode;
    hello.relay = core->relays.is_offered;
    if (core->is_supernode || hello.relay)
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

static void upstreams_changed(struct core *core, const char *why)
{
    if (core->upstream_count > 0 && !core->is_leaving)
        publish_soon(core);
    tell_attached(core, why);
    lookup_on_upstreams_changed(core);
    call_on_upstreams_changed(core);
    core->alone_pause_ms = ALONE_FIRST_MS;
    core->alone_ms = core_now(core) + ALONE_FIRST_MS;
    attach_wake(core);
}

static void order_upstreams(struct core *core)
{
    struct peer *home = core->upstream[0], *standby = core->upstream[1];

    if (core->upstream_count == 2 && !home->other &&
        standby->round_trip_us + NEARER_BY_US < home->round_trip_us) {
        core->upstream[0] = standby;
        core->upstream[1] = home;
    }
}

void attach_add(struct core *core, struct peer *peer)
{
    core->upstream[core->upstream_count++] = peer;
    order_upstreams(core);
    log_info(LOG_OVERLAY, NULL, "attached to supernode %s (%s) as %s", peer->address, peer->site,
             core->upstream[0] == peer ? "home" : "standby");
    upstreams_changed(core, NULL);
}

/* Nothing is wrong with it: no back-off. */
static void close_surplus(struct peer *peer, const char *why)
{
    if (peer->host)
        peer->host->peer = NULL;
    peer->host = NULL;
    peer_close(peer, why);
}

static void on_welcome(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope)
{
    const Sallyport__Welcome *welcome = envelope->welcome;

    if (welcome->version < 1) {
        peer_close(peer, "speaks no known version");
        return;
    }
    peer->round_trip_us = (uint32_t)(1000 * (core_now(core) - peer->ping_number));
    if (peer->host)
        peer->host->next_ms = 0;
    host_learn_all(core, welcome->supernodes, welcome->n_supernodes);
    revocation_greeted(peer, welcome->revocation);

    if (core->is_supernode) {
        fellow_welcomed(core, peer);
        return;
    }
    for (int i = 0; i < core->upstream_count; i++) {
        if (memcmp(core->upstream[i]->node, peer->node, OVERLAY_NODE_ID_BYTES) == 0) {
            close_surplus(peer, "attached to it already");
            return;
        }
    }
    if (core->upstream_count == UPSTREAMS_MAX) {
        close_surplus(peer, "home and standby are there already");
        return;
    }
    peer_ready(peer, &role_upstream);
    relays_on_ready(core, peer);
    attach_add(core, peer);
}

/* Welcome again: the answer to ask_for_others. */
static void on_news(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope)
{
    (void)peer;
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
    homes->count = core->upstream_count;
    for (int i = 0; i < core->upstream_count; i++) {
        homes->home[i].has_node = true;
        memcpy(homes->home[i].node, core->upstream[i]->node, OVERLAY_NODE_ID_BYTES);
        strcpy(homes->home[i].address, core->upstream[i]->address);
    }
}

/* ---- ends -------------------------------------------------------------------------------------
 */

static void note_error(struct core *core, const struct peer *peer, const char *why)
{
    snprintf(core->last_error, sizeof core->last_error, "%s: %s", peer->address, why);
}

static void on_dialled_gone(struct core *core, struct peer *peer, const char *why)
{
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

static void on_upstream_gone(struct core *core, struct peer *peer, const char *why)
{
    int kept = 0;

    attach_lost(core, peer, why);
    for (int i = 0; i < core->upstream_count; i++)
        if (core->upstream[i] != peer)
            core->upstream[kept++] = core->upstream[i];
    core->upstream_count = kept;
    upstreams_changed(core, core->last_error);
}

void attach_on_goodbye(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope)
{
    char why[160];

    host_learn_all(core, envelope->goodbye->supernodes, envelope->goodbye->n_supernodes);
    snprintf(why, sizeof why, "it says goodbye: %.120s", envelope->goodbye->reason);
    peer_close(peer, why);
}

const struct role role_dialled = {
    .name = "dialled supernode",
    .handle =
        {
            [SALLYPORT__ENVELOPE__BODY_WELCOME] = on_welcome,
            [SALLYPORT__ENVELOPE__BODY_GOODBYE] = attach_on_goodbye,
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
            [SALLYPORT__ENVELOPE__BODY_GOODBYE] = attach_on_goodbye,
            [SALLYPORT__ENVELOPE__BODY_PUBLISHED] = publish_on_published,
            [SALLYPORT__ENVELOPE__BODY_FOUND] = lookup_on_found,
            [SALLYPORT__ENVELOPE__BODY_ROUTE] = call_on_route,
            [SALLYPORT__ENVELOPE__BODY_ROUTE_FAILED] = call_on_route_failed,
            [SALLYPORT__ENVELOPE__BODY_RELAYS] = relays_on_relays,
            [SALLYPORT__ENVELOPE__BODY_DIALED_BACK] = dialback_on_dialed_back,
            [SALLYPORT__ENVELOPE__BODY_REVOCATION] = revocation_on_revocation,
            [SALLYPORT__ENVELOPE__BODY_REVOCATION_HELD] = revocation_on_held,
        },
    .on_gone = on_upstream_gone,
};
