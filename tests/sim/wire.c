/* The I/O side of the cores: dials, frames that take their time, cuts, stalls, spoilt Routes. */
#include "tests/sim/wire.h"

#include "overlay/overlay.pb-c.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DIAL_TIMEOUT_MS 10000

struct wire {
    STAILQ_ENTRY(wire) next;
    struct {
        struct sim_node *node;
        unsigned epoch;
        core_link link;
        bool is_open;     /* this end hears and may speak */
        uint64_t last_ms; /* when the last frame to this end arrives */
    } end[2];             /* 0 dialled */
    bool is_stalled;
};

static bool end_is_alive(const struct wire *wire, int end)
{
    const struct sim_node *node = wire->end[end].node;

    return wire->end[end].is_open && node && node->core && node->epoch == wire->end[end].epoch;
}

static uint64_t arrival(struct world *world, struct wire *wire, int to)
{
    uint64_t at_ms = world->now_ms + world->delay_ms / 2 + world_random(world, world->delay_ms);

    if (at_ms < wire->end[to].last_ms)
        at_ms = wire->end[to].last_ms;
    wire->end[to].last_ms = at_ms;
    return at_ms;
}

static void add_to_wire(struct world *world, struct wire *wire, int to, struct sim_event *event)
{
    event->wire = wire;
    event->to = to;
    world_add(world, event, arrival(world, wire, to));
}

/* ---- ends -------------------------------------------------------------------------------------
 */

static void run_down(struct world *world, struct sim_event *event)
{
    struct wire *wire = event->wire;

    (void)world;
    if (!end_is_alive(wire, event->to))
        return;
    wire->end[event->to].is_open = false;
    core_on_link_down(wire->end[event->to].node->core, wire->end[event->to].link,
                      (const char *)event->data);
}

static void send_down(struct world *world, struct wire *wire, int to, const char *why)
{
    struct sim_event *event = sim_event_new(run_down, strlen(why) + 1);

    memcpy(event->data, why, strlen(why) + 1);
    add_to_wire(world, wire, to, event);
}

void wires_cut(struct world *world, struct sim_node *a, struct sim_node *b)
{
    struct wire *wire;

    STAILQ_FOREACH(wire, &world->wires, next)
    {
        int mine = wire->end[0].node == a ? 0 : 1;
        if (wire->end[mine].node != a || (b && wire->end[!mine].node != b))
            continue;
        for (int end = 0; end < 2; end++)
            if (!wire->is_stalled)
                send_down(world, wire, end, "connection reset");
    }
}

void wires_stall(struct world *world, struct sim_node *node)
{
    struct wire *wire;

    STAILQ_FOREACH(wire, &world->wires, next)
    if (wire->end[0].node == node || wire->end[1].node == node)
        wire->is_stalled = true;
}

void wires_free(struct world *world)
{
    struct wire *wire;

    while ((wire = STAILQ_FIRST(&world->wires))) {
        STAILQ_REMOVE_HEAD(&world->wires, next);
        free(wire);
    }
}

/* ---- dialling ---------------------------------------------------------------------------------
 */

static struct sim_node *find_listener(struct world *world, const char *address)
{
    for (int i = 0; i < world->node_count; i++)
        if (strcmp(world->nodes[i].address, address) == 0)
            return &world->nodes[i];
    return NULL;
}

/* As the TLS handshake would. */
static bool is_refused(const struct identity *judge, const struct identity *other)
{
    return identity_is_revoked(judge, identity_certificate(other)->serial);
}

static void run_connected(struct world *world, struct sim_event *event)
{
    struct wire *wire = event->wire;
    struct sim_node *dialler = wire->end[0].node, *listener = wire->end[1].node;
    struct sockaddr_storage address;

    if (!end_is_alive(wire, 0))
        return;
    if (!listener->core) {
        send_down(world, wire, 0, "connection refused");
        return;
    }
    if (is_refused(listener->identity, dialler->identity) ||
        is_refused(dialler->identity, listener->identity)) {
        send_down(world, wire, 0, "revoked");
        return;
    }
    wire->end[1].epoch = listener->epoch;
    wire->end[1].link = 0x80000000u | ++listener->next_accepted;
    wire->end[1].is_open = true;
    address_parse("192.0.2.1:50000", &address);
    core_on_link_up(listener->core, wire->end[1].link, true,
                    identity_certificate(dialler->identity), &address);
    if (end_is_alive(wire, 0))
        core_on_link_up(dialler->core, wire->end[0].link, false,
                        identity_certificate(listener->identity), &address);
}

static void io_dial(void *ctx, core_link link, const char *address)
{
    struct sim_node *node = ctx;
    struct world *world = node->world;
    struct wire *wire = calloc(1, sizeof *wire);

    if (!wire)
        abort();
    STAILQ_INSERT_TAIL(&world->wires, wire, next);
    wire->end[0].node = node;
    wire->end[0].epoch = node->epoch;
    wire->end[0].link = link;
    wire->end[0].is_open = true;
    wire->end[1].node = find_listener(world, address);
    if (!wire->end[1].node) {
        send_down(world, wire, 0, "no such host");
    } else if (wire->end[1].node->is_silent) {
        wire->end[0].last_ms = world->now_ms + DIAL_TIMEOUT_MS;
        send_down(world, wire, 0, "timed out");
    } else {
        struct sim_event *event = sim_event_new(run_connected, 0);
        wire->end[0].last_ms = world->now_ms + 2 * world->delay_ms; /* TCP and TLS */
        add_to_wire(world, wire, 0, event);
        wire->end[1].last_ms = wire->end[0].last_ms;
    }
}

