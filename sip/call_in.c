/* Calls that phones make: INVITE, what the gateway answers, CANCEL. */
#include "sip/call.h"
#include "sip/cause.h"
#include "sip/dialog.h"
#include "sip/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sofia-sip/nta_tag.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/sip_tag.h>
#include <sofia-sip/url.h>

#define PROVISIONAL_MS 60000
#define WARNING_MEDIA "305 sallyport \"Incompatible media format\""

/* Unescaped; "" (which is no number) when it is too long or hides control characters. */
static void copy_user(const char *user, char *to, size_t size)
{
    if (!user || strlen(user) >= size || strcasestr(user, "%00"))
        return;
    url_unescape(to, user);
    for (const char *p = to; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 127)
            to[0] = '\0';
}

/* The display name without its quotes and without control characters. */
static void copy_name(const char *display, char *to, size_t size)
{
    size_t used = 0;

    for (; display && *display && used + 1 < size; display++) {
        if (*display == '"' || (unsigned char)*display < ' ' || *display == 127)
            continue;
        if (*display == '\\' && display[1])
            display++;
        to[used++] = *display;
    }
    to[used] = '\0';
}

/* Refuses what must not make a dialog (a Contact like "tel:" or "*" kills other stacks). */
static bool check(struct request *r, struct sdp **offer)
{
    const sip_t *in = r->in;
    struct codec_list codecs;
    int err;

    if (!in->sip_contact || in->sip_contact->m_next || !agent_is_target(in->sip_contact->m_url)) {
        request_refused(r, SIP_REFUSED_REQUEST, 400);
        request_reply(r, 400, "Bad Contact", TAG_END());
        return false;
    }
    if (!dialog_routes_are_sane(in->sip_record_route)) {
        request_refused(r, SIP_REFUSED_REQUEST, 400);
        request_reply(r, 400, "Bad Record-Route", TAG_END());
        return false;
    }
    err = call_sdp_read(in, offer);
    if (err == -EPROTONOSUPPORT) {
        request_refused(r, SIP_REFUSED_REQUEST, 415);
        request_reply(r, SIP_415_UNSUPPORTED_MEDIA, SIPTAG_ACCEPT_STR("application/sdp"),
                      TAG_END());
    } else if (err) {
        r->sip->counters.malformed++;
        request_refused(r, SIP_REFUSED_REQUEST, 400);
        request_reply(r, 400, "Bad Session Description", TAG_END());
    } else if (*offer) {
        sdp_codecs(*offer, &codecs);
        if (codecs.count)
            return true;
        free(*offer);
        request_refused(r, SIP_REFUSED_CODEC, 488);
        request_reply(r, SIP_488_NOT_ACCEPTABLE, SIPTAG_WARNING_STR(WARNING_MEDIA), TAG_END());
        return false;
    }
    return !err;
}

static int on_cancel(nta_incoming_magic_t *magic, nta_incoming_t *irq, const sip_t *in)
{
    struct sip_call *call = (struct sip_call *)magic;
    struct call_cause cause = call_cause(CALL_CANCELLED, "Request Terminated");

    if (!in || !in->sip_request || in->sip_request->rq_method != sip_method_cancel ||
        irq != call->invite)
        return 0;
    call_refuse(call->invite, &cause);
    call->invite = NULL;
    call_report_end(call, &cause);
    return 0;
}

static void describe(struct sip_call *call, const struct request *r, const struct conf_phone *phone)
{
    const sip_t *in = r->in;

    snprintf(call->from_user, sizeof call->from_user, "%s", phone->id);
    if (phone->name)
        snprintf(call->from_name, sizeof call->from_name, "%s", phone->name);
    else
        copy_name(in->sip_from->a_display, call->from_name, sizeof call->from_name);
    copy_user(in->sip_request->rq_url->url_user, call->dialled, sizeof call->dialled);
    snprintf(call->host, sizeof call->host, "%s",
             in->sip_request->rq_url->url_host ? in->sip_request->rq_url->url_host : "");
    call->flow = r->flow;
    call->remote_cseq = in->sip_cseq->cs_seq;
    agent_contact(&call->flow, phone->id, call->contact, sizeof call->contact);
}

