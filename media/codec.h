/* media/codec.h: sound as payload bytes and as samples. One file per codec, each ending in its
 * operations table; the functions here dispatch to them. Samples are 16-bit, mono. */
#ifndef MEDIA_CODEC_H
#define MEDIA_CODEC_H

#include "conf/conf.h"

/* The longest packet of any codec, 120 ms at 48 kHz, in samples. */
#define CODEC_SAMPLES_MAX 5760
#define CODEC_PAYLOAD_MAX 1276

/* The RTP clock; G.722 says 8000 although it carries 16 kHz (RFC 3551, section 4.5.2). */
int codec_clock_hz(enum codec codec);
/* The rate that fits between two codecs with no resampler: 8 kHz when one of them has no more. */
int codec_common_rate(enum codec from, enum codec to);
/* The ptime that this codec can make nearest to the one wished for; 0: 20 ms. */
int codec_ptime_ms(enum codec codec, int wish_ms);

struct decoder;
/* `rate`: 8000, 16000, or for Opus also 48000. NULL: no memory, or the rate is not for this codec.
 */
struct decoder *decoder_new(enum codec codec, int rate);
void decoder_free(struct decoder *decoder);
/* Returns the samples written to `pcm` (room for CODEC_SAMPLES_MAX), -EBADMSG for a payload that
 * is no sound. */
int decoder_decode(struct decoder *decoder, const uint8_t *payload, size_t bytes, int16_t *pcm);
/* Makes up a lost frame of `samples` samples from what was heard before. */
int decoder_conceal(struct decoder *decoder, int16_t *pcm, int samples);
/* Takes the lost frame out of the packet that follows it. -ENOTSUP when there is nothing in it. */
int decoder_recover(struct decoder *decoder, const uint8_t *next, size_t bytes, int16_t *pcm,
                    int samples);

struct encoder;
struct encoder *encoder_new(enum codec codec, int rate);
void encoder_free(struct encoder *encoder);
/* Encodes one frame of a ptime that codec_ptime_ms allows. Returns the bytes written (room for
 * CODEC_PAYLOAD_MAX) or negative errno. */
int encoder_encode(struct encoder *encoder, const int16_t *pcm, int samples, uint8_t *payload);
/* What the far end reports lost: more redundancy, if the codec has any. */
void encoder_set_loss(struct encoder *encoder, int per_mille);
/* Whether packets get lost while the packet made last says nothing of the frame before it: then
 * that frame's packet is worth sending twice. */
bool encoder_wants_repeat(const struct encoder *encoder);

/* ---- for the codec files ----------------------------------------------------------------------
 */

struct codec_ops {
    int clock_hz;
    int rate_max;
    bool rate_above;      /* 48 kHz as well */
    const int *ptimes_ms; /* ends with 0 */
    struct decoder *(*decoder_new)(int rate);
    void (*decoder_free)(struct decoder *decoder);
    int (*decode)(struct decoder *decoder, const uint8_t *payload, size_t bytes, int16_t *pcm);
    int (*conceal)(struct decoder *decoder, int16_t *pcm, int samples);
    /* NULL: packets carry nothing of the one before */
    int (*recover)(struct decoder *decoder, const uint8_t *next, size_t bytes, int16_t *pcm,
                   int samples);
    struct encoder *(*encoder_new)(int rate);
    void (*encoder_free)(struct encoder *encoder);
    int (*encode)(struct encoder *encoder, const int16_t *pcm, int samples, uint8_t *payload);
    void (*set_loss)(struct encoder *encoder, int per_mille); /* NULL: means nothing to it */
    bool (*wants_repeat)(const struct encoder *encoder);      /* NULL: never */
};
/* First member of each codec's own states. */
struct decoder {
    const struct codec_ops *ops;
};
struct encoder {
    const struct codec_ops *ops;
};
extern const struct codec_ops codec_pcmu, codec_pcma, codec_g722, codec_opus;

#endif
