/* Enrolment files from anywhere: an identity or a reason, never a crash. */
#include "overlay/identity.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct identity *identity;
    char why[300] = "";

    if (identity_parse((const char *)data, bytes, &identity, why, sizeof why) < 0) {
        if (why[0] == '\0')
            abort();
        return 0;
    }
    const struct certificate *own = identity_certificate(identity);
    if (own->site[0] == '\0' || !certificate_grants(own, own->site))
        abort();
    for (int i = 0; i < own->number_count; i++)
        if (!certificate_grants(own, own->numbers[i]))
            abort();
    for (int i = 0; i < identity_supernode_count(identity); i++)
        if (strlen(identity_supernode(identity, i)) < 3)
            abort();
    identity_free(identity);
    return 0;
}
