/* The state machine of a call, the gateway's functions, and how calls end. */
#include "overlay/call.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How long an End is repeated; of a call that was up, through a change of supernode. */
#define CLOSING_MS 8000
#define CLOSING_UP_MS 30000

/*
 *   outgoing                                   incoming
 *
 *   LOOKING <--> OFFERING --> WAITING          OFFERED
 *      |                      ^ |                |
 *      +--- it was there -----+ |                |
 *                               +------> UP <----+
 *
 *   and from each of them --> CLOSING --> (freed)
 */
static const bool may_follow[CALL_STATES][CALL_STATES] = {
    [STATE_LOOKING] = {[STATE_OFFERING] = true, [STATE_WAITING] = true, [STATE_CLOSING] = true},
    [STATE_OFFERING] = {[STATE_LOOKING] = true, [STATE_WAITING] = true, [STATE_CLOSING] = true},
    [STATE_WAITING] = {[STATE_UP] = true, [STATE_CLOSING] = true},
    [STATE_OFFERED] = {[STATE_UP] = true, [STATE_CLOSING] = true},
    [STATE_UP] = {[STATE_CLOSING] = true},
};

static const char *const state_names[CALL_STATES] = {
    [STATE_LOOKING] = "looking", [STATE_OFFERING] = "offering",
    [STATE_WAITING] = "waiting", [STATE_OFFERED] = "offered",
    [STATE_UP] = "up",           [STATE_CLOSING] = "closing",
};

void call_set_state(struct overlay_call *call, enum call_state state, const char *why)
{
    assert(may_follow[call->state][state]);
    log_debug(LOG_OVERLAY, call->id, "%s -> %s: %s", state_names[call->state], state_names[state],
              why);
    call->state = state;
}

/* ---- ends -------------------------------------------------------------------------------------
 */

static void on_state_timer(void *owner)
{
    struct overlay_call *call = owner;

    if (call->state == STATE_OFFERING)
        call_offer_timeout(call);
    else if (call->state == STATE_CLOSING)
        call_forget(call);
}

void call_start_timers(struct overlay_call *call)
{
    core_timer_init(&call->state_timer, on_state_timer, call);
}

void call_let_go(struct overlay_call *call)
{
    event_forget(call);
    call->is_held = false;
    call->events = NULL;
    if (call->is_done)
        call_free(call);
}

void call_forget(struct overlay_call *call)
{
    call->is_done = true;
    call_drop_out(call);
    core_timer_stop(call->core, &call->state_timer);
    if (!call->is_held)
        call_free(call);
}

/* Media and errands end with the call, not when its last word is acknowledged. */
static void release(struct overlay_call *call)
{
    struct core *core = call->core;

    call_drop_out(call);
    call_drop_early(call);
    call_errand_free(call);
    lookup_stop(&call->refresh);
    if (call->has_path && core->io.path_release)
        core->io.path_release(core->io.ctx, call->path, call->ssrc_in);
    call->has_path = false;
}

static void send_end(struct overlay_call *call, const struct call_cause *cause)
{
    Sallyport__CallMessage message = SALLYPORT__CALL_MESSAGE__INIT;
    Sallyport__End end;

    call_cause_encode(&end, cause);
    message.body_case = SALLYPORT__CALL_MESSAGE__BODY_END;
    message.end = &end;
    call_send(call, &message);
}

/* To CLOSING; the far end is told when it may know of the call. */
static void close_call(struct overlay_call *call, const struct call_cause *cause)
{
    bool is_known_there = !call->is_outgoing || call->out_count > 0 ||
                          (call->state != STATE_LOOKING && call->state != STATE_OFFERING);
    uint64_t time_ms = call->state == STATE_UP ? CLOSING_UP_MS : CLOSING_MS;

    release(call);
    call_set_state(call, STATE_CLOSING, cause->text);
    if (is_known_there) {
        core_timer_set(call->core, &call->state_timer, core_now(call->core) + time_ms);
        send_end(call, cause);
    } else {
        call_forget(call);
    }
}

static void tell_end(struct overlay_call *call, const struct call_cause *cause)
{
    if (!call->is_held)
        return;
    if (!call->is_outgoing && !call->is_shown) {
        call_let_go(call); /* the gateway has never heard of it */
        return;
    }
    event_add(call->core, &(struct event){.kind = EVENT_END, .call = call, .cause = *cause});
}

