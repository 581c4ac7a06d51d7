/* Reads session descriptions. Lines are cut first, then words: each reader gets a bounded span and
 * moves forward by at least one byte, so the time is linear in the length whatever is sent. */
#include "sip/sdp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

struct span {
    const char *at, *end;
};

static size_t span_bytes(struct span s)
{
    return (size_t)(s.end - s.at);
}

static bool span_is(struct span s, const char *word)
{
    return span_bytes(s) == strlen(word) && strncasecmp(s.at, word, span_bytes(s)) == 0;
}

/* Copies what fits; false when it does not fit or holds a control character. */
static bool span_copy(struct span s, char *to, size_t size)
{
    size_t bytes = span_bytes(s);

    to[0] = '\0';
    if (bytes == 0 || bytes >= size)
        return false;
    for (size_t i = 0; i < bytes; i++)
        if ((unsigned char)s.at[i] <= ' ' || (unsigned char)s.at[i] >= 127)
            return false;
    memcpy(to, s.at, bytes);
    to[bytes] = '\0';
    return true;
}

/* Cuts the next line off `rest`, without its CR and LF. */
static bool next_line(struct span *rest, struct span *line)
{
    const char *lf;

    if (rest->at == rest->end)
        return false;
    lf = memchr(rest->at, '\n', span_bytes(*rest));
    line->at = rest->at;
    line->end = lf ? lf : rest->end;
    rest->at = lf ? lf + 1 : rest->end;
    while (line->end > line->at && line->end[-1] == '\r')
        line->end--;
    return true;
}

/* Cuts the next word off `rest`, separated by any of `separators`. */
static bool next_word(struct span *rest, const char *separators, struct span *word)
{
    while (rest->at < rest->end && strchr(separators, *rest->at) && *rest->at != '\0')
        rest->at++;
    word->at = rest->at;
    while (rest->at < rest->end && (*rest->at == '\0' || !strchr(separators, *rest->at)))
        rest->at++;
    word->end = rest->at;
    return word->end > word->at;
}

/* Digits only, at most `max`; -1 else. */
static long span_number(struct span s, long max)
{
    long value = 0;

    if (s.at == s.end)
        return -1;
    for (; s.at < s.end; s.at++) {
        if (*s.at < '0' || *s.at > '9')
            return -1;
        value = value * 10 + (*s.at - '0');
        if (value > max)
            return -1;
    }
    return value;
}

/* "IN IP4 192.0.2.1/127": a host name or a group address leaves the family 0 (RFC 8866, 5.7). */
static bool parse_address(struct span value, struct sockaddr_storage *address)
{
    struct span net, type, host;
    char text[64];
    char *slash;
    struct sockaddr_in *v4 = (struct sockaddr_in *)address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;

    memset(address, 0, sizeof *address);
    if (!next_word(&value, " ", &net) || !span_is(net, "IN") || !next_word(&value, " ", &type) ||
        !next_word(&value, " ", &host))
        return false;
    if (!span_copy(host, text, sizeof text))
        return true;
    if ((slash = strchr(text, '/')))
        *slash = '\0';
    if (span_is(type, "IP4") && inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        if (!IN_MULTICAST(ntohl(v4->sin_addr.s_addr)))
            v4->sin_family = AF_INET;
    } else if (span_is(type, "IP6") && inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
        if (!IN6_IS_ADDR_MULTICAST(&v6->sin6_addr))
            v6->sin6_family = AF_INET6;
        address_normalise(address);
    }
    return true;
}

static enum sdp_profile profile_of(const char *proto)
{
    if (!strcasecmp(proto, "RTP/AVP") || !strcasecmp(proto, "RTP/AVPF"))
        return SDP_AVP;
    if (!strncasecmp(proto, "RTP/SAVP", 8) || !strncasecmp(proto, "UDP/TLS/", 8))
        return SDP_SECURE;
    return SDP_FOREIGN;
}

/* "audio 49170/2 RTP/AVP 0 8 101": a format that is no number is kept only as text, whatever
 * bytes it is made of. */
static int parse_media(struct span value, struct sdp *sdp)
{
    struct sdp_media *media;
    struct span type, port, proto, format, count;
    long number;

    if (sdp->media_count == SDP_MEDIA_MAX)
        return -E2BIG;
    media = &sdp->media[sdp->media_count];
    memset(media, 0, sizeof *media);
    if (!next_word(&value, " ", &type) || !span_copy(type, media->type, sizeof media->type) ||
        !next_word(&value, " ", &port) || !next_word(&value, " ", &proto) ||
        !span_copy(proto, media->proto, sizeof media->proto))
        return -EINVAL;
    if (!next_word(&port, "/", &count) || (number = span_number(count, 65535)) < 0)
        return -EINVAL;
    media->port = (uint16_t)number;
    media->kind = strcasecmp(media->type, "audio") ? SDP_OTHER : SDP_AUDIO;
    media->profile = profile_of(media->proto);
    while (next_word(&value, " \t", &format)) {
        if (!media->first_format[0])
            span_copy(format, media->first_format, sizeof media->first_format);
        number = span_number(format, 127);
        if (number >= 0 && media->format_count < SDP_FORMATS_MAX)
            media->formats[media->format_count++].payload_type = (uint8_t)number;
    }
    if (!media->first_format[0])
        strcpy(media->first_format, "0");
    sdp->media_count++;
    return 0;
}

