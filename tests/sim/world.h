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
 *
 * A world may be large (10^5 nodes: about 20 kB each). Then gateways have a site only (world_site),
 * nodes have places and the delay between them grows with the distance (world_spread), supernodes
 * count what they hear and say by kind (sim_traffic) and take so many connections a second only
 * (sim_door), the world may be split (world_split), and what was found good by one node is not
 * computed again for the next (sim_share_checks).
 *
 *   world.c     nodes, life, checks         identities.c  made once per process
 *   clock.c     chance, what happens next   wire.c        wires, cuts, stalls, splits
 *   place.c     where nodes are, delays     dial.c        dials, doors
 *   traffic.c   what is counted             io.c          what a core is given
 *   gateway.c   calls                       checks.c      what is computed once for all
 *   ask.c       look-ups
 *   scene.c     small worlds that stories start from; crowd.c: large ones
 */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include "overlay/core.h"

#include <sys/queue.h>
#include <uthash.h>

#define SIM_KNOWN_MAX 8 /* supernodes that a node is given */
#define SIM_BODIES 48   /* field numbers of Envelope.body */
#define SIM_NEVER UINT64_MAX

struct world;
struct sim_event;
struct realm;
struct wire;
struct wire_end;

/* Frames by the kind of their Envelope's body (its field number); bytes with the length in front of
 * a frame, without what TLS, TCP and IP add. `in` counts what was heard, `out` what was said, also
 * into a wire that loses it. */
struct sim_kind {
    uint64_t frames, bytes;
};
struct sim_traffic {
    uint64_t since_ms;
    struct sim_kind in[SIM_BODIES], out[SIM_BODIES];
};

/* What accepting connections costs a node: `accepts_per_s` handshakes, the others wait, at most
 * `queue_max` of them. A SYN beyond that is lost; it comes again after 1, 3 and 7 s. Who is not
 * through after 10 s gives up. The counters count without a limit too. */
struct sim_door {
    unsigned accepts_per_s; /* 0: no limit */
    unsigned queue_max;     /* 0: 4096 */
    uint64_t free_us;       /* when all that wait are through */
    uint64_t dials, accepted, lost_syns, timed_out;
    unsigned waiting_max; /* most that waited at once */
    unsigned per_s_max;   /* most dials within one second of the clock */
    uint64_t second;
    unsigned in_second;
};

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
    float x, y;                            /* its place, each 0 to 1 (world_spread) */
    const char *supernodes[SIM_KNOWN_MAX]; /* addresses that it is given */
    int supernode_count;
    bool has_disk; /* the supernodes that it knew are given back to its next life */
    char (*disk)[ADDRESS_TEXT_MAX];
    int disk_count;
    struct core *core; /* NULL: down */
    unsigned epoch;    /* counts its lives */
    unsigned seats;
    bool may_serve; /* when invited; others can reach it */
    uint64_t plenty_for_ms;
    unsigned priority, weight;       /* among the gateways of its site; weight 0: 1 */
    int group;                       /* for stories, at first 0 */
    const struct sim_faults *faults; /* what it does to the Route frames that it sends; NULL: the
                                        world's */
    unsigned version;                /* of the protocol; 0: the newest */
    bool is_silent; /* its wires stall, dials to it vanish: the power is off, but nobody knows */
    uint64_t wake_ms;
    bool is_deferred;
    core_link next_accepted;
    bool is_told_attached;
    unsigned attached, detached, refused_offers;
    char why[160]; /* of on_detached */
    struct sim_plan plan;
    struct sim_door door;
    struct sim_traffic *traffic; /* NULL: not counted; a supernode's is */
    STAILQ_HEAD(, sim_call) calls;
    TAILQ_HEAD(, wire_end) ends; /* of its wires, oldest first */
    UT_hash_handle hh;           /* world->listeners, by address */
    /* sees each frame that it sends, may change it; returns its bytes, 0: it is not sent */
    int (*on_send)(struct sim_node *node, uint8_t *frame, size_t bytes, size_t room);
};

/* One side of one call. */
struct sim_call {
    STAILQ_ENTRY(sim_call) next;    /* world->calls */
    STAILQ_ENTRY(sim_call) of_node; /* node->calls */
    UT_hash_handle hh;              /* world->outgoing or world->incoming, by id */
    struct sim_node *node;
    unsigned epoch;            /* of the node */
    struct overlay_call *call; /* NULL: over */
    struct sim_plan plan;
    unsigned planned; /* what is still to happen to it */
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

/* A look-up of a node, as its calls make them. */
struct sim_ask {
    STAILQ_ENTRY(sim_ask) next; /* world->asks */
    struct sim_node *node;
    const struct sim_node *wanted; /* who is to be found; NULL: it does not matter */
    bool is_over, was_stopped;     /* the second: its node ended before */
    bool is_found;                 /* `wanted` is among those found; else somebody is */
    int count, error;
    uint64_t start_ms, took_ms;
    uint64_t ideal_ms; /* asker - its home - nearest holder, and back; 0: not known */
};
STAILQ_HEAD(sim_asks, sim_ask);

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
    LIST_HEAD(, wire) wires;
    struct wire_end *ends;   /* hash, by node, its life and the link's number */
    struct sim_node **nodes; /* each allocated apart: they do not move */
    int node_count, node_room;
    struct sim_node *listeners;
    unsigned attached_count; /* nodes that are told attached now */
    struct sim_calls calls;
    struct sim_asks asks;
    struct sim_call *outgoing, *incoming;
    struct sim_faults faults;
    uint64_t delay_ms; /* one way, 50 to 150 % of it; not used when there are places */
    struct sim_spread {
        unsigned near_ms, far_ms, jitter_ms;
    } spread;                                     /* far_ms 0: there are no places */
    int (*group_of)(const struct sim_node *node); /* NULL: not split */
    uint64_t frames;
    uint64_t call_count;
};

