#include "media/leg.h"

#include "conf/log.h"
#include "media/bridge.h"
#include "media/srtp.h"

#include <stdlib.h>
#include <string.h>

static const struct leg_ops *const kinds[] = {
    [MEDIA_LEG_RTP] = &media_rtp_ops,
    [MEDIA_LEG_PEER] = &media_peer_ops,
    [MEDIA_LEG_ECHO] = &media_echo_ops,
    [MEDIA_LEG_FILE] = &media_file_ops,
};

void leg_init(struct leg *leg, struct media_bridge *bridge, struct worker *worker,
              enum media_side side)
{
    leg->bridge = bridge;
    leg->worker = worker;
    leg->side = side;
    sender_init(&leg->sender);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void drop(struct leg *leg)
{
    if (leg->ops && leg->ops->close)
        leg->ops->close(leg);
    leg->ops = NULL;
    leg->state = NULL;
    leg->set.kind = MEDIA_LEG_NONE;
    encode_free(leg->encode);
    leg->encode = NULL;
    leg->digits = (struct digits){0};
    leg->report = (struct report){0};
    leg->has_left = false;
}

void leg_set(struct leg *leg, struct bridge_change *change, uint64_t now_us)
{
    if (leg->ops && leg->set.kind != change->leg.kind) {
        report_bye(leg, now_us);
        drop(leg);
    }
    const struct leg_ops *ops = kinds[change->leg.kind];
    leg->heard_us = now_us;
    leg->is_silent = false;
    gap_forget(&leg->gaps);
    int error = 0;
    if (ops && ops->set)
        error = ops->set(leg, change, now_us);
    leg->set = change->leg;
    leg->ops = ops;
    if (error) {
        log_error(LOG_MEDIA, NULL, "a leg cannot be set up: %s", uv_strerror(error));
        drop(leg);
    }
    explicit_bzero(change, sizeof *change);
    free(change);
}

void leg_join(struct leg legs[2])
{
    for (int i = 0; i < 2; i++) {
        struct leg *leg = &legs[i], *other = &legs[!i];
        leg->target = NULL;
        if (leg->ops && other->ops && !leg->ops->echoes)
            leg->target = other->ops->echoes ? leg : other;
        flow_join(leg);
    }
}

void leg_close(struct leg *leg)
{
    if (leg->ops)
        report_bye(leg, now_us());
    drop(leg);
    decode_free(leg->decode);
    leg->decode = NULL;
    jitter_fini(&leg->order);
    srtp_link_free(leg->keys.link);
    leg->keys.link = NULL;
    explicit_bzero(leg->keys.key_in, MEDIA_KEY_BYTES);
    explicit_bzero(leg->keys.key_out, MEDIA_KEY_BYTES);
}

/* ---- hearing --------------------------------------------------------------------------------- */

enum leg_format leg_format(const struct leg *leg, uint8_t payload_type, enum codec *codec)
{
    const struct media_leg *set = &leg->set;
    *codec = set->codec;
    for (int i = 0; i < set->receive_count; i++) {
        if (set->receive[i].payload_type == payload_type) {
            *codec = set->receive[i].codec;
            return LEG_AUDIO;
        }
    }
    if (set->receive_count == 0 && payload_type == set->payload_type)
        return LEG_AUDIO;
    if (set->event_payload_type == payload_type)
        return LEG_EVENT;
    return payload_type == RTP_COMFORT_NOISE ? LEG_NOISE : LEG_UNKNOWN;
}

static void alive(struct leg *leg, uint64_t now_us)
{
    leg->heard_us = now_us;
    leg->is_silent = false;
}

static void tell_digit(struct leg *leg, const struct event_heard *heard)
{
    const struct inbox_item item = {
        .tag = INBOX_DIGIT,
        .side = leg->side,
        .object = leg->bridge,
        .digit = heard->digit,
        .duration_ms = heard->duration_ms,
    };
    worker_tell(leg->worker, &item);
}

static void hear_event(struct leg *leg, const struct rtp_header *rtp, uint64_t now_us)
{
    struct event event;
    struct event_heard heard;
    if (event_parse(rtp->payload, rtp->payload_bytes, &event) < 0)
        leg->stats.rejected++;
    else if (event_watch_packet(&leg->watch, &event, rtp->timestamp, codec_clock_hz(leg->set.codec),
                                now_us, &heard))
        tell_digit(leg, &heard);
}

static void count(struct leg *leg, const struct rtp_header *rtp, uint64_t now_us)
{
    leg->stats.packets_in++;
    leg->stats.bytes_in += rtp->payload_bytes;
    alive(leg, now_us);
    if (leg->stats.first_in_us)
        return;
    leg->stats.first_in_us = now_us;
    const struct inbox_item item = {
        .tag = INBOX_FIRST_PACKET, .side = leg->side, .object = leg->bridge, .at_us = now_us};
    worker_tell(leg->worker, &item);
}

static void watch_gaps(struct leg *leg, const struct rtp_header *rtp, int clock_hz, uint64_t now_us)
{
    uint32_t gap_us = gap_hear(&leg->gaps, rtp, clock_hz, now_us);
    if (!gap_us)
        return;
    const struct inbox_item item = {
        .tag = INBOX_GAP,
        .side = leg->side,
        .object = leg->bridge,
        .at_us = now_us - gap_us,
        .duration_ms = (int)(gap_us / 1000),
    };
    worker_tell(leg->worker, &item);
}

void leg_hear(struct leg *leg, const struct rtp_header *rtp, uint64_t now_us)
{
    enum codec codec;
    enum leg_format format = leg_format(leg, rtp->payload_type, &codec);
    if (format == LEG_UNKNOWN) {
        leg->stats.rejected++;
        return;
    }
    switch (source_receive(&leg->source, rtp, codec_clock_hz(codec), now_us)) {
    case SOURCE_DUPLICATE:
        leg->stats.duplicate++;
        return;
    case SOURCE_LEAP:
        leg->stats.rejected++;
        return;
    case SOURCE_NEW:
        transit_reset(&leg->transit);
        break;
    default:
        break;
    }
    if (format != LEG_AUDIO)
        source_skip_jitter(&leg->source);
    count(leg, rtp, now_us);
    if (!leg_hears(leg))
        return; /* on hold: phones may go on sending */
    if (format == LEG_EVENT)
        hear_event(leg, rtp, now_us);
    if (format == LEG_AUDIO && leg->ops->may_stall &&
        transit_is_late(&leg->transit, rtp->timestamp, codec_clock_hz(codec), now_us)) {
        leg->stats.late++;
        format = LEG_LATE;
    } else {
        watch_gaps(leg, rtp, codec_clock_hz(codec), now_us);
    }
    flow_hear(leg, format, codec, rtp, now_us);
}

void leg_hear_rtcp(struct leg *leg, const uint8_t *packet, size_t bytes, uint64_t now_us)
{
    bool bye = false;
    if (report_hear(leg, packet, bytes, now_us, &bye) < 0)
        leg->stats.rejected++;
    else
        alive(leg, now_us); /* a phone that sends no comfort noise is silent, not gone */
    if (!bye || leg->has_left)
        return;
    leg->has_left = true;
    const struct inbox_item item = {.tag = INBOX_BYE, .side = leg->side, .object = leg->bridge};
    worker_tell(leg->worker, &item);
}

/* ---- sending --------------------------------------------------------------------------------- */

/* When nothing comes from the other side (hold, a pause) nothing is sent: what a phone behind a NAT
 * sends itself, and our reports, keep its mapping. */
bool leg_send(struct leg *leg, struct rtp_header *rtp, enum leg_how how, uint64_t now_us)
{
    uint8_t packet[RTP_PACKET_MAX + SRTP_TRAILER_MAX];
    if (!leg_can_send(leg) || (leg->digits.active && how != LEG_OWN) ||
        rtp->payload_bytes > RTP_PAYLOAD_MAX)
        return false;
    rtp->ssrc = leg->sender.ssrc;
    rtp_write(packet, rtp);
    memcpy(packet + RTP_HEADER_BYTES, rtp->payload, rtp->payload_bytes);
    if (leg->ops->send(leg, false, packet, RTP_HEADER_BYTES + rtp->payload_bytes) < 0)
        return false;
    sender_sent(&leg->sender, rtp, codec_clock_hz(leg->set.codec), now_us);
    leg->stats.packets_out++;
    leg->stats.bytes_out += rtp->payload_bytes;
    if (how == LEG_FORWARDED)
        leg->stats.forwarded++;
    else
        leg->stats.transcoded++;
    if (!leg->stats.first_out_us)
        leg->stats.first_out_us = now_us;
    return true;
}

void leg_repeat(struct leg *leg)
{
    if (leg->ops->repeat && leg_can_send(leg))
        leg->ops->repeat(leg);
}

/* ---- time ------------------------------------------------------------------------------------ */

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

uint64_t leg_wake(struct leg *leg, uint64_t now_us)
{
    uint64_t next_us = leg->ops ? digits_run(leg, now_us) : 0;
    return sooner(next_us, flow_wake(leg, now_us));
}

static void watch_silence(struct leg *leg, uint64_t now_us)
{
    uint64_t limit_us = (uint64_t)leg->worker->media->settings.timeout_s * 1000000;
    if (limit_us == 0 || leg->is_silent || !leg->ops->has_reports ||
        leg->set.direction != MEDIA_SENDRECV || now_us < leg->heard_us + limit_us)
        return;
    leg->is_silent = true;
    const struct inbox_item item = {.tag = INBOX_SILENCE, .side = leg->side, .object = leg->bridge};
    worker_tell(leg->worker, &item);
}

void leg_tick(struct leg *leg, uint64_t now_us)
{
    if (!leg->ops)
        return;
    report_tick(leg, now_us);
    watch_silence(leg, now_us);
    struct event_heard heard;
    if (event_watch_tick(&leg->watch, codec_clock_hz(leg->set.codec), now_us, &heard))
        tell_digit(leg, &heard);
}

void leg_stats(const struct leg *leg, struct media_stats *stats)
{
    *stats = leg->stats;
    stats->lost = source_lost(&leg->source);
    stats->jitter_us = source_jitter_us(&leg->source);
    stats->gaps = leg->gaps.count;
    stats->longest_gap_us = leg->gaps.longest_us;
}
