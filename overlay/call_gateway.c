/* The gateway's functions on a call (overlay.h). */
#include "overlay/call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BODY(name) SALLYPORT__CALL_MESSAGE__BODY_##name

void overlay_call_accept(struct overlay_call *call, const struct overlay_call_events *events,
                         void *ctx)
{
    call->events = events;
    call->events_ctx = ctx;
    event_release(call);
}

/* The key and the path go with the first reply, news of the path with the Answer. `media` NULL:
 * none is agreed yet. */
static int reply(struct overlay_call *call, int body, const struct overlay_media *media)
{
    Sallyport__CallMessage message = SALLYPORT__CALL_MESSAGE__INIT;
    Sallyport__Ringing ringing = SALLYPORT__RINGING__INIT;
    Sallyport__Progress progress = SALLYPORT__PROGRESS__INIT;
    Sallyport__Answer answer = SALLYPORT__ANSWER__INIT;
    ProtobufCBinaryData key = {.data = call->our_public, .len = sizeof call->our_public};
    Sallyport__Media wire;
    char *codec;

    call_media_init(&wire, call->ssrc_in, call->our_path);
    if (media) {
        codec = (char *)codec_name(media->codec);
        wire.codecs = &codec;
        wire.n_codecs = 1;
        wire.direction = (Sallyport__Direction)media->direction;
        wire.ptime_ms = media->ptime_ms > 0 ? (uint32_t)media->ptime_ms : 20;
    }
    if (call->is_key_told)
        key.len = 0;
    ringing.key = progress.key = answer.key = key;
    ringing.media = progress.media = answer.media = &wire;
    message.body_case = (Sallyport__CallMessage__BodyCase)body;
    if (body == BODY(RINGING))
        message.ringing = &ringing;
    else if (body == BODY(PROGRESS))
        message.progress = &progress;
    else
        message.answer = &answer;
    int error = call_send(call, &message);
    if (!error) {
        call->is_key_told = true;
        free(call->our_path);
        call->our_path = NULL;
    }
    wire.codecs = NULL;
    call_media_fini(&wire);
    return error;
}

void overlay_call_ring(struct overlay_call *call)
{
    if (call->state == STATE_OFFERED && !call->is_rung)
        call->is_rung = reply(call, BODY(RINGING), NULL) == 0;
}

static int check(const struct overlay_call *call, enum call_state state,
                 const struct overlay_media *media)
{
    if (call->state != state)
        return call->state == STATE_CLOSING ? -ENOTCONN : -EINVAL;
    if (media && !codec_list_has(&call->codecs, media->codec))
        return -EINVAL;
    return 0;
}

int overlay_call_progress(struct overlay_call *call, const struct overlay_media *media)
{
    int error = check(call, STATE_OFFERED, media);

    return error ? error : reply(call, BODY(PROGRESS), media);
}

/* From now on the caller may know where we are; what it was not told before goes with the Answer.
 */
static void show_path(struct overlay_call *call)
{
    const struct core_io *io = &call->core->io;
    struct core_path *ours;

    if (!call->has_path || !io->path_show)
        return;
    ours = core_alloc(sizeof *ours);
    if (io->path_show(io->ctx, call->path, ours) < 0 || ours->bytes == 0) {
        free(ours);
        return;
    }
    free(call->our_path);
    call->our_path = ours;
}

int overlay_call_answer(struct overlay_call *call, const struct overlay_media *media)
{
    int error = check(call, STATE_OFFERED, media);

    if (!error) {
        show_path(call);
        error = reply(call, BODY(ANSWER), media);
    }
    if (!error)
        call_set_state(call, STATE_UP, "answered here");
    return error;
}

int overlay_call_update(struct overlay_call *call, const struct overlay_media *media)
{
    Sallyport__CallMessage message = SALLYPORT__CALL_MESSAGE__INIT;
    Sallyport__Update update = SALLYPORT__UPDATE__INIT;
    Sallyport__Media wire;
    int error = check(call, STATE_UP, media);

    if (error)
        return error;
    char *codec = (char *)codec_name(media->codec);
    call_media_init(&wire, call->ssrc_in, NULL);
    wire.codecs = &codec;
    wire.n_codecs = 1;
    wire.direction = (Sallyport__Direction)media->direction;
    wire.ptime_ms = media->ptime_ms > 0 ? (uint32_t)media->ptime_ms : 20;
    update.media = &wire;
    message.body_case = BODY(UPDATE);
    message.update = &update;
    return call_send(call, &message);
}

int overlay_call_digit(struct overlay_call *call, char digit, int duration_ms)
{
    Sallyport__CallMessage message = SALLYPORT__CALL_MESSAGE__INIT;
    Sallyport__Info info = SALLYPORT__INFO__INIT;
    char text[2] = {digit, '\0'};
    int error = check(call, STATE_UP, NULL);

    if (error)
        return error;
    if (digit == '\0' || !strchr("0123456789*#ABCD", digit) || duration_ms < 0)
        return -EINVAL;
    info.digit = text;
    info.duration_ms = (uint32_t)duration_ms;
    message.body_case = BODY(INFO);
    message.info = &info;
    return call_send(call, &message);
}

void overlay_call_end(struct overlay_call *call, const struct call_cause *cause)
{
    call_end_by_gateway(call, cause);
}
