/* Supernode side of look-ups: answers from what is kept, else asks all fellows. */
#include "overlay/core_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FELLOWS_ANSWER_MS 800
#define QUERIES_MAX 4096

struct answer {
    uint8_t node[OVERLAY_NODE_ID_BYTES];
    uint64_t sequence;
    size_t name_length;
    Sallyport__SignedRecord wire; /* own copy */
};

/* A look-up of a client that our fellows are asked. */
struct query {
    struct core *core;
    uint32_t number;  /* in our Lookup to the fellows */
    uint32_t request; /* in the client's */
    core_link asker;
    bool is_fresh; /* all answers are awaited, else the first one that is true */
    unsigned waiting;
    bool was_served; /* lately, by somebody, as far as one of us knows */
    char name[OVERLAY_NAME_MAX];
    struct core_timer timer;
    struct answer answer[DIRECTORY_ANSWERS_MAX];
    int count;
    UT_hash_handle hh;
};

static void send_found(struct core *core, core_link to, uint32_t request,
                       Sallyport__SignedRecord **records, size_t count, bool was_served)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Found found = SALLYPORT__FOUND__INIT;
    struct peer *peer = peer_find(core, to);

    found.request = request;
    found.records = records;
    found.n_records = count;
    found.offline = count == 0 && was_served;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_FOUND;
    envelope.found = &found;
    /* Records are of many sizes: as many as fit into a frame. */
    while (peer && peer_send(peer, &envelope) == -EMSGSIZE && found.n_records > 0)
        found.n_records--;
}

static void send_held(struct core *core, core_link to, uint32_t request,
                      const struct directory_answer *held, int count, bool was_served)
{
    Sallyport__SignedRecord wire[DIRECTORY_ANSWERS_MAX], *list[DIRECTORY_ANSWERS_MAX];

    for (int i = 0; i < count; i++) {
        sallyport__signed_record__init(&wire[i]);
        wire[i].record = held[i].record;
        wire[i].signature = held[i].signature;
        list[i] = &wire[i];
    }
    send_found(core, to, request, list, (size_t)count, was_served);
}

static void forget_answers(struct query *query)
{
    while (query->count > 0)
        record_signed_fini(&query->answer[--query->count].wire);
}

static void query_free(struct query *query)
{
    forget_answers(query);
    core_timer_stop(query->core, &query->timer);
    HASH_DEL(query->core->queries, query);
    query->core->query_count--;
    free(query);
}

static void query_finish(void *owner)
{
    struct query *query = owner;
    Sallyport__SignedRecord *list[DIRECTORY_ANSWERS_MAX];

    for (int i = 0; i < query->count; i++)
        list[i] = &query->answer[i].wire;
    send_found(query->core, query->asker, query->request, list, (size_t)query->count,
               query->was_served);
    query_free(query);
}

static void copy(ProtobufCBinaryData *to, const ProtobufCBinaryData *from)
{
    to->len = from->len;
    to->data = core_alloc(from->len + 1);
    if (from->len)
        memcpy(to->data, from->data, from->len);
}

/* Per node the newest, and only those with the longest name. */
static void keep(struct query *query, const struct record *record,
                 const Sallyport__SignedRecord *wire)
{
    size_t length = strlen(record->name);
    struct answer *answer = NULL;

    if (query->count > 0 && length < query->answer[0].name_length)
        return;
    if (query->count > 0 && length > query->answer[0].name_length)
        forget_answers(query);
    for (int i = 0; i < query->count; i++)
        if (memcmp(query->answer[i].node, record->certificate.node, OVERLAY_NODE_ID_BYTES) == 0)
            answer = &query->answer[i];
    if (answer && answer->sequence >= record->sequence)
        return;
    if (answer)
        record_signed_fini(&answer->wire);
    else if (query->count < DIRECTORY_ANSWERS_MAX)
        answer = &query->answer[query->count++];
    else
        return;

    memcpy(answer->node, record->certificate.node, OVERLAY_NODE_ID_BYTES);
    answer->sequence = record->sequence;
    answer->name_length = length;
    sallyport__signed_record__init(&answer->wire);
    copy(&answer->wire.record, &wire->record);
    copy(&answer->wire.signature, &wire->signature);
}

