/* PCMU and PCMA (ITU-T G.711) by look-up in tables that are filled once from spandsp's functions:
 * four times as fast as calling those per sample. Concealment is spandsp's. */
#include "media/codec.h"
#include "media/conceal.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <spandsp/telephony.h>

#include <spandsp/bit_operations.h>
#include <spandsp/g711.h>

/* Both laws look at no more than the upper 14 bits of a sample. */
#define ENCODE_SHIFT 2
#define ENCODE_SIZE (65536 >> ENCODE_SHIFT)

struct law {
    int16_t decode[256];
    uint8_t encode[ENCODE_SIZE];
};
static struct law mu, a;
static pthread_once_t filled = PTHREAD_ONCE_INIT;

static void fill(void)
{
    for (int i = 0; i < 256; i++) {
        mu.decode[i] = ulaw_to_linear((uint8_t)i);
        a.decode[i] = alaw_to_linear((uint8_t)i);
    }
    for (int i = 0; i < ENCODE_SIZE; i++) {
        int sample = (int16_t)(uint16_t)(i << ENCODE_SHIFT) + (1 << (ENCODE_SHIFT - 1));
        mu.encode[i] = linear_to_ulaw(sample);
        a.encode[i] = linear_to_alaw(sample);
    }
}

struct g711_decoder {
    struct decoder base;
    const struct law *law;
    struct conceal conceal;
};

struct g711_encoder {
    struct encoder base;
    const struct law *law;
};

static struct decoder *new_decoder(const struct codec_ops *ops, const struct law *law)
{
    struct g711_decoder *decoder = calloc(1, sizeof *decoder);
    if (!decoder)
        return NULL;
    pthread_once(&filled, fill);
    decoder->base.ops = ops;
    decoder->law = law;
    return &decoder->base;
}

static struct decoder *mu_decoder_new(int rate)
{
    return rate == 8000 ? new_decoder(&codec_pcmu, &mu) : NULL;
}

static struct decoder *a_decoder_new(int rate)
{
    return rate == 8000 ? new_decoder(&codec_pcma, &a) : NULL;
}

static void g711_decoder_free(struct decoder *decoder)
{
    free(decoder);
}

static int decode(struct decoder *base, const uint8_t *payload, size_t bytes, int16_t *pcm)
{
    struct g711_decoder *decoder = (struct g711_decoder *)base;
    if (bytes == 0 || bytes > CODEC_SAMPLES_MAX)
        return -EBADMSG;
    for (size_t i = 0; i < bytes; i++)
        pcm[i] = decoder->law->decode[payload[i]];
    conceal_heard(&decoder->conceal, pcm, (int)bytes);
    return (int)bytes;
}

static int conceal(struct decoder *base, int16_t *pcm, int samples)
{
    conceal_fill(&((struct g711_decoder *)base)->conceal, pcm, samples);
    return samples;
}

static struct encoder *new_encoder(const struct codec_ops *ops, const struct law *law)
{
    struct g711_encoder *encoder = calloc(1, sizeof *encoder);
    if (!encoder)
        return NULL;
    pthread_once(&filled, fill);
    encoder->base.ops = ops;
    encoder->law = law;
    return &encoder->base;
}

static struct encoder *mu_encoder_new(int rate)
{
    return rate == 8000 ? new_encoder(&codec_pcmu, &mu) : NULL;
}

static struct encoder *a_encoder_new(int rate)
{
    return rate == 8000 ? new_encoder(&codec_pcma, &a) : NULL;
}

static void g711_encoder_free(struct encoder *encoder)
{
    free(encoder);
}

static int encode(struct encoder *base, const int16_t *pcm, int samples, uint8_t *payload)
{
    const struct law *law = ((struct g711_encoder *)base)->law;
    if (samples > CODEC_PAYLOAD_MAX)
        return -EMSGSIZE;
    for (int i = 0; i < samples; i++)
        payload[i] = law->encode[(uint16_t)pcm[i] >> ENCODE_SHIFT];
    return samples;
}

static const int ptimes_ms[] = {10, 20, 30, 40, 50, 60, 0};

#define G711_OPS(side)                                                                            \
    {                                                                                             \
        .clock_hz = 8000, .rate_max = 8000, .ptimes_ms = ptimes_ms,                               \
        .decoder_new = side##_decoder_new, .decoder_free = g711_decoder_free, .decode = decode,   \
        .conceal = conceal, .encoder_new = side##_encoder_new, .encoder_free = g711_encoder_free, \
        .encode = encode,                                                                         \
    }
const struct codec_ops codec_pcmu = G711_OPS(mu);
const struct codec_ops codec_pcma = G711_OPS(a);