/* ---- frames -----------------------------------------------------------------------------------
 */

static void run_frame(struct world *world, struct sim_event *event)
{
    struct wire *wire = event->wire;

    if (!end_is_alive(wire, event->to) || wire->is_stalled)
        return;
    world->frames++;
    core_on_frame(wire->end[event->to].node->core, wire->end[event->to].link, event->data,
                  event->bytes);
}

bool sim_is_route(const uint8_t *frame, size_t bytes)
{
    Sallyport__Envelope *envelope = sallyport__envelope__unpack(NULL, bytes, frame);
    bool so = envelope && envelope->body_case == SALLYPORT__ENVELOPE__BODY_ROUTE;

    if (envelope)
        sallyport__envelope__free_unpacked(envelope, NULL);
    return so;
}

static struct wire *find_wire(struct sim_node *node, core_link link, int *end)
{
    struct wire *wire;

    STAILQ_FOREACH(wire, &node->world->wires, next)
    for (*end = 0; *end < 2; (*end)++)
        if (wire->end[*end].node == node && wire->end[*end].link == link &&
            end_is_alive(wire, *end))
            return wire;
    return NULL;
}

/* How often and how late a frame arrives. */
static int spoil(struct world *world, const struct sim_node *sender, const uint8_t *frame,
                 size_t bytes, uint64_t late_ms[2])
{
    const struct sim_faults *faults = &world->faults;
    int copies = 1;

    late_ms[0] = late_ms[1] = 0;
    if (!(sender->roles & CONF_ROLE_SUPERNODE) ||
        !(faults->lost || faults->doubled || faults->late) || !sim_is_route(frame, bytes))
        return 1;
    if (world_random(world, 1000) < faults->lost)
        return 0;
    if (world_random(world, 1000) < faults->doubled)
        copies = 2;
    for (int i = 0; i < copies; i++)
        if (world_random(world, 1000) < faults->late)
            late_ms[i] = 1 + world_random(world, faults->late_ms);
    return copies;
}

static int io_send(void *ctx, core_link link, const uint8_t *frame, size_t bytes)
{
    struct sim_node *node = ctx;
    struct world *world = node->world;
    int end;
    struct wire *wire = find_wire(node, link, &end);
    uint64_t late_ms[2];

    if (!wire)
        return -ENOTCONN;
    int copies = spoil(world, node, frame, bytes, late_ms);
    for (int i = 0; i < copies; i++) {
        struct sim_event *event = sim_event_new(run_frame, bytes + 64);
        memcpy(event->data, frame, bytes);
        event->bytes = bytes;
        if (node->on_send)
            event->bytes = (size_t)node->on_send(node, event->data, bytes, bytes + 64);
        if (event->bytes == 0) {
            free(event);
            continue;
        }
        event->wire = wire;
        event->to = !end;
        world_add(world, event, arrival(world, wire, !end) + late_ms[i]);
    }
    return 0;
}

static void io_close(void *ctx, core_link link, const char *why)
{
    struct sim_node *node = ctx;
    int end;
    struct wire *wire = find_wire(node, link, &end);

    if (!wire)
        return;
    wire->end[end].is_open = false;
    if (!wire->is_stalled)
        send_down(node->world, wire, !end, why);
}

/* ---- clock and dice ---------------------------------------------------------------------------
 */

static uint64_t io_now_ms(void *ctx)
{
    return ((struct sim_node *)ctx)->world->now_ms;
}

static int64_t io_time_s(void *ctx)
{
    static int64_t start_s;

    if (start_s == 0)
        start_s = time(NULL);
    return start_s + (int64_t)(io_now_ms(ctx) / 1000);
}

static void io_random(void *ctx, void *bytes, size_t count)
{
    struct world *world = ((struct sim_node *)ctx)->world;

    for (size_t i = 0; i < count; i++)
        ((uint8_t *)bytes)[i] = (uint8_t)world_random(world, 256);
}

static void run_tick(struct world *world, struct sim_event *event)
{
    struct sim_node *node = event->node;

    if (node->core && node->epoch == event->epoch && node->wake_ms == world->now_ms)
        core_tick(node->core);
}

static void io_wake(void *ctx, uint64_t at_ms)
{
    struct sim_node *node = ctx;
    struct sim_event *event = sim_event_new(run_tick, 0);

    if (at_ms < node->world->now_ms)
        at_ms = node->world->now_ms;
    event->node = node;
    event->epoch = node->epoch;
    node->wake_ms = at_ms;
    world_add(node->world, event, at_ms);
}

static void run_deliver(struct world *world, struct sim_event *event)
{
    struct sim_node *node = event->node;

    (void)world;
    if (!node->core || node->epoch != event->epoch)
        return;
    node->is_deferred = false;
    core_deliver(node->core);
}

static void io_defer(void *ctx)
{
    struct sim_node *node = ctx;

    if (node->is_deferred)
        return;
    node->is_deferred = true;
    struct sim_event *event = sim_event_new(run_deliver, 0);
    event->node = node;
    event->epoch = node->epoch;
    world_add(node->world, event, node->world->now_ms);
}

struct core_io sim_io(struct sim_node *node)
{
    return (struct core_io){
        .ctx = node,
        .now_ms = io_now_ms,
        .time_s = io_time_s,
        .random = io_random,
        .dial = io_dial,
        .send = io_send,
        .close = io_close,
        .wake = io_wake,
        .defer = io_defer,
        .events = &sim_gateway,
        .events_ctx = node,
    };
}
