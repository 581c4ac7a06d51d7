/* The enrolment file: one PEM file with our certificate, our key, the root and first supernodes. */
#include "overlay/identity_file.h"
#include "overlay/identity_ticket.h"
#include "overlay/identity_x509.h"
#include "overlay/tls_address.h"

#include "conf/log.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SUPERNODE_LABEL "supernode:"
#define ENROL_AGAIN "enrol the node again with `sallyport realm enrol`"
#define WARN_BEFORE_EXPIRY_S (14 * 86400)

static int take_certificate(struct identity *identity, X509 *x509, char *why, size_t why_bytes)
{
    if (!x509) {
        snprintf(why, why_bytes, "holds a damaged certificate (%s)", identity_openssl_error());
        return -EINVAL;
    }
    bool is_root = X509_check_ca(x509) != 0;
    X509 **to = is_root ? &identity->root : &identity->certificate;
    if (*to) {
        snprintf(why, why_bytes, "holds two %s; " ENROL_AGAIN,
                 is_root ? "realm roots" : "node certificates");
        X509_free(x509);
        return -EINVAL;
    }
    *to = x509;
    return 0;
}

static int take_key(struct identity *identity, EVP_PKEY *key, char *why, size_t why_bytes)
{
    if (!key || identity->key) {
        snprintf(why, why_bytes,
                 key ? "holds two private keys; " ENROL_AGAIN
                     : "holds a damaged private key; " ENROL_AGAIN);
        EVP_PKEY_free(key);
        return -EINVAL;
    }
    identity->key = key;
    return 0;
}

static int take_block(struct identity *identity, const char *name, const uint8_t *data, long bytes,
                      char *why, size_t why_bytes)
{
    const uint8_t *at = data;

    if (strcmp(name, PEM_STRING_X509) == 0)
        return take_certificate(identity, d2i_X509(NULL, &at, bytes), why, why_bytes);
    if (strcmp(name, PEM_STRING_PKCS8INF) == 0)
        return take_key(identity, d2i_AutoPrivateKey(NULL, &at, bytes), why, why_bytes);
    if (strcmp(name, PEM_STRING_PKCS8) == 0)
        snprintf(why, why_bytes, "its private key is encrypted; decrypt it with `openssl pkey`");
    else
        snprintf(why, why_bytes, "holds a \"%.40s\" block, which does not belong there", name);
    return -EINVAL;
}

static int read_blocks(struct identity *identity, const char *pem, size_t bytes, char *why,
                       size_t why_bytes)
{
    BIO *bio = BIO_new_mem_buf(pem, (int)bytes);
    char *name, *header;
    uint8_t *data;
    long length;
    int error = bio ? 0 : -ENOMEM;

    while (error == 0 && PEM_read_bio(bio, &name, &header, &data, &length) == 1) {
        error = take_block(identity, name, data, length, why, why_bytes);
        sodium_memzero(data, (size_t)length);
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_free(data);
    }
    if (error == 0 && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
        snprintf(why, why_bytes, "is damaged (%s); copy it again or " ENROL_AGAIN,
                 identity_openssl_error());
        error = -EINVAL;
    }
    BIO_free(bio);
    ERR_clear_error();
    return error;
}

static int take_supernode(struct identity *identity, const char *text, size_t length, char *why,
                          size_t why_bytes)
{
    struct tls_address address;
    char *copy;

    while (length > 0 && strchr(" \t", *text))
        text++, length--;
    while (length > 0 && strchr(" \t\r", text[length - 1]))
        length--;
    copy = strndup(text, length);
    if (!copy)
        return -ENOMEM;
    if (tls_address_parse(copy, &address) < 0) {
        snprintf(why, why_bytes, "supernode \"%.80s\" is not host:port", copy);
        free(copy);
        return -EINVAL;
    }
    if (identity->supernode_count == CONF_LISTS_MAX) {
        snprintf(why, why_bytes, "names more than %d supernodes", CONF_LISTS_MAX);
        free(copy);
        return -EINVAL;
    }
    identity->supernodes[identity->supernode_count++] = copy;
    return 0;
}

