/* overlay/path_stun.h: which address a worker's socket has, seen from outside, and how far servers
 * are.
 *
 * A worker asks the open UDP ports of a few servers (udp_port.h) by plain STUN Binding requests
 * from the socket that carries its paths. A round is one request and, without an answer, more of it
 * after 100, 200, 400 and 800 ms; it ends with the answer, or after 3 s in silence. Servers that
 * are kept are asked again every 20-25 s, which keeps the mapping at the NAT as well; silent ones
 * every 30 s. That is all that an idle worker sends: per server and 22 s 80 bytes there and 68 back
 * (IPv4), 53 bit/s.
 *
 * On the worker, but for the result, which is told on the control thread.
 */
#ifndef OVERLAY_PATH_STUN_H
#define OVERLAY_PATH_STUN_H

#include "overlay/path.h"
#include "overlay/path_post.h"
#include "overlay/stun.h"

struct path_worker;
struct path_stun;

/* NULL without memory or socket. */
struct path_stun *path_stun_open(struct path_worker *worker);
/* `worker->lingering` counts until it is gone. */
void path_stun_close(struct path_stun *stun);
/* From now on these, all of them at once. */
struct path_stun_list {
    unsigned number; /* comes back with the results */
    int count;
    struct path_stun_server server[PATH_STUN_SERVERS_MAX];
};
void path_stun_ask(struct path_stun *stun, const struct path_stun_list *list);
/* A STUN message from `source` (normalised): true when it was for us. */
bool path_stun_receive(struct path_stun *stun, const struct sockaddr_storage *source,
                       const uint8_t *data, size_t bytes);
/* Tells once when an indication with this transaction id comes, from wherever. */
void path_stun_expect(struct path_stun *stun, const uint8_t knock[STUN_TRANSACTION_BYTES]);

/* Letters to the control thread. */
struct path_stun_told {
    struct path_letter letter;
    struct paths *paths;
    unsigned number; /* of the list */
    struct path_stun_result result;
};
struct path_stun_knocked {
    struct path_letter letter;
    struct paths *paths;
    uint8_t knock[STUN_TRANSACTION_BYTES];
};

#endif
