/* Calls to phones: what their contacts answer to our INVITEs (call_fork.c). The first that takes
 * the call wins (RFC 3261, 16.7 in spirit: each contact gets a dialog of its own, we are no proxy).
 */
#include "sip/call.h"
#include "sip/cause.h"
#include "sip/dialog.h"
#include "sip/stray.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sofia-sip/msg.h>
#include <sofia-sip/msg_addr.h>
#include <sofia-sip/nta_tag.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_tag.h>
#include <sofia-sip/su_alloc.h>

#define SCORE_NONE 100

bool call_out_is_open(const struct sip_call *call)
{
    const struct branch *b;

    TAILQ_FOREACH(b, &call->branches, entry)
    if (!b->done)
        return true;
    return false;
}

/* Whether somebody may still answer. */
static bool is_ringing(const struct sip_call *call)
{
    const struct branch *b;

    TAILQ_FOREACH(b, &call->branches, entry)
    if (!b->done && !b->cancelled)
        return true;
    return false;
}

void call_out_release(struct sip_call *call)
{
    struct branch *b;

    while ((b = TAILQ_FIRST(&call->branches))) {
        TAILQ_REMOVE(&call->branches, b, entry);
        if (b->invite)
            nta_outgoing_destroy(b->invite);
        if (b->leg)
            nta_leg_destroy(b->leg);
        free(b);
    }
}

static void on_linger_end(uv_timer_t *timer)
{
    struct sip_call *call = timer->data;
    struct branch *b;

    TAILQ_FOREACH(b, &call->branches, entry)
    b->done = true;
    call_settle(call);
}

/* Cancels all that still ring. nta holds a CANCEL back until the first provisional response. */
static void cancel_others(struct sip_call *call, const struct branch *winner, const char *reason)
{
    struct branch *b;

    TAILQ_FOREACH(b, &call->branches, entry)
    {
        if (b == winner || b->done || b->cancelled)
            continue;
        b->cancelled = true;
        nta_outgoing_tcancel(b->invite, NULL, NULL, TAG_IF(reason, SIPTAG_REASON_STR(reason)),
                             TAG_END());
    }
    if (call_out_is_open(call))
        sip_timer_start(call->sip, &call->timer, on_linger_end, LINGER_MS);
}

void call_out_cancel(struct sip_call *call, const struct call_cause *cause)
{
    char reason[CAUSE_REASON_MAX];

    cancel_others(call, NULL, cause_reason(cause, reason));
}

static void on_ring_timeout(uv_timer_t *timer)
{
    struct sip_call *call = timer->data;
    struct call_cause cause = call_cause(CALL_NO_ANSWER, "No answer");

    call_out_cancel(call, &cause);
    call_report_end(call, &cause);
}

/* A phone that was switched off keeps its binding for a while. Nobody shall wait for it as long as
 * the transaction does; should it come back, it is told that the call is over. */
static void on_no_sign_of_life(uv_timer_t *timer)
{
    struct sip_call *call = timer->data;
    struct branch *b;
    char text[ADDRESS_TEXT_MAX];

    if (call->state != CALL_STATE_CALLING)
        return;
    TAILQ_FOREACH(b, &call->branches, entry)
    {
        if (b->heard || b->done || b->cancelled)
            continue;
        b->cancelled = true;
        sip_event_note(call, "no-reply", "%s gives no sign of life",
                       address_format(&b->flow.remote, text));
        nta_outgoing_tcancel(b->invite, NULL, NULL, TAG_END());
    }
    if (is_ringing(call))
        return;
    if (call->best_score == SCORE_NONE)
        call->best = call_cause(CALL_UNAVAILABLE, "The phone does not answer");
    sip_timer_start(call->sip, &call->timer, on_linger_end, LINGER_MS);
    call_report_end(call, &call->best);
}

