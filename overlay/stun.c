/* STUN messages: encoding, decoding, integrity and fingerprint. */
#include "overlay/stun.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <sodium.h>
#include <string.h>

#define MAGIC_COOKIE 0x2112a442u
#define FINGERPRINT_XOR 0x5354554eu
#define INTEGRITY_BYTES 32
#define FINGERPRINT_BYTES 8 /* with its header */
#define MAPPED_BYTES_MAX 24 /* XOR-MAPPED-ADDRESS of an IPv6 address, with its header */

enum attribute { /* RFC 8489 section 18.3 */
                 USERNAME = 0x0006,
                 MESSAGE_INTEGRITY = 0x0008,
                 REALM = 0x0014,
                 NONCE = 0x0015,
                 MESSAGE_INTEGRITY_SHA256 = 0x001c,
                 XOR_MAPPED_ADDRESS = 0x0020,
                 PRIORITY = 0x0024, /* RFC 8445 */
                 PADDING = 0x0026,  /* RFC 5780 */
                 FINGERPRINT = 0x8028,
                 PATH_FLAGS = 0xc5a1 /* ours */
};

static uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)get16(at) << 16 | get16(at + 2);
}

static uint8_t *put16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
    return at + 2;
}

static uint8_t *put32(uint8_t *at, uint32_t value)
{
    return put16(put16(at, value >> 16), value & 0xffff);
}

/* CRC-32 of ITU V.42, four bits at a time: fingerprints are short and rare. */
static uint32_t crc32(const uint8_t *data, size_t bytes)
{
    static const uint32_t nibble[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
                                        0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
                                        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    uint32_t crc = 0xffffffffu;

    for (size_t i = 0; i < bytes; i++) {
        crc ^= data[i];
        crc = crc >> 4 ^ nibble[crc & 15];
        crc = crc >> 4 ^ nibble[crc & 15];
    }
    return ~crc;
}

/* HMAC over everything before the attribute, with a length that ends with the attribute
 * (RFC 8489 section 14.6). */
static void integrity(const uint8_t *data, size_t at, const uint8_t *key, size_t key_bytes,
                      uint8_t mac[INTEGRITY_BYTES])
{
    crypto_auth_hmacsha256_state state;
    uint8_t head[4];

    memcpy(head, data, 2);
    put16(head + 2, (unsigned)(at + 4 + INTEGRITY_BYTES - STUN_HEADER_BYTES));
    crypto_auth_hmacsha256_init(&state, key, key_bytes);
    crypto_auth_hmacsha256_update(&state, head, sizeof head);
    crypto_auth_hmacsha256_update(&state, data + sizeof head, at - sizeof head);
    crypto_auth_hmacsha256_final(&state, mac);
}

bool stun_verify(const uint8_t *data, const struct stun_message *message, const uint8_t *key,
                 size_t key_bytes)
{
    uint8_t mac[INTEGRITY_BYTES];

    if (message->integrity_at == 0)
        return false;
    integrity(data, message->integrity_at, key, key_bytes, mac);
    return sodium_memcmp(mac, data + message->integrity_at + 4, sizeof mac) == 0;
}

/* ---- decoding ---------------------------------------------------------------------------------
 */

/* The XOR of section 14.2: magic cookie, for IPv6 followed by the transaction id, which is how both
 * stand in the header from offset 4 on. */
static int decode_mapped(const uint8_t *header, const uint8_t *value, size_t bytes,
                         struct sockaddr_storage *address)
{
    size_t ip_bytes = bytes == 8 ? 4 : bytes == 20 ? 16 : 0;
    uint8_t ip[16];

    if (ip_bytes == 0 || value[1] != (ip_bytes == 4 ? 1 : 2))
        return -EBADMSG;
    for (size_t i = 0; i < ip_bytes; i++)
        ip[i] = value[4 + i] ^ header[4 + i];
    memset(address, 0, sizeof *address);
    if (ip_bytes == 4) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)address;
        v4->sin_family = AF_INET;
        v4->sin_port = htons(get16(value + 2) ^ get16(header + 4));
        memcpy(&v4->sin_addr, ip, 4);
    } else {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(get16(value + 2) ^ get16(header + 4));
        memcpy(&v6->sin6_addr, ip, 16);
    }
    return 0;
}

