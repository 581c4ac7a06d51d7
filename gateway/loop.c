#include "gateway/loop.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#define SU_ROOT_MAGIC_T struct loop
#include <sofia-sip/su.h>
#include <sofia-sip/su_wait.h>

#define SLEEP_MAX_MS 1000

struct loop {
    uv_loop_t uv;
    su_root_t *root;
    su_wait_t wait;
    int wait_index;
    bool is_stopped;
};

/* libuv's descriptor is readable: the next round's uv_run does the work. */
static int on_readable(struct loop *loop, su_wait_t *wait, su_wakeup_arg_t *arg)
{
    (void)loop;
    (void)wait;
    (void)arg;
    return 0;
}

static int open_root(struct loop *loop)
{
    su_init();
    loop->root = su_root_create(loop);
    if (!loop->root)
        return -ENOMEM;
    su_root_threading(loop->root, 0);
    if (su_wait_create(&loop->wait, uv_backend_fd(&loop->uv), SU_WAIT_IN) != 0)
        return -errno;
    loop->wait_index = su_root_register(loop->root, &loop->wait, on_readable, NULL, 0);
    return loop->wait_index < 0 ? -ENOMEM : 0;
}

int loop_open(struct loop **out)
{
    struct loop *loop = calloc(1, sizeof *loop);
    if (!loop)
        return -ENOMEM;
    int err = uv_loop_init(&loop->uv);
    if (err) {
        free(loop);
        return err;
    }
    err = open_root(loop);
    if (err) {
        loop_close(loop);
        return err;
    }
    *out = loop;
    return 0;
}

uv_loop_t *loop_uv(struct loop *loop)
{
    return &loop->uv;
}

struct su_root_t *loop_root(struct loop *loop)
{
    return loop->root;
}

void loop_run(struct loop *loop)
{
    while (!loop->is_stopped) {
        uv_run(&loop->uv, UV_RUN_NOWAIT);
        if (loop->is_stopped)
            break;
        int timeout_ms = uv_backend_timeout(&loop->uv);
        if (timeout_ms < 0 || timeout_ms > SLEEP_MAX_MS)
            timeout_ms = SLEEP_MAX_MS;
        su_root_step(loop->root, timeout_ms);
    }
}

void loop_stop(struct loop *loop)
{
    loop->is_stopped = true;
}

void loop_close(struct loop *loop)
{
    if (loop->root) {
        if (loop->wait_index > 0)
            su_root_deregister(loop->root, loop->wait_index);
        su_root_destroy(loop->root);
        su_deinit();
    }
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    int err = uv_loop_close(&loop->uv);
    assert(err == 0);
    (void)err;
    free(loop);
}
