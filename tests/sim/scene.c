#include "tests/sim/scene.h"

#include "conf/log.h"
#include "overlay/core_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void make_nodes(struct scene *scene, uint64_t seed)
{
    struct world *world = &scene->world;

    world_init(world, seed);
    scene->one = world_supernode(world, "one");
    scene->two = world_supernode(world, "two");
    scene->berlin = world_gateway(world, "berlin");
    scene->paris = world_gateway(world, "paris");
    sim_node_knows(scene->two, scene->one);
}

static void start(struct scene *scene)
{
    struct world *world = &scene->world;

    for (int i = 0; i < world->node_count; i++)
        sim_node_start(world->nodes[i]);
    world_run(world, 2000);
    for (int i = 0; i < world->node_count; i++)
        sim_check(world, world->nodes[i]->is_told_attached);
}

void scene_open(struct scene *scene, uint64_t seed)
{
    make_nodes(scene, seed);
    for (int i = 0; i < 2; i++) {
        struct sim_node *gateway = i == 0 ? scene->berlin : scene->paris;
        sim_node_knows(gateway, scene->one);
        sim_node_knows(gateway, scene->two);
    }
    start(scene);
    sim_check(&scene->world, scene->berlin->core->upstream_count == 2);
    sim_check(&scene->world, scene->paris->core->upstream_count == 2);
}

void scene_open_apart(struct scene *scene, uint64_t seed)
{
    make_nodes(scene, seed);
    sim_node_knows(scene->berlin, scene->one);
    sim_node_knows(scene->paris, scene->two);
    start(scene);
}

void scene_close(struct scene *scene)
{
    struct sim_call *call;

    scene->world.faults = (struct sim_faults){0};
    STAILQ_FOREACH(call, &scene->world.calls, next)
    if (call->call && call->node->core && call->epoch == call->node->epoch)
        sim_call_end(call, CALL_NORMAL);
    world_run(&scene->world, 45000);
    world_check_calm(&scene->world);
    world_fini(&scene->world);
}

struct sim_node *scene_home(struct scene *scene, struct sim_node *node, int which)
{
    struct core *core = node->core;

    sim_check(&scene->world, core->upstream_count > which);
    return strcmp(core->upstream[which]->address, scene->one->address) == 0 ? scene->one
                                                                            : scene->two;
}

struct sim_call *scene_call(struct sim_node *node, const char *to)
{
    int error;
    struct sim_call *call = sim_call_new(node, to, &error);

    sim_check(node->world, call != NULL);
    return call;
}

void scene_seeds(int argc, char **argv, const char *name, void (*story)(uint64_t seed),
                 uint64_t count)
{
    uint64_t only = argc > 2 && strcmp(argv[1], name) == 0 ? strtoull(argv[2], NULL, 10) : 0;

    if (argc > 2 && !only)
        return;
    sim_story = name;
    log_set_level(LOG_OVERLAY, only ? LOG_DEBUG : LOG_ERROR);
    for (uint64_t seed = only ? only : 1; seed <= (only ? only : count); seed++)
        story(seed);
    printf("%s: %llu seeds\n", name, (unsigned long long)(only ? 1 : count));
}
