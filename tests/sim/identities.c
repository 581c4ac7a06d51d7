/* Identities, made once per process, by site.
 *
 * Keys and serial numbers follow from the site (the linker puts two functions in front of
 * OpenSSL's: --wrap, see Makefile), so node ids, and with them the ring and the holders of names,
 * are the same in each run.
 */
#include "tests/sim/wire.h"

#include "overlay/identity_x509.h"
#include "overlay/realm.h"

#include <openssl/evp.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct pooled {
    UT_hash_handle hh;     /* pool, by key */
    UT_hash_handle hh_der; /* certificates, by DER */
    struct identity *identity;
    char key[]; /* "site/which/has_number" */
};

static struct realm realm;
static struct identity *first; /* whose root and store the others share */
static struct pooled *pool, *certificates;

/* ---- no dice -----------------------------------------------------------------------------------
 */

EVP_PKEY *__wrap_EVP_PKEY_Q_keygen(OSSL_LIB_CTX *context, const char *properties, const char *type,
                                   ...);
int __wrap_RAND_bytes(unsigned char *bytes, int count);

static const char *drawn_for = "root"; /* whose key and number come next */

EVP_PKEY *__wrap_EVP_PKEY_Q_keygen(OSSL_LIB_CTX *context, const char *properties, const char *type,
                                   ...)
{
    uint8_t seed[32];

    (void)context;
    (void)properties;
    (void)type; /* the realm makes Ed25519 keys only */
    crypto_generichash(seed, sizeof seed, (const uint8_t *)drawn_for, strlen(drawn_for), NULL, 0);
    return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof seed);
}

int __wrap_RAND_bytes(unsigned char *bytes, int count)
{
    crypto_generichash(bytes, (size_t)count, (const uint8_t *)drawn_for, strlen(drawn_for), NULL,
                       0);
    return 1;
}

/* ---- made --------------------------------------------------------------------------------------
 */

static _Noreturn void fail(const char *why)
{
    fprintf(stderr, "%s\n", why);
    abort();
}

static void make_realm(void)
{
    struct overlay_enrolment enrolment = {.site = "first", .roles = CONF_ROLE_CLIENT, .days = 30};
    char why[200], *pem;

    drawn_for = "root";
    if (realm_make(&realm, "simulation", 365, why, sizeof why) < 0)
        fail(why);
    drawn_for = "first";
    if (realm_issue(&realm, &enrolment, time(NULL), &pem, NULL, why, sizeof why) < 0 ||
        identity_parse(pem, strlen(pem), &first, why, sizeof why) < 0)
        fail(why);
    free(pem);
}

static struct identity *make_identity(const char *site, unsigned roles, bool has_number)
{
    struct overlay_enrolment enrolment = {.site = site, .roles = roles, .days = 30};
    char number[16], why[200];
    struct realm_node node;
    struct identity *identity;

    if (has_number) {
        /* +49<length><first letters>: something that differs from site to site */
        snprintf(number, sizeof number, "+49%u%u%u", (unsigned char)site[0], (unsigned char)site[1],
                 (unsigned)strlen(site));
        enrolment.numbers[0] = number;
        enrolment.number_count = 1;
    }
    if (realm_make_node(&realm, &enrolment, time(NULL), &node, why, sizeof why) < 0)
        fail(why);
    if (identity_bare(first, node.certificate, node.key, &identity) < 0)
        fail("no identity of this certificate");
    X509_free(node.certificate);
    EVP_PKEY_free(node.key);
    return identity;
}

const struct identity *sim_identity(const char *site, unsigned roles, int which, bool has_number)
{
    struct pooled *pooled;
    char key[80];

    snprintf(key, sizeof key, "%s/%d/%d", site, which, has_number);
    HASH_FIND_STR(pool, key, pooled);
    if (pooled)
        return pooled->identity;
    pooled = calloc(1, sizeof *pooled + strlen(key) + 1);
    if (!pooled)
        abort();
    strcpy(pooled->key, key);
    if (!first)
        make_realm();
    drawn_for = pooled->key;
    pooled->identity = make_identity(site, roles, has_number);
    HASH_ADD_STR(pool, key, pooled);
    const struct certificate *certificate = identity_certificate(pooled->identity);
    HASH_ADD_KEYPTR(hh_der, certificates, certificate->der, certificate->der_bytes, pooled);
    return pooled->identity;
}

const struct certificate *sim_certificate_find(const uint8_t *der, size_t bytes)
{
    struct pooled *pooled;

    HASH_FIND(hh_der, certificates, der, bytes, pooled);
    return pooled ? identity_certificate(pooled->identity) : NULL;
}

const struct realm *sim_realm(void)
{
    return &realm;
}

void sim_identities_free(void)
{
    struct pooled *pooled, *after;

    HASH_CLEAR(hh_der, certificates);
    HASH_ITER(hh, pool, pooled, after)
    {
        HASH_DEL(pool, pooled);
        identity_free(pooled->identity);
        free(pooled);
    }
    identity_free(first);
    first = NULL;
    realm_fini(&realm);
}