static int decode_username(const uint8_t *value, size_t bytes, char *username)
{
    if (bytes == 0 || bytes >= STUN_USERNAME_MAX || memchr(value, '\0', bytes))
        return -EBADMSG;
    memcpy(username, value, bytes);
    username[bytes] = '\0';
    return 0;
}

/* One attribute that stands before any integrity: what comes after one is not covered by it, so
 * only FINGERPRINT counts there. */
static int decode_attribute(const uint8_t *data, size_t at, struct stun_message *message)
{
    unsigned type = get16(data + at);
    size_t bytes = get16(data + at + 2);
    const uint8_t *value = data + at + 4;

    switch (type) {
    case USERNAME:
        return decode_username(value, bytes, message->username);
    case XOR_MAPPED_ADDRESS:
        return decode_mapped(data, value, bytes, &message->mapped);
    case MESSAGE_INTEGRITY_SHA256:
        if (bytes != INTEGRITY_BYTES) /* a shortened one is allowed, but nobody here sends it */
            return -EBADMSG;
        message->integrity_at = at;
        return 0;
    case PATH_FLAGS:
        if (bytes != 4)
            return -EBADMSG;
        message->path_flags = get32(value);
        return 0;
    case MESSAGE_INTEGRITY:
    case REALM:
    case NONCE:
    case PRIORITY:
    case PADDING:
        return 0;
    default:
        if (type < 0x8000)
            message->unknown_required++;
        return 0;
    }
}

static int decode_fingerprint(const uint8_t *data, size_t bytes, size_t at,
                              struct stun_message *message)
{
    if (get16(data + at + 2) != 4 || at + 8 != bytes)
        return -EBADMSG;
    if (get32(data + at + 4) != (crc32(data, at) ^ FINGERPRINT_XOR))
        return -EBADMSG;
    message->has_fingerprint = true;
    return 0;
}

int stun_decode(const uint8_t *data, size_t bytes, struct stun_message *message)
{
    int err = 0;

    memset(message, 0, sizeof *message);
    if (bytes < STUN_HEADER_BYTES || bytes % 4 || data[0] & 0xc0 ||
        get32(data + 4) != MAGIC_COOKIE || get16(data + 2) != bytes - STUN_HEADER_BYTES)
        return -EBADMSG;
    message->type = get16(data);
    memcpy(message->transaction, data + 8, STUN_TRANSACTION_BYTES);

    for (size_t at = STUN_HEADER_BYTES; at < bytes && err == 0;) {
        /* `bytes` and `at` are multiples of four, so a whole attribute header is there */
        size_t length = get16(data + at + 2);

        if (length > bytes - at - 4)
            return -EBADMSG;
        if (get16(data + at) == FINGERPRINT)
            err = decode_fingerprint(data, bytes, at, message);
        else if (message->integrity_at == 0)
            err = decode_attribute(data, at, message);
        at += 4 + ((length + 3) & ~(size_t)3);
    }
    return err;
}

/* ---- encoding ---------------------------------------------------------------------------------
 */

static uint8_t *encode_header(uint8_t *out, enum stun_type type, const uint8_t *transaction)
{
    uint8_t *at = put32(put16(put16(out, type), 0), MAGIC_COOKIE);

    memcpy(at, transaction, STUN_TRANSACTION_BYTES);
    return at + STUN_TRANSACTION_BYTES;
}

static size_t encode_length(uint8_t *out, const uint8_t *at)
{
    size_t bytes = (size_t)(at - out);

    put16(out + 2, (unsigned)(bytes - STUN_HEADER_BYTES));
    return bytes;
}

static size_t encode_fingerprint(uint8_t *out, uint8_t *at)
{
    size_t before = (size_t)(at - out), bytes = encode_length(out, at + FINGERPRINT_BYTES);

    put32(put16(put16(at, FINGERPRINT), 4), crc32(out, before) ^ FINGERPRINT_XOR);
    return bytes;
}

static size_t encode_end(uint8_t *out, uint8_t *at, const uint8_t key[32])
{
    uint8_t mac[INTEGRITY_BYTES];

    integrity(out, (size_t)(at - out), key, 32, mac);
    at = put16(put16(at, MESSAGE_INTEGRITY_SHA256), INTEGRITY_BYTES);
    memcpy(at, mac, sizeof mac);
    return encode_fingerprint(out, at + sizeof mac);
}

