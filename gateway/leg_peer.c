/* Another node as one side of a call. */
#include "gateway/call_note.h"

#include "conf/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PTIME_MS 20

/* The payload types between nodes are fixed; any of the codecs may come at any time. */
static const uint8_t payload_types[CODEC_COUNT] = {
    [CODEC_PCMU] = 0, [CODEC_PCMA] = 8, [CODEC_G722] = 9, [CODEC_OPUS] = 111};
#define EVENT_PAYLOAD_TYPE 101

static int take_port(struct leg *leg)
{
    struct leg_peer *peer = &leg->peer;
    if (peer->has_port)
        return 0;
    int err = overlay_call_port(peer->call, &peer->port);
    peer->has_port = err == 0;
    return err;
}

static void set_media(struct leg *leg, const struct overlay_media *agreed)
{
    struct media_leg *media = &leg->media;
    media->kind = MEDIA_LEG_PEER;
    media->direction = (enum media_direction)((unsigned)agreed->direction & leg->wanted);
    media->codec = agreed->codec;
    media->payload_type = payload_types[agreed->codec];
    media->event_payload_type = EVENT_PAYLOAD_TYPE;
    media->ptime_ms = agreed->ptime_ms;
    media->receive_count = CODEC_COUNT;
    for (int i = 0; i < CODEC_COUNT; i++) {
        media->receive[i].codec = (enum codec)i;
        media->receive[i].payload_type = payload_types[i];
    }
    const struct overlay_port *port = &leg->peer.port;
    media->send = port->send;
    media->port = port->port;
    media->ssrc_in = port->ssrc_in;
    media->ssrc_out = port->ssrc_out;
    _Static_assert(sizeof media->key_in == sizeof port->key_in, "SRTP key and salt");
    memcpy(media->key_in, port->key_in, sizeof media->key_in);
    memcpy(media->key_out, port->key_out, sizeof media->key_out);
    leg->willing = agreed->direction;
    leg->has_media = true;
}

/* ---- what the far node does -------------------------------------------------------------------
 */

static void on_ringing(void *ctx)
{
    call_leg_ringing(ctx);
}

