/* Requests of the far end inside a dialog: re-INVITE, UPDATE, ACK, BYE, INFO, OPTIONS. */
#include "sip/call.h"
#include "sip/cause.h"
#include "sip/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <sofia-sip/msg.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/sip_tag.h>

#define WARNING_MEDIA "305 sallyport \"Incompatible media format\""

void call_refuse(nta_incoming_t *irq, const struct call_cause *cause)
{
    char reason[CAUSE_REASON_MAX], phrase[CAUSE_PHRASE_MAX];
    int status = cause_status(cause);

    nta_incoming_treply(irq, status, cause_phrase(cause, phrase),
                        SIPTAG_REASON_STR(cause_reason(cause, reason)),
                        SIPTAG_SERVER_STR(AGENT_NAME),
                        TAG_IF(status == 488 || status == 606, SIPTAG_WARNING_STR(WARNING_MEDIA)),
                        TAG_IF(status == 503, SIPTAG_RETRY_AFTER_STR("5")), TAG_END());
    nta_incoming_destroy(irq);
}

/* Answers a request that makes no dialog and no session. */
static void reply(nta_incoming_t *irq, int status, const char *phrase)
{
    nta_incoming_treply(irq, status, phrase, SIPTAG_ALLOW_STR(AGENT_ALLOW),
                        SIPTAG_SERVER_STR(AGENT_NAME), TAG_END());
    nta_incoming_destroy(irq);
}

static void on_bye(struct sip_call *call, nta_incoming_t *irq, const sip_t *in)
{
    char value[CAUSE_REASON_MAX] = "", text[96] = "";
    struct call_cause cause;
    const sip_reason_t *reason = in->sip_reason;

    for (; reason; reason = reason->re_next) {
        if (!reason->re_protocol || strcasecmp(reason->re_protocol, "Q.850"))
            continue;
        snprintf(value, sizeof value, "Q.850;cause=%s;text=%s",
                 reason->re_cause ? reason->re_cause : "16",
                 reason->re_text ? reason->re_text : "");
        break;
    }
    cause = cause_from_bye(cause_reason_parse(value, text, sizeof text), NULL);
    if (text[0])
        snprintf(cause.text, sizeof cause.text, "%s", text);
    reply(irq, SIP_200_OK);
    if (call->invite) { /* BYE instead of CANCEL */
        cause.reason = CALL_CANCELLED;
        call_refuse(call->invite, &cause);
        call->invite = NULL;
    }
    if (call->state == CALL_STATE_LEAVING && !call->ended) {
        call_answer_stop(call); /* we wanted to say BYE ourselves */
        call_settle(call);
        return;
    }
    call_report_end(call, &cause);
}

/* Checks a new offer against what is under way. False: it has been answered. */
static bool may_offer(struct sip_call *call, nta_incoming_t *irq, const sip_t *in)
{
    /* Our own offer is out, and theirs crossed it (RFC 3261, 14.2). */
    if (call->reinvite_open || (call->unacked.invite && call->unacked.offered)) {
        reply(irq, SIP_491_REQUEST_PENDING);
        return false;
    }
    if (call->state != CALL_STATE_UP && call->state != CALL_STATE_ANSWERED) {
        nta_incoming_treply(irq, SIP_500_INTERNAL_SERVER_ERROR, SIPTAG_RETRY_AFTER_STR("2"),
                            TAG_END());
        nta_incoming_destroy(irq);
        return false;
    }
    if (in->sip_contact) {
        if (!agent_is_target(in->sip_contact->m_url)) {
            reply(irq, 400, "Bad Contact");
            return false;
        }
        nta_leg_server_route(call->leg, NULL, in->sip_contact);
    }
    return true;
}

