#include "overlay/trust.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct trusted {
    TAILQ_ENTRY(trusted) next;
    UT_hash_handle hh; /* by the DER of the certificate */
    int64_t verified_s;
    struct certificate certificate; /* last: only the used bytes of its DER are allocated */
};

static size_t used_bytes(const struct certificate *certificate)
{
    return offsetof(struct certificate, der) + certificate->der_bytes;
}

void trust_init(struct trust *trust, const struct identity *identity)
{
    *trust = (struct trust){.identity = identity};
    TAILQ_INIT(&trust->oldest_first);
}

static void forget(struct trust *trust, struct trusted *trusted)
{
    TAILQ_REMOVE(&trust->oldest_first, trusted, next);
    HASH_DELETE(hh, trust->by_der, trusted);
    free(trusted);
}

void trust_flush(struct trust *trust)
{
    while (!TAILQ_EMPTY(&trust->oldest_first))
        forget(trust, TAILQ_FIRST(&trust->oldest_first));
}

void trust_fini(struct trust *trust)
{
    trust_flush(trust);
}

/* A clock that was set back makes it worthless too. */
static bool is_fresh(const struct trusted *trusted, int64_t now_s)
{
    return now_s >= trusted->verified_s && now_s < trusted->verified_s + TRUST_KEPT_S &&
           now_s >= trusted->certificate.not_before_s && now_s < trusted->certificate.not_after_s;
}

static void keep(struct trust *trust, const struct certificate *certificate, int64_t now_s)
{
    struct trusted *trusted;
    size_t bytes = used_bytes(certificate);

    while ((trusted = TAILQ_FIRST(&trust->oldest_first)) && !is_fresh(trusted, now_s))
        forget(trust, trusted);
    trusted = malloc(offsetof(struct trusted, certificate) + bytes);
    if (!trusted)
        return; /* it is only slower */
    trusted->verified_s = now_s;
    memcpy(&trusted->certificate, certificate, bytes);
    HASH_ADD_KEYPTR(hh, trust->by_der, trusted->certificate.der, certificate->der_bytes, trusted);
    TAILQ_INSERT_TAIL(&trust->oldest_first, trusted, next);
    if (HASH_COUNT(trust->by_der) > TRUST_KEPT_MAX)
        forget(trust, TAILQ_FIRST(&trust->oldest_first));
}

int trust_verify(struct trust *trust, const uint8_t *der, size_t bytes, int64_t now_s,
                 struct certificate *certificate, char *why, size_t why_bytes)
{
    struct trusted *trusted = NULL;

    if (bytes > 0)
        HASH_FIND(hh, trust->by_der, der, bytes, trusted);
    if (trusted && is_fresh(trusted, now_s)) {
        memcpy(certificate, &trusted->certificate, used_bytes(&trusted->certificate));
        return 0;
    }
    if (trusted)
        forget(trust, trusted);
    int error = identity_verify(trust->identity, der, bytes, now_s, certificate, why, why_bytes);
    if (!error)
        keep(trust, certificate, now_s);
    return error;
}
