/* Where dialled numbers lead. */
#include "gateway/route.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct conf_phone phones[] = {{.id = "201"}, {.id = "202"}};
static struct conf_route routes[] = {
    {.name = "echo", .match_text = "^600$", .target = CONF_TO_SERVICE, .to = "echo"},
    {.name = "paris", .match_text = "^8([0-9]+)$", .target = CONF_TO_OVERLAY, .to = "\\1@paris"},
    {.name = "swap", .match_text = "^7([0-9])([0-9])$", .target = CONF_TO_PHONE, .to = "20\\2\\1"},
    {.name = "did", .match_text = "^[+]4930123([0-9]+)$", .target = CONF_TO_PHONE, .to = "\\1"},
    {.name = "maybe", .match_text = "^5(x)?5$", .target = CONF_TO_PHONE, .to = "<\\1>"},
};
#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))
static char enrolment[] = "x.enrol";
static struct conf conf = {.phones = phones,
                           .phone_count = COUNT(phones),
                           .routes = routes,
                           .route_count = COUNT(routes),
                           .realm = {.enrolment = enrolment}};

static int compile(void **state)
{
    (void)state;
    for (int i = 0; i < COUNT(routes); i++)
        assert_int_equal(0, regcomp(&routes[i].match, routes[i].match_text, REG_EXTENDED));
    return 0;
}

static int release(void **state)
{
    (void)state;
    for (int i = 0; i < COUNT(routes); i++)
        regfree(&routes[i].match);
    return 0;
}

static void test_table(void **state)
{
    static const struct {
        struct route_query query;
        int err;
        enum conf_target target;
        const char *to;
    } cases[] = {
        {{"201", NULL, false}, 0, CONF_TO_PHONE, "201"},
        {{"203", NULL, false}, -ENOENT, 0, ""},
        {{"600", NULL, false}, 0, CONF_TO_SERVICE, "echo"},
        {{"600", NULL, true}, 0, CONF_TO_SERVICE, "echo"},
        {{"8201", NULL, false}, 0, CONF_TO_OVERLAY, "201@paris"},
        {{"8", NULL, false}, -ENOENT, 0, ""},
        {{"8201", NULL, true}, -ENOENT, 0, ""}, /* the overlay's calls do not go back to it */
        {{"712", NULL, false}, 0, CONF_TO_PHONE, "2021"},
        {{"+4930123202", NULL, true}, 0, CONF_TO_PHONE, "202"},
        {{"+331234", NULL, false}, 0, CONF_TO_OVERLAY, "+331234"},
        {{"+331234", NULL, true}, -ENOENT, 0, ""},
        {{"55", NULL, false}, 0, CONF_TO_PHONE, "<>"},
        {{"5x5", NULL, false}, 0, CONF_TO_PHONE, "<x>"},
        {{"201", "paris", false}, 0, CONF_TO_OVERLAY, "201@paris"},
        {{"201", "paris", true}, -ENOENT, 0, ""},
        {{"", NULL, false}, -ENOENT, 0, ""},
    };
    (void)state;
    for (int i = 0; i < COUNT(cases); i++) {
        struct route_result result = {.to = ""};
        int err = route_find(&conf, &cases[i].query, &result);
        assert_int_equal(cases[i].err, err);
        if (err)
            continue;
        assert_int_equal(cases[i].target, result.target);
        assert_string_equal(cases[i].to, result.to);
    }
}

static void test_too_long(void **state)
{
    char dialled[400] = "8";
    struct route_query query = {.dialled = dialled};
    struct route_result result;
    (void)state;
    memset(dialled + 1, '1', sizeof dialled - 2);
    dialled[sizeof dialled - 1] = '\0';
    assert_int_equal(-E2BIG, route_find(&conf, &query, &result));
    query.site = "paris";
    assert_int_equal(-E2BIG, route_find(&conf, &query, &result));
}

static void test_without_realm(void **state)
{
    struct conf alone = conf;
    struct route_query query = {.dialled = "+331234"};
    struct route_result result;
    (void)state;
    alone.realm.enrolment = NULL;
    assert_int_equal(-ENOENT, route_find(&alone, &query, &result));
    query.site = "paris";
    assert_int_equal(-ENOENT, route_find(&alone, &query, &result));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_without_realm),
    };
    return cmocka_run_group_tests(tests, compile, release);
}
