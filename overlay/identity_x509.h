/* overlay/identity_x509.h: an identity from the inside, and certificates as OpenSSL holds them.
 *
 * Private to identity*.c, realm*.c and tests/sim. Any thread; an identity is read-only once it is
 * made, but for its revocation list.
 *
 *   identity.c       the enrolment file: read, checked, held
 *   identity_x509.c  a certificate of the realm as plain data; is it good?
 *   identity_known.c which certificates the root has signed
 *   identity_revoke.c  the revocation list
 *   identity_name.c  which names there may be
 *   identity_key.c   signing, sealing, agreeing on keys
 *   identity_tls.c   the TLS context
 *   identity_ticket.c  the keys of its session tickets
 *   identity_file.c  small files of PEM, read and written
 */
#ifndef OVERLAY_IDENTITY_X509_H
#define OVERLAY_IDENTITY_X509_H

#include "overlay/identity.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdatomic.h>

/* Lists as they came, the newest first; one that is in force is never changed. */
struct identity_lists {
    _Atomic(const struct identity_held_list *) newest;
};

struct identity {
    struct certificate own;
    X509 *certificate;
    X509 *root;
    EVP_PKEY *key;
    X509_STORE *store;            /* holds the root */
    struct identity_lists *lists; /* of its own, because it changes under a const identity */
    SSL_CTX *tls;
    struct identity_tickets *tickets; /* these two have a lock of their own */
    struct identity_known *known;
    int64_t root_not_before_s, root_not_after_s;
    uint8_t sign_key[64];                   /* libsodium's form of our key */
    uint8_t box_public[32], box_secret[32]; /* its X25519 form */
    char *supernodes[CONF_LISTS_MAX];
    int supernode_count;
};

/* An identity by the thousand (simulation): plain data and libsodium's keys only. Root and their
 * store are those of `like`, of the same realm; there is no TLS context. The caller keeps both. */
int identity_bare(const struct identity *like, X509 *certificate, EVP_PKEY *key,
                  struct identity **identity);

/* ---- identity_x509.c ------------------------------------------------------------------ */

/* Takes the plain data out of a certificate without judging who signed it. -EINVAL with the reason.
 */
int identity_x509_read(X509 *x509, struct certificate *certificate, char *why, size_t why_bytes);
/* As identity_verify, for one that is parsed already: parsing costs OpenSSL more than all checks.
 */
int identity_x509_verify(const struct identity *identity, X509 *x509, int64_t now_s,
                         struct certificate *certificate, char *why, size_t why_bytes);
/* Is it signed by the identity's root and not revoked? Time is not looked at. -EACCES with the
 * reason. */
int identity_x509_chain(const struct identity *identity, X509 *x509, char *why, size_t why_bytes);
/* Is `now_s` within its time, and the root's? -EACCES with the reason. */
int identity_x509_time(const struct identity *identity, const struct certificate *certificate,
                       int64_t now_s, char *why, size_t why_bytes);
/* The serial number, padded in front. -EINVAL for what RFC 5280, section 4.1.2.2 does not allow. */
int identity_serial(const ASN1_INTEGER *number, uint8_t serial[CERTIFICATE_SERIAL_BYTES]);
int64_t identity_time_s(const ASN1_TIME *time);
/* "2026-01-02" into `text` (IDENTITY_DATE_BYTES), which is returned. */
#define IDENTITY_DATE_BYTES 16
const char *identity_date(int64_t time_s, char *text);
/* OpenSSL's own words for what went wrong last; empties its queue. */
const char *identity_openssl_error(void);

/* ---- identity_known.c ----------------------------------------------------------------- */

/* NULL: out of memory. */
struct identity_known *identity_known_new(void);
void identity_known_free(struct identity_known *known);
/* Was exactly this certificate added? False also for one that was forgotten. In a NULL nothing is
 * known. */
bool identity_known_has(struct identity_known *known, X509 *x509);
void identity_known_add(struct identity_known *known, X509 *x509);
/* ---- identity_revoke.c ---------------------------------------------------------------- */

int identity_lists_open(struct identity *identity);
void identity_lists_free(struct identity *identity);

/* ---- identity_name.c ------------------------------------------------------------------ */

bool identity_is_site(const char *name);   /* [a-z0-9][a-z0-9.-]{0,62} */
bool identity_is_number(const char *name); /* +[0-9]{1,15} */
/* A role by its name; 0: there is none. */
unsigned identity_role_find(const char *name);
/* The name of one role; NULL for what is none. */
const char *identity_role_name(unsigned role);

/* ---- identity_key.c ------------------------------------------------------------------- */

/* Derives libsodium's keys from the PKCS#8 key. -EINVAL when it is not Ed25519. */
int identity_key_derive(struct identity *identity);
void identity_node_id(const uint8_t public_key[32], uint8_t node[OVERLAY_NODE_ID_BYTES]);
int identity_key_init(void);

/* ---- identity_tls.c ------------------------------------------------------------------- */

int identity_tls_make(struct identity *identity);

#endif
