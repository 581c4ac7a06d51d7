/* The control loop: timers of libuv are on time, also when they are started from inside sofia, and
 * an idle loop costs next to nothing. */
#include "gateway/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <sofia-sip/su_wait.h>

static struct loop *loop;
static uint64_t started_ms, fired_ms;
static uv_timer_t timer;
static uv_async_t wake;

static uint64_t now_ms(void)
{
    return uv_hrtime() / 1000000;
}

static double cpu_seconds(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void on_timer(uv_timer_t *handle)
{
    (void)handle;
    fired_ms = now_ms();
    loop_stop(loop);
}

static void on_wake(uv_async_t *handle)
{
    (void)handle;
}

static int setup(void **state)
{
    (void)state;
    if (loop_open(&loop))
        return -1;
    uv_timer_init(loop_uv(loop), &timer);
    uv_async_init(loop_uv(loop), &wake, on_wake);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    uv_close((uv_handle_t *)&timer, NULL);
    uv_close((uv_handle_t *)&wake, NULL);
    loop_close(loop);
    return 0;
}

static void timer_of_libuv_is_on_time(void **state)
{
    (void)state;
    started_ms = now_ms();
    uv_update_time(loop_uv(loop));
    uv_timer_start(&timer, on_timer, 40, 0);
    loop_run(loop);
    assert_in_range(fired_ms - started_ms, 39, 80);
}

/* Another thread's uv_async is what ends sofia's sleep. */
static void stop_later(void *arg)
{
    usleep(30000);
    uv_async_send(arg);
}

static void on_stop_wake(uv_async_t *handle)
{
    (void)handle;
    fired_ms = now_ms();
    loop_stop(loop);
}

static void async_wakes_the_sleeping_loop(void **state)
{
    uv_async_t stop;
    uv_thread_t thread;

    (void)state;
    uv_async_init(loop_uv(loop), &stop, on_stop_wake);
    started_ms = now_ms();
    uv_thread_create(&thread, stop_later, &stop);
    loop_run(loop);
    uv_thread_join(&thread);
    assert_in_range(fired_ms - started_ms, 25, 200);
    uv_close((uv_handle_t *)&stop, NULL);
    loop_turn(loop, 0);
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
    (void)handle;
    (void)status;
    (void)events;
    fired_ms = now_ms();
    loop_stop(loop);
}

static void socket_of_libuv_is_read(void **state)
{
    int fds[2];
    uv_poll_t poll;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    uv_poll_init(loop_uv(loop), &poll, fds[0]);
    uv_poll_start(&poll, UV_READABLE, on_readable);
    started_ms = now_ms();
    assert_int_equal(write(fds[1], "x", 1), 1);
    loop_run(loop);
    assert_in_range(fired_ms - started_ms, 0, 50);
    uv_close((uv_handle_t *)&poll, NULL);
    loop_turn(loop, 0);
    close(fds[0]);
    close(fds[1]);
}

/* Trap 1 of loop.h: the wake makes sofia's sleep, chosen before, end in time. */
static void on_sofia_timer(su_root_magic_t *magic, su_timer_t *sofia, su_timer_arg_t *arg)
{
    (void)magic;
    (void)sofia;
    (void)arg;
    started_ms = now_ms();
    uv_update_time(loop_uv(loop));
    uv_timer_start(&timer, on_timer, 5, 0);
    uv_async_send(&wake);
}

static void timer_started_inside_sofia_is_on_time(void **state)
{
    su_timer_t *sofia = su_timer_create(su_root_task((su_root_t *)loop_root(loop)), 0);

    (void)state;
    assert_non_null(sofia);
    su_timer_set_interval(sofia, on_sofia_timer, NULL, 20);
    loop_run(loop);
    assert_in_range(fired_ms - started_ms, 4, 200); /* sofia meant to sleep a second */
    su_timer_destroy(sofia);
}

static void idle_loop_sleeps(void **state)
{
    double before = cpu_seconds();

    (void)state;
    uv_update_time(loop_uv(loop));
    uv_timer_start(&timer, on_timer, 500, 0);
    loop_run(loop);
    /* 0.5 % of the half second would be 2.5 ms; a spinning loop takes all of it. */
    assert_true(cpu_seconds() - before < 0.05);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(timer_of_libuv_is_on_time, setup, teardown),
        cmocka_unit_test_setup_teardown(async_wakes_the_sleeping_loop, setup, teardown),
        cmocka_unit_test_setup_teardown(socket_of_libuv_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(timer_started_inside_sofia_is_on_time, setup, teardown),
        cmocka_unit_test_setup_teardown(idle_loop_sleeps, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
