/* overlay/net_watch.h: tells when this machine's addresses or its default route have changed.
 *
 * The kernel says so (rtnetlink(7)); what it says is not read but taken as a hint to look again, so
 * that lost or forged messages do no harm. Told once per change, 50 ms after the first hint, so
 * that a whole series counts as one: a new lease, a cable pulled and another plugged.
 * Thread: that of the loop.
 */
#ifndef OVERLAY_NET_WATCH_H
#define OVERLAY_NET_WATCH_H

#include <uv.h>

struct net_watch;

/* Negative errno where the kernel does not tell (then there is no watch). `on_change` is called
 * from the loop. */
int net_watch_open(uv_loop_t *loop, void (*on_change)(void *ctx), void *ctx,
                   struct net_watch **watch);
void net_watch_close(struct net_watch *watch, void (*on_closed)(void *ctx), void *ctx);

#endif
