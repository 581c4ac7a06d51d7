/* gateway/diagnosis.h: the one sentence that helps most, about a call that is over or going on.
 *
 * Pure: what is known of the call goes in, a sentence for an operator comes out: what was wrong, at
 * which end, and what to do about it; of a good call, how it travelled. The rules stand in
 * diagnosis.c in the order in which they are tried.
 */
#ifndef GATEWAY_DIAGNOSIS_H
#define GATEWAY_DIAGNOSIS_H

#include "media/media.h"

#define DIAGNOSIS_MAX 320

enum diagnosis_kind {
    DIAGNOSIS_NONE, /* no such leg: nobody was found to call */
    DIAGNOSIS_PHONE,
    DIAGNOSIS_NODE,
    DIAGNOSIS_OWN /* echo, WAV files */
};

struct diagnosis_leg {
    enum diagnosis_kind kind;
    const char *name;
    bool is_expected;                /* sound should come from it */
    struct sockaddr_storage named;   /* phone: where its SDP says it is; family 0: nowhere */
    const struct media_stats *stats; /* so far */
    uint64_t first_voice_ms;         /* any clock; 0: none */
};

enum diagnosis_refusal {
    DIAGNOSIS_NOT_REFUSED,
    DIAGNOSIS_NO_SUCH_USER,
    DIAGNOSIS_WRONG_PASSWORD,
    DIAGNOSIS_UNKNOWN_CODECS,
    DIAGNOSIS_BAD_REQUEST
};

/* Strings are never NULL. */
struct diagnosis_facts {
    enum diagnosis_refusal refusal; /* of its INVITE; then only legs[0].name counts */
    bool is_live, is_ringing, was_answered;
    uint64_t talk_ms;
    struct call_cause cause;      /* why it ended */
    int ended_by;                 /* leg; -1: neither */
    struct diagnosis_leg legs[2]; /* A called B */
    bool has_arrived;             /* the far node had the offer */
    const char *path;             /* in words, as overlay_call_events.on_path; "": none */
    unsigned moves;               /* of the path in this call */
    const char *last_move;        /* in words: "moved from … to …: why" */
    bool is_path_lost;            /* nothing comes by it at all */
    const char *reach; /* why we are not reached directly, in words; "": unknown, or we are */
    const char *no_supernode; /* why none is attached; "": one is */
    const char *refused_from; /* where B tried to register with a wrong password; "": it did not */
};

/* Writes one sentence, or two short ones, without a newline. */
void diagnosis_write(const struct diagnosis_facts *facts, char text[DIAGNOSIS_MAX]);

#endif
