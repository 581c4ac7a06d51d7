/* Tunnels: frames from one end to the other. */
#include "overlay/relay_tunnel.h"

#include "overlay/relay_frame.h"
#include "overlay/relay_share.h"

#include "conf/log.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define SWEEP_MS 1000
#define SHARE_MS 100
#define BURST_BYTES 3000

/* ---- forwarding -------------------------------------------------------------------------------
 */

static struct relay_end *other_end(struct relay_end *end)
{
    struct relay_end *ends = end->tunnel->ends;

    return &ends[end == &ends[0]];
}

/* A bucket that holds half a second: bursts pass, a lasting excess does not. When the relay is
 * full, it holds a few packets. */
static bool take_allowance(struct relay_end *end, size_t bytes, uint64_t now_ms)
{
    const struct relay_worker *worker = end->tunnel->worker;
    bool is_full = worker->share_bytes_s < worker->bytes_s;
    int64_t bytes_s = (int64_t)(is_full ? worker->share_bytes_s : worker->bytes_s);
    int64_t most = is_full ? bytes_s / 10 + BURST_BYTES : bytes_s / 2;

    end->allowance += (int64_t)(now_ms - end->allowance_ms) * bytes_s / 1000;
    end->allowance_ms = now_ms;
    if (end->allowance > most)
        end->allowance = most;
    if (end->allowance < (int64_t)bytes)
        return false;
    end->allowance -= (int64_t)bytes;
    return true;
}

void relay_tunnel_forward(struct relay_end *from, const uint8_t *packet, size_t bytes)
{
    struct relay_worker *worker = from->tunnel->worker;
    struct relay_end *to = other_end(from);
    uint64_t now_ms = uv_now(worker->loop);
    bool by_udp = relay_udp_is_preferred(to);

    if (bytes == 0)
        return; /* it would look as if we were leaving */
    from->wanted_bytes += bytes;
    if (!by_udp && bundle_count(&to->bundle) == 0) {
        relay_count(worker, RELAY_MISSING, 1);
        return;
    }
    if (!take_allowance(from, bytes, now_ms)) {
        relay_count(worker, RELAY_OVER_CAP, 1);
        return;
    }
    from->tunnel->active_ms = now_ms;
    relay_count(worker, RELAY_PACKETS, 1);
    relay_count(worker, RELAY_BYTES, bytes);
    if (by_udp)
        relay_udp_send(to, packet, bytes);
    else
        bundle_send(&to->bundle, packet, bytes); /* one that fails is told by on_lost */
}

/* ---- shares -----------------------------------------------------------------------------------
 */

/* This worker's part of what the relay may carry: as its busy ends are of all. */
static uint64_t capacity_of(const struct relay_worker *worker)
{
    const struct relay_settings *settings = relay_get_settings(worker->relay);
    uint64_t all = relay_busy_ends(worker->relay),
             own = atomic_load_explicit(&worker->busy_ends, memory_order_relaxed);

    return (uint64_t)settings->relay_kbit_s * 1000 / 8 * (own ? own : 1) / (all ? all : 1);
}

static void on_share(uv_timer_t *timer)
{
    struct relay_worker *worker = timer->data;
    size_t count = 0, ends = 2 * (size_t)HASH_COUNT(worker->tunnels);
    uint64_t *wanted = malloc((ends + 1) * sizeof *wanted);
    struct relay_tunnel *tunnel, *next;

    if (!wanted)
        return; /* the shares stay as they are */
    HASH_ITER(hh, worker->tunnels, tunnel, next)
    {
        for (int i = 0; i < 2; i++) {
            uint64_t bytes_s = tunnel->ends[i].wanted_bytes * 1000 / SHARE_MS;

            tunnel->ends[i].wanted_bytes = 0;
            if (bytes_s > 0)
                wanted[count++] = bytes_s < worker->bytes_s ? bytes_s : worker->bytes_s;
        }
    }
    atomic_store_explicit(&worker->busy_ends, (unsigned)count, memory_order_relaxed);
    worker->share_bytes_s = relay_share(wanted, count, capacity_of(worker));
    free(wanted);
}

/* ---- ends -------------------------------------------------------------------------------------
 */

static void leave(struct relay_worker *worker);

