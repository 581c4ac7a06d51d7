#include "media/conceal.h"

#include <string.h>

static void remember(struct conceal *conceal, const int16_t *pcm, int samples)
{
    int16_t *history = conceal->history;
    if (samples >= PLC_HISTORY_LEN) {
        memcpy(history, pcm + samples - PLC_HISTORY_LEN, sizeof conceal->history);
        return;
    }
    int kept = PLC_HISTORY_LEN - samples;
    memmove(history, history + samples, (size_t)kept * sizeof *history);
    memcpy(history + kept, pcm, (size_t)samples * sizeof *history);
}

void conceal_heard(struct conceal *conceal, int16_t *pcm, int samples)
{
    if (conceal->filling)
        plc_rx(&conceal->plc, pcm, samples);
    conceal->filling = false;
    remember(conceal, pcm, samples);
}

/* The library keeps a history of its own, as a ring that it turns by memcpy within itself, which is
 * undefined when the parts overlap. It is given ours in one piece instead: that ring never turns.
 */
void conceal_fill(struct conceal *conceal, int16_t *pcm, int samples)
{
    if (!conceal->filling) {
        int16_t history[PLC_HISTORY_LEN];
        memcpy(history, conceal->history, sizeof history);
        plc_init(&conceal->plc);
        plc_rx(&conceal->plc, history, PLC_HISTORY_LEN);
        conceal->filling = true;
    }
    plc_fillin(&conceal->plc, pcm, samples);
    remember(conceal, pcm, samples);
}
