#include "sip/dialog.h"

#include <stdio.h>

#include <sofia-sip/nta_tag.h>
#include <sofia-sip/sip_tag.h>

nta_outgoing_t *dialog_send(struct sip *sip, nta_leg_t *leg, const struct flow *flow,
                            const struct dialog_request *r)
{
    struct tport_s *tport = agent_tport(sip, flow);
    char route[ROUTE_MAX], cseq[32];
    nta_outgoing_t *sent;

    if (!tport)
        return NULL;
    snprintf(cseq, sizeof cseq, "%u %s", r->cseq, r->name);
    sent = nta_outgoing_tcreate(leg, r->on_response, (nta_outgoing_magic_t *)r->ctx,
                                URL_STRING_MAKE(agent_route(flow, route)), r->method, r->name, NULL,
                                NTATAG_TPORT(tport), SIPTAG_USER_AGENT_STR(AGENT_NAME),
                                TAG_IF(r->cseq, SIPTAG_CSEQ_STR(cseq)),
                                TAG_IF(r->reason, SIPTAG_REASON_STR(r->reason)),
                                TAG_IF(r->contact, SIPTAG_CONTACT_STR(r->contact)),
                                TAG_IF(r->contact, SIPTAG_ALLOW_STR(AGENT_ALLOW)),
                                TAG_IF(r->sdp, SIPTAG_CONTENT_TYPE_STR("application/sdp")),
                                TAG_IF(r->sdp, SIPTAG_PAYLOAD_STR(r->sdp)), TAG_END());
    if (sent && !r->on_response) {
        nta_outgoing_destroy(sent);
        return NULL;
    }
    return sent;
}

void dialog_ack(struct sip *sip, nta_leg_t *leg, const struct flow *flow, uint32_t cseq,
                const char *sdp)
{
    dialog_send(sip, leg, flow,
                &(struct dialog_request){
                    .method = sip_method_ack, .name = "ACK", .cseq = cseq, .sdp = sdp});
}

bool dialog_routes_are_sane(const sip_record_route_t *routes)
{
    for (; routes; routes = routes->r_next)
        if (!agent_is_target(routes->r_url))
            return false;
    return true;
}
