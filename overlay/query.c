/* Supernode side of look-ups: the holders of a name are asked for a client, two of each key at
 * once.
 *
 * Of a number each beginning that may have been published is a key. A key is settled when somebody
 * has a record of it, or two know of none. Holders tell of withdrawn records too, so who has only
 * something older is put right. When nothing at all was found the third holders are
 * asked, too: a new one may not have heard yet what an old one holds.
 */
#include "overlay/answers.h"
#include "overlay/core_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define THIRD_AFTER_MS 250 /* a holder that is dead costs a call no more */
#define ANSWER_MS 800
#define FRESH_ANSWER_MS 600 /* the call has waited already, and all are waited for */
#define QUERIES_MAX 16384
/* Of one client, at once and per second. */
#define CLIENT_QUERIES_MAX 256
#define CLIENT_LOOKUPS_PER_S 1000
#define CLIENT_LOOKUPS_BURST 2000
#define ASKED_MAX (KEYS_MAX * HOLDERS + 8)

struct asked {
    uint8_t node[OVERLAY_NODE_ID_BYTES];
    bool is_open;
};

/* One beginning of the name, and who holds it. */
struct key {
    uint64_t hash;
    struct asked *holder[HOLDERS]; /* NULL: not asked (yet) */
    bool is_found;
    int empty; /* holders that know of none */
};

/* A look-up of a client for which others are asked. */
struct query {
    struct core *core;
    uint32_t number;  /* in our Lookup to the holders */
    uint32_t request; /* in the client's */
    core_link asker;
    bool is_fresh; /* all answers are awaited, else the first ones that settle it */
    bool were_all_asked;
    bool was_served; /* lately, by somebody, as far as one of us knows */
    char name[OVERLAY_NAME_MAX];
    uint64_t end_ms;
    struct core_timer timer;
    struct key key[KEYS_MAX];
    int key_count;
    struct asked asked[ASKED_MAX];
    int asked_count;
    struct answers answers;
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
    Sallyport__SignedRecord wire[ANSWERS_MAX], *list[ANSWERS_MAX];

    for (int i = 0; i < count; i++) {
        sallyport__signed_record__init(&wire[i]);
        wire[i].record = held[i].record;
        wire[i].signature = held[i].signature;
        list[i] = &wire[i];
    }
    send_found(core, to, request, list, (size_t)count, was_served);
}

static void query_free(struct query *query)
{
    struct peer *asker = peer_find(query->core, query->asker);

    answers_fini(&query->answers);
    if (asker)
        asker->queries--;
    core_timer_stop(query->core, &query->timer);
    HASH_DEL(query->core->queries, query);
    query->core->query_count--;
    free(query);
}

static bool has_found(const struct query *query)
{
    const Sallyport__SignedRecord *one;

    return answers_choose(&query->answers, &one, 1) > 0;
}

static void keep(struct query *query, const struct directory_answer *told)
{
    uint64_t hash = members_key(told->name);

    query->was_served |= told->is_withdrawn;
    for (int i = 0; i < query->key_count && !told->is_withdrawn; i++)
        query->key[i].is_found |= query->key[i].hash == hash;
    answers_put(&query->answers, told);
}

/* One that does not hold must not displace those that do: checked here as well as by the asker. */
static void keep_if_true(struct query *query, const Sallyport__SignedRecord *wire)
{
    struct core *core = query->core;
    struct record *record;
    char why[96];

    if (answers_hold(&query->answers, wire))
        return; /* as the other holder says, too */
    record = core_alloc(sizeof *record);
    if (record_verify(&core->trust, wire, core->io.time_s(core->io.ctx), record, why, sizeof why)) {
        core->malformed++;
        core_complain(core, COMPLAINT_RECORD, "a record for %s was refused: %s", query->name, why);
    } else if (record_name_answers(record->name, query->name)) {
        struct directory_answer told = {.record = wire->record,
                                        .signature = wire->signature,
                                        .name = record->name,
                                        .node = record->certificate.node,
                                        .sequence = record->sequence,
                                        .is_withdrawn = record->is_withdrawn};
        keep(query, &told);
    }
    free(record);
}

/* What is here, and what is known not to be there any more. */
static int find_all(struct core *core, const char *name, struct directory_answer held[ANSWERS_MAX])
{
    int64_t now_s = core->io.time_s(core->io.ctx);
    int count = directory_find(core->directory, name, now_s, held);

    return count + directory_find_withdrawn(core->directory, name, now_s, &held[count]);
}

static void keep_held(struct query *query)
{
    struct directory_answer held[ANSWERS_MAX];
    int count = find_all(query->core, query->name, held);

    for (int i = 0; i < count; i++)
        keep(query, &held[i]);
}

