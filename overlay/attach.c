/* Node side of links: dialled and greeted, so that there is a home and a standby (upstream.c); a
 * supernode to those that it does not know as members (pulse.c makes its other links). */
#include "overlay/call.h"
#include "overlay/core_internal.h"

#include <stdio.h>
#include <string.h>

#define RACE_MAX 3 /* dials at once while nothing is attached */
/* How often a node with one supernode asks it for others. */
#define ALONE_MAX_MS 30000
/* A node that is well attached tries now and then whether another supernode is better. */
#define BETTER_FIRST_MS 60000
#define BETTER_EVERY_MS 1200000

static void attach_step(void *owner);

void attach_open(struct core *core)
{
    core->next_link = 3; /* 1 and 2 join a supernode to itself */
    core_timer_init(&core->attach_timer, attach_step, core);
    snprintf(core->last_error, sizeof core->last_error, "%s", "not attached yet");
    core->better_ms = core_now(core) + BETTER_FIRST_MS + core_random(core, BETTER_FIRST_MS);
    attach_wake(core);
}

void attach_wake_at(struct core *core, uint64_t at_ms)
{
    if (!core->attach_timer.place || core->attach_timer.at_ms > at_ms)
        core_timer_set(core, &core->attach_timer, at_ms);
}

void attach_wake(struct core *core)
{
    attach_wake_at(core, core_now(core));
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
        if (host->next_ms > now_ms || !host_is_wanted(core, host))
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
        if (core->hosts[i]->next_ms < next_ms && host_is_wanted(core, core->hosts[i]))
            next_ms = core->hosts[i]->next_ms;
    if (next_ms != UINT64_MAX)
        attach_wake_at(core, next_ms);
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
    attach_wake_at(core, core->alone_ms);
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
    attach_wake_at(core, core->better_ms);
}

void attach_close_surplus(struct peer *peer, const char *why)
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
            attach_close_surplus(peer, "left for another supernode");
        else
            attach_wake_at(core, peer->leave_ms);
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
