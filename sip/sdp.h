/* sip/sdp.h: session descriptions (RFC 8866) and the offer/answer model (RFC 3264), as far as one
 * audio stream needs them. Pure: no sockets, no allocation, no sofia.
 *
 *   sdp_parse      text -> struct sdp; everything is bounded, unknown lines are skipped
 *   sdp_negotiate  our side + the far end's description -> what is agreed
 *   sdp_write      offer or answer -> text
 *
 * Only sdp_parse sees bytes from outside; it is fuzzed by tests/fuzz/fuzz_sdp.c.
 */
#ifndef SIP_SDP_H
#define SIP_SDP_H

#include "sip/sip.h"

#define SDP_BYTES_MAX 8192 /* longer descriptions are refused */
#define SDP_MEDIA_MAX 16   /* m= lines; more are refused */
#define SDP_FORMATS_MAX 32 /* formats that are looked at per m= line; the rest is skipped */
#define SDP_TEXT_MAX 2048  /* what sdp_write needs at most */
#define SDP_EVENT_TYPE 101 /* the payload type that we offer for telephone-event */
#define SDP_OPUS_TYPE 96   /* ... and for Opus */

enum sdp_kind { SDP_AUDIO, SDP_OTHER };

enum sdp_profile {
    SDP_AVP,    /* RTP/AVP or RTP/AVPF: plain RTP */
    SDP_SECURE, /* RTP/SAVP, RTP/SAVPF, UDP/TLS/...: needs what we do not have */
    SDP_FOREIGN /* udptl, TCP/..., anything else */
};

struct sdp_format {
    uint8_t payload_type;
    bool mapped;   /* by a=rtpmap; else by the static table of RFC 3551 */
    char name[24]; /* encoding name as written; "" when not mapped */
    unsigned clock_hz;
    unsigned channels;
};

struct sdp_media {
    enum sdp_kind kind;
    enum sdp_profile profile;
    char type[20];  /* "audio", "video", ... as written, for the answer */
    char proto[32]; /* as written */
    char first_format[24];
    uint16_t port;
    struct sdp_format formats[SDP_FORMATS_MAX];
    int format_count;
    bool has_address;                /* a c= line of its own */
    struct sockaddr_storage address; /* family 0: a host name, or none */
    bool has_direction;
    enum media_direction direction; /* as written, seen from the far end */
    uint16_t rtcp_port;             /* 0: not given */
    struct sockaddr_storage rtcp_address;
    int ptime_ms, maxptime_ms; /* 0: not given */
};

struct sdp {
    bool has_address;
    struct sockaddr_storage address;
    bool has_direction;
    enum media_direction direction;
    struct sdp_media media[SDP_MEDIA_MAX];
    int media_count;
};

/* 0, -EINVAL when it is no session description, -E2BIG when it is larger than the bounds above. */
int sdp_parse(const char *text, size_t bytes, struct sdp *sdp);

/* The codecs that a description offers and we know, in its order, of the audio stream that would be
 * chosen; count 0 when there is none. */
void sdp_codecs(const struct sdp *sdp, struct codec_list *codecs);
/* Direction of the chosen audio stream, seen from us. */
enum media_direction sdp_direction(const struct sdp *sdp);

/* Answers an offer: fills *audio and the index of the m= line that is accepted. The first of our
 * codecs that the far end also has is used. -ENOTSUP when there is no acceptable stream. */
int sdp_negotiate_answer(const struct sdp *offer, const struct sip_local_audio *local,
                         struct sip_audio *audio, int *accepted);
/* Evaluates the answer to our offer of `local`; there the order of the far end counts, since it
 * already made its choice. -ENOTSUP when it declined. */
int sdp_negotiate_offer(const struct sdp *answer, const struct sip_local_audio *local,
                        struct sip_audio *audio);

/* Who speaks; the same for all descriptions of one call. The version grows with each change. */
struct sdp_origin {
    uint64_t id, version;
};

/* Write into `text` (SDP_TEXT_MAX bytes); return the length. -ENOBUFS cannot happen within bounds.
 */
int sdp_write_offer(const struct sdp_origin *origin, const struct sip_local_audio *local,
                    char *text);
int sdp_write_answer(const struct sdp_origin *origin, const struct sip_local_audio *local,
                     const struct sdp *offer, int accepted, const struct sip_audio *audio,
                     char *text);

/* Payload type and names under which we offer a codec. */
struct sdp_codec {
    const char *name;
    unsigned clock_hz, channels;
    uint8_t payload_type;
};
const struct sdp_codec *sdp_codec_info(enum codec codec);
/* Which codec a format stands for; -ENOENT for those we do not have. */
int sdp_format_codec(const struct sdp_format *format, enum codec *codec);
bool sdp_format_is_event(const struct sdp_format *format);

#endif
