/* overlay/core_timer.h: the deadlines of the core, soonest first.
 *
 * A timer is embedded in what it belongs to and fires once. The heap holds pointers only, so a
 * timer must be stopped before its memory goes. No clock in here: the caller says what time it is.
 */
#ifndef OVERLAY_CORE_TIMER_H
#define OVERLAY_CORE_TIMER_H

#include <stddef.h>
#include <stdint.h>

struct core_timer {
    uint64_t at_ms;
    size_t place; /* in the heap, counted from 1; 0: not set */
    void (*fire)(void *owner);
    void *owner;
};

struct core_timers {
    struct core_timer **heap;
    size_t count, room;
};

void core_timer_init(struct core_timer *timer, void (*fire)(void *owner), void *owner);
/* Sets or moves. */
void core_timers_set(struct core_timers *timers, struct core_timer *timer, uint64_t at_ms);
/* Nothing happens when it is not set. */
void core_timers_stop(struct core_timers *timers, struct core_timer *timer);
/* Takes out the soonest timer that is due at `now_ms`; NULL: none. */
struct core_timer *core_timers_pop(struct core_timers *timers, uint64_t now_ms);
/* When the soonest is due; UINT64_MAX: none is set. */
uint64_t core_timers_next(const struct core_timers *timers);
void core_timers_fini(struct core_timers *timers);

#endif
