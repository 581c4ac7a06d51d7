/* Outgoing: who serves the name, in which order they are tried, and the offer to each. */
#include "overlay/call.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A far site that is offline must be told within 2 s of the call; the last record is given this
 * long after the call began, but at least OFFER_MIN_MS of its own; one that has a successor is not
 * waited for so long. */
#define OFFLINE_AFTER_MS 1800
#define OFFER_MIN_MS 950
#define SUCCESSOR_AFTER_MS 950

static void look_up(struct overlay_call *call, bool is_fresh);

void call_errand_free(struct overlay_call *call)
{
    if (!call->errand)
        return;
    lookup_stop(&call->errand->lookup);
    record_list_fini(&call->errand->records);
    free(call->errand);
    call->errand = NULL;
}

static void fail(struct overlay_call *call, enum call_reason reason, const char *format)
{
    char text[64 + OVERLAY_NAME_MAX];
    struct call_cause cause;

    snprintf(text, sizeof text, format, call->errand->name);
    cause = call_cause(reason, text);
    event_note(call, "failed", "%s", text);
    call_finish(call, &cause);
}

/* ---- the offer --------------------------------------------------------------------------------
 */

static int take_path(struct overlay_call *call, struct core_path *ours)
{
    struct core *core = call->core;

    ours->bytes = 0;
    if (!core->io.path_offer) {
        core->io.random(core->io.ctx, &call->ssrc_in, sizeof call->ssrc_in);
        return 0;
    }
    int error = core->io.path_offer(core->io.ctx, call->far, ours, &call->path, &call->ssrc_in);
    call->has_path = error == 0;
    return error;
}

static void send_offer(struct overlay_call *call, const struct core_path *path)
{
    struct call_errand *errand = call->errand;
    Sallyport__CallMessage message = SALLYPORT__CALL_MESSAGE__INIT;
    Sallyport__Offer offer = SALLYPORT__OFFER__INIT;
    Sallyport__Media media;
    char *codecs[CODECS_MAX];
    struct homes homes;
    struct homes_wire wire;

    for (int i = 0; i < call->codecs.count; i++)
        codecs[i] = (char *)codec_name(call->codecs.codec[i]);
    call_media_init(&media, call->ssrc_in, path);
    media.codecs = codecs;
    media.n_codecs = (size_t)call->codecs.count;
    media.direction = (Sallyport__Direction)call->direction;
    attach_homes(call->core, &homes);
    homes_encode(&wire, &homes, 0);

    offer.key.data = call->our_public;
    offer.key.len = sizeof call->our_public;
    offer.caller = errand->caller;
    offer.caller_name = errand->caller_name;
    offer.dialled = errand->user;
    offer.site = (char *)call->core->self->site;
    offer.media = &media;
    offer.homes = wire.list;
    offer.n_homes = wire.count;
    message.body_case = SALLYPORT__CALL_MESSAGE__BODY_OFFER;
    message.offer = &offer;
    call_send(call, &message);
    call_media_fini(&media);
}

static void set_offer_timer(struct overlay_call *call)
{
    struct call_errand *errand = call->errand;
    uint64_t now_ms = core_now(call->core), end_ms = errand->start_ms + OFFLINE_AFTER_MS;

    if (errand->next_record < errand->records.count)
        end_ms = now_ms + SUCCESSOR_AFTER_MS;
    else if (end_ms < now_ms + OFFER_MIN_MS)
        end_ms = now_ms + OFFER_MIN_MS;
    core_timer_set(call->core, &call->state_timer, end_ms);
}

/* Forgets the far end that was tried last. */
static void leave_record(struct overlay_call *call)
{
    struct core *core = call->core;

    call_take_back(call);
    call_drop_early(call);
    call->far_number = call->acked = 0;
    lookup_stop(&call->refresh);
    call->refresh_ms = 0;
    while (!LIST_EMPTY(&call->routes))
        call_route_forget(core, LIST_FIRST(&call->routes));
    call->last_number = 0;
    call->errand->failed_count = 0;
    if (call->has_path && core->io.path_release)
        core->io.path_release(core->io.ctx, call->path, call->ssrc_in);
    call->has_path = false;
}

/* The offer has been made to this node already: it may even have it. */
static bool is_offered_to(const struct overlay_call *call, const struct certificate *node)
{
    return call->out_count > 0 && memcmp(call->far->node, node->node, sizeof node->node) == 0 &&
           memcmp(call->far->serial, node->serial, sizeof node->serial) == 0;
}

