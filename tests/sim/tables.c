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
static const char *const extents[] = {
    [TABLE_SMOKE] = "smoke ", [TABLE_MODERATE] = "", [TABLE_FULL] = "full "};
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

    static char story[64]; /* as it is run alone, but for the seed */

    snprintf(story, sizeof story, "%s%s %d %d", extents[size->extent], tables[table].name,
             size->gateways, size->supernodes);
    sim_story = story;
    printf("== %s (seed %llu)\n", tables[table].name, (unsigned long long)size->seed);
    tables[table].print(size);
    printf("   (%.0f s of CPU)\n\n", table_cpu_s() - start_s);
}

static int usage(const char *program)
{
    fprintf(stderr,
            "%s [smoke | full] [TABLE [GATEWAYS [SUPERNODES [SEED]]]], 0: as many as usual, "
            "TABLE one of:",
            program);
    for (int i = 0; i < TABLES; i++)
        fprintf(stderr, " %s", tables[i].name);
    fprintf(stderr, "\n");
    return 2;
}

int main(int argc, char **argv)
{
    struct table_size size = {.seed = 1, .extent = TABLE_MODERATE};
    int printed = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    log_set_level(LOG_OVERLAY, LOG_ERROR);
    if (argc > 1 && strcmp(argv[1], "smoke") == 0)
        size.extent = TABLE_SMOKE;
    if (argc > 1 && strcmp(argv[1], "full") == 0)
        size.extent = TABLE_FULL;
    char **args = argv + (size.extent == TABLE_MODERATE ? 1 : 2);
    int count = argc - (int)(args - argv);
    size.gateways = count > 1 ? atoi(args[1]) : 0;
    size.supernodes = count > 2 ? atoi(args[2]) : 0;
    if (count > 3)
        size.seed = strtoull(args[3], NULL, 10);
    for (int i = 0; i < TABLES; i++) {
        if (count > 0 && strcmp(args[0], tables[i].name) != 0)
            continue;
        print(i, &size);
        printed++;
    }
    sim_identities_free();
    return printed > 0 ? 0 : usage(argv[0]);
}
