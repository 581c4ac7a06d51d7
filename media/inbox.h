/* media/inbox.h: the only thing that crosses threads: a bounded queue of small tagged structs by
 * value, and a wake-up of the loop that reads it.
 *
 * Nobody waits for room, so control thread and workers cannot lock each other up. New bridges are
 * only taken while the queue is mostly empty (INBOX_RESERVE), so that updates and closes find
 * room. Should it be full all the same, an *outbox* keeps what its own thread has to say, in
 * order, and tries again every few milliseconds: nothing is lost. */
#ifndef MEDIA_INBOX_H
#define MEDIA_INBOX_H

#include "media/media.h"

#define INBOX_SLOTS 4096
/* What must be free for a new bridge. */
#define INBOX_RESERVE (INBOX_SLOTS * 3 / 4)

enum inbox_tag {
    /* both ways */
    INBOX_CALL, /* fn(object) */
    /* to a worker; object is the bridge */
    INBOX_OPEN,
    INBOX_SET, /* argument: a struct bridge_change, owned by the receiver */
    INBOX_ASK,
    INBOX_SEND_DIGIT,
    INBOX_CLOSE,
    INBOX_STOP, /* the worker ends */
    /* to the control thread; object is the bridge */
    INBOX_FIRST_PACKET,
    INBOX_GAP,
    INBOX_DIGIT,
    INBOX_SILENCE,
    INBOX_BYE,
    INBOX_PLAYED,
    INBOX_STATS,
    INBOX_CLOSED,
    INBOX_STOPPED, /* object is the worker */
};

struct inbox_item {
    enum inbox_tag tag;
    enum media_side side;
    char digit;
    int duration_ms;
    uint64_t at_us;
    void *object;
    void *argument;
    void (*fn)(void *arg);
};

struct inbox {
    uv_mutex_t mutex;
    uv_async_t wake;
    void (*handle)(void *ctx, const struct inbox_item *item);
    void *ctx;
    void (*on_closed)(void *ctx);
    unsigned first, used;
    struct inbox_item *slot;
};

/* On the thread of `loop`, which will call `handle` for each item. */
int inbox_open(struct inbox *inbox, uv_loop_t *loop,
               void (*handle)(void *ctx, const struct inbox_item *item), void *ctx);
/* On the thread of its loop; nobody may post any more. What is left in it is handled first. */
void inbox_close(struct inbox *inbox, void (*on_closed)(void *ctx));
/* Any thread. `room`: how many slots must be free, at least 1. -ENOBUFS. */
int inbox_post(struct inbox *inbox, const struct inbox_item *item, unsigned room);

/* One thread's way into the inbox of another. */
struct outbox {
    struct inbox *inbox;
    uv_timer_t retry;
    struct inbox_item *kept;
    unsigned count, size;
};
void outbox_open(struct outbox *outbox, uv_loop_t *loop, struct inbox *inbox);
/* Always succeeds, later if need be. */
void outbox_send(struct outbox *outbox, const struct inbox_item *item);
static inline bool outbox_is_empty(const struct outbox *outbox)
{
    return outbox->count == 0;
}
/* Must be empty; its timer is closed, the caller waits for its loop to forget it. */
void outbox_close(struct outbox *outbox, uv_close_cb on_closed);

#endif
