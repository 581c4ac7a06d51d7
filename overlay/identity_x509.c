/* A certificate of the realm: what it says as plain data, and whether it is good. */
#include "overlay/identity_x509.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define URI_SITE "sallyport:site:"
#define URI_NUMBER "sallyport:number:"
#define URI_ROLE "sallyport:role:"

int64_t identity_time_s(const ASN1_TIME *time)
{
    struct tm tm;

    if (!time || ASN1_TIME_to_tm(time, &tm) != 1)
        return 0;
    return timegm(&tm);
}

const char *identity_date(int64_t time_s, char *text)
{
    time_t time = time_s;
    struct tm tm;

    if (!gmtime_r(&time, &tm) || strftime(text, IDENTITY_DATE_BYTES, "%Y-%m-%d", &tm) == 0)
        snprintf(text, IDENTITY_DATE_BYTES, "?");
    return text;
}

const char *identity_openssl_error(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    ERR_clear_error();
    return reason ? reason : "no reason given";
}

static int add_site(struct certificate *certificate, const char *site, char *why, size_t why_bytes)
{
    if (!identity_is_site(site)) {
        snprintf(why, why_bytes, "names a site that is none");
        return -EINVAL;
    }
    if (certificate->site[0]) {
        snprintf(why, why_bytes, "names two sites");
        return -EINVAL;
    }
    memcpy(certificate->site, site, strlen(site) + 1);
    return 0;
}

static int add_number(struct certificate *certificate, const char *number, char *why,
                      size_t why_bytes)
{
    if (!identity_is_number(number)) {
        snprintf(why, why_bytes, "names a number that is none");
        return -EINVAL;
    }
    if (certificate->number_count == IDENTITY_NUMBERS_MAX) {
        snprintf(why, why_bytes, "names more than %d numbers", IDENTITY_NUMBERS_MAX);
        return -EINVAL;
    }
    char *to = certificate->numbers[certificate->number_count++];
    memcpy(to, number, strlen(number) + 1);
    return 0;
}

/* URIs and roles that we do not know are for newer nodes: left out. */
static int add_uri(struct certificate *certificate, const ASN1_STRING *uri, char *why,
                   size_t why_bytes)
{
    char text[OVERLAY_NAME_MAX + sizeof URI_NUMBER];
    int length = ASN1_STRING_length(uri);
    const unsigned char *bytes = ASN1_STRING_get0_data(uri);

    if (length < 0 || (size_t)length >= sizeof text || memchr(bytes, '\0', (size_t)length))
        return 0;
    memcpy(text, bytes, (size_t)length);
    text[length] = '\0';
    if (strncmp(text, URI_SITE, strlen(URI_SITE)) == 0)
        return add_site(certificate, text + strlen(URI_SITE), why, why_bytes);
    if (strncmp(text, URI_NUMBER, strlen(URI_NUMBER)) == 0)
        return add_number(certificate, text + strlen(URI_NUMBER), why, why_bytes);
    if (strncmp(text, URI_ROLE, strlen(URI_ROLE)) == 0)
        certificate->roles |= identity_role_find(text + strlen(URI_ROLE));
    return 0;
}

static int read_names(X509 *x509, struct certificate *certificate, char *why, size_t why_bytes)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x509, NID_subject_alt_name, NULL, NULL);
    int error = 0;

    for (int i = 0; i < sk_GENERAL_NAME_num(names) && error == 0; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_URI)
            error = add_uri(certificate, name->d.uniformResourceIdentifier, why, why_bytes);
    }
    GENERAL_NAMES_free(names);
    if (error == 0 && certificate->site[0] == '\0') {
        snprintf(why, why_bytes, "names no site");
        error = -EINVAL;
    }
    return error;
}

int identity_serial(const ASN1_INTEGER *number, uint8_t serial[CERTIFICATE_SERIAL_BYTES])
{
    int length = ASN1_STRING_length(number);

    memset(serial, 0, CERTIFICATE_SERIAL_BYTES);
    if (length <= 0 || length > CERTIFICATE_SERIAL_BYTES ||
        ASN1_STRING_type(number) != V_ASN1_INTEGER)
        return -EINVAL;
    memcpy(serial + CERTIFICATE_SERIAL_BYTES - length, ASN1_STRING_get0_data(number),
           (size_t)length);
    return 0;
}

static int read_key(X509 *x509, struct certificate *certificate, char *why, size_t why_bytes)
{
    EVP_PKEY *key = X509_get0_pubkey(x509);
    size_t bytes = sizeof certificate->public_key;

    if (!key || EVP_PKEY_get_id(key) != EVP_PKEY_ED25519 ||
        EVP_PKEY_get_raw_public_key(key, certificate->public_key, &bytes) != 1 ||
        bytes != sizeof certificate->public_key) {
        ERR_clear_error();
        snprintf(why, why_bytes, "its key is not Ed25519");
        return -EINVAL;
    }
    identity_node_id(certificate->public_key, certificate->node);
    return 0;
}

