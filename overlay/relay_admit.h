/* overlay/relay_admit.h: who may bind at this relay: tickets, rates, seats.
 *
 * Keeps who has signed for which tunnel that is there, and nothing of others: a ticket says all
 * else. Control thread; owns no socket or clock.
 */
#ifndef OVERLAY_RELAY_ADMIT_H
#define OVERLAY_RELAY_ADMIT_H

#include "overlay/bucket.h"
#include "overlay/relay_frame.h"

struct relay_seat;
struct relay_signer;

/* Zero-initialise, set the first four, trust_init. */
struct relay_admission {
    const uint8_t *node; /* ours */
    unsigned tunnels_max, tunnels_per_signer;
    struct trust trust;
    struct relay_seat *seats;
    struct relay_signer *signers;
    uint64_t refused[TICKET_FAULTS]; /* by why */
};
void relay_admission_fini(struct relay_admission *admission);

struct relay_binder {
    const struct relay_bind *bind;
    const struct certificate *bearer; /* of the TLS handshake */
    uint64_t now_ms;                  /* monotonic */
    int64_t now_s;
};
struct relay_admitted {
    uint8_t tunnel[TICKET_TUNNEL_BYTES]; /* what names it here */
    bool is_higher;                      /* the binder has the higher node id of the two ends */
    uint8_t serial[CERTIFICATE_SERIAL_BYTES]; /* of its certificate */
};
/* May the bearer bind with this? If so, one connection more is counted for the tunnel. */
enum ticket_fault relay_admit(struct relay_admission *admission, const struct relay_binder *binder,
                              struct relay_admitted *out);
/* The tunnel has ended, after so many of the connections that were admitted to it. */
void relay_admission_end(struct relay_admission *admission,
                         const uint8_t tunnel[TICKET_TUNNEL_BYTES], unsigned connections);
unsigned relay_admission_tunnels(const struct relay_admission *admission);

#endif
