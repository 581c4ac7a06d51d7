/* overlay/core.h: the protocol core: attaching, serving, directory, forwarding and calls.
 *
 * The core owns no socket, clock or dice. It gets them through `struct core_io`, so the same code
 * runs in the node (overlay.c, over TLS links) and by the thousand under a virtual clock
 * (tests/sim/). Inputs are core_on_link_up, core_on_frame, core_on_link_down and core_tick; outputs
 * are the functions of core_io and the events of overlay.h. Everything runs on one thread.
 *
 *   core.c       life, dispatch by table (body of Envelope x role), counters
 *   core_link.c  links: table, sending, keepalive; core_timer.c: deadlines
 *   event.c      what the gateway hears
 *   attach.c     node side: dialling and greeting; upstream.c: home and standby
 *   hosts.c      the supernodes known, and when they are dialled again
 *   serve.c      supernode side: welcome, clients; fellow.c: supernode to supernode
 *   seats.c      who is to be a supernode; retire.c: beginning to be one, ceasing to
 *   members.c    the supernodes of the realm: ring, ranking; member.c: what they say, signed
 *   gossip.c     what is told of them; pulse.c: who is watched, which links there are
 *   trust.c      certificates that were found good just now
 *   signed.c     messages under a signature
 *   record.c     records: made, signed, verified; directory.c: kept
 *   publish.c    our names kept published; lookup.c: the asker's side
 *   registry.c   what clients publish; spread.c: at its holders
 *   query.c      what clients look up; answers.c: found so far; found_cache.c: found lately
 *   forward.c    Route: home -> home -> node, and failures back
 *   relays.c     relays: told, gathered, measured, chosen
 *   dialback.c   whether a node can be reached from outside
 *   revocation.c the revocation list: taken, applied, handed on
 *   call.c …     calls end to end: numbered, acknowledged, repeated, sealed (call.h)
 */
#ifndef OVERLAY_CORE_H
#define OVERLAY_CORE_H

#include "overlay/identity.h"

struct core;
typedef uint32_t core_link; /* chosen by the core when it dials, by the I/O side when it accepts */

/* What the path side says about itself in an offer or reply, and learns from the far end: a
 * serialised `Path` (overlay.proto). */
#define CORE_PATH_MAX 4096
struct core_path {
    size_t bytes;
    uint8_t data[CORE_PATH_MAX];
};

/* Dial-back (dialback.c): can a node be reached from outside? */
struct core_dial_back {
    uint16_t tcp_port; /* where it listens */
    uint16_t udp_port; /* of a socket of its paths; 0: none */
    uint8_t knock[12]; /* transaction id of the STUN indication that is to come there */
};
struct core_dial_back_to {
    core_link link;
    uint32_t request;
    struct sockaddr_storage address; /* where the link comes from */
    uint8_t node[OVERLAY_NODE_ID_BYTES];
};
struct core_dialed_back {
    bool is_refused; /* nothing was tried */
    bool tcp;        /* it was there, by TLS */
    bool udp;        /* the indication was sent */
    char why[96];    /* in words, why TCP failed or nothing was tried */
};

struct core_io {
    void *ctx;
    uint64_t (*now_ms)(void *ctx); /* monotonic */
    int64_t (*time_s)(void *ctx);  /* wall clock */
    void (*random)(void *ctx, void *bytes, size_t count);

    /* Dials `address`; the answer is core_on_link_up or core_on_link_down, later. */
    void (*dial)(void *ctx, core_link link, const char *address);
    /* Queues one frame (without its length); -ENOBUFS: the peer reads too slowly and will be cut.
     */
    int (*send)(void *ctx, core_link link, const uint8_t *frame, size_t bytes);
    /* Closes after what is queued; no input comes for this link any more. `why` is for both logs.
     */
    void (*close)(void *ctx, core_link link, const char *why);
    /* core_tick is wanted at this time (now_ms); a new call replaces the old wish. */
    void (*wake)(void *ctx, uint64_t at_ms);
    /* Something was queued: core_deliver is to be called soon, from the loop, not from inside. */
    void (*defer)(void *ctx);

