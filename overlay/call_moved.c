/* Where the far end is attached now: the directory knows, when messages do not get there. */
#include "overlay/call.h"

#include <string.h>

#define REFRESH_EVERY_MS 2000

static bool has_moved(const struct lookup *lookup, const struct record *record)
{
    const struct overlay_call *call = lookup->owner;

    return memcmp(record->certificate.node, call->far->node, OVERLAY_NODE_ID_BYTES) == 0 &&
           (call->homes_sequence ? record->sequence > call->homes_sequence
                                 : record->issued_s >= call->homes_s) &&
           memcmp(&call->homes, &record->homes, sizeof call->homes) != 0;
}

void call_moved(struct overlay_call *call, const struct record *record, core_link told_by)
{
    while (!LIST_EMPTY(&call->routes)) /* what becomes of them means nothing any more */
        call_route_forget(call->core, LIST_FIRST(&call->routes));
    if (call->errand)
        call->errand->failed_count = 0;
    call->homes = record->homes;
    call->homes_sequence = record->sequence;
    call->heard_by = told_by;
    event_note(call, "moved", "%s is attached to another supernode now", call->far->site);
    call_send_by_all_ways(call);
}

static void on_refreshed(struct lookup *lookup, int error, struct record_list *found)
{
    struct overlay_call *call = lookup->owner;

    if (!error && found->count > 0)
        call_moved(call, found->record[0], lookup->by);
    record_list_fini(found);
}

void call_refresh_homes(struct overlay_call *call)
{
    char name[OVERLAY_NAME_MAX];
    uint64_t now_ms = core_now(call->core);

    if (call->refresh.core || now_ms < call->refresh_ms || call->state == STATE_LOOKING ||
        (call->state == STATE_CLOSING && call->is_ended_by_far) ||
        record_name_fold(call->far->site, name) < 0)
        return;
    call->refresh_ms = now_ms + REFRESH_EVERY_MS;
    call->refresh.done = on_refreshed;
    call->refresh.is_news = has_moved;
    call->refresh.owner = call;
    lookup_start(call->core, &call->refresh, name, true);
}
