/* Connections that have not said yet what they want. */
#include "overlay/bind_wait.h"

#include "overlay/tls.h"

#include "conf/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define TIMEOUT_MS 5000
#define WAITS_MAX 512
#define WAITS_PER_NODE_MAX 16 /* so that one node cannot keep the others out */
#define SWEEP_MS 1000

struct bind_wait {
    struct bind_waits *waits;
    struct tls_stream *stream;
    struct certificate peer;
    struct bind_first first;
    const uint8_t *rest; /* what came behind the frame, while it is handled */
    size_t rest_bytes;
    uint64_t since_ms;
    TAILQ_ENTRY(bind_wait) next;
};

struct bind_waits {
    struct bind_waits_settings settings;
    TAILQ_HEAD(, bind_wait) list; /* oldest first */
    unsigned count;
    uv_timer_t sweep;
    struct log_limit complaint;
    unsigned open; /* streams that are not gone, and one until it is closed */
    bool is_closing;
    void (*on_closed)(void *ctx);
    void *on_closed_ctx;
};

static void let_go(void *ctx)
{
    struct bind_waits *waits = ctx;

    if (--waits->open > 0)
        return;
    void (*on_closed)(void *) = waits->on_closed;
    void *closed_ctx = waits->on_closed_ctx;
    free(waits);
    on_closed(closed_ctx);
}

static void forget(struct bind_wait *wait)
{
    TAILQ_REMOVE(&wait->waits->list, wait, next);
    wait->waits->count--;
    free(wait);
}

static void drop(struct bind_wait *wait)
{
    wait->waits->open++;
    tls_stream_close_then(wait->stream, let_go, wait->waits);
    forget(wait);
}

const struct certificate *bind_wait_peer(const struct bind_wait *wait)
{
    return &wait->peer;
}

void bind_wait_refuse(struct bind_wait *wait, const char *why)
{
    struct bind_waits *waits = wait->waits;
    uint8_t frame[BIND_LENGTH_BYTES + BIND_FRAME_MAX];
    uint64_t count;

    if (log_limit(&waits->complaint, uv_now(waits->settings.loop), &count))
        log_info(LOG_OVERLAY, NULL, "%s: %s is refused: %s (%llu like it)", waits->settings.what,
                 wait->peer.site, why, (unsigned long long)count);
    tls_stream_send(wait->stream, frame, waits->settings.refusal(why, frame));
    drop(wait);
}

struct tls_stream *bind_wait_take(struct bind_wait *wait)
{
    struct tls_stream *stream = wait->stream;

    if (tls_stream_unread(stream, wait->rest, wait->rest_bytes) < 0 ||
        tls_stream_detach(stream) < 0) {
        bind_wait_refuse(wait, "out of memory");
        return NULL;
    }
    forget(wait);
    return stream;
}

static void on_data(void *ctx, struct tls_stream *stream, const uint8_t *data, size_t bytes)
{
    struct bind_wait *wait = ctx;
    const struct bind_waits_settings *settings = &wait->waits->settings;
    const uint8_t *frame;
    size_t frame_bytes;
    int got = bind_first_take(&wait->first, &data, &bytes, &frame, &frame_bytes);

    (void)stream;
    if (got == 0)
        return;
    if (got < 0) {
        bind_wait_refuse(wait, "malformed");
        return;
    }
    wait->rest = data;
    wait->rest_bytes = bytes;
    settings->on_frame(settings->ctx, wait, frame, frame_bytes);
}

static void on_down(void *ctx, struct tls_stream *stream, const char *why)
{
    (void)stream;
    (void)why;
    drop(ctx);
}

static const struct tls_stream_events events = {.on_data = on_data, .on_down = on_down};

static bool has_room(const struct bind_waits *waits, const struct certificate *peer)
{
    const struct bind_wait *wait;
    unsigned same = 0;

    if (waits->is_closing || waits->count >= WAITS_MAX)
        return false;
    TAILQ_FOREACH(wait, &waits->list, next)
    same += memcmp(wait->peer.node, peer->node, sizeof peer->node) == 0;
    return same < WAITS_PER_NODE_MAX;
}

void bind_waits_add(struct bind_waits *waits, struct tls_stream *stream,
                    const struct certificate *peer)
{
    struct bind_wait *wait = has_room(waits, peer) ? calloc(1, sizeof *wait) : NULL;

    if (!wait) {
        tls_stream_close(stream);
        return;
    }
    wait->waits = waits;
    wait->stream = stream;
    wait->peer = *peer;
    wait->since_ms = uv_now(waits->settings.loop);
    TAILQ_INSERT_TAIL(&waits->list, wait, next);
    waits->count++;
    tls_stream_hand(stream, &events, wait);
}

static void on_sweep(uv_timer_t *timer)
{
    struct bind_waits *waits = timer->data;
    struct bind_wait *oldest;

    while ((oldest = TAILQ_FIRST(&waits->list)) &&
           uv_now(timer->loop) >= oldest->since_ms + TIMEOUT_MS)
        bind_wait_refuse(oldest, "it does not say what it wants");
}

int bind_waits_open(const struct bind_waits_settings *settings, struct bind_waits **out)
{
    struct bind_waits *waits = calloc(1, sizeof *waits);

    if (!waits)
        return -ENOMEM;
    waits->settings = *settings;
    waits->open = 1;
    TAILQ_INIT(&waits->list);
    uv_timer_init(settings->loop, &waits->sweep);
    waits->sweep.data = waits;
    uv_timer_start(&waits->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    *out = waits;
    return 0;
}

static void on_sweep_closed(uv_handle_t *handle)
{
    let_go(handle->data);
}

void bind_waits_close(struct bind_waits *waits, void (*on_closed)(void *ctx), void *ctx)
{
    waits->is_closing = true;
    waits->on_closed = on_closed;
    waits->on_closed_ctx = ctx;
    while (!TAILQ_EMPTY(&waits->list))
        drop(TAILQ_FIRST(&waits->list));
    uv_close((uv_handle_t *)&waits->sweep, on_sweep_closed);
}
