/* Who we are and who others are: certificates judged, bytes signed and sealed, keys agreed. */
#include "overlay/tls_address.h"
#include "tests/unit/overlay/realm_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <sodium.h>

#define DAY_S 86400

static int64_t now_s(void)
{
    return time(NULL);
}

static void certificate_tells_names_numbers_and_roles(void **state)
{
    struct realm realm;
    struct identity *identity;
    char why[200];

    (void)state;
    fixture_realm(&realm);
    char *pem =
        fixture_pem(&realm, "berlin", "+4930123", CONF_ROLE_GATEWAY | CONF_ROLE_RELAY, now_s());
    assert_int_equal(identity_parse(pem, strlen(pem), &identity, why, sizeof why), 0);
    const struct certificate *own = identity_certificate(identity);

    assert_string_equal(own->site, "berlin");
    assert_int_equal(own->number_count, 1);
    assert_string_equal(own->numbers[0], "+4930123");
    assert_int_equal(own->roles, CONF_ROLE_GATEWAY | CONF_ROLE_RELAY);
    assert_true(own->not_before_s < now_s() && own->not_after_s > now_s() + 29 * DAY_S);

    uint8_t hash[32];
    crypto_hash_sha256(hash, own->public_key, 32);
    assert_memory_equal(own->node, hash, OVERLAY_NODE_ID_BYTES);

    identity_free(identity);
    free(pem);
    realm_fini(&realm);
}

static void names_are_granted_by_site_and_prefix(void **state)
{
    static const struct {
        const char *name;
        bool is_granted;
    } cases[] = {
        {"berlin", true},     {"paris", false},     {"Berlin", false},
        {"berlin.", false},   {"", false},          {"+4930123", true},
        {"+493012345", true}, {"+493012", false},   {"+4930124", false},
        {"4930123", false},   {"+4930123x", false}, {"+49301231234567890", false},
        {"+", false},
    };
    struct certificate certificate = {.site = "berlin", .number_count = 1};

    (void)state;
    strcpy(certificate.numbers[0], "+4930123");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(certificate_grants(&certificate, cases[i].name), cases[i].is_granted);
}

static int verify(const struct identity *judge, const struct identity *other, int64_t at_s,
                  char why[128])
{
    struct certificate judged;
    const struct certificate *own = identity_certificate(other);

    why[0] = '\0';
    return identity_verify(judge, own->der, own->der_bytes, at_s, &judged, why, 128);
}

static void a_certificate_counts_only_in_its_realm_and_time(void **state)
{
    struct realm realm, foreign;
    char why[128], expected[64], date[16];
    struct tm tm;

    (void)state;
    fixture_realm(&realm);
    fixture_realm(&foreign); /* of the same name: the key decides */
    struct identity *judge = fixture_identity(&realm, "berlin", CONF_ROLE_GATEWAY);
    struct identity *good = fixture_identity(&realm, "paris", CONF_ROLE_GATEWAY);
    struct identity *old =
        fixture_identity_from(&realm, "rome", CONF_ROLE_GATEWAY, now_s() - 60 * DAY_S);
    struct identity *stranger = fixture_identity(&foreign, "paris", CONF_ROLE_GATEWAY);

    assert_int_equal(verify(judge, good, now_s(), why), 0);
    assert_int_equal(verify(judge, old, now_s(), why), -EACCES);
    time_t end = identity_certificate(old)->not_after_s;
    strftime(date, sizeof date, "%Y-%m-%d", gmtime_r(&end, &tm));
    snprintf(expected, sizeof expected, "expired on %s", date);
    assert_string_equal(why, expected);
    assert_int_equal(verify(judge, good, now_s() - 2 * DAY_S, why), -EACCES);
    assert_non_null(strstr(why, "not valid before"));
    assert_int_equal(verify(judge, stranger, now_s(), why), -EACCES);
    assert_string_equal(why, "of another realm");

    identity_free(judge);
    identity_free(good);
    identity_free(old);
    identity_free(stranger);
    realm_fini(&realm);
    realm_fini(&foreign);
}

