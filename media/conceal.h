/* media/conceal.h: makes up lost sound from what was heard before, by spandsp, for codecs that
 * cannot do it themselves. */
#ifndef MEDIA_CONCEAL_H
#define MEDIA_CONCEAL_H

#include <stdbool.h>
#include <stdint.h>

#include <spandsp/telephony.h>

#include <spandsp/plc.h>

struct conceal {
    plc_state_t plc; /* valid while filling */
    bool filling;
    int16_t history[PLC_HISTORY_LEN]; /* the last samples heard or made up, oldest first */
};

/* Sound came in; it may be changed at its beginning, to join what was made up before. A zeroed
 * struct is ready for use. */
void conceal_heard(struct conceal *conceal, int16_t *pcm, int samples);
/* Makes up `samples`; fades to silence within 50 ms at 8 kHz. */
void conceal_fill(struct conceal *conceal, int16_t *pcm, int samples);

#endif