/* Identities are made once per process: a signature over a certificate is not what is simulated. */
void sim_identities_free(void);
/* The realm that they are all of; as long as they are. */
const struct realm *sim_realm(void);
/* Certificates and signatures that were found good once in this process are taken for good from now
 * on: most of the time of a large world goes there. Nothing else changes. Not at first. */
void sim_share_checks(bool is_shared);

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
/* A gateway that serves its site only: no number. Large worlds are made of these. */
struct sim_node *world_site(struct world *world, const char *site);
/* A gateway that others can connect to: it becomes a supernode when it is invited. */
struct sim_node *world_willing(struct world *world, const char *site);
void sim_node_knows(struct sim_node *node, const struct sim_node *supernode);

void sim_node_start(struct sim_node *node);
/* The process ends in good order: it says goodbye. */
void sim_node_stop(struct sim_node *node);
/* The process dies: its wires are cut, without a word. */
void sim_node_crash(struct sim_node *node);
/* The power goes: its wires stall. */
void sim_node_silence(struct sim_node *node);
/* The wires between the two are cut; they may be made anew. `b` NULL: all wires of `a`. */
void world_cut(struct world *world, struct sim_node *a, struct sim_node *b);
/* Nodes of different groups cannot reach each other from now on: wires between them stall, dials
 * time out. Asked for each dial too, so nodes may be added. Wires that have stalled stay dead. */
void world_split(struct world *world, int (*group_of)(const struct sim_node *node));
void world_heal(struct world *world);

/* Nodes made from now on have places, by chance, on a square: the delay of one way grows evenly
 * from near_ms (same place) to far_ms (opposite corners), and jitter adds up to jitter_ms. */
void world_spread(struct world *world, unsigned near_ms, unsigned far_ms, unsigned jitter_ms);
/* The same without jitter. */
uint64_t world_distance_ms(const struct world *world, const struct sim_node *a,
                           const struct sim_node *b);
/* Of one frame between the two, now. */
uint64_t world_delay_ms(struct world *world, const struct sim_node *a, const struct sim_node *b);

/* Runs until the clock shows now + `ms`. */
void world_run(struct world *world, uint64_t ms);
/* Runs until `is_so(arg)`, at most `ms`; whether it came so. */
bool world_run_until(struct world *world, bool (*is_so)(void *arg), void *arg, uint64_t ms);
/* Runs `act(arg)` at now + `ms`. */
void world_at(struct world *world, uint64_t ms, void (*act)(void *arg), void *arg);

/* Counts from now on, from nothing. */
void sim_traffic_start(struct sim_node *node);
/* The same for all that are counted, and their doors; `accepts_per_s` and the queue stay. */
void world_count_anew(struct world *world);
/* All kinds together. */
struct sim_kind sim_traffic_sum(const struct sim_kind kinds[SIM_BODIES]);

/* Calls `to`; NULL and the error when it was refused at once. */
struct sim_call *sim_call_new(struct sim_node *node, const char *to, int *error);
void sim_call_end(struct sim_call *call, enum call_reason reason);
/* The other side of it; NULL: not (yet) there. */
struct sim_call *sim_call_far(struct world *world, const struct sim_call *call);
/* Frees those that are over; nobody may hold a pointer to one. */
void world_forget_calls(struct world *world);

/* Looks a name up; `is_fresh` goes past what supernodes remember of others' look-ups. */
struct sim_ask *sim_ask_new(struct sim_node *node, const char *name, const struct sim_node *wanted,
                            bool is_fresh);
/* Frees those that are over; nobody may hold a pointer to one. */
void world_forget_asks(struct world *world);

bool sim_is_route(const uint8_t *frame, size_t bytes);

/* What runs now, to be named when it fails: "NAME SEED" as arguments repeat it. */
extern const char *sim_story;
/* Dies with the seed and what was wrong. */
#define sim_check(world, condition) \
    ((condition) ? (void)0 : sim_failed(world, __FILE__, __LINE__, #condition))
_Noreturn void sim_failed(const struct world *world, const char *file, int line, const char *what);

/* After a long silence: each call has ended, once; nothing of it is left in any core. */
void world_check_calm(struct world *world);

#endif
