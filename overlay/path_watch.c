/* The watch over a path while calls are up: media is its own probe.
 *
 * Each end sends at least a beat (a small signed message) now and then when its calls have nothing
 * to say, so silence always means something:
 *
 *   3 frames missing   we are deaf: say so over all ways, and send media over the standby as well.
 *                      The far end, when it hears that, doubles its media, too.
 *   DOUBT_MS           all ways are told to mend themselves (ops->doubt) and are proved again;
 *                      until one is, media goes over every connection there is
 *   LOST_MS            the way is given up for the next best one
 *
 * So the sound comes back after three frames and a round trip; which of the two directions has died
 * makes no difference. What comes twice is dropped by SRTP's replay window. */
#include "overlay/path_worker.h"

#define FRAMES_MISSED 3
#define MARGIN_MS 20
#define SILENCE_MIN_MS 80 /* of media */
#define INTERVAL_MAX_MS 100
#define SILENCE_BEATS_MS 250 /* of an end that sends beats only */
#define DOUBT_MS 200
#define LOST_MS 300
#define BEAT_AFTER_MS 45 /* without media */
#define BEAT_EVERY_MS 100
#define DEAF_BEAT_MS 40
#define DEAF_LONG_MS 2000 /* then it is said less often: nobody may be there any more */
#define DEAF_BEAT_LONG_MS 500
#define DOUBLE_MS 1000
#define DARK_MAX_MS 3000 /* then nobody may be there any more */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* How long nothing may come before it means that something is wrong. */
static uint64_t patience_ms(const struct path *path)
{
    uint64_t frames_ms = FRAMES_MISSED * path->live.interval_ms16 / 16 + MARGIN_MS;

    if (!path->live.is_heard_media)
        return SILENCE_BEATS_MS;
    return frames_ms > SILENCE_MIN_MS ? frames_ms : SILENCE_MIN_MS;
}

/* ---- what comes -------------------------------------------------------------------------------
 */

static void heard(struct path *path, struct path_way *way, bool is_media)
{
    uint64_t now_ms = uv_now(path->worker->loop);

    if (path->live.is_deaf) {
        char text[PATH_WAY_TEXT_MAX];
        path_live_note(path, "heard", "the far end is heard again after %u ms, over %s",
                       (unsigned)(now_ms - path->live.heard_ms),
                       way ? path_way_text(way, text) : "a new address of it");
        path->live.is_deaf = path->live.is_doubted = false;
    }
    if (path->live.heard_ms == 0)
        path_live_wake(path); /* the watch begins */
    path->live.heard_ms = now_ms;
    path->live.is_heard_media = is_media;
}

void path_watch_media(struct path *path, struct path_way *way)
{
    uint64_t now_ms = uv_now(path->worker->loop), since_ms = now_ms - path->live.heard_ms;

    if (way)
        way->heard_ms = now_ms;
    if (path->live.is_heard_media && path->live.heard_ms)
        path->live.interval_ms16 +=
            earlier(since_ms, INTERVAL_MAX_MS) * 2 - path->live.interval_ms16 / 8;
    heard(path, way, true);
}

/* The far end hears nothing of what we send: it says so over `way`, which works towards us. */
static void on_deaf(struct path *path, struct path_way *way)
{
    struct path_way *current = path->live.current;
    uint64_t now_ms = uv_now(path->worker->loop);

    if (!current)
        return;
    if (!current->deaf_ms) {
        char text[PATH_WAY_TEXT_MAX];
        current->deaf_ms = now_ms;
        path_live_note(path, "deaf", "the far end hears nothing over %s",
                       path_way_text(current, text));
        path_check_hurry(current, now_ms);
    }
    path_choice_double(path, way != current && way->is_proved ? way : path_choice_standby(path),
                       DOUBLE_MS);
}

void path_watch_beat(struct path *path, struct path_way *way, unsigned flags)
{
    if (way)
        way->heard_ms = uv_now(path->worker->loop);
    if (flags & STUN_PATH_DONE)
        path->live.heard_ms = 0; /* silence is no wonder from now on */
    else if (way && flags & STUN_PATH_DEAF)
        on_deaf(path, way);
    else if (!(flags & STUN_PATH_DEAF) && path->live.listeners > 0)
        heard(path, way, false);
    if (flags & STUN_PATH_DONE && path->live.is_deaf)
        path->live.is_deaf = path->live.is_doubted = false;
}

/* ---- what goes --------------------------------------------------------------------------------
 */

static void beat_everywhere(struct path *path, unsigned flags)
{
    struct path_way *way;

    TAILQ_FOREACH(way, &path->live.ways, next)
    if (way->is_up && (way->is_proved || way == path->live.current || way->losses > 0))
        path_check_beat(way, flags);
}

void path_watch_start(struct path *path)
{
    path->live.heard_ms = 0;
    path->live.is_deaf = path->live.is_doubted = false;
    path->live.interval_ms16 = 20 * 16;
    path->live.sent_ms = path->live.beat_ms = uv_now(path->worker->loop);
}

void path_watch_stop(struct path *path)
{
    path->live.heard_ms = 0;
    path->live.is_deaf = false;
    path->live.second = NULL;
    if (path->live.current)
        path_check_beat(path->live.current, STUN_PATH_DONE);
}

