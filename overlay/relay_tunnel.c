/* Tunnels: frames from one end to the other. */
#include "overlay/relay_tunnel.h"

#include "overlay/relay_frame.h"

#include "conf/log.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define SWEEP_MS 1000

/* ---- forwarding -------------------------------------------------------------------------------
 */

static struct relay_end *other_end(struct relay_end *end)
{
    struct relay_end *ends = end->tunnel->ends;

    return &ends[end == &ends[0]];
}

/* A bucket that holds half a second: bursts pass, a lasting excess does not. */
static bool take_allowance(struct relay_end *end, size_t bytes, uint64_t now_ms)
{
    int64_t bytes_s = (int64_t)end->tunnel->worker->bytes_s, most = bytes_s / 2;

    end->allowance += (int64_t)(now_ms - end->allowance_ms) * bytes_s / 1000;
    end->allowance_ms = now_ms;
    if (end->allowance > most)
        end->allowance = most;
    if (end->allowance < (int64_t)bytes)
        return false;
    end->allowance -= (int64_t)bytes;
    return true;
}

static void forward(struct relay_end *from, const uint8_t *packet, size_t bytes)
{
    struct relay_worker *worker = from->tunnel->worker;
    struct relay_end *to = other_end(from);
    uint64_t now_ms = uv_now(worker->loop);

    if (!to->pipe.stream) {
        worker->figures.missing++;
        return;
    }
    if (!take_allowance(from, bytes, now_ms)) {
        worker->figures.over_cap++;
        return;
    }
    from->tunnel->active_ms = now_ms;
    worker->figures.packets++;
    worker->figures.bytes += bytes;
    relay_pipe_send(&to->pipe, packet, bytes, now_ms); /* one that fails is told by on_down */
}

/* ---- ends -------------------------------------------------------------------------------------
 */

static void leave(struct relay_worker *worker);

static void on_stream_gone(void *ctx)
{
    leave(ctx);
}

static void drop_end(struct relay_end *end)
{
    struct relay_worker *worker = end->tunnel->worker;

    if (!end->pipe.stream)
        return;
    worker->figures.late += end->pipe.queue.dropped;
    end->pipe.queue.dropped = 0;
    worker->lingering++;
    tls_stream_close_then(end->pipe.stream, on_stream_gone, worker);
    relay_pipe_fini(&end->pipe);
    if (!other_end(end)->pipe.stream)
        atomic_fetch_sub_explicit(worker->tunnel_count, 1, memory_order_relaxed);
}

static void on_data(void *ctx, struct tls_stream *stream, const uint8_t *data, size_t bytes)
{
    struct relay_end *end = ctx;
    uint8_t *packet;
    size_t packet_bytes;
    int got;

    (void)stream;
    while ((got = stream_frames_next(&end->pipe.frames, &data, &bytes, &packet, &packet_bytes)) > 0)
        forward(end, packet, packet_bytes);
    if (got < 0)
        drop_end(end);
}

static void on_down(void *ctx, struct tls_stream *stream, const char *why)
{
    (void)stream;
    (void)why;
    drop_end(ctx);
}

static void on_drain(void *ctx, struct tls_stream *stream)
{
    struct relay_end *end = ctx;

    (void)stream;
    relay_pipe_drain(&end->pipe, uv_now(end->tunnel->worker->loop));
}

static const struct tls_stream_events end_events = {
    .on_data = on_data, .on_down = on_down, .on_drain = on_drain};

static struct relay_tunnel *tunnel_of(struct relay_worker *worker, const uint8_t *id)
{
    struct relay_tunnel *tunnel;

    HASH_FIND(hh, worker->tunnels, id, CANDIDATE_TUNNEL_BYTES, tunnel);
    if (tunnel || !(tunnel = calloc(1, sizeof *tunnel)))
        return tunnel;
    tunnel->worker = worker;
    memcpy(tunnel->id, id, CANDIDATE_TUNNEL_BYTES);
    tunnel->ends[0].tunnel = tunnel->ends[1].tunnel = tunnel;
    HASH_ADD(hh, worker->tunnels, id, CANDIDATE_TUNNEL_BYTES, tunnel);
    return tunnel;
}

