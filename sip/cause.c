#include "sip/cause.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
    enum call_reason reason;
    int status;
    int q850;
    const char *phrase;
} reasons[CALL_REASONS] = {
    [CALL_NORMAL] = {CALL_NORMAL, 480, 16, "Call ended"},
    [CALL_CANCELLED] = {CALL_CANCELLED, 487, 16, "Request Terminated"},
    [CALL_BUSY] = {CALL_BUSY, 486, 17, "Busy Here"},
    [CALL_BUSY_EVERYWHERE] = {CALL_BUSY_EVERYWHERE, 600, 17, "Busy Everywhere"},
    [CALL_DECLINED] = {CALL_DECLINED, 603, 21, "Decline"},
    [CALL_NO_ANSWER] = {CALL_NO_ANSWER, 480, 19, "No Answer"},
    [CALL_NOT_FOUND] = {CALL_NOT_FOUND, 404, 1, "Not Found"},
    [CALL_UNAVAILABLE] = {CALL_UNAVAILABLE, 480, 20, "Temporarily Unavailable"},
    [CALL_NOT_ACCEPTABLE] = {CALL_NOT_ACCEPTABLE, 488, 65, "Not Acceptable Here"},
    [CALL_FORBIDDEN] = {CALL_FORBIDDEN, 403, 21, "Forbidden"},
    [CALL_NO_SUPERNODE] = {CALL_NO_SUPERNODE, 503, 38, "Service Unavailable"},
    [CALL_CONGESTION] = {CALL_CONGESTION, 503, 42, "Service Unavailable"},
    [CALL_TIMEOUT] = {CALL_TIMEOUT, 408, 102, "Request Timeout"},
    [CALL_MEDIA_TIMEOUT] = {CALL_MEDIA_TIMEOUT, 480, 41, "Media Timeout"},
    [CALL_BAD_REQUEST] = {CALL_BAD_REQUEST, 400, 95, "Bad Request"},
    [CALL_FAILURE] = {CALL_FAILURE, 500, 41, "Server Internal Error"},
};

/* What the statuses of phones mean to the rest of the program. */
static const struct {
    int status;
    enum call_reason reason;
    int q850;
} statuses[] = {
    {400, CALL_BAD_REQUEST, 41},     {401, CALL_FORBIDDEN, 21},      {403, CALL_FORBIDDEN, 21},
    {404, CALL_NOT_FOUND, 1},        {406, CALL_NOT_ACCEPTABLE, 79}, {407, CALL_FORBIDDEN, 21},
    {408, CALL_TIMEOUT, 102},        {410, CALL_NOT_FOUND, 22},      {415, CALL_NOT_ACCEPTABLE, 79},
    {420, CALL_BAD_REQUEST, 127},    {480, CALL_UNAVAILABLE, 18},    {481, CALL_FAILURE, 41},
    {484, CALL_NOT_FOUND, 28},       {486, CALL_BUSY, 17},           {487, CALL_CANCELLED, 16},
    {488, CALL_NOT_ACCEPTABLE, 65},  {503, CALL_UNAVAILABLE, 41},    {504, CALL_TIMEOUT, 102},
    {600, CALL_BUSY_EVERYWHERE, 17}, {603, CALL_DECLINED, 21},       {604, CALL_NOT_FOUND, 1},
    {606, CALL_NOT_ACCEPTABLE, 65},
};

int cause_status(const struct call_cause *cause)
{
    /* A redirection is not ours to hand on: nobody here would follow it. */
    if (cause->sip_status >= 400 && cause->sip_status <= 699)
        return cause->sip_status;
    if ((unsigned)cause->reason >= CALL_REASONS)
        return 500;
    return reasons[cause->reason].status;
}

/* Copies a phrase without control characters, quotes and what does not fit. */
static void copy_phrase(char *to, size_t size, const char *phrase, size_t length)
{
    size_t used = 0;

    for (size_t i = 0; i < length && phrase[i] && used + 1 < size; i++)
        if ((unsigned char)phrase[i] >= ' ' && phrase[i] != 127 && phrase[i] != '"' &&
            phrase[i] != '\\')
            to[used++] = phrase[i];
    to[used] = '\0';
}

const char *cause_phrase(const struct call_cause *cause, char *text)
{
    enum call_reason reason = (unsigned)cause->reason < CALL_REASONS ? cause->reason : CALL_FAILURE;

    copy_phrase(text, CAUSE_PHRASE_MAX, cause->text, sizeof cause->text);
    if (!text[0])
        strcpy(text, reasons[reason].phrase);
    return text;
}

struct call_cause cause_from_status(int status, const char *phrase, int q850)
{
    struct call_cause cause = {.reason = CALL_FAILURE, .sip_status = (uint16_t)status, .q850 = 41};

    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        if (statuses[i].status == status) {
            cause.reason = statuses[i].reason;
            cause.q850 = (uint8_t)statuses[i].q850;
        }
    }
    if (status < 400) /* a redirection, which we do not follow */
        cause.reason = CALL_UNAVAILABLE, cause.q850 = 23;
    if (q850 > 0 && q850 < 128)
        cause.q850 = (uint8_t)q850;
    /* Rang and was not taken: phones say 480 or 408 for it too; the Q.850 cause tells. */
    if (cause.q850 == 19)
        cause.reason = CALL_NO_ANSWER;
    if (phrase)
        copy_phrase(cause.text, sizeof cause.text, phrase, strlen(phrase));
    return cause;
}

struct call_cause cause_from_bye(int q850, const char *text)
{
    struct call_cause cause = {.reason = CALL_NORMAL, .q850 = 16};

    if (q850 > 0 && q850 < 128)
        cause.q850 = (uint8_t)q850;
    copy_phrase(cause.text, sizeof cause.text, text ? text : "", text ? strlen(text) : 0);
    return cause;
}

const char *cause_reason(const struct call_cause *cause, char *text)
{
    int q850 = cause->q850;
    char phrase[CAUSE_PHRASE_MAX];

    if (!q850)
        q850 = (unsigned)cause->reason < CALL_REASONS ? reasons[cause->reason].q850 : 41;
    snprintf(text, CAUSE_REASON_MAX, "Q.850;cause=%d;text=\"%s\"", q850,
             cause_phrase(cause, phrase));
    return text;
}

int cause_reason_parse(const char *value, char *text, size_t size)
{
    const char *found, *end;
    int q850 = 0;

    text[0] = '\0';
    if (!value)
        return 0;
    if ((found = strcasestr(value, "text=\"")) && (end = strchr(found + 6, '"')))
        copy_phrase(text, size, found + 6, (size_t)(end - found - 6));
    value += strspn(value, " \t");
    if (strncasecmp(value, "Q.850", 5))
        return 0;
    if ((found = strcasestr(value, "cause=")))
        q850 = (int)strtol(found + 6, NULL, 10);
    return q850 > 0 && q850 < 128 ? q850 : 0;
}
