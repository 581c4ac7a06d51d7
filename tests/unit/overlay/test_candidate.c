/* Which addresses may be tried, and Paths from a peer. */
#include "overlay/candidate.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "overlay/overlay.pb-c.h"

static void only_plausible_addresses_are_tried(void **state)
{
    static const struct {
        const char *address;
        bool is_plausible, with_loopback;
    } cases[] = {
        {"192.0.2.1:4000", true, true},
        {"10.1.2.3:1", true, true},
        {"192.168.1.255:4000", true, true}, /* the kernel refuses a broadcast */
        {"[2001:db8::1]:4000", true, true},
        {"[fd00::2]:4000", true, true},
        {"192.0.2.1:0", false, false},
        {"0.0.0.0:4000", false, false},
        {"0.1.2.3:4000", false, false},
        {"127.0.0.1:4000", false, true},
        {"127.255.255.254:4000", false, true},
        {"169.254.169.254:80", false, false},
        {"224.0.0.1:4000", false, false},
        {"239.255.255.250:1900", false, false},
        {"240.0.0.1:4000", false, false},
        {"255.255.255.255:4000", false, false},
        {"[::]:4000", false, false},
        {"[::1]:4000", false, true},
        {"[::ffff:127.0.0.1]:4000", false, true},
        {"[::ffff:7f00:1]:4000", false, true},
        {"[::ffff:0.0.0.0]:4000", false, false},
        {"[::ffff:224.0.0.1]:4000", false, false},
        {"[::ffff:192.0.2.1]:4000", true, true},
        {"[::127.0.0.1]:4000", false, false},
        {"[64:ff9b::127.0.0.1]:4000", false, false},
        {"[64:ff9b::192.0.2.1]:4000", true, true},
        {"[2002:7f00:1::1]:4000", false, false},
        {"[fe80::1]:4000", false, false},
        {"[fec0::1]:4000", false, false},
        {"[ff02::1]:4000", false, false},
        {"[ff0e::1]:4000", false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct candidate_policy policy = {0}, loopback = {.is_loopback_allowed = true};
        struct sockaddr_storage address;

        assert_int_equal(address_parse(cases[i].address, &address), 0);
        if (candidate_is_plausible(&address, &policy) != cases[i].is_plausible ||
            candidate_is_plausible(&address, &loopback) != cases[i].with_loopback)
            fail_msg("misjudged: %s", cases[i].address);
    }
}

static void own_addresses_are_not_tried(void **state)
{
    struct sockaddr_storage own[2], address;
    struct candidate_policy policy = {.own = own, .own_count = 2};

    (void)state;
    address_parse("192.0.2.1:4000", &own[0]);
    address_parse("[2001:db8::1]:4000", &own[1]);
    address_parse("[::ffff:192.0.2.1]:4000", &address);
    assert_false(candidate_is_plausible(&address, &policy));
    assert_false(candidate_is_plausible(&own[1], &policy));
    address_parse("192.0.2.1:4001", &address); /* another node on this machine */
    assert_true(candidate_is_plausible(&address, &policy));
}

static void only_plausible_relays_are_dialled(void **state)
{
    static const struct {
        const char *relay;
        bool is_plausible, with_loopback;
    } cases[] = {
        {"relay.example:443", true, true},
        {"relay-1.example.:443", true, true},
        {"203.0.113.5:443", true, true},
        {"[2001:db8::1]:443", true, true},
        {"127.0.0.1:443", false, true},
        {"[::1]:22", false, true},
        {"[::ffff:127.0.0.1]:443", false, true},
        {"localhost:443", false, true},
        {"LocalHost:443", false, true},
        {"localhost.:443", false, true},
        {"localhost.localdomain:443", false, true},
        {"0.0.0.0:443", false, false},
        {"224.0.0.1:443", false, false},
        {"2130706433:443", false, false}, /* 127.0.0.1 as libc would read it */
        {"127.1:443", false, false},
        {"0x7f000001:443", false, false},
        {"0177.0.0.1:443", false, false},
        {"relay.example", false, false},
        {"relay.example:0", false, false},
        {"relay.example:65536", false, false},
        {":443", false, false},
        {"a b:443", false, false},
        {"user@relay.example:443", false, false},
        {"[::1%lo]:443", false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct candidate_policy policy = {0}, loopback = {.is_loopback_allowed = true};

        if (candidate_host_is_plausible(cases[i].relay, &policy) != cases[i].is_plausible ||
            candidate_host_is_plausible(cases[i].relay, &loopback) != cases[i].with_loopback)
            fail_msg("misjudged: %s", cases[i].relay);
    }
}

static void loopback_is_offered_only_when_alone(void **state)
{
    static const char *const texts[] = {"127.0.0.1:9", "[::1]:9", "[fe80::1]:9", "192.0.2.7:9",
                                        "[2001:db8::7]:9"};
    struct sockaddr_storage all[5], picked[5];

    (void)state;
    for (int i = 0; i < 5; i++)
        address_parse(texts[i], &all[i]);
    assert_int_equal(candidate_pick_hosts(all, 5, picked, 5), 2);
    assert_true(address_equal(&picked[0], &all[3]));
    assert_true(address_equal(&picked[1], &all[4]));
    assert_int_equal(candidate_pick_hosts(all, 5, picked, 1), 1);
    assert_int_equal(candidate_pick_hosts(all, 3, picked, 5), 2);
    assert_true(candidate_is_loopback(&picked[0]));
    assert_int_equal(candidate_pick_hosts(all + 2, 1, picked, 5), 0);
}

static void a_path_comes_back(void **state)
{
    struct candidate_path path = {.id = "1234567", .has_key = true, .key = "secret", .count = 3},
                          back;
    struct core_path data;

    (void)state;
    path.candidates[0].kind = CANDIDATE_UDP;
    address_parse("192.0.2.1:4000", &path.candidates[0].address);
    path.candidates[1].kind = CANDIDATE_RELAY;
    strcpy(path.candidates[1].host, "relay.example:443");
    memcpy(path.candidates[1].tunnel, "0123456789abcdef", CANDIDATE_TUNNEL_BYTES);
    path.candidates[1].ticket_bytes = 5;
    memcpy(path.candidates[1].ticket, "admit", 5);
    path.candidates[2].kind = CANDIDATE_TCP;
    strcpy(path.candidates[2].host, "[2001:db8::7]:443");
    assert_int_equal(candidate_path_encode(&path, &data), 0);
    assert_int_equal(candidate_path_decode(&data, &back), 0);
    assert_memory_equal(back.id, path.id, PATH_ID_BYTES);
    assert_true(back.has_key);
    assert_memory_equal(back.key, path.key, PATH_KEY_BYTES);
    assert_int_equal(back.count, 3);
    assert_true(address_equal(&back.candidates[0].address, &path.candidates[0].address));
    assert_string_equal(back.candidates[1].host, "relay.example:443");
    assert_memory_equal(back.candidates[1].tunnel, path.candidates[1].tunnel,
                        CANDIDATE_TUNNEL_BYTES);
    assert_int_equal(back.candidates[1].ticket_bytes, 5);
    assert_memory_equal(back.candidates[1].ticket, "admit", 5);
    assert_int_equal(back.candidates[2].kind, CANDIDATE_TCP);
    assert_string_equal(back.candidates[2].host, "[2001:db8::7]:443");
}

static void sixteen_long_candidates_fit(void **state)
{
    struct candidate_path path = {.has_key = true, .count = CANDIDATES_MAX};
    struct core_path data;

    (void)state;
    for (int i = 0; i < CANDIDATES_MAX; i++)
        address_parse("[2001:db8:1234:5678:1234:5678:1234:5678]:65535",
                      &path.candidates[i].address);
    path.candidates[0].kind = CANDIDATE_RELAY;
    memset(path.candidates[0].host, 'a', 253);
    strcpy(path.candidates[0].host + 253, ":443");
    assert_int_equal(candidate_path_encode(&path, &data), 0);
}

static size_t pack(const Sallyport__Path *wire, struct core_path *data)
{
    data->bytes = sallyport__path__get_packed_size(wire);
    assert_true(data->bytes <= sizeof data->data);
    return sallyport__path__pack(wire, data->data);
}

static void only_the_first_sixteen_count(void **state)
{
    enum { MANY = 100 };
    Sallyport__Path wire = SALLYPORT__PATH__INIT;
    Sallyport__Candidate wires[MANY], *list[MANY];
    struct candidate_path path;
    struct core_path data;

    (void)state;
    for (int i = 0; i < MANY; i++) {
        sallyport__candidate__init(&wires[i]);
        wires[i].kind = SALLYPORT__CANDIDATE__KIND__UDP;
        wires[i].address = "10.0.0.1:1";
        list[i] = &wires[i];
    }
    wire.id.len = 8;
    wire.id.data = (uint8_t *)"12345678";
    wire.n_candidates = MANY;
    wire.candidates = list;
    pack(&wire, &data);
    assert_int_equal(candidate_path_decode(&data, &path), 0);
    assert_int_equal(path.count, CANDIDATES_MAX);
    assert_int_equal(path.ignored, MANY - CANDIDATES_MAX);
}

static void malformed_candidates_are_left_out(void **state)
{
    static const struct {
        int kind;
        char *address;
        size_t tunnel_bytes;
    } cases[] = {
        {0, "192.0.2.1:4000", 0},
        {1, "", 0},
        {1, "relay.example:443", 0},
        {1, "192.0.2.1", 0},
        {1, "[::1]:99999", 0},
        {2, "relay.example:443", 15},
        {2, "", 16},
        {7, "192.0.2.1:4000", 16},
    };
    uint8_t tunnel[16] = {0};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Sallyport__Path wire = SALLYPORT__PATH__INIT;
        Sallyport__Candidate one = SALLYPORT__CANDIDATE__INIT, *list[1] = {&one};
        struct candidate_path path;
        struct core_path data;

        one.kind = (Sallyport__Candidate__Kind)cases[i].kind;
        one.address = cases[i].address;
        one.tunnel.len = cases[i].tunnel_bytes;
        one.tunnel.data = tunnel;
        wire.id.len = 8;
        wire.id.data = (uint8_t *)"12345678";
        wire.n_candidates = 1;
        wire.candidates = list;
        pack(&wire, &data);
        assert_int_equal(candidate_path_decode(&data, &path), 0);
        if (path.count != 0 || path.ignored != 1)
            fail_msg("taken: kind %d %s", cases[i].kind, cases[i].address);
    }
}

static void malformed_paths_are_refused(void **state)
{
    struct core_path data = {.bytes = 0};
    struct candidate_path path;

    (void)state;
    assert_int_equal(candidate_path_decode(&data, &path), -EINVAL); /* no id */
    data.bytes = 4;
    memcpy(data.data,
           "\x0a\x7f"
           "ab",
           4); /* id of 127 bytes, cut short */
    assert_int_equal(candidate_path_decode(&data, &path), -EINVAL);
    data.bytes = 13;
    memcpy(data.data,
           "\x0a\x08"
           "12345678"
           "\x12\x01k",
           13); /* key of one byte */
    assert_int_equal(candidate_path_decode(&data, &path), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_plausible_addresses_are_tried),
        cmocka_unit_test(own_addresses_are_not_tried),
        cmocka_unit_test(only_plausible_relays_are_dialled),
        cmocka_unit_test(loopback_is_offered_only_when_alone),
        cmocka_unit_test(a_path_comes_back),
        cmocka_unit_test(sixteen_long_candidates_fit),
        cmocka_unit_test(only_the_first_sixteen_count),
        cmocka_unit_test(malformed_candidates_are_left_out),
        cmocka_unit_test(malformed_paths_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
