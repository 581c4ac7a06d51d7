/* gateway/history.h: what is kept of calls that are over, and of INVITEs that were refused.
 *
 * The last 100 calls with their journals, and the last 20 refusals: those have a ring of their own,
 * so that a scanner cannot push the calls out. Together about 250 kB, and 4-5 kB of journal for a
 * usual call: under 1 MB; at the very most (each journal full, journal.h) 6 MB. A call in progress
 * has its journal too.
 *
 * Thread: control.
 */
#ifndef GATEWAY_HISTORY_H
#define GATEWAY_HISTORY_H

#include "gateway/diagnosis.h"
#include "gateway/journal.h"
#include "gateway/leg.h"

#define HISTORY_CALLS 100
#define HISTORY_REFUSED 20

struct call;

/* What is kept of a call that has ended. */
struct call_summary {
    char id[CALL_ID_LEN + 1];
    char from[LEG_NAME_MAX], to[LEG_NAME_MAX];
    char codecs[2][16];
    char path[ADDRESS_TEXT_MAX + 16];
    struct call_cause cause;
    int64_t created_s;
    uint64_t created_ms;
    uint64_t setup_ms, ring_ms, talk_ms; /* to ringing, to answer, of talking; 0: never */
    uint64_t first_voice_ms[2];          /* from the answer; by leg */
    struct media_stats stats[2];
    struct journal journal;
    char diagnosis[DIAGNOSIS_MAX];
    /* an INVITE that was refused */
    uint64_t latest_ms; /* the last time */
    unsigned times;     /* in a row, from the same address; 0: this was a call */
    enum sip_refusal refusal;
    struct sockaddr_storage source;
};

/* The last time that a phone wanted to register and had a wrong password. */
struct history_registration {
    char phone[64]; /* "": free */
    struct sockaddr_storage source;
    uint64_t at_ms;
};

struct history {
    struct call_summary calls[HISTORY_CALLS]; /* a ring; newest at ended - 1 */
    uint64_t ended;
    struct call_summary refused[HISTORY_REFUSED]; /* likewise */
    uint64_t refusals;
    struct history_registration registrations[HISTORY_REFUSED];
    uint64_t second;    /* of the last refusal … */
    unsigned in_second; /* … and how many new ones in it */
};

/* Takes what the call leaves, also its journal. The summary is good until HISTORY_CALLS later. */
const struct call_summary *history_add(struct history *history, struct call *call,
                                       const char *diagnosis);
/* An INVITE was refused at `now_ms`: the same again is counted, of others at most 5 a second are
 * kept. */
void history_add_refused(struct history *history, const struct sip_refused *refused,
                         uint64_t now_ms);
/* The same for a registration; and the phone has registered after all. */
void history_add_registration(struct history *history, const struct sip_refused *refused,
                              uint64_t now_ms);
void history_drop_registration(struct history *history, const char *phone);
/* NULL: none of this phone was refused. */
struct history_registration *history_find_registration(struct history *history, const char *phone);
void history_fini(struct history *history);

/* Those whose id begins so are given to `each`, newest calls first. */
void history_each(const struct history *history, const char *beginning,
                  void (*each)(void *ctx, const struct call_summary *summary), void *ctx);

#endif
