/* overlay/door.h: who stands at the door: per host, the handshakes going on and those that failed
 * lately; and how many handshakes may begin.
 *
 * A handshake is work, and those who are in already come first: so many begin in a second, and
 * fewer as soon as the loop is late, down to DOOR_PER_S_MIN; each time that it is not, a little
 * more.
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

#define DOOR_OPEN_MAX 1024 /* waiting or shaking hands, in all */
#define DOOR_OPEN_PER_HOST_MAX 64
#define DOOR_FAILED_PER_HOST_MAX 100 /* and one more each 600 ms */
#define DOOR_HOSTS_MAX 8192          /* remembered */

#define DOOR_PER_S 600     /* handshakes begun; about half of a core (tests/bench/bench_clients) */
#define DOOR_PER_S_MIN 100 /* even then */
#define DOOR_BURST 32
#define DOOR_LATE_MS 100 /* the loop is late */

struct door;
struct door_host;

struct door *door_new(void);
/* No handshake may be open any more. */
void door_free(struct door *door);

/* Somebody comes. NULL with *why when it may not. */
struct door_host *door_enter(struct door *door, const struct sockaddr_storage *address,
                             uint64_t now_ms, const char **why);
/* May a handshake of those who came begin now? */
bool door_begin(struct door *door, uint64_t now_ms);
/* How late the loop was; to be told at a steady pace as long as anybody is there. */
void door_on_loop(struct door *door, uint64_t late_ms);
/* Nobody is there, and all would be taken. */
bool door_is_quiet(const struct door *door);
/* The handshake is over, or will not be. */
void door_leave(struct door *door, struct door_host *host, bool has_failed, uint64_t now_ms);

#endif
