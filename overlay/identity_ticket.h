/* overlay/identity_ticket.h: the keys that TLS session tickets are sealed with.
 *
 * Random, known to this process alone and never written down: a restart makes all tickets void. A
 * key seals for IDENTITY_TICKET_S and opens for as long again; then it is overwritten. Time is
 * passed in, in seconds of a clock that does not jump. Private to identity*.c and tests. Any
 * thread.
 */
#ifndef OVERLAY_IDENTITY_TICKET_H
#define OVERLAY_IDENTITY_TICKET_H

#include <stdint.h>

#define IDENTITY_TICKET_S 3600 /* how long a ticket is good */
#define IDENTITY_TICKET_NAME_BYTES 16

struct identity_ticket_key {
    uint8_t name[IDENTITY_TICKET_NAME_BYTES]; /* stands in the ticket */
    uint8_t cipher[32];                       /* AES-256 */
    uint8_t mac[32];                          /* HMAC with SHA-256 */
};

struct identity_tickets;

/* NULL: out of memory. */
struct identity_tickets *identity_tickets_new(void);
void identity_tickets_free(struct identity_tickets *tickets);
/* The key to seal with. */
void identity_tickets_seal(struct identity_tickets *tickets, int64_t now_s,
                           struct identity_ticket_key *key);
/* The key of that name; -ENOENT: not one of ours, or gone by now. */
int identity_tickets_open(struct identity_tickets *tickets, int64_t now_s,
                          const uint8_t name[IDENTITY_TICKET_NAME_BYTES],
                          struct identity_ticket_key *key);

#endif
