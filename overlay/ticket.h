/* overlay/ticket.h: tickets: one end of a call lets itself and the other end use a relay.
 *
 * A ticket names a tunnel, the relay, both ends and a time, and is signed by one of the ends. The
 * relay keeps no record of tickets: whoever shows a good one may bind, also after the relay has
 * started again. A tunnel's identity at the relay is made of the ticket's tunnel number and both
 * ends, so that nobody can get into a tunnel by signing a ticket for its number. Pure.
 */
#ifndef OVERLAY_TICKET_H
#define OVERLAY_TICKET_H

#include "overlay/trust.h"

#define TICKET_TUNNEL_BYTES 16
#define TICKET_BYTES_MAX 256
#define TICKET_LIFETIME_MAX_S (12 * 3600)
#define TICKET_CLOCK_S 60 /* so far clocks may be apart */

struct ticket {
    uint8_t tunnel[TICKET_TUNNEL_BYTES];
    uint8_t relay[OVERLAY_NODE_ID_BYTES];
    uint8_t signer[OVERLAY_NODE_ID_BYTES], peer[OVERLAY_NODE_ID_BYTES]; /* the two ends */
    int64_t issued_s;
    uint32_t lifetime_s;
};

/* Writes the ticket, signed by us (`signer` is filled in), into `out` (TICKET_BYTES_MAX); returns
 * its length. */
size_t ticket_sign(const struct identity *identity, const struct ticket *ticket, uint8_t *out);
/* `SignedTicket` of overlay.proto; nothing of it is proved by that. -EBADMSG. */
int ticket_decode(const uint8_t *data, size_t bytes, struct ticket *ticket);

/* Why a relay refuses to bind; the last two are of the relay, not of a ticket. */
enum ticket_fault {
    TICKET_GOOD,
    TICKET_MALFORMED,
    TICKET_ELSEWHERE, /* for another relay */
    TICKET_STRANGER,  /* who shows it is none of its ends */
    TICKET_TIMES,     /* expired, of the future, or too long */
    TICKET_FORGED,    /* not signed by its signer, or whose certificate is not good */
    TICKET_TOO_OFTEN,
    TICKET_NO_ROOM,
    TICKET_FAULTS
};
const char *ticket_fault_text(enum ticket_fault fault);

struct ticket_trial {
    const uint8_t *data; /* SignedTicket */
    size_t bytes;
    const uint8_t *certificate; /* of the signer, DER; none: whoever shows it has signed it */
    size_t certificate_bytes;
    const struct certificate *bearer; /* of the TLS handshake */
    const uint8_t *relay;             /* our node id */
    int64_t now_s;
    struct trust *trust;
};
/* May the bearer bind? Fills *ticket unless it is malformed. */
enum ticket_fault ticket_check(const struct ticket_trial *trial, struct ticket *ticket);

/* What names the tunnel at the relay. */
void ticket_tunnel_key(const struct ticket *ticket, uint8_t key[TICKET_TUNNEL_BYTES]);
/* Of the two ends, is this the one with the higher node id? */
bool ticket_is_higher(const struct ticket *ticket, const uint8_t node[OVERLAY_NODE_ID_BYTES]);

#endif
