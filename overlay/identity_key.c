/* What is done with Ed25519 and X25519 keys: libsodium, from the raw bytes of the certificate's
 * key. */
#include "overlay/identity_x509.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

#define AGREEMENT_LABEL "sallyport call keys 1"

static_assert(crypto_box_SEALBYTES == IDENTITY_SEAL_BYTES, "size of a sealed box");
static_assert(crypto_sign_BYTES == IDENTITY_SIGNATURE_BYTES, "size of a signature");
static_assert(sizeof(struct identity_call_keys) <= crypto_generichash_BYTES_MAX,
              "one hash gives both keys");

int identity_key_init(void)
{
    return sodium_init() < 0 ? -EIO : 0;
}

int identity_key_derive(struct identity *identity)
{
    uint8_t seed[crypto_sign_SEEDBYTES], public_key[crypto_sign_PUBLICKEYBYTES];
    size_t bytes = sizeof seed;

    if (identity_key_init() < 0)
        return -EIO;
    if (EVP_PKEY_get_id(identity->key) != EVP_PKEY_ED25519 ||
        EVP_PKEY_get_raw_private_key(identity->key, seed, &bytes) != 1 || bytes != sizeof seed)
        return -EINVAL;
    crypto_sign_seed_keypair(public_key, identity->sign_key, seed);
    sodium_memzero(seed, sizeof seed);
    if (crypto_sign_ed25519_sk_to_curve25519(identity->box_secret, identity->sign_key) != 0)
        return -EINVAL;
    crypto_scalarmult_base(identity->box_public, identity->box_secret);
    return 0;
}

void identity_node_id(const uint8_t public_key[32], uint8_t node[OVERLAY_NODE_ID_BYTES])
{
    uint8_t hash[crypto_hash_sha256_BYTES];

    crypto_hash_sha256(hash, public_key, 32);
    memcpy(node, hash, OVERLAY_NODE_ID_BYTES);
}

void identity_sign(const struct identity *identity, const uint8_t *data, size_t bytes,
                   uint8_t signature[IDENTITY_SIGNATURE_BYTES])
{
    crypto_sign_detached(signature, NULL, data, bytes, identity->sign_key);
}

bool certificate_check(const struct certificate *certificate, const uint8_t *data, size_t bytes,
                       const uint8_t signature[IDENTITY_SIGNATURE_BYTES])
{
    return identity_check(certificate->public_key, data, bytes, signature);
}

bool identity_check(const uint8_t public_key[32], const uint8_t *data, size_t bytes,
                    const uint8_t signature[IDENTITY_SIGNATURE_BYTES])
{
    return crypto_sign_verify_detached(signature, data, bytes, public_key) == 0;
}

void identity_seal(const uint8_t public_key[32], const uint8_t *data, size_t bytes, uint8_t *out)
{
    /* It fails only for a key that is a point of low order, which nobody can open anything with:
     * then what goes out must at least not be the memory that was there before. */
    if (crypto_box_seal(out, data, bytes, public_key) != 0)
        memset(out, 0, bytes + IDENTITY_SEAL_BYTES);
}

int certificate_seal_key(const struct certificate *certificate, uint8_t public_key[32])
{
    return crypto_sign_ed25519_pk_to_curve25519(public_key, certificate->public_key) ? -EINVAL : 0;
}

int identity_unseal_with(const uint8_t public_key[32], const uint8_t secret_key[32],
                         const uint8_t *sealed, size_t bytes, uint8_t *out)
{
    if (bytes < IDENTITY_SEAL_BYTES)
        return -EBADMSG;
    return crypto_box_seal_open(out, sealed, bytes, public_key, secret_key) ? -EBADMSG : 0;
}

int identity_unseal(const struct identity *identity, const uint8_t *sealed, size_t bytes,
                    uint8_t *out)
{
    return identity_unseal_with(identity->box_public, identity->box_secret, sealed, bytes, out);
}

int identity_agree(const struct identity_agreement *agreement, struct identity_call_keys *keys)
{
    uint8_t shared[crypto_scalarmult_BYTES], both[sizeof *keys];
    crypto_generichash_state state;

    /* Refuses the all-zero result of a point of low order (RFC 7748, section 6.1). */
    if (crypto_scalarmult(shared, agreement->secret_key, agreement->public_key) != 0)
        return -EBADMSG;

    crypto_generichash_init(&state, shared, sizeof shared, sizeof both);
    crypto_generichash_update(&state, (const uint8_t *)AGREEMENT_LABEL, sizeof AGREEMENT_LABEL);
    crypto_generichash_update(&state, agreement->call, CALL_ID_LEN / 2);
    crypto_generichash_update(&state, agreement->caller_node, OVERLAY_NODE_ID_BYTES);
    crypto_generichash_update(&state, agreement->callee_node, OVERLAY_NODE_ID_BYTES);
    crypto_generichash_update(&state, agreement->caller_key, crypto_scalarmult_BYTES);
    crypto_generichash_update(&state, agreement->callee_key, crypto_scalarmult_BYTES);
    crypto_generichash_final(&state, both, sizeof both);

    memcpy(keys->caller_to_callee, both, OVERLAY_KEY_BYTES);
    memcpy(keys->callee_to_caller, both + OVERLAY_KEY_BYTES, OVERLAY_KEY_BYTES);
    sodium_memzero(shared, sizeof shared);
    sodium_memzero(both, sizeof both);
    sodium_memzero(&state, sizeof state);
    return 0;
}
