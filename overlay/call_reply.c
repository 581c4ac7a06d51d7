/* What each body of a call message means, and how media, paths and causes look on the wire. */
#include "overlay/call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DIGIT_MIN_MS 40
#define DIGIT_MAX_MS 8000
#define PTIME_MS 20
#define PTIME_MAX_MS 120

/* ---- on the wire ------------------------------------------------------------------------------
 */

enum media_direction call_direction_flip(enum media_direction direction)
{
    if (direction == MEDIA_SENDONLY)
        return MEDIA_RECVONLY;
    if (direction == MEDIA_RECVONLY)
        return MEDIA_SENDONLY;
    return direction;
}

void call_codecs_decode(struct codec_list *codecs, const Sallyport__Media *media)
{
    enum codec codec;

    codecs->count = 0;
    for (size_t i = 0; media && i < media->n_codecs && codecs->count < CODECS_MAX; i++)
        if (codec_find(media->codecs[i], &codec) == 0 && !codec_list_has(codecs, codec))
            codecs->codec[codecs->count++] = codec;
}

void call_path_decode(struct core_path *path, const Sallyport__Media *media)
{
    path->bytes = 0;
    if (media && media->path && sallyport__path__get_packed_size(media->path) <= CORE_PATH_MAX)
        path->bytes = sallyport__path__pack(media->path, path->data);
}

void call_media_init(Sallyport__Media *media, uint32_t ssrc, const struct core_path *path)
{
    sallyport__media__init(media);
    media->ssrc = ssrc;
    media->direction = SALLYPORT__DIRECTION__SENDRECV;
    media->ptime_ms = PTIME_MS;
    if (path && path->bytes > 0)
        media->path = sallyport__path__unpack(NULL, path->bytes, path->data);
}

void call_media_fini(Sallyport__Media *media)
{
    if (media->path)
        sallyport__path__free_unpacked(media->path, NULL);
    media->path = NULL;
}

void call_cause_encode(Sallyport__End *end, const struct call_cause *cause)
{
    sallyport__end__init(end);
    end->reason = (char *)call_reason_name(cause->reason);
    end->sip_status = cause->sip_status;
    end->q850 = cause->q850;
    end->text = (char *)cause->text;
}

struct call_cause call_cause_decode(const Sallyport__End *end)
{
    enum call_reason reason = CALL_FAILURE;

    for (int i = 0; i < CALL_REASONS; i++)
        if (strcmp(end->reason, call_reason_name((enum call_reason)i)) == 0)
            reason = (enum call_reason)i;

    struct call_cause cause = call_cause(reason, end->text[0] ? end->text : NULL);
    if (end->sip_status >= 300 && end->sip_status <= 699)
        cause.sip_status = (uint16_t)end->sip_status;
    if (end->q850 <= 127)
        cause.q850 = (uint8_t)end->q850;
    return cause;
}

/* ---- bodies -----------------------------------------------------------------------------------
 */

static void refuse(struct overlay_call *call, enum call_reason reason, const char *text)
{
    struct call_cause cause = call_cause(reason, text);

    call_finish(call, &cause);
}

static int decode_media(struct overlay_call *call, const Sallyport__Media *wire,
                        struct overlay_media *media)
{
    struct codec_list codecs;

    call_codecs_decode(&codecs, wire);
    if (codecs.count == 0 || !codec_list_has(&call->codecs, codecs.codec[0]))
        return -ENOTSUP;
    *media = (struct overlay_media){
        .codec = codecs.codec[0],
        .direction = call_direction_flip((enum media_direction)(wire->direction & 3)),
        .ptime_ms =
            wire->ptime_ms > 0 && wire->ptime_ms <= PTIME_MAX_MS ? (int)wire->ptime_ms : PTIME_MS,
    };
    return 0;
}

static bool take_media(struct overlay_call *call, const Sallyport__Media *wire, bool is_early)
{
    struct event event = {.kind = EVENT_MEDIA, .call = call};

    if (decode_media(call, wire, &event.media) < 0) {
        refuse(call, CALL_NOT_ACCEPTABLE, "the far node chose a codec that was not offered");
        return false;
    }
    event.media.is_early = is_early;
    if (wire->ssrc)
        call->ssrc_out = wire->ssrc;
    event_add(call->core, &event);
    return true;
}

