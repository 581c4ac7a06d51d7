/* Certificates of a realm, made and signed: RFC 5280 with Ed25519 (RFC 8410). */
#include "overlay/identity_x509.h"
#include "overlay/realm.h"
#include "overlay/tls_address.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SERIAL_BYTES 16
#define CLOCKS_DIFFER_S (24 * 3600)
#define DAY_S 86400

static int fail_openssl(const char *what, char *why, size_t why_bytes)
{
    snprintf(why, why_bytes, "cannot make the %s: %s", what, identity_openssl_error());
    return -EIO;
}

static int set_serial(X509 *x509)
{
    uint8_t bytes[SERIAL_BYTES];

    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return -EIO;
    bytes[0] &= 0x7f; /* positive (RFC 5280, section 4.1.2.2) */
    BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
    bool is_set = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x509));
    BN_free(number);
    return is_set ? 0 : -ENOMEM;
}

static int add_extension(X509 *x509, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;

    X509V3_set_ctx(&context, issuer, x509, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    int is_added = extension && X509_add_ext(x509, extension, -1);
    X509_EXTENSION_free(extension);
    return is_added ? 0 : -EIO;
}

/* What root and node certificates have in common. `issuer` NULL: signed by itself. */
static X509 *make_x509(const char *name, EVP_PKEY *key, const X509 *issuer, int64_t from_s,
                       int64_t until_s)
{
    X509 *x509 = X509_new();
    X509_NAME *subject = X509_NAME_new();
    bool is_made = x509 && subject && X509_set_version(x509, X509_VERSION_3) &&
                   set_serial(x509) == 0 &&
                   X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8,
                                              (const unsigned char *)name, -1, -1, 0) &&
                   X509_set_subject_name(x509, subject) &&
                   X509_set_issuer_name(x509, issuer ? X509_get_subject_name(issuer) : subject) &&
                   ASN1_TIME_set(X509_getm_notBefore(x509), from_s) &&
                   ASN1_TIME_set(X509_getm_notAfter(x509), until_s) && X509_set_pubkey(x509, key);

    X509_NAME_free(subject);
    if (is_made)
        return x509;
    X509_free(x509);
    return NULL;
}

static int check_days(int days, char *why, size_t why_bytes)
{
    if (days >= 1 && days <= REALM_DAYS_MAX)
        return 0;
    snprintf(why, why_bytes, "%d days: a lifetime is 1 to %d days", days, REALM_DAYS_MAX);
    return -EINVAL;
}

static int check_realm_name(const char *name, char *why, size_t why_bytes)
{
    size_t length = strlen(name);

    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)name[i] < ' ' || name[i] == 127) {
            snprintf(why, why_bytes, "the realm's name holds a control character");
            return -EINVAL;
        }
    }
    if (length >= 1 && length < REALM_NAME_MAX)
        return 0;
    snprintf(why, why_bytes, "a realm's name has 1 to %d characters", REALM_NAME_MAX - 1);
    return -EINVAL;
}

