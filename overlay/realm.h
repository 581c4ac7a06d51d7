/* overlay/realm.h: making a realm's certificates, in memory and as files.
 *
 * The operator's side of identity, offline: whoever has root.key decides who is in the realm. A
 * folder of a realm holds root.pem     the root's certificate           root.key   its key, 0600:
 * the realm's one secret issued/      the certificates given out, SITE-SERIAL.pem: what `sallyport
 * realm revoke` is given revoked.pem  the revocation list, once something was revoked Private to
 * realm*.c and tests (which make identities without files). Any thread.
 *
 *   realm.c         the folder: new, enrol
 *   realm_make.c    certificates, made and signed
 *   realm_revoke.c  the revocation list
 *   realm_check.c   an enrolment file told in words
 */
#ifndef OVERLAY_REALM_H
#define OVERLAY_REALM_H

#include "overlay/identity.h"
#include "overlay/identity_file.h"
#include "overlay/overlay.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

struct realm {
    X509 *root;
    EVP_PKEY *key;
};

#define REALM_NAME_MAX 64 /* a common name (RFC 5280, appendix A.1) */
#define REALM_DAYS_MAX 36500

/* Makes a root in memory. -EINVAL with the reason. Free with realm_fini. */
int realm_make(struct realm *realm, const char *name, int days, char *why, size_t why_bytes);
void realm_fini(struct realm *realm);

/* Checks names, numbers, roles, supernodes and days; -EINVAL with what to write instead. */
int realm_check_enrolment(const struct overlay_enrolment *enrolment, char *why, size_t why_bytes);
/* Makes a key and its certificate; the caller frees both. */
struct realm_node {
    X509 *certificate;
    EVP_PKEY *key;
};
int realm_make_node(const struct realm *realm, const struct overlay_enrolment *enrolment,
                    int64_t from_s, struct realm_node *node, char *why, size_t why_bytes);
/* Makes a key and its certificate, valid from `from_s` (a day earlier, for clocks that differ)
 * for `days`; *pem (caller frees) is the enrolment file, *certificate the new certificate unless
 * NULL. */
int realm_issue(const struct realm *realm, const struct overlay_enrolment *enrolment,
                int64_t from_s, char **pem, X509 **certificate, char *why, size_t why_bytes);

/* A revocation list of these serial numbers, in memory; the caller frees *der. */
struct realm_list {
    uint64_t number;
    size_t count;
    const uint8_t (*serials)[CERTIFICATE_SERIAL_BYTES];
};
int realm_list_make(const struct realm *realm, const struct realm_list *list, uint8_t **der,
                    size_t *bytes);

/* What was written into a memory BIO, as the content of a file. */
struct identity_file_content realm_content(BIO *bio, mode_t mode);

/* Opens the realm in folder `dir`. */
int realm_open(struct realm *realm, const char *dir, char *why, size_t why_bytes);
/* "DIR/NAME" into `path` (PATH_MAX bytes). -ENAMETOOLONG with the reason. */
int realm_path(char *path, const char *dir, const char *name, char *why, size_t why_bytes);

#endif
