/* overlay/seats.h: how many nodes the supernodes can hold, who becomes one and who ceases to be
 * one.
 *
 * Losing the 30 % of the supernodes that hold most must leave a seat for everyone, and a name has
 * three holders: when the realm is short of that, one supernode invites a client that is willing,
 * then the next one. A node that was invited retires when the realm has had plenty for a while: it
 * moves its clients away, attaches to others itself, and only then lets go.
 *
 * Private to the core.
 *
 *   seats.c   what the realm has and needs; inviting
 *   retire.c  beginning to serve, and ceasing to
 */
#ifndef OVERLAY_SEATS_H
#define OVERLAY_SEATS_H

#include "overlay/core.h"
#include "overlay/core_timer.h"
#include "overlay/overlay.pb-c.h"

struct peer;
struct member;

/* What the supernodes that live have together. */
struct realm_seats {
    unsigned supernodes, seats, clients;
    unsigned reserve; /* seats that are left when the 30 % with the most are lost */
    bool is_short;
};
/* Of supernodes with so many seats each (the order is changed) and so many clients in all. */
struct realm_seats seats_judge(unsigned *each, unsigned supernodes, unsigned clients);
/* `except` is counted as gone; NULL: nobody. */
struct realm_seats seats_of_realm(const struct core *core, const struct member *except);

/* Part of struct core. */
struct seats {
    struct core_timer timer; /* supernode: is the realm short, have we been needed? */
    unsigned willing;        /* clients that would serve */
    uint64_t invited_ms;     /* when we last invited somebody */
    uint64_t plenty_ms;      /* since when we are not needed; 0: we are */
    uint64_t retire_ms;      /* when we began to retire */
    struct core_timer step_timer;

    /* node side */
    bool may_serve;    /* by settings and certificate */
    bool is_reachable; /* others can connect to us */
    struct core_timer willing_timer;
    unsigned invited_seats;
    uint64_t plenty_for_ms;
};

void seats_open(struct core *core, const struct core_settings *settings);
/* From now on the realm's need is looked at. */
void seats_watch(struct core *core);
/* A seat for this node? One with calls may have one of the last. */
bool seats_are_free(const struct core *core, unsigned calls);
/* A client would serve, or not any more. */
void seats_set_willing(struct core *core, struct peer *client, bool is_willing);
/* Why we do not serve, or why we do, in words. */
const char *seats_serving_text(const struct core *core);
/* A new home or standby: it is told whether we would serve. */
void seats_on_attached(struct core *core, struct peer *upstream);
void seats_on_willing(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope);
void seats_on_invite(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope);

/* retire.c */
void serving_open(struct core *core); /* with all that belongs to it */
void serving_begin(struct core *core);
void serving_retire(struct core *core, const char *why);

#endif
