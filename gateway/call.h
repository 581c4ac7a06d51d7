/* gateway/call.h: the call: two legs, one bridge, one state machine.
 *
 * A comes to us, B is what we reach for it. The call is created by call_from_phone, call_from_peer
 * (gateway.c hands those events over) or call_from_here (native client), finds B by the routes,
 * passes on what happens on one leg to the other, and joins the legs' media on a worker.
 *
 * Thread: control. A call frees itself when its legs have ended and its media has stopped.
 */
#ifndef GATEWAY_CALL_H
#define GATEWAY_CALL_H

#include "gateway/journal.h"
#include "gateway/leg.h"

#include <sys/queue.h>

struct gateway;

enum call_state {
    CALL_STATE_NEW,
    CALL_STATE_CALLING,
    CALL_STATE_RINGING,
    CALL_STATE_UP,
    CALL_STATE_ENDING
};

struct call {
    TAILQ_ENTRY(call) link;
    struct gateway *gateway;
    char id[CALL_ID_LEN + 1];
    enum call_state state;
    struct leg legs[2]; /* by enum media_side */
    struct media_bridge *bridge;
    uv_timer_t timer; /* nobody answers; later: the far end has left */
    int detaching;    /* legs whose media has not stopped yet */
    struct call_cause cause;
    struct media_stats stats[2];
    uint64_t created_ms, ringing_ms, answered_ms, ended_ms; /* loop time; 0: not yet */
    int64_t created_s;                                      /* wall clock */
    struct journal journal;

    /* for the diagnosis */
    int ended_by;                     /* leg; -1: neither */
    bool has_arrived;                 /* the far node had the offer */
    bool is_path_lost;                /* nothing comes by it at all */
    bool is_far_told, has_far_udp;    /* where it can be reached; a UDP address was among it */
    unsigned moves;                   /* of the path */
    char last_move[JOURNAL_TEXT_MAX]; /* in words */
    int noted_codecs;
    bool has_noted_way;
};

/* ---- making calls -----------------------------------------------------------------------------
 */

void call_from_phone(struct gateway *gateway, struct sip_call *sip,
                     const struct sip_invite *invite);
void call_from_peer(struct gateway *gateway, struct overlay_call *peer,
                    const struct overlay_offer *offer);
/* The native client: A is a WAV file leg, B the node at `to`. NULL when it cannot even start. */
struct call *call_from_here(struct gateway *gateway, const char *to);

void call_end(struct call *call, const struct call_cause *cause);
const char *call_state_name(enum call_state state);
void call_make_id(char id[CALL_ID_LEN + 1]);

/* ---- what legs report --------------------------------------------------------------------------
 */

void call_leg_ringing(struct leg *leg);
/* leg->media and leg->direction say what was agreed. */
void call_leg_media(struct leg *leg);
/* Early media came with it (outgoing legs, before the answer). */
void call_leg_answered(struct leg *leg);
void call_leg_digit(struct leg *leg, char digit, int duration_ms);
void call_leg_path(struct leg *leg, const char *path);
void call_leg_ended(struct leg *leg, const struct call_cause *cause);
void call_leg_detached(struct leg *leg);

#endif
