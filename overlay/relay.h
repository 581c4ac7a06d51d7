/* overlay/relay.h: the relay: joins the connections of the two ends of a tunnel, and forwards
 * between them only.
 *
 * A connection with ALPN "sallyport-relay/1" is handed over by the listener after its TLS
 * handshake. Its first frame must be a RelayBind with a ticket (ticket.h) that one of the two ends
 * has signed; nothing else is needed, and nothing has to be known before: a relay that has started
 * again takes those who come back. Packets are passed to the other end unread, by the means that it
 * used last: its TLS connections (RFC 4571 frames, queues bounded by age) or its channel by UDP.
 * Bandwidth is capped, per tunnel and in all; a tunnel with a missing end, or through which nothing
 * goes, is dropped after a minute.
 *
 * relay.c hears the RelayBind on the control thread, relay_admit.c judges it; then the connection
 * moves to the worker of its tunnel (relay_tunnel.c, relay_udp.c) for good.
 */
#ifndef OVERLAY_RELAY_H
#define OVERLAY_RELAY_H

#include "overlay/core.h"
#include "overlay/ticket.h"

struct relay;
struct udp_port;
struct tls_stream; /* tls.h: one TLS connection on a uv_tcp_t, after its handshake */

struct relay_settings {
    uv_loop_t *loop; /* control */
    const struct overlay_workers *workers;
    const struct identity *identity;
    struct udp_port *udp_port; /* for legs by UDP; NULL: none. Must outlive the relay. */
    /* How busy it is, in per cent, when that has changed; NULL: not wanted. */
    void (*on_load)(void *ctx, unsigned load);
    void *ctx;
    unsigned
        tunnel_kbit_s; /* cap, each way; 0: 2000, which is some 25 calls in G.711 or 50 in Opus */
    unsigned relay_kbit_s; /* cap of all tunnels together, shared fairly; 0: none */
    unsigned tunnels_max;  /* at once; 0: 2048 */
    unsigned idle_s;       /* a tunnel through which nothing goes is dropped after; 0: 60 */
};
int relay_open(const struct relay_settings *settings, struct relay **relay);
/* Tells all ends that it is about to leave, so that they take another relay while this one still
 * forwards; relay_close is to follow RELAY_LEAVE_MS later. */
#define RELAY_LEAVE_MS 400
void relay_leave(struct relay *relay);
/* Closes all connections, reports (at most about 1 s). */
void relay_close(struct relay *relay, void (*on_closed)(void *ctx), void *ctx);
/* Takes the connection (and frees it in the end). May be called from inside the stream's on_up. */
void relay_take(struct relay *relay, struct tls_stream *stream, const struct certificate *peer);
/* Some nodes are revoked now: their tunnels are closed; all of them, when we are. */
void relay_revoke(struct relay *relay);
enum relay_figure {
    RELAY_PACKETS,
    RELAY_BYTES, /* forwarded */
    /* dropped: */
    RELAY_OVER_CAP,
    RELAY_MISSING, /* the other end is not there */
    RELAY_LATE,    /* waited too long for a connection that does not move */
    RELAY_UNKNOWN, /* by UDP, of no channel, or from another address than the channel's */
    /* requests to bind a channel that were not answered: */
    RELAY_BINDS_MALFORMED,
    RELAY_BINDS_FORGED,
    RELAY_BINDS_REPLAYED,
    RELAY_FIGURES
};
/* Since the start; any thread. */
uint64_t relay_figure(const struct relay *relay, enum relay_figure figure);
/* Binds refused since the start, by why. */
uint64_t relay_refused(const struct relay *relay, enum ticket_fault fault);
/* How busy it is, per cent of what it may carry; any thread. */
unsigned relay_load(const struct relay *relay);
/* Tunnels with at least one end. */
unsigned relay_tunnel_count(const struct relay *relay);

#endif
