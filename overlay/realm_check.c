/* An enrolment file told in words, for `sallyport check`. */
#include "overlay/identity_x509.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void tell_names(FILE *out, const struct certificate *own)
{
    fprintf(out, "site: %s\n", own->site);
    if (own->number_count > 0) {
        fprintf(out, "numbers:");
        for (int i = 0; i < own->number_count; i++)
            fprintf(out, " %s", own->numbers[i]);
        fprintf(out, "\n");
    }
    fprintf(out, "roles:");
    for (unsigned role = 1; role <= CONF_ROLE_CLIENT; role <<= 1)
        if (own->roles & role)
            fprintf(out, " %s", identity_role_name(role));
    fprintf(out, "%s\n", own->roles ? "" : " none");
}

static void tell(FILE *out, const struct identity *identity)
{
    const struct certificate *own = &identity->own;
    char node[2 * OVERLAY_NODE_ID_BYTES + 1], realm[128] = "", date[IDENTITY_DATE_BYTES];

    X509_NAME_get_text_by_NID(X509_get_subject_name(identity->root), NID_commonName, realm,
                              sizeof realm);
    fprintf(out, "realm: %s\n", realm);
    tell_names(out, own);
    sodium_bin2hex(node, sizeof node, own->node, sizeof own->node);
    fprintf(out, "node: %s\n", node);
    fprintf(out, "valid until: %s (%lld days)\n", identity_date(own->not_after_s, date),
            (long long)((own->not_after_s - time(NULL) + 86399) / 86400));
    fprintf(out, "supernodes:");
    for (int i = 0; i < identity->supernode_count; i++)
        fprintf(out, " %s", identity->supernodes[i]);
    fprintf(out, "%s\n", identity->supernode_count ? "" : " none named");
}

int overlay_enrolment_check(const char *path, const char *revocation, char **text, char *why,
                            size_t why_bytes)
{
    struct identity *identity;
    size_t bytes;
    int error = identity_load(path, revocation, &identity, why, why_bytes);

    if (error < 0)
        return error;
    FILE *out = open_memstream(text, &bytes);
    if (out)
        tell(out, identity);
    identity_free(identity);
    if (out && fclose(out) == 0)
        return 0;
    snprintf(why, why_bytes, "out of memory");
    return -ENOMEM;
}
