/* overlay/core_internal.h: what the files of the core know of each other.
 *
 * `struct core` is the whole state of a node; `struct peer` is one link and who is at its other
 * end. What a link accepts is its role's table (struct role): each role stands at the end of the
 * file that speaks it. A supernode is its own client through a pair of peers joined inside the
 * process, so the node side and the supernode side meet in one place only, the frames.
 *
 * Rules that keep this simple: a handler may close any link, so nobody touches a peer after a call
 * that could; nothing calls the gateway but core_deliver.
 */
#ifndef OVERLAY_CORE_INTERNAL_H
#define OVERLAY_CORE_INTERNAL_H

#include "conf/log.h"
#include "overlay/bucket.h"
#include "overlay/core.h"
#include "overlay/core_timer.h"
#include "overlay/directory.h"
#include "overlay/homes.h"
#include "overlay/overlay.pb-c.h"
#include "overlay/relays.h"
#include "overlay/trust.h"

#include <sys/queue.h>
#include <uthash.h>

#define PROTOCOL_VERSION 1
#define FRAME_BYTES_MAX 65536
#define GREETING_MAX_MS 5000 /* from connection to Hello or Welcome */
#define BODIES 48            /* field numbers of Envelope.body */
#define ROUTE_ID_BYTES 8
#define KEY_HINT_BYTES 8

struct peer;

/* What a peer has of the revocation list, by number (revocation.c). */
struct revocation_peer {
    uint64_t told; /* by it or by us, whatever is higher: nothing older needs to be sent */
    uint64_t held; /* by its own word */
    struct bucket lists;
};

/* ---- small tools (core.c) ---------------------------------------------------------------------
 */

/* calloc that never fails: without memory for its tables a node has nothing sensible left to do. */
void *core_alloc(size_t bytes);
uint64_t core_now(const struct core *core);
uint64_t core_random(struct core *core, uint64_t below);
void core_timer_set(struct core *core, struct core_timer *timer, uint64_t at_ms);
void core_timer_stop(struct core *core, struct core_timer *timer);