static void query_finish(struct query *query)
{
    struct core *core = query->core;
    const Sallyport__SignedRecord *found[DIRECTORY_ANSWERS_MAX];

    if (!has_found(query))
        keep_held(query); /* as its home, or a holder of former times */
    Sallyport__SignedRecord **list = (Sallyport__SignedRecord **)found;
    size_t count = (size_t)answers_choose(&query->answers, found, DIRECTORY_ANSWERS_MAX);
    if (count > 0)
        found_cache_put(&core->found_cache, query->name, list, count, core_now(core));
    else
        found_cache_drop(&core->found_cache, query->name);
    send_found(core, query->asker, query->request, list, count, query->was_served);
    query_free(query);
}

/* ---- asking -----------------------------------------------------------------------------------
 */

static struct asked *ask(struct query *query, struct member *member, struct peer *fellow)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Lookup lookup = SALLYPORT__LOOKUP__INIT;
    const uint8_t *node = member ? member->node : fellow->node;

    for (int i = 0; i < query->asked_count; i++)
        if (memcmp(query->asked[i].node, node, OVERLAY_NODE_ID_BYTES) == 0)
            return &query->asked[i];
    if (query->asked_count == ASKED_MAX)
        return NULL;
    lookup.request = query->number;
    lookup.name = query->name;
    lookup.forwarded = true;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_LOOKUP;
    envelope.lookup = &lookup;
    if ((member ? fellow_send(query->core, member, &envelope) : peer_send(fellow, &envelope)) < 0)
        return NULL;
    struct asked *asked = &query->asked[query->asked_count++];
    memcpy(asked->node, node, OVERLAY_NODE_ID_BYTES);
    asked->is_open = true;
    return asked;
}

/* So many of the holders of each key that is not settled. */
static void ask_holders(struct query *query, int most)
{
    struct member *holders[HOLDERS];

    for (int i = 0; i < query->key_count; i++) {
        struct key *key = &query->key[i];
        int count = members_rank(query->core, key->hash, holders), asked = 0;
        for (int h = 0; h < count && asked < most && !(key->is_found && !query->is_fresh); h++) {
            if (holders[h]->is_self) {
                asked++; /* what is here was looked at */
                continue;
            }
            if (!key->holder[h])
                key->holder[h] = ask(query, holders[h], NULL);
            asked += key->holder[h] != NULL;
        }
    }
}

/* They hold all that their own clients publish, and know of no holders. */
static void ask_old_fellows(struct query *query)
{
    struct peer *fellow = query->core->fellows;

    for (; fellow; fellow = fellow->hh_node.next)
        if (fellow->version < 2)
            ask(query, NULL, fellow);
}

static bool is_waiting(const struct query *query)
{
    for (int i = 0; i < query->asked_count; i++)
        if (query->asked[i].is_open)
            return true;
    return false;
}

/* All that could answer better has answered. */
static bool is_settled(const struct query *query)
{
    if (query->is_fresh || !has_found(query))
        return false;
    for (int i = query->key_count - 1; i >= 0; i--) {
        if (query->key[i].is_found)
            return true; /* of the keys before it only shorter names come */
        if (query->key[i].empty < 2)
            return false;
    }
    return true;
}

static void step(struct query *query)
{
    if (is_settled(query)) {
        query_finish(query);
        return;
    }
    if (is_waiting(query))
        return;
    if (!query->were_all_asked && !has_found(query)) {
        query->were_all_asked = true;
        ask_holders(query, HOLDERS);
        if (is_waiting(query))
            return;
    }
    query_finish(query);
}

static void on_timer(void *owner)
{
    struct query *query = owner;
    uint64_t now_ms = core_now(query->core);

    if (now_ms >= query->end_ms) {
        query_finish(query);
        return;
    }
    query->were_all_asked = true;
    ask_holders(query, HOLDERS);
    core_timer_set(query->core, &query->timer, query->end_ms);
}

/* What we hold ourselves of it. */
static void look_here(struct query *query)
{
    struct member *holders[HOLDERS];
    bool is_held = false;

    for (int i = 0; i < query->key_count; i++) {
        int count = members_rank(query->core, query->key[i].hash, holders);
        for (int h = 0; h < count; h++) {
            if (!holders[h]->is_self)
                continue;
            is_held = true;
            query->key[i].empty++; /* unless something of it is found now */
        }
    }
    if (is_held)
        keep_held(query);
}