int realm_make(struct realm *realm, const char *name, int days, char *why, size_t why_bytes)
{
    int64_t now_s = time(NULL);
    struct realm made = {0};

    if (check_realm_name(name, why, why_bytes) < 0 || check_days(days, why, why_bytes) < 0)
        return -EINVAL;
    made.key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (made.key)
        made.root =
            make_x509(name, made.key, NULL, now_s - CLOCKS_DIFFER_S, now_s + (int64_t)days * DAY_S);
    if (!made.root ||
        add_extension(made.root, made.root, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
        add_extension(made.root, made.root, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        add_extension(made.root, made.root, NID_subject_key_identifier, "hash") ||
        X509_sign(made.root, made.key, NULL) == 0) {
        realm_fini(&made);
        return fail_openssl("root", why, why_bytes);
    }
    *realm = made;
    return 0;
}

void realm_fini(struct realm *realm)
{
    X509_free(realm->root);
    EVP_PKEY_free(realm->key);
    *realm = (struct realm){0};
}

static int check_supernodes(const struct overlay_enrolment *enrolment, char *why, size_t why_bytes)
{
    struct tls_address address;

    for (int i = 0; i < enrolment->supernode_count; i++) {
        if (tls_address_parse(enrolment->supernodes[i], &address) < 0) {
            snprintf(why, why_bytes,
                     "supernode \"%.80s\" is not host:port; write e.g. \"192.0.2.1:443\"",
                     enrolment->supernodes[i]);
            return -EINVAL;
        }
    }
    return 0;
}

int realm_check_enrolment(const struct overlay_enrolment *enrolment, char *why, size_t why_bytes)
{
    const unsigned all =
        CONF_ROLE_GATEWAY | CONF_ROLE_SUPERNODE | CONF_ROLE_RELAY | CONF_ROLE_CLIENT;

    if (!enrolment->site || !identity_is_site(enrolment->site)) {
        snprintf(why, why_bytes,
                 "site \"%.80s\": a site is 1 to 63 of a-z 0-9 . - and starts with a letter or "
                 "digit; write e.g. \"berlin\"",
                 enrolment->site ? enrolment->site : "");
        return -EINVAL;
    }
    if (enrolment->number_count > IDENTITY_NUMBERS_MAX ||
        enrolment->supernode_count > CONF_LISTS_MAX) {
        snprintf(why, why_bytes, "at most %d numbers and %d supernodes", IDENTITY_NUMBERS_MAX,
                 CONF_LISTS_MAX);
        return -EINVAL;
    }
    for (int i = 0; i < enrolment->number_count; i++) {
        if (!identity_is_number(enrolment->numbers[i])) {
            snprintf(why, why_bytes,
                     "number \"%.80s\": a number is + and 1 to 15 digits; write e.g. \"+4930123\"",
                     enrolment->numbers[i]);
            return -EINVAL;
        }
    }
    if (enrolment->roles == 0 || (enrolment->roles & ~all)) {
        snprintf(why, why_bytes, "name at least one role of gateway, supernode, relay, client");
        return -EINVAL;
    }
    if (check_days(enrolment->days, why, why_bytes) < 0)
        return -EINVAL;
    return check_supernodes(enrolment, why, why_bytes);
}

static int add_names(X509 *x509, const struct overlay_enrolment *enrolment)
{
    char value[64 + IDENTITY_NUMBERS_MAX * 64 + 4 * 40];
    size_t used = (size_t)snprintf(value, sizeof value, "URI:sallyport:site:%s", enrolment->site);

    for (int i = 0; i < enrolment->number_count; i++)
        used += (size_t)snprintf(value + used, sizeof value - used, ",URI:sallyport:number:%s",
                                 enrolment->numbers[i]);
    for (unsigned role = 1; role <= CONF_ROLE_CLIENT; role <<= 1)
        if (enrolment->roles & role)
            used += (size_t)snprintf(value + used, sizeof value - used, ",URI:sallyport:role:%s",
                                     identity_role_name(role));
    return add_extension(x509, NULL, NID_subject_alt_name, value);
}

static X509 *make_node(const struct realm *realm, const struct overlay_enrolment *enrolment,
                       EVP_PKEY *key, int64_t from_s)
{
    X509 *x509 = make_x509(enrolment->site, key, realm->root, from_s - CLOCKS_DIFFER_S,
                           from_s + (int64_t)enrolment->days * DAY_S);

    if (x509 && add_extension(x509, realm->root, NID_basic_constraints, "critical,CA:FALSE") == 0 &&
        add_extension(x509, realm->root, NID_key_usage, "critical,digitalSignature") == 0 &&
        add_extension(x509, realm->root, NID_ext_key_usage, "serverAuth,clientAuth") == 0 &&
        add_extension(x509, realm->root, NID_authority_key_identifier, "keyid:always") == 0 &&
        add_names(x509, enrolment) == 0 && X509_sign(x509, realm->key, NULL) > 0)
        return x509;
    X509_free(x509);
    return NULL;
}

static char *write_enrolment(const struct realm *realm, const struct overlay_enrolment *enrolment,
                             X509 *x509, EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    char *data, *pem = NULL;
    bool is_written = bio != NULL;

    for (int i = 0; i < enrolment->supernode_count && is_written; i++)
        is_written = BIO_printf(bio, "supernode: %s\n", enrolment->supernodes[i]) > 0;
    if (is_written && PEM_write_bio_X509(bio, x509) == 1 &&
        PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1 &&
        PEM_write_bio_X509(bio, realm->root) == 1) {
        long bytes = BIO_get_mem_data(bio, &data);
        pem = strndup(data, (size_t)bytes);
    }
    BIO_free(bio);
    return pem;
}

int realm_make_node(const struct realm *realm, const struct overlay_enrolment *enrolment,
                    int64_t from_s, struct realm_node *node, char *why, size_t why_bytes)
{
    int64_t root_until_s = identity_time_s(X509_get0_notAfter(realm->root));
    char date[IDENTITY_DATE_BYTES];
    int error = realm_check_enrolment(enrolment, why, why_bytes);

    if (error < 0)
        return error;
    if (from_s + (int64_t)enrolment->days * DAY_S > root_until_s) {
        snprintf(why, why_bytes, "%d days: the realm's root itself expires on %s; ask for fewer",
                 enrolment->days, identity_date(root_until_s, date));
        return -EINVAL;
    }
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    X509 *x509 = key ? make_node(realm, enrolment, key, from_s) : NULL;
    if (!x509) {
        EVP_PKEY_free(key);
        return fail_openssl("certificate", why, why_bytes);
    }
    *node = (struct realm_node){x509, key};
    return 0;
}

int realm_issue(const struct realm *realm, const struct overlay_enrolment *enrolment,
                int64_t from_s, char **pem, X509 **certificate, char *why, size_t why_bytes)
{
    struct realm_node node;
    int error = realm_make_node(realm, enrolment, from_s, &node, why, why_bytes);

    if (error < 0)
        return error;
    char *text = write_enrolment(realm, enrolment, node.certificate, node.key);
    EVP_PKEY_free(node.key);
    if (!text) {
        X509_free(node.certificate);
        return fail_openssl("certificate", why, why_bytes);
    }
    if (certificate)
        *certificate = node.certificate;
    else
        X509_free(node.certificate);
    *pem = text;
    return 0;
}
