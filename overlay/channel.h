/* overlay/channel.h: relay channels on the wire: media between a node and its relay over UDP.
 *
 * A packet travels as its channel (4 bytes, the first of them 0x40-0x4f: RFC 7983's range of TURN)
 * and itself. A node binds its channel, to the address that it is seen at, by a STUN Binding
 * request, whose transaction id is
 *
 *   byte 0      lowest byte of the channel (by which the relay's kernel finds the worker)
 *   bytes 1-6   a number that grows
 *   bytes 7-9   the rest of the channel
 *   bytes 10-11 random
 *
 * USERNAME the channel in hex, MESSAGE-INTEGRITY-SHA256 under the key that RelayBound has told, and
 * PADDING up to the length of any answer. Pure.
 */
#ifndef OVERLAY_CHANNEL_H
#define OVERLAY_CHANNEL_H

#include "overlay/stun.h"

#define CHANNEL_BYTES 4
#define CHANNEL_KEY_BYTES 32
#define CHANNEL_USERNAME_BYTES 9

/* Does a packet that begins so belong to a channel? */
static inline bool channel_is_first(uint8_t first)
{
    return (first & 0xf0) == 0x40;
}

uint32_t channel_read(const uint8_t packet[CHANNEL_BYTES]);
void channel_write(uint8_t packet[CHANNEL_BYTES], uint32_t channel);

/* Writes a request (STUN_MESSAGE_MAX) with a transaction id made of the channel, `number` (48 bits)
 * and `lot`, which is given back in `transaction`; returns its length. */
size_t channel_encode_bind(uint8_t *out, uint32_t channel, uint64_t number, uint16_t lot,
                           const uint8_t key[CHANNEL_KEY_BYTES],
                           uint8_t transaction[STUN_TRANSACTION_BYTES]);
/* The channel and number of a transaction id. */
uint32_t channel_of_transaction(const uint8_t transaction[STUN_TRANSACTION_BYTES],
                                uint64_t *number);
/* The channel that a request's USERNAME names; 0: none. */
uint32_t channel_of_username(const char *username);

#endif
