#include "gateway/history.h"

#include "gateway/call.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define NEW_PER_S 5

static const char *codec_of(const struct leg *leg)
{
    if (!leg->has_media)
        return "";
    bool is_coded = leg->media.kind == MEDIA_LEG_RTP || leg->media.kind == MEDIA_LEG_PEER;
    return is_coded ? codec_name(leg->media.codec) : "linear";
}

static uint64_t after(uint64_t then, uint64_t since)
{
    return then > since && since ? then - since : 0;
}

static void summarise(struct call *call, struct call_summary *summary)
{
    const struct leg *a = &call->legs[MEDIA_A], *b = &call->legs[MEDIA_B];
    *summary = (struct call_summary){
        .cause = call->cause, .created_s = call->created_s, .created_ms = call->created_ms};
    memcpy(summary->id, call->id, sizeof summary->id);
    memcpy(summary->from, a->name, sizeof summary->from);
    memcpy(summary->to, b->name, sizeof summary->to);
    memcpy(summary->path, *a->path ? a->path : b->path, sizeof summary->path);
    memcpy(summary->stats, call->stats, sizeof summary->stats);
    if (strcmp(call->cause.text, call_reason_name(call->cause.reason)) == 0)
        summary->cause.text[0] = '\0'; /* says no more than the reason does */
    summary->setup_ms = after(call->ringing_ms, call->created_ms);
    summary->ring_ms = after(call->answered_ms, call->created_ms);
    summary->talk_ms = call->answered_ms ? after(call->ended_ms, call->answered_ms) : 0;
    for (int side = 0; side < 2; side++) {
        snprintf(summary->codecs[side], sizeof summary->codecs[side], "%s",
                 codec_of(&call->legs[side]));
        summary->first_voice_ms[side] = after(call->legs[side].first_voice_ms, call->answered_ms);
    }
    journal_move(&summary->journal, &call->journal);
}

const struct call_summary *history_add(struct history *history, struct call *call,
                                       const char *diagnosis)
{
    struct call_summary *summary = &history->calls[history->ended++ % HISTORY_CALLS];
    journal_fini(&summary->journal);
    summarise(call, summary);
    snprintf(summary->diagnosis, sizeof summary->diagnosis, "%s", diagnosis);
    return summary;
}

/* ---- refused ----------------------------------------------------------------------------------
 */

static void diagnose(struct call_summary *summary)
{
    static const enum diagnosis_refusal refusals[] = {
        [SIP_REFUSED_USER] = DIAGNOSIS_NO_SUCH_USER,
        [SIP_REFUSED_PASSWORD] = DIAGNOSIS_WRONG_PASSWORD,
        [SIP_REFUSED_CODEC] = DIAGNOSIS_UNKNOWN_CODECS,
        [SIP_REFUSED_REQUEST] = DIAGNOSIS_BAD_REQUEST,
    };
    const struct diagnosis_facts facts = {.refusal = refusals[summary->refusal],
                                          .legs[MEDIA_A].name = summary->from};
    diagnosis_write(&facts, summary->diagnosis);
}

static bool is_same(const struct call_summary *summary, const struct sip_refused *refused)
{
    struct sockaddr_storage a = summary->source, b = refused->source;
    address_set_port(&a, 1);
    address_set_port(&b, 1);
    return summary->times > 0 && summary->refusal == refused->why &&
           strcmp(summary->from, refused->user) == 0 &&
           strcmp(summary->to, refused->dialled) == 0 && address_equal(&a, &b);
}

static struct call_summary *find_same(struct history *history, const struct sip_refused *refused)
{
    for (int i = 0; i < HISTORY_REFUSED; i++)
        if (is_same(&history->refused[i], refused))
            return &history->refused[i];
    return NULL;
}

