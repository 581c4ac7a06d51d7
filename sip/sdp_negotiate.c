/* Offer and answer (RFC 3264) for one audio stream. */
#include "sip/sdp.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#define PTIME_DEFAULT_MS 20
#define PTIME_MIN_MS 10
#define PTIME_MAX_MS 120

static const struct sdp_codec codecs[CODEC_COUNT] = {
    [CODEC_PCMU] = {"PCMU", 8000, 1, 0},
    [CODEC_PCMA] = {"PCMA", 8000, 1, 8},
    /* The clock of G.722 is 8000 by an old mistake that stands (RFC 3551, 4.5.2). */
    [CODEC_G722] = {"G722", 8000, 1, 9},
    [CODEC_OPUS] = {"opus", 48000, 2, SDP_OPUS_TYPE},
};

const struct sdp_codec *sdp_codec_info(enum codec codec)
{
    return &codecs[codec];
}

int sdp_format_codec(const struct sdp_format *format, enum codec *codec)
{
    for (int i = 0; i < CODEC_COUNT; i++) {
        const struct sdp_codec *info = &codecs[i];
        bool clock =
            format->clock_hz == info->clock_hz || (i == CODEC_G722 && format->clock_hz == 16000);

        if (format->mapped ? clock && !strcasecmp(format->name, info->name) &&
                                 (format->channels == info->channels || i == CODEC_OPUS)
                           : i != CODEC_OPUS && format->payload_type == info->payload_type) {
            *codec = (enum codec)i;
            return 0;
        }
    }
    return -ENOENT;
}

bool sdp_format_is_event(const struct sdp_format *format)
{
    return format->mapped && !strcasecmp(format->name, "telephone-event") &&
           format->clock_hz == 8000;
}

static bool is_unspecified(const struct sockaddr_storage *address)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;

    return (address->ss_family == AF_INET && v4->sin_addr.s_addr == 0) ||
           (address->ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr));
}

static const struct sockaddr_storage *media_address(const struct sdp *sdp,
                                                    const struct sdp_media *media)
{
    return media->has_address ? &media->address : &sdp->address;
}

/* What the far end will do, seen from us. An unspecified address is the hold of RFC 2543: it wants
 * to hear nothing. */
static enum media_direction media_direction_here(const struct sdp *sdp,
                                                 const struct sdp_media *media)
{
    unsigned theirs = media->has_direction ? media->direction : sdp->direction;
    unsigned ours = ((theirs & MEDIA_SENDONLY) ? MEDIA_RECVONLY : 0u) |
                    ((theirs & MEDIA_RECVONLY) ? MEDIA_SENDONLY : 0u);

    if (is_unspecified(media_address(sdp, media)))
        ours &= ~(unsigned)MEDIA_SENDONLY;
    return (enum media_direction)ours;
}

static bool is_usable(const struct sdp_media *media)
{
    return media->kind == SDP_AUDIO && media->profile == SDP_AVP && media->port != 0;
}

static bool media_has(const struct sdp_media *media, enum codec codec, uint8_t *payload_type)
{
    enum codec have;

    for (int i = 0; i < media->format_count; i++) {
        if (!sdp_format_codec(&media->formats[i], &have) && have == codec) {
            *payload_type = media->formats[i].payload_type;
            return true;
        }
    }
    return false;
}

static void media_codecs(const struct sdp_media *media, struct codec_list *list)
{
    enum codec codec;

    list->count = 0;
    for (int i = 0; i < media->format_count && list->count < CODECS_MAX; i++)
        if (!sdp_format_codec(&media->formats[i], &codec) && !codec_list_has(list, codec))
            list->codec[list->count++] = codec;
}

static const struct sdp_media *first_usable(const struct sdp *sdp)
{
    struct codec_list list;

    for (int i = 0; i < sdp->media_count; i++) {
        if (!is_usable(&sdp->media[i]))
            continue;
        media_codecs(&sdp->media[i], &list);
        if (list.count)
            return &sdp->media[i];
    }
    return NULL;
}

void sdp_codecs(const struct sdp *sdp, struct codec_list *list)
{
    const struct sdp_media *media = first_usable(sdp);

    list->count = 0;
    if (media)
        media_codecs(media, list);
}

