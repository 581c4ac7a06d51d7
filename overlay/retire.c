/* Beginning to serve as a supernode, and ceasing to, without anybody losing anything. */
#include "overlay/core_internal.h"
#include "overlay/seats.h"
#include "overlay/spread.h"

#include <string.h>

/* Old homes are kept until our new record has spread. */
#define OLD_HOMES_MS 4000
/* Retiring: clients are asked to move in steps, and have so long for it. */
#define STEP_MS 100
#define STEP_PARTS 50 /* of all clients */
#define MOVE_MS 15000
#define RETIRE_MAX_MS 30000

/* ---- beginning --------------------------------------------------------------------------------
 */

void serving_open(struct core *core)
{
    core->is_supernode = true;
    core->roles |= CONF_ROLE_SUPERNODE;
    spread_open(core);
    serve_open(core);
    members_open(core);
    seats_watch(core);
    relays_serving(core);
    local_open(core);
}

void serving_begin(struct core *core)
{
    char address[UPSTREAMS_MAX][ADDRESS_TEXT_MAX];
    struct peer *old[UPSTREAMS_MAX];
    int count = core->upstream_count;

    core->is_invited = true;
    core->seats = core->seats_state.invited_seats;
    memcpy(old, core->upstream, sizeof old); /* what is left changes its place */
    for (int i = 0; i < count; i++) {
        strcpy(address[i], old[i]->address);
        attach_leave(core, old[i], OLD_HOMES_MS);
    }
    serving_open(core);
    for (int i = 0; i < count; i++)
        attach_dial_address(core, address[i]);
    attach_wake(core);
}

/* ---- ceasing ----------------------------------------------------------------------------------
 */

static void dial_homes(struct core *core)
{
    int missing = HOMES_WANTED - attach_staying(core) - core->dialling;

    for (int tries = 0; tries < 8 && missing > 0 && core->members->live_count > 0; tries++) {
        int chosen = (int)core_random(core, (uint64_t)core->members->live_count);
        const struct member *member = core->members->live[chosen];
        if (member->is_self || member->is_leaving || attach_has(core, member->node))
            continue;
        attach_dial_address(core, member->address)->is_for_us = true;
        missing--;
    }
}

static void cease(struct core *core)
{
    struct peer *peer, *after;

    log_info(LOG_OVERLAY, NULL, "we serve as a supernode no more");
    gossip_farewell(core);
    core->is_supernode = core->is_invited = core->is_retiring = false;
    core->roles &= ~(unsigned)CONF_ROLE_SUPERNODE;
    query_close(core);
    for (peer = core->clients; peer; peer = after) {
        after = peer->hh_node.next;
        if (peer->other)
            continue;
        serve_goodbye(peer, "we serve no more");
        peer_close(peer, "we serve no more");
    }
    for (peer = core->fellows; peer; peer = after) {
        after = peer->hh_node.next;
        fellow_close_idle(peer);
    }
    core_timer_stop(core, &core->spread_timer);
    core_timer_stop(core, &core->news_timer);
    core_timer_stop(core, &core->seats_state.timer);
    members_close(core);
    local_close(core);
    found_cache_fini(&core->found_cache);
    core->seats_state.plenty_ms = 0;
    attach_wake(core);
}

/* The next clients after the one that was asked last; none twice. */
static void move_some(struct core *core)
{
    unsigned count = core->client_count / STEP_PARTS + 4;

    for (struct peer *client = core->clients; client && count > 0; client = client->hh_node.next) {
        if (client->other || client->is_leaving)
            continue;
        client->is_leaving = true;
        serve_move(client, MOVE_MS, "this supernode retires");
        count--;
    }
}

static void on_step(void *owner)
{
    struct core *core = owner;
    uint64_t passed_ms = core_now(core) - core->seats_state.retire_ms;

    if (!core->is_retiring || core->is_leaving)
        return;
    dial_homes(core);
    move_some(core);
    bool is_moved = core->client_count == 0 && attach_staying(core) > 0;
    if (is_moved || passed_ms >= RETIRE_MAX_MS)
        cease(core);
    else
        core_timer_set(core, &core->seats_state.step_timer, core_now(core) + STEP_MS);
}

void serving_retire(struct core *core, const char *why)
{
    log_info(LOG_OVERLAY, NULL, "we retire as a supernode: %s", why);
    core->is_retiring = true;
    core->seats_state.retire_ms = core_now(core);
    for (int i = 0; i < core->upstream_count; i++)
        if (core->upstream[i]->other)
            attach_leave(core, core->upstream[i], 2 * RETIRE_MAX_MS);
    gossip_say(core, true);
    core_timer_init(&core->seats_state.step_timer, on_step, core);
    core_timer_set(core, &core->seats_state.step_timer, core_now(core) + STEP_MS);
}
