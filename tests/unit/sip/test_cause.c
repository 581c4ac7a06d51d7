/* Causes: from and to status codes, Reason headers. */
#include "sip/cause.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void status_crosses_unchanged(void **state)
{
    (void)state;
    for (int status = 400; status < 700; status++) {
        struct call_cause cause = cause_from_status(status, "So it is", 0);
        char phrase[CAUSE_PHRASE_MAX];

        assert_int_equal(cause.sip_status, status);
        assert_int_equal(cause_status(&cause), status);
        assert_string_equal(cause_phrase(&cause, phrase), "So it is");
        assert_true(cause.q850 > 0 && cause.q850 < 128);
    }
}

static void reasons_have_their_status(void **state)
{
    static const struct {
        enum call_reason reason;
        int status, q850;
    } cases[] = {
        {CALL_CANCELLED, 487, 16},       {CALL_BUSY, 486, 17},
        {CALL_BUSY_EVERYWHERE, 600, 17}, {CALL_DECLINED, 603, 21},
        {CALL_NO_ANSWER, 480, 19},       {CALL_NOT_FOUND, 404, 1},
        {CALL_UNAVAILABLE, 480, 20},     {CALL_NOT_ACCEPTABLE, 488, 65},
        {CALL_FORBIDDEN, 403, 21},       {CALL_NO_SUPERNODE, 503, 38},
        {CALL_CONGESTION, 503, 42},      {CALL_TIMEOUT, 408, 102},
        {CALL_BAD_REQUEST, 400, 95},     {CALL_FAILURE, 500, 41},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct call_cause cause = call_cause(cases[i].reason, NULL);
        char text[CAUSE_REASON_MAX], start[32];

        assert_int_equal(cause_status(&cause), cases[i].status);
        snprintf(start, sizeof start, "Q.850;cause=%d;text=\"", cases[i].q850);
        assert_memory_equal(cause_reason(&cause, text), start, strlen(start));
    }
}

static void statuses_mean_reasons(void **state)
{
    static const struct {
        int status, q850;
        enum call_reason reason;
    } cases[] = {
        {486, 0, CALL_BUSY},        {600, 0, CALL_BUSY_EVERYWHERE}, {603, 0, CALL_DECLINED},
        {404, 0, CALL_NOT_FOUND},   {480, 0, CALL_UNAVAILABLE},     {480, 19, CALL_NO_ANSWER},
        {408, 0, CALL_TIMEOUT},     {488, 0, CALL_NOT_ACCEPTABLE},  {403, 0, CALL_FORBIDDEN},
        {487, 0, CALL_CANCELLED},   {500, 0, CALL_FAILURE},         {499, 0, CALL_FAILURE},
        {302, 0, CALL_UNAVAILABLE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(cause_from_status(cases[i].status, NULL, cases[i].q850).reason,
                         cases[i].reason);
}

/* Causes come from other nodes: none of their bytes may break out of a header. */
static void text_cannot_break_out(void **state)
{
    struct call_cause cause = call_cause(CALL_BUSY, "a\r\nEvil: \"yes\\\x7f");
    char text[CAUSE_REASON_MAX], phrase[CAUSE_PHRASE_MAX];

    (void)state;
    memset(cause.text + 20, 'x', sizeof cause.text - 20); /* and no NUL at the end */
    assert_null(strpbrk(cause_phrase(&cause, phrase), "\r\n\"\\"));
    assert_null(strpbrk(cause_reason(&cause, text), "\r\n\\"));
    cause.reason = (enum call_reason)999;
    assert_int_equal(cause_status(&cause), 500);
}

static void reason_headers_are_read(void **state)
{
    static const struct {
        const char *value;
        int q850;
        const char *text;
    } cases[] = {
        {"Q.850;cause=17;text=\"User busy\"", 17, "User busy"},
        {" q.850 ;cause=19", 19, ""},
        {"SIP;cause=200;text=\"Call completed elsewhere\"", 0, "Call completed elsewhere"},
        {"Q.850;cause=999", 0, ""},
        {"Q.850;cause=-1", 0, ""},
        {"Q.850;cause=99999999999999999999", 0, ""},
        {"Q.850;text=\"unfinished", 0, ""},
        {"", 0, ""},
    };
    char text[96];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(cause_reason_parse(cases[i].value, text, sizeof text), cases[i].q850);
        assert_string_equal(text, cases[i].text);
    }
    assert_int_equal(cause_reason_parse(NULL, text, sizeof text), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_crosses_unchanged), cmocka_unit_test(reasons_have_their_status),
        cmocka_unit_test(statuses_mean_reasons),    cmocka_unit_test(text_cannot_break_out),
        cmocka_unit_test(reason_headers_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
