/* G.722 at 64 kbit/s by spandsp. Towards a narrow-band codec it works at 8 kHz itself (the lower
 * band alone): cheaper than to resample, and nothing is lost that the other side could carry. */
#include "media/codec.h"
#include "media/conceal.h"

#include <errno.h>
#include <stdlib.h>

#include <spandsp/telephony.h>

#include <spandsp/g722.h>
#include <spandsp/private/g722.h>

#define BIT_RATE 64000

struct g722_decoder {
    struct decoder base;
    int samples_per_byte;
    g722_decode_state_t state;
    /* Looks for the pitch of voices at 8 kHz; at 16 kHz it finds the higher half of them and fades
     * out sooner, which is still far better than a hole. */
    struct conceal conceal;
};

struct g722_encoder {
    struct encoder base;
    int samples_per_byte;
    g722_encode_state_t state;
};

static int options(int rate)
{
    return rate == 8000 ? G722_SAMPLE_RATE_8000 : 0;
}

static struct decoder *g722_decoder_new(int rate)
{
    struct g722_decoder *decoder = calloc(1, sizeof *decoder);
    if (!decoder)
        return NULL;
    decoder->base.ops = &codec_g722;
    decoder->samples_per_byte = rate / 8000;
    g722_decode_init(&decoder->state, BIT_RATE, options(rate));
    return &decoder->base;
}

static void g722_decoder_free(struct decoder *decoder)
{
    free(decoder);
}

static int decode(struct decoder *base, const uint8_t *payload, size_t bytes, int16_t *pcm)
{
    struct g722_decoder *decoder = (struct g722_decoder *)base;
    if (bytes == 0 || bytes * (size_t)decoder->samples_per_byte > CODEC_SAMPLES_MAX)
        return -EBADMSG;
    int samples = g722_decode(&decoder->state, pcm, payload, (int)bytes);
    conceal_heard(&decoder->conceal, pcm, samples);
    return samples;
}

static int conceal(struct decoder *base, int16_t *pcm, int samples)
{
    conceal_fill(&((struct g722_decoder *)base)->conceal, pcm, samples);
    return samples;
}

static struct encoder *g722_encoder_new(int rate)
{
    struct g722_encoder *encoder = calloc(1, sizeof *encoder);
    if (!encoder)
        return NULL;
    encoder->base.ops = &codec_g722;
    encoder->samples_per_byte = rate / 8000;
    g722_encode_init(&encoder->state, BIT_RATE, options(rate));
    return &encoder->base;
}

static void g722_encoder_free(struct encoder *encoder)
{
    free(encoder);
}

static int encode(struct encoder *base, const int16_t *pcm, int samples, uint8_t *payload)
{
    struct g722_encoder *encoder = (struct g722_encoder *)base;
    if (samples / encoder->samples_per_byte > CODEC_PAYLOAD_MAX)
        return -EMSGSIZE;
    return g722_encode(&encoder->state, payload, pcm, samples);
}

static const int ptimes_ms[] = {10, 20, 30, 40, 50, 60, 0};

const struct codec_ops codec_g722 = {
    .clock_hz = 8000,
    .rate_max = 16000,
    .ptimes_ms = ptimes_ms,
    .decoder_new = g722_decoder_new,
    .decoder_free = g722_decoder_free,
    .decode = decode,
    .conceal = conceal,
    .encoder_new = g722_encoder_new,
    .encoder_free = g722_encoder_free,
    .encode = encode,
};
