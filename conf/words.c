/* The words that all folders share: codecs and the reasons of a call's end. */
#include "conf/conf.h"
#include "conf/text.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static const char *const codec_names[CODEC_COUNT] = {
    [CODEC_PCMU] = "pcmu",
    [CODEC_PCMA] = "pcma",
    [CODEC_G722] = "g722",
    [CODEC_OPUS] = "opus",
};

static const char *const reason_names[CALL_REASONS] = {
    [CALL_NORMAL] = "normal",
    [CALL_CANCELLED] = "cancelled",
    [CALL_BUSY] = "busy",
    [CALL_BUSY_EVERYWHERE] = "busy everywhere",
    [CALL_DECLINED] = "declined",
    [CALL_NO_ANSWER] = "no answer",
    [CALL_NOT_FOUND] = "not found",
    [CALL_UNAVAILABLE] = "unavailable",
    [CALL_NOT_ACCEPTABLE] = "not acceptable",
    [CALL_FORBIDDEN] = "forbidden",
    [CALL_NO_SUPERNODE] = "no supernode",
    [CALL_CONGESTION] = "congestion",
    [CALL_TIMEOUT] = "timeout",
    [CALL_MEDIA_TIMEOUT] = "media timeout",
    [CALL_BAD_REQUEST] = "bad request",
    [CALL_FAILURE] = "failure",
};

const char *codec_name(enum codec codec)
{
    return (unsigned)codec < CODEC_COUNT ? codec_names[codec] : "unknown";
}

int codec_find(const char *name, enum codec *codec)
{
    for (int i = 0; i < CODEC_COUNT; i++) {
        if (strcasecmp(name, codec_names[i]) == 0) {
            *codec = (enum codec)i;
            return 0;
        }
    }
    return -ENOENT;
}

bool codec_list_has(const struct codec_list *list, enum codec codec)
{
    for (int i = 0; i < list->count; i++)
        if (list->codec[i] == codec)
            return true;
    return false;
}

const char *call_reason_name(enum call_reason reason)
{
    return (unsigned)reason < CALL_REASONS ? reason_names[reason] : "unknown";
}

struct call_cause call_cause(enum call_reason reason, const char *text)
{
    struct call_cause cause = {.reason = reason};

    /* The text may come from a stranger and goes into a SIP header: it stays one line. */
    text_escape(cause.text, sizeof cause.text, text ? text : call_reason_name(reason));
    return cause;
}