/* The comment lines before the first block. */
static int read_supernodes(struct identity *identity, const char *pem, size_t bytes, char *why,
                           size_t why_bytes)
{
    const char *end = pem + bytes;
    int error = 0;

    for (const char *line = pem; line < end && error == 0;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        size_t length = (size_t)((stop ? stop : end) - line), label = strlen(SUPERNODE_LABEL);
        if (length >= 5 && memcmp(line, "-----", 5) == 0)
            break;
        if (length > label && strncasecmp(line, SUPERNODE_LABEL, label) == 0)
            error = take_supernode(identity, line + label, length - label, why, why_bytes);
        line += length + 1;
    }
    return error;
}

static int check_parts(const struct identity *identity, char *why, size_t why_bytes)
{
    if (identity->certificate && identity->key && identity->root)
        return 0;
    if (!identity->certificate && !identity->key && !identity->root)
        snprintf(why, why_bytes, "is no enrolment file; make one with `sallyport realm enrol`");
    else if (!identity->certificate)
        snprintf(why, why_bytes, "is a %s but no node certificate; " ENROL_AGAIN,
                 identity->key ? "private key" : "realm root");
    else if (!identity->key)
        snprintf(why, why_bytes,
                 "is a certificate but no private key; the enrolment file has both");
    else
        snprintf(why, why_bytes,
                 "the realm's root is missing; the enrolment file has it as its "
                 "last block");
    return -EINVAL;
}

static int make_store(struct identity *identity)
{
    identity->store = X509_STORE_new();
    identity->known = identity_known_new();
    if (!identity->store || !identity->known ||
        X509_STORE_add_cert(identity->store, identity->root) != 1)
        return -ENOMEM;
    /* Time is judged by the clock of the caller: identity_x509_time. */
    X509_STORE_set_flags(identity->store, X509_V_FLAG_NO_CHECK_TIME);
    identity->root_not_before_s = identity_time_s(X509_get0_notBefore(identity->root));
    identity->root_not_after_s = identity_time_s(X509_get0_notAfter(identity->root));
    return 0;
}

static int check_whole(struct identity *identity, char *why, size_t why_bytes)
{
    char reason[160];
    int error = check_parts(identity, why, why_bytes);

    if (error < 0)
        return error;
    if (X509_check_private_key(identity->certificate, identity->key) != 1) {
        snprintf(why, why_bytes,
                 "the private key does not belong to the certificate; " ENROL_AGAIN);
        ERR_clear_error();
        return -EINVAL;
    }
    if (identity_key_derive(identity) < 0) {
        snprintf(why, why_bytes, "the private key is not Ed25519; " ENROL_AGAIN);
        return -EINVAL;
    }
    if (make_store(identity) < 0)
        return -ENOMEM;
    error = identity_x509_chain(identity, identity->certificate, reason, sizeof reason);
    if (error < 0) {
        snprintf(why, why_bytes,
                 "the certificate is %s: it does not belong to the root beside it; " ENROL_AGAIN,
                 reason);
        return -EINVAL;
    }
    error = identity_x509_read(identity->certificate, &identity->own, reason, sizeof reason);
    if (error < 0)
        snprintf(why, why_bytes, "the certificate %s; " ENROL_AGAIN, reason);
    return error;
}

int identity_parse(const char *pem, size_t bytes, struct identity **identity, char *why,
                   size_t why_bytes)
{
    struct identity *made = calloc(1, sizeof *made);
    int error = made ? identity_lists_open(made) : -ENOMEM;

    snprintf(why, why_bytes, "out of memory");
    if (error == 0 && bytes > IDENTITY_FILE_MAX) {
        snprintf(why, why_bytes, "is larger than %d bytes", IDENTITY_FILE_MAX);
        error = -EINVAL;
    }
    if (error == 0)
        error = read_supernodes(made, pem, bytes, why, why_bytes);
    if (error == 0)
        error = read_blocks(made, pem, bytes, why, why_bytes);
    if (error == 0)
        error = check_whole(made, why, why_bytes);
    if (error == 0)
        error = identity_tls_make(made);
    if (error < 0) {
        identity_free(made);
        return error;
    }
    why[0] = '\0';
    *identity = made;
    return 0;
}

