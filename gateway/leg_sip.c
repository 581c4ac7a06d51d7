/* A phone as one side of a call. */
#include "gateway/call_note.h"

#include "conf/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct conf *conf_of(const struct leg *leg)
{
    return leg->call->gateway->conf;
}

struct codec_list leg_codecs(const struct codec_list *list, enum codec first)
{
    struct codec_list out = {.count = 0};
    if (codec_list_has(list, first))
        out.codec[out.count++] = first;
    for (int i = 0; i < list->count; i++)
        if (list->codec[i] != first)
            out.codec[out.count++] = list->codec[i];
    return out;
}

const char *leg_codecs_text(const struct codec_list *list, char *text)
{
    int used = snprintf(text, LEG_CODECS_TEXT_MAX, "%s", list->count ? "" : "nothing yet");
    for (int i = 0; i < list->count && used < LEG_CODECS_TEXT_MAX; i++)
        used += snprintf(text + used, (size_t)(LEG_CODECS_TEXT_MAX - used), "%s%s", i ? ", " : "",
                         codec_name(list->codec[i]));
    return text;
}

/* ---- what the phone does ----------------------------------------------------------------------
 */

static void on_ringing(void *ctx)
{
    call_leg_ringing(ctx);
}

static void note_agreed(const struct leg *leg, const struct sip_audio *audio)
{
    static const char *const directions[] = {[MEDIA_INACTIVE] = "no sound either way (held)",
                                             [MEDIA_SENDONLY] = "only we send (held)",
                                             [MEDIA_RECVONLY] = "only it sends (held)",
                                             [MEDIA_SENDRECV] = "both ways"};
    char remote[ADDRESS_TEXT_MAX] = "nowhere";
    if (audio->remote.ss_family)
        address_format(&audio->remote, remote);
    call_note(leg->call, JOURNAL_SIP, "agreed", "with %s: %s, %d ms, %s; its SDP wants RTP at %s",
              leg->name, codec_name(audio->codec), audio->ptime_ms,
              directions[audio->direction & MEDIA_SENDRECV], remote);
}

static void on_media(void *ctx, const struct sip_audio *audio)
{
    struct leg *leg = ctx;
    struct media_leg *media = &leg->media;
    note_agreed(leg, audio);
    media->kind = MEDIA_LEG_RTP;
    media->direction = audio->direction;
    media->codec = audio->codec;
    media->payload_type = audio->payload_type;
    media->event_payload_type = audio->event_payload_type;
    media->ptime_ms = audio->ptime_ms;
    media->receive_count = audio->receive_count;
    for (int i = 0; i < audio->receive_count; i++) {
        media->receive[i].payload_type = audio->receive[i].payload_type;
        media->receive[i].codec = audio->receive[i].codec;
    }
    media->rtp = leg->sip.rtp;
    media->remote = audio->remote;
    media->remote_rtcp = audio->remote_rtcp;
    leg->willing = audio->willing;
    leg->is_early = audio->is_early;
    leg->has_media = true;
    call_leg_media(leg);
}

static void on_answer(void *ctx)
{
    call_leg_answered(ctx);
}

static void on_digit(void *ctx, char digit, int duration_ms)
{
    call_leg_digit(ctx, digit, duration_ms);
}

static void on_end(void *ctx, const struct call_cause *cause)
{
    struct leg *leg = ctx;
    leg->is_signalling = false;
    leg->sip.call = NULL;
    call_leg_ended(leg, cause);
}

static void on_note(void *ctx, const char *event, const char *text)
{
    call_note(((struct leg *)ctx)->call, JOURNAL_SIP, event, "%s", text);
}

static const struct sip_call_events events = {
    .on_ringing = on_ringing,
    .on_media = on_media,
    .on_answer = on_answer,
    .on_digit = on_digit,
    .on_note = on_note,
    .on_end = on_end,
};

/* ---- what we tell it --------------------------------------------------------------------------
 */

static int open_rtp(struct leg *leg)
{
    if (leg->sip.rtp)
        return 0;
    int err = media_rtp_open(leg->call->gateway->media, &leg->sip.address, &leg->sip.rtp);
    if (err) {
        log_error(LOG_GATEWAY, leg->call->id, "no RTP port for %s: %s; widen media.ports",
                  leg->name, strerror(-err));
        return err;
    }
    address_set_port(&leg->sip.address, media_rtp_port(leg->sip.rtp));
    return 0;
}