static struct call_summary *make_refused(struct history *history, const struct sip_refused *refused)
{
    struct call_summary *summary = &history->refused[history->refusals++ % HISTORY_REFUSED];
    const enum call_reason reason = refused->why == SIP_REFUSED_CODEC     ? CALL_NOT_ACCEPTABLE
                                    : refused->why == SIP_REFUSED_REQUEST ? CALL_BAD_REQUEST
                                                                          : CALL_FORBIDDEN;
    journal_fini(&summary->journal);
    *summary = (struct call_summary){
        .refusal = refused->why, .source = refused->source, .created_s = time(NULL)};
    call_make_id(summary->id);
    snprintf(summary->from, sizeof summary->from, "%s", refused->user);
    snprintf(summary->to, sizeof summary->to, "%s", refused->dialled);
    summary->cause = call_cause(reason, "");
    summary->cause.sip_status = (uint16_t)refused->status;
    diagnose(summary);
    return summary;
}

void history_add_refused(struct history *history, const struct sip_refused *refused,
                         uint64_t now_ms)
{
    static const char *const words[] = {
        [SIP_REFUSED_USER] = "no phone has that name",
        [SIP_REFUSED_PASSWORD] = "its password is wrong",
        [SIP_REFUSED_CODEC] = "no codec in its offer is known here",
        [SIP_REFUSED_REQUEST] = "it cannot be understood",
    };
    struct call_summary *summary = find_same(history, refused);
    char text[JOURNAL_TEXT_MAX], source[ADDRESS_TEXT_MAX];

    if (!summary) {
        history->in_second = now_ms / 1000 == history->second ? history->in_second + 1 : 1;
        history->second = now_ms / 1000;
        if (history->in_second > NEW_PER_S)
            return;
        summary = make_refused(history, refused);
        summary->created_ms = now_ms;
    }
    summary->times++;
    summary->latest_ms = now_ms;
    snprintf(text, sizeof text, "INVITE of \"%s\" for %s from %s over %s was refused with %d: %s",
             refused->user, refused->dialled, address_format(&refused->source, source),
             refused->transport == CONF_TCP ? "TCP" : "UDP", refused->status, words[refused->why]);
    journal_add(&summary->journal, (uint32_t)(now_ms - summary->created_ms), JOURNAL_SIP, "refused",
                text);
}

struct history_registration *history_find_registration(struct history *history, const char *phone)
{
    for (int i = 0; *phone && i < HISTORY_REFUSED; i++)
        if (strcmp(history->registrations[i].phone, phone) == 0)
            return &history->registrations[i];
    return NULL;
}

void history_add_registration(struct history *history, const struct sip_refused *refused,
                              uint64_t now_ms)
{
    struct history_registration *place = history_find_registration(history, refused->user);
    for (int i = 0; !place && i < HISTORY_REFUSED; i++)
        if (!*history->registrations[i].phone)
            place = &history->registrations[i];
    if (!place) {
        place = history->registrations;
        for (int i = 1; i < HISTORY_REFUSED; i++)
            if (history->registrations[i].at_ms < place->at_ms)
                place = &history->registrations[i];
    }
    snprintf(place->phone, sizeof place->phone, "%s", refused->user);
    place->source = refused->source;
    place->at_ms = now_ms;
}

void history_drop_registration(struct history *history, const char *phone)
{
    struct history_registration *place = history_find_registration(history, phone);
    if (place)
        place->phone[0] = '\0';
}

/* ---- all --------------------------------------------------------------------------------------
 */

void history_fini(struct history *history)
{
    for (int i = 0; i < HISTORY_CALLS; i++)
        journal_fini(&history->calls[i].journal);
    for (int i = 0; i < HISTORY_REFUSED; i++)
        journal_fini(&history->refused[i].journal);
}

struct ring {
    const struct call_summary *summaries;
    uint64_t added, size;
};

void history_each(const struct history *history, const char *beginning,
                  void (*each)(void *ctx, const struct call_summary *summary), void *ctx)
{
    const struct ring rings[] = {
        {history->calls, history->ended, HISTORY_CALLS},
        {history->refused, history->refusals, HISTORY_REFUSED},
    };
    for (int r = 0; r < 2; r++) {
        uint64_t oldest = rings[r].added > rings[r].size ? rings[r].added - rings[r].size : 0;
        for (uint64_t i = rings[r].added; i-- > oldest;) {
            const struct call_summary *summary = &rings[r].summaries[i % rings[r].size];
            if (strncmp(summary->id, beginning, strlen(beginning)) == 0)
                each(ctx, summary);
        }
    }
}
