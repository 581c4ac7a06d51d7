#include "overlay/core_timer.h"

#include <stdlib.h>

void core_timer_init(struct core_timer *timer, void (*fire)(void *owner), void *owner)
{
    *timer = (struct core_timer){.fire = fire, .owner = owner};
}

static void put(struct core_timers *timers, size_t place, struct core_timer *timer)
{
    timers->heap[place - 1] = timer;
    timer->place = place;
}

static void rise(struct core_timers *timers, struct core_timer *timer)
{
    size_t place = timer->place;

    while (place > 1 && timers->heap[place / 2 - 1]->at_ms > timer->at_ms) {
        put(timers, place, timers->heap[place / 2 - 1]);
        place /= 2;
    }
    put(timers, place, timer);
}

static void sink(struct core_timers *timers, struct core_timer *timer)
{
    size_t place = timer->place;

    while (2 * place <= timers->count) {
        size_t child = 2 * place;
        if (child < timers->count && timers->heap[child]->at_ms < timers->heap[child - 1]->at_ms)
            child++;
        if (timers->heap[child - 1]->at_ms >= timer->at_ms)
            break;
        put(timers, place, timers->heap[child - 1]);
        place = child;
    }
    put(timers, place, timer);
}

void core_timers_set(struct core_timers *timers, struct core_timer *timer, uint64_t at_ms)
{
    if (timer->place == 0) {
        if (timers->count == timers->room) {
            size_t room = timers->room ? 2 * timers->room : 8;
            struct core_timer **heap = realloc(timers->heap, room * sizeof *heap);
            if (!heap)
                abort(); /* a core without deadlines would hang silently */
            timers->heap = heap;
            timers->room = room;
        }
        put(timers, ++timers->count, timer);
    }
    timer->at_ms = at_ms;
    rise(timers, timer);
    sink(timers, timer);
}

void core_timers_stop(struct core_timers *timers, struct core_timer *timer)
{
    if (timer->place == 0)
        return;

    struct core_timer *last = timers->heap[--timers->count];
    if (last != timer) {
        put(timers, timer->place, last);
        rise(timers, last);
        sink(timers, last);
    }
    timer->place = 0;
}

struct core_timer *core_timers_pop(struct core_timers *timers, uint64_t now_ms)
{
    if (timers->count == 0 || timers->heap[0]->at_ms > now_ms)
        return NULL;

    struct core_timer *timer = timers->heap[0];
    core_timers_stop(timers, timer);
    return timer;
}

uint64_t core_timers_next(const struct core_timers *timers)
{
    return timers->count ? timers->heap[0]->at_ms : UINT64_MAX;
}

void core_timers_fini(struct core_timers *timers)
{
    free(timers->heap);
    *timers = (struct core_timers){0};
}
