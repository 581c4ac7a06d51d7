/* overlay/call.h: calls end to end.
 *
 * A call is known to both ends by the caller's node and 8 bytes. What it says to the far end is
 * numbered, acknowledged and repeated (call_message.c), sealed and signed (call_seal.c) and sent by
 * a home.
 *
 *   call.c          the state machine, ends
 *   call_gateway.c  the gateway's functions
 *   call_table.c    which calls there are; limits; replayed offers
 *   call_offer.c    outgoing: look-up, choice of a record, offer, the next record
 *   call_accept.c   incoming: the offer and what is refused
 *   call_reply.c    replies, updates, digits: what each body means
 *   call_message.c  numbers, acknowledgements, repetition, order
 *   call_moved.c    where the far end is attached now
 *   call_note.c     what the journal is told
 *   call_seal.c     sealing, signing, opening
 *
 * A `struct overlay_call` lives as long as the gateway holds it or the far end may still be told
 * something.
 */
#ifndef OVERLAY_CALL_H
#define OVERLAY_CALL_H

#include "overlay/core_internal.h"
#include "overlay/event.h"

#define CALL_ID_BYTES 8

enum call_state {
    STATE_LOOKING,  /* outgoing: the directory is asked */
    STATE_OFFERING, /* outgoing: no sign from the callee's node yet */
    STATE_WAITING,  /* outgoing: its node has the offer */
    STATE_OFFERED,  /* incoming: ours has it */
    STATE_UP,       /* answered */
    STATE_CLOSING,  /* over; the far end may still need to hear it */
    CALL_STATES
};

struct call_name {
    uint8_t caller[OVERLAY_NODE_ID_BYTES];
    uint8_t call[CALL_ID_BYTES];
};

/* A numbered message that waits for its Ack. */
struct call_out {
    TAILQ_ENTRY(call_out) next;
    uint32_t number;
    int kind; /* Sallyport__CallMessage__BodyCase */
    int attempt;
    int way; /* the next one to be taken (call_seal.c) */
    uint64_t first_ms, next_ms;
    size_t bytes;
    uint8_t data[];
};

/* A message that came before its turn. */
#define CALL_EARLY_MAX 8

/* Where a Route of ours went, in case that it fails (call_message.c). */
struct call_route {
    LIST_ENTRY(call_route) of_call;
    TAILQ_ENTRY(call_route) next;
    UT_hash_handle hh;
    uint8_t id[ROUTE_ID_BYTES];
    struct overlay_call *call;
    uint32_t number;
    core_link upstream;
    uint64_t end_ms;
};

/* An outgoing call's errand until somebody has the offer. */
struct call_errand {
    char user[OVERLAY_NAME_MAX]; /* as dialled at the far site, or the number */
    char name[OVERLAY_NAME_MAX]; /* asked of the directory */
    char caller[OVERLAY_NAME_MAX], caller_name[2 * OVERLAY_NAME_MAX];
    struct lookup lookup;
    struct record_list records; /* in the order in which they are tried */
    int next_record;
    bool was_fresh; /* the directory was asked anew */
    uint64_t start_ms, offered_ms;
    core_link failed[UPSTREAMS_MAX]; /* by which the offer could not be delivered */
    int failed_count;
};

struct overlay_call {
    struct core *core;
    struct call_name name;
    char id[CALL_ID_LEN + 1];
    bool is_outgoing;
    enum call_state state;

    /* the gateway */
    bool is_held;  /* it has the pointer, or on_offer or on_end is still to come */
    bool is_shown; /* incoming: on_offer was delivered */
    const struct overlay_call_events *events; /* NULL: not accepted yet */
    void *events_ctx;
    struct event_list waiting_events;

    /* the far end */
    struct certificate *far;
    struct homes homes;
    uint64_t homes_sequence; /* of the record that says so; 0: its offer does */
    int64_t homes_s;         /* then: of this time, by its clock */
    struct lookup refresh;   /* when its homes are no longer right */
    uint64_t refresh_ms;     /* not before */

    /* keys */
    uint8_t our_public[32], our_secret[32], far_public[32];
    bool has_far_key, has_keys;
    struct identity_call_keys keys;

    /* media */
    struct codec_list codecs; /* of the offer */
    enum media_direction direction;
    void *path;
    bool has_path;
    uint32_t ssrc_in, ssrc_out;
    struct core_path *our_path; /* incoming: to be told in the first reply */
    bool is_key_told, is_rung;