static void offer_next(struct overlay_call *call)
{
    struct call_errand *errand = call->errand;
    const struct record *record = errand->records.record[errand->next_record++];
    struct core_path path;

    if (is_offered_to(call, &record->certificate)) {
        call_set_state(call, STATE_OFFERING, record->certificate.site);
        set_offer_timer(call);
        call_moved(call, record, call->heard_by);
        return;
    }
    leave_record(call);
    if (!call->far)
        call->far = core_alloc(sizeof *call->far);
    *call->far = record->certificate;
    call->homes = record->homes;
    call->homes_sequence = record->sequence;
    if (call->state != STATE_OFFERING)
        call_set_state(call, STATE_OFFERING, record->certificate.site);
    call_note_found(call, record, errand->records.count - errand->next_record);
    if (take_path(call, &path) < 0) {
        fail(call, CALL_CONGESTION, "no media path to %s can be made");
        return;
    }
    call_note_warm(call);
    set_offer_timer(call);
    errand->offered_ms = core_now(call->core);
    send_offer(call, &path);
}

/* ---- records ----------------------------------------------------------------------------------
 */

/* Lower priority first; among equals by lot, as often as their weights say. */
static void sort_records(struct core *core, struct record_list *list)
{
    for (int i = 0; i < list->count; i++) {
        int chosen = i;
        uint64_t sum = 0;
        for (int j = i; j < list->count; j++) {
            const struct record *record = list->record[j];
            uint32_t lowest = list->record[chosen]->priority;
            if (record->priority > lowest)
                continue;
            if (record->priority < lowest)
                sum = 0;
            sum += record->weight ? record->weight : 1;
            if (core_random(core, sum) < (record->weight ? record->weight : 1))
                chosen = j;
        }
        struct record *record = list->record[chosen];
        list->record[chosen] = list->record[i];
        list->record[i] = record;
    }
}

/* A call to ourselves goes no further than this: the gateway knows its own phones. */
static int drop_own(struct core *core, struct record_list *list)
{
    int kept = 0, dropped = 0;

    for (int i = 0; i < list->count; i++) {
        struct record *record = list->record[i];
        if (memcmp(record->certificate.node, core->self->node, OVERLAY_NODE_ID_BYTES) == 0) {
            free(record);
            dropped++;
        } else {
            list->record[kept++] = record;
        }
    }
    list->count = kept;
    return dropped;
}

/* Neither was its node tried in vain where this record says, nor is it older than what was. */
static bool is_untried(const struct lookup *lookup, const struct record *record)
{
    const struct overlay_call *call = lookup->owner;
    const struct record_list *tried = &call->errand->records;

    for (int i = 0; i < tried->count; i++) {
        const struct record *other = tried->record[i];
        if (memcmp(other->certificate.node, record->certificate.node, OVERLAY_NODE_ID_BYTES) == 0 &&
            (other->sequence >= record->sequence ||
             memcmp(&other->homes, &record->homes, sizeof record->homes) == 0))
            return false;
    }
    return true;
}

static void on_found(struct lookup *lookup, int error, struct record_list *found)
{
    struct overlay_call *call = lookup->owner;
    struct call_errand *errand = call->errand;
    int own = drop_own(call->core, found);

    record_list_fini(&errand->records);
    errand->records = *found;
    errand->next_record = 0;
    if (found->count > 0) {
        call->heard_by = lookup->by;
        sort_records(call->core, &errand->records);
        offer_next(call);
        return;
    }
    call_take_back(call);
    if (errand->was_fresh || lookup->was_served) {
        fail(call, CALL_UNAVAILABLE, "%s is offline");
    } else if (error && call->core->upstream_count == 0) {
        fail(call, CALL_NO_SUPERNODE, "no supernode is attached to reach %s");
    } else if (error) {
        fail(call, CALL_UNAVAILABLE, "the directory does not answer for %s");
    } else if (own > 0) {
        fail(call, CALL_NOT_FOUND, "%s is served by this node itself");
    } else {
        fail(call, CALL_NOT_FOUND, "nobody serves %s");
    }
}

static void look_up(struct overlay_call *call, bool is_fresh)
{
    struct lookup *lookup = &call->errand->lookup;

    lookup->done = on_found;
    lookup->is_news = is_untried;
    lookup->owner = call;
    lookup_start(call->core, lookup, call->errand->name, is_fresh);
}

/* ---- what becomes of it -----------------------------------------------------------------------
 */

void call_offer_arrived(struct overlay_call *call)
{
    bool was_given_up = call->state == STATE_LOOKING && call->errand->was_fresh &&
                        !identity_is_revoked(call->core->identity, call->far->serial);

    if (call->state != STATE_OFFERING && !was_given_up)
        return;
    core_timer_stop(call->core, &call->state_timer);
    call_drop_out(call); /* the offer; nothing else was said yet */
    call_set_state(call, STATE_WAITING, "the offer arrived");
    event_note(call, "arrived", "%s has the offer, heard after %u ms", call->far->site,
               (unsigned)(core_now(call->core) - call->errand->offered_ms));
    call_errand_free(call);
}

void call_offer_timeout(struct overlay_call *call)
{
    struct call_errand *errand = call->errand;

    if (errand->next_record < errand->records.count) {
        event_note(call, "no-answer", "no sign of %s: the next node of it is tried",
                   call->far->site);
        offer_next(call);
    } else if (call->core->upstream_count == 0) {
        fail(call, CALL_NO_SUPERNODE, "no supernode is attached to reach %s");
    } else {
        fail(call, CALL_UNAVAILABLE, "%s is offline (no answer)");
    }
}

