/* tests/sim/world.h: real cores with real identities under a virtual clock.
 *
 * A world holds nodes, the wires between them and one queue of what happens next; world_run moves
 * the clock. All chance comes from the seed, so a failure is seen again with the same seed. A wire
 * keeps the order of its frames and loses none, as TCP does, until it is cut (both ends hear it) or
 * stalls (nobody does). Lost, doubled and late call messages are the work of a bad supernode:
 * `faults` spoils the Route frames that supernodes send.
 *
 * Each node has a small gateway that follows its plan for calls that come in, and counts what it
 * hears.
 */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include "overlay/core.h"

#include <sys/queue.h>

#define SIM_NODES_MAX 32
#define SIM_NEVER UINT64_MAX

struct world;
struct sim_event;
struct realm;
struct wire;

/* What a gateway does with a call that comes in, each in ms after the offer. */
struct sim_plan {
    uint64_t accept_ms, ring_ms, progress_ms, answer_ms, end_ms; /* SIM_NEVER: not at all */
    enum call_reason reason;                                     /* of the end */
};
extern const struct sim_plan sim_answers; /* rings after 20 ms, answers after 300 ms */

struct sim_node {
    struct world *world;
    char name[16];
    char address[ADDRESS_TEXT_MAX]; /* "": does not listen */
    const struct identity *identity;
    unsigned roles;
    const char *supernodes[8]; /* addresses that it is given */
    int supernode_count;
    struct core *core; /* NULL: down */
    unsigned epoch;    /* counts its lives */
    unsigned seats;
    bool is_silent; /* its wires stall, dials to it vanish: the power is off, but nobody knows */
    uint64_t wake_ms;
    bool is_deferred;
    core_link next_accepted;
    bool is_told_attached;
    unsigned attached, detached, refused_offers;
    char why[160]; /* of on_detached */
    struct sim_plan plan;
    /* sees each frame that it sends, may change it; returns its bytes, 0: it is not sent */
    int (*on_send)(struct sim_node *node, uint8_t *frame, size_t bytes, size_t room);
};

/* One side of one call. */
struct sim_call {
    STAILQ_ENTRY(sim_call) next;
    struct sim_node *node;
    unsigned epoch;            /* of the node */
    struct overlay_call *call; /* NULL: over */
    struct sim_plan plan;
    bool is_outgoing;
    char id[CALL_ID_LEN + 1];
    char caller[64], caller_site[64], dialled[64];
    unsigned offers, rings, medias, answers, ends; /* events heard */
    bool is_ended_here;
    bool is_early; /* of the last on_media */
    enum media_direction direction;
    enum codec codec;
    char digits[16];
    struct call_cause cause;
    uint64_t start_ms, rang_ms, answered_ms, ended_ms;
};
STAILQ_HEAD(sim_calls, sim_call);

struct sim_faults {
    unsigned lost, doubled, late; /* of 1000 Route frames that a supernode sends */
    uint64_t late_ms;             /* at most so much */
};

struct world {
    uint64_t seed, random;
    uint64_t now_ms;
    uint64_t order;
    struct sim_event **queue; /* a heap */
    size_t queued, room;
    STAILQ_HEAD(, wire) wires;
    struct sim_node nodes[SIM_NODES_MAX];
    int node_count;
    struct sim_calls calls;
    struct sim_faults faults;
    uint64_t delay_ms;
    uint64_t frames;
    uint64_t call_count;
};

/* Identities are made once per process: a signature over a certificate is not what is simulated. */
void sim_identities_free(void);
/* The realm that they are all of; as long as they are. */
const struct realm *sim_realm(void);

void world_init(struct world *world, uint64_t seed);
void world_fini(struct world *world);
uint64_t world_random(struct world *world, uint64_t below);
/* A supernode (with an address) or a gateway (without); `site` names the identity too. */
struct sim_node *world_supernode(struct world *world, const char *site);
struct sim_node *world_gateway(struct world *world, const char *site);
/* A supernode that is a gateway too. */
struct sim_node *world_both(struct world *world, const char *site);
/* The same, of another identity with the same site. */
struct sim_node *world_twin(struct world *world, const char *site);
void sim_node_knows(struct sim_node *node, const struct sim_node *supernode);

void sim_node_start(struct sim_node *node);
/* The process ends: all its wires are cut. */
void sim_node_stop(struct sim_node *node);
/* The power goes: its wires stall. */
void sim_node_silence(struct sim_node *node);
/* The wires between the two are cut; they may be made anew. */
void world_cut(struct world *world, struct sim_node *a, struct sim_node *b);

/* Runs until the clock shows now + `ms`. */
void world_run(struct world *world, uint64_t ms);
/* Runs until `is_so(arg)`, at most `ms`; whether it came so. */
bool world_run_until(struct world *world, bool (*is_so)(void *arg), void *arg, uint64_t ms);
/* Runs `act(arg)` at now + `ms`. */
void world_at(struct world *world, uint64_t ms, void (*act)(void *arg), void *arg);

/* Calls `to`; NULL and the error when it was refused at once. */
struct sim_call *sim_call_new(struct sim_node *node, const char *to, int *error);
void sim_call_end(struct sim_call *call, enum call_reason reason);
/* The other side of it; NULL: not (yet) there. */
struct sim_call *sim_call_far(struct world *world, const struct sim_call *call);

bool sim_is_route(const uint8_t *frame, size_t bytes);

/* Dies with the seed and what was wrong. */
#define sim_check(world, condition) \
    ((condition) ? (void)0 : sim_failed(world, __FILE__, __LINE__, #condition))
_Noreturn void sim_failed(const struct world *world, const char *file, int line, const char *what);

/* After a long silence: each call has ended, once; nothing of it is left in any core. */
void world_check_calm(struct world *world);

#endif
