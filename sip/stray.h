/* sip/stray.h: 2xx responses to INVITEs of which nobody waits any more: a phone took the call in
 * the moment in which it was cancelled, or a second one behind the same contact did. Private. */
#ifndef SIP_STRAY_H
#define SIP_STRAY_H

#include "sip/core.h"

/* A response without a transaction; takes `msg`. Only phones that are registered are answered, and
 * only so many per second: else it would be a mirror for forged packets. */
void stray_response(struct sip *sip, msg_t *msg, sip_t *in);
/* Acknowledges a 2xx that is not wanted and ends its dialog. */
void stray_end(struct sip *sip, const sip_t *in, const struct flow *flow);

#endif