static void query_open(struct core *core, struct peer *peer, const Sallyport__Lookup *lookup,
                       const char *name)
{
    struct query *query = core_alloc(sizeof *query);
    uint64_t keys[KEYS_MAX];

    query->core = core;
    query->number = ++core->next_request;
    query->request = lookup->request;
    query->asker = peer->link;
    query->is_fresh = lookup->fresh;
    strcpy(query->name, name);
    query->key_count = members_keys(name, keys);
    for (int i = 0; i < query->key_count; i++)
        query->key[i].hash = keys[i];
    query->was_served = directory_was_served(core->directory, name);
    query->end_ms = core_now(core) + (query->is_fresh ? FRESH_ANSWER_MS : ANSWER_MS);
    core_timer_init(&query->timer, on_timer, query);
    HASH_ADD(hh, core->queries, number, sizeof query->number, query);
    core->query_count++;
    peer->queries++;

    look_here(query);
    if (!is_settled(query)) {
        query->were_all_asked = query->is_fresh;
        ask_holders(query, query->is_fresh ? HOLDERS : 2);
        ask_old_fellows(query);
    }
    core_timer_set(core, &query->timer, core_now(core) + THIRD_AFTER_MS);
    step(query);
}

static void send_busy(struct peer *peer, uint32_t request)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Found found = SALLYPORT__FOUND__INIT;

    found.request = request;
    found.busy = true;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_FOUND;
    envelope.found = &found;
    peer_send(peer, &envelope);
}

static void answer_fellow(struct core *core, struct peer *peer, const Sallyport__Lookup *lookup,
                          const char *name)
{
    struct directory_answer held[ANSWERS_MAX];
    int count = find_all(core, name, held);

    send_held(core, peer->link, lookup->request, held, count,
              directory_was_served(core->directory, name));
}

void query_on_lookup(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope)
{
    const Sallyport__Lookup *lookup = envelope->lookup;
    Sallyport__SignedRecord *const *found;
    char name[OVERLAY_NAME_MAX] = "";
    size_t count;

    if (record_name_fold(lookup->name, name) < 0) {
        core->malformed++;
        send_found(core, peer->link, lookup->request, NULL, 0, false);
        return;
    }
    if (!core->members ||
        (peer->role == &role_fellow && (peer->version >= 2 || core->version < 2))) {
        answer_fellow(core, peer, lookup, name);
        return;
    }
    if (core_sheds(core, LATE_LOOKUPS_MS)) {
        send_busy(peer, lookup->request);
        return;
    }
    if (core->query_count >= QUERIES_MAX || peer->queries >= CLIENT_QUERIES_MAX ||
        !bucket_take(&peer->lookups, core_now(core), CLIENT_LOOKUPS_PER_S, CLIENT_LOOKUPS_BURST)) {
        core->malformed++;
        core_complain(core, COMPLAINT_LOOKUP, "%s (%s) looks up too much", peer->site,
                      peer->address);
        send_busy(peer, lookup->request);
        return;
    }
    count = lookup->fresh ? 0 : found_cache_get(&core->found_cache, name, core_now(core), &found);
    if (count > 0)
        send_found(core, peer->link, lookup->request, (Sallyport__SignedRecord **)found, count,
                   false);
    else
        query_open(core, peer, lookup, name);
}

/* ---- answers ----------------------------------------------------------------------------------
 */

static struct asked *find_asked(struct query *query, const uint8_t *node)
{
    for (int i = 0; i < query->asked_count; i++)
        if (query->asked[i].is_open &&
            memcmp(query->asked[i].node, node, OVERLAY_NODE_ID_BYTES) == 0)
            return &query->asked[i];
    return NULL;
}

void query_on_found(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope)
{
    const Sallyport__Found *found = envelope->found;
    struct query *query;

    HASH_FIND(hh, core->queries, &found->request, sizeof found->request, query);
    struct asked *asked = query ? find_asked(query, peer->node) : NULL;
    if (!asked)
        return;
    asked->is_open = false;
    for (size_t i = 0; i < found->n_records && i < ANSWERS_MAX; i++)
        keep_if_true(query, found->records[i]);
    for (int i = 0; i < query->key_count; i++)
        for (int h = 0; h < HOLDERS; h++)
            query->key[i].empty += query->key[i].holder[h] == asked;
    query->was_served |= found->offline;
    step(query);
}

void query_on_node_gone(struct core *core, const uint8_t node[OVERLAY_NODE_ID_BYTES])
{
    struct query *query, *after;

    HASH_ITER(hh, core->queries, query, after)
    {
        struct asked *asked = find_asked(query, node);
        if (!asked)
            continue;
        asked->is_open = false;
        query->were_all_asked = true;
        ask_holders(query, HOLDERS);
        step(query);
    }
}

void query_close(struct core *core)
{
    struct query *query, *after;

    HASH_ITER(hh, core->queries, query, after)
    query_free(query);
}
