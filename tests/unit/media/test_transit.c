/* Patterns of arrival, and how many packets of each are too late. */
#include "tests/unit/media/unit.h"

#include "media/transit.h"

#include <stdlib.h>

#define FRAMES 400
#define FRAME_MS 20
#define CHANGE_MS 4000

/* A stream of FRAMES packets; at CHANGE_MS something happens to its way. */
struct pattern {
    const char *name;
    int before_ms, after_ms; /* how long the way is */
    int jitter_ms;           /* up to so much more */
    bool in_order;           /* as over TCP: none comes before the one before */
    int stall_ms;            /* nothing comes for so long; then all at once … */
    int drain_percent;       /* … or at so many percent of the pace of speech; 0: at once */
    int drift_ppm;
    bool pauses; /* the speaker pauses each second for 600 ms */
    int clock_hz;
    uint32_t timestamp; /* of the first packet */
    int dropped_min, dropped_max;
    int age_max_ms; /* of what is played, beyond what its way takes */
};

static const struct pattern patterns[] = {
    {.name = "steady", .before_ms = 40, .after_ms = 40},
    {.name = "wraps", .before_ms = 40, .after_ms = 40, .timestamp = 0xffff0000},
    {.name = "48 kHz, wraps",
     .before_ms = 40,
     .after_ms = 40,
     .clock_hz = 48000,
     .timestamp = 0xfffe0000},
    {.name = "jitter", .before_ms = 40, .after_ms = 40, .jitter_ms = 60, .age_max_ms = 60},
    {.name = "jitter, in order",
     .before_ms = 40,
     .after_ms = 40,
     .jitter_ms = 120,
     .in_order = true,
     .age_max_ms = 120},
    {.name = "drift", .before_ms = 40, .after_ms = 40, .drift_ppm = 100, .age_max_ms = 1},
    {.name = "drift back", .before_ms = 40, .after_ms = 40, .drift_ppm = -100, .age_max_ms = 1},
    {.name = "a very wrong clock",
     .before_ms = 40,
     .after_ms = 40,
     .drift_ppm = 10000,
     .age_max_ms = 90},
    {.name = "pauses",
     .before_ms = 40,
     .after_ms = 40,
     .pauses = true,
     .jitter_ms = 30,
     .age_max_ms = 30},

    {.name = "stall 50", .before_ms = 20, .after_ms = 20, .stall_ms = 50, .age_max_ms = 50},
    {.name = "stall 150", .before_ms = 20, .after_ms = 20, .stall_ms = 150, .age_max_ms = 150},
    {.name = "stall 300",
     .before_ms = 20,
     .after_ms = 20,
     .stall_ms = 300,
     .dropped_min = 7,
     .dropped_max = 8,
     .age_max_ms = 150},
    {.name = "stall 1000",
     .before_ms = 20,
     .after_ms = 20,
     .stall_ms = 1000,
     .dropped_min = 42,
     .dropped_max = 43,
     .age_max_ms = 150},
    {.name = "stall 3000",
     .before_ms = 20,
     .after_ms = 20,
     .stall_ms = 3000,
     .dropped_min = 142,
     .dropped_max = 143,
     .age_max_ms = 150},
    {.name = "stall 1000, jitter",
     .before_ms = 20,
     .after_ms = 20,
     .jitter_ms = 30,
     .in_order = true,
     .stall_ms = 1000,
     .dropped_min = 40,
     .dropped_max = 44,
     .age_max_ms = 180},
    {.name = "stall 400, drained at triple pace",
     .before_ms = 20,
     .after_ms = 20,
     .stall_ms = 400,
     .drain_percent = 300,
     .dropped_min = 16,
     .dropped_max = 20,
     .age_max_ms = 150},
    {.name = "stall 400, drained at one and a half",
     .before_ms = 20,
     .after_ms = 20,
     .stall_ms = 400,
     .drain_percent = 150,
     .dropped_min = 30,
     .dropped_max = 42,
     .age_max_ms = 150},
    {.name = "stall 600 with pauses",
     .before_ms = 20,
     .after_ms = 20,
     .stall_ms = 600,
     .pauses = true,
     .dropped_min = 1,
     .dropped_max = 24,
     .age_max_ms = 150},

    {.name = "to a longer way", .before_ms = 10, .after_ms = 120},
    {.name = "to a longer way, jitter",
     .before_ms = 10,
     .after_ms = 120,
     .jitter_ms = 30,
     .age_max_ms = 30},
    {.name = "to a much longer way", .before_ms = 10, .after_ms = 155},
    {.name = "to a shorter way", .before_ms = 120, .after_ms = 10},
    /* who is overtaken by that much has nothing left to say */
    {.name = "to a much shorter way",
     .before_ms = 500,
     .after_ms = 10,
     .dropped_min = 24,
     .dropped_max = 24},
    {.name = "to the moon", .before_ms = 10, .after_ms = 400, .dropped_min = 2, .dropped_max = 4},
    {.name = "to the moon, jitter",
     .before_ms = 10,
     .after_ms = 400,
     .jitter_ms = 20,
     .dropped_min = 2,
     .dropped_max = 12,
     .age_max_ms = 20},

    /* What waited is measured by the way before, until the new one is known. */
    {.name = "longer, and a stall",
     .before_ms = 10,
     .after_ms = 120,
     .stall_ms = 300,
     .dropped_min = 8,
     .dropped_max = 14,
     .age_max_ms = 150},
    {.name = "shorter, and a stall",
     .before_ms = 120,
     .after_ms = 10,
     .stall_ms = 300,
     .dropped_min = 2,
     .dropped_max = 8,
     .age_max_ms = 260},
};

