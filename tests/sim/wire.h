/* tests/sim/wire.h: the queue of what happens next, and the wires between nodes.
 *
 * Private to tests/sim. A wire is freed when both ends are closed and nothing is queued on it: who
 * calls into a core must have an event of the wire in hand, or must not look at the wire after.
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
    int to;            /* which end of the wire */
    struct wire *wire; /* NULL: of none */
    size_t bytes;
    uint8_t data[];
};
struct sim_event *sim_event_new(void (*run)(struct world *, struct sim_event *), size_t bytes);
void world_add(struct world *world, struct sim_event *event, uint64_t at_ms);

/* One end of a link: a node in one of its lives, and the number that its core has for the link. */
struct end_name {
    struct sim_node *node;
    unsigned epoch;
    core_link link;
};
struct wire_end {
    struct wire *wire;
    struct end_name name; /* node NULL: nobody listens there */
    bool is_open;         /* this end hears and may speak */
    uint64_t last_ms;     /* when the last frame to this end arrives */
    TAILQ_ENTRY(wire_end) of_node;
    UT_hash_handle hh; /* world->ends */
};
struct wire {
    LIST_ENTRY(wire) next;
    struct wire_end end[2]; /* 0 dialled */
    bool is_stalled;
    unsigned queued; /* events */
    uint64_t dialled_ms;
};

/* ---- wire.c -----------------------------------------------------------------------------------
 */

struct wire *wire_new(struct sim_node *dialler, core_link link, struct sim_node *listener);
/* The other side is there: it has a number for the link. */
void wire_connect(struct wire *wire, core_link link);
/* The end of a link of this node as it lives now; NULL: there is none, or it is closed. */
struct wire_end *wire_find(struct sim_node *node, core_link link);
/* Does the core at this end still hear? */
bool wire_end_is_alive(const struct wire *wire, int end);
/* Comes to end `to` when its turn is, `late_ms` later than that. */
void wire_add(struct wire *wire, int to, struct sim_event *event, uint64_t late_ms);
void wire_add_at(struct wire *wire, int to, struct sim_event *event, uint64_t at_ms);
/* One of its events has run. */
void wire_ran(struct wire *wire);
void wire_close(struct wire *wire, int end);
/* The end `to` will hear that the link is down. */
void wire_send_down(struct wire *wire, int to, const char *why);
/* `b` NULL: all of a's. */
void wires_cut(struct sim_node *a, struct sim_node *b);
void wires_stall(struct sim_node *node);
/* A life of the node is over: it hears nothing on any of its wires. */
void wires_leave(struct sim_node *node);
void wires_free(struct world *world);
bool world_is_apart(const struct world *world, const struct sim_node *a, const struct sim_node *b);

/* ---- the rest ---------------------------------------------------------------------------------
 */

/* dial.c */
void sim_dial(struct sim_node *node, core_link link, const char *address);
/* io.c */
struct core_io sim_io(struct sim_node *node);
/* gateway.c */
extern const struct overlay_events sim_gateway;
void calls_forget(struct sim_node *node);
void calls_free(struct world *world);
/* ask.c: its look-ups are over without a result. */
void asks_forget(struct sim_node *node);
/* place.c: a place by chance, in a world that has places. */
void place_choose(struct sim_node *node);
/* traffic.c */
void traffic_in(struct sim_node *node, const uint8_t *frame, size_t bytes);
void traffic_out(struct sim_node *node, const uint8_t *frame, size_t bytes);
/* identities.c: of the identity with this certificate; NULL: it is none of ours. */
const struct certificate *sim_certificate_find(const uint8_t *der, size_t bytes);
/* The same one each time it is asked; `which` tells several of one site apart. */
const struct identity *sim_identity(const char *site, unsigned roles, int which, bool has_number);

#endif