static void a_changed_certificate_is_refused(void **state)
{
    struct realm realm;
    struct certificate judged;
    uint8_t der[IDENTITY_DER_MAX + 1];
    char why[128];

    (void)state;
    fixture_realm(&realm);
    struct identity *judge = fixture_identity(&realm, "berlin", CONF_ROLE_GATEWAY);
    const struct certificate *own = identity_certificate(judge);

    for (size_t i = 0; i < own->der_bytes; i++) {
        memcpy(der, own->der, own->der_bytes);
        der[i] ^= 0x01;
        int error = identity_verify(judge, der, own->der_bytes, now_s(), &judged, why, sizeof why);
        assert_true(error < 0 && why[0] != '\0');
    }
    memcpy(der, own->der, own->der_bytes);
    der[own->der_bytes] = 0;
    assert_int_equal(
        identity_verify(judge, der, own->der_bytes + 1, now_s(), &judged, why, sizeof why),
        -EINVAL);
    assert_int_equal(identity_verify(judge, der, 0, now_s(), &judged, why, sizeof why), -EINVAL);
    identity_free(judge);
    realm_fini(&realm);
}

static void the_root_itself_is_no_node(void **state)
{
    struct realm realm;
    struct certificate judged;
    uint8_t der[IDENTITY_DER_MAX], *to = der;
    char why[128];

    (void)state;
    fixture_realm(&realm);
    struct identity *judge = fixture_identity(&realm, "berlin", CONF_ROLE_GATEWAY);
    int bytes = i2d_X509(realm.root, &to);
    assert_int_equal(identity_verify(judge, der, (size_t)bytes, now_s(), &judged, why, sizeof why),
                     -EINVAL);
    assert_string_equal(why, "is a certificate authority, not a node");
    identity_free(judge);
    realm_fini(&realm);
}

static void signatures_hold_for_their_bytes_only(void **state)
{
    static const uint8_t data[] = "sallyport record";
    uint8_t signature[IDENTITY_SIGNATURE_BYTES];
    struct realm realm;

    (void)state;
    fixture_realm(&realm);
    struct identity *a = fixture_identity(&realm, "berlin", CONF_ROLE_GATEWAY);
    struct identity *b = fixture_identity(&realm, "paris", CONF_ROLE_GATEWAY);

    identity_sign(a, data, sizeof data, signature);
    assert_true(certificate_check(identity_certificate(a), data, sizeof data, signature));
    assert_false(certificate_check(identity_certificate(a), data, sizeof data - 1, signature));
    assert_false(certificate_check(identity_certificate(b), data, sizeof data, signature));
    signature[3] ^= 1;
    assert_false(certificate_check(identity_certificate(a), data, sizeof data, signature));
    identity_free(a);
    identity_free(b);
    realm_fini(&realm);
}

static void what_is_sealed_opens_for_its_receiver_only(void **state)
{
    static const uint8_t data[] = "who calls whom";
    uint8_t sealed[sizeof data + IDENTITY_SEAL_BYTES], open[sizeof data], key[32], pub[32], sec[32];
    static const uint8_t low_order[32];
    struct realm realm;

    (void)state;
    fixture_realm(&realm);
    struct identity *a = fixture_identity(&realm, "berlin", CONF_ROLE_GATEWAY);
    struct identity *b = fixture_identity(&realm, "paris", CONF_ROLE_GATEWAY);

    assert_int_equal(certificate_seal_key(identity_certificate(a), key), 0);
    identity_seal(key, data, sizeof data, sealed);
    assert_int_equal(identity_unseal(a, sealed, sizeof sealed, open), 0);
    assert_memory_equal(open, data, sizeof data);
    assert_int_equal(identity_unseal(b, sealed, sizeof sealed, open), -EBADMSG);
    assert_int_equal(identity_unseal(a, sealed, IDENTITY_SEAL_BYTES - 1, open), -EBADMSG);
    sealed[40] ^= 1;
    assert_int_equal(identity_unseal(a, sealed, sizeof sealed, open), -EBADMSG);

    crypto_box_keypair(pub, sec);
    identity_seal(pub, data, sizeof data, sealed);
    assert_int_equal(identity_unseal_with(pub, sec, sealed, sizeof sealed, open), 0);
    assert_memory_equal(open, data, sizeof data);

    memset(sealed, 0xaa, sizeof sealed);
    identity_seal(low_order, data, sizeof data, sealed); /* must not leak what was in `sealed` */
    assert_int_equal(sealed[sizeof sealed - 1], 0);
    identity_free(a);
    identity_free(b);
    realm_fini(&realm);
}

