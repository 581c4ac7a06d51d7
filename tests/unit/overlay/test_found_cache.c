/* What look-ups found lately: kept, replaced, forgotten, bounded. */
#include "overlay/found_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include <cmocka.h>

static void put(struct found_cache *cache, const char *name, size_t count, size_t bytes,
                uint64_t now_ms)
{
    static uint8_t data[8192], signature[64];
    Sallyport__SignedRecord record[16], *list[16];

    for (size_t i = 0; i < count; i++) {
        sallyport__signed_record__init(&record[i]);
        record[i].record.data = data;
        record[i].record.len = bytes;
        record[i].signature.data = signature;
        record[i].signature.len = sizeof signature;
        list[i] = &record[i];
    }
    data[0] = (uint8_t)name[0];
    found_cache_put(cache, name, list, count, now_ms);
}

static size_t count_of(const struct found_cache *cache, const char *name, uint64_t now_ms)
{
    Sallyport__SignedRecord *const *records;

    return found_cache_get(cache, name, now_ms, &records);
}

static void a_copy_is_kept_for_a_minute(void **state)
{
    struct found_cache cache = {0};
    Sallyport__SignedRecord *const *records;

    (void)state;
    assert_int_equal(count_of(&cache, "paris", 0), 0);
    put(&cache, "paris", 2, 100, 1000);
    put(&cache, "rome", 1, 50, 1000);
    assert_int_equal(found_cache_get(&cache, "paris", 60999, &records), 2);
    assert_int_equal(records[1]->record.len, 100);
    assert_int_equal(records[1]->record.data[0], 'p');
    assert_int_equal(records[1]->signature.len, 64);
    assert_int_equal(count_of(&cache, "paris", 61000), 0);
    assert_int_equal(count_of(&cache, "Paris", 1000), 0);
    put(&cache, "paris", 1, 100, 50000); /* instead of the older one */
    assert_int_equal(count_of(&cache, "paris", 61000), 1);
    found_cache_drop(&cache, "paris");
    found_cache_drop(&cache, "paris");
    assert_int_equal(count_of(&cache, "paris", 51000), 0);
    assert_int_equal(count_of(&cache, "rome", 51000), 1);
    found_cache_fini(&cache);
    assert_int_equal(count_of(&cache, "rome", 51000), 0);
    put(&cache, "rome", 1, 50, 1000); /* may be used again */
    assert_int_equal(count_of(&cache, "rome", 1000), 1);
    found_cache_fini(&cache);
}

static void the_oldest_goes_first(void **state)
{
    struct found_cache cache = {0};
    char name[32];

    (void)state;
    for (int i = 0; i < FOUND_CACHE_MAX + 100; i++) {
        snprintf(name, sizeof name, "site%d", i);
        put(&cache, name, 1, 100, (uint64_t)i);
    }
    assert_int_equal(count_of(&cache, "site99", 0), 0);
    assert_int_equal(count_of(&cache, "site100", 0), 1);
    assert_int_equal(count_of(&cache, name, 0), 1);
    found_cache_fini(&cache);
}

/* Many numbers of one prefix that is served by many: each with all their records. */
static void memory_is_bounded(void **state)
{
    struct found_cache cache = {0};
    char name[32];

    (void)state;
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof name, "+49%d", i);
        put(&cache, name, 16, 4096, 0);
        assert_true(cache.bytes <= FOUND_CACHE_BYTES_MAX);
    }
    assert_int_equal(count_of(&cache, name, 0), 16);
    assert_int_equal(count_of(&cache, "+490", 0), 0);
    found_cache_fini(&cache);
    assert_int_equal(cache.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_is_kept_for_a_minute),
        cmocka_unit_test(the_oldest_goes_first),
        cmocka_unit_test(memory_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
