/* What a leg heard, on its way to the leg that it is for: forwarded as it is when that one sends
 * the same codec, else through decoder and encoder. The first packet of another codec changes the
 * way; the stream that goes out stays one stream (media/forward.h). */
#include "media/bridge.h"
#include "media/leg.h"

#include <errno.h>

static const enum jitter_kind kind_of[] = {
    [LEG_AUDIO] = JITTER_AUDIO,
    [LEG_EVENT] = JITTER_EVENT,
    [LEG_NOISE] = JITTER_SKIP,
    [LEG_LATE] = JITTER_LATE,
};

static void hand_on(struct leg *leg, enum jitter_kind kind, const struct rtp_header *in,
                    uint64_t now_us)
{
    struct leg *target = leg->target;
    int payload_type = target->set.payload_type;
    if (kind == JITTER_LATE)
        return; /* to the receiver it is lost */
    if (kind == JITTER_EVENT)
        payload_type = target->set.event_payload_type;
    /* Nobody agreed on comfort noise, and not everybody takes events. */
    if (kind == JITTER_SKIP || payload_type < 0) {
        forward_skip(&leg->forward, in);
        return;
    }
    struct rtp_header out;
    if (forward_map(&leg->forward, &target->sender, in, codec_clock_hz(target->set.codec), now_us,
                    &out) < 0) {
        leg->stats.late++;
        return;
    }
    out.payload_type = (uint8_t)payload_type;
    leg_send(target, &out, LEG_FORWARDED, now_us);
}

/* What waited behind a gap, and has waited long enough. Returns when to come again. */
static uint64_t hand_on_held(struct leg *leg, uint64_t now_us)
{
    const struct jitter_packet *packet;
    enum jitter_result result;
    int missing;
    while ((result = jitter_get(&leg->order, now_us, &packet, &missing)) != JITTER_NOTHING)
        if (result == JITTER_PACKET)
            hand_on(leg, packet->kind, &packet->rtp, now_us);
    return jitter_deadline_us(&leg->order);
}

static void forward(struct leg *leg, enum jitter_kind kind, const struct rtp_header *in,
                    uint64_t now_us)
{
    if (jitter_pass(&leg->order, kind, in, now_us)) {
        hand_on(leg, kind, in, now_us);
        return;
    }
    int error = jitter_put(&leg->order, kind, in, now_us);
    if (error && error != -EEXIST)
        hand_on(leg, kind, in, now_us); /* given up too soon: the receiver may still want it */
    uint64_t deadline_us = hand_on_held(leg, now_us);
    if (deadline_us)
        bridge_wake(leg->bridge, deadline_us);
}

/* Sets up decoding for this codec and this target; cheap when nothing has changed. */
static int prepare(struct leg *leg, enum codec codec)
{
    struct leg *target = leg->target;
    const struct decode_sink *sink = target->ops->sink;
    int rate =
        sink ? codec_common_rate(codec, CODEC_OPUS) : codec_common_rate(codec, target->set.codec);
    if (!leg->decode || leg->decode->codec != codec || leg->decode->rate != rate) {
        decode_free(leg->decode);
        leg->decode = decode_new(codec, rate, &leg->stats);
        if (!leg->decode)
            return -ENOMEM;
    }
    leg->decode->sink = sink ? sink : &encode_sink;
    leg->decode->ctx = target;
    return sink ? 0 : encode_prepare(target, rate);
}

static void decode(struct leg *leg, enum leg_format format, enum codec codec,
                   const struct rtp_header *rtp, uint64_t now_us)
{
    if (format != LEG_AUDIO && leg->decode)
        codec = leg->decode->codec;
    if (prepare(leg, codec) < 0)
        return;
    decode_packet(leg->decode, kind_of[format], rtp, now_us);
    uint64_t deadline_us = jitter_deadline_us(&leg->decode->jitter);
    if (deadline_us)
        bridge_wake(leg->bridge, deadline_us);
}

void flow_join(struct leg *leg)
{
    leg->decodes = leg->target && leg->set.codec != leg->target->set.codec;
    leg->forward.synced = false;
    jitter_init(&leg->order, codec_clock_hz(leg->set.codec), 0);
    if (leg->decode)
        decode_reset(leg->decode);
}

void flow_hear(struct leg *leg, enum leg_format format, enum codec codec,
               const struct rtp_header *rtp, uint64_t now_us)
{
    struct leg *target = leg->target;
    if (!target || (!target->ops->sink && !leg_can_send(target)))
        return;
    if (format == LEG_AUDIO) {
        bool decodes = target->ops->sink || codec != target->set.codec;
        if (decodes != leg->decodes) {
            if (leg->decode)
                decode_reset(leg->decode);
            jitter_init(&leg->order, codec_clock_hz(codec), 0);
        }
        leg->decodes = decodes;
    }
    if (leg->decodes || target->ops->sink)
        decode(leg, format, codec, rtp, now_us);
    else
        forward(leg, kind_of[format], rtp, now_us);
}

uint64_t flow_wake(struct leg *leg, uint64_t now_us)
{
    if (!leg->target)
        return 0;
    if (leg->decodes || leg->target->ops->sink)
        return leg->decode ? decode_run(leg->decode, now_us) : 0;
    return hand_on_held(leg, now_us);
}