/* Makes the dialog and the transaction; takes the message. */
static int open_dialog(struct sip_call *call, struct request *r)
{
    nta_agent_t *nta = r->sip->agent.nta;
    const sip_t *in = r->in;
    msg_t *msg = r->msg;

    call->leg = nta_leg_tcreate(nta, call_dialog_request, (nta_leg_magic_t *)call,
                                SIPTAG_CALL_ID(in->sip_call_id), SIPTAG_FROM(in->sip_to),
                                SIPTAG_TO(in->sip_from), TAG_END());
    if (!call->leg || !nta_leg_tag(call->leg, NULL))
        return -ENOMEM;
    if (nta_leg_server_route(call->leg, in->sip_record_route, in->sip_contact) < 0)
        return -EINVAL;
    r->msg = NULL;
    call->invite = nta_incoming_create(nta, call->leg, msg, r->in, TAG_END());
    if (!call->invite)
        return -ENOMEM;
    nta_incoming_bind(call->invite, on_cancel, (nta_incoming_magic_t *)call);
    nta_incoming_treply(call->invite, SIP_100_TRYING, TAG_END());
    return 0;
}

void call_in_invite(struct request *r, const struct conf_phone *phone)
{
    struct sdp *offer = NULL;
    struct sip_call *call;

    if (!check(r, &offer))
        return;
    call = call_new(r->sip, true, CALL_STATE_RINGING);
    if (!call) {
        free(offer);
        request_reply(r, SIP_503_SERVICE_UNAVAILABLE, TAG_END());
        return;
    }
    call->offer = offer;
    describe(call, r, phone);
    if (open_dialog(call, r)) {
        if (r->msg)
            request_reply(r, SIP_500_INTERNAL_SERVER_ERROR, TAG_END());
        sip_call_finish(call);
        return;
    }
    r->sip->counters.calls_in++;
    event_post(r->sip, EVENT_INVITE, call);
}

void call_in_announce(struct sip_call *call)
{
    struct sip_invite invite = {
        .from_user = call->from_user,
        .from_name = call->from_name,
        .dialled = call->dialled,
        .host = call->host,
        .direction = MEDIA_SENDRECV,
        .local = call->flow.local,
        .source = call->flow.remote,
        .transport = call->flow.transport,
    };

    if (call->offer) {
        sdp_codecs(call->offer, &invite.codecs);
        invite.direction = sdp_direction(call->offer);
    }
    call->announced = true;
    call->sip->events->on_invite(call->sip->ctx, call, &invite);
}

/* 180, or 183 with our description once there is one. Repeated every minute while it rings, for the
 * proxies on the way would give up else (RFC 3261, 13.3.1.1). */
static void send_provisional(struct sip_call *call);

static void on_minute(uv_timer_t *timer)
{
    send_provisional(timer->data);
}

static void send_provisional(struct sip_call *call)
{
    bool early = call->sdp[0] != '\0';

    if (call->state != CALL_STATE_RINGING || !call->invite)
        return;
    nta_incoming_treply(call->invite, early ? 183 : 180, early ? "Session Progress" : "Ringing",
                        SIPTAG_CONTACT_STR(call->contact), SIPTAG_ALLOW_STR(AGENT_ALLOW),
                        SIPTAG_SERVER_STR(AGENT_NAME),
                        TAG_IF(early, SIPTAG_CONTENT_TYPE_STR("application/sdp")),
                        TAG_IF(early, SIPTAG_PAYLOAD_STR(call->sdp)), TAG_END());
    sip_timer_start(call->sip, &call->timer, on_minute, PROVISIONAL_MS);
}

void sip_call_ring(struct sip_call *call)
{
    if (!call->sdp[0])
        send_provisional(call);
}

/* What went out with a 183 is the answer: a phone does not look at another one in the 200 (RFC
 * 3261, 13.2.1), so codec and address stay. */
static int answer_offer(struct sip_call *call, const struct sip_local_audio *local)
{
    return call->has_audio ? 0 : call_answer_write(call, call->offer, local);
}

int sip_call_progress(struct sip_call *call, const struct sip_local_audio *local)
{
    int err;

    if (call->state != CALL_STATE_RINGING || !call->invite)
        return call->ended ? 0 : -EINVAL;
    if (!call->offer)
        return -EINVAL;
    err = answer_offer(call, local);
    if (err)
        return err;
    send_provisional(call);
    call_media_post(call);
    return 0;
}

int sip_call_answer(struct sip_call *call, const struct sip_local_audio *local)
{
    nta_incoming_t *invite = call->invite;
    int err;

    if (call->state != CALL_STATE_RINGING || !invite)
        return call->ended ? 0 : -EINVAL;
    err = call->offer ? answer_offer(call, local) : call_offer_write(call, local);
    if (err)
        return err;
    call->local = *local;
    call->invite = NULL;
    uv_timer_stop(&call->timer);
    sip_call_set_state(call, CALL_STATE_ANSWERED, "answered by the gateway");
    call_answer_send(call, invite, call->remote_cseq, !call->offer);
    if (call->offer)
        call_media_post(call);
    return 0;
}
