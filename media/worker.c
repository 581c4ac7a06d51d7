#include "media/worker.h"

#include "conf/log.h"
#include "media/bridge.h"
#include "media/socket.h"

#include <pthread.h>
#include <stdio.h>

#define TICK_MS 100

static __thread struct worker *current;

struct worker *worker_current(void)
{
    return current;
}

void worker_tell(struct worker *worker, const struct inbox_item *item)
{
    outbox_send(&worker->to_control, item);
}

static void on_tick(uv_timer_t *timer)
{
    bridges_tick(timer->data, now_us());
}

static void before_sleep(uv_prepare_t *prepare)
{
    socket_flush(prepare->data);
}

static void stop(struct worker *worker)
{
    socket_flush(worker);
    uv_close((uv_handle_t *)&worker->tick, NULL);
    uv_close((uv_handle_t *)&worker->before_sleep, NULL);
    inbox_close(&worker->inbox, NULL);
}

static void handle(void *ctx, const struct inbox_item *item)
{
    struct worker *worker = ctx;
    if (item->tag == INBOX_CALL)
        item->fn(item->object);
    else if (item->tag == INBOX_STOP)
        stop(worker);
    else
        bridge_handle(worker, item);
    if (item->tag == INBOX_OPEN && !uv_is_active((uv_handle_t *)&worker->tick))
        uv_timer_start(&worker->tick, on_tick, TICK_MS, TICK_MS);
    if (item->tag == INBOX_CLOSE && !worker->bridges)
        uv_timer_stop(&worker->tick);
}

/* Runs until STOP has closed our handles, and the others on this loop are closed too; then the last
 * words to the control thread are said. */
static void run(void *arg)
{
    struct worker *worker = arg;
    char name[16];
    snprintf(name, sizeof name, "media-%d", worker->index);
    pthread_setname_np(pthread_self(), name);
    current = worker;
    uv_run(&worker->loop, UV_RUN_DEFAULT);
    while (!outbox_is_empty(&worker->to_control))
        uv_run(&worker->loop, UV_RUN_ONCE);
    outbox_close(&worker->to_control, NULL);
    uv_run(&worker->loop, UV_RUN_DEFAULT);
    int error = uv_loop_close(&worker->loop);
    if (error)
        log_error(LOG_MEDIA, NULL, "worker %d: its loop is still in use: %s", worker->index,
                  uv_strerror(error));
    const struct inbox_item stopped = {.tag = INBOX_STOPPED, .object = worker};
    while (inbox_post(&worker->media->inbox, &stopped, 1) < 0)
        uv_sleep(1); /* nothing else is left to do on this thread */
}

int worker_start(struct media *media, struct worker *worker, int index)
{
    worker->media = media;
    worker->index = index;
    int error = uv_loop_init(&worker->loop);
    if (error)
        return error;
    error = inbox_open(&worker->inbox, &worker->loop, handle, worker);
    if (error) {
        uv_loop_close(&worker->loop);
        return error;
    }
    uv_timer_init(&worker->loop, &worker->tick);
    worker->tick.data = worker;
    uv_prepare_init(&worker->loop, &worker->before_sleep);
    worker->before_sleep.data = worker;
    uv_prepare_start(&worker->before_sleep, before_sleep);
    outbox_open(&worker->to_control, &worker->loop, &media->inbox);
    socket_batches_init(worker);
    error = uv_thread_create(&worker->thread, run, worker);
    if (!error)
        return 0;
    stop(worker);
    outbox_close(&worker->to_control, NULL);
    uv_run(&worker->loop, UV_RUN_DEFAULT);
    uv_loop_close(&worker->loop);
    return error;
}

void worker_join(struct worker *worker)
{
    uv_thread_join(&worker->thread);
}
