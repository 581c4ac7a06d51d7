/* A worker's socket, and where its packets go. */
#include "overlay/path_worker.h"

#include "conf/log.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define RTP_BYTES_MIN 12
#define RTCP_BYTES_MIN 8
#define EARLY_MS 300

/* ---- packets ----------------------------------------------------------------------------------
 */

/* RTP and RTCP share the port (RFC 5761 section 4). In RTCP the SSRC is the sender's, and that is
 * the one which we told the far end to use, so one table serves both. */
static bool media_ssrc(const uint8_t *packet, size_t bytes, uint32_t *ssrc, bool *is_rtcp)
{
    *is_rtcp = bytes >= RTCP_BYTES_MIN && packet[1] >= 192 && packet[1] <= 223;
    const uint8_t *at = packet + (*is_rtcp ? 4 : 8);

    if (!*is_rtcp && bytes < RTP_BYTES_MIN)
        return false;
    *ssrc = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    return true;
}

/* A call sends 100 packets a second at the most, and over two ways at once for a while. What is
 * above would only cost everybody else time. */
static bool is_flood(struct path *path)
{
    unsigned per_s = 200 + 400 * path->live.listeners;

    return !bucket_take(&path->live.media, uv_now(path->worker->loop), per_s, per_s);
}

/* By UDP: an answer to one of us, or a check of a far end. */
static void on_stun(struct path_worker *worker, const struct sockaddr_storage *source,
                    uint8_t *packet, size_t bytes)
{
    if (path_channel_answer(worker, source, packet, bytes) ||
        (worker->stun && path_stun_receive(worker->stun, source, packet, bytes)))
        return;
    if (worker->is_hidden) /* an answer would show where we are */
        worker->figures.check_unknown++;
    else
        path_check_receive(worker, NULL, source, packet, bytes);
}

static void keep_early(struct path_worker *worker, uint32_t ssrc, const uint8_t *packet,
                       size_t bytes)
{
    struct path_early *early = &worker->early[worker->early_next];

    if (bytes > sizeof early->packet)
        return;
    worker->early_next = (worker->early_next + 1) % PATH_EARLY_MAX;
    early->ssrc = ssrc;
    early->at_ms = uv_now(worker->loop);
    early->bytes = bytes;
    memcpy(early->packet, packet, bytes);
}

/* What came for it before, oldest first. */
static void give_early(struct path_worker *worker, const struct path_listener *listener)
{
    for (unsigned i = 0; i < PATH_EARLY_MAX; i++) {
        struct path_early *early = &worker->early[(worker->early_next + i) % PATH_EARLY_MAX];
        size_t bytes = early->bytes;
        if (bytes == 0 || early->ssrc != listener->ssrc)
            continue;
        early->bytes = 0;
        if (uv_now(worker->loop) <= early->at_ms + EARLY_MS)
            listener->receive(listener->receiver, early->packet, bytes);
    }
}

void path_worker_receive(struct path_worker *worker, struct path_way *way,
                         const struct sockaddr_storage *source, uint8_t *packet, size_t bytes)
{
    struct path_listener *listener;
    uint32_t ssrc;
    bool is_rtcp;

    worker->figures.packets_in++;
    /* RFC 7983 section 7 */
    if (!way && bytes > 0 && channel_is_first(packet[0])) {
        path_channel_receive(worker, source, packet, bytes);
        return;
    }
    if (bytes > 0 && packet[0] <= 3) {
        if (way)
            path_check_receive(worker, way, source, packet, bytes);
        else
            on_stun(worker, source, packet, bytes);
        return;
    }
    if (bytes == 0 || packet[0] < 128 || packet[0] > 191 ||
        !media_ssrc(packet, bytes, &ssrc, &is_rtcp)) {
        worker->figures.malformed++;
        return;
    }
    HASH_FIND(hh, worker->listeners, &ssrc, sizeof ssrc, listener);
    if (!listener) {
        worker->figures.stranger++;
        if (!is_rtcp)
            keep_early(worker, ssrc, packet, bytes);
        return;
    }
    if (is_flood(listener->path)) {
        worker->figures.flood++;
        return;
    }
    if (!is_rtcp) /* which is too rare to be watched for */
        path_watch_media(listener->path, way ? way : path_udp_find(listener->path, source));
    listener->receive(listener->receiver, packet, bytes);
}

static void on_packet(void *ctx, const struct sockaddr_storage *from, uint8_t *data, size_t bytes)
{
    struct sockaddr_storage source = *from;

    address_normalise(&source);
    path_worker_receive(ctx, NULL, &source, data, bytes);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct path_worker *worker = poll->data;

    (void)events;
    if (status == 0)
        path_socket_receive(worker->socket, on_packet, worker);
}

/* ---- listeners --------------------------------------------------------------------------------
 */

