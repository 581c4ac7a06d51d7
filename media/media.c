#include "media/media.h"

#include "media/bridge.h"
#include "media/srtp.h"
#include "media/worker.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

static struct worker *worker_at(const struct media *media, int index)
{
    assert(index >= 0 && index < media->worker_count);
    return &media->workers[index];
}

int media_worker_count(const struct media *media)
{
    return media->worker_count;
}

int media_worker_pick(const struct media *media)
{
    int best = 0;
    for (int i = 1; i < media->worker_count; i++)
        if (media->workers[i].assigned < media->workers[best].assigned)
            best = i;
    return best;
}

uv_loop_t *media_worker_loop(struct media *media, int worker)
{
    return &worker_at(media, worker)->loop;
}

int media_post(struct media *media, int worker, void (*fn)(void *arg), void *arg)
{
    const struct inbox_item item = {.tag = INBOX_CALL, .fn = fn, .object = arg};
    struct worker *self = worker_current();
    struct inbox *inbox =
        worker == MEDIA_CONTROL ? &media->inbox : &worker_at(media, worker)->inbox;
    /* What waits in our own outbox was posted before this. */
    const struct outbox *outbox = NULL;
    if (self && worker == MEDIA_CONTROL)
        outbox = &self->to_control;
    else if (!self && worker != MEDIA_CONTROL)
        outbox = &worker_at(media, worker)->to_worker;
    if (outbox && !outbox_is_empty(outbox))
        return -ENOBUFS;
    return inbox_post(inbox, &item, 1);
}

/* ---- closing --------------------------------------------------------------------------------- */

static void on_gone(void *ctx)
{
    struct media *media = ctx;
    void (*on_closed)(void *ctx) = media->on_closed;
    void *closed_ctx = media->ctx;
    free(media->workers);
    free(media);
    if (on_closed)
        on_closed(closed_ctx);
}

static void on_outbox_closed(uv_handle_t *handle)
{
    struct outbox *outbox = handle->data;
    struct media *media =
        ((struct worker *)((char *)outbox - offsetof(struct worker, to_worker)))->media;
    if (--media->outboxes_open == 0)
        inbox_close(&media->inbox, on_gone);
}

static void on_stopped(struct media *media, struct worker *worker)
{
    worker_join(worker);
    if (--media->workers_running > 0)
        return;
    media->outboxes_open = media->worker_count;
    for (int i = 0; i < media->worker_count; i++)
        outbox_close(&media->workers[i].to_worker, on_outbox_closed);
}

static void handle(void *ctx, const struct inbox_item *item)
{
    if (item->tag == INBOX_CALL)
        item->fn(item->object);
    else if (item->tag == INBOX_STOPPED)
        on_stopped(ctx, item->object);
    else
        bridge_report(item);
}

void media_close(struct media *media, void (*on_closed)(void *ctx), void *ctx)
{
    media->on_closed = on_closed;
    media->ctx = ctx;
    const struct inbox_item stop_item = {.tag = INBOX_STOP};
    for (int i = 0; i < media->worker_count; i++) {
        assert(media->workers[i].assigned == 0);
        outbox_send(&media->workers[i].to_worker, &stop_item);
    }
    if (media->worker_count == 0)
        inbox_close(&media->inbox, on_gone);
}

int media_open(uv_loop_t *control, const struct conf_media *settings, struct media **opened)
{
    int error = srtp_start();
    if (error)
        return error;
    struct media *media = calloc(1, sizeof *media);
    if (!media)
        return -ENOMEM;
    int wanted = settings->workers > 0 ? settings->workers : (int)uv_available_parallelism();
    media->control = control;
    media->settings = *settings;
    /* After a restart not the very ports of the calls before. */
    if (getrandom(&media->next_port, sizeof media->next_port, 0) < 0)
        media->next_port = 0;
    media->workers = calloc((size_t)wanted, sizeof *media->workers);
    error = media->workers ? inbox_open(&media->inbox, control, handle, media) : -ENOMEM;
    if (error) {
        free(media->workers);
        free(media);
        return error;
    }
    for (int i = 0; i < wanted; i++) {
        error = worker_start(media, &media->workers[i], i);
        if (error) {
            media_close(media, NULL, NULL); /* those that run; finishes by itself */
            return error;
        }
        outbox_open(&media->workers[i].to_worker, control, &media->workers[i].inbox);
        media->worker_count++;
        media->workers_running++;
    }
    *opened = media;
    return 0;
}
