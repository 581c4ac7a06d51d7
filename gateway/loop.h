/* gateway/loop.h: the one loop of the control thread: sofia's su_root, with libuv's loop embedded.
 *
 * Everything on the control thread is a callback of one of the two. Both rest in sofia's epoll:
 * libuv's backend descriptor is registered there, and sofia sleeps no longer than libuv's next
 * timer. Two traps come with it. A libuv timer that is started from inside a sofia callback is
 * late, for sofia has chosen its sleep already: whoever does so ends with uv_async_send (sip/ does
 * it by itself, and hands all its events to the gateway from a libuv callback). And sofia spins
 * through the last millisecond before a su_timer: our own timers are libuv timers.
 *
 * Thread: all on the control thread, except loop_stop, which may also be called from a signal
 * handler.
 */
#ifndef GATEWAY_LOOP_H
#define GATEWAY_LOOP_H

#include <uv.h>

struct loop;
struct su_root_t;

/* 0 or negative errno. */
int loop_open(struct loop **loop);
uv_loop_t *loop_uv(struct loop *loop);
struct su_root_t *loop_root(struct loop *loop);
/* Runs until loop_stop. */
void loop_run(struct loop *loop);
/* Makes loop_run return soon. */
void loop_stop(struct loop *loop);
/* One turn that waits at most `max_ms`; loop_run is many of these. For tests and for closing down.
 */
void loop_turn(struct loop *loop, int max_ms);
/* Everybody must have closed their handles before. What is still open is let run out for a moment.
 */
void loop_close(struct loop *loop);

#endif
