/* What the journal of a call is told about its signalling, in words. */
#include "overlay/call.h"

#include <errno.h>
#include <stdio.h>

#define BODY(name) SALLYPORT__CALL_MESSAGE__BODY_##name
#define WHY(name) SALLYPORT__ROUTE_FAILED__WHY__##name
#define HOMES_TEXT_MAX (2 * ADDRESS_TEXT_MAX + 8)

static const char *upstream_text(const struct overlay_call *call, core_link link, char *text,
                                 size_t max)
{
    const struct core *core = call->core;
    const struct peer *peer = peer_find(core, link);
    bool is_home = core->upstream_count > 0 && core->upstream[0] == peer;

    snprintf(text, max, "%s %s", is_home ? "home" : "standby", peer ? peer->address : "(gone)");
    return text;
}

static const char *homes_text(const struct homes *homes, char text[HOMES_TEXT_MAX])
{
    if (homes->count == 0)
        return "no supernode";
    snprintf(text, HOMES_TEXT_MAX, "%s%s%s", homes->home[0].address,
             homes->count > 1 ? " and " : "", homes->count > 1 ? homes->home[1].address : "");
    return text;
}

void call_note_found(struct overlay_call *call, const struct record *record, int others)
{
    char text[HOMES_TEXT_MAX];

    event_note(call, "found", "%s is served by a node that is attached to %s%s", call->errand->name,
               homes_text(&record->homes, text), others ? ", and by others" : "");
}

void call_note_came(struct overlay_call *call)
{
    char text[HOMES_TEXT_MAX];

    event_note(call, "offer", "the offer came from %s, which is attached to %s", call->far->site,
               homes_text(&call->homes, text));
}

/* Of what is sent for the first time the gateway knows already, but for the offer. */
void call_note_sent(struct overlay_call *call, const struct call_out *out, int error,
                    core_link upstream)
{
    static const char *const names[] = {
        [BODY(OFFER)] = "the offer",
        [BODY(RINGING)] = "that it rings",
        [BODY(PROGRESS)] = "the early media",
        [BODY(ANSWER)] = "the answer",
        [BODY(UPDATE)] = "the change of the media",
        [BODY(INFO)] = "a key that was pressed",
    };
    char text[ADDRESS_TEXT_MAX + 16];

    if (out->kind == BODY(END) || (out->attempt == 0 && out->kind != BODY(OFFER)))
        return;
    if (error == -ENOTCONN)
        event_note(call, "stuck", "%s waits: no supernode is attached", names[out->kind]);
    else if (out->attempt == 0)
        event_note(call, "offer", "offered to %s through our %s", call->far->site,
                   upstream_text(call, upstream, text, sizeof text));
    else
        event_note(call, "repeat", "%s was not acknowledged: sent again through our %s",
                   names[out->kind], upstream_text(call, upstream, text, sizeof text));
}

void call_note_undelivered(struct overlay_call *call, const struct peer *peer, int why)
{
    static const char *const words[] = {
        [WHY(UNKNOWN)] = "cannot deliver to",
        [WHY(NOT_ATTACHED)] = "finds no attached node of",
        [WHY(NO_LINK)] = "reaches no supernode of",
        [WHY(BUSY)] = "has too much to do to deliver to",
    };
    bool is_known = why >= 0 && why < (int)(sizeof words / sizeof *words);

    event_note(call, "undelivered", "supernode %s %s %s", peer->address,
               words[is_known ? why : WHY(UNKNOWN)], call->far->site);
}

void call_note_warm(struct overlay_call *call)
{
    struct core *core = call->core;

    if (call->has_path && core->io.path_is_warm && core->io.path_is_warm(core->io.ctx, call->path))
        event_note_path(call, "warm", "the path of earlier calls is still there: nothing to prove");
}
