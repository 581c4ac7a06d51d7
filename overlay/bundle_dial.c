/* Dialling the connections of a bundle. */
#include "overlay/bundle_dial.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define DIAL_TIMEOUT_MS 10000
#define BIND_TIMEOUT_MS 5000
#define BACKOFF_MIN_MS 500
#define BACKOFF_MAX_MS 16000
#define BACKOFF_DOUBLINGS 5
#define DOUBT_MS 1000
#define LOST_WAIT_MS 50
#define STABLE_MS 2000
/* When a fresh one is bound: those that have got nothing through for so long are given up. */
#define BEHIND_MS 500

static void drop(struct bundle_attempt *attempt)
{
    const struct bundle_host *host = &attempt->dial->bundle->host;

    if (!attempt->stream)
        return;
    (*host->lingering)++;
    tls_stream_close_then(attempt->stream, host->on_gone, host->ctx);
    attempt->stream = NULL;
}

static unsigned under_way(const struct bundle_dial *dial)
{
    unsigned count = 0;

    for (int i = 0; i < BUNDLE_STREAMS; i++)
        count += dial->attempts[i].stream != NULL;
    return count;
}

static void wait_a_while(struct bundle_dial *dial, uint64_t now_ms)
{
    uint64_t wait_ms = (uint64_t)BACKOFF_MIN_MS
                       << (dial->failures < BACKOFF_DOUBLINGS ? dial->failures : BACKOFF_DOUBLINGS);

    if (wait_ms > BACKOFF_MAX_MS)
        wait_ms = BACKOFF_MAX_MS;
    dial->next_ms = now_ms + wait_ms / 2 + randombytes_uniform((uint32_t)wait_ms / 2);
}

static void fail(struct bundle_attempt *attempt, const char *why)
{
    struct bundle_dial *dial = attempt->dial;

    drop(attempt);
    wait_a_while(dial, uv_now(dial->bundle->host.loop));
    bool is_last = under_way(dial) == 0;
    dial->failures += is_last;
    dial->events->on_change(dial->ctx, is_last ? why : NULL);
}

/* ---- one attempt ------------------------------------------------------------------------------
 */

static void on_up(void *ctx, struct tls_stream *stream, const struct certificate *peer,
                  const char *alpn)
{
    struct bundle_attempt *attempt = ctx;
    struct bundle_dial *dial = attempt->dial;
    const char *why = dial->events->refuse(dial->ctx, peer);
    uint8_t frame[BIND_LENGTH_BYTES + BIND_FRAME_MAX];

    (void)alpn;
    if (why) {
        fail(attempt, why);
        return;
    }
    attempt->is_binding = true;
    attempt->deadline_ms = uv_now(dial->bundle->host.loop) + BIND_TIMEOUT_MS;
    tls_stream_send(stream, frame, dial->events->ask(dial->ctx, frame));
    dial->events->on_change(dial->ctx, NULL);
}

static void on_data(void *ctx, struct tls_stream *stream, const uint8_t *data, size_t bytes)
{
    struct bundle_attempt *attempt = ctx;
    struct bundle_dial *dial = attempt->dial;
    char refused[BIND_REASON_MAX];
    const uint8_t *frame;
    size_t frame_bytes;
    int got = bind_first_take(&attempt->first, &data, &bytes, &frame, &frame_bytes);

    if (got == 0)
        return;
    if (got < 0 || dial->events->answered(dial->ctx, frame, frame_bytes, refused) < 0) {
        fail(attempt, "it does not speak our protocol");
        return;
    }
    if (refused[0]) {
        fail(attempt, refused);
        return;
    }
    attempt->stream = NULL;
    dial->failures = 0;
    dial->bound_ms = uv_now(dial->bundle->host.loop);
    bundle_add(dial->bundle, stream);
    bundle_drop_behind(dial->bundle, BEHIND_MS);
    dial->events->on_bound(dial->ctx);
    bundle_take(dial->bundle, stream, data, bytes);
}

static void on_down(void *ctx, struct tls_stream *stream, const char *why)
{
    (void)stream;
    fail(ctx, why);
}

