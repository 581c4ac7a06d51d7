/* overlay/relays.h: which relays there are: told, gathered, measured, chosen. Private to the core.
 *
 * A relay tells its supernodes that it relays (Hello) and how busy it is (Relays of one entry). A
 * supernode tells its fellows of itself and of its own clients, and its clients of all of them: at
 * attach, and when something has changed, but not more often than its number of clients bears. What
 * each link said last is kept with the link and goes with it, so nothing here grows old.
 *
 * The node side chooses by the round trip that was measured, with the load as a penalty. What is
 * told is not proved: the certificate of whoever answers there has to grant the role, and a ticket
 * names one relay by its node id.
 */
#ifndef OVERLAY_RELAYS_H
#define OVERLAY_RELAYS_H

#include "overlay/core.h"
#include "overlay/core_timer.h"
#include "overlay/overlay.pb-c.h"

#define RELAYS_TOLD_MAX 20
#define RELAYS_KNOWN_MAX 256 /* of which a supernode chooses what to tell */
#define RELAYS_MEASURED_MAX 64

struct peer;

struct relay_entry {
    uint8_t node[OVERLAY_NODE_ID_BYTES];
    char address[ADDRESS_TEXT_MAX];
    unsigned load; /* per cent of what it may carry */
};
struct relay_list {
    int count;
    struct relay_entry entry[RELAYS_TOLD_MAX]; /* of a peer: only `count` are allocated */
};

struct relay_measured {
    char address[ADDRESS_TEXT_MAX]; /* "": free */
    uint32_t round_trip_us;
    uint64_t at_ms;
};

/* Part of struct core. */
struct relays {
    bool is_offered;          /* we relay, and others may know */
    unsigned load, told_load; /* ours; as told last */
    struct core_timer timer;  /* the next telling */
    uint64_t told_ms;         /* the last one */

    /* supernode side */
    struct relay_entry *known;  /* RELAYS_KNOWN_MAX; NULL: we are none */
    int own_count, known_count; /* ourselves and our clients first, then what fellows say */

    struct relay_measured *measured; /* RELAYS_MEASURED_MAX; NULL: nothing is measured yet */
};

void relays_open(struct core *core);
/* We begin to serve as a supernode. */
void relays_serving(struct core *core);
void relays_close(struct core *core);
/* A client may say in its Hello that it relays. */
void relays_on_hello(struct core *core, struct peer *peer, const Sallyport__Hello *hello);
/* Hello and Welcome are through: it hears what we have to say. */
void relays_on_ready(struct core *core, struct peer *peer);
/* A link that told us of relays is gone. */
void relays_on_gone(struct core *core, struct peer *peer);
void relays_on_relays(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope);

#endif
