/* overlay/udp_port.h: the open UDP port of a node that serves as supernode or relay.
 *
 * Same address and port number as its TCP door. One socket per media worker in one SO_REUSEPORT
 * group; the kernel steers each packet by its bytes, so that no packet crosses threads:
 *
 *   first byte 0x40-0x4f   a relay channel (4 bytes, then the packet): by its lowest byte
 *   otherwise              STUN: by the first byte of the transaction id
 *
 * each modulo the number of workers. Plain Binding requests are answered here with the address that
 * they came from, never by more bytes than were asked with: whoever forges a source can make us
 * send no more than he sends. What else comes is given to the relay.
 *
 * Threads: opened and closed on the control thread; "worker" is the thread of that worker.
 */
#ifndef OVERLAY_UDP_PORT_H
#define OVERLAY_UDP_PORT_H

#include "overlay/overlay.h"

struct udp_port;

struct udp_port_settings {
    uv_loop_t *control;
    const struct overlay_workers *workers;  /* must outlive the port */
    const struct sockaddr_storage *address; /* "[::]:443" takes IPv4 as well */
};
/* -EADDRINUSE, -EACCES, … */
int udp_port_open(const struct udp_port_settings *settings, struct udp_port **port);
/* Whoever has set a handler has taken it away by now. */
void udp_port_close(struct udp_port *port, void (*on_closed)(void *ctx), void *ctx);
uint16_t udp_port_number(const struct udp_port *port);

/* Worker: gets what is no plain Binding request: channel packets, and well-formed STUN (first byte
 * 0-3). `source` is normalised. The bytes may be changed. */
typedef void (*udp_port_on_packet)(void *ctx, int worker, const struct sockaddr_storage *source,
                                   uint8_t *data, size_t bytes);
/* Worker: from now on; NULL: no more. */
void udp_port_handle(struct udp_port *port, int worker, udp_port_on_packet on_packet, void *ctx);
/* Worker: `to` normalised. 0 or negative errno. */
int udp_port_send(struct udp_port *port, int worker, const struct sockaddr_storage *to,
                  const uint8_t *data, size_t bytes);

/* Since the start, of all workers; any thread. */
struct udp_port_figures {
    uint64_t answered;
    uint64_t too_short; /* plain requests shorter than their answer would be: not answered */
    uint64_t malformed;
    uint64_t unhandled; /* for a relay, but there is none */
};
void udp_port_figures(const struct udp_port *port, struct udp_port_figures *figures);

#endif
