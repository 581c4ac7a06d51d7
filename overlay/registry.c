/* Supernode side of publishing: keeps what clients publish, and what it holds for the realm. */
#include "overlay/core_internal.h"
#include "overlay/spread.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PUBLISH_RECORDS_MAX 32
#define SWEEP_NAMES 1000 /* of the directory, at a time */
/* A record costs two signatures to check: what a node may publish, and what a fellow may hand on.
 */
#define CLIENT_RECORDS_PER_S 10
#define CLIENT_RECORDS_BURST 200
#define FELLOW_RECORDS_PER_S 2000
#define FELLOW_RECORDS_BURST 20000
/* Of one client, told by fellows. */
#define CORRECTIONS_PER_S 1
#define CORRECTIONS_BURST 5
/* A new fellow of version 1 hears of so many names of our clients now, of more when they are
 * published again. */
#define TELL_MAX 400
#define TELL_AT_ONCE 12

static bool may_publish(struct core *core, struct peer *peer)
{
    if (peer->role == &role_fellow)
        return bucket_take(&peer->records, core_now(core), FELLOW_RECORDS_PER_S,
                           FELLOW_RECORDS_BURST);
    return bucket_take(&peer->records, core_now(core), CLIENT_RECORDS_PER_S, CLIENT_RECORDS_BURST);
}

/* What is here to the letter was verified before. */
static bool is_held(struct core *core, const Sallyport__SignedRecord *wire)
{
    char name[OVERLAY_NAME_MAX];
    Sallyport__Record *record;
    bool is_so = false;

    if (wire->record.len > RECORD_BYTES_MAX)
        return false;
    record = sallyport__record__unpack(NULL, wire->record.len, wire->record.data);
    if (!record)
        return false;
    if (record_name_fold(record->name, name) == 0)
        is_so = directory_holds(core->directory, name, wire);
    sallyport__record__free_unpacked(record, NULL);
    return is_so;
}

/* Who has it from a client, hands it to those who hold its name: the home of whoever signed it. */
static void kept(struct core *core, struct peer *peer, const struct record *record,
                 const Sallyport__SignedRecord *wire)
{
    uint64_t *told = directory_told(core->directory, record->name, record->certificate.node);

    found_cache_drop(&core->found_cache, record->name);
    if (!told || !core->members)
        return;
    if (peer->role == &role_client || peer->version < 2)
        spread_record(core, record->name, wire, told);
    else
        spread_held(core, record->name, told);
}

/* 0: kept and new; 1: known already; else *why says it. */
static int keep(struct core *core, struct peer *peer, const Sallyport__SignedRecord *wire,
                Sallyport__Published *reply, char why[96])
{
    struct record *record;
    int result = -EACCES;

    if (is_held(core, wire))
        return 1;
    record = core_alloc(sizeof *record);
    if (!may_publish(core, peer)) {
        snprintf(why, 96, "too many records");
    } else if (record_verify(&core->trust, wire, core->io.time_s(core->io.ctx), record, why, 96)) {
        core_complain(core, COMPLAINT_RECORD, "a record from %s (%s) was refused: %s", peer->site,
                      peer->address, why);
    } else if (peer->role == &role_client &&
               memcmp(record->certificate.node, peer->node, OVERLAY_NODE_ID_BYTES) != 0) {
        snprintf(why, 96, "signed by another node");
    } else {
        uint64_t held = 0;
        result = directory_put(core->directory, record, wire, &held);
        if (result == -EALREADY)
            result = 1;
        if (result == 0)
            kept(core, peer, record, wire);
        if (result == -ESTALE) {
            snprintf(why, 96, "a newer one is known");
            reply->sequence = held;
            memcpy(reply->node.data, record->certificate.node, OVERLAY_NODE_ID_BYTES);
        } else if (result == -ENOSPC) {
            snprintf(why, 96, "too many records");
        }
    }
    core->malformed += result < 0 && result != -ESTALE;
    free(record);
    return result;
}

static void send_publish(struct peer *fellow, Sallyport__SignedRecord **records, size_t count)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Publish publish = SALLYPORT__PUBLISH__INIT;

    publish.records = records;
    publish.n_records = count;
    publish.forwarded = true;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_PUBLISH;
    envelope.publish = &publish;
    peer_send(fellow, &envelope);
}

