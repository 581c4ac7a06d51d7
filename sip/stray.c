#include "sip/stray.h"

#include "sip/dialog.h"

#include <stdio.h>

#include <sofia-sip/msg.h>
#include <sofia-sip/nta_tag.h>
#include <sofia-sip/sip_tag.h>

#define STRAYS_PER_SECOND 50

void stray_end(struct sip *sip, const sip_t *in, const struct flow *flow)
{
    uint32_t cseq = in->sip_cseq->cs_seq;
    nta_leg_t *leg;

    if (!in->sip_contact || !agent_is_target(in->sip_contact->m_url) ||
        !dialog_routes_are_sane(in->sip_record_route))
        return;
    leg = nta_leg_tcreate(sip->agent.nta, NULL, NULL, SIPTAG_CALL_ID(in->sip_call_id),
                          SIPTAG_FROM(in->sip_from), SIPTAG_TO(in->sip_to), TAG_END());
    if (!leg)
        return;
    nta_leg_client_route(leg, in->sip_record_route, in->sip_contact);
    dialog_ack(sip, leg, flow, cseq, NULL);
    dialog_send(
        sip, leg, flow,
        &(struct dialog_request){.method = sip_method_bye, .name = "BYE", .cseq = cseq + 1});
    nta_leg_destroy(leg);
}

void stray_response(struct sip *sip, msg_t *msg, sip_t *in)
{
    static uint64_t second;
    static int answered;
    uint64_t now = sip_now_ms() / 1000;
    struct flow flow;

    if (now != second) {
        second = now;
        answered = 0;
    }
    if (in->sip_cseq && in->sip_cseq->cs_method == sip_method_invite &&
        in->sip_status->st_status >= 200 && in->sip_status->st_status < 300 && in->sip_to->a_tag &&
        answered < STRAYS_PER_SECOND && !agent_flow(sip, msg, &flow) &&
        registrar_knows(sip->registrar, &flow.remote)) {
        answered++;
        stray_end(sip, in, &flow);
    }
    msg_destroy(msg);
}
