#include "overlay/bucket.h"

bool bucket_take(struct bucket *bucket, uint64_t now_ms, unsigned per_s, unsigned burst)
{
    /* Kept in microseconds of "time until full", so that rates above 1000 per second work too. */
    uint64_t now_us = now_ms * 1000, cost_us = 1000000 / per_s, room_us = cost_us * burst;

    if (bucket->full_us < now_us)
        bucket->full_us = now_us;
    if (bucket->full_us + cost_us > now_us + room_us)
        return false;
    bucket->full_us += cost_us;
    return true;
}
