/* overlay/relay_share.h: fair shares of what a relay may carry. Pure. */
#ifndef OVERLAY_RELAY_SHARE_H
#define OVERLAY_RELAY_SHARE_H

#include <stddef.h>
#include <stdint.h>

/* Who wants how much of `capacity`: returns the most that each may have, so that those who want
 * little get all of it, and the others the same (max-min fairness). UINT64_MAX: there is enough for
 * all. `wanted` is sorted. */
uint64_t relay_share(uint64_t *wanted, size_t count, uint64_t capacity);

#endif
