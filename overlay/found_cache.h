/* overlay/found_cache.h: what look-ups found lately, by the name that was asked.
 *
 * A wrong entry costs the asker one failed attempt: a look-up that is `fresh` goes past it and puts
 * it right. Bounded; the oldest goes first. Private to the core. Pure: the time is given.
 */
#ifndef OVERLAY_FOUND_CACHE_H
#define OVERLAY_FOUND_CACHE_H

#include "overlay/overlay.h"
#include "overlay/overlay.pb-c.h"

#include <sys/queue.h>

#define FOUND_CACHE_MAX 8192
#define FOUND_CACHE_BYTES_MAX (16u << 20) /* of records */
#define FOUND_CACHE_MS 60000

/* Zero-initialised it is empty. */
struct found_entry;
struct found_cache {
    struct found_entry *by_name;
    size_t bytes;
    TAILQ_HEAD(found_queue, found_entry) oldest_first;
};
/* Copies; an older entry of that name goes. */
void found_cache_put(struct found_cache *cache, const char *name,
                     Sallyport__SignedRecord *const *records, size_t count, uint64_t now_ms);
/* The records and their number, good until the cache changes; 0: nothing is known. */
size_t found_cache_get(const struct found_cache *cache, const char *name, uint64_t now_ms,
                       Sallyport__SignedRecord *const **records);
void found_cache_drop(struct found_cache *cache, const char *name);
void found_cache_fini(struct found_cache *cache);

#endif