/* "96 opus/48000/2" */
static void parse_rtpmap(struct span value, struct sdp_media *media)
{
    struct span type, name, clock, channels;
    long number, hz, count = 1;

    if (!next_word(&value, " ", &type) || (number = span_number(type, 127)) < 0 ||
        !next_word(&value, " /", &name) || !next_word(&value, "/", &clock) ||
        (hz = span_number(clock, 1000000)) <= 0)
        return;
    if (next_word(&value, "/", &channels) && (count = span_number(channels, 255)) <= 0)
        return;
    for (int i = 0; i < media->format_count; i++) {
        struct sdp_format *format = &media->formats[i];

        if (format->payload_type != number)
            continue;
        format->mapped = span_copy(name, format->name, sizeof format->name);
        format->clock_hz = (unsigned)hz;
        format->channels = (unsigned)count;
    }
}

/* "53020 IN IP4 126.16.64.4" (RFC 3605) */
static void parse_rtcp(struct span value, struct sdp_media *media)
{
    struct span port;
    long number;

    if (!next_word(&value, " ", &port) || (number = span_number(port, 65535)) < 1)
        return;
    media->rtcp_port = (uint16_t)number;
    parse_address(value, &media->rtcp_address);
}

static bool parse_direction(struct span name, enum media_direction *direction)
{
    static const struct {
        const char *word;
        enum media_direction direction;
    } words[] = {
        {"sendrecv", MEDIA_SENDRECV},
        {"sendonly", MEDIA_SENDONLY},
        {"recvonly", MEDIA_RECVONLY},
        {"inactive", MEDIA_INACTIVE},
    };

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (span_is(name, words[i].word)) {
            *direction = words[i].direction;
            return true;
        }
    }
    return false;
}

static void parse_attribute(struct span value, struct sdp *sdp)
{
    struct sdp_media *media = sdp->media_count ? &sdp->media[sdp->media_count - 1] : NULL;
    struct span name;
    enum media_direction direction;
    long number;

    if (!next_word(&value, ":", &name))
        return;
    if (value.at < value.end)
        value.at++; /* the colon */
    if (parse_direction(name, &direction)) {
        *(media ? &media->has_direction : &sdp->has_direction) = true;
        *(media ? &media->direction : &sdp->direction) = direction;
    } else if (!media) {
        return;
    } else if (span_is(name, "rtpmap")) {
        parse_rtpmap(value, media);
    } else if (span_is(name, "rtcp")) {
        parse_rtcp(value, media);
    } else if (span_is(name, "ptime")) {
        if ((number = span_number(value, 1000)) > 0)
            media->ptime_ms = (int)number;
    } else if (span_is(name, "maxptime")) {
        if ((number = span_number(value, 1000)) > 0)
            media->maxptime_ms = (int)number;
    }
}

static int parse_line(char type, struct span value, struct sdp *sdp)
{
    struct sdp_media *media = sdp->media_count ? &sdp->media[sdp->media_count - 1] : NULL;

    switch (type) {
    case 'c':
        /* The first of several counts (they would be layers of a multicast session). */
        if (media && !media->has_address)
            media->has_address = parse_address(value, &media->address);
        else if (!media && !sdp->has_address)
            sdp->has_address = parse_address(value, &sdp->address);
        return 0;
    case 'm':
        return parse_media(value, sdp);
    case 'a':
        parse_attribute(value, sdp);
        return 0;
    default:
        return 0;
    }
}

int sdp_parse(const char *text, size_t bytes, struct sdp *sdp)
{
    struct span rest = {text, text + bytes}, line;
    bool first = true;
    int err;

    memset(sdp, 0, sizeof *sdp);
    sdp->direction = MEDIA_SENDRECV;
    if (bytes > SDP_BYTES_MAX)
        return -E2BIG;
    while (next_line(&rest, &line)) {
        if (span_bytes(line) == 0)
            continue;
        if (span_bytes(line) < 2 || line.at[1] != '=')
            return -EINVAL;
        if (first && !(line.at[0] == 'v' && span_bytes(line) == 3 && line.at[2] == '0'))
            return -EINVAL;
        first = false;
        err = parse_line(line.at[0], (struct span){line.at + 2, line.end}, sdp);
        if (err)
            return err;
    }
    return first ? -EINVAL : 0;
}
