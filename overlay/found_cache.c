#include "overlay/found_cache.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct found_entry {
    TAILQ_ENTRY(found_entry) next;
    UT_hash_handle hh;
    uint64_t end_ms;
    size_t count, bytes;
    Sallyport__SignedRecord *record, **list;
    char name[];
};

static void entry_free(struct found_cache *cache, struct found_entry *entry)
{
    TAILQ_REMOVE(&cache->oldest_first, entry, next);
    HASH_DELETE(hh, cache->by_name, entry);
    cache->bytes -= entry->bytes;
    for (size_t i = 0; i < entry->count; i++)
        free(entry->record[i].record.data);
    free(entry->record);
    free(entry->list);
    free(entry);
}

/* Both in one piece: the signature stands behind the record. */
static int copy(Sallyport__SignedRecord *to, const Sallyport__SignedRecord *from)
{
    uint8_t *data = malloc(from->record.len + from->signature.len + 1);

    if (!data)
        return -1;
    sallyport__signed_record__init(to);
    memcpy(data, from->record.data, from->record.len);
    memcpy(data + from->record.len, from->signature.data, from->signature.len);
    to->record.data = data;
    to->record.len = from->record.len;
    to->signature.data = data + from->record.len;
    to->signature.len = from->signature.len;
    return 0;
}

static struct found_entry *find(const struct found_cache *cache, const char *name)
{
    struct found_entry *entry;

    HASH_FIND_STR(cache->by_name, name, entry);
    return entry;
}

void found_cache_put(struct found_cache *cache, const char *name,
                     Sallyport__SignedRecord *const *records, size_t count, uint64_t now_ms)
{
    struct found_entry *entry = calloc(1, sizeof *entry + strlen(name) + 1);

    found_cache_drop(cache, name);
    if (entry) {
        entry->record = calloc(count, sizeof *entry->record);
        entry->list = calloc(count, sizeof *entry->list);
    }
    if (!entry || !entry->record || !entry->list) {
        if (entry)
            free(entry->record);
        free(entry);
        return; /* it is only slower */
    }
    strcpy(entry->name, name);
    entry->end_ms = now_ms + FOUND_CACHE_MS;
    while (entry->count < count && copy(&entry->record[entry->count], records[entry->count]) == 0) {
        entry->list[entry->count] = &entry->record[entry->count];
        entry->bytes += records[entry->count]->record.len + records[entry->count]->signature.len;
        entry->count++;
    }
    if (!cache->by_name)
        TAILQ_INIT(&cache->oldest_first);
    HASH_ADD_STR(cache->by_name, name, entry);
    TAILQ_INSERT_TAIL(&cache->oldest_first, entry, next);
    cache->bytes += entry->bytes;
    while (HASH_COUNT(cache->by_name) > FOUND_CACHE_MAX || cache->bytes > FOUND_CACHE_BYTES_MAX)
        entry_free(cache, TAILQ_FIRST(&cache->oldest_first));
}

size_t found_cache_get(const struct found_cache *cache, const char *name, uint64_t now_ms,
                       Sallyport__SignedRecord *const **records)
{
    const struct found_entry *entry = find(cache, name);

    if (!entry || entry->end_ms <= now_ms)
        return 0;
    *records = entry->list;
    return entry->count;
}

void found_cache_drop(struct found_cache *cache, const char *name)
{
    struct found_entry *entry = find(cache, name);

    if (entry)
        entry_free(cache, entry);
}

void found_cache_fini(struct found_cache *cache)
{
    while (cache->by_name)
        entry_free(cache, TAILQ_FIRST(&cache->oldest_first));
}
