/* A path on its worker: its ways, its timer, its end. */
#include "overlay/path_worker.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PACE_MS 20 /* between two checks of a path */

bool path_live_is_wanted(const struct path *path, uint64_t now_ms)
{
    return path->live.listeners > 0 || now_ms < path->live.wanted_until_ms;
}

bool path_live_is_active(const struct path *path)
{
    return path->live.listeners > 0;
}

/* ---- notes ------------------------------------------------------------------------------------
 */

#define NOTES_PER_S 5
#define NOTES_BURST 50
#define NOTE_MAX (3 * PATH_WAY_TEXT_MAX)

struct note_letter {
    struct path_letter letter;
    struct path *path;
    const char *event;
    char text[NOTE_MAX];
};

static void on_note_letter(struct path_letter *letter)
{
    struct note_letter *note = (struct note_letter *)letter;

    paths_on_note(note->path->paths, note->path, note->event, note->text);
    free(note);
}

void path_live_note(struct path *path, const char *event, const char *format, ...)
{
    struct note_letter *note;
    va_list args;

    /* Journals are for people: a path that has more to say than they could read is cut short. */
    if (!bucket_take(&path->live.notes, uv_now(path->worker->loop), NOTES_PER_S, NOTES_BURST))
        return;
    note = path_letter_new(sizeof *note, on_note_letter);
    note->path = path;
    note->event = event;
    va_start(args, format);
    vsnprintf(note->text, sizeof note->text, format, args);
    va_end(args);
    path_post_send(path->worker->to_control, &note->letter);
}

/* ---- ways -------------------------------------------------------------------------------------
 */

void path_live_distrust(struct path *path)
{
    uint64_t now_ms = uv_now(path->worker->loop);
    struct path_way *way;

    TAILQ_FOREACH(way, &path->live.ways, next)
    path_check_disprove(way, now_ms);
    path->live.current = path->live.nominated = path->live.second = NULL;
    path->live.is_guess = false;
}

void path_live_on_network_change(struct path *path)
{
    uint64_t now_ms = uv_now(path->worker->loop);
    struct path_way *way, *next;

    for (way = TAILQ_FIRST(&path->live.ways); way; way = next) {
        next = TAILQ_NEXT(way, next);
        path_check_hurry(way, now_ms);
        path_way_doubt(way, now_ms);
    }
    path_live_note(path, "network", "our addresses have changed; all ways are checked again");
}

void path_live_add_way(struct path *path, struct path_way *way)
{
    TAILQ_INSERT_TAIL(&path->live.ways, way, next);
}

void path_live_remove_way(struct path *path, struct path_way *way)
{
    struct path_way **pointers[] = {&path->live.current, &path->live.nominated, &path->live.second};

    TAILQ_REMOVE(&path->live.ways, way, next);
    for (int i = 0; i < 3; i++)
        if (*pointers[i] == way)
            *pointers[i] = NULL;
    path->live.is_guess &= path->live.current != NULL;
    way->ops->close(way);
    path_choice_make(path, "the other way is gone");
}

/* Nothing is proved, or not any more: over which of the connections the far end can be reached is
 * anybody's guess.
 */
static void send_everywhere(struct path *path, const uint8_t *packet, size_t bytes)
{
    struct path_way *way;

    TAILQ_FOREACH(way, &path->live.ways, next)
    if (way->is_up && way->ops->rank != PATH_RANK_UDP && way != path->live.current)
        way->ops->send(way, packet, bytes);
}

int paths_send(void *handle, const uint8_t *packet, size_t bytes)
{
    struct path *path = handle;
    struct path_way *way = path->live.current;

    path->live.sent_ms = uv_now(path->worker->loop);
    if (path->live.is_guess || path_watch_is_dark(path))
        send_everywhere(path, packet, bytes);
    else if (path->live.second)
        path->live.second->ops->send(path->live.second, packet, bytes);
    return way ? way->ops->send(way, packet, bytes) : -ENOTCONN;
}

/* ---- time -------------------------------------------------------------------------------------
 */

/* Is this way checked at all now? An idle path keeps the one that it uses and a standby warm. */
static bool is_kept(const struct path_way *way, const struct path_way *standby, bool is_wanted)
{
    return way->is_up && way->due_ms != PATH_NEVER &&
           (is_wanted || way == way->path->live.current || way == standby);
}

static struct path_way *most_due(struct path *path, uint64_t now_ms)
{
    const struct path_way *standby = path_choice_standby(path);
    bool is_wanted = path_live_is_wanted(path, now_ms);
    struct path_way *way, *first = NULL;

    TAILQ_FOREACH(way, &path->live.ways, next)
    if (is_kept(way, standby, is_wanted) && (!first || way->due_ms < first->due_ms))
        first = way;
    return first;
}

static uint64_t tick_ways(struct path *path, uint64_t now_ms)
{
    struct path_way *way, *next;
    uint64_t next_ms = PATH_NEVER;

    for (way = TAILQ_FIRST(&path->live.ways); way; way = next) {
        next = TAILQ_NEXT(way, next);
        uint64_t wish_ms = way->ops->tick ? way->ops->tick(way, now_ms) : PATH_NEVER;
        next_ms = wish_ms < next_ms ? wish_ms : next_ms;
    }
    return next_ms;
}

static uint64_t tick_checks(struct path *path, uint64_t now_ms)
{
    struct path_way *way = most_due(path, now_ms);

    if (way && way->due_ms <= now_ms && now_ms >= path->live.last_check_ms + PACE_MS) {
        path->live.last_check_ms = now_ms;
        path_check_send(way, now_ms);
        way = most_due(path, now_ms);
    }
    if (!way)
        return PATH_NEVER;
    uint64_t paced_ms = path->live.last_check_ms + PACE_MS;
    return way->due_ms > paced_ms ? way->due_ms : paced_ms;
}

static void on_timer(uv_timer_t *timer)
{
    struct path *path = timer->data;
    uint64_t now_ms = uv_now(timer->loop);
    uint64_t wishes_ms[] = {tick_ways(path, now_ms), path_watch_tick(path, now_ms),
                            path_trickle_tick(path, now_ms), tick_checks(path, now_ms)};
    uint64_t next_ms = PATH_NEVER;

    for (size_t i = 0; i < sizeof wishes_ms / sizeof *wishes_ms; i++)
        next_ms = wishes_ms[i] < next_ms ? wishes_ms[i] : next_ms;
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
    path->live.current = path->live.nominated = path->live.second = NULL;
    while ((way = TAILQ_FIRST(&path->live.ways))) {
        TAILQ_REMOVE(&path->live.ways, way, next);
        way->ops->close(way);
    }
    free(path->live.trickle);
    HASH_DELETE(live.hh, path->worker->live, path);
    uv_close((uv_handle_t *)&path->live.timer, on_timer_closed);
}
