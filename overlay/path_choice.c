/* Which way is taken: UDP before TCP before a relay, among equals the one with the shorter round
 * trip. The leading end says which; the other follows as long as that way works for it,
 * so media goes the same way in both directions and its absence means something. */
#include "overlay/path_worker.h"

#include <stdlib.h>

/* After a change both ways carry media for so long: what was on its way arrives in any case. */
#define MOVE_DOUBLE_MS 250
/* A round trip must be so much shorter to be worth a change. */
#define GAIN_MIN_US 5000
/* One check in a hundred lost weighs as much as so much more round trip. */
#define LOSS_US_PER_PERMILLE 500

/* ---- told -------------------------------------------------------------------------------------
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

const char *path_way_text(const struct path_way *way, char text[PATH_WAY_TEXT_MAX])
{
    way->ops->describe(way, text, PATH_WAY_TEXT_MAX);
    return text;
}

void path_choice_report(struct path *path)
{
    struct way_letter *told;

    if (!path->live.current || path->live.is_guess)
        return;
    told = path_letter_new(sizeof *told, on_way_letter);
    told->path = path;
    path_way_text(path->live.current, told->text);
    path_post_send(path->worker->to_control, &told->letter);
}

/* ---- choice -----------------------------------------------------------------------------------
 */

static uint64_t cost_us(const struct path_way *way)
{
    return (uint64_t)way->round_trip_us + way->penalty_us +
           (uint64_t)way->loss_permille * LOSS_US_PER_PERMILLE;
}

/* Is there reason to think that it has just died? */
static bool is_doubtful(const struct path_way *way)
{
    const struct path *path = way->path;

    return way->deaf_ms || (way == path->live.current && path->live.is_deaf);
}

static bool is_worth_a_change(const struct path_way *to, const struct path_way *from)
{
    uint64_t gain_us = cost_us(from) / 4 > GAIN_MIN_US ? cost_us(from) / 4 : GAIN_MIN_US;

    return cost_us(to) + gain_us < cost_us(from);
}

static bool is_better(const struct path_way *way, const struct path_way *than)
{
    const struct path_way *current = way->path->live.current;

    if (!than)
        return true;
    if (way->ops->rank != than->ops->rank)
        return way->ops->rank > than->ops->rank;
    if (is_doubtful(way) != is_doubtful(than))
        return is_doubtful(than);
    if (than == current)
        return is_worth_a_change(way, than);
    if (way == current)
        return !is_worth_a_change(than, way);
    return cost_us(way) < cost_us(than);
}

static struct path_way *find_best(const struct path *path)
{
    struct path_way *way, *best = NULL;

    TAILQ_FOREACH(way, &path->live.ways, next)
    if (way->is_proved && is_better(way, best))
        best = way;
    return best;
}

/* What ends one UDP way ends the others, too. */
static bool shares_fate(const struct path_way *way, const struct path_way *with)
{
    return with && with->ops->rank == PATH_RANK_UDP && way->ops->rank == PATH_RANK_UDP;
}

struct path_way *path_choice_standby(const struct path *path)
{
    const struct path_way *current = path->live.current;
    struct path_way *way, *best = NULL;

    TAILQ_FOREACH(way, &path->live.ways, next)
    {
        if (!way->is_proved || way == current)
            continue;
        if (best && shares_fate(way, current) != shares_fate(best, current)) {
            if (shares_fate(best, current))
                best = way;
        } else if (is_better(way, best)) {
            best = way;
        }
    }
    return best;
}

void path_choice_double(struct path *path, struct path_way *way, unsigned ms)
{
    if (!way || way == path->live.current)
        return;
    path->live.second = way;
    path->live.second_until_ms = uv_now(path->worker->loop) + ms;
    path_live_wake(path);
}

static void note_move(struct path *path, const struct path_way *from, const struct path_way *to,
                      const char *why)
{
    char was[PATH_WAY_TEXT_MAX], is[PATH_WAY_TEXT_MAX];

    if (from)
        path_live_note(path, "moved", "from %s to %s: %s", path_way_text(from, was),
                       path_way_text(to, is), why);
    else
        path_live_note(path, "chosen", "%s: %s", path_way_text(to, is), why);
}

static void take(struct path *path, struct path_way *way, const char *why)
{
    struct path_way *before = path->live.current;
    uint64_t now_ms = uv_now(path->worker->loop);

    if (path->live.is_guess)
        before = NULL;
    path->live.is_guess = false;
    note_move(path, before, way, why);
    path->live.current = way;
    path->live.current_since_ms = now_ms;
    if (path->live.second == way)
        path->live.second = NULL;
    if (before && before->is_up)
        path_choice_double(path, before, MOVE_DOUBLE_MS);
    way->due_ms = now_ms; /* the check that nominates it */
    path_live_wake(path);
    path_choice_report(path);
}

void path_choice_make(struct path *path, const char *why)
{
    struct path_way *best = path->live.nominated;

    if (path->is_leading || !best || !best->is_proved)
        best = find_best(path);
    /* With nothing proved the last one is still the best guess: it may be only loss. */
    if (best && (best != path->live.current || path->live.is_guess))
        take(path, best, why);
}

void path_choice_guess(struct path *path, struct path_way *way)
{
    if (path->live.current || way->ops->rank == PATH_RANK_UDP)
        return;
    path->live.current = way;
    path->live.is_guess = true;
}

void path_choice_follow(struct path *path, struct path_way *way)
{
    if (path->is_leading || path->live.nominated == way)
        return;
    path->live.nominated = way;
    path_choice_make(path, "the far end has chosen it");
}
