#include "media/codec.h"

#include <errno.h>
#include <stdlib.h>

static const struct codec_ops *const codecs[CODEC_COUNT] = {
    [CODEC_PCMU] = &codec_pcmu,
    [CODEC_PCMA] = &codec_pcma,
    [CODEC_G722] = &codec_g722,
    [CODEC_OPUS] = &codec_opus,
};

int codec_clock_hz(enum codec codec)
{
    return codecs[codec]->clock_hz;
}

int codec_common_rate(enum codec from, enum codec to)
{
    int a = codecs[from]->rate_max, b = codecs[to]->rate_max;
    return a < b ? a : b;
}

int codec_ptime_ms(enum codec codec, int wish_ms)
{
    if (wish_ms <= 0)
        return 20;
    int best = 20;
    for (const int *ptime = codecs[codec]->ptimes_ms; *ptime; ptime++)
        if (abs(*ptime - wish_ms) < abs(best - wish_ms))
            best = *ptime;
    return best;
}

static bool has_rate(enum codec codec, int rate)
{
    const struct codec_ops *ops = codecs[codec];
    return rate == 8000 || rate == ops->rate_max || (rate == 48000 && ops->rate_above);
}

struct decoder *decoder_new(enum codec codec, int rate)
{
    return has_rate(codec, rate) ? codecs[codec]->decoder_new(rate) : NULL;
}

void decoder_free(struct decoder *decoder)
{
    if (decoder)
        decoder->ops->decoder_free(decoder);
}

int decoder_decode(struct decoder *decoder, const uint8_t *payload, size_t bytes, int16_t *pcm)
{
    return decoder->ops->decode(decoder, payload, bytes, pcm);
}

int decoder_conceal(struct decoder *decoder, int16_t *pcm, int samples)
{
    return decoder->ops->conceal(decoder, pcm, samples);
}

int decoder_recover(struct decoder *decoder, const uint8_t *next, size_t bytes, int16_t *pcm,
                    int samples)
{
    if (!decoder->ops->recover)
        return -ENOTSUP;
    return decoder->ops->recover(decoder, next, bytes, pcm, samples);
}

struct encoder *encoder_new(enum codec codec, int rate)
{
    return has_rate(codec, rate) ? codecs[codec]->encoder_new(rate) : NULL;
}

void encoder_free(struct encoder *encoder)
{
    if (encoder)
        encoder->ops->encoder_free(encoder);
}

int encoder_encode(struct encoder *encoder, const int16_t *pcm, int samples, uint8_t *payload)
{
    return encoder->ops->encode(encoder, pcm, samples, payload);
}

bool encoder_wants_repeat(const struct encoder *encoder)
{
    return encoder->ops->wants_repeat && encoder->ops->wants_repeat(encoder);
}

void encoder_set_loss(struct encoder *encoder, int per_mille)
{
    if (encoder->ops->set_loss)
        encoder->ops->set_loss(encoder, per_mille);
}
