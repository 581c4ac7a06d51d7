/* Paths on the control thread: made, shared, kept warm, ended. */
#include "overlay/path_control.h"

#include "conf/log.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stddef.h>
#include <stdlib.h>

#define SWEEP_MS 1000
#define CALLS_PER_PATH 32 /* from then on another worker helps */
#define PATHS_PER_PEER_MAX 32
#define SSRC_TRIES 16

const struct paths_settings *paths_get_settings(const struct paths *paths)
{
    return &paths->settings;
}

unsigned paths_count(const struct paths *paths)
{
    return HASH_CNT(control.hh, paths->by_id);
}

int paths_worker(const void *handle)
{
    return ((const struct path *)handle)->worker->index;
}

bool paths_is_warm(const void *handle)
{
    return ((const struct path *)handle)->control.has_way;
}

/* ---- life of a path ---------------------------------------------------------------------------
 */

static void on_begin(struct path_letter *letter)
{
    path_live_begin((struct path *)((char *)letter - offsetof(struct path, begin)));
}

static void on_end(struct path_letter *letter)
{
    path_live_end((struct path *)((char *)letter - offsetof(struct path, end)));
}

static void end(struct path *path)
{
    path->control.is_ended = true;
    HASH_DELETE(control.hh, path->paths->by_id, path);
    path->end.run = on_end;
    path_post_send(path->worker->to_worker, &path->end);
}

static bool is_revoked(const struct path *path)
{
    const struct identity *identity = path->paths->settings.identity;

    return identity_is_revoked(identity, path->control.serial) ||
           identity_is_revoked(identity, identity_certificate(identity)->serial);
}

/* Nobody holds it: stays warm for the next call, if it ever led anywhere and there may be one. */
static void settle(struct path *path)
{
    struct paths *paths = path->paths;

    if (path->control.calls || path->control.ports || path->control.is_ended)
        return;
    path->control.idle_since_ms = uv_now(paths->settings.control);
    if (paths->is_closing || !path->control.has_way || paths->settings.conf->keep_path_s <= 0 ||
        is_revoked(path))
        end(path);
}

static void sweep(uv_timer_t *timer)
{
    struct paths *paths = timer->data;
    struct path *path, *next;
    uint64_t now_ms = uv_now(timer->loop),
             keep_ms = (uint64_t)paths->settings.conf->keep_path_s * 1000;

    HASH_ITER(control.hh, paths->by_id, path, next)
    {
        if (!path->control.calls && !path->control.ports &&
            now_ms >= path->control.idle_since_ms + keep_ms)
            end(path);
    }
}

void paths_revoke(struct paths *paths)
{
    struct path *path, *next;

    HASH_ITER(control.hh, paths->by_id, path, next)
    if (is_revoked(path))
        settle(path);
}

/* Each side signs checks with a key of its own: a request that is thrown back proves nothing. */
static void derive_keys(struct path *path, const uint8_t *own)
{
    crypto_generichash(path->send_key, sizeof path->send_key, own, OVERLAY_NODE_ID_BYTES, path->key,
                       sizeof path->key);
    crypto_generichash(path->receive_key, sizeof path->receive_key, path->peer,
                       OVERLAY_NODE_ID_BYTES, path->key, sizeof path->key);
}

struct path *paths_make(struct paths *paths, const struct paths_birth *birth)
{
    struct path *path = calloc(1, sizeof *path);

    if (!path)
        return NULL;
    path->paths = paths;
    path->worker = &paths->workers[birth->worker];
    memcpy(path->id, birth->id, PATH_ID_BYTES);
    memcpy(path->key, birth->key, PATH_KEY_BYTES);
    memcpy(path->peer, birth->peer, OVERLAY_NODE_ID_BYTES);
    sodium_bin2hex(path->username, sizeof path->username, path->id, PATH_ID_BYTES);
    path->is_leading = memcmp(identity_certificate(paths->settings.identity)->node, path->peer,
                              sizeof path->peer) < 0;
    derive_keys(path, identity_certificate(paths->settings.identity)->node);
    path->control.is_shown = !birth->is_hidden;
    path->live.is_hidden = birth->is_hidden;
    path->is_loopback_allowed = paths->is_loopback;
    path->is_loopback_dialled = paths_is_loopback_realm(paths);
    HASH_ADD(control.hh, paths->by_id, id, PATH_ID_BYTES, path);
    paths->alive++;
    path->begin.run = on_begin;
    path_post_send(path->worker->to_worker, &path->begin);
    return path;
}

struct path *paths_find(const struct paths *paths, const uint8_t id[PATH_ID_BYTES])
{
    struct path *path;

    HASH_FIND(control.hh, paths->by_id, id, PATH_ID_BYTES, path);
    return path;
}

