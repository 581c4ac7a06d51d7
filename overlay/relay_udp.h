/* overlay/relay_udp.h: the relay's side of channels: one end of a tunnel by UDP. Private to the
 * relay; all on the tunnel's worker.
 *
 * Each end that has bound by TLS is given a channel and its key. Whoever proves to have the key may
 * bind the channel to where he is seen; from then on packets of that address, and no other, are the
 * end's. A request that was recorded moves nothing: its number must be higher than any before.
 */
#ifndef OVERLAY_RELAY_UDP_H
#define OVERLAY_RELAY_UDP_H

#include "overlay/channel.h"
#include "overlay/udp_port.h"

#include <uthash.h>

struct relay_end;
struct relay_worker;

struct relay_channel {
    uint32_t number; /* 0: none was given */
    uint8_t key[CHANNEL_KEY_BYTES];
    struct sockaddr_storage remote; /* family 0: not bound */
    bool is_preferred;              /* what came last from this end came by UDP */
    uint64_t seen_number;           /* of its requests */
    uint8_t seen[STUN_TRANSACTION_BYTES];
    struct relay_end *end;
    UT_hash_handle hh; /* worker->channels */
};

/* Gives the end a channel, if there is a UDP port. */
void relay_udp_open(struct relay_worker *worker, struct relay_end *end);
void relay_udp_close(struct relay_worker *worker, struct relay_end *end);
/* Can the end be reached by UDP, and does it want to be? */
bool relay_udp_is_preferred(const struct relay_end *end);
void relay_udp_send(struct relay_end *end, const uint8_t *packet, size_t bytes);
/* For udp_port_handle, with the struct relay_worker as ctx. */
void relay_udp_receive(void *ctx, int worker, const struct sockaddr_storage *source, uint8_t *data,
                       size_t bytes);

#endif
