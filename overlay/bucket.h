/* overlay/bucket.h: a rate with bursts. Pure. */
#ifndef OVERLAY_BUCKET_H
#define OVERLAY_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

/* At most `per_s` events a second, and `burst` at once. Zero-initialised it is full. */
struct bucket {
    uint64_t full_us; /* when it will be full again */
};
bool bucket_take(struct bucket *bucket, uint64_t now_ms, unsigned per_s, unsigned burst);

#endif
