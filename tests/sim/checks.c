/* What one node of this process has found good is not computed again for the next.
 *
 * The linker puts these functions in front of the overlay's (--wrap, see Makefile). They say the
 * same: the certificates of our own identities are good by the way they were made, their time
 * apart, and a signature that was right once stays right.
 */
#include "tests/sim/wire.h"

#include "overlay/identity_x509.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define PLACES (1u << 18) /* a power of two */
#define HASH_BYTES 16

int __real_identity_verify(const struct identity *identity, const uint8_t *der, size_t bytes,
                           int64_t now_s, struct certificate *certificate, char *why,
                           size_t why_bytes);
int __wrap_identity_verify(const struct identity *identity, const uint8_t *der, size_t bytes,
                           int64_t now_s, struct certificate *certificate, char *why,
                           size_t why_bytes);
bool __real_certificate_check(const struct certificate *certificate, const uint8_t *data,
                              size_t bytes, const uint8_t signature[IDENTITY_SIGNATURE_BYTES]);
bool __wrap_certificate_check(const struct certificate *certificate, const uint8_t *data,
                              size_t bytes, const uint8_t signature[IDENTITY_SIGNATURE_BYTES]);

/* Hashes of what was right; a later one takes the place of an earlier one. NULL: nothing is
 * shared. */
static uint8_t (*right)[HASH_BYTES];

void sim_share_checks(bool is_shared)
{
    free(right);
    right = is_shared ? calloc(PLACES, HASH_BYTES) : NULL;
    if (is_shared && !right)
        abort();
}

int __wrap_identity_verify(const struct identity *identity, const uint8_t *der, size_t bytes,
                           int64_t now_s, struct certificate *certificate, char *why,
                           size_t why_bytes)
{
    const struct certificate *own = right ? sim_certificate_find(der, bytes) : NULL;

    if (!own)
        return __real_identity_verify(identity, der, bytes, now_s, certificate, why, why_bytes);
    *certificate = *own;
    return identity_x509_time(identity, certificate, now_s, why, why_bytes);
}

bool __wrap_certificate_check(const struct certificate *certificate, const uint8_t *data,
                              size_t bytes, const uint8_t signature[IDENTITY_SIGNATURE_BYTES])
{
    crypto_generichash_state state;
    uint8_t hash[HASH_BYTES];
    uint32_t place;

    if (!right)
        return __real_certificate_check(certificate, data, bytes, signature);
    crypto_generichash_init(&state, NULL, 0, sizeof hash);
    crypto_generichash_update(&state, certificate->public_key, sizeof certificate->public_key);
    crypto_generichash_update(&state, signature, IDENTITY_SIGNATURE_BYTES);
    crypto_generichash_update(&state, data, bytes);
    crypto_generichash_final(&state, hash, sizeof hash);
    memcpy(&place, hash, sizeof place);
    place &= PLACES - 1;
    if (memcmp(right[place], hash, sizeof hash) == 0)
        return true;
    if (!__real_certificate_check(certificate, data, bytes, signature))
        return false;
    memcpy(right[place], hash, sizeof hash);
    return true;
}
