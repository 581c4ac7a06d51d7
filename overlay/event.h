/* overlay/event.h: what the gateway is still to be told.
 *
 * Events are queued wherever they arise and delivered by core_deliver only. Those of a call that
 * the gateway has not accepted yet wait in the call; those of a call that it ended are dropped.
 */
#ifndef OVERLAY_EVENT_H
#define OVERLAY_EVENT_H

#include "overlay/core.h"

#include <sys/queue.h>

enum event_kind {
    EVENT_OFFER,
    EVENT_RINGING,
    EVENT_MEDIA,
    EVENT_ANSWER,
    EVENT_DIGIT,
    EVENT_PATH,
    EVENT_NOTE,
    EVENT_END,
    EVENT_ATTACHED,
    EVENT_DETACHED
};

/* An offer with its strings. */
struct event_offer {
    struct overlay_offer offer;
    char caller[OVERLAY_NAME_MAX], caller_name[2 * OVERLAY_NAME_MAX], dialled[OVERLAY_NAME_MAX];
};

/* For the journal of a call. */
struct event_note {
    const char *part; /* constant */
    char event[16], text[200];
};

struct event {
    TAILQ_ENTRY(event) next;
    enum event_kind kind;
    struct overlay_call *call; /* NULL: of the node */
    union {
        struct event_offer *offer;
        struct overlay_media media;
        struct {
            char digit;
            int duration_ms;
        } digit;
        char text[160];
        struct event_note note;
        struct call_cause cause;
    };
};
TAILQ_HEAD(event_list, event);

void event_open(struct core *core);
void event_close(struct core *core);
void event_deliver(struct core *core);

/* `event` is copied; an offer goes over to the queue. */
void event_add(struct core *core, const struct event *event);
void event_attached(struct core *core, bool is_attached, const char *text);
/* Into the journal of the call, unless nobody keeps one. */
void event_note(struct overlay_call *call, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void event_note_path(struct overlay_call *call, const char *event, const char *text);
/* Forgets those of a call, queued or waiting in it. */
void event_forget(struct overlay_call *call);
/* Those that waited for the gateway's acceptance are delivered next. */
void event_release(struct overlay_call *call);

#endif