/* How good an error is to tell the caller: lower is better (RFC 3261, 16.7 step 6). */
static int score(int status)
{
    if (status >= 600)
        return 0;
    switch (status) {
    case 408:
        return 8;
    case 487: /* it was cancelled there */
        return 7;
    case 480:
        return 4;
    case 486: /* says more than "not here now" of another contact */
        return 2;
    case 415:
    case 420:
    case 484:
    case 488:
        return 3;
    }
    return status < 400 ? 6 : status < 500 ? 5 : status == 503 ? 9 : 7;
}

static int reason_q850(const sip_t *in, char *text, size_t size)
{
    char value[CAUSE_REASON_MAX];
    const sip_reason_t *r = in ? in->sip_reason : NULL;

    text[0] = '\0';
    for (; r; r = r->re_next) {
        snprintf(value, sizeof value, "%s;cause=%s;text=%s", r->re_protocol ? r->re_protocol : "",
                 r->re_cause ? r->re_cause : "", r->re_text ? r->re_text : "");
        if (cause_reason_parse(value, text, size))
            return cause_reason_parse(value, text, size);
    }
    return 0;
}

/* A response that nta made up (a timeout, an unreachable port) has no sender. */
static bool is_from_phone(const struct branch *b)
{
    msg_t *msg = nta_outgoing_getresponse(b->invite);
    bool has_sender = msg && msg_addr(msg)->su_port != 0;

    if (msg)
        msg_destroy(msg);
    return has_sender;
}

/* What nta makes up itself is no answer of the phone. */
static void note_response(struct branch *b, int status, const sip_t *in)
{
    const char *phrase = in && in->sip_status ? in->sip_status->st_phrase : "";
    char text[ADDRESS_TEXT_MAX];

    address_format(&b->flow.remote, text);
    if (in && is_from_phone(b))
        sip_event_note(b->call, "response", "%d %.60s from %s", status, phrase ? phrase : "", text);
    else
        sip_event_note(b->call, "no-reply", "%s %s", text,
                       status == 408 ? "does not answer" : "cannot be reached");
}

static void take_failure(struct branch *b, int status, const sip_t *in)
{
    struct sip_call *call = b->call;
    char text[96];
    int q850 = reason_q850(in, text, sizeof text);

    b->done = true;
    if (call->early == b)
        call->early = NULL;
    if (!b->cancelled)
        note_response(b, status, in);
    if (call->state != CALL_STATE_CALLING) {
        call_settle(call);
        return;
    }
    if (score(status) < call->best_score) {
        call->best_score = score(status);
        call->best = cause_from_status(status,
                                       text[0]                ? text
                                       : in && in->sip_status ? in->sip_status->st_phrase
                                                              : NULL,
                                       q850);
        if (!in || !is_from_phone(b))
            call->best =
                call_cause(CALL_UNAVAILABLE, status == 408 ? "The phone does not answer"
                                                           : "The phone cannot be reached");
    }
    if (status >= 600)
        cancel_others(call, b, NULL);
    if (!is_ringing(call) || status >= 600)
        call_report_end(call, &call->best);
}

static void take_early_media(struct branch *b, const sip_t *in)
{
    struct sip_call *call = b->call;
    struct sdp *answer;

    if (call_sdp_read(in, &answer) || !answer)
        return;
    /* Of several phones only the first is heard. */
    if ((!call->early || call->early == b) && !call_answer_take(call, answer, &call->local)) {
        call->early = b;
        call_media_post(call);
    }
    free(answer);
}

static void take_provisional(struct branch *b, int status, const sip_t *in)
{
    struct sip_call *call = b->call;
    bool sdp = in->sip_payload && in->sip_payload->pl_len;

    if (call->state != CALL_STATE_CALLING)
        return;
    if (status != b->last_status)
        note_response(b, status, in);
    b->last_status = status;
    if (!call->rang && (!sdp || status == 180)) {
        call->rang = true;
        event_post(call->sip, EVENT_RINGING, call);
    }
    if (sdp)
        take_early_media(b, in);
}

