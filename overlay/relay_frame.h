/* overlay/relay_frame.h: RelayBind and RelayBound, the first frames on a connection to a relay
 * (bind_frame.h). Pure.
 */
#ifndef OVERLAY_RELAY_FRAME_H
#define OVERLAY_RELAY_FRAME_H

#include "overlay/bind_frame.h"
#include "overlay/candidate.h"
#include "overlay/ticket.h"

#define RELAY_KEY_BYTES 32

struct relay_bind {
    size_t ticket_bytes, certificate_bytes;
    uint8_t ticket[TICKET_BYTES_MAX];
    uint8_t certificate[IDENTITY_DER_MAX]; /* of the ticket's signer, unless it is the binder */
};

struct relay_bound {
    char refused[BIND_REASON_MAX]; /* "": bound */
    unsigned load;                 /* of the relay, per cent */
    uint16_t udp_port;             /* 0: it takes no UDP */
    uint32_t channel;              /* of this end */
    uint8_t key[RELAY_KEY_BYTES];  /* of the STUN requests that bind the channel */
};

/* Write a whole frame with its length into `out` (BIND_LENGTH_BYTES + BIND_FRAME_MAX) and return
 * how long it is. */
size_t relay_bind_encode(const struct relay_bind *bind, uint8_t *out);
size_t relay_bound_encode(const struct relay_bound *bound, uint8_t *out);
size_t relay_refused_encode(const char *refused, uint8_t *out);
/* -EBADMSG. What is refused is told in printable characters only. */
int relay_bind_decode(const uint8_t *frame, size_t bytes, struct relay_bind *bind);
int relay_bound_decode(const uint8_t *frame, size_t bytes, struct relay_bound *bound);

#endif
