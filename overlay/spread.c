#include "overlay/spread.h"

#include "overlay/core_internal.h"

#include <string.h>

/* One that is accused in error is back by then, and nothing has to move. */
#define SETTLE_MS 1000
#define SETTLE_SPREAD_MS 500
/* But one that comes and goes all the time must not keep the others waiting. */
#define UNSETTLED_MAX_MS 5000
/* All that is held is looked at after so long, whatever may have happened. */
#define AGAIN_MS 60000
/* Some could not be sent: until its holder has a link, or is known to be down. */
#define FAILED_MS 1000
/* A new holder hears many records: so many at a time. */
#define STEP_MS 50
#define STEP_SENT 60
#define STEP_NAMES 5000

/* ---- one record -------------------------------------------------------------------------------
 */

static int send_to(struct core *core, struct member *holder, const Sallyport__SignedRecord *wire)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Publish publish = SALLYPORT__PUBLISH__INIT;
    Sallyport__SignedRecord *list[] = {(Sallyport__SignedRecord *)wire};

    publish.records = list;
    publish.n_records = 1;
    publish.forwarded = true;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_PUBLISH;
    envelope.publish = &publish;
    return fellow_send(core, holder, &envelope);
}

/* Who was told: this member, in this life, since something to it was lost last. */
static uint64_t life_of(const struct member *member)
{
    return member->hash ^ member->instance ^ ((uint64_t)member->losses << 32);
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
        uint64_t life = life_of(holders[i]);
        bool is_known = holders[i]->is_self || has(told, life);
        if (!is_known && send_to(core, holders[i], wire) < 0) {
            spread_soon(core);
            continue;
        }
        sent += !is_known;
        now_told[i] = life;
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

void spread_held(struct core *core, const char *name, uint64_t told[HOLDERS])
{
    struct member *holders[HOLDERS];
    int count = members_rank(core, members_key(name), holders);

    for (int i = 0; i < HOLDERS; i++)
        told[i] = i < count ? life_of(holders[i]) : 0;
}

/* ---- all of them ------------------------------------------------------------------------------
 */

struct round {
    struct core *core;
    int sent;
};

/* Of those that held it before, are we the first one that lives? */
static bool is_ours_to_hand_on(const struct core *core, const uint64_t told[HOLDERS])
{
    const struct members *members = core->members;

    for (int i = 0; i < HOLDERS; i++) {
        if (told[i] == life_of(members->self))
            return true;
        for (int k = 0; told[i] && k < members->live_count; k++)
            if (life_of(members->live[k]) == told[i])
                return false;
    }
    return false;
}

static bool look_at(void *ctx, const struct directory_answer *held)
{
    struct round *round = ctx;
    Sallyport__SignedRecord wire = SALLYPORT__SIGNED_RECORD__INIT;

    if (!held->is_withdrawn && !client_find(round->core, held->node) &&
        !is_ours_to_hand_on(round->core, held->told)) {
        spread_held(round->core, held->name, held->told);
        return true;
    }
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
    core->spread_by_ms = 0;
    bool is_done =
        directory_walk(core->directory, core->io.time_s(core->io.ctx), STEP_NAMES, look_at, &round);
    core_timer_set(core, &core->spread_timer,
                   core_now(core) + (!is_done              ? STEP_MS
                                     : core->spread_is_due ? FAILED_MS
                                                           : AGAIN_MS));
    if (is_done)
        core->spread_is_due = false;
}

void spread_open(struct core *core)
{
    core_timer_init(&core->spread_timer, on_step, core);
    core_timer_set(core, &core->spread_timer, core_now(core) + AGAIN_MS);
}

void spread_soon(struct core *core)
{
    uint64_t at_ms = core_now(core) + FAILED_MS;

    core->spread_is_due = true; /* once more, when a walk is going on */
    if (core->spread_timer.at_ms > at_ms)
        core_timer_set(core, &core->spread_timer, at_ms);
}

void spread_members_changed(struct core *core)
{
    uint64_t at_ms = core_now(core) + SETTLE_MS + core_random(core, SETTLE_SPREAD_MS);

    directory_walk_anew(core->directory);
    if (core->spread_by_ms == 0)
        core->spread_by_ms = core_now(core) + UNSETTLED_MAX_MS;
    core_timer_set(core, &core->spread_timer,
                   at_ms < core->spread_by_ms ? at_ms : core->spread_by_ms);
}
