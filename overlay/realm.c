/* The folder of a realm: made, opened, nodes enrolled. */
#include "overlay/realm.h"

#include "overlay/identity_file.h"
#include "overlay/identity_x509.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int realm_path(char *path, const char *dir, const char *name, char *why, size_t why_bytes)
{
    if (snprintf(path, PATH_MAX, "%s/%s", dir, name) < PATH_MAX)
        return 0;
    snprintf(why, why_bytes, "%.80s…: the path is too long", dir);
    return -ENAMETOOLONG;
}

static int make_folder(const char *path, char *why, size_t why_bytes)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return 0;
    int error = -errno;
    snprintf(why, why_bytes, "%s: cannot make this folder: %s", path, strerror(-error));
    return error;
}

struct identity_file_content realm_content(BIO *bio, mode_t mode)
{
    char *data;
    long bytes = BIO_get_mem_data(bio, &data);

    return (struct identity_file_content){data, (size_t)bytes, mode};
}

static int write_root(const struct realm *realm, const char *certificate_path, const char *key_path,
                      char *why, size_t why_bytes)
{
    BIO *certificate = BIO_new(BIO_s_mem()), *key = BIO_new(BIO_s_secmem());
    int error = -ENOMEM;

    snprintf(why, why_bytes, "out of memory");
    if (certificate && key && PEM_write_bio_X509(certificate, realm->root) == 1 &&
        PEM_write_bio_PKCS8PrivateKey(key, realm->key, NULL, NULL, 0, NULL, NULL) == 1) {
        const struct identity_file_content secret = realm_content(key, 0600);
        const struct identity_file_content shown = realm_content(certificate, 0644);
        error = identity_file_create(key_path, &secret, why, why_bytes);
        if (error == 0) {
            error = identity_file_create(certificate_path, &shown, why, why_bytes);
            if (error < 0)
                unlink(key_path);
        }
    }
    BIO_free(certificate);
    BIO_free(key);
    return error;
}

int overlay_realm_new(const char *dir, const char *name, int days, char *why, size_t why_bytes)
{
    char certificate_path[PATH_MAX], key_path[PATH_MAX];
    struct realm realm;

    if (realm_path(certificate_path, dir, "root.pem", why, why_bytes) < 0 ||
        realm_path(key_path, dir, "root.key", why, why_bytes) < 0)
        return -ENAMETOOLONG;
    if (access(certificate_path, F_OK) == 0 || access(key_path, F_OK) == 0) {
        snprintf(why, why_bytes, "%s: there is a realm already; choose another folder", dir);
        return -EEXIST;
    }
    int error = realm_make(&realm, name, days, why, why_bytes);
    if (error < 0)
        return error;
    error = make_folder(dir, why, why_bytes);
    if (error == 0)
        error = write_root(&realm, certificate_path, key_path, why, why_bytes);
    realm_fini(&realm);
    return error;
}

static int read_root(struct realm *realm, const char *certificate_path, const char *key_path,
                     char *why, size_t why_bytes)
{
    BIO *certificate = BIO_new_file(certificate_path, "r"), *key = BIO_new_file(key_path, "r");
    int error = 0;

    if (certificate)
        realm->root = PEM_read_bio_X509(certificate, NULL, NULL, NULL);
    if (key)
        realm->key = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);
    if (!certificate || !key) {
        snprintf(why, why_bytes, "%s: cannot be read; make a realm with `sallyport realm new`",
                 certificate ? key_path : certificate_path);
        error = -ENOENT;
    } else if (!realm->root || !realm->key) {
        snprintf(why, why_bytes, "%s: holds no %s", realm->root ? key_path : certificate_path,
                 realm->root ? "private key" : "certificate");
        error = -EINVAL;
    } else if (X509_check_private_key(realm->root, realm->key) != 1) {
        snprintf(why, why_bytes, "%s: does not belong to root.pem beside it", key_path);
        error = -EINVAL;
    }
    BIO_free(certificate);
    BIO_free(key);
    ERR_clear_error();
    return error;
}

int realm_open(struct realm *realm, const char *dir, char *why, size_t why_bytes)
{
    char certificate_path[PATH_MAX], key_path[PATH_MAX];
    struct realm opened = {0};

    if (realm_path(certificate_path, dir, "root.pem", why, why_bytes) < 0 ||
        realm_path(key_path, dir, "root.key", why, why_bytes) < 0)
        return -ENAMETOOLONG;
    int error = read_root(&opened, certificate_path, key_path, why, why_bytes);
    if (error < 0) {
        realm_fini(&opened);
        return error;
    }
    identity_file_check_mode(key_path);
    *realm = opened;
    return 0;
}

/* Keeps the certificate, so that a node can be revoked whose enrolment file is gone. */
static int keep_issued(const char *dir, const char *site, X509 *x509, char *why, size_t why_bytes)
{
    char folder[PATH_MAX], name[160], path[PATH_MAX];
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x509), NULL);
    char *serial = number ? BN_bn2hex(number) : NULL;
    BIO *bio = BIO_new(BIO_s_mem());
    int error = -ENOMEM;

    snprintf(why, why_bytes, "out of memory");
    if (serial && bio && PEM_write_bio_X509(bio, x509) == 1) {
        snprintf(name, sizeof name, "issued/%s-%.32s.pem", site, serial);
        error = realm_path(folder, dir, "issued", why, why_bytes);
        if (error == 0)
            error = realm_path(path, dir, name, why, why_bytes);
        if (error == 0)
            error = make_folder(folder, why, why_bytes);
        const struct identity_file_content content = realm_content(bio, 0644);
        if (error == 0)
            error = identity_file_create(path, &content, why, why_bytes);
    }
    BN_free(number);
    OPENSSL_free(serial);
    BIO_free(bio);
    return error;
}

int overlay_realm_enrol(const char *dir, const struct overlay_enrolment *enrolment,
                        const char *path, char *why, size_t why_bytes)
{
    struct realm realm;
    X509 *x509 = NULL;
    char *pem = NULL;
    int error = realm_check_enrolment(enrolment, why, why_bytes);

    if (error < 0)
        return error;
    error = realm_open(&realm, dir, why, why_bytes);
    if (error < 0)
        return error;
    error = realm_issue(&realm, enrolment, time(NULL), &pem, &x509, why, why_bytes);
    if (error == 0) {
        const struct identity_file_content content = {pem, strlen(pem), 0600};
        error = identity_file_create(path, &content, why, why_bytes);
        sodium_memzero(pem, strlen(pem));
        free(pem);
        if (error == 0) {
            error = keep_issued(dir, enrolment->site, x509, why, why_bytes);
            if (error < 0)
                unlink(path); /* what could never be revoked is not given out */
        }
        X509_free(x509);
    }
    realm_fini(&realm);
    return error;
}
