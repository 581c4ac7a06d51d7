/* The revocation list of a realm: an X.509 CRL (RFC 5280, section 5) signed by the root. */
#include "overlay/identity_file.h"
#include "overlay/identity_x509.h"
#include "overlay/realm.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* Nodes go on using an old list, with a warning: what it revokes stays revoked. */
#define NEXT_UPDATE_S (365 * 86400)

static X509_CRL *new_list(const struct realm *realm)
{
    X509_CRL *list = X509_CRL_new();

    if (list && X509_CRL_set_version(list, X509_CRL_VERSION_2) &&
        X509_CRL_set_issuer_name(list, X509_get_subject_name(realm->root)))
        return list;
    X509_CRL_free(list);
    return NULL;
}

/* The list as it is, or a new empty one. */
static int open_list(const struct realm *realm, const char *path, X509_CRL **list, char *why,
                     size_t why_bytes)
{
    if (access(path, F_OK) < 0) {
        *list = new_list(realm);
        return *list ? 0 : -ENOMEM;
    }
    BIO *bio = BIO_new_file(path, "r");
    *list = bio ? PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    if (*list && X509_CRL_verify(*list, X509_get0_pubkey(realm->root)) == 1)
        return 0;
    snprintf(why, why_bytes, "%s: is no revocation list of this realm; move it away first", path);
    return -EINVAL;
}

/* The realm's own node certificate out of an enrolment file or PEM certificate. */
static int read_node(const struct realm *realm, const char *path, X509 **x509, char *why,
                     size_t why_bytes)
{
    char *pem;
    size_t bytes;
    int error = identity_file_read(path, &pem, &bytes, why, why_bytes);

    if (error < 0)
        return error;
    BIO *bio = BIO_new_mem_buf(pem, (int)bytes);
    X509 *read = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    free(pem);
    if (!read)
        snprintf(why, why_bytes, "%s: holds no certificate", path);
    else if (X509_check_ca(read) != 0)
        snprintf(why, why_bytes, "%s: is a realm's root, not a node's certificate", path);
    else if (X509_verify(read, X509_get0_pubkey(realm->root)) != 1)
        snprintf(why, why_bytes, "%s: is a certificate of another realm", path);
    else {
        *x509 = read;
        return 0;
    }
    ERR_clear_error();
    X509_free(read);
    return -EINVAL;
}

static int add_entry(X509_CRL *list, ASN1_INTEGER *serial, int64_t now_s)
{
    X509_REVOKED *entry = X509_REVOKED_new();
    ASN1_TIME *now = ASN1_TIME_set(NULL, now_s);
    int error = -ENOMEM;

    if (entry && now && X509_REVOKED_set_serialNumber(entry, serial) &&
        X509_REVOKED_set_revocationDate(entry, now) && X509_CRL_add0_revoked(list, entry)) {
        entry = NULL;
        error = 0;
    }
    X509_REVOKED_free(entry);
    ASN1_TIME_free(now);
    return error;
}

static uint64_t number_of(const X509_CRL *list)
{
    ASN1_INTEGER *number = X509_CRL_get_ext_d2i(list, NID_crl_number, NULL, NULL);
    uint64_t value = 0;

    if (number)
        ASN1_INTEGER_get_uint64(&value, number);
    ASN1_INTEGER_free(number);
    return value;
}

/* CRL number and key identifier (RFC 5280, sections 5.2.3 and 5.2.1). */
static int number_list(const struct realm *realm, X509_CRL *list, uint64_t value)
{
    ASN1_INTEGER *number = ASN1_INTEGER_new();
    X509V3_CTX context;

    bool is_done = number && ASN1_INTEGER_set_uint64(number, value) &&
                   X509_CRL_add1_ext_i2d(list, NID_crl_number, number, 0, X509V3_ADD_REPLACE) == 1;
    ASN1_INTEGER_free(number);
    if (is_done && X509_CRL_get_ext_by_NID(list, NID_authority_key_identifier, -1) < 0) {
        X509V3_set_ctx(&context, realm->root, NULL, NULL, list, 0);
        X509_EXTENSION *key =
            X509V3_EXT_conf_nid(NULL, &context, NID_authority_key_identifier, "keyid:always");
        is_done = key && X509_CRL_add_ext(list, key, -1) == 1;
        X509_EXTENSION_free(key);
    }
    return is_done ? 0 : -ENOMEM;
}

