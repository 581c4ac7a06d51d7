/* The media of a call: one bridge, set up when both the worker and a leg's media are known, and
 * taken down in an order that leaves nobody with a dead pointer:
 *
 *   1. the bridge forgets the nodes' legs      (no packet is sent to a path any more)
 *   2. the overlay's ports are closed          (no packet comes from a path any more)
 *   3. the bridge is closed                    (its sockets go, its figures come)
 */
#include "gateway/call_note.h"

#include "conf/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* How long the signalling may come later than the media's goodbye. */
#define SIGNALLING_MS 1500

static void note_first_voice(struct leg *leg)
{
    struct call *call = leg->call;
    char text[JOURNAL_TEXT_MAX];
    if (call->answered_ms && leg->first_voice_ms >= call->answered_ms)
        snprintf(text, sizeof text, "first voice from %s, %u ms after the answer", leg->name,
                 (unsigned)(leg->first_voice_ms - call->answered_ms));
    else
        snprintf(text, sizeof text, "first voice from %s, before the answer", leg->name);
    call_note_at(call, leg->first_voice_ms, JOURNAL_MEDIA, "first-voice", text);
    if (leg->media.kind != MEDIA_LEG_RTP || !call->bridge)
        return;
    leg->is_source_due = true; /* on_stats knows where it came from */
    media_bridge_ask(call->bridge);
}

static void on_stats(void *ctx, const struct media_stats stats[2])
{
    struct call *call = ctx;
    memcpy(call->stats, stats, sizeof call->stats);
    for (int side = 0; side < 2; side++) {
        struct leg *leg = &call->legs[side];
        if (leg->is_source_due)
            call_note_source(leg, &stats[side]);
        leg->is_source_due = false;
    }
}

static void on_gap(void *ctx, enum media_side side, uint64_t at_us, int gap_ms)
{
    struct call *call = ctx;
    (void)at_us; /* told at its end, where it stands in the journal */
    call_note(call, JOURNAL_MEDIA, "gap", "nothing came from %s for %d ms", call->legs[side].name,
              gap_ms);
}

static void on_first_packet(void *ctx, enum media_side side, uint64_t at_us)
{
    struct call *call = ctx;
    struct leg *leg = &call->legs[side];
    leg->first_voice_ms = at_us / 1000;
    note_first_voice(leg);
    if (call->answered_ms && leg->first_voice_ms >= call->answered_ms)
        log_info(LOG_GATEWAY, call->id, "first voice from %s %u ms after the answer", leg->name,
                 (unsigned)(leg->first_voice_ms - call->answered_ms));
    else
        log_info(LOG_GATEWAY, call->id, "first voice from %s before the answer", leg->name);
}

static void on_digit(void *ctx, enum media_side side, char digit, int duration_ms)
{
    struct call *call = ctx;
    log_info(LOG_GATEWAY, call->id, "%s pressed a key (%d ms)", call->legs[side].name, duration_ms);
    (void)digit; /* may be a PIN: not logged */
}

static void on_silence(void *ctx, enum media_side side)
{
    struct call *call = ctx;
    if (call->state != CALL_STATE_UP)
        return; /* while it rings a phone has nothing to say; the answer starts the time anew */
    log_warn(LOG_GATEWAY, call->id, "no media from %s for %d s", call->legs[side].name,
             call->gateway->conf->media.timeout_s);
    call->ended_by = (int)side;
    call_note(call, JOURNAL_MEDIA, "silence", "nothing came from %s for %d s: given up",
              call->legs[side].name, call->gateway->conf->media.timeout_s);
    struct call_cause cause = call_cause(CALL_MEDIA_TIMEOUT, "No media");
    call_end(call, &cause);
}

/* The far node has closed its leg. Its signalling says why and comes first, unless no supernode is
 * left to carry it: a call must end then too. */
static void on_left(uv_timer_t *timer)
{
    struct call *call = timer->data;
    struct call_cause cause = call_cause(CALL_NORMAL, "Far end has left");
    call_end(call, &cause);
}

static void on_bye(void *ctx, enum media_side side)
{
    struct call *call = ctx;
    if (call->state == CALL_STATE_UP)
        call_note(call, JOURNAL_MEDIA, "bye", "%s says by RTCP that it leaves",
                  call->legs[side].name);
    bool is_node = call->legs[side].media.kind == MEDIA_LEG_PEER;
    if (is_node && call->state == CALL_STATE_UP)
        uv_timer_start(&call->timer, on_left, SIGNALLING_MS, 0);
}

