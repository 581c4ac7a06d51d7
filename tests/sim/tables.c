#include "tests/sim/tables.h"

#include "conf/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct {
    const char *name;
    void (*print)(const struct table_size *size);
} tables[] = {

    {"cost", table_cost},           {"day", table_day},
    {"churn", table_churn},         {"split", table_split},
    {"byzantine", table_byzantine},
};
#define TABLES ((int)(sizeof tables / sizeof tables[0]))

double table_cpu_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

struct sim_node *table_supernode(const struct crowd *crowd, const char *address)
{
    struct sim_node *node;

    HASH_FIND_STR(crowd->world.listeners, address, node);
    return node;
}

static void print(int table, const struct table_size *size)
{
    double start_s = table_cpu_s();

    sim_story = tables[table].name;
    printf("== %s (seed %llu)\n", tables[table].name, (unsigned long long)size->seed);
    tables[table].print(size);
    printf("   (%.0f s of CPU)\n\n", table_cpu_s() - start_s);
}

static int usage(const char *program)
{
    fprintf(stderr,
            "%s [smoke | full | TABLE [GATEWAYS [SUPERNODES [SEED]]]], TABLE one of:", program);
    for (int i = 0; i < TABLES; i++)
        fprintf(stderr, " %s", tables[i].name);
    fprintf(stderr, "\n");
    return 2;
}

int main(int argc, char **argv)
{
    struct table_size size = {.seed = 1, .extent = TABLE_MODERATE};
    const char *what = argc > 1 ? argv[1] : "all";
    int printed = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    log_set_level(LOG_OVERLAY, LOG_ERROR);
    if (strcmp(what, "smoke") == 0)
        size.extent = TABLE_SMOKE;
    if (strcmp(what, "full") == 0)
        size.extent = TABLE_FULL;
    bool is_all = size.extent != TABLE_MODERATE || strcmp(what, "all") == 0;
    size.gateways = argc > 2 ? atoi(argv[2]) : 0;
    size.supernodes = argc > 3 ? atoi(argv[3]) : 0;
    if (argc > 4)
        size.seed = strtoull(argv[4], NULL, 10);
    for (int i = 0; i < TABLES; i++) {
        if (!is_all && strcmp(what, tables[i].name) != 0)
            continue;
        print(i, &size);
        printed++;
    }
    sim_identities_free();
    return printed > 0 ? 0 : usage(argv[0]);
}
