/* What nodes hear and say, by kind. */
#include "tests/sim/wire.h"

#include <stdlib.h>
#include <string.h>

#define LENGTH_BYTES 4 /* in front of each frame */

void sim_traffic_start(struct sim_node *node)
{
    if (!node->traffic)
        node->traffic = malloc(sizeof *node->traffic);
    if (!node->traffic)
        abort();
    *node->traffic = (struct sim_traffic){.since_ms = node->world->now_ms};
}

void world_count_anew(struct world *world)
{
    for (int i = 0; i < world->node_count; i++) {
        struct sim_node *node = world->nodes[i];
        struct sim_door *door = &node->door;
        if (node->traffic)
            sim_traffic_start(node);
        *door = (struct sim_door){.accepts_per_s = door->accepts_per_s,
                                  .queue_max = door->queue_max,
                                  .free_us = door->free_us};
    }
}

/* The body is all that an Envelope has, so its field number comes first: (number << 3 | type) as a
 * varint. */
static unsigned body_of(const uint8_t *frame, size_t bytes)
{
    unsigned tag = 0;

    if (bytes > 0)
        tag = frame[0] & 0x7f;
    if (bytes > 1 && frame[0] & 0x80)
        tag |= (unsigned)(frame[1] & 0x7f) << 7;
    return tag >> 3 < SIM_BODIES ? tag >> 3 : 0;
}

static void count(struct sim_kind *kinds, const uint8_t *frame, size_t bytes)
{
    struct sim_kind *kind = &kinds[body_of(frame, bytes)];

    kind->frames++;
    kind->bytes += bytes + LENGTH_BYTES;
}

void traffic_in(struct sim_node *node, const uint8_t *frame, size_t bytes)
{
    if (node->traffic)
        count(node->traffic->in, frame, bytes);
}

void traffic_out(struct sim_node *node, const uint8_t *frame, size_t bytes)
{
    if (node->traffic)
        count(node->traffic->out, frame, bytes);
}

struct sim_kind sim_traffic_sum(const struct sim_kind kinds[SIM_BODIES])
{
    struct sim_kind sum = {0, 0};

    for (int i = 0; i < SIM_BODIES; i++) {
        sum.frames += kinds[i].frames;
        sum.bytes += kinds[i].bytes;
    }
    return sum;
}
