/* Writes session descriptions: one audio stream, and a refusal for each other stream of an offer.
 */
#include "sip/sdp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct writer {
    char *text;
    int used;
    bool full;
};

static void put(struct writer *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(struct writer *w, const char *fmt, ...)
{
    va_list ap;
    int room = SDP_TEXT_MAX - w->used, bytes;

    va_start(ap, fmt);
    bytes = vsnprintf(w->text + w->used, (size_t)room, fmt, ap);
    va_end(ap);
    if (bytes < 0 || bytes >= room)
        w->full = true;
    else
        w->used += bytes;
}

static int result(const struct writer *w)
{
    return w->full ? -ENOBUFS : w->used;
}

static void put_session(struct writer *w, const struct sdp_origin *origin,
                        const struct sockaddr_storage *address)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
    char host[INET6_ADDRSTRLEN] = "0.0.0.0";
    const char *type = address->ss_family == AF_INET6 ? "IP6" : "IP4";

    if (address->ss_family == AF_INET6)
        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
    else
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
    put(w, "v=0\r\no=- %llu %llu IN %s %s\r\ns=sallyport\r\nc=IN %s %s\r\nt=0 0\r\n",
        (unsigned long long)origin->id, (unsigned long long)origin->version, type, host, type,
        host);
}

static void put_codec(struct writer *w, enum codec codec, unsigned payload_type)
{
    const struct sdp_codec *info = sdp_codec_info(codec);

    if (info->channels > 1)
        put(w, "a=rtpmap:%u %s/%u/%u\r\n", payload_type, info->name, info->clock_hz,
            info->channels);
    else
        put(w, "a=rtpmap:%u %s/%u\r\n", payload_type, info->name, info->clock_hz);
    if (codec == CODEC_OPUS)
        put(w, "a=fmtp:%u useinbandfec=1\r\n", payload_type);
}

static void put_event(struct writer *w, int payload_type)
{
    put(w, "a=rtpmap:%d telephone-event/8000\r\na=fmtp:%d 0-15\r\n", payload_type, payload_type);
}

static const char *direction_name(enum media_direction direction)
{
    static const char *const names[] = {"inactive", "sendonly", "recvonly", "sendrecv"};

    return names[direction & 3u];
}

int sdp_write_offer(const struct sdp_origin *origin, const struct sip_local_audio *local,
                    char *text)
{
    struct writer w = {text, 0, false};

    put_session(&w, origin, &local->address);
    put(&w, "m=audio %u RTP/AVP", address_port(&local->address));
    for (int i = 0; i < local->codecs.count; i++)
        put(&w, " %u", sdp_codec_info(local->codecs.codec[i])->payload_type);
    put(&w, " %d\r\n", SDP_EVENT_TYPE);
    for (int i = 0; i < local->codecs.count; i++)
        put_codec(&w, local->codecs.codec[i], sdp_codec_info(local->codecs.codec[i])->payload_type);
    put_event(&w, SDP_EVENT_TYPE);
    put(&w, "a=ptime:20\r\na=%s\r\n", direction_name(local->direction));
    return result(&w);
}

int sdp_write_answer(const struct sdp_origin *origin, const struct sip_local_audio *local,
                     const struct sdp *offer, int accepted, const struct sip_audio *audio,
                     char *text)
{
    struct writer w = {text, 0, false};

    put_session(&w, origin, &local->address);
    for (int i = 0; i < offer->media_count; i++) {
        const struct sdp_media *media = &offer->media[i];

        if (i != accepted) {
            put(&w, "m=%s 0 %s %s\r\n", media->type, media->proto, media->first_format);
            continue;
        }
        put(&w, "m=audio %u %s %u", address_port(&local->address), media->proto,
            audio->payload_type);
        if (audio->event_payload_type >= 0)
            put(&w, " %d", audio->event_payload_type);
        put(&w, "\r\n");
        put_codec(&w, audio->codec, audio->payload_type);
        if (audio->event_payload_type >= 0)
            put_event(&w, audio->event_payload_type);
        put(&w, "a=ptime:%d\r\na=%s\r\n", audio->ptime_ms, direction_name(audio->direction));
    }
    return result(&w);
}
