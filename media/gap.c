#include "media/gap.h"

#define TOLD_MAX 20
#define TOLD_EVERY_US 1000000
/* How exact a phone's clock and ours must agree on the length of a pause. */
#define PAUSE_SLACK_US 40000

static bool is_pause(const struct gap_watch *watch, const struct rtp_header *rtp, int clock_hz,
                     uint64_t gap_us)
{
    uint32_t advance = rtp->timestamp - watch->timestamp;

    if (rtp->ssrc != watch->ssrc || rtp->sequence != (uint16_t)(watch->sequence + 1))
        return false;
    return rtp->marker ||
           (uint64_t)advance * 1000000 / (uint64_t)clock_hz + PAUSE_SLACK_US >= gap_us;
}

static uint32_t take(struct gap_watch *watch, uint32_t gap_us, uint64_t now_us)
{
    if (gap_us > watch->longest_us)
        watch->longest_us = gap_us;
    if (gap_us < GAP_MIN_US)
        return 0;
    watch->count++;
    if (watch->told == TOLD_MAX || (watch->told > 0 && now_us < watch->told_us + TOLD_EVERY_US))
        return 0;
    watch->told++;
    watch->told_us = now_us;
    return gap_us;
}

uint32_t gap_hear(struct gap_watch *watch, const struct rtp_header *rtp, int clock_hz,
                  uint64_t now_us)
{
    uint64_t gap_us = watch->last_us ? now_us - watch->last_us : 0;
    uint32_t told_us = 0;

    if (gap_us > UINT32_MAX)
        gap_us = UINT32_MAX;
    if (gap_us > watch->longest_us || gap_us >= GAP_MIN_US)
        told_us = is_pause(watch, rtp, clock_hz, gap_us) && gap_us >= GAP_MIN_US
                      ? 0
                      : take(watch, (uint32_t)gap_us, now_us);
    watch->last_us = now_us;
    watch->sequence = rtp->sequence;
    watch->timestamp = rtp->timestamp;
    watch->ssrc = rtp->ssrc;
    return told_us;
}

void gap_forget(struct gap_watch *watch)
{
    watch->last_us = 0;
}
