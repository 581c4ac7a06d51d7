/* Packets over two parallel TLS connections. */
#include "overlay/bundle.h"

#include <errno.h>
#include <string.h>

/* Unsent bytes in the kernel: the packet on its way and no other. What is in flight is not counted,
 * so this is no limit for a connection that moves. */
#define UNSENT_BYTES 1
/* Packets sent within so short a time share a mark. */
#define MARK_MS 4
/* What is acknowledged later than this is not just far away. */
#define SLOW_MS 500
/* How long one that was replaced still listens: longer than any round trip. */
#define LEAVE_MS 1000

/* ---- how far behind ---------------------------------------------------------------------------
 */

static void forget_acknowledged(struct bundle_stream *one, uint64_t acknowledged)
{
    while (one->mark_count > 0 && one->marks[one->first_mark].bytes <= acknowledged) {
        one->first_mark = (one->first_mark + 1) % BUNDLE_MARKS;
        one->mark_count--;
    }
}

/* For how long the oldest byte that was sent has not been acknowledged; 0: all are. */
static uint64_t behind_ms(struct bundle_stream *one, uint64_t now_ms)
{
    if (one->mark_count == 0)
        return 0;
    if (now_ms != one->asked_ms) /* which costs a system call */
        forget_acknowledged(one, tls_stream_acknowledged(one->stream));
    one->asked_ms = now_ms;
    return one->mark_count > 0 ? now_ms - one->marks[one->first_mark].sent_ms : 0;
}

static void note_sent(struct bundle_stream *one, uint64_t now_ms)
{
    unsigned last = (one->first_mark + one->mark_count - 1) % BUNDLE_MARKS;
    uint64_t bytes = tls_stream_sent(one->stream);

    if (one->mark_count > 0 &&
        (one->mark_count == BUNDLE_MARKS || now_ms < one->marks[last].sent_ms + MARK_MS)) {
        one->marks[last].bytes = bytes;
        return;
    }
    last = (one->first_mark + one->mark_count++) % BUNDLE_MARKS;
    one->marks[last] = (struct bundle_mark){bytes, now_ms};
}

static bool is_active(const struct bundle_stream *one)
{
    return one->stream && !one->is_leaving;
}

unsigned bundle_count(const struct bundle *bundle)
{
    unsigned count = 0;

    for (int i = 0; i < BUNDLE_PLACES; i++)
        count += is_active(&bundle->streams[i]);
    return count;
}

/* The connection for the next packet; they take turns when none is more behind than another. NULL:
 * the kernel takes no more on any. `but` is not asked. */
static struct bundle_stream *choose(struct bundle *bundle, const struct bundle_stream *but,
                                    uint64_t now_ms)
{
    struct bundle_stream *best = NULL;
    uint64_t best_ms = 0;

    for (unsigned i = 1; i <= BUNDLE_PLACES; i++) {
        struct bundle_stream *one = &bundle->streams[(bundle->last + i) % BUNDLE_PLACES];
        if (one == but || !is_active(one) || tls_stream_is_stalled(one->stream))
            continue;
        uint64_t ms = behind_ms(one, now_ms);
        if (!best || ms < best_ms) {
            best = one;
            best_ms = ms;
        }
    }
    return best;
}

/* ---- what goes out ----------------------------------------------------------------------------
 */

static int send_frame(struct bundle_stream *one, const uint8_t *frame, size_t bytes,
                      uint64_t now_ms)
{
    int err = tls_stream_send(one->stream, frame, bytes);

    one->bundle->last = (unsigned)(one - one->bundle->streams);
    if (err == 0)
        note_sent(one, now_ms);
    return err;
}

static void drain(struct bundle *bundle)
{
    uint64_t now_ms = uv_now(bundle->host.loop);
    struct bundle_stream *one;
    const uint8_t *frame;
    size_t bytes;

    while (!stream_queue_is_empty(&bundle->queue) && (one = choose(bundle, NULL, now_ms)) &&
           (frame = stream_queue_peek(&bundle->queue, now_ms, &bytes))) {
        send_frame(one, frame, bytes, now_ms); /* one that fails is told by on_down */
        stream_queue_pop(&bundle->queue);
    }
}

