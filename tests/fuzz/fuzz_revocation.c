/* Revocation lists as others hand them in: as they come, and signed by the root, so that what is
 * behind the signature is reached as well. */
#include "overlay/identity.h"
#include "overlay/realm.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct realm realm;
static char *enrolment;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct overlay_enrolment made = {.site = "hub", .roles = CONF_ROLE_SUPERNODE, .days = 30};
    char why[200];

    (void)argc;
    (void)argv;
    if (realm_make(&realm, "fuzz", 99, why, sizeof why) < 0 ||
        realm_issue(&realm, &made, time(NULL), &enrolment, NULL, why, sizeof why) < 0)
        abort();
    return 0;
}

/* Whatever was taken can be asked, kept, and taken again by others. */
static void use(const struct identity *identity)
{
    struct identity_list list = identity_list(identity);
    uint8_t serial[CERTIFICATE_SERIAL_BYTES] = {0};
    char *pem = identity_list_pem(identity);

    if ((list.number > 0) != (pem != NULL))
        abort();
    serial[CERTIFICATE_SERIAL_BYTES - 1] = 1;
    identity_is_revoked(identity, serial);
    free(pem);
}

static int take(const struct identity *identity, const uint8_t *der, size_t bytes)
{
    char why[160];

    return identity_revoke(identity, der, bytes, why, sizeof why);
}

static void take_signed(const struct identity *identity, X509_CRL *crl)
{
    uint8_t *der = NULL;
    int bytes = X509_CRL_sign(crl, realm.key, NULL) > 0 ? i2d_X509_CRL(crl, &der) : 0;

    if (bytes > 0 && take(identity, der, (size_t)bytes) == 0) {
        use(identity);
        struct identity_list list = identity_list(identity);
        if (take(identity, list.der, list.bytes) == 0)
            abort(); /* twice the same */
    }
    OPENSSL_free(der);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct identity *identity; /* as long as it has taken nothing: it costs a TLS context */
    const unsigned char *at = data;
    char why[200];

    if (!identity && identity_parse(enrolment, strlen(enrolment), &identity, why, sizeof why) < 0)
        abort();
    if (take(identity, data, bytes) == 0)
        abort(); /* of a root that nobody has */
    X509_CRL *crl = d2i_X509_CRL(NULL, &at, (long)bytes);
    if (crl)
        take_signed(identity, crl);
    X509_CRL_free(crl);
    if (identity_list(identity).number > 0) {
        identity_free(identity);
        identity = NULL;
    }
    return 0;
}