struct frame {
    int number;
    uint64_t sent_us, arrived_us;
};

static int by_arrival(const void *a, const void *b)
{
    const struct frame *one = a, *two = b;
    if (one->arrived_us != two->arrived_us)
        return one->arrived_us < two->arrived_us ? -1 : 1;
    return one->number - two->number;
}

static bool is_paused(const struct pattern *pattern, int ms)
{
    return pattern->pauses && ms % 1000 >= 400;
}

/* When each packet arrives. Returns how many there are. */
static int lay_out(const struct pattern *pattern, struct frame *frames)
{
    unsigned seed = 42;
    int count = 0;
    uint64_t line_free_us = 0, last_us = 0;
    for (int i = 0; i < FRAMES; i++) {
        int ms = i * FRAME_MS;
        if (is_paused(pattern, ms))
            continue;
        seed = seed * 1103515245 + 12345;
        int way_ms = ms < CHANGE_MS ? pattern->before_ms : pattern->after_ms;
        uint64_t sent_us = 1000000 + (uint64_t)ms * 1000;
        uint64_t at = sent_us + (uint64_t)way_ms * 1000;
        if (pattern->jitter_ms)
            at += (seed >> 8) % (unsigned)(pattern->jitter_ms * 1000);
        uint64_t free_us = 1000000u + (unsigned)(CHANGE_MS + pattern->stall_ms) * 1000u +
                           (unsigned)pattern->after_ms * 1000u;
        if (pattern->stall_ms && ms >= CHANGE_MS && at < free_us)
            at = free_us;
        if (pattern->stall_ms && pattern->drain_percent && ms >= CHANGE_MS) {
            if (at < line_free_us)
                at = line_free_us;
            line_free_us = at + FRAME_MS * 1000 * 100 / (unsigned)pattern->drain_percent;
        }
        if (pattern->in_order && at < last_us)
            at = last_us;
        last_us = at;
        frames[count++] = (struct frame){.number = i, .sent_us = sent_us, .arrived_us = at};
    }
    qsort(frames, (size_t)count, sizeof *frames, by_arrival);
    return count;
}

static void play(const struct pattern *pattern)
{
    struct frame frames[FRAMES];
    struct transit transit = {0};
    int count = lay_out(pattern, frames), dropped = 0, oldest_ms = 0;
    int clock_hz = pattern->clock_hz ? pattern->clock_hz : 8000;
    double pace = clock_hz / 1000.0 * FRAME_MS * (1 - pattern->drift_ppm / 1e6);
    for (int i = 0; i < count; i++) {
        const struct frame *frame = &frames[i];
        uint32_t timestamp = pattern->timestamp + (uint32_t)(frame->number * pace);
        int way_ms = frame->number * FRAME_MS < CHANGE_MS ? pattern->before_ms : pattern->after_ms;
        int age_ms = (int)((frame->arrived_us - frame->sent_us) / 1000) - way_ms;
        if (transit_is_late(&transit, timestamp, clock_hz, frame->arrived_us))
            dropped++;
        else if (age_ms > oldest_ms)
            oldest_ms = age_ms;
    }
    print_message("%s: %d dropped, the oldest played is %d ms old\n", pattern->name, dropped,
                  oldest_ms);
    assert_in_range(dropped, pattern->dropped_min, pattern->dropped_max);
    assert_true(oldest_ms <= pattern->age_max_ms);
}

static void only_what_is_late_is_dropped(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(patterns); i++)
        play(&patterns[i]);
}

/* One stall after the other: each burst ends with a packet that is on time. */
static void stalls_in_a_row_make_nothing_usual(void **state)
{
    struct transit transit = {0};
    int played = 0;
    (void)state;
    for (unsigned burst = 1; burst <= 20; burst++)
        for (unsigned i = 0; i < 25; i++) {
            unsigned number = (burst - 1) * 25 + i;
            played += !transit_is_late(&transit, 160 * number, 8000, burst * 500000);
        }
    /* The first burst tells what is usual; of the others those within the bound are played. */
    assert_in_range(played, 25 + 19 * 8, 25 + 19 * 9);
}

static void another_stream_begins_anew(void **state)
{
    struct transit transit = {0};
    (void)state;
    for (unsigned i = 0; i < 50; i++)
        assert_false(transit_is_late(&transit, 160 * i, 8000, 20000 * i));
    transit_reset(&transit);
    assert_false(transit_is_late(&transit, 160 * 30, 8000, 20000 * 50));
    /* A leap of the time line is no delay either, nor is another clock. */
    for (unsigned i = 0; i < 50; i++)
        assert_false(transit_is_late(&transit, 0x80000000 + 160 * i, 8000, 20000 * (51 + i)));
    assert_false(transit_is_late(&transit, 0x80000000 + 48, 48000, 20000 * 101));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_is_late_is_dropped),
        cmocka_unit_test(stalls_in_a_row_make_nothing_usual),
        cmocka_unit_test(another_stream_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
