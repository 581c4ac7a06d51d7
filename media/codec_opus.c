/* Opus (RFC 6716, RTP by RFC 7587). It encodes from and decodes to the rate of the other leg by
 * itself. We always send mono; stereo from others is mixed down by the decoder. */
#include "media/codec.h"

#include <errno.h>
#include <stdlib.h>

#include <opus/opus.h>

#define BIT_RATE_WIDE 24000
#define BIT_RATE_NARROW 16000
/* 5 costs a third of what 10 does (115 to 320 us a frame with FEC) and is nearly as good; below
 * it voices suffer. */
#define COMPLEXITY 5
/* Redundancy is paid for with these bits, not with the quality of the sound. */
#define BIT_RATE_FEC 8000
/* Before the first reports: the first loss of a call is covered already. */
#define LOSS_START_PERCENT 5
#define LOSS_MAX_PERCENT 25
/* A path that lost something is taken for a bad one for half a minute (RTCP comes every two
 * seconds): what the repeats make good for is no loss in the reports any more. */
#define REPEAT_REPORTS 15

struct opus_decoder {
    struct decoder base;
    OpusDecoder *state;
    int rate;
};

struct opus_encoder {
    struct encoder base;
    OpusEncoder *state;
    int rate;
    int loss_percent; /* 0: the path is clean, no redundancy */
    int repeating;    /* for so many reports more, if they tell of no loss */
    bool is_covered;  /* the packet made last carries the frame before it */
};

static struct decoder *opus_side_decoder_new(int rate)
{
    struct opus_decoder *decoder = calloc(1, sizeof *decoder);
    int error;
    if (!decoder)
        return NULL;
    decoder->base.ops = &codec_opus;
    decoder->rate = rate;
    decoder->state = opus_decoder_create(rate, 1, &error);
    if (!decoder->state) {
        free(decoder);
        return NULL;
    }
    return &decoder->base;
}

static void decoder_release(struct decoder *base)
{
    opus_decoder_destroy(((struct opus_decoder *)base)->state);
    free(base);
}

static int decode(struct decoder *base, const uint8_t *payload, size_t bytes, int16_t *pcm)
{
    struct opus_decoder *decoder = (struct opus_decoder *)base;
    if (bytes == 0)
        return -EBADMSG; /* to the library that would mean a lost packet */
    int samples =
        opus_decode(decoder->state, payload, (opus_int32)bytes, pcm, CODEC_SAMPLES_MAX, 0);
    return samples > 0 ? samples : -EBADMSG;
}

/* The library makes up multiples of 2.5 ms only. */
static int whole(const struct opus_decoder *decoder, int samples)
{
    int step = decoder->rate / 400;
    return samples < step ? step : samples - samples % step;
}

static int conceal(struct decoder *base, int16_t *pcm, int samples)
{
    struct opus_decoder *decoder = (struct opus_decoder *)base;
    int made = opus_decode(decoder->state, NULL, 0, pcm, whole(decoder, samples), 0);
    return made > 0 ? made : -EBADMSG;
}

/* Whether a packet carries the one before it: in SILK frames (configurations 0-15, RFC 6716,
 * section 3.1) a flag bit follows the voice activity bits of the frame's 20 ms parts (section
 * 4.2.3). */
static bool has_previous(const uint8_t *packet, size_t bytes)
{
    const unsigned char *frames[48];
    opus_int16 sizes[48];
    unsigned char toc;
    int config = packet[0] >> 3;
    if (config > 15 ||
        opus_packet_parse(packet, (opus_int32)bytes, &toc, frames, sizes, NULL) < 1 || sizes[0] < 1)
        return false;
    /* Hybrid is 10 or 20 ms; SILK alone 10, 20, 40 or 60. */
    static const int parts_of[4] = {1, 1, 2, 3};
    int parts = config >= 12 ? 1 : parts_of[config & 3];
    bool previous = frames[0][0] >> (7 - parts) & 1;
    if (packet[0] & 4) /* stereo: the side channel's bits come next */
        previous |= frames[0][0] >> (7 - 2 * parts - 1) & 1;
    return previous;
}

