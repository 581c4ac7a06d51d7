/* overlay/relay.h: the relay: joins two media connections of one tunnel, and forwards between them only.
 *
 * A connection with ALPN "sallyport-relay/1" is handed over by the listener after its TLS handshake. Its
 * first frame must be a RelayBind for a tunnel that was reserved for exactly these two node ids. Frames
 * (RFC 4571) are passed to the other end unread; queues are bounded by age (stream.h); bandwidth per tunnel
 * is capped; a tunnel with a missing end is dropped after a minute.
 */
#ifndef OVERLAY_RELAY_H
#define OVERLAY_RELAY_H

#include "overlay/core.h"

struct relay;
struct tls_stream; /* tls.h: one TLS connection on a uv_tcp_t, after its handshake */

struct relay_settings {
    uv_loop_t *loop; /* control */
    const struct overlay_workers *workers;
    /* core_reservation */
    int (*reservation)(void *ctx, const uint8_t tunnel[16], const uint8_t asker[OVERLAY_NODE_ID_BYTES],
                       uint8_t peer[OVERLAY_NODE_ID_BYTES]);
    void *ctx;
};
int relay_open(const struct relay_settings *settings, struct relay **relay);
void relay_close(struct relay *relay, void (*on_closed)(void *ctx), void *ctx);
/* Takes the connection (and frees it in the end). */
void relay_take(struct relay *relay, struct tls_stream *stream, const struct certificate *peer);
unsigned relay_tunnel_count(const struct relay *relay);

#endif
