/* Certificates whose signature by the root was found good: that never changes, and checking it
 * again is a large part of what a node costs that comes back. Everything else about them (time,
 * revocation) is judged each time. */
#include "overlay/identity_x509.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 32768 /* a newcomer takes the place of whoever is in his */

struct identity_known {
    pthread_mutex_t mutex;
    uint8_t key[crypto_generichash_KEYBYTES]; /* nobody chooses whose place he takes */
    uint8_t hash[SLOTS][crypto_generichash_BYTES];
};

struct identity_known *identity_known_new(void)
{
    struct identity_known *made = calloc(1, sizeof *made);

    if (!made)
        return NULL;
    pthread_mutex_init(&made->mutex, NULL);
    randombytes_buf(made->key, sizeof made->key);
    return made;
}

void identity_known_free(struct identity_known *known)
{
    if (!known)
        return;
    pthread_mutex_destroy(&known->mutex);
    free(known);
}

/* Of the whole certificate, signature and all; false: of none that we take. */
static bool hash_of(const struct identity_known *known, X509 *x509,
                    uint8_t hash[crypto_generichash_BYTES])
{
    uint8_t der[IDENTITY_DER_MAX], *to = der;
    int bytes = i2d_X509(x509, NULL);

    if (bytes <= 0 || bytes > IDENTITY_DER_MAX || i2d_X509(x509, &to) != bytes)
        return false;
    crypto_generichash(hash, crypto_generichash_BYTES, der, (size_t)bytes, known->key,
                       sizeof known->key);
    return true;
}

static uint8_t *slot_of(struct identity_known *known, const uint8_t *hash)
{
    return known->hash[((unsigned)hash[0] << 8 | hash[1]) % SLOTS];
}

bool identity_known_has(struct identity_known *known, X509 *x509)
{
    uint8_t hash[crypto_generichash_BYTES];

    if (!known || !hash_of(known, x509, hash))
        return false;
    pthread_mutex_lock(&known->mutex);
    bool has = memcmp(slot_of(known, hash), hash, sizeof hash) == 0;
    pthread_mutex_unlock(&known->mutex);
    return has;
}

void identity_known_add(struct identity_known *known, X509 *x509)
{
    uint8_t hash[crypto_generichash_BYTES];

    if (!known || !hash_of(known, x509, hash))
        return;
    pthread_mutex_lock(&known->mutex);
    memcpy(slot_of(known, hash), hash, sizeof hash);
    pthread_mutex_unlock(&known->mutex);
}
