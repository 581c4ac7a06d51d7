/* The revocation list of an identity: judged, taken when it is newer, asked by serial number. */
#include "overlay/identity_file.h"
#include "overlay/identity_x509.h"

#include "conf/log.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct identity_held_list {
    const struct identity_held_list *older;
    struct identity_list list;
    uint8_t (*serials)[CERTIFICATE_SERIAL_BYTES]; /* sorted */
    uint8_t *der;
};

int identity_lists_open(struct identity *identity)
{
    identity->lists = calloc(1, sizeof *identity->lists);
    return identity->lists ? 0 : -ENOMEM;
}

static void held_free(const struct identity_held_list *held)
{
    free(held->serials);
    free(held->der);
    free((void *)held);
}

void identity_lists_free(struct identity *identity)
{
    const struct identity_held_list *held, *older;

    if (!identity->lists)
        return;
    for (held = atomic_load(&identity->lists->newest); held; held = older) {
        older = held->older;
        held_free(held);
    }
    free(identity->lists);
}

static const struct identity_held_list *newest(const struct identity *identity)
{
    return atomic_load_explicit(&identity->lists->newest, memory_order_acquire);
}

struct identity_list identity_list(const struct identity *identity)
{
    const struct identity_held_list *held = newest(identity);

    return held ? held->list : (struct identity_list){.number = 0};
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, CERTIFICATE_SERIAL_BYTES);
}

bool identity_is_revoked(const struct identity *identity,
                         const uint8_t serial[CERTIFICATE_SERIAL_BYTES])
{
    const struct identity_held_list *held = newest(identity);

    return held && bsearch(serial, held->serials, held->list.count, CERTIFICATE_SERIAL_BYTES,
                           compare) != NULL;
}

/* ---- judging ----------------------------------------------------------------------------------
 */

/* 0: it has none, or one that is too large to be meant. */
static uint64_t number_of(const X509_CRL *crl)
{
    ASN1_INTEGER *number = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);
    uint64_t value = 0;

    if (number && ASN1_INTEGER_get_uint64(&value, number) != 1)
        value = 0;
    ASN1_INTEGER_free(number);
    return value;
}

/* What makes a list one of changes or of a part of the certificates is critical (RFC 5280, sections
 * 5.2.4 and 5.2.5). */
static bool stands_alone(const X509_CRL *crl)
{
    for (int i = 0; i < X509_CRL_get_ext_count(crl); i++)
        if (X509_EXTENSION_get_critical(X509_CRL_get_ext(crl, i)))
            return false;
    return true;
}

static int judge(const struct identity *identity, X509_CRL *crl, char *why, size_t why_bytes)
{
    const uint64_t number = number_of(crl), held = identity_list(identity).number;

    if (X509_CRL_verify(crl, X509_get0_pubkey(identity->root)) != 1) {
        snprintf(why, why_bytes, "is not signed by the root of our realm");
        return -EINVAL;
    }
    if (number == 0 || !stands_alone(crl)) {
        snprintf(why, why_bytes, "%s; make the list with `sallyport realm revoke`",
                 number ? "is not a whole list" : "has no CRL number");
        return -EINVAL;
    }
    if (number > held)
        return 0;
    snprintf(why, why_bytes, "has number %llu, and %llu is known already",
             (unsigned long long)number, (unsigned long long)held);
    return number == held ? -EALREADY : -ESTALE;
}

/* ---- taking -----------------------------------------------------------------------------------
 */

/* A serial number that no certificate of the realm can have is left out. */
static struct identity_held_list *held_new(X509_CRL *crl)
{
    STACK_OF(X509_REVOKED) *entries = X509_CRL_get_REVOKED(crl);
    int count = entries ? sk_X509_REVOKED_num(entries) : 0, bytes = i2d_X509_CRL(crl, NULL);
    struct identity_held_list *held = calloc(1, sizeof *held);

    if (!held || bytes <= 0 || !(held->der = malloc((size_t)bytes)) ||
        !(held->serials = calloc((size_t)count + 1, CERTIFICATE_SERIAL_BYTES))) {
        if (held)
            held_free(held);
        return NULL;
    }
    unsigned char *to = held->der;
    held->list = (struct identity_list){.number = number_of(crl), .der = held->der};
    held->list.bytes = (size_t)i2d_X509_CRL(crl, &to);
    for (int i = 0; i < count; i++)
        held->list.count +=
            identity_serial(X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(entries, i)),
                            held->serials[held->list.count]) == 0;
    qsort(held->serials, held->list.count, CERTIFICATE_SERIAL_BYTES, compare);
    return held;
}

static int take(const struct identity *identity, X509_CRL *crl, char *why, size_t why_bytes)
{
    struct identity_held_list *held;
    int error = judge(identity, crl, why, why_bytes);

    if (error == 0 && !(held = held_new(crl))) {
        snprintf(why, why_bytes, "out of memory");
        error = -ENOMEM;
    }
    if (error == 0) {
        held->older = newest(identity);
        atomic_store_explicit(&identity->lists->newest, held, memory_order_release);
    }
    ERR_clear_error();
    return error;
}

int identity_revoke(const struct identity *identity, const uint8_t *der, size_t bytes, char *why,
                    size_t why_bytes)
{
    const unsigned char *at = der;
    X509_CRL *crl = bytes <= IDENTITY_FILE_MAX ? d2i_X509_CRL(NULL, &at, (long)bytes) : NULL;
    int error = -EINVAL;

    if (crl && at == der + bytes)
        error = take(identity, crl, why, why_bytes);
    else
        snprintf(why, why_bytes, "is no revocation list");
    X509_CRL_free(crl);
    ERR_clear_error();
    return error;
}

static void warn_of_age(const X509_CRL *crl, const char *path)
{
    int64_t next_s = identity_time_s(X509_CRL_get0_nextUpdate(crl));
    char date[IDENTITY_DATE_BYTES];

    if (next_s && next_s < time(NULL))
        log_warn(LOG_OVERLAY, NULL,
                 "%s should have been renewed by %s; what it revokes stays revoked", path,
                 identity_date(next_s, date));
}

int identity_revoke_file(const struct identity *identity, const char *path, char *why,
                         size_t why_bytes)
{
    char *pem, reason[160] = "is no revocation list; `sallyport realm revoke` makes one";
    size_t bytes;
    int error = identity_file_read(path, &pem, &bytes, why, why_bytes);

    if (error < 0)
        return error;
    BIO *bio = BIO_new_mem_buf(pem, (int)bytes);
    X509_CRL *crl = bio ? PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    free(pem);
    error = crl ? take(identity, crl, reason, sizeof reason) : -EINVAL;
    if (error == 0)
        warn_of_age(crl, path);
    else
        snprintf(why, why_bytes, "%s: %s", path, reason);
    X509_CRL_free(crl);
    ERR_clear_error();
    return error;
}

char *identity_list_pem(const struct identity *identity)
{
    struct identity_list list = identity_list(identity);
    BIO *bio = list.number ? BIO_new(BIO_s_mem()) : NULL;
    char *data, *pem = NULL;

    if (bio && PEM_write_bio(bio, PEM_STRING_X509_CRL, "", list.der, (long)list.bytes) > 0) {
        long bytes = BIO_get_mem_data(bio, &data);
        pem = strndup(data, (size_t)bytes);
    }
    BIO_free(bio);
    return pem;
}