static void on_played(void *ctx, enum media_side side)
{
    struct call *call = ctx;
    const struct gateway_client *client = call->gateway->client;
    (void)side;
    if (!client || !client->hang_up_after_play)
        return;
    struct call_cause cause = call_cause(CALL_NORMAL, "Played to the end");
    call_end(call, &cause);
}

static void on_closed(void *ctx, const struct media_stats stats[2])
{
    struct call *call = ctx;
    memcpy(call->stats, stats, sizeof call->stats);
    call->bridge = NULL;
    call_media_stopped(call);
}

static const struct media_events events = {
    .on_first_packet = on_first_packet,
    .on_gap = on_gap,
    .on_digit = on_digit,
    .on_stats = on_stats,
    .on_silence = on_silence,
    .on_bye = on_bye,
    .on_played = on_played,
    .on_closed = on_closed,
};

/* The worker that a leg insists on, any other if none does, -EAGAIN while one does not know yet. */
static int choose_worker(struct call *call)
{
    for (int side = 0; side < 2; side++) {
        struct leg *leg = &call->legs[side];
        if (leg->ops && leg->ops->worker)
            return leg->ops->worker(leg);
    }
    return media_worker_pick(call->gateway->media);
}

static int open_bridge(struct call *call)
{
    int worker = choose_worker(call);
    if (worker < 0)
        return worker;
    return media_bridge_open(call->gateway->media, worker, &events, call, &call->bridge);
}

static int set_leg(struct call *call, struct leg *leg)
{
    int err = media_bridge_set(call->bridge, leg->side, &leg->media);
    if (!err && !leg->is_attached && leg->ops->attach) {
        leg->ops->attach(leg, call->bridge);
        leg->is_attached = true;
    }
    return err;
}

void call_media_apply(struct call *call)
{
    if (call->state == CALL_STATE_ENDING ||
        (!call->legs[MEDIA_A].has_media && !call->legs[MEDIA_B].has_media))
        return;
    int err = call->bridge ? 0 : open_bridge(call);
    if (err == -EAGAIN && !call->bridge && choose_worker(call) < 0)
        return; /* the path is not known yet */
    for (int side = 0; side < 2 && !err; side++)
        if (call->legs[side].has_media)
            err = set_leg(call, &call->legs[side]);
    if (!err)
        call_note_codecs(call);
    if (err) {
        log_error(LOG_GATEWAY, call->id, "media cannot be joined: %s", strerror(-err));
        struct call_cause cause = call_cause(CALL_CONGESTION, "Media overload");
        call_end(call, &cause);
    }
}

static enum media_direction flip(enum media_direction direction)
{
    switch (direction) {
    case MEDIA_SENDONLY:
        return MEDIA_RECVONLY;
    case MEDIA_RECVONLY:
        return MEDIA_SENDONLY;
    default:
        return direction;
    }
}

/* One end holds: the other end must know. What counts is what an end would do by itself, not what
 * was agreed with it: else two ends that both hold would each wait for the other to resume first.
 */
void call_media_mirror(struct leg *leg)
{
    struct leg *other = call_other_leg(leg);
    enum media_direction mirrored = flip(leg->willing);
    if (leg->call->state != CALL_STATE_UP || !other->is_signalling || !other->ops->update ||
        other->wanted == mirrored)
        return;
    log_info(LOG_GATEWAY, leg->call->id, "%s %s", leg->name,
             leg->willing == MEDIA_SENDRECV ? "resumes" : "holds");
    call_note(leg->call, JOURNAL_CALL, leg->willing == MEDIA_SENDRECV ? "resumed" : "held", "%s %s",
              leg->name, leg->willing == MEDIA_SENDRECV ? "resumes" : "holds");
    int err = other->ops->update(other, mirrored);
    if (err)
        log_warn(LOG_GATEWAY, leg->call->id, "%s cannot be told: %s", other->name, strerror(-err));
    call_media_apply(leg->call);
}

static void detached(struct call *call)
{
    if (--call->detaching > 0)
        return;
    if (call->bridge)
        media_bridge_close(call->bridge);
    else
        call_media_stopped(call);
}

void call_leg_detached(struct leg *leg)
{
    detached(leg->call);
}

void call_media_stop(struct call *call)
{
    static const struct media_leg none = {.kind = MEDIA_LEG_NONE};
    call->detaching = 1;
    for (int side = 0; side < 2; side++) {
        struct leg *leg = &call->legs[side];
        if (!leg->ops || !leg->ops->detach)
            continue;
        if (call->bridge)
            media_bridge_set(call->bridge, (enum media_side)side, &none);
        call->detaching++;
        leg->ops->detach(leg);
    }
    detached(call);
}