static void both_ends_agree_on_the_same_two_keys(void **state)
{
    uint8_t caller_key[32], caller_secret[32], callee_key[32], callee_secret[32];
    uint8_t call[8] = "call 001", caller_node[20] = {1}, callee_node[20] = {2};
    static const uint8_t zero[32];
    struct identity_call_keys caller, callee, other;

    (void)state;
    crypto_box_keypair(caller_key, caller_secret);
    crypto_box_keypair(callee_key, callee_secret);
    struct identity_agreement agreement = {caller_secret, callee_key, call,      caller_node,
                                           callee_node,   caller_key, callee_key};
    assert_int_equal(identity_agree(&agreement, &caller), 0);
    agreement.secret_key = callee_secret;
    agreement.public_key = caller_key;
    assert_int_equal(identity_agree(&agreement, &callee), 0);
    assert_memory_equal(&caller, &callee, sizeof caller);
    assert_memory_not_equal(caller.caller_to_callee, caller.callee_to_caller, OVERLAY_KEY_BYTES);

    call[0] ^= 1;
    assert_int_equal(identity_agree(&agreement, &other), 0);
    assert_memory_not_equal(&other, &caller, sizeof other);
    call[0] ^= 1;
    caller_node[19] ^= 1;
    assert_int_equal(identity_agree(&agreement, &other), 0);
    assert_memory_not_equal(&other, &caller, sizeof other);

    agreement.public_key = zero;
    assert_int_equal(identity_agree(&agreement, &other), -EBADMSG);
}

static void addresses_are_host_and_port(void **state)
{
    static const struct {
        const char *text, *host, *port; /* host NULL: refused */
    } cases[] = {
        {"192.0.2.1:443", "192.0.2.1", "443"},
        {"sn.example:8443", "sn.example", "8443"},
        {"[2001:db8::1]:443", "2001:db8::1", "443"},
        {"sn_1.example:1", "sn_1.example", "1"},
        {"sn.example", NULL, NULL},
        {"sn.example:", NULL, NULL},
        {":443", NULL, NULL},
        {"sn.example:0", NULL, NULL},
        {"sn.example:65536", NULL, NULL},
        {"sn.example:443x", NULL, NULL},
        {"2001:db8::1:443", NULL, NULL},
        {"[]:443", NULL, NULL},
        {"[host]:443", NULL, NULL},
        {"a b:443", NULL, NULL},
        {"a\r\nX: y:443", NULL, NULL},
        {"-x:443", NULL, NULL},
        {"user:pass@sn.example:443", NULL, NULL},
    };
    struct tls_address address;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int error = tls_address_parse(cases[i].text, &address);
        assert_int_equal(error, cases[i].host ? 0 : -EINVAL);
        if (error == 0) {
            assert_string_equal(address.host, cases[i].host);
            assert_string_equal(address.port, cases[i].port);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificate_tells_names_numbers_and_roles),
        cmocka_unit_test(names_are_granted_by_site_and_prefix),
        cmocka_unit_test(a_certificate_counts_only_in_its_realm_and_time),
        cmocka_unit_test(a_changed_certificate_is_refused),
        cmocka_unit_test(the_root_itself_is_no_node),
        cmocka_unit_test(signatures_hold_for_their_bytes_only),
        cmocka_unit_test(what_is_sealed_opens_for_its_receiver_only),
        cmocka_unit_test(both_ends_agree_on_the_same_two_keys),
        cmocka_unit_test(addresses_are_host_and_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
