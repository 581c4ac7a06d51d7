/* sip/core.h: what the files of this folder share: `struct sip`, the events on their way to the
 * gateway, and timers. Private.
 *
 * Events never go to the gateway from inside one of its own calls, nor from inside sofia: they are
 * queued and delivered from a libuv callback (`wake`). So a timer that the gateway starts in an
 * event is on time although sofia computed its own sleep earlier; our timers use the same wake.
 */
#ifndef SIP_CORE_H
#define SIP_CORE_H

#include "sip/agent.h"
#include "sip/auth.h"
#include "sip/registrar.h"
#include "sip/sip.h"
#include "sip/store.h"

#include "conf/log.h"

#include <sys/queue.h>

enum event_kind {
    EVENT_INVITE,
    EVENT_RINGING,
    EVENT_MEDIA,
    EVENT_ANSWER,
    EVENT_DIGIT,
    EVENT_NOTE,
    EVENT_END,
    EVENT_REGISTRATION,
    EVENT_REFUSED
};

struct event {
    TAILQ_ENTRY(event) entry;
    enum event_kind kind;
    struct sip_call *call; /* NULL: EVENT_REGISTRATION, EVENT_REFUSED */
    union {
        struct sip_audio audio;
        struct call_cause cause;
        struct {
            char digit;
            int duration_ms;
        } key;
        struct {
            char *phone;
            int contacts;
        } registration;
        struct {
            char event[16], text[160];
        } note;
        struct {
            char user[64], dialled[64];
            struct sip_refused what; /* its strings are the two above */
        } refused;
    } u;
};
TAILQ_HEAD(event_list, event);

LIST_HEAD(call_list, sip_call);

struct stream;

struct sip {
    uv_loop_t *loop;
    struct su_root_t *root;
    const struct conf *conf;
    const struct sip_events *events;
    void *ctx;

    struct agent agent;
    struct auth auth;
    struct registrar *registrar;
    struct store *store;   /* NULL: bindings are not kept */
    struct stream *stream; /* NULL: no TCP */
    struct call_list calls;

    uv_async_t wake;
    struct event_list queue;
    uv_timer_t sweep; /* expires bindings */

    struct sip_counters counters;
    struct log_limit malformed_limit, auth_limit;

    unsigned parse_errors; /* of nta, as far as they are counted */

    bool closing, parts_closed;
    int handles; /* libuv handles that are still open while closing */
    void (*on_closed)(void *ctx);
    void *on_closed_ctx;
};

/* Queue an event. The call's events go away with the call. */
/* Goes on with closing when the last call or handle is gone. */
void sip_closing_step(struct sip *sip);

struct event *event_post(struct sip *sip, enum event_kind kind, struct sip_call *call);
/* The last binding of a phone went without its doing. */
void event_post_gone(struct sip *sip, const char *phone, const char *why);
/* For the journal of the call; nothing when the gateway has no part in it. */
void sip_event_note(struct sip_call *call, const char *word, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void event_clear(struct sip *sip);
void event_drop_call(struct sip *sip, const struct sip_call *call);
/* Delivers what is queued; the callback of `wake`. */
void sip_event_deliver(struct sip *sip);

/* A one-shot timer that may be started from inside sofia. */
void sip_timer_start(struct sip *sip, uv_timer_t *timer, uv_timer_cb cb, uint64_t ms);
uint64_t sip_now_ms(void);

#endif
