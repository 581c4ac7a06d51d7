#include "gateway/call_note.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void call_note_at(struct call *call, uint64_t at_ms, enum journal_part part, const char *event,
                  const char *text)
{
    uint64_t since_ms = at_ms > call->created_ms ? at_ms - call->created_ms : 0;
    journal_add(&call->journal, since_ms < UINT32_MAX ? (uint32_t)since_ms : UINT32_MAX, part,
                event, text);
}

void call_note(struct call *call, enum journal_part part, const char *event, const char *format,
               ...)
{
    char text[JOURNAL_TEXT_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    call_note_at(call, uv_hrtime() / 1000000, part, event, text);
}

/* ---- the call itself --------------------------------------------------------------------------
 */

void call_note_route(struct call *call, const struct route_query *query,
                     const struct route_result *route)
{
    static const char *const kinds[] = {[CONF_TO_OVERLAY] = "the overlay address",
                                        [CONF_TO_PHONE] = "phone",
                                        [CONF_TO_SERVICE] = "service"};
    call_note(call, JOURNAL_ROUTE, "matched", "%s dialled %s%s%s: %s %s, by \"%s\"",
              call->legs[MEDIA_A].name, query->dialled, query->site ? "@" : "",
              query->site ? query->site : "", kinds[route->target], route->to, route->route);
}

/* What a far end gave as its cause, as it came. */
static const char *codes(const struct call_cause *cause, char text[48])
{
    text[0] = '\0';
    if (cause->sip_status && cause->q850)
        snprintf(text, 48, " (SIP %u, Q.850 %u)", cause->sip_status, cause->q850);
    else if (cause->sip_status)
        snprintf(text, 48, " (SIP %u)", cause->sip_status);
    else if (cause->q850)
        snprintf(text, 48, " (Q.850 %u)", cause->q850);
    return text;
}

void call_note_hung_up(const struct leg *leg, const struct call_cause *cause)
{
    struct call *call = leg->call;
    const char *words = *cause->text ? cause->text : call_reason_name(cause->reason);
    bool is_node = strcmp(leg->ops->kind, "node") == 0;
    char text[48];
    if (call->state == CALL_STATE_ENDING)
        return;
    call->ended_by = (int)leg->side;
    if (leg->side == MEDIA_B && is_node && !call->has_arrived)
        return; /* nobody over there has done anything: overlay/ has said why */
    if (cause->reason == CALL_NORMAL)
        call_note(call, JOURNAL_CALL, "hung-up", "%s hangs up%s", leg->name, codes(cause, text));
    else
        call_note(call, JOURNAL_CALL, "hung-up", "%s%s: %s%s", leg->name,
                  cause->sip_status || cause->q850 ? " ends it" : "", words, codes(cause, text));
}

void call_note_end(struct call *call)
{
    const char *reason = call_reason_name(call->cause.reason), *text = call->cause.text;
    bool says_more = *text && strcmp(text, reason) != 0;
    call_note(call, JOURNAL_CALL, "ended", "the call is over: %s%s%s", reason,
              says_more ? ", " : "", says_more ? text : "");
}

/* ---- overlay ----------------------------------------------------------------------------------
 */

/* The words of overlay/path_*.c. */
static void learn_from_path(struct call *call, const char *event, const char *text)
{
    if (strcmp(event, "silent") == 0) {
        call->is_path_lost = true;
    } else if (strcmp(event, "heard") == 0) {
        call->is_path_lost = false;
    } else if (strcmp(event, "chosen") == 0) {
        call->has_noted_way = true;
    } else if (strcmp(event, "moved") == 0) {
        call->has_noted_way = true;
        call->moves++;
        snprintf(call->last_move, sizeof call->last_move, "moved %s", text);
    } else if (strcmp(event, "told") == 0) {
        call->is_far_told = true;
        call->has_far_udp |= strstr(text, "udp ") != NULL;
    }
}

void call_note_overlay(struct call *call, const char *part, const char *event, const char *text)
{
    bool is_path = strcmp(part, "path") == 0;
    /* Said again for each call that begins on this path: no news to one that is up. */
    if (is_path && call->state == CALL_STATE_UP &&
        (strcmp(event, "told") == 0 || strcmp(event, "named") == 0))
        return;
    if (is_path)
        learn_from_path(call, event, text);
    else if (strcmp(event, "arrived") == 0)
        call->has_arrived = true;
    const char *verb = !is_path                       ? ""
                       : strcmp(event, "moved") == 0  ? "moved "
                       : strcmp(event, "chosen") == 0 ? "media takes "
                                                      : "";
    call_note(call, is_path ? JOURNAL_PATH : JOURNAL_OVERLAY, event, "%s%s", verb, text);
}

/* ---- media ------------------------------------------------------------------------------------
 */

static bool is_coded(const struct leg *leg)
{
    return leg->has_media &&
           (leg->media.kind == MEDIA_LEG_RTP || leg->media.kind == MEDIA_LEG_PEER);
}

void call_note_codecs(struct call *call)
{
    const struct leg *a = &call->legs[MEDIA_A], *b = &call->legs[MEDIA_B];
    if (!is_coded(a) || !is_coded(b))
        return;
    enum codec codec_a = a->media.codec, codec_b = b->media.codec;
    int both = 1 + (int)codec_a * CODEC_COUNT + (int)codec_b;
    if (both == call->noted_codecs)
        return;
    call->noted_codecs = both;
    if (codec_a == codec_b)
        call_note(call, JOURNAL_MEDIA, "codecs", "both ends speak %s: passed on as it is",
                  codec_name(codec_a));
    else
        call_note(call, JOURNAL_MEDIA, "codecs", "%s speaks %s, %s speaks %s: transcoded", a->name,
                  codec_name(codec_a), b->name, codec_name(codec_b));
}

void call_note_source(const struct leg *leg, const struct media_stats *stats)
{
    char source[ADDRESS_TEXT_MAX], named[ADDRESS_TEXT_MAX];
    if (stats->source.ss_family == 0)
        return;
    address_format(&stats->source, source);
    if (leg->media.remote.ss_family == 0)
        call_note(leg->call, JOURNAL_MEDIA, "source", "RTP of %s comes from %s", leg->name, source);
    else if (address_equal(&stats->source, &leg->media.remote))
        call_note(leg->call, JOURNAL_MEDIA, "source", "RTP of %s comes from %s, as its SDP says",
                  leg->name, source);
    else
        call_note(leg->call, JOURNAL_MEDIA, "source",
                  "RTP of %s comes from %s, though its SDP says %s: a NAT is between", leg->name,
                  source, address_format(&leg->media.remote, named));
}

static void note_leg(struct call *call, const struct leg *leg, const struct media_stats *stats)
{
    char trip[40] = "";
    if (!is_coded(leg))
        return;
    if (stats->packets_in == 0) {
        call_note(call, JOURNAL_MEDIA, "figures", "no packet came from %s, %llu went to it",
                  leg->name, (unsigned long long)stats->packets_out);
        return;
    }
    if (stats->round_trip_us)
        snprintf(trip, sizeof trip, ", round trip %.1f ms", (double)stats->round_trip_us / 1000);
    call_note(call, JOURNAL_MEDIA, "figures",
              "%s: %llu packets came, %llu went, %llu lost, %llu late, jitter %.1f ms%s, "
              "%u gaps over 60 ms, the longest time between two packets %u ms",
              leg->name, (unsigned long long)stats->packets_in,
              (unsigned long long)stats->packets_out, (unsigned long long)stats->lost,
              (unsigned long long)stats->late, (double)stats->jitter_us / 1000, trip, stats->gaps,
              stats->longest_gap_us / 1000);
}

void call_note_figures(struct call *call)
{
    for (int side = 0; side < 2; side++)
        note_leg(call, &call->legs[side], &call->stats[side]);
}

/* ---- diagnosis --------------------------------------------------------------------------------
 */

static void facts_of_leg(const struct call *call, int side, struct diagnosis_leg *facts)
{
    const struct leg *leg = &call->legs[side];
    *facts = (struct diagnosis_leg){
        .kind = !leg->ops                              ? DIAGNOSIS_NONE
                : strcmp(leg->ops->kind, "phone") == 0 ? DIAGNOSIS_PHONE
                : strcmp(leg->ops->kind, "node") == 0  ? DIAGNOSIS_NODE
                                                       : DIAGNOSIS_OWN,
        .name = leg->name,
        .is_expected = leg->has_media && (leg->media.direction & MEDIA_RECVONLY),
        .named = leg->media.remote,
        .stats = &call->stats[side],
        .first_voice_ms = leg->first_voice_ms,
    };
}

/* Why media does not go directly over UDP. */
static const char *reach_of(const struct call *call, const char *path, char text[160])
{
    const struct conf_overlay *conf = &call->gateway->conf->overlay;
    struct overlay_reachability reach = {.class = ""};
    if (!call->gateway->overlay || strncmp(path, "udp", 3) == 0)
        return "";
    if (!conf->udp)
        return "UDP is switched off at this end (overlay.udp)";
    if (conf->relay_only)
        return "this end hides its addresses (overlay.relay_only)";
    overlay_reachability(call->gateway->overlay, &reach);
    if (reach.is_udp_blocked)
        return "UDP is blocked at this end";
    if (call->is_far_told && !call->has_far_udp)
        return "the far end named no UDP address (it is blocked there, or hidden)";
    if (strcmp(reach.class, "unknown") == 0)
        return "UDP did not get through from one end to the other";
    snprintf(text, 160, "UDP did not get through from one end to the other (this end is %s)",
             reach.class);
    return text;
}

void call_diagnose(const struct call *call, char *text)
{
    const struct gateway *gateway = call->gateway;
    struct overlay_status status = {.last_error = ""};
    char reach[160], source[ADDRESS_TEXT_MAX];
    uint64_t end_ms = call->ended_ms ? call->ended_ms : uv_now(gateway->uv);
    struct diagnosis_facts facts = {
        .is_live = call->state != CALL_STATE_ENDING,
        .is_ringing = call->ringing_ms != 0,
        .was_answered = call->answered_ms != 0,
        .talk_ms = call->answered_ms ? end_ms - call->answered_ms : 0,
        .cause = call->cause,
        .ended_by = call->ended_by,
        .has_arrived = call->has_arrived,
        .path = *call->legs[MEDIA_A].path ? call->legs[MEDIA_A].path : call->legs[MEDIA_B].path,
        .moves = call->moves,
        .last_move = call->last_move,
        .is_path_lost = call->is_path_lost,
        .no_supernode = "",
        .refused_from = "",
    };
    facts.reach = reach_of(call, facts.path, reach);
    const struct history_registration *registration =
        history_find_registration(&call->gateway->history, call->legs[MEDIA_B].name);
    if (registration)
        facts.refused_from = address_format(&registration->source, source);
    if (gateway->overlay) {
        overlay_status(gateway->overlay, &status);
        facts.no_supernode = overlay_is_attached(gateway->overlay) ? "" : status.last_error;
    }
    for (int side = 0; side < 2; side++)
        facts_of_leg(call, side, &facts.legs[side]);
    diagnosis_write(&facts, text);
}
