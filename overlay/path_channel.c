#include "overlay/path_channel.h"

#include "overlay/path_worker.h"

#include <errno.h>
#include <netinet/in.h>
#include <sodium.h>
#include <string.h>
#include <time.h>

#define FIRST_RETRY_MS 100
#define RETRY_MAX_MS 400
#define REFRESH_MS 15000 /* shorter than any sane NAT forgets */
#define GIVE_UP_AFTER 7  /* requests: 2 s */
#define DOUBTS_FREE 3    /* within FORGIVEN_MS; then it is bound again after a pause */
#define PAUSE_MIN_MS 1000
#define PAUSE_MAX_MS 60000
#define FORGIVEN_MS 60000 /* bound for so long: what was before does not count */

static bool key_of(struct path_channel_key *key, uint32_t number,
                   const struct sockaddr_storage *address)
{
    memset(key, 0, sizeof *key);
    key->number = number;
    key->family = address->ss_family;
    key->port = address_port(address);
    if (address->ss_family == AF_INET)
        memcpy(key->ip, &((const struct sockaddr_in *)address)->sin_addr, 4);
    else if (address->ss_family == AF_INET6)
        memcpy(key->ip, &((const struct sockaddr_in6 *)address)->sin6_addr, 16);
    else
        return false;
    return true;
}

static struct path_channel *find(struct path_worker *worker, uint32_t number,
                                 const struct sockaddr_storage *source)
{
    struct path_channel *channel = NULL;
    struct path_channel_key key;

    if (key_of(&key, number, source))
        HASH_FIND(hh, worker->channels, &key, sizeof key, channel);
    return channel;
}

void path_channel_open(struct path_channel *channel, struct path_way *way,
                       const struct relay_bound *bound, const struct sockaddr_storage *relay)
{
    struct path_worker *worker = way->path->worker;
    struct sockaddr_storage address = *relay;
    struct path_channel_key at;

    address_normalise(&address);
    address_set_port(&address, bound->udp_port);
    if (!worker->socket || !bound->udp_port || !key_of(&at, bound->channel, &address) ||
        find(worker, bound->channel, &address)) /* this one, most likely */
        return;
    path_channel_close(channel);
    channel->way = way;
    channel->is_open = true;
    channel->at = at;
    memcpy(channel->key, bound->key, sizeof channel->key);
    path_socket_address(worker->socket, &address, &channel->wire);
    channel->due_ms = uv_now(worker->loop);
    HASH_ADD(hh, worker->channels, at, sizeof channel->at, channel);
    path_live_wake(way->path);
}

void path_channel_close(struct path_channel *channel)
{
    if (channel->is_open)
        HASH_DEL(channel->way->path->worker->channels, channel);
    memset(channel, 0, sizeof *channel);
}

/* ---- packets ----------------------------------------------------------------------------------
 */

int path_channel_send(struct path_channel *channel, const uint8_t *packet, size_t bytes)
{
    uint8_t frame[CHANNEL_BYTES + STREAM_PACKET_MAX];

    if (!channel->is_bound)
        return -ENOTCONN;
    if (bytes > STREAM_PACKET_MAX)
        return -EMSGSIZE;
    channel_write(frame, channel->at.number);
    memcpy(frame + CHANNEL_BYTES, packet, bytes);
    return path_socket_send(channel->way->path->worker->socket, &channel->wire, frame,
                            CHANNEL_BYTES + bytes);
}

void path_channel_receive(struct path_worker *worker, const struct sockaddr_storage *source,
                          uint8_t *data, size_t bytes)
{
    struct path_channel *channel =
        bytes > CHANNEL_BYTES ? find(worker, channel_read(data), source) : NULL;

    if (channel)
        path_worker_receive(worker, channel->way, NULL, data + CHANNEL_BYTES,
                            bytes - CHANNEL_BYTES);
    else
        worker->figures.channel_unknown++;
}

/* ---- binding ----------------------------------------------------------------------------------
 */

static void ask(struct path_channel *channel, uint64_t now_ms)
{
    struct path_worker *worker = channel->way->path->worker;
    uint8_t message[STUN_MESSAGE_MAX];
    struct timespec now;
    uint64_t wait_ms = (uint64_t)FIRST_RETRY_MS
                       << (channel->unanswered < 2 ? channel->unanswered : 2);

    /* It has to grow over all that this node ever asks of this relay: a clock does. */
    clock_gettime(CLOCK_REALTIME, &now);
    size_t bytes = channel_encode_bind(
        message, channel->at.number, (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000,
        (uint16_t)randombytes_random(), channel->key, channel->transaction);
    path_socket_send(worker->socket, &channel->wire, message, bytes);
    channel->unanswered++;
    channel->due_ms = now_ms + (wait_ms < RETRY_MAX_MS ? wait_ms : RETRY_MAX_MS);
}

static uint64_t pause_ms(struct path_channel *channel)
{
    unsigned shift = channel->failures < 6 ? channel->failures : 6;
    uint64_t wait_ms = (uint64_t)PAUSE_MIN_MS << shift;

    channel->failures++;
    return wait_ms < PAUSE_MAX_MS ? wait_ms : PAUSE_MAX_MS;
}

uint64_t path_channel_tick(struct path_channel *channel, uint64_t now_ms, bool *is_changed)
{
    *is_changed = false;
    if (!channel->is_open)
        return PATH_NEVER;
    if (now_ms < channel->due_ms)
        return channel->due_ms;
    if (channel->unanswered < GIVE_UP_AFTER) {
        ask(channel, now_ms);
        return channel->due_ms;
    }
    *is_changed = channel->is_bound;
    channel->is_bound = false;
    channel->unanswered = 0;
    channel->due_ms = now_ms + pause_ms(channel);
    return channel->due_ms;
}

bool path_channel_doubt(struct path_channel *channel, uint64_t now_ms)
{
    if (!channel->is_bound)
        return false;
    if (now_ms >= channel->bound_ms + FORGIVEN_MS)
        channel->failures = 0;
    channel->is_bound = false;
    channel->unanswered = 0;
    /* At once the first times: a router may have forgotten us. */
    channel->due_ms = channel->failures >= DOUBTS_FREE ? now_ms + pause_ms(channel) : now_ms;
    channel->failures += channel->failures < DOUBTS_FREE;
    return true;
}

bool path_channel_answer(struct path_worker *worker, const struct sockaddr_storage *source,
                         const uint8_t *data, size_t bytes)
{
    struct path_channel *channel;
    struct stun_message message;
    uint64_t number, now_ms = uv_now(worker->loop);

    if (!worker->channels || bytes < STUN_HEADER_BYTES || data[0] != STUN_BINDING_RESPONSE >> 8 ||
        data[1] != (STUN_BINDING_RESPONSE & 0xff))
        return false;
    channel = find(worker, channel_of_transaction(data + 8, &number), source);
    if (!channel)
        return false;
    if (channel->unanswered == 0 ||
        memcmp(channel->transaction, data + 8, sizeof channel->transaction) != 0 ||
        stun_decode(data, bytes, &message) < 0 || message.integrity_at == 0 ||
        !stun_verify(data, &message, channel->key, sizeof channel->key)) {
        worker->figures.check_forged++;
        return true;
    }
    channel->unanswered = 0;
    channel->due_ms = now_ms + REFRESH_MS;
    if (!channel->is_bound) {
        channel->is_bound = true;
        channel->bound_ms = now_ms;
        path_relay_on_channel(channel->way);
    } else if (now_ms >= channel->bound_ms + FORGIVEN_MS) {
        channel->failures = 0;
    }
    path_live_wake(channel->way->path);
    return true;
}
