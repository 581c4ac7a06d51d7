#include "sip/auth.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uthash.h>

#define NONCE_LIFETIME_S 300
#define NONCES_SEEN_MAX 20000

/* The last use of a nonce; the oldest goes first when the table is full. */
struct auth_nonce {
    char text[DIGEST_NONCE_MAX];
    uint64_t made_s;
    uint32_t count; /* highest nonce count */
    uint64_t use;   /* of that use: a retransmission has the same */
    UT_hash_handle hh;
};

int auth_init(struct auth *auth, const struct conf *conf)
{
    auth->conf = conf;
    auth->seen = NULL;
    return digest_nonces_init(&auth->nonces, NONCE_LIFETIME_S);
}

static void seen_remove(struct auth *auth, struct auth_nonce *nonce)
{
    HASH_DEL(auth->seen, nonce);
    free(nonce);
}

void auth_fini(struct auth *auth)
{
    struct auth_nonce *nonce, *next;

    HASH_ITER(hh, auth->seen, nonce, next)
    seen_remove(auth, nonce);
}

/* In order of first use, which is nearly the order of their age. */
static void seen_trim(struct auth *auth, uint64_t now_s)
{
    struct auth_nonce *nonce, *next;

    HASH_ITER(hh, auth->seen, nonce, next)
    {
        if (HASH_COUNT(auth->seen) < NONCES_SEEN_MAX &&
            now_s - nonce->made_s < 2 * NONCE_LIFETIME_S)
            return;
        seen_remove(auth, nonce);
    }
}

static void hash_text(uint64_t *hash, const char *text)
{
    for (; text && *text; text++)
        *hash = (*hash ^ (unsigned char)*text) * 1099511628211u; /* FNV-1a */
    *hash = (*hash ^ 255) * 1099511628211u;
}

static uint64_t use_of(const struct auth_origin *origin, const struct digest_credentials *c)
{
    char text[ADDRESS_TEXT_MAX];
    uint64_t hash = 14695981039346656037u;

    hash_text(&hash, c->response);
    hash_text(&hash, address_format(origin->source, text));
    hash_text(&hash, origin->sip->sip_call_id->i_id);
    hash_text(&hash, origin->sip->sip_via ? origin->sip->sip_via->v_branch : NULL);
    return hash ^ origin->sip->sip_cseq->cs_seq;
}

/* False when this use was there before. Without qop there is no count: then a nonce is good once.
 */
static bool seen_advance(struct auth *auth, const struct digest_credentials *c, uint64_t use,
                         uint64_t now_s)
{
    uint32_t count = c->has_qop ? (uint32_t)strtoul(c->nc, NULL, 16) : 1;
    struct auth_nonce *nonce;

    HASH_FIND_STR(auth->seen, c->nonce, nonce);
    if (!nonce) {
        seen_trim(auth, now_s);
        nonce = calloc(1, sizeof *nonce);
        if (!nonce)
            return false;
        snprintf(nonce->text, sizeof nonce->text, "%.*s", DIGEST_NONCE_MAX - 1, c->nonce);
        nonce->made_s = now_s;
        HASH_ADD_STR(auth->seen, text, nonce);
    } else if (count <= nonce->count) {
        return count == nonce->count && use == nonce->use;
    }
    nonce->count = count;
    nonce->use = use;
    return true;
}

static bool is_ours(const struct auth *auth, const msg_auth_t *header, struct digest_credentials *c,
                    bool *bad)
{
    memset(c, 0, sizeof *c);
    c->algorithm = DIGEST_MD5;
    *bad = false;
    if (!header->au_scheme || strcasecmp(header->au_scheme, "Digest") || !header->au_params)
        return false;
    for (int i = 0; header->au_params[i]; i++)
        if (digest_credentials_add(c, header->au_params[i]))
            *bad = true;
    return !strcmp(c->realm, auth->conf->sip.domain);
}

enum auth_verdict auth_check(struct auth *auth, const struct auth_origin *origin,
                             const msg_auth_t *header, uint64_t now_s,
                             const struct conf_phone **phone)
{
    struct digest_credentials c;
    const struct conf_phone *found;
    char right[DIGEST_HEX_MAX];
    enum digest_nonce nonce;
    bool bad, equal;

    while (header && !is_ours(auth, header, &c, &bad))
        header = header->au_next;
    if (!header)
        return AUTH_MISSING;
    if (!(auth->conf->sip.digest &
          (c.algorithm == DIGEST_SHA256 ? CONF_DIGEST_SHA256 : CONF_DIGEST_MD5)))
        return AUTH_MISSING; /* not what was asked for */
    if (bad || !c.username[0] || !c.uri[0] || !c.response[0] ||
        (c.has_qop &&
         (strlen(c.nc) != 8 || strspn(c.nc, "0123456789abcdefABCDEF") != 8 || !c.cnonce[0])))
        return AUTH_BAD;
    nonce = digest_nonce_check(&auth->nonces, c.nonce, now_s);
    /* The same work for everybody: an unknown user gets a secret that nobody has. */
    found = conf_phone_find(auth->conf, c.username);
    digest_response(&c, found && found->secret ? found->secret : "\x01no such phone",
                    origin->sip->sip_request->rq_method_name, right);
    equal = digest_equal(right, c.response);
    if (nonce != DIGEST_NONCE_FRESH)
        return AUTH_STALE;
    if (!equal || !found || !found->secret)
        return found && found->secret ? AUTH_WRONG : AUTH_UNKNOWN;
    if (!seen_advance(auth, &c, use_of(origin, &c), now_s))
        return AUTH_STALE;
    *phone = found;
    return AUTH_OK;
}

void auth_challenge(const struct auth *auth, enum digest_algorithm algorithm, const char *nonce,
                    bool stale, char *text)
{
    snprintf(text, CHALLENGE_MAX,
             "Digest realm=\"%.128s\", nonce=\"%s\", algorithm=%s, qop=\"auth\"%s",
             auth->conf->sip.domain, nonce, digest_algorithm_name(algorithm),
             stale ? ", stale=true" : "");
}