static int sign_list(const struct realm *realm, X509_CRL *list, uint64_t number)
{
    int64_t now_s = time(NULL);
    ASN1_TIME *now = ASN1_TIME_set(NULL, now_s), *next = ASN1_TIME_set(NULL, now_s + NEXT_UPDATE_S);
    bool is_signed = now && next && X509_CRL_set1_lastUpdate(list, now) &&
                     X509_CRL_set1_nextUpdate(list, next) &&
                     number_list(realm, list, number) == 0 && X509_CRL_sort(list) &&
                     X509_CRL_sign(list, realm->key, NULL) > 0;

    ASN1_TIME_free(now);
    ASN1_TIME_free(next);
    return is_signed ? 0 : -EIO;
}

static int add_and_write(const struct realm *realm, X509 *x509, const char *path, char *why,
                         size_t why_bytes)
{
    X509_CRL *list = NULL;
    X509_REVOKED *entry;
    int error = open_list(realm, path, &list, why, why_bytes);

    if (error == 0 && X509_CRL_get0_by_cert(list, &entry, x509) != 1) {
        BIO *bio = BIO_new(BIO_s_mem());
        error = bio ? add_entry(list, X509_get_serialNumber(x509), time(NULL)) : -ENOMEM;
        if (error == 0)
            error = sign_list(realm, list, number_of(list) + 1);
        if (error == 0 && PEM_write_bio_X509_CRL(bio, list) != 1)
            error = -EIO;
        if (error < 0) {
            snprintf(why, why_bytes, "cannot sign the list: %s", identity_openssl_error());
        } else {
            const struct identity_file_content content = realm_content(bio, 0644);
            error = identity_file_replace(path, &content, why, why_bytes);
        }
        BIO_free(bio);
    }
    X509_CRL_free(list);
    ERR_clear_error();
    return error;
}

int overlay_realm_revoke(const char *dir, const char *certificate_path, char *why, size_t why_bytes)
{
    char path[PATH_MAX];
    struct realm realm;
    X509 *x509 = NULL;
    int error = realm_path(path, dir, "revoked.pem", why, why_bytes);

    if (error == 0)
        error = realm_open(&realm, dir, why, why_bytes);
    if (error < 0)
        return error;
    error = read_node(&realm, certificate_path, &x509, why, why_bytes);
    if (error == 0)
        error = add_and_write(&realm, x509, path, why, why_bytes);
    X509_free(x509);
    realm_fini(&realm);
    return error;
}

/* ---- what is in it ----------------------------------------------------------------------------
 */

int overlay_realm_list(const char *dir, struct overlay_realm_list *list, char *why,
                       size_t why_bytes)
{
    int error = realm_path(list->path, dir, "revoked.pem", why, why_bytes);

    if (error < 0)
        return error;
    BIO *bio = BIO_new_file(list->path, "r");
    X509_CRL *crl = bio ? PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL) : NULL;
    if (crl) {
        STACK_OF(X509_REVOKED) *entries = X509_CRL_get_REVOKED(crl);
        list->number = number_of(crl);
        list->count = entries ? sk_X509_REVOKED_num(entries) : 0;
        list->fits = i2d_X509_CRL(crl, NULL) <= IDENTITY_LIST_MAX;
    } else if (bio) {
        snprintf(why, why_bytes, "%s: is no revocation list", list->path);
        error = -EINVAL;
    } else {
        snprintf(why, why_bytes, "%s: cannot be read; `sallyport realm revoke` makes it",
                 list->path);
        error = -ENOENT;
    }
    X509_CRL_free(crl);
    BIO_free(bio);
    ERR_clear_error();
    return error;
}

int realm_list_make(const struct realm *realm, const struct realm_list *list, uint8_t **der,
                    size_t *bytes)
{
    X509_CRL *crl = new_list(realm);
    int error = crl ? 0 : -ENOMEM, made;

    for (size_t i = 0; i < list->count && error == 0; i++) {
        BIGNUM *number = BN_bin2bn(list->serials[i], CERTIFICATE_SERIAL_BYTES, NULL);
        ASN1_INTEGER *serial = number ? BN_to_ASN1_INTEGER(number, NULL) : NULL;
        error = serial ? add_entry(crl, serial, time(NULL)) : -ENOMEM;
        ASN1_INTEGER_free(serial);
        BN_free(number);
    }
    if (error == 0)
        error = sign_list(realm, crl, list->number);
    *der = NULL;
    if (error == 0 && (made = i2d_X509_CRL(crl, der)) <= 0)
        error = -ENOMEM;
    if (error == 0)
        *bytes = (size_t)made;
    X509_CRL_free(crl);
    return error;
}
