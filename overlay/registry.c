/* Supernode side of publishing: keeps what clients publish and hands it on to the fellows. */
#include "overlay/core_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PUBLISH_RECORDS_MAX 32
/* A record costs two signatures to check: what a node may publish, and what a fellow may hand on.
 */
#define CLIENT_RECORDS_PER_S 10
#define CLIENT_RECORDS_BURST 200
#define FELLOW_RECORDS_PER_S 2000
#define FELLOW_RECORDS_BURST 20000
/* A new fellow hears of so many names of our clients now, of more when they are published again. */
#define TELL_MAX 400
#define TELL_AT_ONCE 12

static bool may_publish(struct core *core, struct peer *peer)
{
    if (peer->role == &role_fellow)
        return bucket_take(&peer->records, core_now(core), FELLOW_RECORDS_PER_S,
                           FELLOW_RECORDS_BURST);
    return bucket_take(&peer->records, core_now(core), CLIENT_RECORDS_PER_S, CLIENT_RECORDS_BURST);
}

/* 0: kept and new; 1: known already; else *why says it. */
static int keep(struct core *core, struct peer *peer, const Sallyport__SignedRecord *wire,
                Sallyport__Published *reply, char why[96])
{
    struct record *record = core_alloc(sizeof *record);
    int result = -EACCES;

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
        if (result == -ESTALE) {
            snprintf(why, 96, "a newer one is known");
            reply->sequence = held;
        } else if (result == -ENOSPC) {
            snprintf(why, 96, "too many records");
        }
    }
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

static void hand_on(struct core *core, Sallyport__SignedRecord **records, size_t count)
{
    for (struct peer *fellow = core->fellows; fellow && count > 0; fellow = fellow->hh_node.next)
        send_publish(fellow, records, count);
}

void registry_on_publish(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope)
{
    const Sallyport__Publish *publish = envelope->publish;
    Sallyport__Envelope reply = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Published published = SALLYPORT__PUBLISHED__INIT;
    Sallyport__SignedRecord *fresh[PUBLISH_RECORDS_MAX];
    size_t fresh_count = 0;
    char why[96], refused[96] = "";

    for (size_t i = 0; i < publish->n_records && i < PUBLISH_RECORDS_MAX; i++) {
        int result = keep(core, peer, publish->records[i], &published, why);
        if (result >= 0)
            published.accepted++;
        else if (refused[0] == '\0')
            strcpy(refused, why);
        if (result == 0)
            fresh[fresh_count++] = publish->records[i];
    }
    if (peer->role == &role_fellow)
        return;
    hand_on(core, fresh, fresh_count);
    published.request = publish->request;
    published.refused = refused;
    reply.body_case = SALLYPORT__ENVELOPE__BODY_PUBLISHED;
    reply.published = &published;
    peer_send(peer, &reply);
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
    struct peer *client;

    HASH_FIND(hh_node, telling->core->clients, held->node, OVERLAY_NODE_ID_BYTES, client);
    if (!client)
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

    directory_each(core->directory, core->io.time_s(core->io.ctx), tell_own, &telling);
    tell(&telling);
}
