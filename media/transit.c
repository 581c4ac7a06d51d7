#include "media/transit.h"

#define BIN_US 100000
/* A shift is believed when packets came equally late for so long … */
#define SHIFT_US 60000
/* … where equally leaves room for jitter. After a stall they fall out of it soon. */
#define SHIFT_ROOM_MS 25
/* When jitter hides it, a shift is believed after so long without a single packet in time. */
#define SHIFT_UNSEEN_US 1000000
/* Timestamps that leap further are another time line. */
#define LEAP_S 10
/* Begins anew before the numbers wrap, which takes many leaps. */
#define LEVEL_MAX (1 << 30)

void transit_reset(struct transit *transit)
{
    transit->started = false;
}

static void settle(struct transit *transit, int32_t level, uint64_t now_us)
{
    for (int i = 0; i < TRANSIT_BINS; i++)
        transit->least[i] = level;
    transit->usual = level;
    transit->bin_end_us = now_us + BIN_US;
    transit->is_shifted = false;
}

static void take_in(struct transit *transit, int32_t level, uint64_t now_us)
{
    int32_t *least = transit->least;
    if (now_us < transit->bin_end_us) {
        if (level < least[0])
            least[0] = level;
        if (level < transit->usual)
            transit->usual = level;
        return;
    }
    for (int i = TRANSIT_BINS - 1; i > 0; i--)
        least[i] = least[i - 1];
    least[0] = level;
    transit->bin_end_us = now_us + BIN_US;
    transit->usual = level;
    for (int i = 1; i < TRANSIT_BINS; i++)
        if (least[i] < transit->usual)
            transit->usual = least[i];
}

/* Another packet that is late. True: they are all late by now. */
static bool is_shift(struct transit *transit, int32_t level, uint64_t now_us)
{
    int32_t room = SHIFT_ROOM_MS * (transit->clock_hz / 1000);
    if (!transit->is_shifted)
        transit->late_since_us = now_us;
    if (!transit->is_shifted || level < transit->latest - room) {
        transit->is_shifted = true;
        transit->since_us = now_us;
        transit->latest = level;
        return now_us - transit->late_since_us >= SHIFT_UNSEEN_US;
    }
    if (level > transit->latest)
        transit->latest = level;
    return now_us - transit->since_us >= SHIFT_US;
}

bool transit_is_late(struct transit *transit, uint32_t timestamp, int clock_hz, uint64_t now_us)
{
    uint32_t raw = (uint32_t)(now_us * (uint64_t)clock_hz / 1000000) - timestamp;
    int32_t level = (int32_t)(raw - transit->base);
    int32_t late = (int32_t)((uint32_t)level - (uint32_t)transit->usual);
    if (!transit->started || transit->clock_hz != clock_hz || late > LEAP_S * clock_hz ||
        late < -LEAP_S * clock_hz || level > LEVEL_MAX || level < -LEVEL_MAX) {
        transit->started = true;
        transit->clock_hz = clock_hz;
        transit->base = raw;
        settle(transit, 0, now_us);
        return false;
    }
    if (late <= TRANSIT_LATE_MS * (clock_hz / 1000)) {
        take_in(transit, level, now_us);
        transit->is_shifted = false;
        return false;
    }
    if (!is_shift(transit, level, now_us))
        return true;
    settle(transit, level, now_us);
    return false;
}
