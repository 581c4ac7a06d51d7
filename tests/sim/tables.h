/* tests/sim/tables.h: what a realm costs and bears, in numbers, by simulation.
 *
 *     tables                         all five at a moderate size
 *     tables full                    all five at the largest sizes that take minutes
 *     tables smoke                   all five, tiny: a test
 *     tables day 10000 20 7          one of them: gateways, supernodes, seed
 *
 * Each prints its settings and its seed, and dies when what was promised is not so. The core is the
 * real one, unchanged; what is modelled is the network (delays of 10 to 150 ms by distance) and,
 * where it is said, what accepting connections costs. Private to tests/sim.
 */
#ifndef TESTS_SIM_TABLES_H
#define TESTS_SIM_TABLES_H

#include "tests/sim/crowd.h"

struct table_size {
    int gateways, supernodes; /* 0: the table's own choice */
    uint64_t seed;
    enum { TABLE_SMOKE, TABLE_MODERATE, TABLE_FULL } extent;
};

void table_cost(const struct table_size *size);
void table_day(const struct table_size *size);
void table_churn(const struct table_size *size);
void table_split(const struct table_size *size);
void table_byzantine(const struct table_size *size);

/* Seconds of CPU that this process has used. */
double table_cpu_s(void);
/* The supernode at this address; NULL: none. */
struct sim_node *table_supernode(const struct crowd *crowd, const char *address);

#endif
