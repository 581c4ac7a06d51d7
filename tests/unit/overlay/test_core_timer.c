/* Deadlines come soonest first, whatever was set, moved and stopped before. */
#include "overlay/core_timer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define TIMERS 200

static void fire(void *owner)
{
    (void)owner;
}

static void the_soonest_is_taken_first(void **state)
{
    struct core_timers timers = {0};
    struct core_timer timer[TIMERS];
    uint64_t last_ms = 0;
    int count = 0;

    (void)state;
    srand(7);
    for (int i = 0; i < TIMERS; i++) {
        core_timer_init(&timer[i], fire, NULL);
        core_timers_set(&timers, &timer[i], (uint64_t)(rand() % 1000));
    }
    for (int i = 0; i < TIMERS; i += 3)
        core_timers_set(&timers, &timer[i], (uint64_t)(rand() % 1000)); /* moved */
    for (int i = 0; i < TIMERS; i += 5)
        core_timers_stop(&timers, &timer[i]);
    for (int i = 0; i < TIMERS; i += 5)
        core_timers_stop(&timers, &timer[i]); /* twice is no harm */

    for (struct core_timer *due; (due = core_timers_pop(&timers, 2000)); count++) {
        assert_true(due->at_ms >= last_ms);
        assert_int_equal(due->place, 0);
        assert_true((due - timer) % 5 != 0);
        last_ms = due->at_ms;
    }
    assert_int_equal(count, TIMERS - TIMERS / 5);
    assert_int_equal(timers.count, 0);
    core_timers_fini(&timers);
}

static void nothing_fires_early(void **state)
{
    struct core_timers timers = {0};
    struct core_timer timer;

    (void)state;
    core_timer_init(&timer, fire, NULL);
    assert_true(core_timers_next(&timers) == UINT64_MAX);
    core_timers_set(&timers, &timer, 100);
    assert_int_equal(core_timers_next(&timers), 100);
    assert_null(core_timers_pop(&timers, 99));
    assert_ptr_equal(core_timers_pop(&timers, 100), &timer);
    assert_null(core_timers_pop(&timers, 100));
    core_timers_fini(&timers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_soonest_is_taken_first),
        cmocka_unit_test(nothing_fires_early),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
