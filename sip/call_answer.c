/* Our 200 to an INVITE: sent until the ACK comes (RFC 3261, 13.3.1.4), and what the ACK brings. */
#include "sip/call.h"

#include <stdlib.h>

#include <sofia-sip/sip_status.h>
#include <sofia-sip/sip_tag.h>

static void send_once(struct sip_call *call)
{
    nta_incoming_treply(call->unacked.invite, SIP_200_OK, SIPTAG_CONTACT_STR(call->contact),
                        SIPTAG_ALLOW_STR(AGENT_ALLOW), SIPTAG_SERVER_STR(AGENT_NAME),
                        SIPTAG_CONTENT_TYPE_STR("application/sdp"), SIPTAG_PAYLOAD_STR(call->sdp),
                        TAG_END());
}

void call_answer_stop(struct sip_call *call)
{
    if (!call->unacked.invite)
        return;
    uv_timer_stop(&call->resend);
    nta_incoming_destroy(call->unacked.invite);
    call->unacked.invite = NULL;
}

static void on_ack_missing(struct sip_call *call)
{
    struct call_cause cause = call_cause(CALL_TIMEOUT, "No ACK");

    log_warn(LOG_SIP, call_log_id(call), "the phone never acknowledged our answer: call ended");
    call_answer_stop(call);
    call_bye(call, &cause);
    if (call->state == CALL_STATE_LEAVING)
        call_settle(call);
    else
        call_report_end(call, &cause);
}

static void on_resend(uv_timer_t *timer)
{
    struct sip_call *call = timer->data;
    struct unacked *u = &call->unacked;

    if (sip_now_ms() - u->since_ms >= ACK_TIMEOUT_MS) {
        on_ack_missing(call);
        return;
    }
    send_once(call);
    u->interval_ms = u->interval_ms * 2 > RESEND_LAST_MS ? RESEND_LAST_MS : u->interval_ms * 2;
    sip_timer_start(call->sip, &call->resend, on_resend, u->interval_ms);
}

void call_answer_send(struct sip_call *call, nta_incoming_t *invite, uint32_t cseq, bool offered)
{
    struct unacked *u = &call->unacked;

    call_answer_stop(call);
    u->invite = invite;
    u->cseq = cseq;
    u->offered = offered;
    u->since_ms = sip_now_ms();
    u->interval_ms = RESEND_FIRST_MS;
    send_once(call);
    sip_timer_start(call->sip, &call->resend, on_resend, u->interval_ms);
}

/* The answer to the offer in our 200 stands in the ACK. False: there is none that we can use. */
static bool take_answer(struct sip_call *call, const sip_t *ack)
{
    struct sdp *answer;
    int err = call_sdp_read(ack, &answer);

    if (err || !answer)
        return false;
    err = call_answer_take(call, answer, &call->local);
    free(answer);
    return !err;
}

void call_answer_acked(struct sip_call *call, const sip_t *ack)
{
    struct call_cause cause = call_cause(CALL_NOT_ACCEPTABLE, "No usable answer in ACK");
    bool offered = call->unacked.offered;

    if (!call->unacked.invite || ack->sip_cseq->cs_seq != call->unacked.cseq)
        return;
    call_answer_stop(call);
    if (call->state == CALL_STATE_LEAVING) {
        if (!call->ended)
            call_bye(call, &call->end_cause);
        call_settle(call);
        return;
    }
    if (call->state == CALL_STATE_ANSWERED)
        sip_call_set_state(call, CALL_STATE_UP, "ACK");
    if (offered && !take_answer(call, ack)) {
        call_bye(call, &cause);
        call_report_end(call, &cause);
        return;
    }
    if (offered)
        call_media_post(call);
    call_update_next(call);
}
