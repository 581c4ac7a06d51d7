/* STUN messages from anybody. */
#include "overlay/stun.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const uint8_t key[32] = "0123456789abcdef0123456789abcde";
    uint8_t out[STUN_MESSAGE_MAX];
    struct stun_message message, back;

    if (stun_decode(data, bytes, &message) < 0)
        return 0;
    stun_verify(data, &message, key, sizeof key);
    if (message.integrity_at > bytes - 36 && message.integrity_at)
        abort();
    /* what was read can be written and read again */
    size_t written = stun_encode_request(out, message.transaction, message.username, key);
    if (message.username[0] && (written > sizeof out || stun_decode(out, written, &back) < 0 ||
                                strcmp(back.username, message.username) != 0))
        abort();
    if (message.mapped.ss_family) {
        bool with_fingerprint = message.has_fingerprint;
        written =
            stun_encode_plain_response(out, message.transaction, &message.mapped, with_fingerprint);
        if (written > STUN_PLAIN_BYTES || stun_decode(out, written, &back) < 0 ||
            memcmp(&back.mapped, &message.mapped, sizeof back.mapped) != 0)
            abort();
        written = stun_encode_response(out, message.transaction, &message.mapped, key);
        if (written > sizeof out || stun_decode(out, written, &back) < 0 ||
            memcmp(&back.mapped, &message.mapped, sizeof back.mapped) != 0 ||
            !stun_verify(out, &back, key, sizeof key))
            abort();
    }
    return 0;
}
