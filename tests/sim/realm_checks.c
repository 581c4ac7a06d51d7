#include "tests/sim/realm_checks.h"

#include "overlay/core_internal.h"
#include "tests/sim/wire.h"

#include <stdlib.h>
#include <string.h>

bool sim_serves(const struct sim_node *node)
{
    return node->core && node->core->members;
}

int sim_living_homes(const struct sim_node *node)
{
    int count = 0;

    for (int i = 0; node->core && i < node->core->upstream_count; i++) {
        const struct peer *peer = node->core->upstream[i];
        struct wire_end *end = peer->other ? NULL : wire_find((struct sim_node *)node, peer->link);
        if (peer->other) {
            count++; /* itself */
            continue;
        }
        if (!end || end->wire->is_stalled)
            continue;
        count += wire_end_is_alive(end->wire, end == &end->wire->end[0]);
    }
    return count;
}

/* ---- who knows whom ---------------------------------------------------------------------------
 */

static const uint8_t *id_of(const struct sim_node *node)
{
    return identity_certificate(node->identity)->node;
}

static int compare(const void *left, const void *right)
{
    return memcmp(*(const uint8_t *const *)left, *(const uint8_t *const *)right,
                  OVERLAY_NODE_ID_BYTES);
}

static bool knows_these(const struct core *core, const uint8_t *const *ids, int count)
{
    if (core->members->live_count != count)
        return false;
    for (int i = 0; i < count; i++)
        if (memcmp(core->members->live[i]->node, ids[i], OVERLAY_NODE_ID_BYTES) != 0)
            return false;
    return true;
}

bool realm_is_agreed(const struct world *world)
{
    const uint8_t **ids = core_alloc((size_t)world->node_count * sizeof *ids);
    bool is_so = true;
    int count = 0;

    for (int i = 0; i < world->node_count; i++)
        if (sim_serves(world->nodes[i]))
            ids[count++] = id_of(world->nodes[i]);
    qsort(ids, (size_t)count, sizeof *ids, compare);
    for (int i = 0; i < world->node_count && is_so; i++)
        if (sim_serves(world->nodes[i]))
            is_so = knows_these(world->nodes[i]->core, ids, count);
    free(ids);
    return is_so;
}

bool realm_is_changing(const struct world *world)
{
    for (int i = 0; i < world->node_count; i++)
        if (world->nodes[i]->core && world->nodes[i]->core->is_retiring)
            return true;
    return false;
}

/* ---- seats and records ------------------------------------------------------------------------
 */

void realm_check_seats(struct world *world)
{
    for (int i = 0; i < world->node_count; i++) {
        const struct core *core = world->nodes[i]->core;
        if (!core)
            continue;
        unsigned count = 0;
        for (const struct peer *client = core->clients; client; client = client->hh_node.next)
            count += !client->other;
        sim_check(world, count == core->client_count);
        sim_check(world, count <= core->seats || !core->is_supernode);
    }
}

static bool check_record(void *ctx, const struct directory_answer *held)
{
    struct world *world = ctx;
    const struct certificate *certificate = NULL;

    for (int i = 0; i < world->node_count && !certificate; i++)
        if (memcmp(id_of(world->nodes[i]), held->node, OVERLAY_NODE_ID_BYTES) == 0)
            certificate = identity_certificate(world->nodes[i]->identity);
    sim_check(world, certificate);
    bool is_own = strcmp(certificate->site, held->name) == 0;
    for (int i = 0; i < certificate->number_count; i++)
        is_own |= strcmp(certificate->numbers[i], held->name) == 0;
    sim_check(world, is_own);
    return true;
}

void realm_check_records(struct world *world)
{
    for (int i = 0; i < world->node_count; i++) {
        const struct core *core = world->nodes[i]->core;
        if (core)
            directory_each(core->directory, 0, check_record, world);
    }
}