int bundle_send(struct bundle *bundle, const uint8_t *packet, size_t bytes)
{
    uint8_t frame[STREAM_LENGTH_BYTES + STREAM_PACKET_MAX];
    uint64_t now_ms = uv_now(bundle->host.loop);
    struct bundle_stream *one;

    if (bytes > STREAM_PACKET_MAX)
        return -EMSGSIZE;
    if (bundle_count(bundle) == 0)
        return -ENOTCONN;
    if (!(one = choose(bundle, NULL, now_ms)))
        return stream_queue_put(&bundle->queue, packet, bytes, now_ms);
    bool is_doubled = bundle_double_is_wanted(bundle, now_ms);
    stream_frame_length(frame, bytes);
    memcpy(frame + STREAM_LENGTH_BYTES, packet, bytes);
    struct bundle_stream *second = is_doubled ? choose(bundle, one, now_ms) : NULL;
    if (second)
        send_frame(second, frame, STREAM_LENGTH_BYTES + bytes, now_ms);
    return send_frame(one, frame, STREAM_LENGTH_BYTES + bytes, now_ms);
}

/* ---- connections ------------------------------------------------------------------------------
 */

static void drop(struct bundle_stream *one)
{
    const struct bundle_host *host = &one->bundle->host;

    if (!one->stream)
        return;
    (*host->lingering)++;
    tls_stream_close_then(one->stream, host->on_gone, host->ctx);
    one->stream = NULL;
    one->is_leaving = false;
    one->frames.have = 0;
    one->mark_count = 0;
}

/* The newest of those that are leaving. Both sides may have seen two connections begin in another
 * order, and then the other side has kept this one. */
static struct bundle_stream *newest_leaving(struct bundle *bundle)
{
    struct bundle_stream *newest = NULL;

    for (int i = 0; i < BUNDLE_PLACES; i++) {
        struct bundle_stream *one = &bundle->streams[i];
        if (one->is_leaving && (!newest || one->number > newest->number))
            newest = one;
    }
    return newest;
}

static void lose(struct bundle_stream *one, const char *why)
{
    struct bundle *bundle = one->bundle;
    bool was_active = is_active(one);

    drop(one);
    if (!was_active)
        return;
    struct bundle_stream *other = newest_leaving(bundle);
    if (other)
        other->is_leaving = false;
    bundle->events->on_lost(bundle->ctx, why);
}

static void take(struct bundle_stream *one, const uint8_t *data, size_t bytes)
{
    struct bundle *bundle = one->bundle;
    uint8_t *packet;
    size_t packet_bytes;
    int got;

    while ((got = stream_frames_next(&one->frames, &data, &bytes, &packet, &packet_bytes)) > 0)
        if (!bundle_double_is_seen(one, packet, packet_bytes))
            bundle->events->on_packet(bundle->ctx, packet, packet_bytes);
    if (got < 0)
        lose(one, "it sent a frame that is too long");
}

static void on_data(void *ctx, struct tls_stream *stream, const uint8_t *data, size_t bytes)
{
    (void)stream;
    take(ctx, data, bytes);
}

static void on_down(void *ctx, struct tls_stream *stream, const char *why)
{
    (void)stream;
    lose(ctx, why);
}

static void on_drain(void *ctx, struct tls_stream *stream)
{
    (void)stream;
    drain(((struct bundle_stream *)ctx)->bundle);
}

static const struct tls_stream_events stream_events = {
    .on_data = on_data, .on_down = on_down, .on_drain = on_drain};

/* Of those that packets may take: the one which seems to be dead, else the oldest. */
static struct bundle_stream *find_worst(struct bundle *bundle, uint64_t now_ms, bool *is_dead)
{
    struct bundle_stream *worst = NULL;
    uint64_t worst_ms = 0;