/* Nobody can deliver: the next record, or what the directory says now. */
static void record_failed(struct overlay_call *call)
{
    struct call_errand *errand = call->errand;

    if (errand->next_record < errand->records.count) {
        offer_next(call);
    } else if (!errand->was_fresh) {
        errand->was_fresh = true;
        lookup_stop(&call->refresh);
        core_timer_stop(call->core, &call->repeat_timer); /* the offer is kept for where it is */
        core_timer_stop(call->core, &call->state_timer);
        call_set_state(call, STATE_LOOKING, "it is not attached where its record says");
        event_note(call, "lookup", "%s is not where the directory said: asked anew", errand->name);
        look_up(call, true);
    } else {
        call_take_back(call);
        fail(call, CALL_UNAVAILABLE, "%s is offline");
    }
}

static void drop_revoked(struct overlay_call *call)
{
    struct call_errand *errand = call->errand;
    int kept = errand->next_record;

    for (int i = kept; i < errand->records.count; i++) {
        struct record *record = errand->records.record[i];
        if (identity_is_revoked(call->core->identity, record->certificate.serial))
            free(record);
        else
            errand->records.record[kept++] = record;
    }
    errand->records.count = kept;
}

bool call_offer_goes_on(struct overlay_call *call)
{
    drop_revoked(call);
    if (call->state == STATE_LOOKING)
        return true;
    if (call->state != STATE_OFFERING || call->errand->next_record == call->errand->records.count ||
        !identity_is_revoked(call->core->identity, call->far->serial))
        return false;
    event_note(call, "revoked", "the certificate of %s was revoked: the next node of it is tried",
               call->far->site);
    offer_next(call);
    return true;
}

void call_offer_failed(struct overlay_call *call, core_link upstream)
{
    struct call_errand *errand = call->errand;

    for (int i = 0; i < errand->failed_count; i++)
        if (errand->failed[i] == upstream)
            return;
    if (errand->failed_count < UPSTREAMS_MAX)
        errand->failed[errand->failed_count++] = upstream;
    if (errand->failed_count >= call->core->upstream_count) {
        record_failed(call);
        return;
    }
    call_send_again(call);
    call_refresh_homes(call); /* the other one may be silent */
}

/* ---- new --------------------------------------------------------------------------------------
 */

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

static int parse_call_id(const char *text, uint8_t id[CALL_ID_BYTES])
{
    if (strlen(text) != CALL_ID_LEN)
        return -EINVAL;
    for (int i = 0; i < CALL_ID_BYTES; i++) {
        int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return -EINVAL;
        id[i] = (uint8_t)(high << 4 | low);
    }
    return 0;
}

/* "user@site" or "+number". */
static int parse_to(const char *to, struct call_errand *errand)
{
    const char *at = strrchr(to, '@');

    if (!at) {
        if (!record_name_is_number(to) || record_name_fold(to, errand->name) < 0)
            return -EINVAL;
        strcpy(errand->user, errand->name);
        return 0;
    }
    size_t length = (size_t)(at - to);
    if (length == 0 || length >= sizeof errand->user || at[1] == '+' ||
        record_name_fold(at + 1, errand->name) < 0)
        return -EINVAL;
    memcpy(errand->user, to, length);
    for (const char *c = errand->user; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f)
            return -EINVAL;
    return 0;
}

static int fill_errand(struct call_errand *errand, const struct overlay_call_request *request)
{
    if (parse_to(request->to, errand) < 0 || strlen(request->caller) >= sizeof errand->caller ||
        request->codecs.count <= 0)
        return -EINVAL;
    strcpy(errand->caller, request->caller[0] ? request->caller : "anonymous");
    snprintf(errand->caller_name, sizeof errand->caller_name, "%s",
             request->caller_name ? request->caller_name : "");
    return 0;
}

int core_call_new(struct core *core, const struct overlay_call_request *request,
                  const struct overlay_call_events *events, void *ctx, struct overlay_call **out)
{
    struct call_name name;
    struct call_errand *errand = core_alloc(sizeof *errand);
    struct overlay_call *call = NULL;
    int error = fill_errand(errand, request);

    memcpy(name.caller, core->self->node, OVERLAY_NODE_ID_BYTES);
    if (!error)
        error = parse_call_id(request->call_id, name.call);
    if (!error && (core->upstream_count == 0 || core->is_leaving))
        error = -ENOTCONN;
    if (!error)
        call = call_add(core, &name, STATE_LOOKING);
    if (!call) {
        free(errand);
        return error ? error : -ENOBUFS;
    }
    call->is_outgoing = true;
    call->errand = errand;
    call->events = events;
    call->events_ctx = ctx;
    call->codecs = request->codecs;
    call->direction = request->direction;
    errand->start_ms = core_now(core);
    call_start_timers(call);
    event_note(call, "lookup", "asks the directory who serves %s", errand->name);
    look_up(call, false);
    *out = call;
    return 0;
}