/* Reads the offer and makes our answer. False: it has been answered with an error. */
static bool answer_offer(struct sip_call *call, nta_incoming_t *irq, const sip_t *in, bool *offered)
{
    struct call_cause cause = call_cause(CALL_NOT_ACCEPTABLE, "No common codec");
    struct sdp *offer;
    int err = call_sdp_read(in, &offer);

    *offered = false;
    if (err == -EPROTONOSUPPORT) {
        nta_incoming_treply(irq, SIP_415_UNSUPPORTED_MEDIA, SIPTAG_ACCEPT_STR("application/sdp"),
                            TAG_END());
        nta_incoming_destroy(irq);
        return false;
    }
    if (err) {
        reply(irq, 400, "Bad Session Description");
        return false;
    }
    if (!offer) {
        *offered = true;
        return true;
    }
    err = call_answer_write(call, offer, &call->local);
    free(offer);
    if (err)
        call_refuse(irq, &cause);
    return !err;
}

static void on_reinvite(struct sip_call *call, nta_incoming_t *irq, const sip_t *in)
{
    bool offered;

    if (!may_offer(call, irq, in) || !answer_offer(call, irq, in, &offered))
        return;
    if (offered && call_offer_write(call, &call->local)) {
        reply(irq, SIP_500_INTERNAL_SERVER_ERROR);
        return;
    }
    call_answer_send(call, irq, in->sip_cseq->cs_seq, offered);
    if (call->state == CALL_STATE_ANSWERED) /* so it has our first answer */
        sip_call_set_state(call, CALL_STATE_UP, "re-INVITE");
    if (!offered)
        call_media_post(call);
}

static void on_update(struct sip_call *call, nta_incoming_t *irq, const sip_t *in)
{
    bool offered;

    if (!may_offer(call, irq, in) || !answer_offer(call, irq, in, &offered))
        return;
    nta_incoming_treply(irq, SIP_200_OK, SIPTAG_CONTACT_STR(call->contact),
                        SIPTAG_ALLOW_STR(AGENT_ALLOW), SIPTAG_SERVER_STR(AGENT_NAME),
                        TAG_IF(!offered, SIPTAG_CONTENT_TYPE_STR("application/sdp")),
                        TAG_IF(!offered, SIPTAG_PAYLOAD_STR(call->sdp)), TAG_END());
    nta_incoming_destroy(irq);
    if (!offered)
        call_media_post(call);
}

static char digit_of(const char *text, size_t bytes)
{
    char word[4] = "";
    size_t used = 0;

    for (size_t i = 0; i < bytes && used < sizeof word - 1; i++) {
        if (text[i] == '\r' || text[i] == '\n')
            break;
        if (text[i] != ' ' && text[i] != '\t')
            word[used++] = text[i];
    }
    if (used == 1 && strchr("0123456789*#ABCD", word[0] & (char)~(word[0] >= 'a' ? 0x20 : 0)))
        return (char)(word[0] >= 'a' ? word[0] - 0x20 : word[0]);
    if (!strcmp(word, "10"))
        return '*';
    if (!strcmp(word, "11"))
        return '#';
    return 0;
}

/* "Signal=5\r\nDuration=160" (dtmf-relay), or the bare digit (dtmf). */
static bool parse_digit(const sip_t *in, char *digit, int *duration_ms)
{
    char body[128];
    const char *type = in->sip_content_type ? in->sip_content_type->c_type : NULL;
    const char *at;
    size_t bytes;

    if (!type || !in->sip_payload || !in->sip_payload->pl_len)
        return false;
    bytes = in->sip_payload->pl_len < sizeof body - 1 ? in->sip_payload->pl_len : sizeof body - 1;
    memcpy(body, in->sip_payload->pl_data, bytes);
    body[bytes] = '\0';
    *duration_ms = 160;
    if (!strcasecmp(type, "application/dtmf"))
        return (*digit = digit_of(body, strlen(body))) != 0;
    if (strcasecmp(type, "application/dtmf-relay"))
        return false;
    at = strcasestr(body, "Duration=");
    if (at && (bytes = (size_t)strtoul(at + 9, NULL, 10)) >= 1)
        *duration_ms = bytes > 5000 ? 5000 : (int)bytes;
    at = strcasestr(body, "Signal=");
    return at && (*digit = digit_of(at + 7, strlen(at + 7))) != 0;
}

