/* Who may stand at the door, and for how long a stranger is remembered. */
#include "conf/conf.h"
#include "overlay/door.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct door *door;
static const char *why;

static int open_door(void **state)
{
    (void)state;
    door = door_new();
    return door ? 0 : -1;
}

static int close_door(void **state)
{
    (void)state;
    door_free(door);
    return 0;
}

static struct sockaddr_storage host(const char *text)
{
    struct sockaddr_storage address;

    assert_int_equal(address_parse(text, &address), 0);
    return address;
}

static struct door_host *enter(const char *text, uint64_t now_ms)
{
    const struct sockaddr_storage address = host(text);

    return door_enter(door, &address, now_ms, &why);
}

static void many_of_one_host_but_not_too_many(void **state)
{
    struct door_host *at[DOOR_OPEN_PER_HOST_MAX];

    (void)state;
    for (int i = 0; i < DOOR_OPEN_PER_HOST_MAX; i++)
        assert_non_null(at[i] = enter("192.0.2.1:5000", 1000));
    assert_null(enter("192.0.2.1:6000", 1000));
    assert_string_equal(why, "too many handshakes of this host are open");
    struct door_host *other = enter("192.0.2.2:5000", 1000);
    assert_non_null(other);
    door_leave(door, at[0], false, 1001);
    assert_non_null(enter("192.0.2.1:6000", 1002));
}

static void not_more_in_all_than_can_be_held(void **state)
{
    char text[40];

    (void)state;
    for (int i = 0; i < DOOR_OPEN_MAX; i++) {
        snprintf(text, sizeof text, "10.0.%d.%d:1", i / 250, i % 250);
        assert_non_null(enter(text, 0));
    }
    assert_null(enter("10.9.9.9:1", 0));
    assert_string_equal(why, "too many wait at the door");
}

static void who_fails_again_and_again_is_shut_out_for_a_while(void **state)
{
    uint64_t now_ms = 5000;

    (void)state;
    for (int i = 0; i < DOOR_FAILED_PER_HOST_MAX; i++) {
        struct door_host *at = enter("192.0.2.1:5000", now_ms);
        assert_non_null(at);
        door_leave(door, at, true, now_ms);
    }
    assert_null(enter("192.0.2.1:5000", now_ms));
    assert_string_equal(why, "too many handshakes of this host have failed");
    assert_non_null(enter("192.0.2.9:5000", now_ms));
    struct door_host *at = enter("192.0.2.1:5000", now_ms + 600); /* one is forgotten */
    assert_non_null(at);
    door_leave(door, at, true, now_ms + 600);
    assert_null(enter("192.0.2.1:5000", now_ms + 600));
}

static void an_ipv6_network_is_one_host(void **state)
{
    char text[60];

    (void)state;
    for (int i = 0; i < DOOR_OPEN_PER_HOST_MAX; i++) {
        snprintf(text, sizeof text, "[2001:db8:0:1::%x]:5000", i + 1);
        assert_non_null(enter(text, 0));
    }
    assert_null(enter("[2001:db8:0:1:ffff::1]:5000", 0));
    assert_non_null(enter("[2001:db8:0:2::1]:5000", 0));
    assert_non_null(enter("127.0.0.1:5000", 0));
}

static void strangers_from_everywhere_are_not_remembered_without_end(void **state)
{
    char text[40];

    (void)state;
    for (int i = 0; i < 3 * DOOR_HOSTS_MAX; i++) {
        snprintf(text, sizeof text, "10.%d.%d.%d:1", i / 62500, i / 250 % 250, i % 250);
        struct door_host *at = enter(text, (uint64_t)i / 100);
        assert_non_null(at);
        door_leave(door, at, true, (uint64_t)i / 100);
    }
}

/* How many of `tries` handshakes, one each millisecond, may begin. */
static unsigned begun(uint64_t *now_ms, unsigned tries)
{
    unsigned count = 0;

    for (unsigned i = 0; i < tries; i++, ++*now_ms)
        for (int crowd = 0; crowd < 100; crowd++)
            count += door_begin(door, *now_ms);
    return count;
}

static void so_many_handshakes_begin_in_a_second(void **state)
{
    uint64_t now_ms = 5000;

    (void)state;
    unsigned first = begun(&now_ms, 1000);
    assert_in_range(first, DOOR_PER_S + DOOR_BURST - 2, DOOR_PER_S + DOOR_BURST);
    assert_in_range(begun(&now_ms, 1000), DOOR_PER_S - 1, DOOR_PER_S);
    now_ms += 60000; /* a quiet minute saves up no more than a burst */
    assert_in_range(begun(&now_ms, 1), DOOR_BURST - 1, DOOR_BURST);
}

static void fewer_begin_while_the_loop_is_late(void **state)
{
    uint64_t now_ms = 5000;
    struct door_host *at = enter("192.0.2.1:5000", now_ms);

    (void)state;
    begun(&now_ms, 1);
    door_on_loop(door, DOOR_LATE_MS); /* not late yet */
    assert_in_range(begun(&now_ms, 1000), DOOR_PER_S - 2, DOOR_PER_S);
    door_on_loop(door, DOOR_LATE_MS + 1);
    assert_in_range(begun(&now_ms, 1000), DOOR_PER_S / 2 - 2, DOOR_PER_S / 2 + 1);
    for (int i = 0; i < 100; i++)
        door_on_loop(door, 1000);
    assert_in_range(begun(&now_ms, 1000), DOOR_PER_S_MIN - 1, DOOR_PER_S_MIN + 1);

    door_leave(door, at, false, now_ms);
    assert_false(door_is_quiet(door)); /* to be told until all is as it was */
    for (int i = 0; i < 50; i++)
        door_on_loop(door, 0);
    assert_true(door_is_quiet(door));
    assert_in_range(begun(&now_ms, 1000), DOOR_PER_S - 2, DOOR_PER_S + DOOR_BURST);
}

int main(void)
{
#define WITH_DOOR(test) cmocka_unit_test_setup_teardown(test, open_door, close_door)
    const struct CMUnitTest tests[] = {
        WITH_DOOR(many_of_one_host_but_not_too_many),
        WITH_DOOR(not_more_in_all_than_can_be_held),
        WITH_DOOR(who_fails_again_and_again_is_shut_out_for_a_while),
        WITH_DOOR(an_ipv6_network_is_one_host),
        WITH_DOOR(so_many_handshakes_begin_in_a_second),
        WITH_DOOR(fewer_begin_while_the_loop_is_late),
        WITH_DOOR(strangers_from_everywhere_are_not_remembered_without_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
