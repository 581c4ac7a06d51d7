/* The asker's side of the directory: asks home, soon also the standby, and believes no one. */
#include "overlay/core_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A live home answers at once, unless it must ask its fellows; a dead one must not cost a call. */
#define SECOND_AFTER_MS 300
#define GIVE_UP_MS 1700
#define FRESH_GIVE_UP_MS 1000 /* the call has waited already */

void record_list_fini(struct record_list *list)
{
    for (int i = 0; i < list->count; i++)
        free(list->record[i]);
    list->count = 0;
}

void lookup_stop(struct lookup *lookup)
{
    if (!lookup->core)
        return;
    core_timer_stop(lookup->core, &lookup->timer);
    HASH_DEL(lookup->core->lookups, lookup);
    lookup->core = NULL;
    record_list_fini(&lookup->found);
}

static void finish(struct lookup *lookup, int error)
{
    struct record_list found = lookup->found;

    lookup->found.count = 0;
    lookup_stop(lookup);
    lookup->done(lookup, error, &found);
}

static bool ask(struct lookup *lookup, struct peer *peer)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Lookup body = SALLYPORT__LOOKUP__INIT;

    for (int i = 0; i < lookup->asked_count; i++)
        if (lookup->asked[i].link == peer->link)
            return false;
    if (lookup->asked_count == (int)(sizeof lookup->asked / sizeof lookup->asked[0]))
        return false;
    lookup->asked[lookup->asked_count].link = peer->link;
    lookup->asked[lookup->asked_count++].is_open = true;
    body.request = lookup->request;
    body.name = lookup->name;
    body.fresh = lookup->is_fresh;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_LOOKUP;
    envelope.lookup = &body;
    peer_send(peer, &envelope);
    peer_probe_if_quiet(peer);
    return true;
}

static bool ask_next(struct lookup *lookup)
{
    for (int i = 0; i < lookup->core->upstream_count; i++)
        if (ask(lookup, attach_upstream(lookup->core, i)) || ask(lookup, lookup->core->upstream[i]))
            return true;
    return false;
}

static bool is_waiting(struct lookup *lookup)
{
    bool waiting = false;

    for (int i = 0; i < lookup->asked_count; i++) {
        if (lookup->asked[i].is_open && !peer_find(lookup->core, lookup->asked[i].link))
            lookup->asked[i].is_open = false;
        waiting |= lookup->asked[i].is_open;
    }
    return waiting;
}

/* Says what was found; as long as that is nothing another one is asked, for who is still to answer
 * may be dead. */
static void step(struct lookup *lookup)
{
    if (lookup->found.count > 0 && !(lookup->is_fresh && is_waiting(lookup)))
        finish(lookup, 0);
    else if (!ask_next(lookup) && !is_waiting(lookup) && lookup->was_answered)
        finish(lookup, 0);
}

static void on_timer(void *owner)
{
    struct lookup *lookup = owner;

    if (core_now(lookup->core) >= lookup->end_ms || lookup->found.count > 0) {
        finish(lookup, lookup->was_answered ? 0 : -ETIMEDOUT);
        return;
    }
    uint64_t next_ms = core_now(lookup->core) + SECOND_AFTER_MS;
    bool is_asked = ask_next(lookup);
    core_timer_set(lookup->core, &lookup->timer,
                   is_asked && next_ms < lookup->end_ms ? next_ms : lookup->end_ms);
}

void lookup_start(struct core *core, struct lookup *lookup, const char *name, bool is_fresh)
{
    uint64_t now_ms = core_now(core);

    lookup->core = core;
    lookup->request = ++core->next_request;
    lookup->is_fresh = is_fresh;
    lookup->was_answered = false;
    lookup->was_served = false;
    lookup->asked_count = 0;
    lookup->found.count = 0;
    lookup->end_ms = now_ms + (is_fresh ? FRESH_GIVE_UP_MS : GIVE_UP_MS);
    strcpy(lookup->name, name);
    core_timer_init(&lookup->timer, on_timer, lookup);
    HASH_ADD(hh, core->lookups, request, sizeof lookup->request, lookup);
    core_timer_set(core, &lookup->timer, now_ms + SECOND_AFTER_MS);
    while (ask_next(lookup) && is_fresh)
        ; /* should one of them be wrong */
}

void lookup_on_upstreams_changed(struct core *core)
{
    struct lookup *lookup, *after;

    HASH_ITER(hh, core->lookups, lookup, after)
    if (lookup->core) /* the one before it may have stopped it */
        step(lookup);
}

/* Of the answers that are true, those with the longest name; one per node, its newest. False: this
 * is none of them. */
static bool keep(struct record_list *found, struct record *record)
{
    for (int i = 0; i < found->count; i++) {
        struct record *other = found->record[i];
        size_t length = strlen(other->name), ours = strlen(record->name);
        if (ours < length)
            goto drop;
        if (ours > length) {
            record_list_fini(found);
            break;
        }
        if (memcmp(other->certificate.node, record->certificate.node, OVERLAY_NODE_ID_BYTES) == 0) {
            if (other->sequence >= record->sequence)
                goto drop;
            free(other);
            found->record[i] = record;
            return true;
        }
    }
    if (found->count == RECORDS_FOUND_MAX)
        goto drop;
    found->record[found->count++] = record;
    return true;
drop:
    free(record);
    return false;
}

static void verify(struct lookup *lookup, const Sallyport__Found *answer, core_link by)
{
    struct core *core = lookup->core;
    char why[96];

    for (size_t i = 0; i < answer->n_records && i < DIRECTORY_ANSWERS_MAX; i++) {
        struct record *record = core_alloc(sizeof *record);
        int error = record_verify(&core->trust, answer->records[i], core->io.time_s(core->io.ctx),
                                  record, why, sizeof why);
        if (error) {
            core->malformed++;
            core_complain(core, COMPLAINT_RECORD, "a record for %s was refused: %s", lookup->name,
                          why);
            free(record);
        } else if (record->is_withdrawn || !record_name_answers(record->name, lookup->name) ||
                   (lookup->is_news && !lookup->is_news(lookup, record))) {
            free(record);
        } else if (keep(&lookup->found, record)) {
            lookup->by = by;
        }
    }
}

void lookup_on_found(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope)
{
    struct lookup *lookup;
    bool was_asked = false;

    HASH_FIND(hh, core->lookups, &envelope->found->request, sizeof(uint32_t), lookup);
    if (!lookup)
        return;
    for (int i = 0; i < lookup->asked_count; i++) {
        if (lookup->asked[i].link == peer->link && lookup->asked[i].is_open) {
            lookup->asked[i].is_open = false;
            was_asked = true;
        }
    }
    if (!was_asked)
        return;
    if (envelope->found->busy) { /* another one may answer */
        step(lookup);
        return;
    }
    lookup->was_answered = true;
    lookup->was_served |= envelope->found->offline;
    verify(lookup, envelope->found, peer->link);
    step(lookup);
}