    /* signalling */
    uint32_t last_number; /* sent */
    uint32_t far_number;  /* all up to this one were processed */
    uint32_t acked;       /* what our last Ack said */
    core_link heard_by;   /* the upstream that brought its last message, or its record */
    TAILQ_HEAD(, call_out) out;
    int out_count;
    Sallyport__CallMessage *early[CALL_EARLY_MAX];
    struct core_timer repeat_timer;
    struct core_timer state_timer; /* OFFERING: the offer's time; CLOSING: the end of it */
    bool is_ended_by_far;
    bool is_done; /* the far end knows that it is over, or need not */
    LIST_HEAD(, call_route) routes;

    struct call_errand *errand;
    struct caller *caller; /* incoming: whose limits it counts for */
    UT_hash_handle hh;     /* by name */
    UT_hash_handle hh_key; /* by the first bytes of our fresh key */
};

/* ---- call.c -----------------------------------------------------------------------------------
 */

void call_open(struct core *core);
void call_close(struct core *core);
void call_end_all(struct core *core);
void call_start_timers(struct overlay_call *call);
void call_set_state(struct overlay_call *call, enum call_state state, const char *why);
/* Over, by us: the far end (when it knows of the call) and the gateway (when it does not end it
 * itself) are told. */
void call_finish(struct overlay_call *call, const struct call_cause *cause);
/* The same, asked by the gateway: its pointer is dead, no event comes. */
void call_end_by_gateway(struct overlay_call *call, const struct call_cause *cause);
/* Over, told by the far end. */
void call_finished(struct overlay_call *call, const struct call_cause *cause);
/* The gateway's pointer is dead. */
void call_let_go(struct overlay_call *call);
/* The far end knows that it is over, or will never. */
void call_forget(struct overlay_call *call);
void call_on_upstreams_changed(struct core *core);
/* Ends those with nodes that are revoked now, or all, when we are. */
void call_end_revoked(struct core *core);

/* ---- call_table.c -----------------------------------------------------------------------------
 */

struct call_table {
    struct overlay_call *by_name, *by_key;
    struct caller *callers;
    struct recent *recents;
    struct call_route *routes;
    TAILQ_HEAD(, call_route) route_queue;
    TAILQ_HEAD(, recent) recent_queue;
};
/* With fresh keys, in the table; NULL: there are too many. */
struct overlay_call *call_add(struct core *core, const struct call_name *name,
                              enum call_state state);
void call_free(struct overlay_call *call);
struct overlay_call *call_find(struct core *core, const struct call_name *name);
struct overlay_call *call_find_key(struct core *core, const uint8_t hint[KEY_HINT_BYTES]);
void call_id_text(const uint8_t id[CALL_ID_BYTES], char text[CALL_ID_LEN + 1]);

/* Remembers an offer; false when it was remembered already. */
bool recent_add(struct core *core, const struct call_name *name);
bool recent_find(struct core *core, const struct call_name *name);
void recent_close(struct core *core);
/* May this node offer one more call? 0; -EDQUOT: too many at once; -EBUSY: too fast. */
int caller_admit(struct core *core, const uint8_t node[OVERLAY_NODE_ID_BYTES],
                 struct caller **caller);
void caller_take(struct caller *caller);
void caller_leave(struct caller *caller);
void caller_close(struct core *core);

/* ---- call_offer.c -----------------------------------------------------------------------------
 */

/* The callee's node has shown that it has the offer. */
void call_offer_arrived(struct overlay_call *call);
/* The offer could not be delivered by this upstream. */
void call_offer_failed(struct overlay_call *call, core_link upstream);
void call_offer_timeout(struct overlay_call *call);
/* Some certificates are revoked now: their records are left out. True: the call goes on with
 * another node than it was offered to, or none yet. */
bool call_offer_goes_on(struct overlay_call *call);
void call_errand_free(struct overlay_call *call);

/* ---- call_accept.c ----------------------------------------------------------------------------
 */

struct call_opened;
/* A call that we do not know, in a message sealed to our certificate. */
void call_on_stranger(struct core *core, const struct call_name *name,
                      const struct call_opened *opened, const struct certificate *signer);

/* ---- call_reply.c -----------------------------------------------------------------------------
 */

