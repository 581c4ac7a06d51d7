/* The descriptions of a call: what the far end says, what we say, what is agreed. */
#include "sip/call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int call_sdp_read(const sip_t *in, struct sdp **sdp)
{
    int err;

    *sdp = NULL;
    if (!in->sip_payload || in->sip_payload->pl_len == 0)
        return 0;
    if (in->sip_content_type && in->sip_content_type->c_type &&
        strcasecmp(in->sip_content_type->c_type, "application/sdp"))
        return -EPROTONOSUPPORT;
    *sdp = malloc(sizeof **sdp);
    if (!*sdp)
        return -ENOMEM;
    err = sdp_parse(in->sip_payload->pl_data, in->sip_payload->pl_len, *sdp);
    if (err) {
        free(*sdp);
        *sdp = NULL;
    }
    return err;
}

/* Takes a fresh description; its version grows when it differs (RFC 3264, 8). `text` was written
 * with the version that the last one had. True when it must be written again. */
static bool has_changed(const struct sip_call *call, const char *text)
{
    return call->sdp[0] && strcmp(call->sdp, text);
}

int call_offer_write(struct sip_call *call, const struct sip_local_audio *local)
{
    char text[SDP_TEXT_MAX];
    int bytes = sdp_write_offer(&call->origin, local, text);

    if (bytes < 0)
        return bytes;
    if (has_changed(call, text)) {
        call->origin.version++;
        sdp_write_offer(&call->origin, local, text);
    }
    strcpy(call->sdp, text);
    return 0;
}

int call_answer_write(struct sip_call *call, const struct sdp *offer,
                      const struct sip_local_audio *local)
{
    char text[SDP_TEXT_MAX];
    struct sip_audio audio;
    int accepted, err = sdp_negotiate_answer(offer, local, &audio, &accepted);

    if (err)
        return err;
    err = sdp_write_answer(&call->origin, local, offer, accepted, &audio, text);
    if (err < 0)
        return err;
    if (has_changed(call, text)) {
        call->origin.version++;
        sdp_write_answer(&call->origin, local, offer, accepted, &audio, text);
    }
    strcpy(call->sdp, text);
    call->local = *local;
    call->audio = audio;
    call->has_audio = true;
    return 0;
}

int call_answer_take(struct sip_call *call, const struct sdp *answer,
                     const struct sip_local_audio *local)
{
    struct sip_audio audio;
    int err = sdp_negotiate_offer(answer, local, &audio);

    if (err)
        return err;
    /* To what we did not offer an answer says nothing: there the last word counts. */
    unsigned before = call->has_audio ? call->audio.willing : MEDIA_SENDRECV;
    audio.willing =
        (enum media_direction)(audio.direction | (before & ~(unsigned)local->direction));
    call->local = *local;
    call->audio = audio;
    call->has_audio = true;
    return 0;
}

void call_media_post(struct sip_call *call)
{
    struct event *event;

    if (!call->events || call->ended)
        return;
    event = event_post(call->sip, EVENT_MEDIA, call);
    event->u.audio = call->audio;
    event->u.audio.is_early =
        call->state == CALL_STATE_RINGING || call->state == CALL_STATE_CALLING;
}
