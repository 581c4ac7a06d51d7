#include "media/encode.h"

#include "media/leg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int encode_prepare(struct leg *leg, int rate)
{
    enum codec codec = leg->set.codec;
    int frame_samples = rate / 1000 * codec_ptime_ms(codec, leg->set.ptime_ms);
    struct encode *encode = leg->encode;
    if (encode && encode->codec == codec && encode->rate == rate &&
        encode->frame_samples == frame_samples)
        return 0;
    encode_free(encode);
    leg->encode = encode =
        calloc(1, sizeof *encode + (size_t)frame_samples * sizeof encode->pcm[0]);
    if (!encode)
        return -ENOMEM;
    encode->leg = leg;
    encode->codec = codec;
    encode->rate = rate;
    encode->clock_hz = codec_clock_hz(codec);
    encode->frame_samples = frame_samples;
    encode->encoder = encoder_new(codec, rate);
    if (encode->encoder)
        return 0;
    encode_free(encode);
    leg->encode = NULL;
    return -ENOMEM;
}

void encode_free(struct encode *encode)
{
    if (!encode)
        return;
    encoder_free(encode->encoder);
    free(encode);
}

static uint32_t units(const struct encode *encode, int64_t samples)
{
    return (uint32_t)(samples * encode->clock_hz / encode->rate);
}

/* Takes up the leg's time line where it is now, if ours does not lead up to it. */
static void align(struct encode *encode, uint64_t now_us)
{
    const struct sender *sender = &encode->leg->sender;
    if (encode->running && sender->started && sender->sequence == encode->sent)
        return;
    encode->running = true;
    encode->marker = true;
    encode->has_event = false;
    encode->sent = sender->sequence;
    encode->timestamp = sender_timestamp_now(sender, encode->clock_hz, now_us);
}

static void send_packet(struct encode *encode, struct rtp_header *rtp, uint64_t now_us)
{
    struct leg *leg = encode->leg;
    rtp->sequence = (uint16_t)(leg->sender.sequence + 1);
    rtp->marker = encode->marker;
    if (!leg_send(leg, rtp, LEG_TRANSCODED, now_us))
        return;
    encode->sent = leg->sender.sequence;
    encode->marker = false;
}

static void send_frame(struct encode *encode, const int16_t *pcm, uint64_t now_us)
{
    uint8_t payload[CODEC_PAYLOAD_MAX];
    align(encode, now_us);
    int bytes = encoder_encode(encode->encoder, pcm, encode->frame_samples, payload);
    struct rtp_header rtp = {
        .payload_type = encode->leg->set.payload_type,
        .timestamp = encode->timestamp,
        .payload = payload,
        .payload_bytes = (size_t)bytes,
    };
    /* In front of the next one, so that it makes good for a loss without anybody waiting. */
    if (bytes > 0 && !encode->marker && encoder_wants_repeat(encode->encoder))
        leg_repeat(encode->leg);
    if (bytes > 0)
        send_packet(encode, &rtp, now_us);
    encode->timestamp += units(encode, encode->frame_samples);
}

void encode_audio(struct encode *encode, const int16_t *pcm, int samples, uint64_t now_us)
{
    int frame = encode->frame_samples;
    while (samples > 0) {
        if (encode->fill == 0 && samples >= frame) {
            send_frame(encode, pcm, now_us);
            pcm += frame;
            samples -= frame;
            continue;
        }
        int take = frame - encode->fill < samples ? frame - encode->fill : samples;
        memcpy(encode->pcm + encode->fill, pcm, (size_t)take * sizeof *pcm);
        encode->fill += take;
        pcm += take;
        samples -= take;
        if (encode->fill == frame) {
            send_frame(encode, encode->pcm, now_us);
            encode->fill = 0;
        }
    }
}

void encode_gap(struct encode *encode, int samples, uint64_t now_us)
{
    int padding = encode->fill > 0 ? encode->frame_samples - encode->fill : 0;
    /* A sender's clock that was set a little is no pause. */
    if (padding == 0 && samples < encode->frame_samples)
        padding = samples;
    if (padding > samples)
        padding = samples;
    static const int16_t silence[64];
    for (int left = padding; left > 0; left -= 64)
        encode_audio(encode, silence, left < 64 ? left : 64, now_us);
    if (samples == padding)
        return;
    encode->timestamp += units(encode, samples - padding);
    encode->marker = true;
}

void encode_restart(struct encode *encode)
{
    encode->running = false;
    encode->fill = 0;
}

/* RFC 4733, section 2.5: all packets of an event have the timestamp of its beginning. */
void encode_event(struct encode *encode, const struct decode_event *in, uint64_t now_us)
{
    struct leg *leg = encode->leg;
    if (leg->set.event_payload_type < 0)
        return;
    align(encode, now_us);
    if (!encode->has_event || encode->event_in != in->timestamp) {
        int64_t ahead = (int64_t)in->offset * encode->clock_hz / in->clock_hz;
        encode->has_event = true;
        encode->event_over = false;
        encode->event_in = in->timestamp;
        encode->event_out =
            encode->timestamp + units(encode, encode->fill) + (uint32_t)(int32_t)ahead;
        encode->marker = true;
    }
    if (encode->event_over)
        return;
    struct event event = in->event;
    event.duration = event_scale(event.duration, in->clock_hz, encode->clock_hz);
    uint8_t payload[EVENT_BYTES];
    event_write(payload, &event);
    struct rtp_header rtp = {
        .payload_type = (uint8_t)leg->set.event_payload_type,
        .timestamp = encode->event_out,
        .payload = payload,
        .payload_bytes = sizeof payload,
    };
    /* The end is sent three times whatever came in, and then no more. */
    for (int i = 0; i < (event.end ? 3 : 1); i++)
        send_packet(encode, &rtp, now_us);
    encode->event_over = event.end;
}

static void sink_audio(void *ctx, const int16_t *pcm, int samples, uint64_t now_us)
{
    encode_audio(((struct leg *)ctx)->encode, pcm, samples, now_us);
}

static void sink_gap(void *ctx, int samples, uint64_t now_us)
{
    encode_gap(((struct leg *)ctx)->encode, samples, now_us);
}

static void sink_restart(void *ctx)
{
    encode_restart(((struct leg *)ctx)->encode);
}

static void sink_event(void *ctx, const struct decode_event *event, uint64_t now_us)
{
    encode_event(((struct leg *)ctx)->encode, event, now_us);
}

const struct decode_sink encode_sink = {
    .audio = sink_audio,
    .gap = sink_gap,
    .restart = sink_restart,
    .event = sink_event,
};