    /* The path to a node (path.h; NULL functions in a simulation without media: empty paths).
     * offer: we call `peer`; an existing path is reused. accept: `theirs` came in an offer; ours is
     * returned for the reply. learn: `theirs` came in a reply. Each returns a path handle in *path
     * that the call holds until path_release, and the SSRC the far end must use in *ssrc_in.
     * is_warm, just after offer or accept: earlier calls have proved this path. */
    int (*path_offer)(void *ctx, const struct certificate *peer, struct core_path *ours,
                      void **path, uint32_t *ssrc_in);
    int (*path_accept)(void *ctx, const struct certificate *peer, const struct core_path *theirs,
                       struct core_path *ours, void **path, uint32_t *ssrc_in);
    int (*path_learn)(void *ctx, void *path, const struct core_path *theirs);
    /* The call is accepted; ours is for the Answer, empty when the caller was told before. */
    int (*path_show)(void *ctx, void *path, struct core_path *ours);
    bool (*path_is_warm)(void *ctx, void *path);
    void (*path_release)(void *ctx, void *path, uint32_t ssrc_in);

    /* A newer revocation list is in force: it is to be kept, and what the core does not hold of
     * those in it (paths, tunnels) is to be closed. NULL: there is nothing of that. */
    void (*revoked)(void *ctx);

    /* A node at the other end of `to->link` wants to know whether it can be reached: the answer is
     * core_dialed_back, later. NULL: not possible here. */
    void (*dial_back)(void *ctx, const struct core_dial_back_to *to,
                      const struct core_dial_back *ask);
    /* The answer to core_dial_back. */
    void (*dialed_back)(void *ctx, const struct core_dialed_back *result);

    /* events for the gateway */
    const struct overlay_events *events;
    void *events_ctx;
};

#define CORE_SEATS 20000
#define CORE_SEATS_INVITED 2000 /* of a node that has other work */
struct core_settings {
    const struct identity *identity;
    unsigned roles;      /* granted and configured */
    const char *address; /* where we listen as told to others; NULL: we do not */
    const char *supernodes[2 * CONF_LISTS_MAX];
    int supernode_count;
    unsigned seats; /* 0: CORE_SEATS, as one that was invited CORE_SEATS_INVITED */
    bool may_serve; /* without the role supernode in `roles`: when the realm needs and invites us */
    uint64_t plenty_for_ms; /* one that was invited retires when it was not needed for so long; 0:
                               10 minutes */
    unsigned priority, weight; /* of our records, among those of the same site; weight 0: 1 */
    unsigned version; /* of the protocol, at most; 0: the newest. Tests mix old and new nodes. */
    /* Our records start above this: (seconds << 20 | microseconds) of the wall clock, so that a
     * node restarted within a second is newer than its own withdrawal. 0: whole seconds will do. */
    uint64_t sequence;
};

/* May use io->wake and io->defer at once. -EINVAL for an address that is not "host:port". */
int core_new(const struct core_settings *settings, const struct core_io *io, struct core **core);
/* Says goodbye on all links (io->close) and forgets everything; no event any more. */
void core_free(struct core *core);
/* Withdraws our records and ends our calls; the links stay up so that this can be sent. */
void core_leave(struct core *core);

/* A link is up: one that the core dialled, or one that was accepted (is_accepted; the I/O side
 * chose the number, with the top bit set). The certificate was verified. */
void core_on_link_up(struct core *core, core_link link, bool is_accepted,
                     const struct certificate *peer, const struct sockaddr_storage *peer_address);
void core_on_frame(struct core *core, core_link link, const uint8_t *frame, size_t bytes);
/* A dial failed or a link ended. `why` in words: "connection refused", "certificate of another
 * realm". */
