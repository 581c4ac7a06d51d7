/* sip/dialog.h: sending requests inside dialogs, along their flow. Private. */
#ifndef SIP_DIALOG_H
#define SIP_DIALOG_H

#include "sip/core.h"

struct dialog_request {
    sip_method_t method;
    const char *name;
    uint32_t cseq;               /* 0: the next one */
    const char *reason;          /* Reason header; NULL: none */
    const char *contact;         /* NULL: none */
    const char *sdp;             /* NULL: none */
    nta_response_f *on_response; /* NULL: the answer does not matter, nothing to be freed */
    void *ctx;
};

/* Sends a request. With on_response the transaction is returned (nta_outgoing_destroy it); else,
 * and on failure, NULL. */
nta_outgoing_t *dialog_send(struct sip *sip, nta_leg_t *leg, const struct flow *flow,
                            const struct dialog_request *request);
/* Acknowledges the 2xx to the INVITE with this CSeq; `sdp` may be NULL. */
void dialog_ack(struct sip *sip, nta_leg_t *leg, const struct flow *flow, uint32_t cseq,
                const char *sdp);
/* Whether each Record-Route entry may become a route: sip: or sips: with a host. */
bool dialog_routes_are_sane(const sip_record_route_t *routes);

#endif
