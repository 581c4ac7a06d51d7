#include "overlay/channel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_AT 1
#define NUMBER_BYTES 6
#define REST_AT 7
#define LOT_AT 10

uint32_t channel_read(const uint8_t packet[CHANNEL_BYTES])
{
    return (uint32_t)packet[0] << 24 | (uint32_t)packet[1] << 16 | (uint32_t)packet[2] << 8 |
           packet[3];
}

void channel_write(uint8_t packet[CHANNEL_BYTES], uint32_t channel)
{
    for (int i = 0; i < CHANNEL_BYTES; i++)
        packet[i] = (uint8_t)(channel >> (24 - 8 * i));
}

size_t channel_encode_bind(uint8_t *out, uint32_t channel, uint64_t number, uint16_t lot,
                           const uint8_t key[CHANNEL_KEY_BYTES],
                           uint8_t transaction[STUN_TRANSACTION_BYTES])
{
    char username[CHANNEL_USERNAME_BYTES];
    struct stun_check check = {
        .type = STUN_BINDING_REQUEST, .transaction = transaction, .username = username, .key = key};
    uint8_t wire[CHANNEL_BYTES];

    channel_write(wire, channel);
    snprintf(username, sizeof username, "%08x", channel);
    transaction[0] = wire[3];
    for (int i = NUMBER_BYTES - 1; i >= 0; i--, number >>= 8)
        transaction[NUMBER_AT + i] = (uint8_t)number;
    memcpy(transaction + REST_AT, wire, 3);
    memcpy(transaction + LOT_AT, &lot, sizeof lot);
    return stun_encode_padded(out, &check);
}

uint32_t channel_of_transaction(const uint8_t transaction[STUN_TRANSACTION_BYTES], uint64_t *number)
{
    uint8_t wire[CHANNEL_BYTES] = {transaction[REST_AT], transaction[REST_AT + 1],
                                   transaction[REST_AT + 2], transaction[0]};

    *number = 0;
    for (int i = 0; i < NUMBER_BYTES; i++)
        *number = *number << 8 | transaction[NUMBER_AT + i];
    return channel_read(wire);
}

uint32_t channel_of_username(const char *username)
{
    if (strlen(username) != CHANNEL_USERNAME_BYTES - 1 ||
        strspn(username, "0123456789abcdef") != CHANNEL_USERNAME_BYTES - 1)
        return 0;
    return (uint32_t)strtoul(username, NULL, 16);
}
