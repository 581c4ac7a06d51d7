#include "sip/call.h"

#include "sip/cause.h"
#include "sip/dialog.h"

#include <stdlib.h>
#include <string.h>

static const char *const state_names[CALL_STATES] = {"ringing", "calling", "answered",
                                                     "up",      "leaving", "gone"};

/* Rows: from; see the diagram in call.h. */
static const bool allowed[CALL_STATES][CALL_STATES] = {
    [CALL_STATE_RINGING] =
        {[CALL_STATE_ANSWERED] = true, [CALL_STATE_LEAVING] = true, [CALL_STATE_GONE] = true},
    [CALL_STATE_CALLING] =
        {[CALL_STATE_UP] = true, [CALL_STATE_LEAVING] = true, [CALL_STATE_GONE] = true},
    [CALL_STATE_ANSWERED] =
        {[CALL_STATE_UP] = true, [CALL_STATE_LEAVING] = true, [CALL_STATE_GONE] = true},
    [CALL_STATE_UP] = {[CALL_STATE_LEAVING] = true, [CALL_STATE_GONE] = true},
    [CALL_STATE_LEAVING] = {[CALL_STATE_GONE] = true},
};

const char *call_log_id(const struct sip_call *call)
{
    return call->id[0] ? call->id : NULL;
}

void sip_call_set_state(struct sip_call *call, enum call_state state, const char *why)
{
    if (!allowed[call->state][state]) {
        log_error(LOG_SIP, call_log_id(call), "bug: call cannot go from %s to %s (%s)",
                  state_names[call->state], state_names[state], why);
        return;
    }
    log_debug(LOG_SIP, call_log_id(call), "call %s -> %s: %s", state_names[call->state],
              state_names[state], why);
    call->state = state;
}

struct sip_call *call_new(struct sip *sip, bool incoming, enum call_state state)
{
    struct sip_call *call = calloc(1, sizeof *call);
    char random[17];

    if (!call)
        return NULL;
    call->sip = sip;
    call->incoming = incoming;
    call->state = state;
    TAILQ_INIT(&call->branches);
    digest_random_hex(7, random);
    call->origin.id = strtoull(random, NULL, 16);
    call->origin.version = 1;
    uv_timer_init(sip->loop, &call->timer);
    uv_timer_init(sip->loop, &call->resend);
    uv_timer_init(sip->loop, &call->retry);
    uv_timer_init(sip->loop, &call->alive);
    call->timer.data = call->resend.data = call->retry.data = call->alive.data = call;
    call->open_timers = 4;
    LIST_INSERT_HEAD(&sip->calls, call, entry);
    sip->counters.calls++;
    return call;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct sip_call *call = handle->data;
    struct sip *sip = call->sip;

    if (--call->open_timers)
        return;
    free(call->offer);
    free(call);
    sip->handles--;
    sip_closing_step(sip);
}

void sip_call_finish(struct sip_call *call)
{
    if (call->state == CALL_STATE_GONE)
        return;
    sip_call_set_state(call, CALL_STATE_GONE, "finished");
    call->events = NULL;
    event_drop_call(call->sip, call);
    call_answer_stop(call);
    call_out_release(call);
    if (call->invite)
        nta_incoming_destroy(call->invite);
    if (call->reinvite)
        nta_outgoing_destroy(call->reinvite);
    if (call->leg)
        nta_leg_destroy(call->leg);
    LIST_REMOVE(call, entry);
    call->sip->counters.calls--;
    call->sip->handles++;
    uv_close((uv_handle_t *)&call->timer, on_timer_closed);
    uv_close((uv_handle_t *)&call->resend, on_timer_closed);
    uv_close((uv_handle_t *)&call->retry, on_timer_closed);
    uv_close((uv_handle_t *)&call->alive, on_timer_closed);
    uv_async_send(&call->sip->wake); /* we may be inside sofia: let libuv see it */
}

void call_settle(struct sip_call *call)
{
    if (call->state != CALL_STATE_LEAVING || call->events || call->unacked.invite ||
        call_out_is_open(call) || (call->ended && !call->announced && call->incoming))
        return;
    sip_call_finish(call);
}

void sip_call_let_go(struct sip_call *call)
{
    call->events = NULL;
    call->ctx = NULL;
    event_drop_call(call->sip, call);
    call_settle(call);
}

void call_bye(struct sip_call *call, const struct call_cause *cause)
{
    char reason[CAUSE_REASON_MAX];

    if (call->leg)
        dialog_send(call->sip, call->leg, &call->flow,
                    &(struct dialog_request){.method = sip_method_bye,
                                             .name = "BYE",
                                             .reason = cause ? cause_reason(cause, reason) : NULL});
}

void call_report_end(struct sip_call *call, const struct call_cause *cause)
{
    if (call->ended)
        return;
    call->ended = true;
    call->end_cause = *cause;
    call_answer_stop(call);
    if (call->state != CALL_STATE_LEAVING)
        sip_call_set_state(call, CALL_STATE_LEAVING, call_reason_name(cause->reason));
    if (call->events)
        event_post(call->sip, EVENT_END, call)->u.cause = *cause;
    else if (!call->incoming || call->announced == false)
        sip_call_finish(call); /* nobody has heard of it */
}

/* ---- the gateway's side ---- */

void sip_call_accept(struct sip_call *call, const struct sip_call_events *events, void *ctx,
                     const char *call_id)
{
    call->events = events;
    call->ctx = ctx;
    strncpy(call->id, call_id, CALL_ID_LEN);
    log_info(LOG_SIP, call->id, "%s calls %s", call->from_user, call->dialled);
    if (call->ended)
        event_post(call->sip, EVENT_END, call)->u.cause = call->end_cause;
}

static void end_unanswered(struct sip_call *call, const struct call_cause *cause)
{
    if (call->incoming) {
        if (call->invite)
            call_refuse(call->invite, cause);
        call->invite = NULL;
        sip_call_finish(call);
        return;
    }
    sip_call_set_state(call, CALL_STATE_LEAVING, "cancelled");
    call_out_cancel(call, cause);
    sip_call_let_go(call);
}

void sip_call_end(struct sip_call *call, const struct call_cause *cause)
{
    switch (call->state) {
    case CALL_STATE_RINGING:
    case CALL_STATE_CALLING:
        end_unanswered(call, cause);
        break;
    case CALL_STATE_ANSWERED:
        /* BYE must wait for the ACK (RFC 3261, 15). */
        sip_call_set_state(call, CALL_STATE_LEAVING, "ended before the ACK");
        call->end_cause = *cause;
        sip_call_let_go(call);
        break;
    case CALL_STATE_UP:
        call_bye(call, cause);
        sip_call_finish(call);
        break;
    default:
        /* It ended by itself and on_end was under way. */
        call->announced = true;
        sip_call_let_go(call);
        break;
    }
}

void sip_call_reject(struct sip_call *call, const struct call_cause *cause)
{
    sip_call_end(call, cause);
}

void sip_call_close(struct sip_call *call, const struct call_cause *cause)
{
    if (call->state == CALL_STATE_RINGING && call->invite) {
        call_refuse(call->invite, cause);
        call->invite = NULL;
    } else if (call->state == CALL_STATE_CALLING) {
        call_out_cancel(call, cause);
    } else if (!call->ended) {
        call_bye(call, cause);
    }
    sip_call_finish(call);
}
