/* media/bridge.h: two legs on a worker. The control thread's half of a bridge is in bridge.c, the
 * worker's in bridge_worker.c; each touches its own part of the struct only, and they talk by
 * inbox. The control thread allocates and frees it. */
#ifndef MEDIA_BRIDGE_H
#define MEDIA_BRIDGE_H

#include "media/leg.h"

#include <uthash.h>

struct media_bridge {
    /* set once */
    struct media *media;
    struct worker *worker;

    /* control thread */
    const struct media_events *events;
    void *ctx;
    bool closing;
    int asked; /* answers that are still wanted */
    bool takes_digits[2];

    /* worker */
    struct leg legs[2];
    uv_timer_t wake;
    uint64_t wake_us; /* 0: not wanted */
    void *self;       /* the address, as the key of the hash */
    UT_hash_handle hh;

    /* written by the worker before it posts INBOX_STATS and INBOX_CLOSED, read by the control
     * thread after that; a new question is only asked when the answer has been read */
    struct media_stats answer[2], last[2];
};

/* Control thread: an item that a worker posted about a bridge. */
void bridge_report(const struct inbox_item *item);

/* Worker: an item that the control thread posted about a bridge. */
void bridge_handle(struct worker *worker, const struct inbox_item *item);
/* Worker: calls leg_wake at `at_us` or a little later. */
void bridge_wake(struct media_bridge *bridge, uint64_t at_us);
/* Worker: ten times a second. */
void bridges_tick(struct worker *worker, uint64_t now_us);

#endif