    for (int i = 0; i < BUNDLE_PLACES; i++) {
        struct bundle_stream *one = &bundle->streams[i];
        if (!is_active(one))
            continue;
        uint64_t ms = behind_ms(one, now_ms);
        if (ms < SLOW_MS)
            ms = 0;
        if (!worst || ms > worst_ms || (ms == worst_ms && one->number < worst->number)) {
            worst = one;
            worst_ms = ms;
        }
    }
    *is_dead = worst_ms > 0;
    return worst;
}

static struct bundle_stream *make_place(struct bundle *bundle)
{
    uint64_t now_ms = uv_now(bundle->host.loop);
    struct bundle_stream *oldest = NULL;
    bool is_dead;

    if (bundle_count(bundle) == BUNDLE_STREAMS) {
        struct bundle_stream *worst = find_worst(bundle, now_ms, &is_dead);
        worst->is_leaving = true;
        worst->leave_ms = now_ms + LEAVE_MS;
        if (is_dead)
            drop(worst);
    }
    for (int i = 0; i < BUNDLE_PLACES; i++) {
        struct bundle_stream *one = &bundle->streams[i];
        if (!one->stream)
            return one;
        if (one->is_leaving && (!oldest || one->number < oldest->number))
            oldest = one;
    }
    drop(oldest);
    return oldest;
}

static void place(struct bundle_stream *one, struct tls_stream *stream)
{
    one->stream = stream;
    one->number = one->bundle->next_number++;
    tls_stream_limit_unsent(stream, UNSENT_BYTES);
    tls_stream_line(stream, &one->line);
    one->least_round_trip_us = one->line.round_trip_us;
}

void bundle_add(struct bundle *bundle, struct tls_stream *stream)
{
    struct bundle_stream *one = make_place(bundle);

    place(one, stream);
    tls_stream_hand(stream, &stream_events, one);
    drain(bundle);
}

void bundle_take(struct bundle *bundle, const struct tls_stream *stream, const uint8_t *data,
                 size_t bytes)
{
    for (int i = 0; i < BUNDLE_PLACES; i++)
        if (bundle->streams[i].stream == stream) {
            take(&bundle->streams[i], data, bytes);
            return;
        }
}

int bundle_resume(struct bundle *bundle, struct tls_stream *stream, const uint8_t *hello,
                  size_t hello_bytes)
{
    struct bundle_stream *one = make_place(bundle);
    int err = tls_stream_resume(stream, bundle->host.loop, &stream_events, one);

    if (err < 0) {
        tls_stream_close(stream); /* detached: gone at once */
        return err;
    }
    place(one, stream);
    tls_stream_send(stream, hello, hello_bytes);
    drain(bundle);
    return 0;
}

void bundle_drop_behind(struct bundle *bundle, uint64_t limit_ms)
{
    uint64_t now_ms = uv_now(bundle->host.loop);

    for (int i = 0; i < BUNDLE_PLACES; i++) {
        struct bundle_stream *one = &bundle->streams[i];
        if (is_active(one) && bundle_count(bundle) > 1 && behind_ms(one, now_ms) >= limit_ms)
            drop(one);
    }
}

uint64_t bundle_reap(struct bundle *bundle, uint64_t now_ms)
{
    uint64_t next_ms = UINT64_MAX;

    for (int i = 0; i < BUNDLE_PLACES; i++) {
        struct bundle_stream *one = &bundle->streams[i];
        if (!one->is_leaving)
            continue;
        if (now_ms >= one->leave_ms)
            drop(one);
        else if (one->leave_ms < next_ms)
            next_ms = one->leave_ms;
    }
    return next_ms;
}

/* ---- life -------------------------------------------------------------------------------------
 */

void bundle_init(struct bundle *bundle, const struct bundle_host *host,
                 const struct bundle_events *events, void *ctx)
{
    memset(bundle, 0, sizeof *bundle);
    bundle->host = *host;
    bundle->events = events;
    bundle->ctx = ctx;
    for (int i = 0; i < BUNDLE_PLACES; i++)
        bundle->streams[i].bundle = bundle;
}

void bundle_fini(struct bundle *bundle)
{
    for (int i = 0; i < BUNDLE_PLACES; i++)
        drop(&bundle->streams[i]);
    stream_queue_fini(&bundle->queue);
}
