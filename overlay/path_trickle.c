/* Addresses that become known in the middle of a call: a NAT has been found out, a cable was
 * plugged.
 *
 * They are told over the way that works, in beats, one address each: no supernode is needed, and
 * the beat's signature proves who says so. What is heard is judged on the control thread as any
 * other candidate is. Without this, two ends behind NATs that have both forgotten the old addresses
 * would stay on their relay until the end of the call. */
#include "overlay/path_control.h"

#include <stdlib.h>

#define TIMES 3
#define EVERY_MS 200
#define HEARD_MAX 8 /* unknown addresses, each … */
#define HEARD_PER_MS 10000

/* ---- told -------------------------------------------------------------------------------------
 */

struct path_trickle {
    struct path_letter letter;
    struct path *path;
    int count, times;
    uint64_t due_ms;
    struct sockaddr_storage addresses[CANDIDATES_MAX];
};

static void on_trickle(struct path_letter *letter)
{
    struct path_trickle *trickle = (struct path_trickle *)letter;
    struct path *path = trickle->path;

    free(path->live.trickle);
    path->live.trickle = trickle;
    path_live_wake(path);
}

void paths_tell_addresses(struct path *path)
{
    struct candidate_path ours = {0};
    struct path_trickle *trickle;

    if (!path->control.is_shown || path->control.calls == 0)
        return;
    paths_add_own(path, &ours);
    trickle = path_letter_new(sizeof *trickle, on_trickle);
    trickle->path = path;
    for (int i = 0; i < ours.count; i++)
        trickle->addresses[trickle->count++] = ours.candidates[i].address;
    path_post_send(path->worker->to_worker, &trickle->letter);
}

uint64_t path_trickle_tick(struct path *path, uint64_t now_ms)
{
    struct path_trickle *trickle = path->live.trickle;

    if (!trickle)
        return PATH_NEVER;
    if (now_ms < trickle->due_ms)
        return trickle->due_ms;
    for (int i = 0; path->live.current && i < trickle->count; i++)
        path_check_tell(path->live.current, &trickle->addresses[i]);
    trickle->due_ms = now_ms + EVERY_MS;
    if (++trickle->times < TIMES)
        return trickle->due_ms;
    free(trickle);
    path->live.trickle = NULL;
    return PATH_NEVER;
}

/* ---- heard ------------------------------------------------------------------------------------
 */

struct heard {
    struct path_letter letter;
    struct path *path;
    struct sockaddr_storage address;
};

static void on_heard(struct path_letter *letter)
{
    struct heard *heard = (struct heard *)letter;

    if (!heard->path->control.is_ended)
        paths_hear_address(heard->path, &heard->address);
    free(heard);
}

static bool may_hear(struct path *path, uint64_t now_ms)
{
    if (now_ms >= path->live.heard_since_ms + HEARD_PER_MS) {
        path->live.heard_since_ms = now_ms;
        path->live.heard_count = 0;
    }
    return path->live.heard_count++ < HEARD_MAX;
}

void path_trickle_hear(struct path *path, const struct sockaddr_storage *address)
{
    uint64_t now_ms = uv_now(path->worker->loop);
    struct path_way *way = path_udp_find(path, address);
    struct heard *heard;

    if (way) {
        if (!way->is_proved)
            path_check_hurry(way, now_ms);
        return;
    }
    if (path->live.is_hidden || !may_hear(path, now_ms)) {
        path->worker->figures.implausible++;
        return;
    }
    heard = path_letter_new(sizeof *heard, on_heard);
    heard->path = path;
    heard->address = *address;
    address_normalise(&heard->address);
    path_post_send(path->worker->to_control, &heard->letter);
}
