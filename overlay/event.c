#include "overlay/event.h"

#include "overlay/call.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct event_queue {
    struct event_list list;
};

void event_open(struct core *core)
{
    core->events = core_alloc(sizeof *core->events);
    TAILQ_INIT(&core->events->list);
}

static void event_free(struct event *event)
{
    if (event->kind == EVENT_OFFER)
        free(event->offer);
    free(event);
}

static void list_drop(struct event_list *list, const struct overlay_call *call)
{
    for (struct event *event = TAILQ_FIRST(list), *after; event; event = after) {
        after = TAILQ_NEXT(event, next);
        if (call && event->call != call)
            continue;
        TAILQ_REMOVE(list, event, next);
        event_free(event);
    }
}

void event_close(struct core *core)
{
    list_drop(&core->events->list, NULL);
    free(core->events);
}

void event_add(struct core *core, const struct event *event)
{
    struct event *copy = core_alloc(sizeof *copy);

    *copy = *event;
    TAILQ_INSERT_TAIL(&core->events->list, copy, next);
    core->io.defer(core->io.ctx);
}

void event_attached(struct core *core, bool is_attached, const char *text)
{
    struct event event = {.kind = is_attached ? EVENT_ATTACHED : EVENT_DETACHED};

    snprintf(event.text, sizeof event.text, "%s", text);
    event_add(core, &event);
}

static bool has_journal(const struct overlay_call *call)
{
    return call->is_held && (!call->events || call->events->on_note);
}

void event_note(struct overlay_call *call, const char *word, const char *format, ...)
{
    struct event event = {.kind = EVENT_NOTE, .call = call, .note = {.part = "overlay"}};
    va_list args;

    if (!has_journal(call))
        return;
    snprintf(event.note.event, sizeof event.note.event, "%s", word);
    va_start(args, format);
    vsnprintf(event.note.text, sizeof event.note.text, format, args);
    va_end(args);
    event_add(call->core, &event);
}

void event_note_path(struct overlay_call *call, const char *word, const char *text)
{
    struct event event = {.kind = EVENT_NOTE, .call = call, .note = {.part = "path"}};

    if (!has_journal(call))
        return;
    snprintf(event.note.event, sizeof event.note.event, "%s", word);
    snprintf(event.note.text, sizeof event.note.text, "%s", text);
    event_add(call->core, &event);
}

void event_forget(struct overlay_call *call)
{
    list_drop(&call->core->events->list, call);
    list_drop(&call->waiting_events, NULL);
}

void event_release(struct overlay_call *call)
{
    struct event_list *list = &call->core->events->list;
    struct event *event;

    /* In front of what came later, in their order. */
    while ((event = TAILQ_LAST(&call->waiting_events, event_list))) {
        TAILQ_REMOVE(&call->waiting_events, event, next);
        TAILQ_INSERT_HEAD(list, event, next);
        call->core->io.defer(call->core->io.ctx);
    }
}

static void deliver_of_node(struct core *core, const struct event *event)
{
    const struct overlay_events *events = core->io.events;

    if (event->kind == EVENT_ATTACHED && events->on_attached) {
        events->on_attached(core->io.events_ctx, event->text);
    } else if (event->kind == EVENT_DETACHED && events->on_detached) {
        events->on_detached(core->io.events_ctx, event->text);
    } else if (event->kind == EVENT_OFFER) {
        event->call->is_shown = true;
        events->on_offer(core->io.events_ctx, event->call, &event->offer->offer);
    }
}

static void deliver_of_call(const struct event *event)
{
    struct overlay_call *call = event->call;
    const struct overlay_call_events *events = call->events;
    void *ctx = call->events_ctx;

    if (event->kind == EVENT_RINGING && events->on_ringing) {
        events->on_ringing(ctx);
    } else if (event->kind == EVENT_MEDIA && events->on_media) {
        events->on_media(ctx, &event->media);
    } else if (event->kind == EVENT_ANSWER && events->on_answer) {
        events->on_answer(ctx);
    } else if (event->kind == EVENT_DIGIT && events->on_digit) {
        events->on_digit(ctx, event->digit.digit, event->digit.duration_ms);
    } else if (event->kind == EVENT_PATH && events->on_path) {
        events->on_path(ctx, event->text);
    } else if (event->kind == EVENT_NOTE && events->on_note) {
        events->on_note(ctx, event->note.part, event->note.event, event->note.text);
    } else if (event->kind == EVENT_END) {
        call_let_go(call); /* from here on the pointer is dead for the gateway */
        events->on_end(ctx, &event->cause);
    }
}

void event_deliver(struct core *core)
{
    struct event_list *list = &core->events->list;
    struct event *event;

    while ((event = TAILQ_FIRST(list))) {
        TAILQ_REMOVE(list, event, next);
        if (!event->call || event->kind == EVENT_OFFER) {
            deliver_of_node(core, event);
        } else if (!event->call->events) {
            TAILQ_INSERT_TAIL(&event->call->waiting_events, event, next);
            continue;
        } else {
            deliver_of_call(event);
        }
        event_free(event);
    }
}
