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
#include "overlay/found_cache.h"
#include "overlay/homes.h"
#include "overlay/members.h"
#include "overlay/overlay.pb-c.h"
#include "overlay/relays.h"
#include "overlay/seats.h"
#include "overlay/trust.h"

#include <sys/queue.h>
#include <uthash.h>

#define PROTOCOL_VERSION 2
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
/* The version that both speak. */
unsigned core_common_version(const struct core *core, unsigned theirs);
/* For our next record or statement: above all before, also before a restart, as long as the clock
 * does not go back. */
uint64_t core_next_sequence(struct core *core);

/* Overload: is what is worth so little to be shed? Counted when it is. */
#define LATE_NEWCOMERS_MS 150
#define LATE_LOOKUPS_MS 400
bool core_sheds(struct core *core, unsigned late_ms);

/* Complaints about others: one line per cause and minute. */
enum complaint {
    COMPLAINT_RECORD,
    COMPLAINT_PUBLISHED,
    COMPLAINT_LETTER,
    COMPLAINT_OFFER,
    COMPLAINT_LINK,
    COMPLAINT_MEMBER,
    COMPLAINT_GOSSIP,
    COMPLAINT_LOOKUP,
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
extern const struct role role_dialled;  /* upstream.c: we wait for its Welcome */
extern const struct role role_accepted; /* serve.c: we wait for its Hello */
extern const struct role role_upstream; /* upstream.c: our home or standby */
extern const struct role role_client;   /* serve.c: a node that we are home or standby of */
extern const struct role role_fellow;   /* fellow.c: supernode to supernode */

/* A frame that waits: between the two local peers for core_deliver, for a link that is being made
 * until that is ready. */
struct waiting_frame {
    STAILQ_ENTRY(waiting_frame) next;
    core_link to;
    size_t bytes;
    uint8_t data[];
};
STAILQ_HEAD(waiting_frames, waiting_frame);

struct peer {
    core_link link;
    const struct role *role;
    bool is_dialled; /* by us */
    bool is_up;      /* frames can be sent */
    bool is_ready;   /* Hello and Welcome are through */
    bool is_for_us;  /* dialled as a client */
    bool is_leaving; /* it said goodbye, but stays until leave_ms */
    uint64_t leave_ms;
    unsigned version;        /* of the protocol that both speak; once ready */
    bool is_willing;         /* a client that would serve */
    unsigned seats, clients; /* of an upstream, as it said last */
    uint8_t node[OVERLAY_NODE_ID_BYTES];
    char site[OVERLAY_NAME_MAX];
    unsigned roles_granted;
    uint8_t serial[CERTIFICATE_SERIAL_BYTES]; /* of its certificate; known once it is up */
    struct revocation_peer revocation;
    char address[ADDRESS_TEXT_MAX]; /* where it listens; of a client: as we see it */
    struct sockaddr_storage seen;   /* where the link comes from or goes to; family 0: not known */
    uint64_t dial_back_ms;          /* when it was last tried */
    uint64_t since_ms, heard_ms, said_ms;
    uint64_t news_ms; /* when an upstream was asked, or a client told, which supernodes there are */
    uint64_t ping_ms; /* when the unanswered Ping was sent; 0: none */
    uint64_t pong_until_ms;
    uint64_t ping_number;
    uint32_t round_trip_us;
    struct core_timer timer; /* greeting, keepalive, silence */
    struct bucket frames, records, tellings, heard, compared, lookups, corrections; /* rates */
    unsigned queries;              /* of it, that are open */
    uint64_t used_ms;              /* when something was last sent on it by fellow_send */
    struct member *member;         /* that is being dialled */
    struct waiting_frames waiting; /* until it is ready */
    size_t waiting_bytes;
    struct relay_list *told; /* of relays, by it (relays.c); NULL: nothing */
    uint64_t told_digest;    /* of what we told it of relays last */
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

/* Makes a supernode its own client; and ends that. */
void local_open(struct core *core);
void local_close(struct core *core);
void local_deliver(struct core *core);
void local_drop(struct core *core);
/* One frame to the handler that the peer's role names. */
void core_dispatch(struct core *core, struct peer *peer, const uint8_t *frame, size_t bytes);

/* ---- supernodes known (hosts.c) ---------------------------------------------------------------
 */

#define HOSTS_MAX 200

struct host {
    bool has_node;
    uint8_t node[OVERLAY_NODE_ID_BYTES];
    bool is_given; /* by settings or enrolment: never forgotten */
    bool is_self;
    bool was_good; /* it has taken us */
    unsigned failures;
    uint64_t next_ms;        /* not dialled before */
    unsigned seats, clients; /* as told; 0 seats: not known */
    unsigned version;
    uint64_t told_ms;
    char site[OVERLAY_NAME_MAX];
    struct peer *peer;
    char address[]; /* fits into ADDRESS_TEXT_MAX */
};
/* Finds or adds; NULL when the address cannot be used or all places are taken. */
struct host *host_learn(struct core *core, const struct home *home, bool is_given);
void host_learn_all(struct core *core, Sallyport__Supernode *const *wire, size_t count);
struct host *host_find_node(struct core *core, const uint8_t node[OVERLAY_NODE_ID_BYTES]);
void hosts_close(struct core *core);
/* May it be dialled, its back-off apart? */
bool host_is_wanted(const struct core *core, const struct host *host);
/* Uniform in 50-100 % of min(300 s, 1 s * 2^n); of one that took us before, of at most 16 s. */
void host_failed(struct core *core, struct host *host);
/* The link to this address that is being made; NULL: none. */
struct peer *host_dialling(struct core *core, const char *address);
/* Dials one by lot of those that we hold no link to, whatever its back-off. */
void host_try_one(struct core *core);
/* Fills a list of the supernodes worth telling others, at most 20; returns the count. */
#define HOST_LIST_MAX 20
struct host_list {
    struct home home[HOST_LIST_MAX];
    Sallyport__Supernode supernode[HOST_LIST_MAX];
    Sallyport__Supernode *list[HOST_LIST_MAX];
    size_t count;
};
void host_list_fill(struct core *core, struct host_list *list, const struct peer *except);

/* ---- node side (attach.c, upstream.c, publish.c, lookup.c) -------------------------------------
 */

#define HOMES_WANTED 2  /* home and standby */
#define UPSTREAMS_MAX 4 /* two that stay, and those that are being left */

void attach_open(struct core *core);
/* Looks soon whether links are missing. */
void attach_wake(struct core *core);
void attach_wake_at(struct core *core, uint64_t at_ms);
/* Nothing is wrong with it: no back-off. */
void attach_close_surplus(struct peer *peer, const char *why);
/* Dials for whoever needs it; the peer, or NULL when it must not be dialled now. */
struct peer *attach_dial(struct core *core, struct host *host);
struct peer *attach_dial_address(struct core *core, const char *address);
/* A link that we dialled is up: greets. */
void attach_connected(struct core *core, struct peer *peer);
/* A new home or standby. */
void attach_add(struct core *core, struct peer *peer);
/* A link to a supernode ended: log and back-off. */
void attach_lost(struct core *core, struct peer *peer, const char *why);
/* The upstream to use for the given attempt (0, 1, …): home first, one that owes a Pong only when
 * the other does too; NULL: not attached. */
struct peer *attach_upstream(const struct core *core, int attempt);
/* How many are not being left; is this node one of them? */
int attach_staying(const struct core *core);
bool attach_has(const struct core *core, const uint8_t node[OVERLAY_NODE_ID_BYTES]);
/* This one is to be left when others are there, or after so long. */
void attach_leave(struct core *core, struct peer *upstream, uint64_t grace_ms);
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
/* Does the record tell its owner anything that it does not know? */
typedef bool (*lookup_is_news)(const struct lookup *lookup, const struct record *record);
struct lookup {
    struct core *core; /* NULL: not running */
    lookup_done done;
    lookup_is_news is_news; /* NULL: each does; others are passed over, and no answer */
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
    struct record_list found; /* true, so far */
    core_link by;             /* the supernode that told us the last of them */
    uint64_t end_ms;
    struct core_timer timer;
    UT_hash_handle hh;
};
/* Asks our supernodes; `name` is folded. Fresh: all of them and their holders, not what they
 * remember, and the newest records count. */
void lookup_start(struct core *core, struct lookup *lookup, const char *name, bool is_fresh);
void lookup_stop(struct lookup *lookup);
void lookup_on_upstreams_changed(struct core *core);
void lookup_on_found(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope);

/* ---- supernode side (serve.c, fellow.c, registry.c …) -------------------------- */

/* By its node; NULL: it is not attached to us, or we have no link to it. */
struct peer *client_find(const struct core *core, const uint8_t node[OVERLAY_NODE_ID_BYTES]);
struct peer *fellow_find(const struct core *core, const uint8_t node[OVERLAY_NODE_ID_BYTES]);

/* A link came in: its Hello is awaited, unless we are no supernode. */
void serve_accepted(struct core *core, struct peer *peer);
void serve_open(struct core *core);
void serve_welcome(struct core *core, struct peer *peer);
/* There is one more supernode: the clients hear of it, some at a time, by a Welcome. */
void serve_news(struct core *core);
/* Says goodbye with alternatives; the link stays to be closed. */
void serve_goodbye(struct peer *peer, const char *reason);
/* Says so to it and to the log, closes the link. */
void serve_refuse(struct peer *peer, const char *reason);
/* A client is to attach elsewhere, in its own time. */
void serve_move(struct peer *client, unsigned grace_ms, const char *reason);
/* Another supernode greeted us (true: kept), or welcomed us. */
void fellow_accept(struct core *core, struct peer *peer, const Sallyport__Hello *hello);
void fellow_welcomed(struct core *core, struct peer *peer, const Sallyport__Welcome *welcome);
/* To another supernode, by its link or by one that is made now. 0, or -ENOTCONN, -ENOBUFS: it will
 * not arrive. */
int fellow_send(struct core *core, struct member *member, Sallyport__Envelope *envelope);
void fellow_close_idle(struct peer *fellow);
/* pulse.c: dials a member unless that failed just now; the peer, or NULL. */
struct peer *pulse_dial(struct core *core, struct member *member);

void gossip_on_members(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope);

void registry_on_publish(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope);
void registry_on_published(struct core *core, struct peer *peer,
                           const Sallyport__Envelope *envelope);
void registry_on_fellow_ready(struct core *core, struct peer *fellow);
/* Drops what others hold now, of the next names. */
void registry_sweep(struct core *core);
void query_on_lookup(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope);
void query_on_found(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope);
/* Whoever asks it for something waits in vain. */
void query_on_node_gone(struct core *core, const uint8_t node[OVERLAY_NODE_ID_BYTES]);
void query_close(struct core *core);

void forward_on_route_of_client(struct core *core, struct peer *peer,
                                const Sallyport__Envelope *envelope);
void forward_on_route_of_fellow(struct core *core, struct peer *peer,
                                const Sallyport__Envelope *envelope);
void forward_on_route_failed(struct core *core, struct peer *peer,
                             const Sallyport__Envelope *envelope);
/* The link that was being made, or another one to the same supernode, is ready. */
void forward_on_fellow_ready(struct core *core, core_link dialled, struct peer *peer);
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
    unsigned version; /* of the protocol, that we speak */
    unsigned roles;
    bool is_supernode; /* now */
    bool is_invited;   /* serves only while the realm needs it */
    bool is_retiring;  /* moves its clients away, then serves no more */
    bool is_leaving;
    char address[ADDRESS_TEXT_MAX]; /* "": we do not listen */
    unsigned seats, client_count;
    uint64_t malformed, shed;
    unsigned late_ms; /* of the loop, lately */
    struct log_limit complaints[COMPLAINTS];

