/* overlay/path_channel.h: a node's side of a relay channel: its leg to the relay by UDP.
 *
 * Part of the way through that relay (path_relay.c), which falls back to its TLS connections while
 * the channel is not bound. Bound by a request that the relay has answered, asked again every 15 s,
 * which keeps the mappings on the way alive; with no answer for 2 s it is unbound, and tried again
 * later and later. On the worker.
 */
#ifndef OVERLAY_PATH_CHANNEL_H
#define OVERLAY_PATH_CHANNEL_H

#include "overlay/channel.h"
#include "overlay/relay_frame.h"

#include <uthash.h>

struct path_way;
struct path_worker;

/* Where it leads: what a packet that comes in is known by. */
struct path_channel_key {
    uint32_t number;
    uint16_t family, port;
    uint8_t ip[16];
};

struct path_channel {
    struct path_way *way;
    bool is_open; /* the relay takes UDP: `key` and what follows are set */
    bool is_bound;
    struct path_channel_key at;
    struct sockaddr_storage wire; /* of the relay, as the socket takes it */
    uint8_t key[CHANNEL_KEY_BYTES];
    uint8_t transaction[STUN_TRANSACTION_BYTES]; /* of the request that is out */
    unsigned unanswered;                         /* requests in a row */
    unsigned failures;                           /* rounds without an answer, and doubts, lately */
    uint64_t due_ms;                             /* of the next request */
    uint64_t bound_ms;                           /* since when; 0: never */
    UT_hash_handle hh;                           /* worker->channels */
};

/* The relay has bound us and sits at this address: asks for the channel, unless that was done. */
void path_channel_open(struct path_channel *channel, struct path_way *way,
                       const struct relay_bound *bound, const struct sockaddr_storage *relay);
void path_channel_close(struct path_channel *channel);
/* What does not fit is dropped, as any packet may be. -ENOTCONN: it is not bound. */
int path_channel_send(struct path_channel *channel, const uint8_t *packet, size_t bytes);
/* Does what is due and returns when it wants to be called again; true in *is_changed: it is not
 * bound any more. */
uint64_t path_channel_tick(struct path_channel *channel, uint64_t now_ms, bool *is_changed);
/* Nothing comes over it although it should: unbound at once, and asked for again. False: it was not
 * bound. */
bool path_channel_doubt(struct path_channel *channel, uint64_t now_ms);

/* From the worker's socket. A packet of a channel, given to its way without its number: what is of
 * no channel of ours is counted and dropped. */
void path_channel_receive(struct path_worker *worker, const struct sockaddr_storage *source,
                          uint8_t *data, size_t bytes);
/* A STUN message: true when it was the answer to a request of a channel. */
bool path_channel_answer(struct path_worker *worker, const struct sockaddr_storage *source,
                         const uint8_t *data, size_t bytes);

/* path_relay.c: a channel of this way was bound. */
void path_relay_on_channel(struct path_way *way);

#endif
