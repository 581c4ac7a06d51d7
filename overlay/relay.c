/* The relay on the control thread: who may bind, and to which worker the connection goes. */
#include "overlay/relay.h"

#include "overlay/relay_frame.h"
#include "overlay/relay_tunnel.h"

#include "conf/log.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define BIND_TIMEOUT_MS 5000
#define PENDING_MAX 512
#define SWEEP_MS 1000
#define TUNNEL_KBIT_S 2000
#define IDLE_S 60

/* A connection whose RelayBind has not come yet. */
struct pending {
    struct relay *relay;
    struct tls_stream *stream;
    uint8_t node[OVERLAY_NODE_ID_BYTES];
    char site[OVERLAY_NAME_MAX];
    struct relay_first first;
    uint64_t since_ms;
    TAILQ_ENTRY(pending) next;
};

struct relay {
    struct relay_settings settings;
    struct relay_worker *workers;
    int worker_count;
    TAILQ_HEAD(, pending) pending;
    unsigned pending_count;
    uv_timer_t sweep;
    atomic_uint tunnel_count;
    struct log_limit complaint;
    int open; /* workers, handles and streams that are not closed yet; when closing */
    bool is_closing;
    void (*on_closed)(void *ctx);
    void *on_closed_ctx;
};

const struct relay_settings *relay_get_settings(const struct relay *relay)
{
    return &relay->settings;
}

unsigned relay_tunnel_count(const struct relay *relay)
{
    return atomic_load_explicit(&relay->tunnel_count, memory_order_relaxed);
}

static void let_go(void *ctx)
{
    struct relay *relay = ctx;

    if (--relay->open > 0)
        return;
    void (*on_closed)(void *) = relay->on_closed;
    void *closed_ctx = relay->on_closed_ctx;
    free(relay->workers);
    free(relay);
    if (on_closed)
        on_closed(closed_ctx);
}

/* ---- binding ----------------------------------------------------------------------------------
 */

static void forget(struct pending *pending)
{
    TAILQ_REMOVE(&pending->relay->pending, pending, next);
    pending->relay->pending_count--;
    free(pending);
}

static void refuse(struct pending *pending, const char *why)
{
    struct relay *relay = pending->relay;
    uint8_t frame[4 + RELAY_FRAME_MAX];
    uint64_t count;

    if (log_limit(&relay->complaint, uv_now(relay->settings.loop), &count))
        log_info(LOG_OVERLAY, NULL, "relay: %s is refused: %s (%llu like it)", pending->site, why,
                 (unsigned long long)count);
    tls_stream_send(pending->stream, frame, relay_bound_encode(why, frame));
    relay->open++;
    tls_stream_close_then(pending->stream, let_go, relay);
    forget(pending);
}

/* Both ends of a tunnel must land on one worker; the id is random. */
static struct relay_worker *worker_of(struct relay *relay, const uint8_t *tunnel)
{
    uint32_t number;

    memcpy(&number, tunnel, sizeof number);
    return &relay->workers[number % (uint32_t)relay->worker_count];
}

static void move(struct pending *pending, const uint8_t *tunnel, bool is_higher)
{
    struct relay *relay = pending->relay;
    struct relay_arrival *arrival = path_letter_new(sizeof *arrival, relay_worker_arrive);

    arrival->worker = worker_of(relay, tunnel);
    arrival->stream = pending->stream;
    memcpy(arrival->tunnel, tunnel, sizeof arrival->tunnel);
    arrival->is_higher = is_higher;
    forget(pending);
    path_post_send(arrival->worker->to_worker, &arrival->letter);
}

static void on_data(void *ctx, struct tls_stream *stream, const uint8_t *data, size_t bytes)
{
    struct pending *pending = ctx;
    const struct relay_settings *settings = &pending->relay->settings;
    uint8_t tunnel[CANDIDATE_TUNNEL_BYTES], peer[OVERLAY_NODE_ID_BYTES];
    const uint8_t *frame;
    size_t frame_bytes;
    int got = relay_first_take(&pending->first, &data, &bytes, &frame, &frame_bytes);

    if (got == 0)
        return;
    if (got < 0 || relay_bind_decode(frame, frame_bytes, tunnel) < 0) {
        refuse(pending, "malformed");
        return;
    }
    if (settings->reservation(settings->ctx, tunnel, pending->node, peer) < 0) {
        refuse(pending, "no such tunnel");
        return;
    }
    if (tls_stream_unread(stream, data, bytes) < 0 || tls_stream_detach(stream) < 0) {
        refuse(pending, "out of memory");
        return;
    }
    move(pending, tunnel, memcmp(pending->node, peer, sizeof peer) > 0);
}

