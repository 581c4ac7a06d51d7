#include "media/inbox.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_MS 2

static void on_retry(uv_timer_t *timer)
{
    struct outbox *outbox = timer->data;
    unsigned sent = 0;
    while (sent < outbox->count && inbox_post(outbox->inbox, &outbox->kept[sent], 1) == 0)
        sent++;
    outbox->count -= sent;
    if (sent > 0)
        memmove(outbox->kept, outbox->kept + sent, outbox->count * sizeof *outbox->kept);
    if (outbox->count == 0)
        uv_timer_stop(timer);
}

void outbox_open(struct outbox *outbox, uv_loop_t *loop, struct inbox *inbox)
{
    *outbox = (struct outbox){.inbox = inbox};
    uv_timer_init(loop, &outbox->retry);
    outbox->retry.data = outbox;
}

void outbox_send(struct outbox *outbox, const struct inbox_item *item)
{
    if (outbox->count == 0 && inbox_post(outbox->inbox, item, 1) == 0)
        return;
    if (outbox->count == outbox->size) {
        unsigned size = outbox->size ? outbox->size * 2 : 64;
        struct inbox_item *kept = realloc(outbox->kept, size * sizeof *kept);
        if (!kept)
            abort(); /* a lost close would leave a call's microphone open: better start anew */
        outbox->kept = kept;
        outbox->size = size;
    }
    outbox->kept[outbox->count++] = *item;
    if (!uv_is_active((uv_handle_t *)&outbox->retry))
        uv_timer_start(&outbox->retry, on_retry, RETRY_MS, RETRY_MS);
}

void outbox_close(struct outbox *outbox, uv_close_cb on_closed)
{
    assert(outbox->count == 0);
    free(outbox->kept);
    outbox->kept = NULL;
    uv_close((uv_handle_t *)&outbox->retry, on_closed);
}