/* Those of version 1 hold everything. */
static void hand_on(struct core *core, Sallyport__SignedRecord **records, size_t count)
{
    for (struct peer *fellow = core->fellows; fellow && count > 0; fellow = fellow->hh_node.next)
        if (fellow->version < 2)
            send_publish(fellow, records, count);
}

static void send_published(struct peer *peer, const Sallyport__Published *published)
{
    Sallyport__Envelope reply = SALLYPORT__ENVELOPE__INIT;

    reply.body_case = SALLYPORT__ENVELOPE__BODY_PUBLISHED;
    reply.published = (Sallyport__Published *)published;
    peer_send(peer, &reply);
}

void registry_on_publish(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope)
{
    const Sallyport__Publish *publish = envelope->publish;
    Sallyport__Published published = SALLYPORT__PUBLISHED__INIT;
    Sallyport__SignedRecord *fresh[PUBLISH_RECORDS_MAX];
    uint8_t node[OVERLAY_NODE_ID_BYTES];
    size_t fresh_count = 0;
    char why[96], refused[96] = "";

    published.node.data = node;
    for (size_t i = 0; i < publish->n_records && i < PUBLISH_RECORDS_MAX; i++) {
        int result = keep(core, peer, publish->records[i], &published, why);
        if (result >= 0)
            published.accepted++;
        else if (refused[0] == '\0')
            strcpy(refused, why);
        if (result == 0)
            fresh[fresh_count++] = publish->records[i];
    }
    published.request = publish->request;
    published.refused = refused;
    if (peer->role == &role_client) {
        hand_on(core, fresh, fresh_count);
        send_published(peer, &published);
    } else if (published.sequence > 0 && peer->version >= 2) {
        published.node.len = sizeof node;
        send_published(peer, &published);
    }
}

/* A holder knows of a newer record of one of our clients: its clock went back. */
void registry_on_published(struct core *core, struct peer *peer,
                           const Sallyport__Envelope *envelope)
{
    Sallyport__Published published = *envelope->published;
    struct peer *client;

    (void)peer;
    if (published.node.len != OVERLAY_NODE_ID_BYTES) {
        core->malformed++;
        return;
    }
    client = client_find(core, published.node.data);
    published.request = 0;
    published.node.len = 0;
    if (!client || published.sequence == 0)
        return;
    if (bucket_take(&client->corrections, core_now(core), CORRECTIONS_PER_S, CORRECTIONS_BURST))
        send_published(client, &published);
    else
        core->malformed++;
}

/* ---- what others hold now ----------------------------------------------------------------------
 */

static bool is_ours(void *ctx, const char *name, const uint8_t *node)
{
    struct core *core = ctx;
    struct member *holders[HOLDERS];

    if (client_find(core, node) || !core->members)
        return true;
    int count = members_rank(core, members_key(name), holders);
    for (int i = 0; i < count; i++)
        if (holders[i]->is_self)
            return true;
    return false;
}

void registry_sweep(struct core *core)
{
    if (!core->members || core->is_retiring)
        return;
    for (struct peer *fellow = core->fellows; fellow; fellow = fellow->hh_node.next)
        if (fellow->version < 2)
            return; /* its clients are found by what we keep */
    directory_sweep(core->directory, SWEEP_NAMES, is_ours, core);
}

/* ---- what a new fellow is told -----------------------------------------------------------------
 */

struct telling {
    struct core *core;
    struct peer *fellow;
    unsigned told;
    size_t count;
    Sallyport__SignedRecord record[TELL_AT_ONCE], *list[TELL_AT_ONCE];
};

static void tell(struct telling *telling)
{
    if (telling->count > 0)
        send_publish(telling->fellow, telling->list, telling->count);
    telling->count = 0;
}

static bool tell_own(void *ctx, const struct directory_answer *held)
{
    struct telling *telling = ctx;

    if (!client_find(telling->core, held->node))
        return true; /* its own home tells */
    sallyport__signed_record__init(&telling->record[telling->count]);
    telling->record[telling->count].record = held->record;
    telling->record[telling->count].signature = held->signature;
    telling->list[telling->count] = &telling->record[telling->count];
    if (++telling->count == TELL_AT_ONCE)
        tell(telling);
    return ++telling->told < TELL_MAX;
}

void registry_on_fellow_ready(struct core *core, struct peer *fellow)
{
    struct telling telling = {.core = core, .fellow = fellow};

    if (fellow->version >= 2)
        return; /* it hears what it is to hold */
    directory_each(core->directory, core->io.time_s(core->io.ctx), tell_own, &telling);
    tell(&telling);
}
