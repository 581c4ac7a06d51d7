#include "media/inbox.h"

#include <errno.h>
#include <stdlib.h>

/* As many at a time, then packets have their turn again. */
#define BATCH 64

/* Copies out what is there, and handles it without the lock. */
static bool handle_some(struct inbox *inbox)
{
    struct inbox_item batch[BATCH];
    unsigned count = 0;
    uv_mutex_lock(&inbox->mutex);
    while (count < BATCH && inbox->used > 0) {
        batch[count++] = inbox->slot[inbox->first];
        inbox->first = (inbox->first + 1) % INBOX_SLOTS;
        inbox->used--;
    }
    bool more = inbox->used > 0;
    uv_mutex_unlock(&inbox->mutex);
    for (unsigned i = 0; i < count; i++)
        inbox->handle(inbox->ctx, &batch[i]);
    return more;
}

static void on_wake(uv_async_t *wake)
{
    struct inbox *inbox = wake->data;
    if (handle_some(inbox) && !uv_is_closing((uv_handle_t *)wake))
        uv_async_send(wake);
}

int inbox_open(struct inbox *inbox, uv_loop_t *loop,
               void (*handle)(void *ctx, const struct inbox_item *item), void *ctx)
{
    *inbox = (struct inbox){.handle = handle, .ctx = ctx};
    inbox->slot = calloc(INBOX_SLOTS, sizeof *inbox->slot);
    if (!inbox->slot)
        return -ENOMEM;
    int error = uv_mutex_init(&inbox->mutex);
    if (error)
        goto free_slots;
    error = uv_async_init(loop, &inbox->wake, on_wake);
    if (error)
        goto destroy_mutex;
    inbox->wake.data = inbox;
    return 0;

destroy_mutex:
    uv_mutex_destroy(&inbox->mutex);
free_slots:
    free(inbox->slot);
    return error;
}

static void on_wake_closed(uv_handle_t *handle)
{
    struct inbox *inbox = handle->data;
    uv_mutex_destroy(&inbox->mutex);
    free(inbox->slot);
    if (inbox->on_closed)
        inbox->on_closed(inbox->ctx);
}

void inbox_close(struct inbox *inbox, void (*on_closed)(void *ctx))
{
    inbox->on_closed = on_closed;
    uv_close((uv_handle_t *)&inbox->wake, on_wake_closed);
    while (handle_some(inbox))
        ;
}

int inbox_post(struct inbox *inbox, const struct inbox_item *item, unsigned room)
{
    uv_mutex_lock(&inbox->mutex);
    bool fits = INBOX_SLOTS - inbox->used >= room;
    if (fits) {
        inbox->slot[(inbox->first + inbox->used) % INBOX_SLOTS] = *item;
        inbox->used++;
        /* Under the lock: once the reader sees the item it may be the one to close `wake`. */
        uv_async_send(&inbox->wake);
    }
    uv_mutex_unlock(&inbox->mutex);
    return fits ? 0 : -ENOBUFS;
}
