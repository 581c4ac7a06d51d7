#include "media/gap.h"

#define FRAME_US 20000
/* Longer than any packet: the sender left something out on purpose. */
#define PAUSE_US 120000

void gap_reset(struct gap *gap)
{
    gap->started = false;
}

uint64_t gap_us(struct gap *gap, const struct rtp_header *rtp, int clock_hz, uint64_t now_us)
{
    uint16_t ahead = (uint16_t)(rtp->sequence - gap->sequence);
    if (gap->started && (ahead == 0 || ahead >= 0x8000))
        return 0;
    bool first = !gap->started;
    uint64_t silent_us = now_us - gap->at_us;
    int64_t told_us = (int64_t)(int32_t)(rtp->timestamp - gap->timestamp) * 1000000 / clock_hz;
    *gap = (struct gap){
        .started = true,
        .sequence = rtp->sequence,
        .timestamp = rtp->timestamp,
        .at_us = now_us,
    };
    if (first)
        return 0;
    if (ahead == 1 && told_us > PAUSE_US) {
        uint64_t pause_us = (uint64_t)told_us - FRAME_US;
        return silent_us > pause_us ? silent_us - pause_us : 0;
    }
    return silent_us;
}