/* The next message in order. */
void call_on_body(struct overlay_call *call, const Sallyport__CallMessage *message);
struct call_cause call_cause_decode(const Sallyport__End *end);
void call_cause_encode(Sallyport__End *end, const struct call_cause *cause);
/* Codecs, best first, unknown ones left out. */
void call_codecs_decode(struct codec_list *codecs, const Sallyport__Media *media);
/* As seen from the other side. */
enum media_direction call_direction_flip(enum media_direction direction);
void call_path_decode(struct core_path *path, const Sallyport__Media *media);
/* `path` from here on belongs to `media` until call_media_fini. */
void call_media_init(Sallyport__Media *media, uint32_t ssrc, const struct core_path *path);
void call_media_fini(Sallyport__Media *media);

/* ---- call_message.c ---------------------------------------------------------------------------
 */

/* Numbers, sends and repeats; -ENOBUFS: too many are unacknowledged. */
int call_send(struct overlay_call *call, Sallyport__CallMessage *message);
/* Acknowledges all that was processed, or (an End) up to `number`. */
void call_send_ack(struct overlay_call *call, uint32_t number);
/* Forgets what is unacknowledged. */
void call_drop_out(struct overlay_call *call);
void call_drop_early(struct overlay_call *call);
/* All again at once: the way changed. */
void call_send_again(struct overlay_call *call);
/* Whoever may have the offer although nothing was heard is told, once, that this is over. */
void call_take_back(struct overlay_call *call);
/* It has been waited for long enough. */
void call_send_by_all_ways(struct overlay_call *call);
void call_message_init(struct overlay_call *call);
void call_route_forget(struct core *core, struct call_route *route);

/* role_upstream's handlers */
void call_on_route(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope);
void call_on_route_failed(struct core *core, struct peer *peer,
                          const Sallyport__Envelope *envelope);

/* ---- call_note.c ------------------------------------------------------------------------------
 */

void call_note_found(struct overlay_call *call, const struct record *record, int others);
void call_note_came(struct overlay_call *call);
/* `out` was sent by `upstream`, or `error`; not counted in its attempts yet. */
void call_note_sent(struct overlay_call *call, const struct call_out *out, int error,
                    core_link upstream);
void call_note_undelivered(struct overlay_call *call, const struct peer *peer, int why);
/* Its path was just taken: says so when that is warm. */
void call_note_warm(struct overlay_call *call);

/* ---- call_moved.c -----------------------------------------------------------------------------
 */

/* The far end is attached where this newer record says: what is unacknowledged goes there. */
void call_moved(struct overlay_call *call, const struct record *record, core_link told_by);
/* Asks the directory, soon after the last time not, and goes on from there. */
void call_refresh_homes(struct overlay_call *call);

/* ---- call_seal.c ------------------------------------------------------------------------------
 */

/* One message to a node. */
struct call_letter {
    const struct certificate *to;
    const uint8_t *key; /* its fresh key; NULL: to its certificate's, ours is put in */
    const struct homes *homes;
    const uint8_t *message;
    size_t bytes;
    int way;            /* the first, the second …: of four */
    core_link heard_by; /* an upstream that something of the far end came by; 0: none */
};
/* Signs, seals and sends; the Route's id and the upstream used are written when not NULL.
 * -ENOTCONN: not attached. */
int call_letter_send(struct core *core, const struct call_letter *letter,
                     uint8_t id[ROUTE_ID_BYTES], core_link *upstream);
/* What is said once, and again when asked again: to both homes of the far end at once, by what we
 * heard it by, which works. */
void call_letter_send_wide(struct core *core, const struct call_letter *letter);
/* Opens what came and checks its form; the caller frees both. */
struct call_opened {
    Sallyport__SignedCall *outer;
    Sallyport__CallMessage *message;
    struct overlay_call *call; /* of the fresh key; NULL: it was sealed to our certificate */
    core_link by;              /* the upstream that brought it */
};
int call_letter_open(struct core *core, const Sallyport__Route *route, struct call_opened *opened);
void call_opened_fini(struct call_opened *opened);
/* Did this certificate's owner sign it, for us? */
bool call_letter_is_from(struct core *core, const Sallyport__SignedCall *outer,
                         const struct certificate *signer);
void call_fresh_key(struct core *core, uint8_t public_key[32], uint8_t secret_key[32]);
/* Both keys are known: the SRTP keys. */
int call_agree(struct overlay_call *call);

#endif