void core_on_link_down(struct core *core, core_link link, const char *why);
void core_tick(struct core *core);
/* Delivers queued events to the gateway. */
void core_deliver(struct core *core);
/* The loop was so late just now: what costs least is shed first. New nodes without calls are sent
 * elsewhere, then look-ups are refused (the asker has another supernode); calls never are. */
void core_on_late(struct core *core, unsigned late_ms);
/* Something is wrong around us: do our supernodes still answer? Told at once instead of at the next
 * keepalive. */
void core_probe(struct core *core);
/* The network changed under us: probe and re-dial at once. */
void core_on_network_change(struct core *core);

/* Others can connect to us, as far as is known (dial-back): we may serve when invited. */
void core_reachable(struct core *core, bool is_reachable);

/* Asks a supernode to dial us back; -ENOTCONN: there is none outside. */
int core_dial_back(struct core *core, const struct core_dial_back *ask);
void core_dialed_back(struct core *core, core_link link, uint32_t request,
                      const struct core_dialed_back *result);

/* The host cache: supernodes known, at most 200, for keeping on disk; and those kept, given back at
 * the next start. */
void core_each_host(const struct core *core, void (*each)(void *ctx, const char *address),
                    void *ctx);
void core_add_host(struct core *core, const char *address);

/* A relay of the realm that may be used. */
struct core_relay {
    uint8_t node[OVERLAY_NODE_ID_BYTES];
    char address[ADDRESS_TEXT_MAX]; /* "host:port"; its open UDP port has the same number */
    unsigned load;                  /* per cent of what it may carry */
    uint32_t round_trip_us;         /* 0: not known */
    bool is_self;
};
/* Those that our supernodes told of; nobody may close links meanwhile. */
void core_each_relay(const struct core *core,
                     void (*each)(void *ctx, const struct core_relay *relay), void *ctx);
/* The round trip to the relay (or supernode) at this address was measured; 0: it did not answer.
 * Good for a quarter of an hour. */
void core_relay_measured(struct core *core, const char *address, uint32_t round_trip_us);
/* The best relays for a call now, best first: nearest, with the load as a penalty; unmeasured ones
 * last. Returns how many (of `max`, at most CORE_RELAYS_MAX). */
#define CORE_RELAYS_MAX 4
int core_take_relays(const struct core *core, struct core_relay *out, int max);
/* Our own relay, if the core has that role: others are told of it (at first they are), or not any
 * more, because nobody could reach it. */
void core_relay_offer(struct core *core, bool is_offered);
/* How busy our own relay is, in per cent: others are told when it has changed enough. */
void core_relay_load(struct core *core, unsigned load);

/* overlay.h's calls, status and iteration on the core; overlay.c forwards to these. */
int core_call_new(struct core *core, const struct overlay_call_request *request,
                  const struct overlay_call_events *events, void *ctx, struct overlay_call **call);
/* The call's path handle, SSRCs and keys; -EAGAIN before they are known. */
int core_call_media(struct overlay_call *call, void **path, struct overlay_port *port);
/* The path side says in words where the media of a path goes now: on_path to its calls. */
void core_on_path(struct core *core, void *path, const char *text);
/* Something that happened to a path: into the journals of its calls. */
void core_on_path_note(struct core *core, void *path, const char *event, const char *text);
bool core_is_attached(const struct core *core);
void core_status(const struct core *core, struct overlay_status *status);
void core_each_supernode(const struct core *core,
                         void (*each)(void *ctx, const struct overlay_supernode *supernode),
                         void *ctx);
void core_each_node(const struct core *core,
                    void (*each)(void *ctx, const struct overlay_node *node), void *ctx);
/* Adds up the supernodes, seats and clients; `realm` is zeroed by the caller, who knows the rest.
 */
void core_realm_state(const struct core *core, struct overlay_realm *realm);

#endif