static const struct tls_stream_events stream_events = {
    .on_up = on_up, .on_data = on_data, .on_down = on_down};

static void start(struct bundle_attempt *attempt)
{
    struct bundle_dial *dial = attempt->dial;
    struct tls_dial how = {.identity = dial->identity,
                           .address = dial->address,
                           .proxy = dial->proxy,
                           .alpn = dial->events->alpn,
                           .may_dial = dial->may_dial,
                           .timeout_ms = DIAL_TIMEOUT_MS};

    attempt->first.have = 0;
    attempt->since_ms = uv_now(dial->bundle->host.loop);
    attempt->is_binding = false;
    int err =
        tls_stream_dial(dial->bundle->host.loop, &how, &stream_events, attempt, &attempt->stream);
    if (err < 0) {
        attempt->stream = NULL;
        fail(attempt, uv_strerror(err));
    }
}

/* ---- as many as are wanted --------------------------------------------------------------------
 */

static bool is_missing(const struct bundle_dial *dial, uint64_t now_ms)
{
    return now_ms >= dial->next_ms && under_way(dial) + bundle_count(dial->bundle) < BUNDLE_STREAMS;
}

uint64_t bundle_dial_tick(struct bundle_dial *dial, bool is_wanted, uint64_t now_ms)
{
    uint64_t next_ms = bundle_reap(dial->bundle, now_ms);

    for (int i = 0; i < BUNDLE_STREAMS; i++) {
        struct bundle_attempt *attempt = &dial->attempts[i];
        if (attempt->stream && attempt->is_binding && now_ms >= attempt->deadline_ms)
            fail(attempt, "no answer to what we asked for");
        if (!attempt->stream && is_wanted && (dial->is_fresh_wanted || is_missing(dial, now_ms))) {
            dial->is_fresh_wanted = false;
            start(attempt);
        }
        if (attempt->stream && attempt->is_binding && attempt->deadline_ms < next_ms)
            next_ms = attempt->deadline_ms;
    }
    if (is_wanted && under_way(dial) + bundle_count(dial->bundle) < BUNDLE_STREAMS &&
        dial->next_ms < next_ms)
        next_ms = dial->next_ms;
    return next_ms;
}

void bundle_dial_lost(struct bundle_dial *dial, uint64_t now_ms)
{
    if (now_ms >= dial->bound_ms + STABLE_MS)
        dial->next_ms = now_ms + randombytes_uniform(LOST_WAIT_MS);
    else
        wait_a_while(dial, now_ms);
}

bool bundle_dial_doubt(struct bundle_dial *dial, uint64_t now_ms)
{
    struct bundle_attempt *oldest = &dial->attempts[0];

    if (dial->doubt_ms && now_ms < dial->doubt_ms + DOUBT_MS)
        return false;
    for (int i = 1; i < BUNDLE_STREAMS; i++)
        if (dial->attempts[i].since_ms < oldest->since_ms)
            oldest = &dial->attempts[i];
    if (under_way(dial) == BUNDLE_STREAMS && now_ms >= oldest->since_ms + DOUBT_MS)
        drop(oldest); /* it does not get through either */
    dial->doubt_ms = now_ms;
    dial->is_fresh_wanted = true;
    return true;
}

void bundle_dial_hurry(struct bundle_dial *dial)
{
    dial->next_ms = 0;
}

/* ---- life -------------------------------------------------------------------------------------
 */

void bundle_dial_init(struct bundle_dial *dial, const struct bundle_dial_settings *settings)
{
    memset(dial, 0, sizeof *dial);
    dial->bundle = settings->bundle;
    dial->identity = settings->identity;
    dial->address = settings->address;
    dial->proxy = settings->proxy;
    dial->may_dial = settings->may_dial;
    dial->events = settings->events;
    dial->ctx = settings->ctx;
    for (int i = 0; i < BUNDLE_STREAMS; i++)
        dial->attempts[i].dial = dial;
}

void bundle_dial_fini(struct bundle_dial *dial)
{
    for (int i = 0; i < BUNDLE_STREAMS; i++)
        drop(&dial->attempts[i]);
}
