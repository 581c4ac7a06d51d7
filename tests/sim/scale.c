/* What a realm of many nodes costs, in a table: `scale [gateways [supernodes [seed]]]`.
 *
 * Without arguments 100, 1000 and 10000 gateways. Not a test: it asserts nothing but that all
 * gateways come to be attached.
 */
#include "conf/log.h"
#include "tests/sim/crowd.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define START_MS 10000
#define STEADY_MS 60000
#define PER_SUPERNODE 500 /* gateways, unless said otherwise */

static double seconds(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Of this process: other work of the machine does not count. */
static double cpu_s(void)
{
    return seconds(CLOCK_PROCESS_CPUTIME_ID);
}

static void report_memory(struct crowd *crowd)
{
    size_t all_bytes = mallinfo2().uordblks;

    printf("memory: %zu bytes a gateway in all, %zu of it its core\n",
           all_bytes / (size_t)crowd->gateway_count, crowd_core_bytes(crowd, 20));
    crowd_wait_standby(crowd, 30000);
}

static void report_steady(struct crowd *crowd)
{
    world_count_anew(&crowd->world);
    world_run(&crowd->world, STEADY_MS);
    struct crowd_rate rate = crowd_rate(crowd);
    printf("per supernode: in %.1f frames/s %.0f bytes/s, out %.1f frames/s %.0f bytes/s; "
           "the busiest %.1f frames/s %.0f bytes/s\n",
           rate.in_frames, rate.in_bytes, rate.out_frames, rate.out_bytes, rate.most_frames,
           rate.most_bytes);
    crowd_print_kinds(crowd);
}

static void report_calls(struct crowd *crowd, int count)
{
    double start_s = cpu_s();
    struct crowd_calls calls = crowd_call(crowd, count, 10000, 5000);

    printf("calls: %d, answered %d; ringing after %llu ms, 95 %% within %llu, 99 %% within %llu "
           "(%.1f s of CPU)\n",
           calls.begun, calls.answered, (unsigned long long)calls.ringing_ms[0],
           (unsigned long long)calls.ringing_ms[1], (unsigned long long)calls.ringing_ms[2],
           cpu_s() - start_s);
}

static void run(int gateways, int supernodes, uint64_t seed)
{
    struct crowd_settings settings = {supernodes, gateways, seed, 0, 0};
    double start_s = seconds(CLOCK_MONOTONIC), start_cpu_s = cpu_s();
    struct crowd crowd;

    crowd_open(&crowd, &settings);
    printf("== %d gateways, %d supernodes: made in %.1f s (CPU)\n", gateways, supernodes,
           cpu_s() - start_cpu_s);
    crowd_start(&crowd, START_MS);
    sim_check(&crowd.world, crowd_wait_attached(&crowd, 60000));
    int standby = crowd_wait_standby(&crowd, 30000);
    printf("attached, %d with standby, after %.1f s (CPU); %llu frames\n", standby,
           cpu_s() - start_cpu_s, (unsigned long long)crowd.world.frames);
    report_memory(&crowd);
    report_steady(&crowd);
    report_calls(&crowd, gateways < 1000 ? gateways : 1000);
    printf("in all %.1f s (CPU), %.1f s by the wall\n", cpu_s() - start_cpu_s,
           seconds(CLOCK_MONOTONIC) - start_s);
    crowd_close(&crowd);
}

int main(int argc, char **argv)
{
    static const int sizes[] = {100, 1000, 10000};
    int gateways = argc > 1 ? atoi(argv[1]) : 0;
    int supernodes = argc > 2 ? atoi(argv[2]) : 0;
    uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;

    setvbuf(stdout, NULL, _IOLBF, 0);
    log_set_level(LOG_OVERLAY, LOG_ERROR);
    for (int i = 0; i < (gateways > 0 ? 1 : 3); i++) {
        int count = gateways > 0 ? gateways : sizes[i];
        run(count, supernodes > 0 ? supernodes : 4 + count / PER_SUPERNODE, seed);
    }
    sim_identities_free();
    return 0;
}
