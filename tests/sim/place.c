/* Where nodes are, and how long a frame takes from one to the other. */
#include "tests/sim/wire.h"

#include <math.h>

void world_spread(struct world *world, unsigned near_ms, unsigned far_ms, unsigned jitter_ms)
{
    world->spread.near_ms = near_ms;
    world->spread.far_ms = far_ms;
    world->spread.jitter_ms = jitter_ms;
}

void place_choose(struct sim_node *node)
{
    if (node->world->spread.far_ms == 0)
        return;
    node->x = (float)world_random(node->world, 10000) / 10000;
    node->y = (float)world_random(node->world, 10000) / 10000;
}

uint64_t world_distance_ms(const struct world *world, const struct sim_node *a,
                           const struct sim_node *b)
{
    const struct sim_spread *spread = &world->spread;

    if (spread->far_ms == 0 || !b)
        return world->delay_ms;
    float part = hypotf(a->x - b->x, a->y - b->y) / hypotf(1, 1);
    return spread->near_ms + (uint64_t)(part * (float)(spread->far_ms - spread->near_ms));
}

uint64_t world_delay_ms(struct world *world, const struct sim_node *a, const struct sim_node *b)
{
    if (world->spread.far_ms == 0 || !b)
        return world->delay_ms / 2 + world_random(world, world->delay_ms);
    return world_distance_ms(world, a, b) + world_random(world, world->spread.jitter_ms + 1);
}
