/* Codec names, causes, durations, suggestions. */
#include "tests/unit/conf/files.h"

#include <errno.h>
#include <limits.h>

#include "conf/duration.h"
#include "conf/suggest.h"

static void test_codecs(void **state)
{
    static const struct {
        const char *name;
        int ret;
        enum codec codec;
    } rows[] = {
        {"pcmu", 0, CODEC_PCMU}, {"PCMA", 0, CODEC_PCMA},    {"G722", 0, CODEC_G722},
        {"Opus", 0, CODEC_OPUS}, {"opu", -ENOENT, 0},        {"", -ENOENT, 0},
        {"gsm", -ENOENT, 0},     {"opus/48000", -ENOENT, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum codec codec = CODEC_COUNT;
        assert_int_equal(codec_find(rows[i].name, &codec), rows[i].ret);
        assert_int_equal(codec, rows[i].ret ? CODEC_COUNT : rows[i].codec);
    }
    for (int i = 0; i < CODEC_COUNT; i++) {
        enum codec codec;
        assert_int_equal(codec_find(codec_name((enum codec)i), &codec), 0);
        assert_int_equal(codec, i);
    }
    assert_string_equal(codec_name(CODEC_COUNT), "unknown");
}

static void test_codec_list(void **state)
{
    const struct codec_list list = {.codec = {CODEC_OPUS, CODEC_PCMA}, .count = 2};

    (void)state;
    assert_true(codec_list_has(&list, CODEC_PCMA));
    assert_false(codec_list_has(&list, CODEC_PCMU));
    assert_false(codec_list_has(&(struct codec_list){0}, CODEC_PCMU));
}

static void test_causes(void **state)
{
    struct call_cause cause = call_cause(CALL_BUSY, NULL);

    (void)state;
    assert_int_equal(cause.reason, CALL_BUSY);
    assert_int_equal(cause.sip_status, 0);
    assert_int_equal(cause.q850, 0);
    assert_string_equal(cause.text, "busy");
    cause = call_cause(CALL_NOT_FOUND, "no such site\r\nContact: x");
    assert_string_equal(cause.text, "no such site\\x0d\\x0aContact: x");

    char endless[300];
    memset(endless, 'a', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    cause = call_cause(CALL_FAILURE, endless);
    assert_int_equal(strlen(cause.text), sizeof cause.text - 1);

    for (int i = 0; i < CALL_REASONS; i++) {
        assert_non_null(call_reason_name((enum call_reason)i));
        assert_string_not_equal(call_reason_name((enum call_reason)i), "unknown");
        for (int j = 0; j < i; j++)
            assert_string_not_equal(call_reason_name((enum call_reason)i),
                                    call_reason_name((enum call_reason)j));
    }
    assert_string_equal(call_reason_name(CALL_REASONS), "unknown");
}

static void test_durations(void **state)
{
    static const struct {
        const char *text;
        int ret, seconds;
        const char *formatted;
    } rows[] = {
        {"0s", 0, 0, "0s"},
        {"30s", 0, 30, "30s"},
        {"90s", 0, 90, "90s"},
        {"120s", 0, 120, "2m"},
        {"5m", 0, 300, "5m"},
        {"1h", 0, 3600, "1h"},
        {"24h", 0, 86400, "1d"},
        {"007s", 0, 7, "7s"},
        {"366d", 0, 31622400, "366d"},
        {"367d", -ERANGE, 0, NULL},
        {"9999999999s", -ERANGE, 0, NULL},
        {"30", -EDOM, 0, NULL},
        {"", -EINVAL, 0, NULL},
        {"s", -EINVAL, 0, NULL},
        {"-5s", -EINVAL, 0, NULL},
        {" 5s", -EINVAL, 0, NULL},
        {"5 s", -ENOTSUP, 0, NULL},
        {"5S", -ENOTSUP, 0, NULL},
        {"5ms", -ENOTSUP, 0, NULL},
        {"1.5h", -ENOTSUP, 0, NULL},
        {"1h30m", -ENOTSUP, 0, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[DURATION_TEXT_MAX];
        int seconds = -1;
        assert_int_equal(duration_parse(rows[i].text, &seconds), rows[i].ret);
        assert_int_equal(seconds, rows[i].ret ? -1 : rows[i].seconds);
        if (rows[i].formatted)
            assert_string_equal(duration_format(seconds, text), rows[i].formatted);
    }
}

static void test_distance(void **state)
{
    static const struct {
        const char *a, *b;
        int distance;
    } rows[] = {
        {"", "", 0},       {"", "abc", 3},         {"abc", "", 3},      {"abc", "abc", 0},
        {"abc", "ABC", 0}, {"lisen", "listen", 1}, {"opsu", "opus", 1}, {"kitten", "sitting", 3},
        {"ca", "abc", 3},  {"abcd", "badc", 2},
    };
    char endless[100];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(suggest_distance(rows[i].a, rows[i].b), rows[i].distance);
    memset(endless, 'a', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    assert_int_equal(suggest_distance(endless, "a"), INT_MAX);
}

static void test_suggestions(void **state)
{
    static const char *const names[] = {"listen", "domain", "max_expires", "min_expires"};
    static const struct {
        const char *word, *remedy;
    } rows[] = {
        {"lisen", "did you mean \"listen\"?"},
        {"Listen", "did you mean \"listen\"?"},
        {"domian", "did you mean \"domain\"?"},
        {"maxexpires", "did you mean \"max_expires\"?"},
        {"mn_expires", "did you mean \"min_expires\"?"},
        {"registrar", "known are listen, domain, max_expires and min_expires"},
        {"x", "known are listen, domain, max_expires and min_expires"},
    };
    char text[SUGGEST_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_string_equal(suggest_remedy(text, rows[i].word, names, 4), rows[i].remedy);
    assert_string_equal(suggest_remedy(text, "x", names, 1), "known are listen");
    assert_string_equal(suggest_remedy(text, "x", names, 2), "known are listen and domain");
    assert_null(suggest_nearest("x", NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codecs),   cmocka_unit_test(test_codec_list),
        cmocka_unit_test(test_causes),   cmocka_unit_test(test_durations),
        cmocka_unit_test(test_distance), cmocka_unit_test(test_suggestions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
