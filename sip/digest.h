/* sip/digest.h: HTTP digest (RFC 7616, 2617; in SIP RFC 3261, 22 and RFC 8760). Pure computation:
 * texts in, texts and verdicts out. The only user of OpenSSL in this folder.
 *
 * Nonces are stateless: time and random bytes, sealed by a key that lives as long as the process.
 */
#ifndef SIP_DIGEST_H
#define SIP_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum digest_algorithm { DIGEST_SHA256, DIGEST_MD5, DIGEST_ALGORITHMS };

#define DIGEST_KEY_BYTES 32
#define DIGEST_NONCE_MAX 72 /* text with its NUL */
#define DIGEST_HEX_MAX 65
#define DIGEST_VALUE_MAX 160 /* longest value that is looked at in credentials */

/* "SHA-256", "MD5". */
const char *digest_algorithm_name(enum digest_algorithm algorithm);

/* What the client sent, unquoted; "" when missing. */
struct digest_credentials {
    enum digest_algorithm algorithm;
    bool has_qop;
    char username[DIGEST_VALUE_MAX], realm[DIGEST_VALUE_MAX], nonce[DIGEST_VALUE_MAX];
    char uri[512], response[DIGEST_VALUE_MAX], cnonce[DIGEST_VALUE_MAX], nc[9];
};

/* Takes one "name=value" parameter of an Authorization header. Unknown names are skipped; -EINVAL
 * when it is malformed, too long, or names an algorithm or qop that we do not offer. Start from a
 * zeroed struct with algorithm DIGEST_MD5 (the default of the RFC). */
int digest_credentials_add(struct digest_credentials *credentials, const char *param);

/* The response that is right for these credentials. */
void digest_response(const struct digest_credentials *credentials, const char *secret,
                     const char *method, char hex[DIGEST_HEX_MAX]);

/* Compares in constant time. */
bool digest_equal(const char *a, const char *b);

struct digest_nonces {
    uint8_t key[DIGEST_KEY_BYTES];
    unsigned lifetime_s;
};
/* 0, or -EIO when there is no randomness. */
int digest_nonces_init(struct digest_nonces *nonces, unsigned lifetime_s);
void digest_nonce_make(const struct digest_nonces *nonces, uint64_t now_s,
                       char text[DIGEST_NONCE_MAX]);
enum digest_nonce { DIGEST_NONCE_FRESH, DIGEST_NONCE_STALE, DIGEST_NONCE_FOREIGN };
enum digest_nonce digest_nonce_check(const struct digest_nonces *nonces, const char *text,
                                     uint64_t now_s);

/* `bytes` random bytes as lower-case hex with a NUL. */
void digest_random_hex(size_t bytes, char *hex);

#endif
