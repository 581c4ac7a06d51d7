/* The watch on addresses and default routes, in a network namespace of its own (skipped without the
 * right to make one). */
#include "overlay/net_watch.h"

#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool has_namespace;

struct stand {
    uv_loop_t loop;
    uv_timer_t tick;
    struct net_watch *watch;
    int changes;
    bool is_closed;
};

static void on_change(void *ctx)
{
    ((struct stand *)ctx)->changes++;
}

static void on_closed(void *ctx)
{
    ((struct stand *)ctx)->is_closed = true;
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static void run_ms(struct stand *stand, unsigned ms)
{
    uint64_t end = uv_hrtime() + (uint64_t)ms * 1000000;

    while (uv_hrtime() < end)
        uv_run(&stand->loop, UV_RUN_ONCE);
}

static bool changes_to(struct stand *stand, int changes)
{
    for (int i = 0; i < 1000 && stand->changes < changes; i++)
        run_ms(stand, 5);
    return stand->changes == changes;
}

static void ip(const char *arguments)
{
    char command[200];

    snprintf(command, sizeof command, "ip %s", arguments);
    assert_int_equal(system(command), 0);
}

static int set_up(void **state)
{
    struct stand *stand = calloc(1, sizeof *stand);

    uv_loop_init(&stand->loop);
    uv_timer_init(&stand->loop, &stand->tick);
    uv_timer_start(&stand->tick, on_tick, 2, 2);
    *state = stand;
    return 0;
}

static int tear_down(void **state)
{
    struct stand *stand = *state;

    if (stand->watch)
        net_watch_close(stand->watch, NULL, NULL);
    uv_close((uv_handle_t *)&stand->tick, NULL);
    uv_run(&stand->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&stand->loop), 0);
    free(stand);
    return 0;
}

static void open_watch(struct stand *stand)
{
    assert_int_equal(net_watch_open(&stand->loop, on_change, stand, &stand->watch), 0);
}

static void close_watch(struct stand *stand)
{
    net_watch_close(stand->watch, on_closed, stand);
    stand->watch = NULL;
    for (int i = 0; i < 1000 && !stand->is_closed; i++)
        run_ms(stand, 1);
    assert_true(stand->is_closed);
}

static void opens_and_closes(void **state)
{
    struct stand *stand = *state;

    open_watch(stand);
    run_ms(stand, 100);
    assert_int_equal(stand->changes, 0);
    close_watch(stand);
}

static void a_new_lease_is_one_change(void **state)
{
    struct stand *stand = *state;

    if (!has_namespace)
        skip();
    ip("link add v0 type veth peer name v1");
    ip("link set v1 up");
    ip("link set v0 up");
    ip("addr add 192.0.2.10/24 dev v0");
    ip("route add default via 192.0.2.1");
    open_watch(stand);
    run_ms(stand, 100);
    assert_int_equal(stand->changes, 0);

    assert_int_equal(
        system("ip addr add 198.51.100.20/24 dev v0; ip addr del 192.0.2.10/24 dev v0; "
               "ip route replace default via 198.51.100.1"),
        0);
    assert_true(changes_to(stand, 1));
    run_ms(stand, 200);
    assert_int_equal(stand->changes, 1);
    close_watch(stand);
    ip("link del v0");
}

static void what_does_not_concern_us_is_no_change(void **state)
{
    struct stand *stand = *state;

    if (!has_namespace)
        skip();
    ip("link add v0 type veth peer name v1");
    ip("link set v1 up");
    ip("link set v0 up");
    ip("addr add 192.0.2.10/24 dev v0");
    open_watch(stand);
    ip("route add 198.51.100.0/24 via 192.0.2.1");
    ip("addr add 127.0.0.2/8 dev lo");
    run_ms(stand, 300);
    assert_int_equal(stand->changes, 0);
    ip("route add default via 192.0.2.1");
    assert_true(changes_to(stand, 1));
    ip("route del default");
    assert_true(changes_to(stand, 2));
    ip("link set v0 down"); /* the cable is pulled */
    assert_true(changes_to(stand, 3));
    close_watch(stand);
    ip("link del v0");
}

int main(void)
{
#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_LOOP(opens_and_closes),
        WITH_LOOP(a_new_lease_is_one_change),
        WITH_LOOP(what_does_not_concern_us_is_no_change),
    };
    has_namespace = unshare(CLONE_NEWNET) == 0 && system("ip link set lo up") == 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
