/* gateway/loop.h: the control thread's one event loop: sofia-sip's su_root with the libuv loop in it.
 *
 * sofia waits in its own poll; libuv's backend descriptor is one of the things it waits for, and each
 * round first lets libuv do what is due. Two things to know:
 *
 *   - sofia computes how long to sleep before it runs its callbacks, so a libuv timer that is started
 *     inside a sofia callback may fire up to 16 ms late. Such a callback ends with uv_async_send on a
 *     handle of this loop (sip/ has one).
 *   - sofia spins through the last millisecond before a su_timer. Our own timers are libuv's.
 *
 * Thread: the one that calls loop_run; loop_stop too.
 */
#ifndef GATEWAY_LOOP_H
#define GATEWAY_LOOP_H

#include <uv.h>

struct loop;
struct su_root_t;

/* 0, -ENOMEM or what libuv says. */
int loop_open(struct loop **loop);
uv_loop_t *loop_uv(struct loop *loop);
struct su_root_t *loop_root(struct loop *loop);
/* Returns after loop_stop. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
/* Lets handles that are closing finish, then frees. Handles still open are a bug: asserted. */
void loop_close(struct loop *loop);

#endif
