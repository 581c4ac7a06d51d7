/* Our re-INVITE: hold, resume, another address. One at a time; glare is retried (RFC 3261, 14.1).
 */
#include "sip/call.h"
#include "sip/dialog.h"

#include <errno.h>
#include <stdlib.h>

static int on_response(nta_outgoing_magic_t *magic, nta_outgoing_t *orq, const sip_t *in);

static void on_retry(uv_timer_t *timer)
{
    call_update_next(timer->data);
}

static void send_reinvite(struct sip_call *call)
{
    if (call->reinvite)
        nta_outgoing_destroy(call->reinvite);
    call->reinvite = NULL;
    call->update_waiting = false;
    if (call_offer_write(call, &call->wanted))
        return;
    call->reinvite = dialog_send(call->sip, call->leg, &call->flow,
                                 &(struct dialog_request){.method = sip_method_invite,
                                                          .name = "INVITE",
                                                          .contact = call->contact,
                                                          .sdp = call->sdp,
                                                          .on_response = on_response,
                                                          .ctx = call});
    call->reinvite_open = call->reinvite != NULL;
    if (!call->reinvite)
        call_media_post(call); /* the connection is gone: all stays as it was */
}

void call_update_next(struct sip_call *call)
{
    if (call->update_waiting && call->state == CALL_STATE_UP && !call->reinvite_open &&
        !call->unacked.invite && !uv_is_active((uv_handle_t *)&call->retry))
        send_reinvite(call);
}

/* The owner of the Call-ID waits longer, so the two do not meet again. */
static void retry_later(struct sip_call *call)
{
    uint64_t ms =
        call->incoming ? (uint64_t)(rand() % 200) * 10 : 2100 + (uint64_t)(rand() % 190) * 10;

    call->update_waiting = true;
    sip_timer_start(call->sip, &call->retry, on_retry, ms);
}

static void take_answer(struct sip_call *call, const sip_t *in)
{
    struct sdp *answer;

    if (!call_sdp_read(in, &answer) && answer)
        call_answer_take(call, answer, &call->wanted);
    free(answer);
}

static int on_response(nta_outgoing_magic_t *magic, nta_outgoing_t *orq, const sip_t *in)
{
    struct sip_call *call = (struct sip_call *)magic;
    int status = nta_outgoing_status(orq);
    bool first = call->reinvite_open;
    struct call_cause cause = call_cause(CALL_TIMEOUT, "The phone is gone");

    if (status < 200 || orq != call->reinvite)
        return 0;
    if (status < 300 && in && in->sip_cseq)
        dialog_ack(call->sip, call->leg, &call->flow, in->sip_cseq->cs_seq, NULL);
    if (!first)
        return 0;
    call->reinvite_open = false;
    if (status < 300 && in) {
        take_answer(call, in);
        call_media_post(call);
    } else if (status == 491) {
        retry_later(call);
        return 0;
    } else if (status == 408 || status == 481) {
        call_bye(call, &cause);
        call_report_end(call, &cause);
        return 0;
    } else {
        call_media_post(call); /* refused: all stays as it was */
    }
    call_update_next(call);
    return 0;
}

int sip_call_update(struct sip_call *call, const struct sip_local_audio *local)
{
    if (call->ended)
        return 0;
    if (call->state != CALL_STATE_UP && call->state != CALL_STATE_ANSWERED)
        return -ENOTCONN;
    call->wanted = *local;
    call->update_waiting = true;
    call_update_next(call);
    return 0;
}