enum media_direction sdp_direction(const struct sdp *sdp)
{
    const struct sdp_media *media = first_usable(sdp);

    return media ? media_direction_here(sdp, media) : MEDIA_INACTIVE;
}

static void set_remote(const struct sdp *sdp, const struct sdp_media *media,
                       struct sip_audio *audio)
{
    const struct sockaddr_storage *address = media_address(sdp, media);

    if (address->ss_family && !is_unspecified(address)) {
        audio->remote = *address;
        address_set_port(&audio->remote, media->port);
    }
    if (media->rtcp_port && audio->remote.ss_family) {
        audio->remote_rtcp = media->rtcp_address.ss_family ? media->rtcp_address : audio->remote;
        address_set_port(&audio->remote_rtcp, media->rtcp_port);
    }
}

/* All that is the same in both roles: addresses, events, packet time, direction. */
static void set_common(const struct sdp *sdp, const struct sdp_media *media,
                       const struct sip_local_audio *local, struct sip_audio *audio)
{
    int ptime = media->ptime_ms ? media->ptime_ms : PTIME_DEFAULT_MS;

    if (media->maxptime_ms && ptime > media->maxptime_ms)
        ptime = media->maxptime_ms;
    ptime = ptime / 10 * 10;
    audio->ptime_ms = ptime < PTIME_MIN_MS   ? PTIME_MIN_MS
                      : ptime > PTIME_MAX_MS ? PTIME_MAX_MS
                                             : ptime;
    audio->event_payload_type = -1;
    for (int i = 0; i < media->format_count && audio->event_payload_type < 0; i++)
        if (sdp_format_is_event(&media->formats[i]))
            audio->event_payload_type = media->formats[i].payload_type;
    set_remote(sdp, media, audio);
    audio->willing = media_direction_here(sdp, media);
    audio->direction = (enum media_direction)((unsigned)audio->willing & local->direction);
}

int sdp_negotiate_answer(const struct sdp *offer, const struct sip_local_audio *local,
                         struct sip_audio *audio, int *accepted)
{
    for (int m = 0; m < offer->media_count; m++) {
        const struct sdp_media *media = &offer->media[m];
        uint8_t payload_type;

        if (!is_usable(media))
            continue;
        for (int i = 0; i < local->codecs.count; i++) {
            if (!media_has(media, local->codecs.codec[i], &payload_type))
                continue;
            memset(audio, 0, sizeof *audio);
            set_common(offer, media, local, audio);
            audio->codec = local->codecs.codec[i];
            audio->payload_type = payload_type;
            /* We answer with this one codec, so nothing else may come. */
            audio->receive[0].codec = audio->codec;
            audio->receive[0].payload_type = payload_type;
            audio->receive_count = 1;
            *accepted = m;
            return 0;
        }
    }
    return -ENOTSUP;
}

int sdp_negotiate_offer(const struct sdp *answer, const struct sip_local_audio *local,
                        struct sip_audio *audio)
{
    const struct sdp_media *media = answer->media_count ? &answer->media[0] : NULL;
    struct sip_audio result = {0};
    enum codec codec;

    if (!media || !is_usable(media))
        return -ENOTSUP;
    set_common(answer, media, local, &result);
    for (int i = 0; i < media->format_count && result.receive_count < CODECS_MAX; i++) {
        bool known = false;

        if (sdp_format_codec(&media->formats[i], &codec) || !codec_list_has(&local->codecs, codec))
            continue;
        for (int k = 0; k < result.receive_count; k++)
            known = known || result.receive[k].codec == codec;
        if (known)
            continue;
        if (result.receive_count == 0) {
            result.codec = codec;
            result.payload_type = media->formats[i].payload_type;
        }
        /* What comes to us carries the numbers of our offer (RFC 3264, 6.1). */
        result.receive[result.receive_count].codec = codec;
        result.receive[result.receive_count++].payload_type = codecs[codec].payload_type;
    }
    if (result.receive_count == 0)
        return -ENOTSUP;
    *audio = result;
    return 0;
}
