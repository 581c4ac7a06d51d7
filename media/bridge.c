#include "media/bridge.h"

#include "media/event.h"
#include "media/file.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void post(struct media_bridge *bridge, struct inbox_item item)
{
    item.object = bridge;
    outbox_send(&bridge->worker->to_worker, &item);
}

int media_bridge_open(struct media *media, int worker, const struct media_events *events, void *ctx,
                      struct media_bridge **opened)
{
    if (worker < 0 || worker >= media->worker_count)
        return -EINVAL;
    struct media_bridge *bridge = calloc(1, sizeof *bridge);
    if (!bridge)
        return -ENOMEM;
    bridge->media = media;
    bridge->worker = &media->workers[worker];
    bridge->events = events;
    bridge->ctx = ctx;
    const struct inbox_item item = {.tag = INBOX_OPEN, .object = bridge};
    if (!outbox_is_empty(&bridge->worker->to_worker) ||
        inbox_post(&bridge->worker->inbox, &item, INBOX_RESERVE) < 0) {
        free(bridge);
        return -EAGAIN;
    }
    bridge->worker->assigned++;
    *opened = bridge;
    return 0;
}

/* ---- setting a leg --------------------------------------------------------------------------- */

static bool is_format_valid(const struct media_leg *leg)
{
    if (leg->codec >= CODEC_COUNT || leg->payload_type > 127 || leg->event_payload_type > 127 ||
        leg->event_payload_type < -1 || leg->receive_count < 0 || leg->receive_count > CODECS_MAX)
        return false;
    for (int i = 0; i < leg->receive_count; i++)
        if (leg->receive[i].codec >= CODEC_COUNT || leg->receive[i].payload_type > 127)
            return false;
    return true;
}

static bool is_valid(const struct media_leg *leg)
{
    switch (leg->kind) {
    case MEDIA_LEG_NONE:
    case MEDIA_LEG_ECHO:
    case MEDIA_LEG_FILE:
        return true;
    case MEDIA_LEG_RTP:
        return leg->rtp && is_format_valid(leg);
    case MEDIA_LEG_PEER:
        return leg->send && is_format_valid(leg);
    default:
        return false;
    }
}

int media_bridge_set(struct media_bridge *bridge, enum media_side side, const struct media_leg *leg)
{
    assert(!bridge->closing);
    if (!is_valid(leg))
        return -EINVAL;
    struct bridge_change *change = calloc(1, sizeof *change);
    if (!change)
        return -ENOMEM;
    change->leg = *leg;
    if (leg->kind == MEDIA_LEG_FILE) {
        int error = file_open(leg->play, leg->record, &change->file);
        if (error) {
            free(change);
            return error;
        }
        /* The worker asks only whether there is something to play, not for its name. */
        change->leg.play = leg->play ? "" : NULL;
        change->leg.record = leg->record ? "" : NULL;
    }
    bridge->takes_digits[side] =
        (leg->kind == MEDIA_LEG_RTP || leg->kind == MEDIA_LEG_PEER) && leg->event_payload_type >= 0;
    post(bridge, (struct inbox_item){.tag = INBOX_SET, .side = side, .argument = change});
    return 0;
}

/* ---- the rest -------------------------------------------------------------------------------- */

void media_bridge_ask(struct media_bridge *bridge)
{
    if (bridge->asked++ == 0)
        post(bridge, (struct inbox_item){.tag = INBOX_ASK});
}

int media_bridge_send_digit(struct media_bridge *bridge, enum media_side side, char digit,
                            int duration_ms)
{
    if (event_code(digit) < 0)
        return -EINVAL;
    if (!bridge->takes_digits[side])
        return -ENOTSUP;
    post(bridge,
         (struct inbox_item){
             .tag = INBOX_SEND_DIGIT, .side = side, .digit = digit, .duration_ms = duration_ms});
    return 0;
}

void media_bridge_close(struct media_bridge *bridge)
{
    assert(!bridge->closing);
    bridge->closing = true;
    post(bridge, (struct inbox_item){.tag = INBOX_CLOSE});
}

static void report_stats(struct media_bridge *bridge)
{
    bool again = bridge->asked > 1;
    bridge->asked = 0;
    if (bridge->closing)
        return;
    struct media_stats stats[2];
    memcpy(stats, bridge->answer, sizeof stats);
    if (again) /* asked meanwhile: newer figures are wanted */
        media_bridge_ask(bridge);
    if (bridge->events->on_stats)
        bridge->events->on_stats(bridge->ctx, stats);
}

static void report_closed(struct media_bridge *bridge)
{
    bridge->worker->assigned--;
    if (bridge->events->on_closed)
        bridge->events->on_closed(bridge->ctx, bridge->last);
    free(bridge);
}

void bridge_report(const struct inbox_item *item)
{
    struct media_bridge *bridge = item->object;
    const struct media_events *events = bridge->events;
    if (item->tag == INBOX_CLOSED)
        report_closed(bridge);
    else if (item->tag == INBOX_STATS)
        report_stats(bridge);
    else if (bridge->closing)
        return;
    else if (item->tag == INBOX_FIRST_PACKET && events->on_first_packet)
        events->on_first_packet(bridge->ctx, item->side, item->at_us);
    else if (item->tag == INBOX_GAP && events->on_gap)
        events->on_gap(bridge->ctx, item->side, item->at_us, item->duration_ms);
    else if (item->tag == INBOX_DIGIT && events->on_digit)
        events->on_digit(bridge->ctx, item->side, item->digit, item->duration_ms);
    else if (item->tag == INBOX_SILENCE && events->on_silence)
        events->on_silence(bridge->ctx, item->side);
    else if (item->tag == INBOX_BYE && events->on_bye)
        events->on_bye(bridge->ctx, item->side);
    else if (item->tag == INBOX_PLAYED && events->on_played)
        events->on_played(bridge->ctx, item->side);
}
