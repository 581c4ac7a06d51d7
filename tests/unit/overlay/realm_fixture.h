/* Realms and identities made in memory, for the tests of overlay/. */
#ifndef TESTS_REALM_FIXTURE_H
#define TESTS_REALM_FIXTURE_H

#include "overlay/identity.h"
#include "overlay/realm.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FIXTURE_DAYS 30

static inline void fixture_realm(struct realm *realm)
{
    char why[200];

    if (realm_make(realm, "test realm", 365, why, sizeof why) < 0)
        abort();
}

static inline char *fixture_pem(const struct realm *realm, const char *site, const char *number,
                                unsigned roles, int64_t from_s)
{
    struct overlay_enrolment enrolment = {
        .site = site, .roles = roles, .days = FIXTURE_DAYS, .number_count = number ? 1 : 0};
    char why[200], *pem;

    enrolment.numbers[0] = number;
    if (realm_issue(realm, &enrolment, from_s, &pem, NULL, why, sizeof why) < 0)
        abort();
    return pem;
}

static inline struct identity *fixture_identity_from(const struct realm *realm, const char *site,
                                                     unsigned roles, int64_t from_s)
{
    char *pem = fixture_pem(realm, site, NULL, roles, from_s), why[200];
    struct identity *identity;

    if (identity_parse(pem, strlen(pem), &identity, why, sizeof why) < 0)
        abort();
    free(pem);
    return identity;
}

static inline struct identity *fixture_identity(const struct realm *realm, const char *site,
                                                unsigned roles)
{
    return fixture_identity_from(realm, site, roles, time(NULL));
}

/* From now on `judge` knows that `whom` is revoked; NULL: that nobody is. */
static inline void fixture_revoke(const struct realm *realm, const struct identity *judge,
                                  const struct identity *whom)
{
    const struct realm_list list = {
        .number = identity_list(judge).number + 1,
        .count = whom ? 1 : 0,
        .serials = whom ? &identity_certificate(whom)->serial : NULL,
    };
    uint8_t *der;
    size_t bytes;
    char why[200];

    if (realm_list_make(realm, &list, &der, &bytes) < 0 ||
        identity_revoke(judge, der, bytes, why, sizeof why) < 0)
        abort();
    free(der);
}

#endif
