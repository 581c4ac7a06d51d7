/* media/resample.h: another sample rate, by speexdsp. Mono, 16 bits. Only files need it: the
 * codecs among themselves agree on a rate (codec_common_rate). */
#ifndef MEDIA_RESAMPLE_H
#define MEDIA_RESAMPLE_H

#include <stdint.h>

struct resample;
/* NULL when there is no memory or a rate is absurd. */
struct resample *resample_new(int from_hz, int to_hz);
void resample_free(struct resample *resample);
/* Consumes all of `in`; returns how many samples were written to `out`. `out_max` must have room
 * for in_samples * to / from + 2. */
int resample_run(struct resample *resample, const int16_t *in, int in_samples, int16_t *out,
                 int out_max);

#endif
