/* Incoming: an offer becomes a call, or is refused. */
#include "overlay/call.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OFFER_AGE_MAX_S 60

struct incoming {
    struct core *core;
    const struct call_name *name;
    const Sallyport__CallMessage *message;
    const Sallyport__Offer *offer;
    const struct certificate *signer;
    core_link by; /* the upstream that brought it */
};

/* No call is made for what is refused: one End, and again for each time that the offer comes again.
 */
static void refuse(const struct incoming *in, enum call_reason reason, const char *text)
{
    struct call_cause cause = call_cause(reason, text);
    Sallyport__CallMessage message = SALLYPORT__CALL_MESSAGE__INIT;
    Sallyport__End end;
    struct homes homes;
    char id[CALL_ID_LEN + 1];

    call_id_text(in->name->call, id);
    core_complain(in->core, COMPLAINT_OFFER, "offer %s from %s was refused: %s", id,
                  in->signer->site, cause.text);
    homes_decode(&homes, in->offer->homes, in->offer->n_homes);
    call_cause_encode(&end, &cause);
    message.call.data = (uint8_t *)in->name->call;
    message.call.len = CALL_ID_BYTES;
    message.number = 1;
    message.sent_s = in->core->io.time_s(in->core->io.ctx);
    message.body_case = SALLYPORT__CALL_MESSAGE__BODY_END;
    message.end = &end;

    size_t bytes = sallyport__call_message__get_packed_size(&message);
    uint8_t *data = core_alloc(bytes);
    sallyport__call_message__pack(&message, data);
    struct call_letter letter = {
        .to = in->signer,
        .key = in->offer->key.data,
        .homes = &homes,
        .message = data,
        .bytes = bytes,
        .heard_by = in->by,
    };
    call_letter_send_wide(in->core, &letter);
    free(data);
}

static bool is_user(const char *text)
{
    if (text[0] == '\0' || strlen(text) >= OVERLAY_NAME_MAX)
        return false;
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f)
            return false;
    return true;
}

static bool is_permitted(const struct incoming *in)
{
    int64_t age_s = in->core->io.time_s(in->core->io.ctx) - in->message->sent_s;
    char text[96];

    if (age_s > OFFER_AGE_MAX_S || age_s < -OFFER_AGE_MAX_S) {
        snprintf(text, sizeof text, "clocks differ by %lld s", (long long)age_s);
        refuse(in, CALL_BAD_REQUEST, text);
    } else if (!(in->signer->roles & (CONF_ROLE_GATEWAY | CONF_ROLE_CLIENT))) {
        refuse(in, CALL_FORBIDDEN, "the caller's node may not call");
    } else if (!certificate_grants(in->signer, in->offer->site)) {
        refuse(in, CALL_FORBIDDEN, "the caller's site is not its own");
    } else if (!is_user(in->offer->caller) || !is_user(in->offer->dialled)) {
        refuse(in, CALL_BAD_REQUEST, "the offer has no good user");
    } else if (in->core->is_leaving || !in->core->io.events->on_offer) {
        refuse(in, CALL_UNAVAILABLE, "the node is closing");
    } else {
        return true;
    }
    return false;
}

static int take_path(struct overlay_call *call, const Sallyport__Media *media)
{
    struct core *core = call->core;
    struct core_path theirs;

    call->ssrc_out = media->ssrc;
    if (!core->io.path_accept) {
        core->io.random(core->io.ctx, &call->ssrc_in, sizeof call->ssrc_in);
        return 0;
    }
    call_path_decode(&theirs, media);
    call->our_path = core_alloc(sizeof *call->our_path);
    int error = core->io.path_accept(core->io.ctx, call->far, &theirs, call->our_path, &call->path,
                                     &call->ssrc_in);
    call->has_path = error == 0;
    return error;
}

static void tell_gateway(struct overlay_call *call, const Sallyport__Offer *wire)
{
    struct event_offer *offer = core_alloc(sizeof *offer);

    snprintf(offer->caller, sizeof offer->caller, "%s", wire->caller);
    snprintf(offer->caller_name, sizeof offer->caller_name, "%s", wire->caller_name);
    snprintf(offer->dialled, sizeof offer->dialled, "%s", wire->dialled);
    offer->offer = (struct overlay_offer){
        .call_id = call->id,
        .caller = offer->caller,
        .caller_site = call->far->site,
        .caller_name = offer->caller_name,
        .dialled = offer->dialled,
        .codecs = call->codecs,
        .direction = call->direction,
    };
    event_add(call->core, &(struct event){.kind = EVENT_OFFER, .call = call, .offer = offer});
}

static void make_call(const struct incoming *in, const struct codec_list *codecs,
                      struct caller *caller)
{
    struct overlay_call *call = call_add(in->core, in->name, STATE_OFFERED);

    if (!call) {
        refuse(in, CALL_CONGESTION, "too many calls");
        return;
    }
    call_start_timers(call);
    call->heard_by = in->by;
    call->caller = caller;
    caller_take(caller);
    call->far = core_alloc(sizeof *call->far);
    *call->far = *in->signer;
    homes_decode(&call->homes, in->offer->homes, in->offer->n_homes);
    call->homes_s = in->message->sent_s;
    memcpy(call->far_public, in->offer->key.data, sizeof call->far_public);
    call->has_far_key = true;
    call->codecs = *codecs;
    call->direction = call_direction_flip((enum media_direction)(in->offer->media->direction & 3));
    if (call_agree(call) < 0 || take_path(call, in->offer->media) < 0) {
        call_free(call);
        refuse(in, CALL_CONGESTION, "no media path can be made");
        return;
    }
    recent_add(in->core, in->name);
    call->far_number = 1;
    call_send_ack(call, 1);
    log_info(LOG_OVERLAY, call->id, "%s@%s calls %s", in->offer->caller, in->signer->site,
             in->offer->dialled);
    tell_gateway(call, in->offer);
    call_note_came(call);
    call_note_warm(call);
}

static void on_offer(const struct incoming *in)
{
    struct codec_list codecs;
    struct caller *caller;

    if (in->message->number != 1 || in->offer->key.len != 32 || !in->offer->media) {
        in->core->malformed++;
        return;
    }
    if (recent_find(in->core, in->name) || !is_permitted(in))
        return;
    call_codecs_decode(&codecs, in->offer->media);
    if (codecs.count == 0)
        refuse(in, CALL_NOT_ACCEPTABLE, "no common codec");
    else if (caller_admit(in->core, in->signer->node, &caller) < 0)
        refuse(in, CALL_CONGESTION, "too many calls from this node");
    else
        make_call(in, &codecs, caller);
}

void call_on_stranger(struct core *core, const struct call_name *name,
                      const struct call_opened *opened, const struct certificate *signer)
{
    const Sallyport__CallMessage *message = opened->message;
    struct incoming in = {core, name, message, message->offer, signer, opened->by};

    if (memcmp(signer->node, core->self->node, OVERLAY_NODE_ID_BYTES) == 0)
        core->malformed++;
    else if (message->body_case == SALLYPORT__CALL_MESSAGE__BODY_OFFER)
        on_offer(&in);
    else if (message->body_case == SALLYPORT__CALL_MESSAGE__BODY_END)
        recent_add(core, name); /* came before its offer, which must not ring any more */
}