static uint8_t *encode_mapped(uint8_t *out, uint8_t *at, const struct sockaddr_storage *mapped)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)mapped;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)mapped;
    bool is_v6 = mapped->ss_family == AF_INET6;
    const uint8_t *ip = is_v6 ? v6->sin6_addr.s6_addr : (const uint8_t *)&v4->sin_addr;
    size_t ip_bytes = is_v6 ? 16 : 4;
    uint16_t port = ntohs(is_v6 ? v6->sin6_port : v4->sin_port);

    at = put16(put16(at, XOR_MAPPED_ADDRESS), (unsigned)(4 + ip_bytes));
    at = put16(put16(at, is_v6 ? 2 : 1), port ^ (MAGIC_COOKIE >> 16));
    for (size_t i = 0; i < ip_bytes; i++)
        *at++ = ip[i] ^ out[4 + i];
    return at;
}

static uint8_t *encode_check(uint8_t *out, const struct stun_check *check)
{
    size_t length = strlen(check->username), padded = (length + 3) & ~(size_t)3;
    uint8_t *at = encode_header(out, check->type, check->transaction);

    assert(length < STUN_USERNAME_MAX);
    at = put16(put16(at, USERNAME), (unsigned)length);
    memset(at, 0, padded);
    memcpy(at, check->username, length);
    at += padded;
    if (check->path_flags)
        at = put32(put16(put16(at, PATH_FLAGS), 4), check->path_flags);
    if (check->mapped)
        at = encode_mapped(out, at, check->mapped);
    return at;
}

size_t stun_encode_check(uint8_t *out, const struct stun_check *check)
{
    return encode_end(out, encode_check(out, check), check->key);
}

size_t stun_encode_padded(uint8_t *out, const struct stun_check *check)
{
    uint8_t *at = encode_check(out, check), *end = out + STUN_HEADER_BYTES + MAPPED_BYTES_MAX;
    size_t padding = end > at + 4 ? (size_t)(end - at) - 4 : 0;

    at = put16(put16(at, PADDING), (unsigned)padding);
    memset(at, 0, padding);
    return encode_end(out, at + padding, check->key);
}

size_t stun_encode_request(uint8_t *out, const uint8_t transaction[STUN_TRANSACTION_BYTES],
                           const char *username, const uint8_t key[32])
{
    struct stun_check check = {STUN_BINDING_REQUEST, transaction, username, 0, key, NULL};

    return stun_encode_check(out, &check);
}

size_t stun_encode_response(uint8_t *out, const uint8_t transaction[STUN_TRANSACTION_BYTES],
                            const struct sockaddr_storage *mapped, const uint8_t key[32])
{
    uint8_t *at = encode_header(out, STUN_BINDING_RESPONSE, transaction);

    return encode_end(out, encode_mapped(out, at, mapped), key);
}

size_t stun_encode_plain_request(uint8_t *out, const uint8_t transaction[STUN_TRANSACTION_BYTES])
{
    const size_t padding = STUN_PLAIN_BYTES - STUN_HEADER_BYTES - 4 - FINGERPRINT_BYTES;
    uint8_t *at = encode_header(out, STUN_BINDING_REQUEST, transaction);

    at = put16(put16(at, PADDING), (unsigned)padding);
    memset(at, 0, padding);
    return encode_fingerprint(out, at + padding);
}

size_t stun_encode_plain_indication(uint8_t *out, const uint8_t transaction[STUN_TRANSACTION_BYTES])
{
    return encode_fingerprint(out, encode_header(out, STUN_BINDING_INDICATION, transaction));
}

size_t stun_encode_plain_response(uint8_t *out, const uint8_t transaction[STUN_TRANSACTION_BYTES],
                                  const struct sockaddr_storage *mapped, bool with_fingerprint)
{
    uint8_t *at =
        encode_mapped(out, encode_header(out, STUN_BINDING_RESPONSE, transaction), mapped);

    return with_fingerprint ? encode_fingerprint(out, at) : encode_length(out, at);
}
