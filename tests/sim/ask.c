/* Look-ups that are made without a call. */
#include "overlay/core_internal.h"
#include "tests/sim/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct running {
    struct sim_ask ask;
    struct lookup lookup;
};

static void on_done(struct lookup *lookup, int error, struct record_list *found)
{
    struct sim_ask *ask = lookup->owner;
    struct world *world = ask->node->world;

    ask->is_over = true;
    ask->error = error;
    ask->took_ms = world->now_ms - ask->start_ms;
    ask->count = found->count;
    ask->is_found = found->count > 0 && !ask->wanted;
    for (int i = 0; i < found->count && ask->wanted; i++)
        ask->is_found |=
            memcmp(found->record[i]->certificate.node,
                   identity_certificate(ask->wanted->identity)->node, OVERLAY_NODE_ID_BYTES) == 0;
    record_list_fini(found);
}

struct sim_ask *sim_ask_new(struct sim_node *node, const char *name, const struct sim_node *wanted,
                            bool is_fresh)
{
    struct running *running = core_alloc(sizeof *running);
    struct sim_ask *ask = &running->ask;

    ask->node = node;
    ask->wanted = wanted;
    ask->start_ms = node->world->now_ms;
    STAILQ_INSERT_TAIL(&node->world->asks, ask, next);
    running->lookup.done = on_done;
    running->lookup.owner = ask;
    lookup_start(node->core, &running->lookup, name, is_fresh);
    return ask;
}

void asks_forget(struct sim_node *node)
{
    struct lookup *lookup, *after;

    HASH_ITER(hh, node->core->lookups, lookup, after)
    {
        if (lookup->done != on_done)
            continue;
        struct sim_ask *ask = lookup->owner;
        ask->is_over = ask->was_stopped = true;
        ask->error = -ECANCELED;
        lookup_stop(lookup);
    }
}

void world_forget_asks(struct world *world)
{
    struct sim_asks kept = STAILQ_HEAD_INITIALIZER(kept);
    struct sim_ask *ask;

    while ((ask = STAILQ_FIRST(&world->asks))) {
        STAILQ_REMOVE_HEAD(&world->asks, next);
        if (ask->is_over)
            free(ask); /* the first part of its struct running */
        else
            STAILQ_INSERT_TAIL(&kept, ask, next);
    }
    STAILQ_CONCAT(&world->asks, &kept);
}
