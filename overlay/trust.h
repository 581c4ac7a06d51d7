/* overlay/trust.h: which certificates were found good just now.
 *
 * Verifying a certificate costs more than all else that a call message needs, and the same few come
 * again and again: in each offer of a busy gateway, in each record of its names. What was good is
 * taken for good for a minute, as long as it has not expired; what was not is verified each time.
 * Private to the core.
 */
#ifndef OVERLAY_TRUST_H
#define OVERLAY_TRUST_H

#include "overlay/identity.h"

#include <sys/queue.h>

#define TRUST_KEPT_MAX 512
#define TRUST_KEPT_S 60

struct trusted;
struct trust {
    const struct identity *identity;
    struct trusted *by_der;
    TAILQ_HEAD(trusted_queue, trusted) oldest_first;
};
void trust_init(struct trust *trust, const struct identity *identity);
void trust_fini(struct trust *trust);
/* All is verified anew: what was good may be revoked now. */
void trust_flush(struct trust *trust);
/* As identity_verify. */
int trust_verify(struct trust *trust, const uint8_t *der, size_t bytes, int64_t now_s,
                 struct certificate *certificate, char *why, size_t why_bytes);

#endif
