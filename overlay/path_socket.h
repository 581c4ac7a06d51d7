/* overlay/path_socket.h: a UDP socket of a worker: one port for IPv6 and IPv4, read in batches.
 *
 * Opened on the control thread, then used on one worker. IPv4 alone where the kernel has no IPv6.
 */
#ifndef OVERLAY_PATH_SOCKET_H
#define OVERLAY_PATH_SOCKET_H

#include "overlay/overlay.h"

struct path_socket;

/* Binds to any address and `port` (0: any port). -EADDRINUSE, -EACCES, … */
int path_socket_open(uint16_t port, struct path_socket **socket);
/* Binds to this address, which others of this process may share (SO_REUSEPORT); "[::]" takes IPv4
 * as well. */
int path_socket_open_shared(const struct sockaddr_storage *address, struct path_socket **socket);
void path_socket_close(struct path_socket *socket);
int path_socket_fd(const struct path_socket *socket);
uint16_t path_socket_port(const struct path_socket *socket);

/* `to` as path_socket_address made it. 0 or negative errno. */
int path_socket_send(struct path_socket *socket, const struct sockaddr_storage *to,
                     const uint8_t *data, size_t bytes);
/* The form in which this socket takes an address: ::ffff:a.b.c.d for IPv4 on a dual-stack one. */
void path_socket_address(const struct path_socket *socket, const struct sockaddr_storage *address,
                         struct sockaddr_storage *wire);
/* Takes what has come, a few batches at most, so that others get their turn. `from` is not
 * normalised. */
typedef void (*path_socket_on_packet)(void *ctx, const struct sockaddr_storage *from, uint8_t *data,
                                      size_t bytes);
void path_socket_receive(struct path_socket *socket, path_socket_on_packet on_packet, void *ctx);

/* The addresses of this machine that a peer may be told, with `port`; returns how many. */
int path_socket_hosts(uint16_t port, struct sockaddr_storage *out, int max);

#endif