/* One that does not hold must not displace those that do: checked here as well as by the asker. */
static void keep_if_true(struct query *query, const Sallyport__SignedRecord *wire)
{
    struct core *core = query->core;
    struct record *record = core_alloc(sizeof *record);
    char why[96];

    if (record_verify(&core->trust, wire, core->io.time_s(core->io.ctx), record, why, sizeof why) ==
            0 &&
        !record->is_withdrawn && record_name_answers(record->name, query->name))
        keep(query, record, wire);
    free(record);
}

static void ask_fellows(struct query *query)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Lookup lookup = SALLYPORT__LOOKUP__INIT;

    lookup.request = query->number;
    lookup.name = query->name;
    lookup.forwarded = true;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_LOOKUP;
    envelope.lookup = &lookup;
    for (struct peer *fellow = query->core->fellows; fellow; fellow = fellow->hh_node.next)
        query->waiting += peer_send(fellow, &envelope) == 0;
}

static void query_open(struct core *core, struct peer *peer, const Sallyport__Lookup *lookup,
                       const struct directory_answer *held, int held_count)
{
    struct query *query = core_alloc(sizeof *query);

    query->core = core;
    query->number = ++core->next_request;
    query->request = lookup->request;
    query->asker = peer->link;
    query->is_fresh = lookup->fresh;
    record_name_fold(lookup->name, query->name);
    query->was_served = directory_was_served(core->directory, query->name);
    core_timer_init(&query->timer, query_finish, query);
    HASH_ADD(hh, core->queries, number, sizeof query->number, query);
    core->query_count++;

    for (int i = 0; i < held_count; i++) {
        Sallyport__SignedRecord wire = SALLYPORT__SIGNED_RECORD__INIT;
        wire.record = held[i].record;
        wire.signature = held[i].signature;
        keep_if_true(query, &wire);
    }
    ask_fellows(query);
    if (query->waiting == 0)
        query_finish(query);
    else
        core_timer_set(core, &query->timer, core_now(core) + FELLOWS_ANSWER_MS);
}

void query_on_lookup(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope)
{
    const Sallyport__Lookup *lookup = envelope->lookup;
    struct directory_answer held[DIRECTORY_ANSWERS_MAX];
    char name[OVERLAY_NAME_MAX] = "";
    int count = 0;

    if (record_name_fold(lookup->name, name) == 0)
        count = directory_find(core->directory, name, core->io.time_s(core->io.ctx), held);
    else
        core->malformed++;

    bool may_ask = peer->role == &role_client && record_name_is_valid(lookup->name) &&
                   core->fellows && core->query_count < QUERIES_MAX;
    if (may_ask && (count == 0 || lookup->fresh))
        query_open(core, peer, lookup, held, count);
    else
        send_held(core, peer->link, lookup->request, held, count,
                  *name && directory_was_served(core->directory, name));
}

void query_on_found(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope)
{
    const Sallyport__Found *found = envelope->found;
    struct query *query;

    (void)peer;
    HASH_FIND(hh, core->queries, &found->request, sizeof found->request, query);
    if (!query)
        return;
    for (size_t i = 0; i < found->n_records && i < DIRECTORY_ANSWERS_MAX; i++)
        keep_if_true(query, found->records[i]);
    query->was_served |= found->offline;
    if (--query->waiting == 0 || (!query->is_fresh && query->count > 0))
        query_finish(query);
}

void query_on_fellow_gone(struct core *core)
{
    struct query *query, *after;

    /* Which of them this one has answered is not kept: the others end by their answers, or in time.
     */
    HASH_ITER(hh, core->queries, query, after)
    if (!core->fellows)
        query_finish(query);
}

void query_close(struct core *core)
{
    struct query *query, *after;

    HASH_ITER(hh, core->queries, query, after)
    query_free(query);
}
