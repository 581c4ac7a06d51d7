/* tests/sim/scene.h: the worlds that most stories start from, and the loop over seeds.
 *
 * Private to tests/sim.
 */
#ifndef TESTS_SIM_SCENE_H
#define TESTS_SIM_SCENE_H

#include "tests/sim/world.h"

/* Two supernodes linked to each other, two gateways attached to both. */
struct scene {
    struct world world;
    struct sim_node *one, *two; /* supernodes */
    struct sim_node *berlin, *paris;
};
void scene_open(struct scene *scene, uint64_t seed);
/* The same, but each gateway knows one supernode only: berlin `one`, paris `two`. */
void scene_open_apart(struct scene *scene, uint64_t seed);
/* Waits until all that goes on is over, checks that nothing is left, frees. */
void scene_close(struct scene *scene);

/* The supernode that is `node`'s home (0) or standby (1) now. */
struct sim_node *scene_home(struct scene *scene, struct sim_node *node, int which);

/* A call that must be there. */
struct sim_call *scene_call(struct sim_node *node, const char *to);

/* Runs story(seed) for 1 … count, or only for the seed given as the program's argument. */
void scene_seeds(int argc, char **argv, const char *name, void (*story)(uint64_t seed),
                 uint64_t count);

#endif