static void on_media(void *ctx, const struct overlay_media *agreed)
{
    struct leg *leg = ctx;
    int err = take_port(leg);
    if (err) {
        log_error(LOG_GATEWAY, leg->call->id, "no path for %s: %s", leg->name, strerror(-err));
        struct call_cause cause = call_cause(CALL_CONGESTION, "No path for the media");
        call_end(leg->call, &cause);
        return;
    }
    set_media(leg, agreed);
    leg->is_early = agreed->is_early;
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

static void on_path(void *ctx, const char *path)
{
    call_leg_path(ctx, path);
}

static void on_note(void *ctx, const char *part, const char *event, const char *text)
{
    call_note_overlay(((struct leg *)ctx)->call, part, event, text);
}

static void on_end(void *ctx, const struct call_cause *cause)
{
    struct leg *leg = ctx;
    leg->is_signalling = false;
    leg->peer.call = NULL;
    call_leg_ended(leg, cause);
}

static const struct overlay_call_events events = {
    .on_ringing = on_ringing,
    .on_media = on_media,
    .on_answer = on_answer,
    .on_digit = on_digit,
    .on_path = on_path,
    .on_note = on_note,
    .on_end = on_end,
};

/* ---- what we tell it --------------------------------------------------------------------------
 */

/* The first codec of the offer that we carry between nodes too. */
static int choose(const struct leg *leg, enum codec *codec)
{
    const struct codec_list *ours = &leg->call->gateway->conf->media.peer_codecs;
    for (int i = 0; i < leg->peer.offered.count; i++)
        if (codec_list_has(ours, leg->peer.offered.codec[i])) {
            *codec = leg->peer.offered.codec[i];
            return 0;
        }
    return -ENOTSUP;
}

static void ring(struct leg *leg)
{
    overlay_call_ring(leg->peer.call);
}

static int agree(struct leg *leg, struct overlay_media *media)
{
    enum codec codec;
    int err = choose(leg, &codec);
    if (!err)
        err = take_port(leg);
    if (err)
        return err;
    *media =
        (struct overlay_media){.codec = codec, .direction = MEDIA_SENDRECV, .ptime_ms = PTIME_MS};
    set_media(leg, media);
    return 0;
}

/* Which codec would spare transcoding does not matter here: the offer's order is the policy. */
static int progress(struct leg *leg, enum codec like)
{
    (void)like;
    struct overlay_media media;
    int err = agree(leg, &media);
    return err ? err : overlay_call_progress(leg->peer.call, &media);
}

static int answer(struct leg *leg, enum codec like)
{
    (void)like;
    struct overlay_media media;
    int err = agree(leg, &media);
    return err ? err : overlay_call_answer(leg->peer.call, &media);
}

static int update(struct leg *leg, enum media_direction direction)
{
    struct overlay_media media = {
        .codec = leg->media.codec, .direction = direction, .ptime_ms = PTIME_MS};
    leg->wanted = direction;
    leg->media.direction = (enum media_direction)((unsigned)direction & leg->willing);
    return overlay_call_update(leg->peer.call, &media);
}

static void end(struct leg *leg, const struct call_cause *cause)
{
    overlay_call_end(leg->peer.call, cause);
    leg->peer.call = NULL;
}

static int worker(struct leg *leg)
{
    return leg->peer.has_port ? leg->peer.port.worker : -EAGAIN;
}

static void attach(struct leg *leg, struct media_bridge *bridge)
{
    overlay_port_listen(&leg->peer.port, media_bridge_receive, bridge);
}

static void on_closed(void *ctx)
{
    struct leg *leg = ctx;
    leg->peer.has_port = false;
    call_leg_detached(leg);
}

static void detach(struct leg *leg)
{
    if (leg->peer.has_port)
        overlay_port_close(&leg->peer.port, on_closed, leg);
    else
        call_leg_detached(leg);
}

static const struct leg_ops ops = {
    .kind = "node",
    .ring = ring,
    .progress = progress,
    .answer = answer,
    .update = update,
    .end = end,
    .worker = worker,
    .attach = attach,
    .detach = detach,
};

/* ---- beginnings -------------------------------------------------------------------------------
 */

void leg_peer_take(struct leg *leg, struct overlay_call *peer, const struct overlay_offer *offer)
{
    char codecs[LEG_CODECS_TEXT_MAX];
    leg->ops = &ops;
    leg->is_signalling = true;
    leg->peer.call = peer;
    leg->peer.offered = offer->codecs;
    leg->willing = leg->wanted = MEDIA_SENDRECV;
    snprintf(leg->name, sizeof leg->name, "%s@%s", offer->caller, offer->caller_site);
    call_note(leg->call, JOURNAL_OVERLAY, "offer", "%s calls %s, and offers %s", leg->name,
              offer->dialled, leg_codecs_text(&offer->codecs, codecs));
    overlay_call_accept(peer, &events, leg);
}

int leg_peer_start(struct leg *leg, const char *to, const struct leg_caller *caller,
                   const struct codec_list *codecs)
{
    struct overlay_call_request request = {
        .call_id = leg->call->id,
        .to = to,
        .caller = caller->user,
        .caller_name = caller->name,
        .codecs = *codecs,
        .direction = MEDIA_SENDRECV,
    };
    leg->ops = &ops;
    leg->willing = leg->wanted = MEDIA_SENDRECV;
    snprintf(leg->name, sizeof leg->name, "%s", to);
    if (!leg->call->gateway->overlay)
        return -ENOTCONN;
    int err =
        overlay_call_new(leg->call->gateway->overlay, &request, &events, leg, &leg->peer.call);
    leg->is_signalling = err == 0;
    return err;
}
