/* overlay/members.h: the supernodes of the realm, as one of them knows them.
 *
 * A supernode keeps a table of statements (member.h), its own among them. Those that live stand in
 * a ring, sorted by node id: who watches whom, who gossips to whom and who holds which names
 * follows from it alone, so supernodes that know of the same members agree.
 *
 *   members.c  the table, the ring, the ranking
 *   gossip.c   what is told and heard of members; our own statement
 *   pulse.c    those next in the ring watched; links that should be there, made
 *
 * Private to the core. NULL in a core that does not serve.
 */
#ifndef OVERLAY_MEMBERS_H
#define OVERLAY_MEMBERS_H

#include "overlay/bucket.h"
#include "overlay/core.h"
#include "overlay/core_timer.h"
#include "overlay/member.h"

#include <uthash.h>

#define MEMBERS_MAX 2000
#define MEMBERS_MESH 48 /* while there are no more, all keep links to all */
#define RING_NEXT 3     /* successors that are watched */
#define RING_LINKS_MAX 16
#define HOLDERS 3 /* of each name */

struct peer;

struct member {
    uint8_t node[OVERLAY_NODE_ID_BYTES];
    uint8_t public_key[32];
    uint8_t serial[CERTIFICATE_SERIAL_BYTES]; /* of its certificate */
    char site[OVERLAY_NAME_MAX];
    char address[ADDRESS_TEXT_MAX];
    uint64_t hash; /* for ranking */
    uint64_t sequence, instance;
    unsigned version, seats, clients, willing, records;
    bool is_self, is_invited, is_leaving;
    uint64_t heard_ms, until_ms; /* when its statement came, and when that is over */

    bool is_down;
    struct accusation down; /* the one that is believed, while it is down */
    uint64_t down_ms;
    struct bucket said;         /* statements of it */
    struct bucket wrong;        /* accusations by it of others that live */
    uint64_t accuse_ms;         /* by us, not before */
    unsigned wrongly;           /* how often we accused it in vain in a row */
    bool is_news, is_down_news; /* to be told */

    struct peer *dialling; /* a link to it is being made; NULL: no, or it is there */
    unsigned failures;     /* of dials in a row, and of links that did not last */
    unsigned losses;       /* how often what was sent may not have arrived */
    uint64_t next_ms;      /* not dialled before */
    uint64_t unlinked_ms;  /* without a link since then */

    size_t bytes; /* the statement as it came */
    uint8_t *data;
    uint8_t signature[IDENTITY_SIGNATURE_BYTES];
    UT_hash_handle hh;           /* by node */
    UT_hash_handle hh_signature; /* by the signature of its statement */
};

struct members {
    struct member *table, *by_signature;
    struct member **live; /* the ring; ours included */
    int live_count, room;
    struct member *self;
    uint64_t instance;

    /* gossip.c */
    struct core_timer flush_timer, say_timer, compare_timer;
    uint64_t said_ms;
    /* pulse.c */
    struct core_timer pulse_timer;
    uint64_t idle_ms, heal_ms; /* when these were seen to last */
};

void members_open(struct core *core);
void members_close(struct core *core);
struct member *members_find(const struct core *core, const uint8_t node[OVERLAY_NODE_ID_BYTES]);
/* One that lives and listens there; NULL: none. */
struct member *members_find_address(const struct core *core, const char *address);
/* A statement that came: 1: it tells something new, 0: it does not; or it is refused, -EACCES,
 * -EINVAL, -ENOSPC, -EBUSY (its node says too much) with why. */
int members_take(struct core *core, const Sallyport__SignedMember *wire, char *why,
                 size_t why_bytes);
/* An accusation that came: 1: it is believed, 0: it is old, ours, or not believed; -EACCES: wrong
 * signature, or out of range. */
int members_accuse(struct core *core, const struct accusation *accusation);
/* Forgets those whose certificates are revoked. */
void members_revoke(struct core *core);
/* Forgets those whose statements are over. */
void members_expire(struct core *core);
/* The one so many places after us in the ring; NULL: there are not so many. */
struct member *members_next(const struct core *core, int distance);
/* Those that we keep links to in any case: the three next, and at growing distances. Returns how
 * many. */
int members_ring(const struct core *core, struct member *out[RING_LINKS_MAX]);

/* ---- who holds what ---------------------------------------------------------------------------
 */

uint64_t members_hash(const void *data, size_t bytes);
/* The holders of a key: the live ones that rank highest for it, best first; returns how many. */
int members_rank(const struct core *core, uint64_t key, struct member *out[HOLDERS]);
/* Keys that hold records answering `name` (folded): of a site one; of a number those of its
 * beginnings, shortest first. Returns how many. */
#define KEYS_MAX 4
int members_keys(const char *name, uint64_t keys[KEYS_MAX]);
/* The one that a record of `name` is kept by. */
uint64_t members_key(const char *name);

/* ---- gossip.c ---------------------------------------------------------------------------------
 */

/* Something about us has changed: said soon; `is_urgent`: at once. */
void gossip_say(struct core *core, bool is_urgent);
/* Our own statement, for Hello and Welcome; good until the next one. NULL: we do not serve. */
Sallyport__SignedMember *gossip_own(struct core *core, Sallyport__SignedMember *wire);
/* What came in a Hello or Welcome; NULL is ignored. */
void gossip_hear(struct core *core, struct peer *peer, const Sallyport__SignedMember *wire);
/* A link between supernodes is ready: both tell what they know. */
void gossip_compare(struct core *core, struct peer *fellow);
/* `member` does not answer us: says so to all. */
void gossip_accuse(struct core *core, struct member *member);
/* We are about to end: told to all that we hold a link to. */
void gossip_farewell(struct core *core);
void gossip_flush_soon(struct core *core);

/* ---- pulse.c ----------------------------------------------------------------------------------
 */

void pulse_open(struct core *core);
/* The members that live, or the links, have changed: looks at once whether links are missing. */
void pulse_soon(struct core *core);
/* A dial to a member failed; the other end of the link is known, wanted or not; a link is gone. */
void pulse_dial_failed(struct core *core, struct peer *peer);
void pulse_linked(struct core *core, struct peer *peer);
void pulse_unlinked(struct core *core, const struct peer *peer);

#endif
