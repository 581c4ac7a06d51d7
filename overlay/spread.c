#include "overlay/spread.h"

#include "overlay/core_internal.h"

#include <string.h>

/* One that is accused in error is back by then, and nothing has to move. */
#define SETTLE_MS 1000
#define SETTLE_SPREAD_MS 500
/* What did not arrive, for whatever reason, is sent again after so long. */
#define AGAIN_MS 60000
/* A new holder hears many records: so many at a time. */
#define STEP_MS 50
#define STEP_SENT 60
#define STEP_NAMES 5000

/* ---- one record -------------------------------------------------------------------------------
 */

static void send_to(struct core *core, struct member *holder, const Sallyport__SignedRecord *wire)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Publish publish = SALLYPORT__PUBLISH__INIT;
    Sallyport__SignedRecord *list[] = {(Sallyport__SignedRecord *)wire};

    publish.records = list;
    publish.n_records = 1;
    publish.forwarded = true;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_PUBLISH;
    envelope.publish = &publish;
    (void)fellow_send(core, holder, &envelope);
}

static bool has(const uint64_t told[HOLDERS], uint64_t hash)
{
    return told[0] == hash || told[1] == hash || told[2] == hash;
}

/* To the holders that were not told of it; returns how many. */
static int tell(struct core *core, const char *name, const Sallyport__SignedRecord *wire,
                uint64_t told[HOLDERS])
{
    struct member *holders[HOLDERS];
    uint64_t now_told[HOLDERS] = {0};
    int count = members_rank(core, members_key(name), holders), sent = 0;

    for (int i = 0; i < count; i++) {
        now_told[i] = holders[i]->hash;
        if (holders[i]->is_self || has(told, holders[i]->hash))
            continue;
        send_to(core, holders[i], wire);
        sent++;
    }
    memcpy(told, now_told, sizeof now_told);
    return sent;
}

void spread_record(struct core *core, const char *name, const Sallyport__SignedRecord *wire,
                   uint64_t told[HOLDERS])
{
    memset(told, 0, HOLDERS * sizeof told[0]);
    tell(core, name, wire, told);
}

void spread_withdrawn(struct core *core, const char *name, uint64_t told[HOLDERS])
{
    struct member *holders[HOLDERS];
    int count = members_rank(core, members_key(name), holders);

    memset(told, 0, HOLDERS * sizeof told[0]);
    for (int i = 0; i < count; i++)
        told[i] = holders[i]->hash;
}

/* ---- all of them ------------------------------------------------------------------------------
 */

struct round {
    struct core *core;
    int sent;
};

static bool is_own(const struct core *core, const uint8_t *node)
{
    struct peer *client;

    HASH_FIND(hh_node, core->clients, node, OVERLAY_NODE_ID_BYTES, client);
    return client != NULL;
}

static bool look_at(void *ctx, const struct directory_answer *held)
{
    struct round *round = ctx;
    Sallyport__SignedRecord wire = SALLYPORT__SIGNED_RECORD__INIT;

    if (!held->is_withdrawn && !is_own(round->core, held->node))
        return true;
    wire.record = held->record;
    wire.signature = held->signature;
    round->sent += tell(round->core, held->name, &wire, held->told);
    return round->sent < STEP_SENT;
}

static void on_step(void *owner)
{
    struct core *core = owner;
    struct round round = {.core = core};

    if (!core->members)
        return;
    bool is_done =
        directory_walk(core->directory, core->io.time_s(core->io.ctx), STEP_NAMES, look_at, &round);
    core_timer_set(core, &core->spread_timer, core_now(core) + (is_done ? AGAIN_MS : STEP_MS));
}

void spread_open(struct core *core)
{
    core_timer_init(&core->spread_timer, on_step, core);
    core_timer_set(core, &core->spread_timer, core_now(core) + AGAIN_MS);
}

void spread_members_changed(struct core *core)
{
    directory_walk_anew(core->directory);
    core_timer_set(core, &core->spread_timer,
                   core_now(core) + SETTLE_MS + core_random(core, SETTLE_SPREAD_MS));
}

static void forget_told(uint64_t told[HOLDERS], uint64_t hash)
{
    for (int i = 0; i < HOLDERS; i++)
        if (told[i] == hash)
            told[i] = 0;
}

static bool forget(void *ctx, const struct directory_answer *held)
{
    forget_told(held->told, ((const struct member *)ctx)->hash);
    return true;
}

void spread_member_forgot(struct core *core, const struct member *member)
{
    directory_each(core->directory, core->io.time_s(core->io.ctx), forget, (void *)member);
    spread_members_changed(core);
}
