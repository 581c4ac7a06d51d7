/* Letters between threads that are never lost. */
#include "overlay/path_post.h"

#include "conf/log.h"

#include <assert.h>
#include <stdlib.h>

#define RETRY_MS 5

struct path_post {
    const struct overlay_workers *workers;
    int to;
    bool is_closing;
    STAILQ_HEAD(, path_letter) waiting;
    uv_timer_t retry;
};

static void die(void)
{
    log_error(LOG_OVERLAY, NULL, "out of memory");
    abort();
}

static void deliver(void *arg)
{
    struct path_letter *letter = arg;

    letter->run(letter);
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void retry(uv_timer_t *timer)
{
    struct path_post *post = timer->data;
    const struct overlay_workers *workers = post->workers;
    struct path_letter *letter;

    while ((letter = STAILQ_FIRST(&post->waiting))) {
        /* off the list first: once posted it is the other thread's */
        STAILQ_REMOVE_HEAD(&post->waiting, next);
        if (workers->post(workers->ctx, post->to, deliver, letter) < 0) {
            STAILQ_INSERT_HEAD(&post->waiting, letter, next);
            return;
        }
    }
    uv_timer_stop(timer);
    if (post->is_closing)
        uv_close((uv_handle_t *)timer, on_timer_closed);
}

struct path_post *path_post_open(uv_loop_t *loop, const struct overlay_workers *workers, int to)
{
    struct path_post *post = calloc(1, sizeof *post);

    if (!post)
        die();
    post->workers = workers;
    post->to = to;
    STAILQ_INIT(&post->waiting);
    uv_timer_init(loop, &post->retry);
    post->retry.data = post;
    return post;
}

void path_post_send(struct path_post *post, struct path_letter *letter)
{
    const struct overlay_workers *workers = post->workers;

    assert(!post->is_closing);
    if (STAILQ_EMPTY(&post->waiting) && workers->post(workers->ctx, post->to, deliver, letter) == 0)
        return;
    STAILQ_INSERT_TAIL(&post->waiting, letter, next);
    if (!uv_is_active((uv_handle_t *)&post->retry))
        uv_timer_start(&post->retry, retry, RETRY_MS, RETRY_MS);
}

void path_post_close(struct path_post *post)
{
    post->is_closing = true;
    if (STAILQ_EMPTY(&post->waiting))
        uv_close((uv_handle_t *)&post->retry, on_timer_closed);
}

void *path_letter_new(size_t bytes, void (*run)(struct path_letter *letter))
{
    struct path_letter *letter = calloc(1, bytes);

    if (!letter)
        die();
    letter->run = run;
    return letter;
}
