/* The clock of a world: chance, and one queue of what happens next. */
#include "tests/sim/wire.h"

#include <stdlib.h>

uint64_t world_random(struct world *world, uint64_t below)
{
    /* splitmix64 */
    uint64_t z = (world->random += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return below ? z % below : z;
}

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_ms < b->at_ms || (a->at_ms == b->at_ms && a->order < b->order);
}

void world_add(struct world *world, struct sim_event *event, uint64_t at_ms)
{
    if (world->queued == world->room) {
        world->room = world->room ? 2 * world->room : 256;
        world->queue = realloc(world->queue, world->room * sizeof *world->queue);
        if (!world->queue)
            abort();
    }
    event->at_ms = at_ms;
    event->order = world->order++;

    size_t place = world->queued++;
    while (place > 0 && is_before(event, world->queue[(place - 1) / 2])) {
        world->queue[place] = world->queue[(place - 1) / 2];
        place = (place - 1) / 2;
    }
    world->queue[place] = event;
}

static struct sim_event *take_first(struct world *world)
{
    struct sim_event *first = world->queue[0], *last = world->queue[--world->queued];
    size_t place = 0;

    for (;;) {
        size_t child = 2 * place + 1;
        if (child + 1 < world->queued && is_before(world->queue[child + 1], world->queue[child]))
            child++;
        if (child >= world->queued || !is_before(world->queue[child], last))
            break;
        world->queue[place] = world->queue[child];
        place = child;
    }
    world->queue[place] = last;
    return first;
}

struct sim_event *sim_event_new(void (*run)(struct world *, struct sim_event *), size_t bytes)
{
    struct sim_event *event = calloc(1, sizeof *event + bytes);

    if (!event)
        abort();
    event->run = run;
    event->bytes = bytes;
    return event;
}

static void step(struct world *world)
{
    struct sim_event *event = take_first(world);

    world->now_ms = event->at_ms;
    event->run(world, event);
    if (event->wire)
        wire_ran(event->wire);
    free(event);
}

void world_run(struct world *world, uint64_t ms)
{
    uint64_t end_ms = world->now_ms + ms;

    while (world->queued > 0 && world->queue[0]->at_ms <= end_ms)
        step(world);
    world->now_ms = end_ms;
}

bool world_run_until(struct world *world, bool (*is_so)(void *arg), void *arg, uint64_t ms)
{
    uint64_t end_ms = world->now_ms + ms;

    while (!is_so(arg) && world->queued > 0 && world->queue[0]->at_ms <= end_ms)
        step(world);
    return is_so(arg);
}

static void run_act(struct world *world, struct sim_event *event)
{
    (void)world;
    event->act(event->arg);
}

void world_at(struct world *world, uint64_t ms, void (*act)(void *arg), void *arg)
{
    struct sim_event *event = sim_event_new(run_act, 0);

    event->act = act;
    event->arg = arg;
    world_add(world, event, world->now_ms + ms);
}