int identity_x509_read(X509 *x509, struct certificate *certificate, char *why, size_t why_bytes)
{
    memset(certificate, 0, sizeof *certificate);

    int bytes = i2d_X509(x509, NULL);
    if (bytes <= 0 || bytes > IDENTITY_DER_MAX) {
        snprintf(why, why_bytes, "is larger than %d bytes", IDENTITY_DER_MAX);
        return -EINVAL;
    }
    unsigned char *to = certificate->der;
    certificate->der_bytes = (size_t)i2d_X509(x509, &to);
    if (X509_check_ca(x509) != 0) {
        snprintf(why, why_bytes, "is a certificate authority, not a node");
        return -EINVAL;
    }
    if (identity_serial(X509_get0_serialNumber(x509), certificate->serial) < 0) {
        snprintf(why, why_bytes, "its serial number is none of at most %d bytes",
                 CERTIFICATE_SERIAL_BYTES);
        return -EINVAL;
    }
    certificate->not_before_s = identity_time_s(X509_get0_notBefore(x509));
    certificate->not_after_s = identity_time_s(X509_get0_notAfter(x509));

    int error = read_key(x509, certificate, why, why_bytes);
    return error < 0 ? error : read_names(x509, certificate, why, why_bytes);
}

static const char *chain_error(int error)
{
    switch (error) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        return "of another realm";
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        return "not signed by the realm's root";
    default:
        return X509_verify_cert_error_string(error);
    }
}

static int check_signature(const struct identity *identity, X509 *x509, char *why, size_t why_bytes)
{
    X509_STORE_CTX *chain;
    int error = -EACCES;

    if (identity_known_has(identity->known, x509))
        return 0;
    chain = X509_STORE_CTX_new();
    if (!chain || X509_STORE_CTX_init(chain, identity->store, x509, NULL) != 1) {
        snprintf(why, why_bytes, "cannot be verified: out of memory");
        error = -ENOMEM;
    } else if (X509_verify_cert(chain) != 1) {
        snprintf(why, why_bytes, "%s", chain_error(X509_STORE_CTX_get_error(chain)));
    } else {
        identity_known_add(identity->known, x509);
        error = 0;
    }
    X509_STORE_CTX_free(chain);
    ERR_clear_error();
    return error;
}

int identity_x509_chain(const struct identity *identity, X509 *x509, char *why, size_t why_bytes)
{
    int error = check_signature(identity, x509, why, why_bytes);
    uint8_t serial[CERTIFICATE_SERIAL_BYTES];

    if (error == 0 && identity_serial(X509_get0_serialNumber(x509), serial) == 0 &&
        identity_is_revoked(identity, serial)) {
        snprintf(why, why_bytes, "revoked");
        error = -EACCES;
    }
    return error;
}

int identity_x509_time(const struct identity *identity, const struct certificate *certificate,
                       int64_t now_s, char *why, size_t why_bytes)
{
    char date[IDENTITY_DATE_BYTES];

    if (now_s > certificate->not_after_s)
        snprintf(why, why_bytes, "expired on %s", identity_date(certificate->not_after_s, date));
    else if (now_s < certificate->not_before_s)
        snprintf(why, why_bytes, "not valid before %s",
                 identity_date(certificate->not_before_s, date));
    else if (now_s > identity->root_not_after_s)
        snprintf(why, why_bytes, "the realm's root expired on %s",
                 identity_date(identity->root_not_after_s, date));
    else if (now_s < identity->root_not_before_s)
        snprintf(why, why_bytes, "the realm's root is not valid before %s",
                 identity_date(identity->root_not_before_s, date));
    else
        return 0;
    return -EACCES;
}

int identity_x509_verify(const struct identity *identity, X509 *x509, int64_t now_s,
                         struct certificate *certificate, char *why, size_t why_bytes)
{
    /* First who signed it: what a stranger's says about itself is of no interest. */
    int error = identity_x509_chain(identity, x509, why, why_bytes);

    if (error == 0)
        error = identity_x509_read(x509, certificate, why, why_bytes);
    if (error == 0)
        error = identity_x509_time(identity, certificate, now_s, why, why_bytes);
    ERR_clear_error();
    return error;
}

int identity_verify(const struct identity *identity, const uint8_t *der, size_t bytes,
                    int64_t now_s, struct certificate *certificate, char *why, size_t why_bytes)
{
    const unsigned char *at = der;
    int error = -EINVAL;

    X509 *x509 = bytes <= IDENTITY_DER_MAX ? d2i_X509(NULL, &at, (long)bytes) : NULL;
    if (x509 && at == der + bytes)
        error = identity_x509_verify(identity, x509, now_s, certificate, why, why_bytes);
    else
        snprintf(why, why_bytes, "is no certificate");
    X509_free(x509);
    ERR_clear_error();
    return error;
}
