/* sip/auth.h: who sent this request? Digest authentication of phones (RFC 3261, 22; RFC 8760).
 *
 * Unknown users and wrong secrets are answered alike and after the same work. Nonces are stateless;
 * of the live ones only the highest nonce count is remembered, so a captured request cannot be
 * played again from elsewhere or for something else (RFC 7616, 5.5), while a retransmission is
 * taken. */
#ifndef SIP_AUTH_H
#define SIP_AUTH_H

#include "conf/conf.h"
#include "sip/digest.h"

#include <sofia-sip/sip.h>

#define CHALLENGE_MAX 320

struct auth_nonce;

struct auth {
    struct digest_nonces nonces;
    struct auth_nonce *seen; /* hash table */
    const struct conf *conf;
};

/* What makes two requests the same one, sent again: who sent it, and its transaction. */
struct auth_origin {
    const struct sockaddr_storage *source;
    const sip_t *sip;
};

enum auth_verdict {
    AUTH_OK,
    AUTH_MISSING, /* no credentials for our realm: challenge */
    AUTH_STALE,   /* challenge with stale=true */
    AUTH_UNKNOWN, /* 403: no such phone; for our own eyes, outside it is the next */
    AUTH_WRONG,   /* 403 */
    AUTH_BAD      /* 400: cannot be read */
};

int auth_init(struct auth *auth, const struct conf *conf);
void auth_fini(struct auth *auth);
/* Judges the credentials in `header` (Authorization or Proxy-Authorization, may be NULL). `*phone`
 * is set with AUTH_OK. `now_s` is wall time. */
enum auth_verdict auth_check(struct auth *auth, const struct auth_origin *origin,
                             const msg_auth_t *header, uint64_t now_s,
                             const struct conf_phone **phone);
/* Writes a challenge (CHALLENGE_MAX bytes). */
void auth_challenge(const struct auth *auth, enum digest_algorithm algorithm, const char *nonce,
                    bool stale, char *text);

#endif
