/* overlay/door.h: who stands at the door: per host, the handshakes going on and those that failed
 * lately.
 *
 * A host is an IPv4 address or an IPv6 /64, for who has one address of it has all. Members of the
 * realm behind one NAT may come all at once; who fails again and again is a stranger, and costs no
 * more than a closed connection from then on. Pure: time is passed in. Private to listen.c and
 * tests.
 */
#ifndef OVERLAY_DOOR_H
#define OVERLAY_DOOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define DOOR_OPEN_MAX 512 /* handshakes at once */
#define DOOR_OPEN_PER_HOST_MAX 64
#define DOOR_FAILED_PER_HOST_MAX 100 /* and one more each 600 ms */
#define DOOR_HOSTS_MAX 8192          /* remembered */

struct door;
struct door_host;

struct door *door_new(void);
/* No handshake may be open any more. */
void door_free(struct door *door);

/* A handshake begins. NULL with *why when it may not. */
struct door_host *door_enter(struct door *door, const struct sockaddr_storage *address,
                             uint64_t now_ms, const char **why);
/* It is over. */
void door_leave(struct door *door, struct door_host *host, bool has_failed, uint64_t now_ms);

#endif
