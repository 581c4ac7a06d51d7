/* The journal of one call as JSON; what the fields mean is said in command_why.c. */
#include "gateway/report.h"

#include "gateway/call_note.h"

#include <errno.h>
#include <string.h>

/* The calls that are meant: all whose id begins so, or the last that began. */
struct search {
    const char *beginning;
    bool is_last;
    unsigned found;
    uint64_t newest_ms;
    struct call *live;
    const struct call_summary *ended;
};

static bool takes(struct search *search, uint64_t created_ms)
{
    search->found++;
    if (search->found > 1 && search->is_last && created_ms < search->newest_ms)
        return false;
    search->newest_ms = created_ms;
    return true;
}

static void on_ended(void *ctx, const struct call_summary *summary)
{
    struct search *search = ctx;
    if (!takes(search, summary->times > 0 ? summary->latest_ms : summary->created_ms))
        return;
    search->ended = summary;
    search->live = NULL;
}

static void find(const struct gateway *gateway, const char *id, struct search *search)
{
    struct call *call;
    *search = (struct search){.beginning = id, .is_last = strcmp(id, "last") == 0};
    if (search->is_last)
        search->beginning = "";
    history_each(&gateway->history, search->beginning, on_ended, search);
    TAILQ_FOREACH(call, &gateway->calls, link)
    {
        if (strncmp(call->id, search->beginning, strlen(search->beginning)) != 0 ||
            !takes(search, call->created_ms))
            continue;
        search->live = call;
        search->ended = NULL;
    }
}

static json_t *entries_of(const struct journal *journal)
{
    const struct journal_entry *entry;
    json_t *array = json_array();
    TAILQ_FOREACH(entry, &journal->entries, next)
    json_array_append_new(array,
                          json_pack("{s:I, s:s, s:s, s:s}", "at_ms", (json_int_t)entry->at_ms,
                                    "part", journal_part_name((enum journal_part)entry->part),
                                    "event", entry->event, "text", entry->text));
    return array;
}

static json_t *journal_of(const struct journal *journal)
{
    return json_pack("{s:i, s:i, s:o}", "left_out", (int)journal->left_out, "left_out_after",
                     journal->left_out ? JOURNAL_HEAD : 0, "entries", entries_of(journal));
}

/* The figures that come in answer to the question are there when it is asked again. */
static json_t *report_live(struct call *call)
{
    char diagnosis[DIAGNOSIS_MAX];
    const char *path =
        *call->legs[MEDIA_A].path ? call->legs[MEDIA_A].path : call->legs[MEDIA_B].path;
    call_diagnose(call, diagnosis);
    if (call->bridge && call->state != CALL_STATE_ENDING)
        media_bridge_ask(call->bridge);
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:o}", "id", call->id, "state",
                     call_state_name(call->state), "time_s", (json_int_t)call->created_s, "from",
                     call->legs[MEDIA_A].name, "to", call->legs[MEDIA_B].name, "reason", "", "path",
                     path, "diagnosis", diagnosis, "journal", journal_of(&call->journal));
}

static json_t *report_over(const struct call_summary *summary)
{
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:o}", "id", summary->id, "state",
                     summary->times > 0 ? "refused" : "ended", "time_s",
                     (json_int_t)summary->created_s, "from", summary->from, "to", summary->to,
                     "reason", call_reason_name(summary->cause.reason), "path", summary->path,
                     "diagnosis", summary->diagnosis, "journal", journal_of(&summary->journal));
}

json_t *report_journal(struct gateway *gateway, const char *id, int *error)
{
    struct search search;
    find(gateway, id, &search);
    *error = 0;
    if (search.found == 0) {
        *error = -ENOENT;
        return json_pack("{s:s}", "error",
                         search.is_last ? "there was no call yet"
                                        : "no call with this id is going on or remembered (the "
                                          "last 100 are)");
    }
    if (search.found > 1 && !search.is_last) {
        *error = -EEXIST;
        return json_pack("{s:s}", "error", "several calls begin like this: give more of the id");
    }
    return search.live ? report_live(search.live) : report_over(search.ended);
}
