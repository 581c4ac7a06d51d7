/* gateway/admin.h: the JSON API of a running node, over HTTP on a local address.
 *
 *   GET /status   the node: overlay, phones, counters
 *   GET /calls    calls in progress and the last ones that ended
 *
 * libmicrohttpd does HTTP; its epoll descriptor is polled by the control thread, so requests are
 * answered between other work and need no lock.
 */
#ifndef GATEWAY_ADMIN_H
#define GATEWAY_ADMIN_H

struct admin;
struct gateway;

/* Listens on conf->admin.listen. 0, or negative errno after logging why. */
int admin_open(struct gateway *gateway, struct admin **admin);
/* Closes at once; the handles close as the loop goes on. */
void admin_close(struct admin *admin);

#endif
