#include "overlay/relay_udp.h"

#include "overlay/relay_tunnel.h"

#include <sodium.h>
#include <string.h>

static struct relay_channel *find(struct relay_worker *worker, uint32_t number)
{
    struct relay_channel *channel;

    HASH_FIND(hh, worker->channels, &number, sizeof number, channel);
    return channel;
}

/* ---- channels ---------------------------------------------------------------------------------
 */

void relay_udp_open(struct relay_worker *worker, struct relay_end *end)
{
    struct relay_channel *channel = &end->channel;
    unsigned workers = (unsigned)relay_worker_count(worker->relay);
    unsigned lows = (256 - (unsigned)worker->index + workers - 1) / workers;

    if (!relay_get_settings(worker->relay)->udp_port || channel->number)
        return;
    do { /* the kernel finds the worker by the lowest byte */
        uint32_t low = (uint32_t)worker->index + workers * randombytes_uniform(lows);
        channel->number = 0x40000000u | (randombytes_random() & 0x0fffff00u) | low;
    } while (find(worker, channel->number));
    randombytes_buf(channel->key, sizeof channel->key);
    channel->end = end;
    HASH_ADD(hh, worker->channels, number, sizeof channel->number, channel);
}

void relay_udp_close(struct relay_worker *worker, struct relay_end *end)
{
    if (end->channel.number)
        HASH_DEL(worker->channels, &end->channel);
    memset(&end->channel, 0, sizeof end->channel);
}

/* ---- binding ----------------------------------------------------------------------------------
 */

/* A request is good once; the same one from the same address is only repeated, since the answer
 * was lost. */
static bool take_number(struct relay_channel *channel, const uint8_t *transaction,
                        const struct sockaddr_storage *source)
{
    uint64_t number;

    channel_of_transaction(transaction, &number);
    if (number > channel->seen_number) {
        channel->seen_number = number;
        memcpy(channel->seen, transaction, sizeof channel->seen);
        return true;
    }
    return memcmp(channel->seen, transaction, sizeof channel->seen) == 0 &&
           address_equal(&channel->remote, source);
}

static void on_request(struct relay_worker *worker, const struct sockaddr_storage *source,
                       const uint8_t *data, size_t bytes)
{
    const struct relay_settings *settings = relay_get_settings(worker->relay);
    struct relay_channel *channel;
    struct stun_message message;
    uint8_t response[STUN_MESSAGE_MAX];

    if (stun_decode(data, bytes, &message) < 0 || message.type != STUN_BINDING_REQUEST ||
        message.integrity_at == 0 || !message.has_fingerprint || message.unknown_required > 0) {
        relay_count(worker, RELAY_BINDS_MALFORMED, 1);
        return;
    }
    channel = find(worker, channel_of_username(message.username));
    if (!channel) {
        relay_count(worker, RELAY_UNKNOWN, 1);
        return;
    }
    if (!stun_verify(data, &message, channel->key, sizeof channel->key)) {
        relay_count(worker, RELAY_BINDS_FORGED, 1);
        return;
    }
    size_t length = stun_encode_response(response, message.transaction, source, channel->key);
    if (length > bytes) {
        relay_count(worker, RELAY_BINDS_MALFORMED, 1);
        return;
    }
    if (!take_number(channel, message.transaction, source)) {
        relay_count(worker, RELAY_BINDS_REPLAYED, 1);
        return;
    }
    channel->remote = *source;
    udp_port_send(settings->udp_port, worker->index, source, response, length);
}

/* ---- packets ----------------------------------------------------------------------------------
 */

bool relay_udp_is_preferred(const struct relay_end *end)
{
    return end->channel.is_preferred;
}

void relay_udp_send(struct relay_end *end, const uint8_t *packet, size_t bytes)
{
    struct relay_worker *worker = end->tunnel->worker;
    uint8_t frame[CHANNEL_BYTES + STREAM_PACKET_MAX];

    if (bytes > STREAM_PACKET_MAX)
        return;
    channel_write(frame, end->channel.number);
    memcpy(frame + CHANNEL_BYTES, packet, bytes);
    udp_port_send(relay_get_settings(worker->relay)->udp_port, worker->index, &end->channel.remote,
                  frame, CHANNEL_BYTES + bytes);
}

void relay_udp_receive(void *ctx, int index, const struct sockaddr_storage *source, uint8_t *data,
                       size_t bytes)
{
    struct relay_worker *worker = ctx;
    struct relay_channel *channel;

    (void)index;
    if (bytes == 0 || !channel_is_first(data[0])) {
        on_request(worker, source, data, bytes);
        return;
    }
    channel = bytes > CHANNEL_BYTES ? find(worker, channel_read(data)) : NULL;
    if (!channel || !address_equal(&channel->remote, source)) {
        relay_count(worker, RELAY_UNKNOWN, 1);
        return;
    }
    channel->is_preferred = true;
    relay_tunnel_forward(channel->end, data + CHANNEL_BYTES, bytes - CHANNEL_BYTES);
}