/* The remote tag and target of the dialog. */
static int confirm_leg(struct branch *b, const sip_t *in)
{
    sip_contact_t target = {0};
    const sip_contact_t *contact = in->sip_contact;

    if (!dialog_routes_are_sane(in->sip_record_route))
        return -EINVAL;
    if (contact && !agent_is_target(contact->m_url))
        return -EINVAL;
    if (!contact) { /* not allowed, but the phone is known */
        *sip_contact_init(&target)->m_url = *nta_outgoing_request_uri(b->invite);
        contact = &target;
    }
    if (in->sip_to->a_tag)
        nta_leg_rtag(b->leg, in->sip_to->a_tag);
    return nta_leg_client_route(b->leg, in->sip_record_route, contact) < 0 ? -EINVAL : 0;
}

static void end_unusable(struct sip_call *call, const char *text)
{
    struct call_cause cause = call_cause(CALL_NOT_ACCEPTABLE, text);

    call_bye(call, &cause);
    call_report_end(call, &cause);
}

/* Takes the answer that came with the 200, or had come before. */
static void take_answer(struct sip_call *call, const sip_t *in)
{
    struct sdp *answer;
    int err = call_sdp_read(in, &answer);

    if (!err && answer)
        err = call_answer_take(call, answer, &call->local);
    else if (!err && !call->has_audio)
        err = -EINVAL;
    free(answer);
    if (err) {
        end_unusable(call, "No usable session description in the answer");
        return;
    }
    call_media_post(call);
    if (call->events)
        event_post(call->sip, EVENT_ANSWER, call);
}

static void take_answered(struct branch *b, const sip_t *in)
{
    struct sip_call *call = b->call;

    b->done = true;
    note_response(b, nta_outgoing_status(b->invite), in);
    if (confirm_leg(b, in)) {
        take_failure(b, 502, NULL);
        return;
    }
    dialog_ack(call->sip, b->leg, &b->flow, in->sip_cseq->cs_seq, NULL);
    uv_timer_stop(&call->timer);
    cancel_others(call, b, "SIP;cause=200;text=\"Call completed elsewhere\"");
    call->leg = b->leg;
    b->leg = NULL;
    call->flow = b->flow;
    memcpy(call->contact, b->contact, sizeof call->contact);
    if (call->early != b)
        call->has_audio = false; /* what was heard was another phone */
    sip_call_set_state(call, CALL_STATE_UP, "answered");
    take_answer(call, in);
}

/* A 200 on a branch that has not won: too late, or a second phone behind the contact. */
static void take_late(struct branch *b, const sip_t *in)
{
    struct sip_call *call = b->call;
    const char *tag = call->leg ? nta_leg_get_rtag(call->leg) : NULL;

    if (b->done && !b->leg && call->leg &&
        (!tag || (in->sip_to->a_tag && !strcmp(tag, in->sip_to->a_tag)))) {
        /* Our ACK was lost. */
        dialog_ack(call->sip, call->leg, &call->flow, in->sip_cseq->cs_seq, NULL);
        return;
    }
    stray_end(call->sip, in, &b->flow);
    b->done = true;
    call_settle(call);
}

int call_out_response(nta_outgoing_magic_t *magic, nta_outgoing_t *orq, const sip_t *in)
{
    struct branch *b = (struct branch *)magic;
    int status = nta_outgoing_status(orq);

    if (in)
        b->heard = true;
    if (status < 200 && in)
        take_provisional(b, status, in);
    else if (status >= 300 && !b->done)
        take_failure(b, status, in);
    else if (status >= 200 && status < 300 && in && b->call->state == CALL_STATE_CALLING &&
             !b->cancelled)
        take_answered(b, in);
    else if (status >= 200 && status < 300 && in)
        take_late(b, in);
    return 0;
}

void call_out_begin(struct sip_call *call)
{
    uint64_t ring_ms = (uint64_t)call->sip->conf->sip.ring_timeout_s * 1000;

    call->best_score = SCORE_NONE;
    sip_timer_start(call->sip, &call->timer, on_ring_timeout, ring_ms);
    sip_timer_start(call->sip, &call->alive, on_no_sign_of_life,
                    ring_ms / 2 < ALIVE_MS ? ring_ms / 2 : ALIVE_MS);
}
