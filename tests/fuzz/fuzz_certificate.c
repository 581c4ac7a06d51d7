/* DER that somebody calls a certificate: judged, and read as if the root had signed it. */
#include "overlay/identity_x509.h"
#include "overlay/realm.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static struct identity *make_judge(void)
{
    const struct overlay_enrolment enrolment = {.site = "judge", .roles = 1, .days = 9};
    struct identity *judge;
    struct realm realm;
    char why[300], *pem;

    if (realm_make(&realm, "fuzz", 99, why, sizeof why) < 0 ||
        realm_issue(&realm, &enrolment, time(NULL), &pem, NULL, why, sizeof why) < 0 ||
        identity_parse(pem, strlen(pem), &judge, why, sizeof why) < 0)
        abort();
    free(pem);
    realm_fini(&realm);
    return judge;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct identity *judge;
    struct certificate certificate;
    char why[300] = "";
    const unsigned char *at = data;

    if (!judge)
        judge = make_judge();
    /* Nothing that comes in here is signed by a root made a moment ago. */
    if (identity_verify(judge, data, bytes, 1700000000, &certificate, why, sizeof why) == 0 ||
        !why[0])
        abort();
    X509 *x509 = d2i_X509(NULL, &at, (long)bytes);
    if (x509 && identity_x509_read(x509, &certificate, why, sizeof why) == 0 &&
        (!identity_is_site(certificate.site) || certificate.number_count > IDENTITY_NUMBERS_MAX))
        abort();
    X509_free(x509);
    return 0;
}
