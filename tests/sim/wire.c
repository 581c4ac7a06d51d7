/* Wires: frames that take their time, cuts, stalls, splits. */
#include "tests/sim/wire.h"

#include <stdlib.h>
#include <string.h>

static struct world *world_of(const struct wire *wire)
{
    return wire->end[0].name.node->world;
}

static void open_end(struct wire_end *end)
{
    end->is_open = true;
    HASH_ADD(hh, world_of(end->wire)->ends, name, sizeof end->name, end);
}

struct wire *wire_new(struct sim_node *dialler, core_link link, struct sim_node *listener)
{
    struct world *world = dialler->world;
    struct wire *wire = calloc(1, sizeof *wire);

    if (!wire)
        abort();
    LIST_INSERT_HEAD(&world->wires, wire, next);
    wire->dialled_ms = world->now_ms;
    wire->end[0].name = (struct end_name){dialler, dialler->epoch, link};
    wire->end[1].name = (struct end_name){listener, 0, 0};
    for (int end = 0; end < 2; end++) {
        wire->end[end].wire = wire;
        if (wire->end[end].name.node)
            TAILQ_INSERT_TAIL(&wire->end[end].name.node->ends, &wire->end[end], of_node);
    }
    open_end(&wire->end[0]);
    return wire;
}

void wire_connect(struct wire *wire, core_link link)
{
    struct wire_end *end = &wire->end[1];

    end->name.epoch = end->name.node->epoch;
    end->name.link = link;
    open_end(end);
}

static void wire_free(struct wire *wire)
{
    struct world *world = world_of(wire);

    for (int i = 0; i < 2; i++) {
        struct wire_end *end = &wire->end[i];
        if (end->name.node)
            TAILQ_REMOVE(&end->name.node->ends, end, of_node);
        if (end->hh.tbl)
            HASH_DELETE(hh, world->ends, end);
    }
    LIST_REMOVE(wire, next);
    free(wire);
}

void wires_free(struct world *world)
{
    while (!LIST_EMPTY(&world->wires))
        wire_free(LIST_FIRST(&world->wires));
}

static void free_if_over(struct wire *wire)
{
    if (!wire->end[0].is_open && !wire->end[1].is_open && wire->queued == 0)
        wire_free(wire);
}

struct wire_end *wire_find(struct sim_node *node, core_link link)
{
    struct end_name name = {node, node->epoch, link};
    struct wire_end *end;

    HASH_FIND(hh, node->world->ends, &name, sizeof name, end);
    return end && end->is_open && node->core ? end : NULL;
}

bool wire_end_is_alive(const struct wire *wire, int end)
{
    const struct end_name *name = &wire->end[end].name;

    return wire->end[end].is_open && name->node->core && name->node->epoch == name->epoch;
}

/* ---- what is on its way -----------------------------------------------------------------------
 */

void wire_add_at(struct wire *wire, int to, struct sim_event *event, uint64_t at_ms)
{
    event->wire = wire;
    event->to = to;
    wire->queued++;
    world_add(world_of(wire), event, at_ms);
}

void wire_add(struct wire *wire, int to, struct sim_event *event, uint64_t late_ms)
{
    struct world *world = world_of(wire);
    uint64_t at_ms =
        world->now_ms + world_delay_ms(world, wire->end[0].name.node, wire->end[1].name.node);

    if (at_ms < wire->end[to].last_ms)
        at_ms = wire->end[to].last_ms;
    wire->end[to].last_ms = at_ms;
    wire_add_at(wire, to, event, at_ms + late_ms);
}

void wire_ran(struct wire *wire)
{
    wire->queued--;
    free_if_over(wire);
}

/* ---- ends -------------------------------------------------------------------------------------
 */

void wire_close(struct wire *wire, int end)
{
    wire->end[end].is_open = false;
    free_if_over(wire);
}

static void run_down(struct world *world, struct sim_event *event)
{
    struct wire_end *end = &event->wire->end[event->to];

    (void)world;
    if (!wire_end_is_alive(event->wire, event->to))
        return;
    end->is_open = false;
    core_on_link_down(end->name.node->core, end->name.link, (const char *)event->data);
}

void wire_send_down(struct wire *wire, int to, const char *why)
{
    struct sim_event *event = sim_event_new(run_down, strlen(why) + 1);

    memcpy(event->data, why, strlen(why) + 1);
    wire_add(wire, to, event, 0);
}

void wires_cut(struct sim_node *a, struct sim_node *b)
{
    struct wire_end *mine;

    TAILQ_FOREACH(mine, &a->ends, of_node)
    {
        struct wire *wire = mine->wire;
        struct wire_end *other = &wire->end[mine == &wire->end[0]];
        bool is_second = other->name.node == a && mine == &wire->end[1];
        if ((b && other->name.node != b) || is_second || wire->is_stalled)
            continue;
        for (int end = 0; end < 2; end++)
            wire_send_down(wire, end, "connection reset");
    }
}

void wires_stall(struct sim_node *node)
{
    struct wire_end *end;

    TAILQ_FOREACH(end, &node->ends, of_node)
    end->wire->is_stalled = true;
}

void wires_leave(struct sim_node *node)
{
    for (struct wire_end *end = TAILQ_FIRST(&node->ends), *after; end; end = after) {
        struct wire *wire = end->wire;
        after = TAILQ_NEXT(end, of_node);
        if (after && after->wire == wire) /* to itself: the other end goes with this one */
            after = TAILQ_NEXT(after, of_node);
        for (int i = 0; i < 2; i++)
            if (wire->end[i].name.node == node)
                wire->end[i].is_open = false;
        free_if_over(wire);
    }
}

/* ---- groups that cannot reach each other -------------------------------------------------------
 */

bool world_is_apart(const struct world *world, const struct sim_node *a, const struct sim_node *b)
{
    return world->group_of && world->group_of(a) != world->group_of(b);
}

void world_split(struct world *world, int (*group_of)(const struct sim_node *node))
{
    struct wire *wire;

    world->group_of = group_of;
    LIST_FOREACH(wire, &world->wires, next)
    if (wire->end[1].name.node &&
        world_is_apart(world, wire->end[0].name.node, wire->end[1].name.node))
        wire->is_stalled = true;
}

void world_heal(struct world *world)
{
    world->group_of = NULL;
}