    struct core_timers timers;
    uint64_t wake_ms; /* what io.wake was asked for last */

    struct peer *peers, *clients, *fellows;
    core_link next_link;
    struct waiting_frames local;

    struct host **hosts;                  /* each allocated apart: peers point to them */
    int host_count;                       /* at most HOSTS_MAX */
    struct peer *upstream[UPSTREAMS_MAX]; /* home first, those that are being left last */
    int upstream_count;
    int dialling;       /* links that are being made */
    uint64_t better_ms; /* when a nearer one is looked for again */
    uint64_t born_ms;
    struct seats seats_state;
    bool is_told_attached;
    uint64_t alone_ms, alone_pause_ms; /* when a lonely node asks for a standby again */
    struct core_timer attach_timer;
    char last_error[128];

    struct core_timer publish_timer;
    unsigned priority, weight; /* of our records */
    uint64_t sequence;
    struct bucket corrections; /* of it, by our supernodes */
    uint32_t next_request, dial_back_request;
    struct lookup *lookups;

    struct directory *directory;
    struct core_timer expire_timer;
    uint64_t expired_ms;
    struct members *members;            /* NULL: we do not serve */
    struct core_timer spread_timer;     /* of records */
    uint64_t spread_by_ms;              /* at the latest; 0: nothing has changed */
    bool spread_is_due;                 /* again, soon after it ends */
    struct core_timer news_timer;       /* of serve_news */
    uint64_t news_ms;                   /* when there was some */
    struct core_timer revocation_timer; /* of the revocation list */
    struct query *queries;
    unsigned query_count;
    struct found_cache found_cache;
    struct forward *forward;
    struct relays relays;

    struct call_table *calls;
    struct event_queue *events;
};

#endif
