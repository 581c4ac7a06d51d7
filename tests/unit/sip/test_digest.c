/* Digest: the examples of the RFCs, nonces, and reading credentials. */
#include "sip/digest.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void examples_of_the_rfcs(void **state)
{
    static const struct {
        const char *name, *algorithm, *username, *realm, *secret, *nonce, *cnonce, *uri, *response;
        bool qop;
    } cases[] = {
        {"RFC 7616, 3.9.1", "MD5", "Mufasa", "http-auth@example.org", "Circle of Life",
         "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
         "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", "/dir/index.html",
         "8ca523f5e9506fed4657c9700eebdbec", true},
        {"RFC 7616, 3.9.1", "SHA-256", "Mufasa", "http-auth@example.org", "Circle of Life",
         "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
         "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", "/dir/index.html",
         "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1", true},
        {"RFC 2617, 3.5", "MD5", "Mufasa", "testrealm@host.com", "Circle Of Life",
         "dcd98b7102dd2f0e8b11d0f600bfb0c093", "0a4f113b", "/dir/index.html",
         "6629fae49393a05397450978507c4ef1", true},
        {"RFC 2069 form", "MD5", "Mufasa", "testrealm@host.com", "CircleOfLife",
         "dcd98b7102dd2f0e8b11d0f600bfb0c093", "", "/dir/index.html",
         "1949323746fe6a43ef61f9606e7febea", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct digest_credentials c = {.has_qop = cases[i].qop};
        char hex[DIGEST_HEX_MAX], param[32];

        snprintf(param, sizeof param, "algorithm=%s", cases[i].algorithm);
        assert_int_equal(digest_credentials_add(&c, param), 0);
        strcpy(c.username, cases[i].username);
        strcpy(c.realm, cases[i].realm);
        strcpy(c.nonce, cases[i].nonce);
        strcpy(c.cnonce, cases[i].cnonce);
        strcpy(c.uri, cases[i].uri);
        strcpy(c.nc, "00000001");
        digest_response(&c, cases[i].secret, "GET", hex);
        assert_string_equal(hex, cases[i].response);
    }
}

static void nonces_are_sealed_and_age(void **state)
{
    struct digest_nonces ours, other;
    char text[DIGEST_NONCE_MAX], second[DIGEST_NONCE_MAX];

    (void)state;
    assert_int_equal(digest_nonces_init(&ours, 300), 0);
    assert_int_equal(digest_nonces_init(&other, 300), 0);
    digest_nonce_make(&ours, 1000000, text);
    digest_nonce_make(&ours, 1000000, second);
    assert_string_not_equal(text, second);
    assert_int_equal(digest_nonce_check(&ours, text, 1000000), DIGEST_NONCE_FRESH);
    assert_int_equal(digest_nonce_check(&ours, text, 1000299), DIGEST_NONCE_FRESH);
    assert_int_equal(digest_nonce_check(&ours, text, 1000300), DIGEST_NONCE_STALE);
    assert_int_equal(digest_nonce_check(&ours, text, 999999), DIGEST_NONCE_STALE);
    assert_int_equal(digest_nonce_check(&other, text, 1000000), DIGEST_NONCE_FOREIGN);
    for (size_t i = 0; i < strlen(text); i++) {
        char forged[DIGEST_NONCE_MAX];

        strcpy(forged, text);
        forged[i] = forged[i] == '0' ? '1' : '0';
        assert_int_equal(digest_nonce_check(&ours, forged, 1000000), DIGEST_NONCE_FOREIGN);
    }
    assert_int_equal(digest_nonce_check(&ours, "", 1000000), DIGEST_NONCE_FOREIGN);
}

static void credentials_are_read(void **state)
{
    static const struct {
        const char *param;
        int err;
    } cases[] = {
        {"username=\"201\"", 0},
        {"username=201", 0},
        {"username = \"201\"", 0},
        {"USERNAME=\"2\\01\"", 0},
        {"opaque=\"x\"", 0},
        {"qop=auth", 0},
        {"qop=\"auth\"", 0},
        {"algorithm=sha-256", 0},
        {"algorithm=\"MD5\"", 0},
        {"username=\"201", -EINVAL},
        {"username", -EINVAL},
        {"=201", -EINVAL},
        {"qop=auth-int", -EINVAL},
        {"algorithm=SHA-1", -EINVAL},
        {"algorithm=MD5-sess", -EINVAL},
        {"nc=0000000001", -EINVAL},
        {"", -EINVAL},
    };
    char longest[700];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct digest_credentials c = {.algorithm = DIGEST_MD5};

        assert_int_equal(digest_credentials_add(&c, cases[i].param), cases[i].err);
        if (!cases[i].err && !strncasecmp(cases[i].param, "username", 8))
            assert_string_equal(c.username, "201");
    }
    memset(longest, 'x', sizeof longest - 1);
    memcpy(longest, "username=", 9);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(digest_credentials_add(&(struct digest_credentials){0}, longest), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_of_the_rfcs),
        cmocka_unit_test(nonces_are_sealed_and_age),
        cmocka_unit_test(credentials_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
