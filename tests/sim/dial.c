/* Dials, and what accepting them costs. */
#include "tests/sim/wire.h"

#include <string.h>

#define DIAL_TIMEOUT_MS 10000
#define SYN_AGAIN_MS 1000 /* and twice that each time after */
#define SYNS_MAX 4
#define QUEUE_MAX 4096

static void time_out(struct world *world, struct wire *wire)
{
    uint64_t at_ms = wire->dialled_ms + DIAL_TIMEOUT_MS;

    wire->end[0].last_ms = at_ms > world->now_ms ? at_ms : world->now_ms;
    wire_send_down(wire, 0, "timed out");
}

/* As the TLS handshake would. */
static bool is_refused(const struct identity *judge, const struct identity *other)
{
    return identity_is_revoked(judge, identity_certificate(other)->serial);
}

static void run_connected(struct world *world, struct sim_event *event)
{
    struct wire *wire = event->wire;
    struct sim_node *dialler = wire->end[0].name.node, *listener = wire->end[1].name.node;
    struct sockaddr_storage address;

    if (!wire_end_is_alive(wire, 0))
        return;
    if (!listener->core) {
        wire_send_down(wire, 0, "connection refused");
        return;
    }
    if (wire->is_stalled) {
        time_out(world, wire);
        return;
    }
    listener->door.accepted++;
    if (is_refused(listener->identity, dialler->identity) ||
        is_refused(dialler->identity, listener->identity)) {
        wire_send_down(wire, 0, "revoked");
        return;
    }
    wire_connect(wire, 0x80000000u | ++listener->next_accepted);
    address_parse("192.0.2.1:50000", &address);
    core_on_link_up(listener->core, wire->end[1].name.link, true,
                    identity_certificate(dialler->identity), &address);
    if (wire_end_is_alive(wire, 0))
        core_on_link_up(dialler->core, wire->end[0].name.link, false,
                        identity_certificate(listener->identity), &address);
}

/* TCP and TLS. */
static uint64_t handshake_ms(struct world *world, const struct wire *wire)
{
    if (world->spread.far_ms == 0)
        return 2 * world->delay_ms;
    return 4 * world_delay_ms(world, wire->end[0].name.node, wire->end[1].name.node);
}

static void connect_at(struct wire *wire, uint64_t at_ms)
{
    wire->end[0].last_ms = at_ms;
    wire_add(wire, 0, sim_event_new(run_connected, 0), 0);
    wire->end[1].last_ms = wire->end[0].last_ms;
}

/* ---- doors with a limit -----------------------------------------------------------------------
 */

static void run_syn(struct world *world, struct sim_event *event);

static void send_syn(struct world *world, struct wire *wire, uint8_t number, uint64_t at_ms)
{
    struct sim_event *event = sim_event_new(run_syn, 1);

    (void)world;
    event->data[0] = number;
    wire_add_at(wire, 1, event, at_ms);
}

static void count_dial(struct sim_door *door, uint64_t now_ms)
{
    door->dials++;
    if (door->second != now_ms / 1000) {
        door->second = now_ms / 1000;
        door->in_second = 0;
    }
    if (++door->in_second > door->per_s_max)
        door->per_s_max = door->in_second;
}

static void lose_syn(struct world *world, struct wire *wire, uint8_t number)
{
    struct sim_door *door = &wire->end[1].name.node->door;

    door->lost_syns++;
    if (number + 1 < SYNS_MAX) {
        send_syn(world, wire, number + 1, world->now_ms + (SYN_AGAIN_MS << number));
        return;
    }
    door->timed_out++;
    time_out(world, wire);
}

static void run_syn(struct world *world, struct sim_event *event)
{
    struct wire *wire = event->wire;
    struct sim_door *door = &wire->end[1].name.node->door;
    uint64_t now_us = 1000 * world->now_ms, each_us = 1000000 / door->accepts_per_s;
    uint64_t free_us = door->free_us > now_us ? door->free_us : now_us;
    unsigned waiting = (unsigned)((free_us - now_us) / each_us);

    if (!wire_end_is_alive(wire, 0))
        return;
    if (waiting >= (door->queue_max ? door->queue_max : QUEUE_MAX)) {
        lose_syn(world, wire, event->data[0]);
        return;
    }
    uint64_t through_ms = (free_us + each_us) / 1000;
    if (through_ms > wire->dialled_ms + DIAL_TIMEOUT_MS) {
        door->timed_out++;
        time_out(world, wire);
        return;
    }
    if (++waiting > door->waiting_max)
        door->waiting_max = waiting;
    door->free_us = free_us + each_us;
    connect_at(wire, through_ms + handshake_ms(world, wire) / 2);
}

/* ---- dialling ---------------------------------------------------------------------------------
 */

void sim_dial(struct sim_node *node, core_link link, const char *address)
{
    struct world *world = node->world;
    struct sim_node *listener;

    HASH_FIND_STR(world->listeners, address, listener);
    struct wire *wire = wire_new(node, link, listener);
    if (!listener) {
        wire_send_down(wire, 0, "no such host");
        return;
    }
    if (listener->is_silent || world_is_apart(world, node, listener)) {
        time_out(world, wire);
        return;
    }
    count_dial(&listener->door, world->now_ms);
    if (listener->door.accepts_per_s)
        send_syn(world, wire, 0, world->now_ms + handshake_ms(world, wire) / 4);
    else
        connect_at(wire, world->now_ms + handshake_ms(world, wire));
}
