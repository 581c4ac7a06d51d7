/* tests/sim/wire.h: the queue of what happens next, and the wires between nodes (wire.c).
 *
 * Private to tests/sim.
 */
#ifndef TESTS_SIM_WIRE_H
#define TESTS_SIM_WIRE_H

#include "tests/sim/world.h"

struct sim_event {
    uint64_t at_ms, order;
    void (*run)(struct world *world, struct sim_event *event);
    void (*act)(void *arg);
    void *arg;
    struct sim_node *node;
    unsigned epoch;
    struct wire *wire;
    int to; /* which end of the wire */
    size_t bytes;
    uint8_t data[];
};
struct sim_event *sim_event_new(void (*run)(struct world *, struct sim_event *), size_t bytes);
void world_add(struct world *world, struct sim_event *event, uint64_t at_ms);

struct core_io sim_io(struct sim_node *node);
/* `b` NULL: all of a's. */
void wires_cut(struct world *world, struct sim_node *a, struct sim_node *b);
void wires_stall(struct world *world, struct sim_node *node);
void wires_free(struct world *world);

/* gateway.c */
extern const struct overlay_events sim_gateway;

#endif