int identity_bare(const struct identity *like, X509 *certificate, EVP_PKEY *key,
                  struct identity **identity)
{
    struct identity *made = calloc(1, sizeof *made);
    char why[160];

    if (!made || identity_lists_open(made) < 0) {
        free(made);
        return -ENOMEM;
    }
    X509_up_ref(like->root);
    X509_STORE_up_ref(like->store);
    made->root = like->root;
    made->store = like->store;
    made->root_not_before_s = like->root_not_before_s;
    made->root_not_after_s = like->root_not_after_s;
    made->key = key;
    int error = identity_key_derive(made);
    made->key = NULL;
    if (error == 0)
        error = identity_x509_read(certificate, &made->own, why, sizeof why);
    if (error < 0) {
        identity_free(made);
        return error;
    }
    *identity = made;
    return 0;
}

/* Our own certificate as others will see it today. */
static int check_own(const struct identity *identity, const char *path, char *why, size_t why_bytes)
{
    char reason[160], date[IDENTITY_DATE_BYTES];
    int64_t now_s = time(NULL);

    if (identity_x509_time(identity, &identity->own, now_s, reason, sizeof reason) < 0) {
        bool is_early = now_s < identity->own.not_before_s;
        snprintf(why, why_bytes, "%s: %s: %s", path, reason,
                 is_early ? "set the clock of this machine" : ENROL_AGAIN);
        return -EINVAL;
    }
    if (identity_x509_chain(identity, identity->certificate, reason, sizeof reason) < 0) {
        snprintf(why, why_bytes, "%s: our certificate is %s: " ENROL_AGAIN, path, reason);
        return -EINVAL;
    }
    if (identity->own.not_after_s - now_s < WARN_BEFORE_EXPIRY_S)
        log_warn(LOG_OVERLAY, NULL, "%s expires on %s: " ENROL_AGAIN, path,
                 identity_date(identity->own.not_after_s, date));
    return 0;
}

int identity_load(const char *enrolment, const char *revocation, struct identity **identity,
                  char *why, size_t why_bytes)
{
    struct identity *made = NULL;
    char *pem, reason[400];
    size_t bytes;
    int error = identity_file_read(enrolment, &pem, &bytes, why, why_bytes);

    if (error < 0)
        return error;
    error = identity_parse(pem, bytes, &made, reason, sizeof reason);
    sodium_memzero(pem, bytes);
    free(pem);
    if (error < 0) {
        snprintf(why, why_bytes, "%s: %s", enrolment, reason);
        return error;
    }
    identity_file_check_mode(enrolment);
    if (revocation)
        error = identity_revoke_file(made, revocation, why, why_bytes);
    if (error == 0)
        error = check_own(made, enrolment, why, why_bytes);
    if (error < 0) {
        identity_free(made);
        return error;
    }
    *identity = made;
    return 0;
}

void identity_free(struct identity *identity)
{
    if (!identity)
        return;
    SSL_CTX_free(identity->tls);
    identity_tickets_free(identity->tickets);
    identity_known_free(identity->known);
    X509_free(identity->certificate);
    X509_free(identity->root);
    EVP_PKEY_free(identity->key);
    X509_STORE_free(identity->store);
    identity_lists_free(identity);
    for (int i = 0; i < identity->supernode_count; i++)
        free(identity->supernodes[i]);
    sodium_memzero(identity, sizeof *identity);
    free(identity);
}

const struct certificate *identity_certificate(const struct identity *identity)
{
    return &identity->own;
}

void identity_realm_tag(const struct identity *identity, char tag[IDENTITY_TAG_BYTES])
{
    uint8_t hash[EVP_MAX_MD_SIZE] = {0};
    unsigned bytes;

    X509_digest(identity->root, EVP_sha256(), hash, &bytes);
    sodium_bin2hex(tag, IDENTITY_TAG_BYTES, hash, (IDENTITY_TAG_BYTES - 1) / 2);
}

int identity_supernode_count(const struct identity *identity)
{
    return identity->supernode_count;
}

const char *identity_supernode(const struct identity *identity, int i)
{
    return i >= 0 && i < identity->supernode_count ? identity->supernodes[i] : NULL;
}
