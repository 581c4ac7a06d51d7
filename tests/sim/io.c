/* The I/O side of a core: links are wires, the clock and the dice are the world's. */
#include "tests/sim/wire.h"

#include "overlay/overlay.pb-c.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- frames -----------------------------------------------------------------------------------
 */

static void run_frame(struct world *world, struct sim_event *event)
{
    struct wire_end *end = &event->wire->end[event->to];

    if (!wire_end_is_alive(event->wire, event->to) || event->wire->is_stalled)
        return;
    world->frames++;
    traffic_in(end->name.node, event->data, event->bytes);
    core_on_frame(end->name.node->core, end->name.link, event->data, event->bytes);
}

bool sim_is_route(const uint8_t *frame, size_t bytes)
{
    Sallyport__Envelope *envelope = sallyport__envelope__unpack(NULL, bytes, frame);
    bool so = envelope && envelope->body_case == SALLYPORT__ENVELOPE__BODY_ROUTE;

    if (envelope)
        sallyport__envelope__free_unpacked(envelope, NULL);
    return so;
}

/* How often and how late a frame arrives. */
static int spoil(struct world *world, const struct sim_node *sender, const uint8_t *frame,
                 size_t bytes, uint64_t late_ms[2])
{
    const struct sim_faults *faults = sender->faults ? sender->faults : &world->faults;
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
    struct wire_end *end = wire_find(node, link);
    uint64_t late_ms[2];

    if (!end)
        return -ENOTCONN;
    traffic_out(node, frame, bytes);
    int copies = spoil(node->world, node, frame, bytes, late_ms);
    for (int i = 0; i < copies; i++) {
        struct sim_event *event = sim_event_new(run_frame, bytes + (node->on_send ? 64 : 0));
        memcpy(event->data, frame, bytes);
        event->bytes = bytes;
        if (node->on_send)
            event->bytes = (size_t)node->on_send(node, event->data, bytes, bytes + 64);
        if (event->bytes == 0) {
            free(event);
            continue;
        }
        wire_add(end->wire, end == &end->wire->end[0], event, late_ms[i]);
    }
    return 0;
}

static void io_close(void *ctx, core_link link, const char *why)
{
    struct wire_end *end = wire_find(ctx, link);

    if (!end)
        return;
    int mine = end == &end->wire->end[1];
    if (!end->wire->is_stalled)
        wire_send_down(end->wire, !mine, why);
    wire_close(end->wire, mine);
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

static void io_dial(void *ctx, core_link link, const char *address)
{
    sim_dial(ctx, link, address);
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