static bool take_path(struct overlay_call *call, const Sallyport__Media *media)
{
    struct core *core = call->core;
    struct core_path theirs;

    if (!call->has_path || !core->io.path_learn)
        return true;
    call_path_decode(&theirs, media);
    if (core->io.path_learn(core->io.ctx, call->path, &theirs) == 0)
        return true;
    refuse(call, CALL_FAILURE, "the far node's media addresses cannot be used");
    return false;
}

/* The first reply brings the callee's fresh key and its path; the Answer perhaps more of that. */
static bool take_key(struct overlay_call *call, const ProtobufCBinaryData *key,
                     const Sallyport__Media *media)
{
    if (call->has_far_key)
        return !media || !media->path || take_path(call, media);
    if (key->len != sizeof call->far_public || !media) {
        refuse(call, CALL_BAD_REQUEST, "the reply has no key");
        return false;
    }
    memcpy(call->far_public, key->data, sizeof call->far_public);
    call->has_far_key = true;
    if (call_agree(call) < 0) {
        refuse(call, CALL_BAD_REQUEST, "the reply has no good key");
        return false;
    }
    call->ssrc_out = media->ssrc;
    return take_path(call, media);
}

static void on_ringing(struct overlay_call *call, const Sallyport__CallMessage *message)
{
    if (!take_key(call, &message->ringing->key, message->ringing->media) || call->is_rung)
        return;
    call->is_rung = true;
    event_add(call->core, &(struct event){.kind = EVENT_RINGING, .call = call});
}

static void on_progress(struct overlay_call *call, const Sallyport__CallMessage *message)
{
    if (take_key(call, &message->progress->key, message->progress->media))
        take_media(call, message->progress->media, true);
}

static void on_answer(struct overlay_call *call, const Sallyport__CallMessage *message)
{
    if (!take_key(call, &message->answer->key, message->answer->media) ||
        !take_media(call, message->answer->media, false))
        return;
    call_set_state(call, STATE_UP, "answered");
    event_add(call->core, &(struct event){.kind = EVENT_ANSWER, .call = call});
}

static void on_update(struct overlay_call *call, const Sallyport__CallMessage *message)
{
    take_media(call, message->update->media, false);
}

static void on_info(struct overlay_call *call, const Sallyport__CallMessage *message)
{
    const Sallyport__Info *info = message->info;
    struct event event = {.kind = EVENT_DIGIT, .call = call};
    uint32_t duration_ms = info->duration_ms;

    if (strlen(info->digit) != 1 || !strchr("0123456789*#ABCD", info->digit[0]))
        return;
    if (duration_ms < DIGIT_MIN_MS)
        duration_ms = DIGIT_MIN_MS;
    if (duration_ms > DIGIT_MAX_MS)
        duration_ms = DIGIT_MAX_MS;
    event.digit.digit = info->digit[0];
    event.digit.duration_ms = (int)duration_ms;
    event_add(call->core, &event);
}

/* Body by state; what is missing is acknowledged and has no effect. Ack and End are not here: they
 * are out of order (call_message.c). A first Offer makes the call (call_accept.c). */
#define BODY(name) SALLYPORT__CALL_MESSAGE__BODY_##name
static void (*const handlers[CALL_STATES][BODY(END) + 1])(struct overlay_call *call,
                                                          const Sallyport__CallMessage *message) = {
    [STATE_WAITING] = {[BODY(RINGING)] = on_ringing,
                       [BODY(PROGRESS)] = on_progress,
                       [BODY(ANSWER)] = on_answer},
    [STATE_UP] = {[BODY(UPDATE)] = on_update, [BODY(INFO)] = on_info},
};

void call_on_body(struct overlay_call *call, const Sallyport__CallMessage *message)
{
    unsigned body = (unsigned)message->body_case;

    call_offer_arrived(call);
    if (body <= BODY(END) && handlers[call->state][body])
        handlers[call->state][body](call, message);
}
