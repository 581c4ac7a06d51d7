#include "media/resample.h"

#include <stdlib.h>

#include <speex/speex_resampler.h>

/* 3 is the library's choice for voice; 5 costs little more and files are few. */
#define QUALITY 5

struct resample {
    SpeexResamplerState *state;
};

struct resample *resample_new(int from_hz, int to_hz)
{
    struct resample *resample = calloc(1, sizeof *resample);
    int error;
    if (!resample)
        return NULL;
    resample->state =
        speex_resampler_init(1, (spx_uint32_t)from_hz, (spx_uint32_t)to_hz, QUALITY, &error);
    if (!resample->state) {
        free(resample);
        return NULL;
    }
    speex_resampler_skip_zeros(resample->state);
    return resample;
}

void resample_free(struct resample *resample)
{
    if (!resample)
        return;
    speex_resampler_destroy(resample->state);
    free(resample);
}

int resample_run(struct resample *resample, const int16_t *in, int in_samples, int16_t *out,
                 int out_max)
{
    int written = 0;
    while (in_samples > 0 && written < out_max) {
        spx_uint32_t consumed = (spx_uint32_t)in_samples, made = (spx_uint32_t)(out_max - written);
        if (speex_resampler_process_int(resample->state, 0, in, &consumed, out + written, &made) !=
            RESAMPLER_ERR_SUCCESS)
            break;
        if (consumed == 0 && made == 0)
            break;
        in += consumed;
        in_samples -= (int)consumed;
        written += (int)made;
    }
    return written;
}
