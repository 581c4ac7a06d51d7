/* overlay/identity.h: who we are and who others are: certificates of the realm.
 *
 * An identity is what an enrolment file holds: our certificate and Ed25519 key, the realm's root,
 * the first supernodes; plus the newest revocation list that we know of. A certificate names, as
 * subjectAltName URIs, sallyport:site:berlin   sallyport:number:+4930123   sallyport:role:gateway
 * and counts only when it chains to the root, is within its time and is not revoked.
 * An enrolment file is PEM: "CERTIFICATE" (ours), "PRIVATE KEY" (PKCS#8), "CERTIFICATE" (root), and
 * one comment line "supernode: host:port" per supernode before the first block; `openssl x509
 * -text` reads it. OpenSSL types stay in identity*.c, realm*.c, tls*.c and link*.c.
 */
#ifndef OVERLAY_IDENTITY_H
#define OVERLAY_IDENTITY_H

#include "overlay/overlay.h"

#define IDENTITY_DER_MAX 2048
#define IDENTITY_NUMBERS_MAX CONF_LISTS_MAX

/* A verified certificate, as plain data. */
#define CERTIFICATE_SERIAL_BYTES 20
struct certificate {
    uint8_t node[OVERLAY_NODE_ID_BYTES];
    uint8_t serial[CERTIFICATE_SERIAL_BYTES]; /* big-endian: what a revocation list names */
    uint8_t public_key[32];                   /* Ed25519 */
    char site[OVERLAY_NAME_MAX];
    char numbers[IDENTITY_NUMBERS_MAX][OVERLAY_NAME_MAX];
    int number_count;
    unsigned roles; /* enum conf_role */
    int64_t not_before_s, not_after_s;
    size_t der_bytes;
    uint8_t der[IDENTITY_DER_MAX];
};

struct identity;

/* Reads an enrolment file and, unless NULL, a revocation list (PEM CRL signed by the root). */
int identity_load(const char *enrolment, const char *revocation, struct identity **identity,
                  char *why, size_t why_bytes);
/* The same from memory (fuzzing, simulation). */
int identity_parse(const char *pem, size_t bytes, struct identity **identity, char *why,
                   size_t why_bytes);
void identity_free(struct identity *identity);

const struct certificate *identity_certificate(const struct identity *identity);
/* Eight hex digits and a NUL that tell this realm from others, by its root. For names of files. */
#define IDENTITY_TAG_BYTES 9
void identity_realm_tag(const struct identity *identity, char tag[IDENTITY_TAG_BYTES]);
int identity_supernode_count(const struct identity *identity);
const char *identity_supernode(const struct identity *identity, int i);

/* Verifies a DER certificate against the root, `now_s` and the revocation list. 0, or -EACCES with
 * the reason ("expired on 2026-01-02", "of another realm", "revoked", …), -EINVAL for what is no
 * certificate of ours. */
int identity_verify(const struct identity *identity, const uint8_t *der, size_t bytes,
                    int64_t now_s, struct certificate *certificate, char *why, size_t why_bytes);

/* ---- revocation (identity_revoke.c) -----------------------------------------------------------
 *
 * A list is a CRL (RFC 5280, section 5) that the root has signed, with a CRL number; of two the one
 * with the higher number counts. Lists are taken on the control thread, asked for on any: an
 * identity is const but for the list that it holds. Older lists are kept until identity_free.
 */

/* What of a list fits into a frame; larger ones hold, but cannot be handed on. */
#define IDENTITY_LIST_MAX 65500
struct identity_list {
    uint64_t number; /* 0: there is none */
    size_t count;    /* of certificates */
    size_t bytes;
    const uint8_t *der; /* as long as the identity */
};
struct identity_list identity_list(const struct identity *identity);
/* Takes a newer list. -EALREADY: this number is held; -ESTALE: a higher one is; -EINVAL: no list,
 * not signed by the root, or one that does not stand alone; each with the reason. */
int identity_revoke(const struct identity *identity, const uint8_t *der, size_t bytes, char *why,
                    size_t why_bytes);
/* The same from a PEM file; the reason begins with its path. */
int identity_revoke_file(const struct identity *identity, const char *path, char *why,
                         size_t why_bytes);
/* The list as PEM, for keeping on disk; the caller frees. NULL: there is none. */
char *identity_list_pem(const struct identity *identity);
bool identity_is_revoked(const struct identity *identity,
                         const uint8_t serial[CERTIFICATE_SERIAL_BYTES]);

/* Does the certificate grant this site or number prefix? A granted prefix grants longer ones. */
bool certificate_grants(const struct certificate *certificate, const char *name);

/* Ed25519 by libsodium. */
#define IDENTITY_SIGNATURE_BYTES 64
void identity_sign(const struct identity *identity, const uint8_t *data, size_t bytes,
                   uint8_t signature[IDENTITY_SIGNATURE_BYTES]);
bool certificate_check(const struct certificate *certificate, const uint8_t *data, size_t bytes,
                       const uint8_t signature[IDENTITY_SIGNATURE_BYTES]);

/* The same with the key alone. */
bool identity_check(const uint8_t public_key[32], const uint8_t *data, size_t bytes,
                    const uint8_t signature[IDENTITY_SIGNATURE_BYTES]);

/* crypto_box_seal to an X25519 public key; `out` has room for bytes + 48. */
#define IDENTITY_SEAL_BYTES 48
void identity_seal(const uint8_t public_key[32], const uint8_t *data, size_t bytes, uint8_t *out);
/* The X25519 form of a certificate's key. */
int certificate_seal_key(const struct certificate *certificate, uint8_t public_key[32]);
/* Opens what was sealed to our certificate. `out` has room for bytes - 48. -EBADMSG when it does
 * not open. */
int identity_unseal(const struct identity *identity, const uint8_t *sealed, size_t bytes,
                    uint8_t *out);
/* Opens what was sealed to a fresh key pair. */
int identity_unseal_with(const uint8_t public_key[32], const uint8_t secret_key[32],
                         const uint8_t *sealed, size_t bytes, uint8_t *out);

/* The two SRTP keys of a call from the X25519 agreement of both fresh keys, bound to call id and
 * nodes. */
struct identity_call_keys {
    uint8_t caller_to_callee[OVERLAY_KEY_BYTES];
    uint8_t callee_to_caller[OVERLAY_KEY_BYTES];
};
struct identity_agreement {
    const uint8_t *secret_key; /* ours, fresh */
    const uint8_t *public_key; /* theirs, fresh */
    const uint8_t *call;       /* 8 bytes */
    const uint8_t *caller_node, *callee_node;
    const uint8_t *caller_key, *callee_key; /* both fresh public keys */
};
int identity_agree(const struct identity_agreement *agreement, struct identity_call_keys *keys);

/* What link/tls need: SSL_CTX * of OpenSSL as void *, made once (TLS 1.3, mutual, our certificate,
 * root); server and client; valid as long as the identity. */
void *identity_tls_context(const struct identity *identity);

#endif