static void on_stream_gone(void *ctx)
{
    leave(ctx);
}

static void count_late(struct relay_end *end)
{
    relay_count(end->tunnel->worker, RELAY_LATE, end->bundle.queue.dropped);
    end->bundle.queue.dropped = 0;
}

/* The end loses its connections, or has none any more. */
static void end_is_gone(struct relay_end *end)
{
    struct relay_worker *worker = end->tunnel->worker;

    count_late(end);
    bundle_fini(&end->bundle);
    if (bundle_count(&other_end(end)->bundle) == 0)
        atomic_fetch_sub_explicit(worker->tunnel_count, 1, memory_order_relaxed);
}

static void drop_end(struct relay_end *end)
{
    if (bundle_count(&end->bundle) > 0)
        end_is_gone(end);
}

static void on_packet(void *ctx, uint8_t *packet, size_t bytes)
{
    struct relay_end *end = ctx;

    end->channel.is_preferred = false;
    relay_tunnel_forward(end, packet, bytes);
}

static void on_lost(void *ctx, const char *why)
{
    struct relay_end *end = ctx;

    (void)why;
    if (bundle_count(&end->bundle) == 0)
        end_is_gone(end);
}

static const struct bundle_events end_events = {.on_packet = on_packet, .on_lost = on_lost};

static void init_end(struct relay_end *end, struct relay_tunnel *tunnel)
{
    struct relay_worker *worker = tunnel->worker;
    struct bundle_host host = {worker->loop, &worker->lingering, on_stream_gone, worker};

    end->tunnel = tunnel;
    bundle_init(&end->bundle, &host, &end_events, end);
}

static struct relay_tunnel *tunnel_of(struct relay_worker *worker, const uint8_t *id)
{
    struct relay_tunnel *tunnel;

    HASH_FIND(hh, worker->tunnels, id, CANDIDATE_TUNNEL_BYTES, tunnel);
    if (tunnel)
        return tunnel;
    if (!(tunnel = calloc(1, sizeof *tunnel)))
        abort(); /* as in path_letter_new: it was admitted */
    tunnel->worker = worker;
    memcpy(tunnel->id, id, CANDIDATE_TUNNEL_BYTES);
    init_end(&tunnel->ends[0], tunnel);
    init_end(&tunnel->ends[1], tunnel);
    HASH_ADD(hh, worker->tunnels, id, CANDIDATE_TUNNEL_BYTES, tunnel);
    return tunnel;
}

static void fill_bound(struct relay_worker *worker, struct relay_end *end,
                       struct relay_bound *bound)
{
    const struct relay_settings *settings = relay_get_settings(worker->relay);

    *bound = (struct relay_bound){.load = relay_load(worker->relay)};
    relay_udp_open(worker, end);
    if (!end->channel.number)
        return;
    bound->udp_port = udp_port_number(settings->udp_port);
    bound->channel = end->channel.number;
    memcpy(bound->key, end->channel.key, sizeof bound->key);
}

void relay_worker_arrive(struct path_letter *letter)
{
    struct relay_arrival *arrival = (struct relay_arrival *)letter;
    struct relay_worker *worker = arrival->worker;
    struct tls_stream *stream = arrival->stream;
    struct relay_tunnel *tunnel = tunnel_of(worker, arrival->tunnel);
    struct relay_end *end = &tunnel->ends[arrival->is_higher];
    uint8_t frame[BIND_LENGTH_BYTES + BIND_FRAME_MAX];
    struct relay_bound bound;

    memcpy(end->serial, arrival->serial, sizeof end->serial);
    free(arrival);
    fill_bound(worker, end, &bound);
    tunnel->connections++;
    bool was_missing = bundle_count(&end->bundle) == 0;
    bool is_first = was_missing && bundle_count(&other_end(end)->bundle) == 0;
    if (is_first)
        atomic_fetch_add_explicit(worker->tunnel_count, 1, memory_order_relaxed);
    if (bundle_resume(&end->bundle, stream, frame, relay_bound_encode(&bound, frame)) < 0) {
        if (is_first)
            atomic_fetch_sub_explicit(worker->tunnel_count, 1, memory_order_relaxed);
        return;
    }
    tunnel->active_ms = uv_now(worker->loop);
    if (was_missing) {
        end->allowance = (int64_t)worker->bytes_s / 2;
        end->allowance_ms = tunnel->active_ms;
    }
}

