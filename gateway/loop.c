#include "gateway/loop.h"

#include "conf/log.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include <sofia-sip/su.h>
#include <sofia-sip/su_wait.h>

#define SLEEP_MAX_MS 1000
#define DRAIN_TURNS 200

struct loop {
    uv_loop_t uv;
    uv_async_t wake;
    su_root_t *root;
    su_wait_t wait[1];
    int wait_index;
    volatile bool stopped;
};

static void on_stop(uv_async_t *wake)
{
    (void)wake; /* only ends the sleep */
}

/* libuv has something to do: the next turn's uv_run does it. */
static int on_backend(su_root_magic_t *magic, su_wait_t *wait, su_wakeup_arg_t *arg)
{
    (void)magic;
    (void)wait;
    (void)arg;
    return 0;
}

static int root_open(struct loop *loop)
{
    if (su_init() < 0 || !(loop->root = su_root_create(NULL)))
        return -ENOMEM;
    su_root_threading(loop->root, 0);
    if (su_wait_create(loop->wait, uv_backend_fd(&loop->uv), SU_WAIT_IN) < 0)
        return -EIO;
    loop->wait_index = su_root_register(loop->root, loop->wait, on_backend, NULL, 0);
    return loop->wait_index < 0 ? -EIO : 0;
}

int loop_open(struct loop **out)
{
    struct loop *loop = calloc(1, sizeof *loop);
    int err;

    if (!loop)
        return -ENOMEM;
    err = uv_loop_init(&loop->uv);
    if (err) {
        free(loop);
        return err;
    }
    uv_async_init(&loop->uv, &loop->wake, on_stop);
    uv_unref((uv_handle_t *)&loop->wake);
    err = root_open(loop);
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
    return (struct su_root_t *)loop->root;
}

void loop_turn(struct loop *loop, int max_ms)
{
    int timeout;

    uv_run(&loop->uv, UV_RUN_NOWAIT);
    timeout = uv_backend_timeout(&loop->uv);
    if (timeout < 0 || timeout > max_ms)
        timeout = max_ms;
    su_root_step(loop->root, timeout);
}

void loop_run(struct loop *loop)
{
    while (!loop->stopped)
        loop_turn(loop, SLEEP_MAX_MS);
    loop->stopped = false;
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
    uv_async_send(&loop->wake);
}

void loop_close(struct loop *loop)
{
    uv_close((uv_handle_t *)&loop->wake, NULL);
    for (int i = 0; loop->root && i < DRAIN_TURNS && uv_loop_alive(&loop->uv); i++)
        loop_turn(loop, 10);
    if (loop->root) {
        if (loop->wait_index > 0)
            su_root_deregister(loop->root, loop->wait_index);
        su_root_destroy(loop->root);
        su_deinit();
    }
    uv_run(&loop->uv, UV_RUN_NOWAIT);
    if (uv_loop_close(&loop->uv))
        log_error(LOG_GATEWAY, NULL, "bug: a handle is still open at the end of the control loop");
    free(loop);
}
