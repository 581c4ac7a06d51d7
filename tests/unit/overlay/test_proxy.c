/* Through an HTTP proxy: what is asked, and every answer in words. */
#include "overlay/proxy.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void settings_are_taken_apart(void **state)
{
    static const struct {
        const char *text, *address, *authorization; /* address NULL: refused */
    } cases[] = {
        {"proxy.example:3128", "proxy.example:3128", ""},
        {"[2001:db8::1]:3128", "[2001:db8::1]:3128", ""},
        {"anna:secret@proxy.example:3128", "proxy.example:3128", "YW5uYTpzZWNyZXQ="},
        {"anna:p@ss@10.0.0.1:8080", "10.0.0.1:8080", "YW5uYTpwQHNz"},
        {"anna@proxy.example:3128", NULL, NULL},
        {"proxy.example", NULL, NULL},
        {"http://proxy.example:3128", NULL, NULL},
        {"", NULL, NULL},
    };
    struct proxy proxy;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int error = proxy_parse(cases[i].text, &proxy);
        assert_int_equal(error, cases[i].address ? 0 : -EINVAL);
        if (error == 0) {
            assert_string_equal(proxy.address, cases[i].address);
            assert_string_equal(proxy.authorization, cases[i].authorization);
        }
    }
}

static void the_request_names_target_and_user(void **state)
{
    char request[PROXY_REQUEST_MAX];
    struct proxy proxy;

    (void)state;
    proxy_parse("10.0.0.1:3128", &proxy);
    size_t bytes = proxy_request(&proxy, "sn.example:443", request);
    assert_string_equal(request, "CONNECT sn.example:443 HTTP/1.1\r\nHost: sn.example:443\r\n\r\n");
    assert_int_equal(bytes, strlen(request));
    proxy_parse("anna:secret@10.0.0.1:3128", &proxy);
    proxy_request(&proxy, "sn.example:443", request);
    assert_non_null(strstr(request, "\r\nProxy-Authorization: Basic YW5uYTpzZWNyZXQ=\r\n\r\n"));
}

static void answers_are_told_in_words(void **state)
{
    static const struct {
        const char *answer;
        int error;
        size_t taken;
        const char *why;
    } cases[] = {
        {"HTTP/1.1 200 Connection established\r\n\r\n", 0, 39, ""},
        {"HTTP/1.0 200\r\n\r\n", 0, 16, ""},
        {"HTTP/1.1 200 OK\r\nVia: x\r\n\r\n\x16\x03\x01", 0, 27, ""},
        {"HTTP/1.1 200 OK\n\nrest", 0, 17, ""},
        {"HTTP/1.1 200 OK\r\nVia: x\r\n", -EAGAIN, 25, ""},
        {"", -EAGAIN, 0, ""},
        {"HTT", -EAGAIN, 3, ""},
        {"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", -EACCES, 46,
         "wants a user and a password"},
        {"HTTP/1.1 403 Forbidden\r\n\r\n", -EACCES, 26, "does not allow this connection (403)"},
        {"HTTP/1.1 503 x\r\n\r\n", -EACCES, 18, "cannot reach it (503)"},
        {"HTTP/1.1 302 x\r\nLocation: http://x\r\n\r\n", -EACCES, 38,
         "refuses the connection (302)"},
        {"HTTP/1.1 2000 x\r\n\r\n", -EPROTO, 19, "does not answer with HTTP"},
        {"HTTP/2 200\r\n\r\n", -EPROTO, 14, "does not answer with HTTP"},
        {"SSH-2.0-OpenSSH_9.2\r\n", -EPROTO, 21, "does not answer with HTTP"},
        {"\x15\x03\x01\x00\x02\x02\x46", -EPROTO, 7, "does not answer with HTTP"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint8_t *bytes = (const uint8_t *)cases[i].answer;
        size_t length = strlen(cases[i].answer), taken;
        if (i == 14)
            length = 7; /* has a NUL in it */
        struct proxy_answer whole = {0}, by_byte = {0};
        char why[200] = "";

        int error = proxy_answer_take(&whole, bytes, length, &taken, why, sizeof why);
        assert_int_equal(error, cases[i].error);
        assert_int_equal(taken, cases[i].taken);
        assert_non_null(strstr(why, cases[i].why));

        error = -EAGAIN; /* the same, however it is cut */
        for (size_t at = 0; at < length && error == -EAGAIN; at++)
            error = proxy_answer_take(&by_byte, bytes + at, 1, &taken, why, sizeof why);
        assert_int_equal(error, cases[i].error);
    }
}

static void an_endless_answer_is_cut(void **state)
{
    struct proxy_answer answer = {0};
    uint8_t line[512];
    size_t taken;
    char why[200];
    int error = proxy_answer_take(&answer, (const uint8_t *)"HTTP/1.1 200 OK\r\n", 17, &taken, why,
                                  sizeof why);

    (void)state;
    memset(line, 'x', sizeof line);
    for (int i = 0; i < 100 && error == -EAGAIN; i++)
        error = proxy_answer_take(&answer, line, sizeof line, &taken, why, sizeof why);
    assert_int_equal(error, -EPROTO);
    assert_non_null(strstr(why, "longer than"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_are_taken_apart),
        cmocka_unit_test(the_request_names_target_and_user),
        cmocka_unit_test(answers_are_told_in_words),
        cmocka_unit_test(an_endless_answer_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