void relay_worker_arrive(struct path_letter *letter)
{
    struct relay_arrival *arrival = (struct relay_arrival *)letter;
    struct relay_worker *worker = arrival->worker;
    struct tls_stream *stream = arrival->stream;
    struct relay_tunnel *tunnel = tunnel_of(worker, arrival->tunnel);
    struct relay_end *end = tunnel ? &tunnel->ends[arrival->is_higher] : NULL;
    uint8_t frame[4 + RELAY_FRAME_MAX];

    free(arrival);
    if (!end || tls_stream_resume(stream, worker->loop, &end_events, end) < 0) {
        tls_stream_close(stream); /* detached: gone at once */
        return;
    }
    drop_end(end); /* the newest connection of a node is the one */
    relay_pipe_start(&end->pipe, stream);
    end->allowance = (int64_t)worker->bytes_s / 2;
    end->allowance_ms = tunnel->active_ms = uv_now(worker->loop);
    if (!other_end(end)->pipe.stream)
        atomic_fetch_add_explicit(worker->tunnel_count, 1, memory_order_relaxed);
    tls_stream_send(stream, frame, relay_bound_encode("", frame));
}

/* ---- life -------------------------------------------------------------------------------------
 */

static void end_tunnel(struct relay_tunnel *tunnel)
{
    struct relay_worker *worker = tunnel->worker;
    struct relay_gone *gone = path_letter_new(sizeof *gone, relay_on_gone);

    gone->relay = worker->relay;
    memcpy(gone->tunnel, tunnel->id, sizeof gone->tunnel);
    drop_end(&tunnel->ends[0]);
    drop_end(&tunnel->ends[1]);
    HASH_DEL(worker->tunnels, tunnel);
    free(tunnel);
    path_post_send(worker->to_control, &gone->letter);
}

static void on_sweep(uv_timer_t *timer)
{
    struct relay_worker *worker = timer->data;
    struct relay_tunnel *tunnel, *next;
    uint64_t now_ms = uv_now(timer->loop);

    HASH_ITER(hh, worker->tunnels, tunnel, next)
    {
        if (now_ms >= tunnel->active_ms + worker->idle_ms)
            end_tunnel(tunnel);
    }
}

void relay_worker_start(struct path_letter *letter)
{
    struct relay_worker *worker =
        (struct relay_worker *)((char *)letter - offsetof(struct relay_worker, start));
    const struct overlay_workers *workers = relay_get_settings(worker->relay)->workers;

    worker->loop = workers->loop(workers->ctx, worker->index);
    worker->to_control = path_post_open(worker->loop, workers, PATH_POST_CONTROL);
    uv_timer_init(worker->loop, &worker->sweep);
    worker->sweep.data = worker;
    uv_timer_start(&worker->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
}

static void leave(struct relay_worker *worker)
{
    struct path_post *to_control = worker->to_control;

    if (--worker->lingering > 0 || !worker->is_stopping)
        return;
    worker->stop.run = relay_on_stopped;
    path_post_send(to_control, &worker->stop);
    path_post_close(to_control); /* the worker itself may be gone by now */
}

static void on_timer_closed(uv_handle_t *handle)
{
    leave(handle->data);
}

void relay_worker_stop(struct path_letter *letter)
{
    struct relay_worker *worker =
        (struct relay_worker *)((char *)letter - offsetof(struct relay_worker, stop));
    const struct relay_figures *f = &worker->figures;
    struct relay_tunnel *tunnel, *next;

    worker->is_stopping = true;
    worker->lingering++; /* the timer */
    HASH_ITER(hh, worker->tunnels, tunnel, next)
    end_tunnel(tunnel);
    uv_close((uv_handle_t *)&worker->sweep, on_timer_closed);
    log_debug(LOG_OVERLAY, NULL,
              "worker %d: %llu packets relayed, dropped: %llu over the cap, %llu without another "
              "end, %llu late",
              worker->index, (unsigned long long)f->packets, (unsigned long long)f->over_cap,
              (unsigned long long)f->missing, (unsigned long long)f->late);
}