static void on_info(struct sip_call *call, nta_incoming_t *irq, const sip_t *in)
{
    struct event *event;
    char digit = 0;
    int duration_ms;

    if (!in->sip_payload || !in->sip_payload->pl_len) {
        reply(irq, SIP_200_OK); /* a keepalive (RFC 2976, 2.2) */
        return;
    }
    if (!parse_digit(in, &digit, &duration_ms)) {
        nta_incoming_treply(irq, SIP_415_UNSUPPORTED_MEDIA,
                            SIPTAG_ACCEPT_STR("application/dtmf-relay, application/dtmf"),
                            TAG_END());
        nta_incoming_destroy(irq);
        return;
    }
    reply(irq, SIP_200_OK);
    if (!call->events || call->ended)
        return;
    event = event_post(call->sip, EVENT_DIGIT, call);
    event->u.key.digit = digit;
    event->u.key.duration_ms = duration_ms;
}

/* Order, origin and extensions of a request. False: it has been answered. */
static bool check(struct sip_call *call, nta_incoming_t *irq, const sip_t *in)
{
    msg_t *msg = nta_incoming_getrequest(irq);
    char unsupported[256];
    struct flow flow;
    bool known = msg && !agent_flow(call->sip, msg, &flow);

    if (msg)
        msg_destroy(msg);
    if (!in->sip_to->a_tag) { /* the first INVITE again, by another way */
        reply(irq, 482, "Request Merged");
        return false;
    }
    if (call->remote_cseq && in->sip_cseq->cs_seq < call->remote_cseq) {
        reply(irq, 500, "Out Of Order");
        return false;
    }
    call->remote_cseq = in->sip_cseq->cs_seq;
    /* A NAT gave the phone another port: it knows the tags, so it is the phone. */
    if (known && !flow_equal(&flow, &call->flow))
        call->flow = flow;
    if (request_unsupported(in, unsupported, sizeof unsupported)) {
        nta_incoming_treply(irq, SIP_420_BAD_EXTENSION, SIPTAG_UNSUPPORTED_STR(unsupported),
                            TAG_END());
        nta_incoming_destroy(irq);
        return false;
    }
    return true;
}

/* A phone that we call speaks up before it has answered: it may not end what is not there yet (RFC
 * 3261, 15), and has to wait with all else. */
static void early_request(nta_incoming_t *irq, const sip_t *in)
{
    if (in->sip_request->rq_method == sip_method_bye) {
        reply(irq, SIP_481_NO_TRANSACTION);
        return;
    }
    nta_incoming_treply(irq, SIP_500_INTERNAL_SERVER_ERROR, SIPTAG_RETRY_AFTER_STR("5"), TAG_END());
    nta_incoming_destroy(irq);
}

int call_dialog_request(nta_leg_magic_t *magic, nta_leg_t *leg, nta_incoming_t *irq,
                        const sip_t *in)
{
    struct sip_call *call = (struct sip_call *)magic;

    if (in->sip_request->rq_method != sip_method_ack && leg != call->leg) {
        early_request(irq, in);
        return 0;
    }
    if (in->sip_request->rq_method == sip_method_ack) {
        nta_incoming_destroy(irq);
        call_answer_acked(call, in);
        return 0;
    }
    if (!check(call, irq, in))
        return 0;
    switch (in->sip_request->rq_method) {
    case sip_method_bye:
        on_bye(call, irq, in);
        break;
    case sip_method_invite:
        on_reinvite(call, irq, in);
        break;
    case sip_method_update:
        on_update(call, irq, in);
        break;
    case sip_method_info:
        on_info(call, irq, in);
        break;
    case sip_method_options:
        reply(irq, SIP_200_OK);
        break;
    default:
        reply(irq, SIP_405_METHOD_NOT_ALLOWED);
        break;
    }
    return 0;
}
