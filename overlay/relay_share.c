#include "overlay/relay_share.h"

#include <stdlib.h>

static int compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

    return a < b ? -1 : a > b;
}

uint64_t relay_share(uint64_t *wanted, size_t count, uint64_t capacity)
{
    qsort(wanted, count, sizeof wanted[0], compare);
    for (size_t i = 0; i < count; i++) {
        uint64_t level = capacity / (count - i);

        if (wanted[i] > level)
            return level;
        capacity -= wanted[i];
    }
    return UINT64_MAX;
}