static uint64_t tick_beat(struct path *path, uint64_t now_ms)
{
    uint64_t due_ms = path->live.sent_ms + BEAT_AFTER_MS;

    if (due_ms < path->live.beat_ms + BEAT_EVERY_MS && path->live.beat_ms > path->live.sent_ms)
        due_ms = path->live.beat_ms + BEAT_EVERY_MS;
    if (now_ms < due_ms)
        return due_ms;
    if (path->live.current)
        path_check_beat(path->live.current, 0);
    if (path->live.second)
        path_check_beat(path->live.second, 0);
    path->live.beat_ms = now_ms;
    return now_ms + BEAT_EVERY_MS;
}

/* ---- silence ----------------------------------------------------------------------------------
 */

static void go_deaf(struct path *path, uint64_t now_ms)
{
    struct path_way *standby = path_choice_standby(path);
    char text[PATH_WAY_TEXT_MAX];

    path->live.is_deaf = true;
    path->live.deaf_beat_ms = 0;
    path_live_note(path, "silent", "nothing has come for %u ms; media goes over %s as well",
                   (unsigned)(now_ms - path->live.heard_ms),
                   standby ? path_way_text(standby, text) : "no second way: there is none");
    path_choice_double(path, standby, DOUBLE_MS);
    path_choice_make(path, "nothing came over the other address");
}

/* The standby does not help either: all are mended and proved again. */
static void doubt_all(struct path *path, uint64_t now_ms)
{
    struct path_way *way, *next;

    path->live.is_doubted = true;
    for (way = TAILQ_FIRST(&path->live.ways); way; way = next) {
        next = TAILQ_NEXT(way, next);
        if (way->is_proved && way != path->live.current && now_ms >= way->heard_ms + DOUBT_MS)
            path_check_disprove(way, now_ms);
        path_way_doubt(way, now_ms);
    }
}

bool path_watch_is_dark(const struct path *path)
{
    const struct path_way *current = path->live.current;
    uint64_t now_ms = uv_now(path->worker->loop);

    if (!current || path->live.heard_ms == 0 || now_ms >= path->live.heard_ms + DARK_MAX_MS)
        return false;
    return path->live.is_doubted || !current->is_proved ||
           (current->deaf_ms && now_ms >= current->deaf_ms + DOUBT_MS);
}

static uint64_t tick_deaf(struct path *path, uint64_t now_ms)
{
    uint64_t silent_ms = now_ms - path->live.heard_ms,
             every_ms = silent_ms < DEAF_LONG_MS ? DEAF_BEAT_MS : DEAF_BEAT_LONG_MS;

    if (now_ms >= path->live.deaf_beat_ms + every_ms) {
        path->live.deaf_beat_ms = now_ms;
        beat_everywhere(path, STUN_PATH_DEAF);
        path_choice_double(path, path_choice_standby(path), DOUBLE_MS);
    }
    if (silent_ms >= DOUBT_MS && !path->live.is_doubted)
        doubt_all(path, now_ms);
    uint64_t next_ms = path->live.deaf_beat_ms + every_ms;
    return path->live.is_doubted ? next_ms : earlier(next_ms, path->live.heard_ms + DOUBT_MS);
}

/* Is the current way silent although the far end should send over it, or does the far end hear
 * nothing over it? Both for long enough: then it is lost. */
static uint64_t tick_current(struct path *path, uint64_t now_ms)
{
    struct path_way *way = path->live.current;
    uint64_t round_trip_ms, limit_ms, since_ms, due_ms = PATH_NEVER;

    if (!way || !way->is_proved)
        return PATH_NEVER;
    round_trip_ms = way->round_trip_us / 1000;
    since_ms =
        way->heard_ms > path->live.current_since_ms ? way->heard_ms : path->live.current_since_ms;
    limit_ms = path->live.is_heard_media ? LOST_MS : LOST_MS + SILENCE_BEATS_MS;
    due_ms = since_ms + limit_ms + (since_ms > way->heard_ms ? round_trip_ms : 0);
    if (now_ms >= due_ms) {
        path_check_lose(way, now_ms, "nothing comes over it any more");
        return now_ms;
    }
    if (!way->deaf_ms)
        return due_ms;
    limit_ms = 2 * round_trip_ms > LOST_MS ? 2 * round_trip_ms : LOST_MS;
    if (now_ms >= way->deaf_ms + limit_ms) {
        path_check_lose(way, now_ms, "the far end hears nothing over it");
        return now_ms;
    }
    return earlier(due_ms, way->deaf_ms + limit_ms);
}

static uint64_t tick_silence(struct path *path, uint64_t now_ms)
{
    uint64_t next_ms;

    if (path->live.heard_ms == 0)
        return PATH_NEVER;
    if (!path->live.is_deaf) {
        next_ms = path->live.heard_ms + patience_ms(path);
        if (now_ms < next_ms)
            return earlier(next_ms, tick_current(path, now_ms));
        go_deaf(path, now_ms);
    }
    next_ms = tick_deaf(path, now_ms);
    return earlier(next_ms, tick_current(path, now_ms));
}

uint64_t path_watch_tick(struct path *path, uint64_t now_ms)
{
    uint64_t next_ms = PATH_NEVER;

    if (path->live.second && now_ms >= path->live.second_until_ms)
        path->live.second = NULL;
    if (path->live.second)
        next_ms = path->live.second_until_ms;
    if (path->live.listeners == 0)
        return next_ms;
    next_ms = earlier(next_ms, tick_beat(path, now_ms));
    return earlier(next_ms, tick_silence(path, now_ms));
}
