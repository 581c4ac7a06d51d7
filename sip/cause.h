/* sip/cause.h: why a call ended, as SIP says it: status codes, phrases and Reason headers
 * (RFC 3261, 21; RFC 3326; RFC 3398 for the mapping to Q.850). Pure. */
#ifndef SIP_CAUSE_H
#define SIP_CAUSE_H

#include "conf/conf.h"

#define CAUSE_PHRASE_MAX 96
#define CAUSE_REASON_MAX 160

/* The status to answer with: what the far phone really said, else what fits the reason. */
int cause_status(const struct call_cause *cause);
/* Writes the phrase for the status line into `text` (CAUSE_PHRASE_MAX bytes) and returns it: the
 * cause's own text when it has one. Causes come from other nodes too: control characters and quotes
 * are left out. */
const char *cause_phrase(const struct call_cause *cause, char *text);
/* What a final status (300-699) means. `phrase` and `q850` (0: none) as received. */
struct call_cause cause_from_status(int status, const char *phrase, int q850);
/* What a BYE means. */
struct call_cause cause_from_bye(int q850, const char *text);
/* Writes `Q.850;cause=16;text="..."` into `text` (CAUSE_REASON_MAX bytes) and returns it. */
const char *cause_reason(const struct call_cause *cause, char *text);
/* Reads a Reason header value: its Q.850 cause, or 0. `text` gets the phrase ("" when none). */
int cause_reason_parse(const char *value, char *text, size_t size);

#endif