/* The address that the SDP shows: a fixed one from the settings, else the one we are talked to on.
 */
static struct sip_local_audio local_audio(const struct leg *leg, const struct codec_list *codecs)
{
    struct sip_local_audio local = {
        .address = leg->sip.address, .codecs = *codecs, .direction = leg->wanted};
    if (conf_of(leg)->media.address.ss_family) {
        local.address = conf_of(leg)->media.address;
        address_set_port(&local.address, address_port(&leg->sip.address));
    }
    return local;
}

static void ring(struct leg *leg)
{
    sip_call_ring(leg->sip.call);
}

static int progress(struct leg *leg, enum codec like)
{
    int err = open_rtp(leg);
    if (err)
        return err;
    struct codec_list codecs = leg_codecs(&conf_of(leg)->media.codecs, like);
    struct sip_local_audio local = local_audio(leg, &codecs);
    return sip_call_progress(leg->sip.call, &local);
}

static int answer(struct leg *leg, enum codec like)
{
    int err = open_rtp(leg);
    if (err)
        return err;
    struct codec_list codecs = leg_codecs(&conf_of(leg)->media.codecs, like);
    struct sip_local_audio local = local_audio(leg, &codecs);
    return sip_call_answer(leg->sip.call, &local);
}

static int update(struct leg *leg, enum media_direction direction)
{
    leg->wanted = direction;
    struct codec_list codecs = leg_codecs(&conf_of(leg)->media.codecs, leg->media.codec);
    struct sip_local_audio local = local_audio(leg, &codecs);
    return sip_call_update(leg->sip.call, &local);
}

static void end(struct leg *leg, const struct call_cause *cause)
{
    sip_call_end(leg->sip.call, cause);
    leg->sip.call = NULL;
}

static void attach(struct leg *leg, struct media_bridge *bridge)
{
    (void)bridge;
    leg->sip.is_rtp_given = true;
}

static void release(struct leg *leg)
{
    if (leg->sip.rtp && !leg->sip.is_rtp_given)
        media_rtp_close(leg->sip.rtp);
}

static const struct leg_ops ops = {
    .kind = "phone",
    .ring = ring,
    .progress = progress,
    .answer = answer,
    .update = update,
    .end = end,
    .attach = attach,
    .release = release,
};

/* ---- beginnings -------------------------------------------------------------------------------
 */

static void note_invite(const struct leg *leg, const struct sip_invite *invite)
{
    char source[ADDRESS_TEXT_MAX], codecs[LEG_CODECS_TEXT_MAX];
    call_note(leg->call, JOURNAL_SIP, "invite",
              "INVITE from %s over %s, proved to be phone %s; it offers %s",
              address_format(&invite->source, source),
              invite->transport == CONF_TCP ? "TCP" : "UDP", leg->name,
              leg_codecs_text(&invite->codecs, codecs));
}

void leg_sip_take(struct leg *leg, struct sip_call *sip, const struct sip_invite *invite)
{
    leg->ops = &ops;
    leg->is_signalling = true;
    leg->sip.call = sip;
    leg->sip.address = invite->local;
    leg->willing = leg->wanted = MEDIA_SENDRECV;
    snprintf(leg->name, sizeof leg->name, "%s", invite->from_user);
    note_invite(leg, invite);
    sip_call_accept(sip, &events, leg, leg->call->id);
}

int leg_sip_start(struct leg *leg, const char *phone, const struct leg_caller *caller,
                  const struct codec_list *codecs)
{
    struct gateway *gateway = leg->call->gateway;
    leg->ops = &ops;
    leg->willing = leg->wanted = MEDIA_SENDRECV;
    snprintf(leg->name, sizeof leg->name, "%s", phone);
    if (!gateway->sip)
        return -ENOTCONN;
    int err = sip_phone_local(gateway->sip, phone, &leg->sip.address);
    if (!err)
        err = open_rtp(leg);
    if (err)
        return err;
    struct sip_local_audio local = local_audio(leg, codecs);
    struct sip_caller from = {.user = caller->user, .name = caller->name, .host = caller->site};
    err = sip_call_new(gateway->sip, phone, &from, &local, leg->call->id, &events, leg,
                       &leg->sip.call);
    leg->is_signalling = err == 0;
    return err;
}