static void drop(struct pending *pending)
{
    pending->relay->open++;
    tls_stream_close_then(pending->stream, let_go, pending->relay);
    forget(pending);
}

static void on_down(void *ctx, struct tls_stream *stream, const char *why)
{
    (void)stream;
    (void)why;
    drop(ctx);
}

static const struct tls_stream_events pending_events = {.on_data = on_data, .on_down = on_down};

void relay_take(struct relay *relay, struct tls_stream *stream, const struct certificate *peer)
{
    struct pending *pending = NULL;

    if (!relay->is_closing && relay->pending_count < PENDING_MAX)
        pending = calloc(1, sizeof *pending);
    if (!pending) {
        tls_stream_close(stream);
        return;
    }
    pending->relay = relay;
    pending->stream = stream;
    memcpy(pending->node, peer->node, sizeof pending->node);
    memcpy(pending->site, peer->site, sizeof pending->site);
    pending->since_ms = uv_now(relay->settings.loop);
    TAILQ_INSERT_TAIL(&relay->pending, pending, next);
    relay->pending_count++;
    tls_stream_hand(stream, &pending_events, pending);
}

static void on_sweep(uv_timer_t *timer)
{
    struct relay *relay = timer->data;
    struct pending *oldest;

    while ((oldest = TAILQ_FIRST(&relay->pending)) &&
           uv_now(timer->loop) >= oldest->since_ms + BIND_TIMEOUT_MS)
        refuse(oldest, "no RelayBind came");
}

/* ---- life -------------------------------------------------------------------------------------
 */

static void start_worker(struct relay *relay, int index)
{
    const struct relay_settings *settings = &relay->settings;
    struct relay_worker *worker = &relay->workers[index];
    unsigned kbit_s = settings->tunnel_kbit_s ? settings->tunnel_kbit_s : TUNNEL_KBIT_S;

    worker->relay = relay;
    worker->index = index;
    worker->bytes_s = (uint64_t)kbit_s * 1000 / 8;
    worker->idle_ms = (settings->idle_s ? settings->idle_s : IDLE_S) * UINT64_C(1000);
    worker->tunnel_count = &relay->tunnel_count;
    worker->to_worker = path_post_open(settings->loop, settings->workers, index);
    worker->start.run = relay_worker_start;
    path_post_send(worker->to_worker, &worker->start);
}

int relay_open(const struct relay_settings *settings, struct relay **out)
{
    int count = settings->workers->count(settings->workers->ctx);
    struct relay *relay = calloc(1, sizeof *relay);

    if (!relay || !(relay->workers = calloc((size_t)count, sizeof *relay->workers))) {
        free(relay);
        return -ENOMEM;
    }
    relay->settings = *settings;
    relay->worker_count = count;
    relay->open = 1; /* until it is closed */
    TAILQ_INIT(&relay->pending);
    for (int i = 0; i < count; i++)
        start_worker(relay, i);
    uv_timer_init(settings->loop, &relay->sweep);
    relay->sweep.data = relay;
    uv_timer_start(&relay->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    *out = relay;
    return 0;
}

void relay_on_gone(struct path_letter *letter)
{
    struct relay_gone *gone = (struct relay_gone *)letter;
    const struct relay_settings *settings = &gone->relay->settings;

    if (settings->ended)
        settings->ended(settings->ctx, gone->tunnel);
    free(gone);
}

void relay_on_stopped(struct path_letter *letter)
{
    struct relay_worker *worker =
        (struct relay_worker *)((char *)letter - offsetof(struct relay_worker, stop));

    let_go(worker->relay);
}

static void on_sweep_closed(uv_handle_t *handle)
{
    let_go(handle->data);
}

void relay_close(struct relay *relay, void (*on_closed)(void *ctx), void *ctx)
{
    relay->is_closing = true;
    relay->on_closed = on_closed;
    relay->on_closed_ctx = ctx;
    while (!TAILQ_EMPTY(&relay->pending))
        drop(TAILQ_FIRST(&relay->pending));
    relay->open += relay->worker_count + 1;
    for (int i = 0; i < relay->worker_count; i++) {
        struct relay_worker *worker = &relay->workers[i];
        worker->stop.run = relay_worker_stop;
        path_post_send(worker->to_worker, &worker->stop);
        path_post_close(worker->to_worker);
    }
    uv_close((uv_handle_t *)&relay->sweep, on_sweep_closed);
    let_go(relay);
}