static int recover(struct decoder *base, const uint8_t *next, size_t bytes, int16_t *pcm,
                   int samples)
{
    struct opus_decoder *decoder = (struct opus_decoder *)base;
    if (bytes == 0 || samples != whole(decoder, samples) || !has_previous(next, bytes))
        return -ENOTSUP;
    int made = opus_decode(decoder->state, next, (opus_int32)bytes, pcm, samples, 1);
    return made > 0 ? made : -ENOTSUP;
}

static void expect_loss(struct opus_encoder *encoder, int percent)
{
    int bit_rate = encoder->rate > 8000 ? BIT_RATE_WIDE : BIT_RATE_NARROW;
    encoder->loss_percent = percent;
    opus_encoder_ctl(encoder->state, OPUS_SET_PACKET_LOSS_PERC(percent));
    opus_encoder_ctl(encoder->state,
                     OPUS_SET_BITRATE(percent > 0 ? bit_rate + BIT_RATE_FEC : bit_rate));
}

static struct encoder *opus_side_encoder_new(int rate)
{
    struct opus_encoder *encoder = calloc(1, sizeof *encoder);
    int error;
    if (!encoder)
        return NULL;
    encoder->base.ops = &codec_opus;
    encoder->rate = rate;
    OpusEncoder *state = opus_encoder_create(rate, 1, OPUS_APPLICATION_VOIP, &error);
    encoder->state = state;
    if (!state) {
        free(encoder);
        return NULL;
    }
    opus_encoder_ctl(state, OPUS_SET_MAX_BANDWIDTH(OPUS_BANDWIDTH_WIDEBAND));
    opus_encoder_ctl(state, OPUS_SET_COMPLEXITY(COMPLEXITY));
    opus_encoder_ctl(state, OPUS_SET_SIGNAL(OPUS_SIGNAL_VOICE));
    opus_encoder_ctl(state, OPUS_SET_INBAND_FEC(1));
    expect_loss(encoder, LOSS_START_PERCENT);
    encoder->repeating = 1;
    return &encoder->base;
}

static void encoder_release(struct encoder *base)
{
    opus_encoder_destroy(((struct opus_encoder *)base)->state);
    free(base);
}

static int encode(struct encoder *base, const int16_t *pcm, int samples, uint8_t *payload)
{
    struct opus_encoder *encoder = (struct opus_encoder *)base;
    int bytes = opus_encode(encoder->state, pcm, samples, payload, CODEC_PAYLOAD_MAX);
    encoder->is_covered = bytes > 0 && has_previous(payload, (size_t)bytes);
    return bytes > 0 ? bytes : -EINVAL;
}

static void set_loss(struct encoder *base, int per_mille)
{
    struct opus_encoder *encoder = (struct opus_encoder *)base;
    int percent = (per_mille + 5) / 10;
    if (percent > LOSS_MAX_PERCENT)
        percent = LOSS_MAX_PERCENT;
    /* At once when it gets worse, slowly when it gets better. */
    if (percent < encoder->loss_percent)
        percent = encoder->loss_percent - (encoder->loss_percent - percent + 3) / 4;
    if (percent != encoder->loss_percent)
        expect_loss(encoder, percent);
    if (per_mille > 0)
        encoder->repeating = REPEAT_REPORTS;
    else if (encoder->repeating > 0)
        encoder->repeating--;
}

/* The library puts redundancy only beside frames that it takes for voice. Tones and music have
 * none, and what it makes up for those is bad for 40 to 120 ms: its predictors go on from there. */
static bool wants_repeat(const struct encoder *base)
{
    const struct opus_encoder *encoder = (const struct opus_encoder *)base;
    return encoder->repeating > 0 && !encoder->is_covered;
}

static const int ptimes_ms[] = {10, 20, 40, 60, 0};

const struct codec_ops codec_opus = {
    .clock_hz = 48000,
    .rate_max = 16000,
    .rate_above = true,
    .ptimes_ms = ptimes_ms,
    .decoder_new = opus_side_decoder_new,
    .decoder_free = decoder_release,
    .decode = decode,
    .conceal = conceal,
    .recover = recover,
    .encoder_new = opus_side_encoder_new,
    .encoder_free = encoder_release,
    .encode = encode,
    .set_loss = set_loss,
    .wants_repeat = wants_repeat,
};