void path_worker_listen(struct path_letter *letter)
{
    struct path_listener *listener = (struct path_listener *)letter, *before;
    struct path *path = listener->path;
    struct path_worker *worker = path->worker;

    HASH_REPLACE(hh, worker->listeners, ssrc, sizeof listener->ssrc, listener, before);
    if (before) {
        before->path->live.listeners--;
        free(before);
    }
    if (path->live.listeners++ == 0) {
        path_watch_start(path);
        if (path->live.current)
            path_check_hurry(path->live.current, uv_now(worker->loop));
    }
    path_live_wake(path);
    give_early(worker, listener);
}

void path_worker_unlisten(struct path_worker *worker, uint32_t ssrc)
{
    struct path_listener *listener;

    HASH_FIND(hh, worker->listeners, &ssrc, sizeof ssrc, listener);
    if (!listener)
        return;
    HASH_DEL(worker->listeners, listener);
    if (--listener->path->live.listeners == 0)
        path_watch_stop(listener->path);
    free(listener);
}

/* ---- life -------------------------------------------------------------------------------------
 */

static void on_start(struct path_letter *letter)
{
    struct path_worker *worker =
        (struct path_worker *)((char *)letter - offsetof(struct path_worker, start));
    const struct overlay_workers *workers = paths_get_settings(worker->paths)->workers;
    int err = 0;

    worker->loop = workers->loop(workers->ctx, worker->index);
    worker->to_control = path_post_open(worker->loop, workers, PATH_POST_CONTROL);
    if (!worker->socket)
        return;
    worker->stun = path_stun_open(worker);
    worker->poll.data = worker;
    err = uv_poll_init(worker->loop, &worker->poll, path_socket_fd(worker->socket));
    if (err == 0)
        err = uv_poll_start(&worker->poll, UV_READABLE, on_readable);
    if (err < 0)
        log_error(LOG_OVERLAY, NULL, "worker %d cannot read its UDP socket: %s", worker->index,
                  uv_strerror(err));
}

static void finish(struct path_worker *worker)
{
    struct path_post *to_control = worker->to_control;

    path_socket_close(worker->socket);
    worker->stop.run = paths_on_stopped;
    path_post_send(to_control, &worker->stop);
    path_post_close(to_control); /* the worker itself may be gone by now */
}

void path_worker_leave(struct path_worker *worker)
{
    if (--worker->lingering == 0 && worker->is_stopping)
        finish(worker);
}

static void on_connection_gone(void *ctx)
{
    path_worker_leave(ctx);
}

struct bundle_host path_worker_host(struct path_worker *worker)
{
    return (struct bundle_host){worker->loop, &worker->lingering, on_connection_gone, worker};
}

static bool is_plausible(const struct sockaddr_storage *to)
{
    static const struct candidate_policy policy;

    return candidate_is_plausible(to, &policy);
}

static bool is_plausible_here(const struct sockaddr_storage *to)
{
    static const struct candidate_policy policy = {.is_loopback_allowed = true};

    return candidate_is_plausible(to, &policy);
}

bool (*path_may_dial(const struct path *path))(const struct sockaddr_storage *to)
{
    return path->is_loopback_dialled ? is_plausible_here : is_plausible;
}

static void on_poll_closed(uv_handle_t *handle)
{
    path_worker_leave(handle->data);
}

static void on_stop(struct path_letter *letter)
{
    struct path_worker *worker =
        (struct path_worker *)((char *)letter - offsetof(struct path_worker, stop));
    const struct path_figures *f = &worker->figures;

    log_debug(LOG_OVERLAY, NULL,
              "worker %d: %llu packets in, dropped: %llu malformed, %llu of nobody, %llu too many, "
              "checks: %llu malformed, %llu unknown, %llu forged, %llu replayed",
              worker->index, (unsigned long long)f->packets_in, (unsigned long long)f->malformed,
              (unsigned long long)f->stranger, (unsigned long long)f->flood,
              (unsigned long long)f->check_malformed, (unsigned long long)f->check_unknown,
              (unsigned long long)f->check_forged, (unsigned long long)f->check_replayed);
    worker->is_stopping = true;
    worker->lingering++; /* until the end of this function, or of the socket */
    path_stun_close(worker->stun);
    worker->stun = NULL;
    if (worker->socket)
        uv_close((uv_handle_t *)&worker->poll, on_poll_closed);
    else
        path_worker_leave(worker);
}

int path_worker_open(struct path_worker *worker, struct paths *paths, int index)
{
    const struct conf_overlay *conf = paths_get_settings(paths)->conf;

    worker->paths = paths;
    worker->index = index;
    worker->is_hidden = conf->relay_only;
    if (!conf->udp)
        return 0;
    return path_socket_open(conf->udp_port ? (uint16_t)(conf->udp_port + index) : 0,
                            &worker->socket);
}

void path_worker_start(struct path_worker *worker)
{
    const struct paths_settings *settings = paths_get_settings(worker->paths);

    worker->to_worker = path_post_open(settings->control, settings->workers, worker->index);
    worker->start.run = on_start;
    path_post_send(worker->to_worker, &worker->start);
}

void path_worker_close(struct path_worker *worker)
{
    worker->stop.run = on_stop;
    path_post_send(worker->to_worker, &worker->stop);
    path_post_close(worker->to_worker);
}
