#include "tests/unit/conf/files.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>

static void test_parse_and_format(void **state)
{
    static const char *const same[] = {
        "192.0.2.1:5060",        "0.0.0.0:0",   "255.255.255.255:65535",
        "[2001:db8::1]:5060",    "[::]:1",      "[::1]:443",
        "[::ffff:192.0.2.1]:80", "127.0.0.1:1", "[fe80::1%lo]:5060",
    };

    (void)state;
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        struct sockaddr_storage address;
        char text[ADDRESS_TEXT_MAX];
        assert_int_equal(address_parse(same[i], &address), 0);
        assert_string_equal(address_format(&address, text), same[i]);
    }
}

static void test_parse_other_spelling(void **state)
{
    static const struct {
        const char *text, *formatted;
    } rows[] = {
        {"[2001:DB8:0:0:0:0:0:1]:05060", "[2001:db8::1]:5060"},
        {"[fe80::1%1]:5060", "[fe80::1%lo]:5060"},
        {"[fe80::1%2000000000]:1", "[fe80::1%2000000000]:1"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sockaddr_storage address;
        char text[ADDRESS_TEXT_MAX];
        assert_int_equal(address_parse(rows[i].text, &address), 0);
        assert_string_equal(address_format(&address, text), rows[i].formatted);
    }
}

static void test_parse_refuses(void **state)
{
    static const char *const wrong[] = {
        "",
        ":",
        ":5060",
        "192.0.2.1",
        "192.0.2.1:",
        "192.0.2.1:65536",
        "192.0.2.1:-1",
        "192.0.2.1:+1",
        "192.0.2.1: 1",
        "192.0.2.1:1 ",
        "192.0.2.1:000001",
        "192.0.2:1",
        "192.0.2.256:1",
        "1.2.3.4.5:1",
        "0x7f.1:1",
        "localhost:1",
        "::1:5060",
        "2001:db8::1:1",
        "[2001:db8::1]",
        "[2001:db8::1]5060",
        "[2001:db8::1:5060",
        "2001:db8::1]:5060",
        "[]:1",
        "[192.0.2.1]:1",
        "[fe80::1%]:1",
        "[fe80::1%nosuchif]:1",
        "[fe80::1%0]:1",
        "[::1]]:1",
        "[::g]:1",
        " 192.0.2.1:1",
        "192.0.2.1:99999999999999999999",
        "[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd:eeee:ffff:0000:1111]:1",
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct sockaddr_storage address;
        if (address_parse(wrong[i], &address) != -EINVAL)
            print_error("%s\n", wrong[i]);
        assert_int_equal(address_parse(wrong[i], &address), -EINVAL);
    }
}

static void test_format_nothing(void **state)
{
    struct sockaddr_storage address = {0};
    char text[ADDRESS_TEXT_MAX];

    (void)state;
    assert_string_equal(address_format(&address, text), "-");
    assert_int_equal(address_port(&address), 0);
    assert_int_equal(address_length(&address), 0);
}

static void test_equal(void **state)
{
    static const struct {
        const char *a, *b;
        bool equal;
    } rows[] = {
        {"192.0.2.1:1", "192.0.2.1:1", true},
        {"192.0.2.1:1", "192.0.2.1:2", false},
        {"192.0.2.1:1", "192.0.2.2:1", false},
        {"192.0.2.1:1", "[::ffff:192.0.2.1]:1", true},
        {"[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.1]:1", true},
        {"192.0.2.1:1", "[::192.0.2.1]:1", false},
        {"[2001:db8::1]:1", "[2001:db8:0::1]:1", true},
        {"[2001:db8::1]:1", "[2001:db8::2]:1", false},
        {"0.0.0.0:1", "[::]:1", false},
        {"[fe80::1%1]:1", "[fe80::1%2]:1", false},
        {"[fe80::1%1]:1", "[fe80::1%lo]:1", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sockaddr_storage a, b;
        /* an interface 2 need not exist: its number is enough */
        assert_int_equal(address_parse(rows[i].a, &a), 0);
        assert_int_equal(address_parse(rows[i].b, &b), 0);
        assert_int_equal(address_equal(&a, &b), rows[i].equal);
        assert_int_equal(address_equal(&b, &a), rows[i].equal);
    }
    struct sockaddr_storage none = {0}, some;
    assert_int_equal(address_parse("192.0.2.1:1", &some), 0);
    assert_true(address_equal(&none, &none));
    assert_false(address_equal(&none, &some));
}

static void test_ports_and_lengths(void **state)
{
    static const struct {
        const char *text, *changed;
        socklen_t length;
    } rows[] = {
        {"192.0.2.1:5060", "192.0.2.1:40000", sizeof(struct sockaddr_in)},
        {"[2001:db8::1]:5060", "[2001:db8::1]:40000", sizeof(struct sockaddr_in6)},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sockaddr_storage address;
        char text[ADDRESS_TEXT_MAX];
        assert_int_equal(address_parse(rows[i].text, &address), 0);
        assert_int_equal(address_port(&address), 5060);
        assert_int_equal(address_length(&address), rows[i].length);
        address_set_port(&address, 40000);
        assert_string_equal(address_format(&address, text), rows[i].changed);
    }
}

static void test_normalise(void **state)
{
    static const struct {
        const char *text, *normal;
    } rows[] = {
        {"[::ffff:127.0.0.1]:9", "127.0.0.1:9"},
        {"[::ffff:0.0.0.0]:9", "0.0.0.0:9"},
        {"[::127.0.0.1]:9", "[::127.0.0.1]:9"},
        {"[::1]:9", "[::1]:9"},
        {"10.0.0.1:9", "10.0.0.1:9"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sockaddr_storage address;
        char text[ADDRESS_TEXT_MAX];
        assert_int_equal(address_parse(rows[i].text, &address), 0);
        address_normalise(&address);
        assert_string_equal(address_format(&address, text), rows[i].normal);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_and_format),
        cmocka_unit_test(test_parse_other_spelling),
        cmocka_unit_test(test_parse_refuses),
        cmocka_unit_test(test_format_nothing),
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_ports_and_lengths),
        cmocka_unit_test(test_normalise),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