/* The quietest path to this node; when that has many calls, one on the least loaded worker. */
struct path *paths_find_shared(const struct paths *paths, const uint8_t *peer, int worker)
{
    struct path *path, *next, *quiet = NULL, *there = NULL;

    HASH_ITER(control.hh, paths->by_id, path, next)
    {
        if (memcmp(path->peer, peer, OVERLAY_NODE_ID_BYTES) != 0)
            continue;
        if (!quiet || path->control.calls < quiet->control.calls)
            quiet = path;
        if (path->worker->index == worker)
            there = path;
    }
    if (!quiet || quiet->control.calls < CALLS_PER_PATH)
        return quiet;
    if (there || paths_has_room(paths, peer))
        return there;
    return quiet;
}

bool paths_has_room(const struct paths *paths, const uint8_t *peer)
{
    struct path *path, *next;
    unsigned count = 0;

    HASH_ITER(control.hh, paths->by_id, path, next)
    count += memcmp(path->peer, peer, OVERLAY_NODE_ID_BYTES) == 0;
    return count < PATHS_PER_PEER_MAX;
}

/* ---- SSRCs ------------------------------------------------------------------------------------
 */

int paths_take_ssrc(struct paths *paths, struct path *path, uint32_t *ssrc)
{
    struct path_ssrc *taken, *made;

    for (int i = 0; i < SSRC_TRIES; i++) {
        *ssrc = randombytes_random();
        HASH_FIND(hh, paths->ssrcs, ssrc, sizeof *ssrc, taken);
        if (*ssrc == 0 || taken)
            continue;
        if (!(made = calloc(1, sizeof *made)))
            return -ENOMEM;
        made->ssrc = *ssrc;
        made->has_call = true;
        HASH_ADD(hh, paths->ssrcs, ssrc, sizeof made->ssrc, made);
        path->control.calls++;
        return 0;
    }
    return -EAGAIN;
}

/* Free for others once neither the call nor a listener has it. */
static void leave_ssrc(struct paths *paths, uint32_t ssrc, bool is_call)
{
    struct path_ssrc *taken;

    HASH_FIND(hh, paths->ssrcs, &ssrc, sizeof ssrc, taken);
    if (!taken)
        return;
    if (is_call)
        taken->has_call = false;
    else
        taken->is_listened = false;
    if (taken->has_call || taken->is_listened)
        return;
    HASH_DEL(paths->ssrcs, taken);
    free(taken);
}

void paths_release(struct paths *paths, void *handle, uint32_t ssrc_in)
{
    struct path *path = handle;

    assert(path->control.calls > 0);
    path->control.calls--;
    leave_ssrc(paths, ssrc_in, true);
    settle(path);
}

/* ---- ports ------------------------------------------------------------------------------------
 */

void paths_hold(void *handle)
{
    ((struct path *)handle)->control.ports++;
}

void paths_listen(void *handle, uint32_t ssrc_in,
                  void (*receive)(void *receiver, uint8_t *packet, size_t bytes), void *receiver)
{
    struct path *path = handle;
    struct path_listener *listener = path_letter_new(sizeof *listener, path_worker_listen);
    struct path_ssrc *taken;

    HASH_FIND(hh, path->paths->ssrcs, &ssrc_in, sizeof ssrc_in, taken);
    if (taken)
        taken->is_listened = true;
    listener->ssrc = ssrc_in;
    listener->path = path;
    listener->receive = receive;
    listener->receiver = receiver;
    path_post_send(path->worker->to_worker, &listener->letter);
}

struct unlisten {
    struct path_letter letter;
    struct path *path;
    uint32_t ssrc;
    void (*on_closed)(void *ctx);
    void *ctx;
};

static void on_unlistened(struct path_letter *letter)
{
    struct unlisten *unlisten = (struct unlisten *)letter;
    struct path *path = unlisten->path;
    void (*on_closed)(void *ctx) = unlisten->on_closed;
    void *ctx = unlisten->ctx;

    assert(path->control.ports > 0);
    path->control.ports--;
    leave_ssrc(path->paths, unlisten->ssrc, false);
    free(unlisten);
    settle(path);
    if (on_closed)
        on_closed(ctx);
}

static void on_unlisten(struct path_letter *letter)
{
    struct unlisten *unlisten = (struct unlisten *)letter;
    struct path_worker *worker = unlisten->path->worker;

    path_worker_unlisten(worker, unlisten->ssrc);
    letter->run = on_unlistened;
    path_post_send(worker->to_control, letter);
}

void paths_unlisten(void *handle, uint32_t ssrc_in, void (*on_closed)(void *ctx), void *ctx)
{
    struct path *path = handle;
    struct unlisten *unlisten = path_letter_new(sizeof *unlisten, on_unlisten);

    unlisten->path = path;
    unlisten->ssrc = ssrc_in;
    unlisten->on_closed = on_closed;
    unlisten->ctx = ctx;
    path_post_send(path->worker->to_worker, &unlisten->letter);
}

