/* Direct TCP on the control thread: whether we offer it, and to which path a connection belongs
 * that the far end has dialled. */
#include "overlay/path_control.h"
#include "overlay/path_frame.h"
#include "overlay/tls.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A connection on its way to the worker of its path, detached from its old loop. */
struct arrival {
    struct path_letter letter;
    struct path *path;
    struct tls_stream *stream;
};

static void on_arrival(struct path_letter *letter)
{
    struct arrival *arrival = (struct arrival *)letter;

    path_tcp_accept(arrival->path, arrival->stream);
    free(arrival);
}

/* One answer for a path that we do not have and for one of another node: whoever asks learns
 * nothing about the paths of others. */
static void on_frame(void *ctx, struct bind_wait *wait, const uint8_t *frame, size_t bytes)
{
    struct paths *paths = ctx;
    uint8_t id[PATH_ID_BYTES];

    if (path_bind_decode(frame, bytes, id) < 0) {
        bind_wait_refuse(wait, "malformed");
        return;
    }
    struct path *path = paths_find(paths, id);
    if (!path || !path->control.is_shown ||
        identity_is_revoked(paths->settings.identity, bind_wait_peer(wait)->serial) ||
        memcmp(path->peer, bind_wait_peer(wait)->node, sizeof path->peer) != 0) {
        bind_wait_refuse(wait, "no such path");
        return;
    }
    struct tls_stream *stream = bind_wait_take(wait);
    if (!stream)
        return;
    struct arrival *arrival = path_letter_new(sizeof *arrival, on_arrival);
    arrival->path = path;
    arrival->stream = stream;
    path_post_send(path->worker->to_worker, &arrival->letter);
}

int paths_open_door(struct paths *paths)
{
    struct bind_waits_settings settings = {.loop = paths->settings.control,
                                           .what = "path",
                                           .on_frame = on_frame,
                                           .refusal = path_bound_encode,
                                           .ctx = paths};

    return bind_waits_open(&settings, &paths->waits);
}

void paths_take(struct paths *paths, struct tls_stream *stream, const struct certificate *peer)
{
    if (paths->is_closing || paths->settings.conf->relay_only)
        tls_stream_close(stream);
    else
        bind_waits_add(paths->waits, stream, peer);
}

/* ---- what we offer ----------------------------------------------------------------------------
 */

void paths_set_open(struct paths *paths, const char *address)
{
    snprintf(paths->open_address, sizeof paths->open_address, "%s", address ? address : "");
}

void paths_add_tcp(const struct paths *paths, struct candidate_path *ours)
{
    struct candidate *candidate;

    if (!paths->open_address[0] || paths->settings.conf->relay_only ||
        ours->count == CANDIDATES_MAX)
        return;
    candidate = &ours->candidates[ours->count++];
    candidate->kind = CANDIDATE_TCP;
    snprintf(candidate->host, sizeof candidate->host, "%s", paths->open_address);
}

bool paths_is_own_door(const struct paths *paths, const char *host)
{
    const struct sockaddr_storage *listen = &paths->settings.conf->listen;
    struct sockaddr_storage address, own;

    if (strcasecmp(host, paths->open_address) == 0)
        return true;
    if (!listen->ss_family || address_parse(host, &address) < 0)
        return false;
    address_normalise(&address);
    for (int i = 0; i < paths->host_count; i++) {
        own = paths->hosts[i];
        address_set_port(&own, address_port(listen));
        if (address_equal(&own, &address))
            return true;
    }
    return false;
}
