/* overlay/stun.h: STUN messages (RFC 8489) as bytes, as far as we need them.
 *
 * Two kinds of Binding. Checks: requests with USERNAME and success responses with
 * XOR-MAPPED-ADDRESS, both with MESSAGE-INTEGRITY-SHA256 and FINGERPRINT. Plain ones ("which
 * address do you see?"): without USERNAME and integrity; the request is padded so that no answer is
 * longer than it. Pure: no sockets, no clock, no memory of its own.
 */
#ifndef OVERLAY_STUN_H
#define OVERLAY_STUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define STUN_TRANSACTION_BYTES 12
#define STUN_HEADER_BYTES 20
#define STUN_USERNAME_MAX 64
/* Room for whatever stun_encode_* writes. */
#define STUN_MESSAGE_MAX 200
/* A plain request of ours, and the longest answer to one (IPv6, with FINGERPRINT). */
#define STUN_PLAIN_BYTES 52

/* Type of a message: method Binding in the four classes. */
enum stun_type {
    STUN_BINDING_REQUEST = 0x0001,
    STUN_BINDING_INDICATION = 0x0011,
    STUN_BINDING_RESPONSE = 0x0101,
    STUN_BINDING_ERROR = 0x0111
};

/* What a check or beat of a path says besides; carried in an attribute of our own (0xc5a1, which
 * those who do not know it ignore). */
enum stun_path_flag {
    STUN_PATH_DEAF = 1,     /* the sender hears nothing */
    STUN_PATH_DONE = 2,     /* the sender stops sending media */
    STUN_PATH_NOMINATED = 4 /* the sender, who is leading, has chosen this way */
};

/* What a well-formed message says. Nothing in it is proved before stun_verify. */
struct stun_message {
    uint16_t type;
    uint8_t transaction[STUN_TRANSACTION_BYTES];
    char username[STUN_USERNAME_MAX]; /* NUL-terminated; "" when there is none */
    struct sockaddr_storage mapped;   /* XOR-MAPPED-ADDRESS; family 0: none */
    uint32_t path_flags;              /* enum stun_path_flag */
    size_t integrity_at;              /* offset of MESSAGE-INTEGRITY-SHA256; 0: none */
    bool has_fingerprint;
    unsigned unknown_required; /* attributes below 0x8000 that we do not know */
};

/* 0; -EBADMSG for what is no STUN message, is cut short or has a wrong fingerprint. */
int stun_decode(const uint8_t *data, size_t bytes, struct stun_message *message);
/* Is `message`, decoded from `data`, signed with this key? */
bool stun_verify(const uint8_t *data, const struct stun_message *message, const uint8_t *key,
                 size_t key_bytes);

/* A check (request) or a beat (indication) of a path. */
struct stun_check {
    enum stun_type type;
    const uint8_t *transaction; /* STUN_TRANSACTION_BYTES */
    const char *username;
    uint32_t path_flags;                   /* 0: not said */
    const uint8_t *key;                    /* 32 bytes */
    const struct sockaddr_storage *mapped; /* where the sender can be reached; NULL: not said */
};

/* All write into `out` (STUN_MESSAGE_MAX) and return the length. Keys have 32 bytes. */
size_t stun_encode_check(uint8_t *out, const struct stun_check *check);
/* The same, filled up with PADDING (RFC 5780 section 7.6) to the length of the longest response,
 * for those who answer nothing that is longer than the question. */
size_t stun_encode_padded(uint8_t *out, const struct stun_check *check);
size_t stun_encode_request(uint8_t *out, const uint8_t transaction[STUN_TRANSACTION_BYTES],
                           const char *username, const uint8_t key[32]);
size_t stun_encode_response(uint8_t *out, const uint8_t transaction[STUN_TRANSACTION_BYTES],
                            const struct sockaddr_storage *mapped, const uint8_t key[32]);

/* The plain ones. The request has STUN_PLAIN_BYTES, filled up with PADDING (RFC 5780 section 7.6);
 * the response at most as many. */
size_t stun_encode_plain_request(uint8_t *out, const uint8_t transaction[STUN_TRANSACTION_BYTES]);
/* A knock at a door: nobody answers it. */
size_t stun_encode_plain_indication(uint8_t *out,
                                    const uint8_t transaction[STUN_TRANSACTION_BYTES]);
size_t stun_encode_plain_response(uint8_t *out, const uint8_t transaction[STUN_TRANSACTION_BYTES],
                                  const struct sockaddr_storage *mapped, bool with_fingerprint);

#endif