void call_finish(struct overlay_call *call, const struct call_cause *cause)
{
    if (call->state == STATE_CLOSING)
        return;
    log_info(LOG_OVERLAY, call->id, "ended: %s", cause->text);
    close_call(call, cause);
    tell_end(call, cause);
}

void call_end_by_gateway(struct overlay_call *call, const struct call_cause *cause)
{
    bool was_open = call->state != STATE_CLOSING;

    event_forget(call);
    if (was_open)
        log_info(LOG_OVERLAY, call->id, "ended here: %s",
                 *cause->text ? cause->text : call_reason_name(cause->reason));
    if (was_open)
        close_call(call, cause);
    call_let_go(call);
}

void call_finished(struct overlay_call *call, const struct call_cause *cause)
{
    bool was_closing = call->state == STATE_CLOSING;

    /* Kept for a while to acknowledge the End again; ours, if any, need no longer be heard. */
    release(call);
    core_timer_set(call->core, &call->state_timer, core_now(call->core) + CLOSING_MS);
    call->is_ended_by_far = true;
    if (was_closing)
        return;
    call_set_state(call, STATE_CLOSING, cause->text);
    log_info(LOG_OVERLAY, call->id, "ended by %s: %s", call->far->site, cause->text);
    tell_end(call, cause);
}

/* ---- all calls --------------------------------------------------------------------------------
 */

void call_open(struct core *core)
{
    core->calls = core_alloc(sizeof *core->calls);
    TAILQ_INIT(&core->calls->route_queue);
    TAILQ_INIT(&core->calls->recent_queue);
}

void call_close(struct core *core)
{
    struct overlay_call *call, *after;

    HASH_ITER(hh, core->calls->by_name, call, after)
    call_free(call);
    recent_close(core);
    caller_close(core);
    free(core->calls);
}

void call_end_all(struct core *core)
{
    struct overlay_call *call, *after;
    struct call_cause cause = call_cause(CALL_UNAVAILABLE, "the node is closing");

    HASH_ITER(hh, core->calls->by_name, call, after)
    call_finish(call, &cause);
}

void call_end_revoked(struct core *core)
{
    struct overlay_call *call, *after;
    bool is_ours = identity_is_revoked(core->identity, core->self->serial);
    struct call_cause cause = call_cause(CALL_UNAVAILABLE, NULL);

    HASH_ITER(hh, core->calls->by_name, call, after)
    {
        const struct certificate *revoked = is_ours ? core->self : call->far;
        if (!is_ours && call->errand && call_offer_goes_on(call))
            continue;
        if (!revoked || !identity_is_revoked(core->identity, revoked->serial))
            continue;
        snprintf(cause.text, sizeof cause.text, "%s: its certificate was revoked", revoked->site);
        call_finish(call, &cause);
    }
}

void call_on_upstreams_changed(struct core *core)
{
    struct overlay_call *call, *after;

    if (!core->calls || core->upstream_count == 0)
        return;
    HASH_ITER(hh, core->calls->by_name, call, after)
    if (call->out_count > 0)
        call_send_again(call);
}

void core_on_path(struct core *core, void *path, const char *text)
{
    for (struct overlay_call *call = core->calls->by_name; call; call = call->hh.next) {
        struct event event = {.kind = EVENT_PATH, .call = call};
        if (!call->has_path || call->path != path || !call->is_held)
            continue;
        strncpy(event.text, text, sizeof event.text - 1);
        event_add(core, &event);
    }
}

void core_on_path_note(struct core *core, void *path, const char *event, const char *text)
{
    for (struct overlay_call *call = core->calls->by_name; call; call = call->hh.next)
        if (call->has_path && call->path == path)
            event_note_path(call, event, text);
}

int core_call_media(struct overlay_call *call, void **path, struct overlay_port *port)
{
    if (!call->has_keys || (!call->has_path && call->core->io.path_offer))
        return -EAGAIN;
    *path = call->path;
    port->ssrc_in = call->ssrc_in;
    port->ssrc_out = call->ssrc_out;
    memcpy(port->key_in,
           call->is_outgoing ? call->keys.callee_to_caller : call->keys.caller_to_callee,
           OVERLAY_KEY_BYTES);
    memcpy(port->key_out,
           call->is_outgoing ? call->keys.caller_to_callee : call->keys.callee_to_caller,
           OVERLAY_KEY_BYTES);
    return 0;
}