/* ---- all of them ------------------------------------------------------------------------------
 */

void paths_on_note(struct paths *paths, struct path *path, const char *event, const char *text)
{
    log_debug(LOG_OVERLAY, NULL, "path %s: %s: %s", path->username, event, text);
    if (!path->control.is_ended && paths->settings.on_note)
        paths->settings.on_note(paths->settings.on_way_ctx, path, event, text);
}

void paths_on_lost(struct paths *paths)
{
    if (!paths->is_closing && paths->settings.on_lost)
        paths->settings.on_lost(paths->settings.on_way_ctx);
}

void paths_on_way(struct paths *paths, struct path *path, const char *text)
{
    path->control.has_way = true;
    if (!path->control.is_ended && paths->settings.on_way)
        paths->settings.on_way(paths->settings.on_way_ctx, path, text);
}

int paths_open(const struct paths_settings *settings, struct paths **out)
{
    int count = settings->workers->count(settings->workers->ctx), err = -ENOMEM;
    struct paths *paths = calloc(1, sizeof *paths);

    if (!paths || sodium_init() < 0)
        goto failed;
    paths->settings = *settings;
    randombytes_buf(paths->instance, sizeof paths->instance);
    paths->workers = calloc((size_t)count, sizeof *paths->workers);
    paths->own = calloc((size_t)count * PATHS_OWN_MAX, sizeof *paths->own);
    paths->seen = calloc((size_t)count * PATH_STUN_KEPT_MAX, sizeof *paths->seen);
    if (!paths->workers || !paths->own || !paths->seen)
        goto failed;
    for (paths->worker_count = 0; paths->worker_count < count; paths->worker_count++)
        if ((err = path_worker_open(&paths->workers[paths->worker_count], paths,
                                    paths->worker_count)) < 0)
            goto failed;
    if ((err = paths_open_door(paths)) < 0)
        goto failed;
    for (int i = 0; i < count; i++)
        path_worker_start(&paths->workers[i]);
    paths->running = count;
    uv_timer_init(settings->control, &paths->sweep);
    paths->sweep.data = paths;
    uv_timer_start(&paths->sweep, sweep, SWEEP_MS, SWEEP_MS);
    *out = paths;
    return 0;
failed:
    for (int i = 0; paths && i < paths->worker_count; i++)
        path_socket_close(paths->workers[i].socket);
    if (paths) {
        free(paths->workers);
        free(paths->own);
        free(paths->seen);
    }
    free(paths);
    return err;
}

static void on_sweep_closed(uv_handle_t *handle)
{
    struct paths *paths = handle->data;
    void (*on_closed)(void *ctx) = paths->on_closed;
    void *ctx = paths->on_closed_ctx;
    struct path_ssrc *ssrc, *next;

    HASH_ITER(hh, paths->ssrcs, ssrc, next)
    {
        HASH_DEL(paths->ssrcs, ssrc);
        free(ssrc);
    }
    free(paths->workers);
    free(paths->own);
    free(paths->seen);
    free(paths);
    if (on_closed)
        on_closed(ctx);
}

static void on_door_closed(void *ctx)
{
    uv_close((uv_handle_t *)&((struct paths *)ctx)->sweep, on_sweep_closed);
}

void paths_on_stopped(struct path_letter *letter)
{
    struct path_worker *worker =
        (struct path_worker *)((char *)letter - offsetof(struct path_worker, stop));
    struct paths *paths = worker->paths;

    if (--paths->running == 0)
        bind_waits_close(paths->waits, on_door_closed, paths);
}

static void stop_when_empty(struct paths *paths)
{
    if (!paths->is_closing || paths->alive > 0)
        return;
    for (int i = 0; i < paths->worker_count; i++)
        path_worker_close(&paths->workers[i]);
}

void paths_on_ended(struct path_letter *letter)
{
    struct path *path = (struct path *)((char *)letter - offsetof(struct path, end));
    struct paths *paths = path->paths;

    sodium_memzero(path->key, sizeof path->key);
    free(path->control.peer_der);
    free(path->control.held);
    free(path);
    paths->alive--;
    stop_when_empty(paths);
}

void paths_close(struct paths *paths, void (*on_closed)(void *ctx), void *ctx)
{
    struct path *path, *next;

    paths->is_closing = true;
    paths->on_closed = on_closed;
    paths->on_closed_ctx = ctx;
    uv_timer_stop(&paths->sweep);
    HASH_ITER(control.hh, paths->by_id, path, next)
    {
        path->control.calls = 0;
        settle(path);
    }
    stop_when_empty(paths);
}
