/* tests/sim/realm_checks.h: what must be so in any world, looked at from outside.
 *
 * Private to tests/sim.
 */
#ifndef TESTS_SIM_REALM_CHECKS_H
#define TESTS_SIM_REALM_CHECKS_H

#include "tests/sim/world.h"

/* It lives and serves as a supernode. */
bool sim_serves(const struct sim_node *node);
/* How many links to home or standby it has that are not dead without its knowing. */
int sim_living_homes(const struct sim_node *node);

/* Each supernode that serves knows of all others that do, and of nobody else: the same ring. */
bool realm_is_agreed(const struct world *world);
/* One is about to serve no more. */
bool realm_is_changing(const struct world *world);

/* No supernode holds more clients than it has seats. */
void realm_check_seats(struct world *world);
/* Each record that is held was signed by a node of this world for a name that is its own; judged
 * by the names of the nodes, not by what the core thinks of their certificates. */
void realm_check_records(struct world *world);

#endif