/* ---- life -------------------------------------------------------------------------------------
 */

static void end_tunnel(struct relay_tunnel *tunnel)
{
    struct relay_worker *worker = tunnel->worker;
    struct relay_gone *gone = path_letter_new(sizeof *gone, relay_on_gone);

    gone->relay = worker->relay;
    memcpy(gone->tunnel, tunnel->id, sizeof gone->tunnel);
    gone->connections = tunnel->connections;
    for (int i = 0; i < 2; i++) {
        drop_end(&tunnel->ends[i]);
        relay_udp_close(worker, &tunnel->ends[i]);
    }
    HASH_DEL(worker->tunnels, tunnel);
    free(tunnel);
    path_post_send(worker->to_control, &gone->letter);
}

void relay_worker_revoke(struct path_letter *letter)
{
    struct relay_worker *worker = ((struct relay_revoked *)letter)->worker;
    const struct identity *identity = relay_get_settings(worker->relay)->identity;
    bool are_we = identity_is_revoked(identity, identity_certificate(identity)->serial);
    struct relay_tunnel *tunnel, *next;

    free(letter);
    HASH_ITER(hh, worker->tunnels, tunnel, next)
    {
        if (are_we || identity_is_revoked(identity, tunnel->ends[0].serial) ||
            identity_is_revoked(identity, tunnel->ends[1].serial))
            end_tunnel(tunnel);
    }
}

static void on_sweep(uv_timer_t *timer)
{
    struct relay_worker *worker = timer->data;
    struct relay_tunnel *tunnel, *next;
    uint64_t now_ms = uv_now(timer->loop);

    HASH_ITER(hh, worker->tunnels, tunnel, next)
    {
        count_late(&tunnel->ends[0]);
        count_late(&tunnel->ends[1]);
        if (now_ms >= tunnel->active_ms + worker->idle_ms)
            end_tunnel(tunnel);
    }
}

void relay_worker_start(struct path_letter *letter)
{
    struct relay_worker *worker =
        (struct relay_worker *)((char *)letter - offsetof(struct relay_worker, start));
    const struct relay_settings *settings = relay_get_settings(worker->relay);
    const struct overlay_workers *workers = settings->workers;

    worker->loop = workers->loop(workers->ctx, worker->index);
    worker->to_control = path_post_open(worker->loop, workers, PATH_POST_CONTROL);
    uv_timer_init(worker->loop, &worker->sweep);
    worker->sweep.data = worker;
    uv_timer_start(&worker->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    uv_timer_init(worker->loop, &worker->share);
    worker->share.data = worker;
    worker->share_bytes_s = UINT64_MAX;
    if (settings->relay_kbit_s > 0)
        uv_timer_start(&worker->share, on_share, SHARE_MS, SHARE_MS);
    if (settings->udp_port)
        udp_port_handle(settings->udp_port, worker->index, relay_udp_receive, worker);
}

/* An empty packet says it. An end that has no connection learns of it as of any failure. */
void relay_worker_leave(struct path_letter *letter)
{
    struct relay_worker *worker =
        (struct relay_worker *)((char *)letter - offsetof(struct relay_worker, leave));
    struct relay_tunnel *tunnel, *next;

    HASH_ITER(hh, worker->tunnels, tunnel, next)
    {
        for (int i = 0; i < 2; i++)
            bundle_send(&tunnel->ends[i].bundle, (const uint8_t *)"", 0);
    }
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
    struct udp_port *udp_port = relay_get_settings(worker->relay)->udp_port;
    struct relay_tunnel *tunnel, *next;

    worker->is_stopping = true;
    worker->lingering += 2; /* the timers */
    if (udp_port)
        udp_port_handle(udp_port, worker->index, NULL, NULL);
    HASH_ITER(hh, worker->tunnels, tunnel, next)
    end_tunnel(tunnel);
    uv_close((uv_handle_t *)&worker->sweep, on_timer_closed);
    uv_close((uv_handle_t *)&worker->share, on_timer_closed);
}
