/* Events on their way to the gateway: see core.h for why they are queued. */
#include "sip/call.h"
#include "sip/core.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct event *event_post(struct sip *sip, enum event_kind kind, struct sip_call *call)
{
    struct event *event = calloc(1, sizeof *event);

    if (!event)
        abort(); /* a lost event would leave a call hanging for ever */
    event->kind = kind;
    event->call = call;
    TAILQ_INSERT_TAIL(&sip->queue, event, entry);
    uv_async_send(&sip->wake);
    return event;
}

void event_post_gone(struct sip *sip, const char *phone, const char *why)
{
    struct event *event = event_post(sip, EVENT_REGISTRATION, NULL);

    log_info(LOG_SIP, NULL, "%s is no longer registered: %s", phone, why);
    event->u.registration.phone = strdup(phone);
    event->u.registration.contacts = 0;
}

void sip_event_note(struct sip_call *call, const char *word, const char *format, ...)
{
    struct event *event;
    va_list args;

    if (!call->events || !call->events->on_note || call->ended)
        return;
    event = event_post(call->sip, EVENT_NOTE, call);
    snprintf(event->u.note.event, sizeof event->u.note.event, "%s", word);
    va_start(args, format);
    vsnprintf(event->u.note.text, sizeof event->u.note.text, format, args);
    va_end(args);
}

static void event_free(struct event *event)
{
    if (event->kind == EVENT_REGISTRATION)
        free(event->u.registration.phone);
    free(event);
}

void event_drop_call(struct sip *sip, const struct sip_call *call)
{
    struct event *event, *next;

    for (event = TAILQ_FIRST(&sip->queue); event; event = next) {
        next = TAILQ_NEXT(event, entry);
        if (event->call != call)
            continue;
        TAILQ_REMOVE(&sip->queue, event, entry);
        event_free(event);
    }
}

void event_clear(struct sip *sip)
{
    struct event *event;

    while ((event = TAILQ_FIRST(&sip->queue))) {
        TAILQ_REMOVE(&sip->queue, event, entry);
        event_free(event);
    }
}

static void deliver_call(struct event *event)
{
    struct sip_call *call = event->call;
    const struct sip_call_events *to = call->events;
    void *ctx = call->ctx;

    switch (event->kind) {
    case EVENT_RINGING:
        to->on_ringing(ctx);
        break;
    case EVENT_MEDIA:
        to->on_media(ctx, &event->u.audio);
        break;
    case EVENT_ANSWER:
        to->on_answer(ctx);
        break;
    case EVENT_DIGIT:
        to->on_digit(ctx, event->u.key.digit, event->u.key.duration_ms);
        break;
    case EVENT_NOTE:
        to->on_note(ctx, event->u.note.event, event->u.note.text);
        break;
    case EVENT_END:
        sip_call_let_go(call); /* dead for the gateway from here on */
        to->on_end(ctx, &event->u.cause);
        break;
    default:
        break;
    }
}

void sip_event_deliver(struct sip *sip)
{
    struct event *event;

    while ((event = TAILQ_FIRST(&sip->queue))) {
        TAILQ_REMOVE(&sip->queue, event, entry);
        if (event->kind == EVENT_REGISTRATION)
            sip->events->on_registration(sip->ctx, event->u.registration.phone,
                                         event->u.registration.contacts);
        else if (event->kind == EVENT_REFUSED)
            sip->events->on_refused(sip->ctx, &event->u.refused.what);
        else if (event->kind == EVENT_INVITE)
            call_in_announce(event->call);
        else
            deliver_call(event);
        event_free(event);
    }
}
