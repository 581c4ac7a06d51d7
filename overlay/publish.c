/* Node side of the directory: keeps our names published at home and standby. */
#include "overlay/core_internal.h"

#include <stdlib.h>
#include <string.h>

#define RECORD_LIFETIME_S 900
/* Homes often change in pairs: one publication tells both. */
#define SETTLE_MS 20
#define AGAIN_MIN_MS 300000
#define AGAIN_SPREAD_MS 150000
#define NAMES_MAX (1 + IDENTITY_NUMBERS_MAX)
/* Far above all that clocks make, far below the end: who is told of more is played with. */
#define SEQUENCE_TOLD_MAX (1ull << 53)
#define CORRECTIONS_PER_S 1
#define CORRECTIONS_BURST 10

static bool has_names(const struct core *core)
{
    return core->roles & (CONF_ROLE_GATEWAY | CONF_ROLE_CLIENT) && core->self->site[0];
}

static size_t sign_names(struct core *core, bool is_withdrawn, Sallyport__SignedRecord *records)
{
    struct record *record = core_alloc(sizeof *record);
    size_t count = 0;

    attach_homes(core, &record->homes);
    record->sequence = core_next_sequence(core);
    record->issued_s = core->io.time_s(core->io.ctx);
    record->lifetime_s = RECORD_LIFETIME_S;
    record->priority = core->priority;
    record->weight = core->weight;
    record->is_withdrawn = is_withdrawn;
    for (int i = -1; i < core->self->number_count; i++) {
        const char *name = i < 0 ? core->self->site : core->self->numbers[i];
        if (record_name_fold(name, record->name) == 0)
            record_sign(core->identity, record, &records[count++]);
    }
    free(record);
    return count;
}

static void publish(struct core *core, bool is_withdrawn)
{
    Sallyport__SignedRecord records[NAMES_MAX], *list[NAMES_MAX];
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Publish body = SALLYPORT__PUBLISH__INIT;

    if (!has_names(core) || core->upstream_count == 0)
        return;
    body.n_records = sign_names(core, is_withdrawn, records);
    for (size_t i = 0; i < body.n_records; i++)
        list[i] = &records[i];
    body.records = list;
    body.request = ++core->next_request;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_PUBLISH;
    envelope.publish = &body;
    for (int i = 0; i < core->upstream_count; i++)
        peer_send(core->upstream[i], &envelope);
    for (size_t i = 0; i < body.n_records; i++)
        record_signed_fini(&records[i]);
}

static void on_timer(void *owner)
{
    struct core *core = owner;

    publish(core, false);
    core_timer_set(core, &core->publish_timer,
                   core_now(core) + AGAIN_MIN_MS + core_random(core, AGAIN_SPREAD_MS));
}

void publish_open(struct core *core)
{
    core_timer_init(&core->publish_timer, on_timer, core);
}

void publish_soon(struct core *core)
{
    if (!has_names(core))
        return;
    if (core->upstream_count == 1) /* the first home: we can be found from now on */
        publish(core, false);
    core_timer_set(core, &core->publish_timer,
                   core_now(core) + (core->upstream_count == 1 ? AGAIN_MIN_MS : SETTLE_MS));
}

void publish_withdraw(struct core *core)
{
    core_timer_stop(core, &core->publish_timer);
    publish(core, true);
}

void publish_on_published(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope)
{
    const Sallyport__Published *published = envelope->published;

    if (published->refused[0] == '\0')
        return;
    if (!bucket_take(&core->corrections, core_now(core), CORRECTIONS_PER_S, CORRECTIONS_BURST)) {
        core->malformed++;
        return;
    }
    if (published->sequence > core->sequence && published->sequence < SEQUENCE_TOLD_MAX &&
        !core->is_leaving) {
        core->sequence = published->sequence;
        publish_soon(core);
        return;
    }
    core_complain(core, COMPLAINT_PUBLISHED, "supernode %s refused one of our names: %.120s",
                  peer->address, published->refused);
}