/* Complaints about others: one line per cause and minute. */
enum complaint {
    COMPLAINT_RECORD,
    COMPLAINT_LETTER,
    COMPLAINT_OFFER,
    COMPLAINT_LINK,
    COMPLAINT_LIST,
    COMPLAINTS
};
void core_complain(struct core *core, enum complaint cause, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- links (core_link.c) ----------------------------------------------------------------------
 */

typedef void (*core_handler)(struct core *core, struct peer *peer,
                             const Sallyport__Envelope *envelope);

/* What the other end of a link is to us; const, one per role. */
struct role {
    const char *name;
    core_handler handle[BODIES]; /* by field number; NULL: not accepted in this role */
    void (*on_gone)(struct core *core, struct peer *peer,
                    const char *why); /* peer is freed after */
};
extern const struct role role_dialled;  /* attach.c: we wait for its Welcome */
extern const struct role role_accepted; /* serve.c: we wait for its Hello */
extern const struct role role_upstream; /* attach.c: our home or standby */
extern const struct role role_client;   /* serve.c: a node that we are home or standby of */
extern const struct role role_fellow;   /* fellow.c: supernode to supernode */

struct peer {
    core_link link;
    const struct role *role;
    bool is_dialled; /* by us */
    bool is_up;      /* frames can be sent */
    bool is_ready;   /* Hello and Welcome are through */
    uint8_t node[OVERLAY_NODE_ID_BYTES];
    char site[OVERLAY_NAME_MAX];
    unsigned roles_granted;
    uint8_t serial[CERTIFICATE_SERIAL_BYTES]; /* of its certificate; known once it is up */
    struct revocation_peer revocation;
    char address[ADDRESS_TEXT_MAX]; /* where it listens; of a client: as we see it */
    struct sockaddr_storage seen;   /* where the link comes from or goes to; family 0: not known */
    uint64_t dial_back_ms;          /* when it was last tried */
    uint64_t since_ms, heard_ms;
    uint64_t ping_ms; /* when the unanswered Ping was sent; 0: none */
    uint64_t pong_until_ms;
    uint64_t ping_number;
    uint32_t round_trip_us;
    struct core_timer timer;                 /* greeting, keepalive, silence */
    struct bucket frames, records, tellings; /* rates */
    struct relay_list *told;                 /* of relays, by it (relays.c); NULL: nothing */
    uint64_t told_digest;                    /* of what we told it of relays last */
    struct core *core;
    struct peer *other;     /* the other end is in this process */
    struct host *host;      /* that we dialled */
    UT_hash_handle hh;      /* core->peers, by link */
    UT_hash_handle hh_node; /* core->clients or core->fellows, by node */
};

struct peer *peer_new(struct core *core, core_link link, const struct role *role);
struct peer *peer_find(const struct core *core, core_link link);
/* Sends; 0, -ENOBUFS (the link will be cut), -EMSGSIZE, -ENOTCONN (not up yet). */
int peer_send(struct peer *peer, Sallyport__Envelope *envelope);
/* A Ping now, unless one is unanswered; `is_alone` asks for other supernodes too. */
void peer_ping(struct peer *peer, bool is_alone);
void peer_probe(struct peer *peer);
/* Something else has died just now: it answers soon, or is given up. */
void peer_probe_in_trouble(struct peer *peer);
/* The same, unless something came from it just now. */
void peer_probe_if_quiet(struct peer *peer);
/* Out of the table and freed, nobody is told. */
void peer_forget(struct peer *peer);
/* Tells the role, frees it; the first also closes the link. */
void peer_close(struct peer *peer, const char *why);
void peer_drop(struct peer *peer, const char *why);
/* Hello and Welcome are through: from now on this role. */
void peer_ready(struct peer *peer, const struct role *role);
/* It owes us a Pong for too long: another way is tried first. */
bool peer_is_suspect(const struct peer *peer);
/* Handlers common to all ready roles. */
void peer_on_ping(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope);
void peer_on_pong(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope);

/* Frames between the two local peers wait here for core_deliver. */
struct local_frame {
    STAILQ_ENTRY(local_frame) next;
    core_link to;
    size_t bytes;
    uint8_t data[];
};
STAILQ_HEAD(local_frames, local_frame);
/* Makes a supernode its own client. */
void local_open(struct core *core);
void local_deliver(struct core *core);
void local_drop(struct core *core);
/* One frame to the handler that the peer's role names. */
void core_dispatch(struct core *core, struct peer *peer, const uint8_t *frame, size_t bytes);

/* ---- supernodes known (hosts.c) ---------------------------------------------------------------
 */

#define HOSTS_MAX 200

struct host {
    char address[ADDRESS_TEXT_MAX]; /* "": free */
    bool has_node;
    uint8_t node[OVERLAY_NODE_ID_BYTES];
    bool is_given; /* by settings or enrolment: never forgotten */
    bool is_self;
    unsigned failures;
    uint64_t next_ms; /* not dialled before */
    struct peer *peer;
};
/* Finds or adds; NULL when the address cannot be used or all places are taken. */
struct host *host_learn(struct core *core, const struct home *home, bool is_given);
void host_learn_all(struct core *core, Sallyport__Supernode *const *wire, size_t count);
struct host *host_find_node(struct core *core, const uint8_t node[OVERLAY_NODE_ID_BYTES]);
/* May it be dialled, its back-off apart? */
bool host_is_wanted(const struct core *core, const struct host *host);
/* Uniform in 50-100 % of min(300 s, 1 s * 2^n). */
void host_failed(struct core *core, struct host *host);
/* Fills a list of the supernodes worth telling others, at most 20; returns the count. */
#define HOST_LIST_MAX 20
struct host_list {
    struct home home[HOST_LIST_MAX];
    Sallyport__Supernode supernode[HOST_LIST_MAX];
    Sallyport__Supernode *list[HOST_LIST_MAX];
    size_t count;
};
void host_list_fill(struct core *core, struct host_list *list, const struct peer *except);

/* ---- node side (attach.c, publish.c, lookup.c) -------------------------------------------------
 */

#define UPSTREAMS_MAX 2

void attach_open(struct core *core);
/* Looks soon whether links are missing. */
void attach_wake(struct core *core);
/* Dials for whoever needs it; the peer, or NULL when it must not be dialled now. */
struct peer *attach_dial(struct core *core, struct host *host);
/* A link that we dialled is up: greets. */
void attach_connected(struct core *core, struct peer *peer);
/* A new home or standby. */
void attach_add(struct core *core, struct peer *peer);
/* A link to a supernode ended: log and back-off. */
void attach_lost(struct core *core, struct peer *peer, const char *why);
void attach_on_goodbye(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope);
/* The upstream to use for the given attempt (0, 1, …): home first, one that owes a Pong only when
 * the other does too; NULL: not attached. */
struct peer *attach_upstream(const struct core *core, int attempt);
/* Where we are attached, for records and offers. */
void attach_homes(const struct core *core, struct homes *homes);

/* Our names are (again) to be published: homes changed. */
void publish_soon(struct core *core);
void publish_open(struct core *core);
void publish_withdraw(struct core *core);
void publish_on_published(struct core *core, struct peer *peer,
                          const Sallyport__Envelope *envelope);

#define RECORDS_FOUND_MAX 8
struct record_list {
    struct record *record[RECORDS_FOUND_MAX];
    int count;
};
void record_list_fini(struct record_list *list);

struct lookup;
/* `error` 0 with the verified records (none: nobody serves the name; the list is the receiver's),
 * or -ETIMEDOUT. */
typedef void (*lookup_done)(struct lookup *lookup, int error, struct record_list *found);
struct lookup {
    struct core *core; /* NULL: not running */
    lookup_done done;
    void *owner;
    uint32_t request;
    bool is_fresh;
    bool was_answered;
    bool was_served; /* by somebody, lately: our supernodes say */
    char name[OVERLAY_NAME_MAX];
    struct {
        core_link link;
        bool is_open;
    } asked[4];
    int asked_count;
    uint64_t end_ms;
    struct core_timer timer;
    UT_hash_handle hh;
};
/* Asks our supernodes; `name` is folded. */
void lookup_start(struct core *core, struct lookup *lookup, const char *name, bool is_fresh);
void lookup_stop(struct lookup *lookup);
void lookup_on_upstreams_changed(struct core *core);
void lookup_on_found(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope);

/* ---- supernode side (serve.c, fellow.c, registry.c …) -------------------------- */

/* A link came in: its Hello is awaited, unless we are no supernode. */
void serve_accepted(struct core *core, struct peer *peer);
void serve_welcome(struct core *core, struct peer *peer);
/* Says goodbye with alternatives; the link stays to be closed. */
void serve_goodbye(struct peer *peer, const char *reason);
/* Another supernode greeted us (true: kept), or welcomed us. */
void fellow_accept(struct core *core, struct peer *peer, const Sallyport__Hello *hello);
void fellow_welcomed(struct core *core, struct peer *peer);

void registry_on_publish(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope);
void registry_on_fellow_ready(struct core *core, struct peer *fellow);
void query_on_lookup(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope);
void query_on_found(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope);
void query_on_fellow_gone(struct core *core);
void query_close(struct core *core);

void forward_on_route_of_client(struct core *core, struct peer *peer,
                                const Sallyport__Envelope *envelope);
void forward_on_route_of_fellow(struct core *core, struct peer *peer,
                                const Sallyport__Envelope *envelope);
void forward_on_route_failed(struct core *core, struct peer *peer,
                             const Sallyport__Envelope *envelope);
void forward_on_fellow_ready(struct core *core, struct peer *peer);
void forward_on_fellow_gone(struct core *core, core_link link);
void forward_open(struct core *core);
void forward_close(struct core *core);
/* Passages that are kept now. */
unsigned forward_count(const struct core *core);

/* dialback.c */
void dialback_on_dial_back(struct core *core, struct peer *peer,
                           const Sallyport__Envelope *envelope);
void dialback_on_dialed_back(struct core *core, struct peer *peer,
                             const Sallyport__Envelope *envelope);

/* ---- revocation (revocation.c) ----------------------------------------------------------------
 */

void revocation_open(struct core *core);
/* Its Hello or Welcome says which list it holds. */
void revocation_greeted(struct peer *peer, uint64_t number);
/* It has just greeted or been greeted: our list follows when it needs it. */
void revocation_on_ready(struct peer *peer);
/* Closes the link when its other end is revoked, or came to us although we are; says whether. */
bool revocation_refuses(struct peer *peer);
void revocation_on_revocation(struct core *core, struct peer *peer,
                              const Sallyport__Envelope *envelope);
void revocation_on_held(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope);

/* ---- all of it --------------------------------------------------------------------------------
 */

struct core {
    struct core_io io;
    const struct identity *identity;
    const struct certificate *self;
    struct trust trust;
    unsigned roles;
    bool is_supernode;
    bool is_leaving;
    char address[ADDRESS_TEXT_MAX]; /* "": we do not listen */
    unsigned seats, client_count;
    uint64_t malformed;
    struct log_limit complaints[COMPLAINTS];
    uint8_t frame[FRAME_BYTES_MAX]; /* where envelopes are packed */

    struct core_timers timers;
    uint64_t wake_ms; /* what io.wake was asked for last */

    struct peer *peers, *clients, *fellows;
    core_link next_link;
    struct local_frames local;

    struct host hosts[HOSTS_MAX];
    struct peer *upstream[UPSTREAMS_MAX]; /* home first */
    int upstream_count;
    bool is_told_attached;
    uint64_t alone_ms, alone_pause_ms; /* when a lonely node asks for a standby again */
    struct core_timer attach_timer;
    char last_error[128];

    struct core_timer publish_timer;
    uint64_t sequence;
    uint32_t next_request, dial_back_request;
    struct lookup *lookups;

    struct directory *directory;
    struct core_timer expire_timer, spread_timer;
    struct query *queries;
    unsigned query_count;
    struct forward *forward;
    struct relays relays;

    struct call_table *calls;
    struct event_queue *events;
};

#endif
