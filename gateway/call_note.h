/* gateway/call_note.h: the journal of a call, written by its legs and its media.
 *
 * Also gathers what the diagnosis wants to know: of a call in progress at any time, of one that is
 * over when its media has stopped. Thread: control. */
#ifndef GATEWAY_CALL_NOTE_H
#define GATEWAY_CALL_NOTE_H

#include "gateway/call_internal.h"
#include "gateway/route.h"

/* A line for the call's journal, now. No secrets. */
void call_note(struct call *call, enum journal_part part, const char *event, const char *format,
               ...) __attribute__((format(printf, 4, 5)));
/* The same with a time of its own (loop time). */
void call_note_at(struct call *call, uint64_t at_ms, enum journal_part part, const char *event,
                  const char *text);
/* Where the dialled number led. */
void call_note_route(struct call *call, const struct route_query *query,
                     const struct route_result *route);
/* A far end ends the call, with this cause; call->cause is why it is over. */
void call_note_hung_up(const struct leg *leg, const struct call_cause *cause);
void call_note_end(struct call *call);
/* What overlay/ says of the call: a line, and what it means for the diagnosis. */
void call_note_overlay(struct call *call, const char *part, const char *event, const char *text);
/* Which codecs the two ends speak, when that is new. */
void call_note_codecs(struct call *call);
/* Where a phone's RTP really comes from. */
void call_note_source(const struct leg *leg, const struct media_stats *stats);
/* The final figures of both legs. */
void call_note_figures(struct call *call);
/* What is wrong or right with the call, in a sentence (DIAGNOSIS_MAX bytes). */
void call_diagnose(const struct call *call, char *text);

#endif
