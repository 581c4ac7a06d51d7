/* A path on its worker: its ways in turn, and which of them is taken. */
#include "overlay/path_worker.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define PACE_MS 20 /* between two checks of a path */

bool path_live_is_wanted(const struct path *path, uint64_t now_ms)
{
    return path->live.listeners > 0 || now_ms < path->live.wanted_until_ms;
}

/* ---- choice -----------------------------------------------------------------------------------
 */

struct way_letter {
    struct path_letter letter;
    struct path *path;
    char text[PATH_WAY_TEXT_MAX];
};

static void on_way_letter(struct path_letter *letter)
{
    struct way_letter *told = (struct way_letter *)letter;

    paths_on_way(told->path->paths, told->path, told->text);
    free(told);
}

void path_live_report(struct path *path)
{
    struct path_way *way = path->live.current;
    struct way_letter *told;

    if (!way)
        return;
    told = path_letter_new(sizeof *told, on_way_letter);
    told->path = path;
    way->ops->describe(way, told->text, sizeof told->text);
    path_post_send(path->worker->to_control, &told->letter);
}

static bool is_better(const struct path_way *way, const struct path_way *than,
                      const struct path *path)
{
    if (!than || way->ops->rank != than->ops->rank)
        return !than || way->ops->rank > than->ops->rank;
    return way == path->live.current;
}

void path_live_choose(struct path *path)
{
    struct path_way *way, *best = NULL;

    TAILQ_FOREACH(way, &path->live.ways, next)
    if (way->is_proved && is_better(way, best, path))
        best = way;
    /* With nothing proved the last one is still the best guess: it may be only loss. */
    if (!best || best == path->live.current)
        return;
    path->live.current = best;
    if (best->unanswered == 0)
        best->due_ms = uv_now(path->worker->loop);
    path_live_report(path);
}

void path_live_distrust(struct path *path)
{
    uint64_t now_ms = uv_now(path->worker->loop);
    struct path_way *way;

    TAILQ_FOREACH(way, &path->live.ways, next)
    {
        way->is_proved = false;
        path_check_hurry(way, now_ms);
    }
    path->live.current = NULL;
}

void path_live_add_way(struct path *path, struct path_way *way)
{
    TAILQ_INSERT_TAIL(&path->live.ways, way, next);
}

void path_live_remove_way(struct path *path, struct path_way *way)
{
    TAILQ_REMOVE(&path->live.ways, way, next);
    if (path->live.current == way)
        path->live.current = NULL;
    way->ops->close(way);
    path_live_choose(path);
}

int paths_send(void *handle, const uint8_t *packet, size_t bytes)
{
    struct path *path = handle;
    struct path_way *way = path->live.current;

    return way ? way->ops->send(way, packet, bytes) : -ENOTCONN;
}

/* ---- time -------------------------------------------------------------------------------------
 */

static struct path_way *most_due(struct path *path)
{
    struct path_way *way, *first = NULL;

    TAILQ_FOREACH(way, &path->live.ways, next)
    if (way->is_up && way->due_ms != PATH_NEVER && (!first || way->due_ms < first->due_ms))
        first = way;
    return first;
}

static void on_timer(uv_timer_t *timer)
{
    struct path *path = timer->data;
    uint64_t now_ms = uv_now(timer->loop), next_ms = PATH_NEVER;
    struct path_way *way;

    TAILQ_FOREACH(way, &path->live.ways, next)
    {
        uint64_t wish_ms = way->ops->tick ? way->ops->tick(way, now_ms) : PATH_NEVER;
        next_ms = wish_ms < next_ms ? wish_ms : next_ms;
    }
    way = most_due(path);
    if (way && way->due_ms <= now_ms && now_ms >= path->live.last_check_ms + PACE_MS) {
        path->live.last_check_ms = now_ms;
        path_check_send(way, now_ms);
        way = most_due(path);
    }
    if (way) {
        uint64_t paced_ms = path->live.last_check_ms + PACE_MS;
        uint64_t due_ms = way->due_ms > paced_ms ? way->due_ms : paced_ms;
        next_ms = due_ms < next_ms ? due_ms : next_ms;
    }
    if (next_ms != PATH_NEVER)
        uv_timer_start(timer, on_timer, next_ms > now_ms ? next_ms - now_ms : 0, 0);
    else
        uv_timer_stop(timer);
}

void path_live_wake(struct path *path)
{
    uv_timer_start(&path->live.timer, on_timer, 0, 0);
}

/* ---- life -------------------------------------------------------------------------------------
 */

void path_live_begin(struct path *path)
{
    struct path_worker *worker = path->worker;
    struct timespec now;

    TAILQ_INIT(&path->live.ways);
    uv_timer_init(worker->loop, &path->live.timer);
    path->live.timer.data = path;
    path->live.wanted_until_ms = uv_now(worker->loop) + PATH_WANTED_MS;
    /* The far end has to see our numbers grow even when we forgot the path and build it again;
     * checks are much rarer than one a millisecond. */
    clock_gettime(CLOCK_REALTIME, &now);
    path->live.check_number = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    HASH_ADD(live.hh, worker->live, id, PATH_ID_BYTES, path);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct path *path = handle->data;

    path->end.run = paths_on_ended;
    path_post_send(path->worker->to_control, &path->end);
}

void path_live_end(struct path *path)
{
    struct path_way *way;
    struct path_listener *listener, *next;

    HASH_ITER(hh, path->worker->listeners, listener, next)
    {
        if (listener->path == path) {
            HASH_DEL(path->worker->listeners, listener);
            free(listener);
        }
    }
    path->live.current = NULL;
    while ((way = TAILQ_FIRST(&path->live.ways))) {
        TAILQ_REMOVE(&path->live.ways, way, next);
        way->ops->close(way);
    }
    HASH_DELETE(live.hh, path->worker->live, path);
    uv_close((uv_handle_t *)&path->live.timer, on_timer_closed);
}
