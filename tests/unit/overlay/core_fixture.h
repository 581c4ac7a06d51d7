/* A core and the other end of its links, for the tests of overlay/: the test plays the rest of the
 * world. */
#ifndef TESTS_CORE_FIXTURE_H
#define TESTS_CORE_FIXTURE_H

#include "overlay/call.h"
#include "overlay/core_internal.h"
#include "tests/unit/overlay/realm_fixture.h"

#define STAND_FRAMES 1024

/* What a core did to the outside. */
struct stand {
    struct core *core;
    uint64_t now_ms, wake_ms;
    uint64_t dice;
    int dials;
    core_link dialled[16];
    char address[16][ADDRESS_TEXT_MAX];
    core_link closed[16];
    int closes;
    char why[128]; /* of the last close */
    struct {
        core_link link;
        Sallyport__Envelope *envelope;
    } frame[STAND_FRAMES];
    int frames;
    unsigned attached, detached, offers;
    struct overlay_call *offered;
};

static uint64_t stand_now_ms(void *ctx)
{
    return ((struct stand *)ctx)->now_ms;
}

static int64_t stand_time_s(void *ctx)
{
    (void)ctx;
    return time(NULL);
}

static void stand_random(void *ctx, void *bytes, size_t count)
{
    struct stand *stand = ctx;

    for (size_t i = 0; i < count; i++) {
        stand->dice = stand->dice * 6364136223846793005u + 1442695040888963407u;
        ((uint8_t *)bytes)[i] = (uint8_t)(stand->dice >> 56);
    }
}

static void stand_dial(void *ctx, core_link link, const char *address)
{
    struct stand *stand = ctx;

    strcpy(stand->address[stand->dials % 16], address);
    stand->dialled[stand->dials++ % 16] = link;
}

static int stand_send(void *ctx, core_link link, const uint8_t *frame, size_t bytes)
{
    struct stand *stand = ctx;

    if (stand->frames == STAND_FRAMES)
        abort();
    stand->frame[stand->frames].link = link;
    stand->frame[stand->frames].envelope = sallyport__envelope__unpack(NULL, bytes, frame);
    if (!stand->frame[stand->frames++].envelope)
        abort();
    return 0;
}

static void stand_close(void *ctx, core_link link, const char *why)
{
    struct stand *stand = ctx;

    snprintf(stand->why, sizeof stand->why, "%s", why);
    stand->closed[stand->closes++ % 16] = link;
}

static void stand_wake(void *ctx, uint64_t at_ms)
{
    ((struct stand *)ctx)->wake_ms = at_ms;
}

static void stand_defer(void *ctx)
{
    (void)ctx;
}

static void stand_on_attached(void *ctx, const char *supernode)
{
    (void)supernode;
    ((struct stand *)ctx)->attached++;
}

static void stand_on_detached(void *ctx, const char *why)
{
    (void)why;
    ((struct stand *)ctx)->detached++;
}

static void stand_on_offer(void *ctx, struct overlay_call *call, const struct overlay_offer *offer)
{
    struct stand *stand = ctx;

    (void)offer;
    stand->offers++;
    stand->offered = call;
}

static const struct overlay_events stand_events = {stand_on_attached, stand_on_detached,
                                                   stand_on_offer};

static inline void stand_open(struct stand *stand, const struct core_settings *settings)
{
    struct core_io io = {.ctx = stand,
                         .now_ms = stand_now_ms,
                         .time_s = stand_time_s,
                         .random = stand_random,
                         .dial = stand_dial,
                         .send = stand_send,
                         .close = stand_close,
                         .wake = stand_wake,
                         .defer = stand_defer,
                         .events = &stand_events,
                         .events_ctx = stand};

    *stand = (struct stand){.now_ms = 1000};
    if (core_new(settings, &io, &stand->core) < 0)
        abort();
    core_tick(stand->core);
    core_deliver(stand->core);
}

/* Forgets the frames sent so far. */
static inline void stand_clear(struct stand *stand)
{
    while (stand->frames > 0)
        sallyport__envelope__free_unpacked(stand->frame[--stand->frames].envelope, NULL);
}

static inline void stand_finish(struct stand *stand)
{
    core_free(stand->core);
    stand_clear(stand);
}

/* Time passes, whatever is due happens. */
static inline void stand_run(struct stand *stand, uint64_t ms)
{
    uint64_t end_ms = stand->now_ms + ms;

    while (core_timers_next(&stand->core->timers) <= end_ms) {
        if (core_timers_next(&stand->core->timers) > stand->now_ms)
            stand->now_ms = core_timers_next(&stand->core->timers);
        core_tick(stand->core);
        core_deliver(stand->core);
    }
    stand->now_ms = end_ms;
}

static inline void stand_give(struct stand *stand, core_link link, Sallyport__Envelope *envelope)
{
    size_t bytes = sallyport__envelope__get_packed_size(envelope);
    uint8_t *frame = malloc(bytes + 1);

    sallyport__envelope__pack(envelope, frame);
    core_on_frame(stand->core, link, frame, bytes);
    core_deliver(stand->core);
    free(frame);
}

/* The last frame of this kind that was sent by `link` (0: any); NULL: none. */
static inline Sallyport__Envelope *stand_sent(struct stand *stand, core_link link, int body)
{
    for (int i = stand->frames; i-- > 0;)
        if ((!link || stand->frame[i].link == link) &&
            (int)stand->frame[i].envelope->body_case == body)
            return stand->frame[i].envelope;
    return NULL;
}

static inline int stand_count(struct stand *stand, int body)
{
    int count = 0;

    for (int i = 0; i < stand->frames; i++)
        count += (int)stand->frame[i].envelope->body_case == body;
    return count;
}

static inline void stand_hello(struct stand *stand, core_link link, const struct identity *peer,
                               bool is_supernode)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Hello hello = SALLYPORT__HELLO__INIT;

    core_on_link_up(stand->core, link, true, identity_certificate(peer), NULL);
    hello.version = 1;
    hello.supernode = is_supernode;
    hello.address = (char *)(is_supernode ? "fellow.example:443" : "");
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_HELLO;
    envelope.hello = &hello;
    stand_give(stand, link, &envelope);
}

static inline void stand_welcome(struct stand *stand, core_link link, const struct identity *peer)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Welcome welcome = SALLYPORT__WELCOME__INIT;

    core_on_link_up(stand->core, link, false, identity_certificate(peer), NULL);
    welcome.version = 1;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_WELCOME;
    envelope.welcome = &welcome;
    stand_give(stand, link, &envelope);
}

#endif
