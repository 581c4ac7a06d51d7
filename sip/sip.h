/* sip/sip.h: the SIP front end: standard phones register here and make and take calls.
 *
 * A `struct sip` is one user agent on all configured addresses, built on sofia-sip's transaction
 * layer (nta) with our own SDP (sdp.h), digest (digest.h), registrar (registrar.h) and, for TCP,
 * our own framing. REGISTER and OPTIONS are handled inside; the gateway only hears of calls.
 *
 * A `struct sip_call` is one dialog with a phone, or, for an outgoing call, the fork to all of its
 * contacts until one answers. The layer does offer/answer (RFC 3264) itself: the gateway says where
 * its RTP socket is and which codecs it likes, in order, and hears what was agreed.
 *
 *   incoming: on_invite -> ring? -> progress? -> answer | reject ... end / on_end
 *   outgoing: sip_call_new -> on_ringing? -> on_media (early)? -> on_answer | on_end
 *   both, when up: sip_call_update <-> on_media; on_digit; sip_call_end | on_end
 *
 * Each call ends in exactly one on_end, or by one sip_call_end / sip_call_reject of ours (after
 * which no event comes); in both cases the pointer is dead from that moment and the layer finishes
 * the transactions by itself. Events are never delivered from inside a call into this folder.
 *
 * Thread: control thread only. Nothing blocks: bindings are written by a writer thread.
 */
#ifndef SIP_SIP_H
#define SIP_SIP_H

#include "conf/conf.h"

#include <uv.h>

struct su_root_t; /* sofia's event loop; gateway/loop.c makes it */
struct sip;
struct sip_call;

/* What was agreed for the one audio stream of a call. */
struct sip_audio {
    struct sockaddr_storage remote;      /* where the far end wants RTP (family 0: nowhere) */
    struct sockaddr_storage remote_rtcp; /* family 0: remote's port + 1 */
    enum media_direction direction;      /* agreed; seen from us */
    enum media_direction willing;        /* what the far end would do if we did all; seen from us */
    enum codec codec;                    /* what we send */
    uint8_t payload_type;
    struct {
        uint8_t payload_type;
        enum codec codec;
    } receive[CODECS_MAX]; /* what the far end may send */
    int receive_count;
    int event_payload_type; /* -1: none */
    int ptime_ms;           /* as the far end asked; 20 when it did not */
    bool is_early;          /* early media: the call is not answered yet */
};

/* Our end of the audio stream. */
struct sip_local_audio {
    struct sockaddr_storage address; /* RTP address and port */
    /* Best first; the first one that the far end also has is used. In an answer to our offer the
     * far end's order counts: it has made the choice. */
    struct codec_list codecs;
    enum media_direction direction; /* what we are ready to do */
};

/* An INVITE from a registered or authenticated phone. Strings live during the event only. */
struct sip_invite {
    const char *from_user;          /* the authenticated phone */
    const char *from_name;          /* display name; from settings, else as sent; may be "" */
    const char *dialled;            /* user part of the request URI, unescaped */
    const char *host;               /* host part of the request URI */
    struct codec_list codecs;       /* what the phone offers; count 0: INVITE without SDP */
    enum media_direction direction; /* as offered, seen from us */
    struct sockaddr_storage local;  /* our address that this phone talks to */
    struct sockaddr_storage source; /* where it comes from */
    enum conf_transport transport;
};

struct sip_call_events {
    /* outgoing: a 180 or 181/182/183 without SDP came in (once) */
    void (*on_ringing)(void *ctx);
    /* early media, an answer's media, a re-INVITE's or an ACK's: what is agreed from now on */
    void (*on_media)(void *ctx, const struct sip_audio *audio);
    /* outgoing: answered; on_media with its media came just before */
    void (*on_answer)(void *ctx);
    /* DTMF by SIP INFO */
    void (*on_digit)(void *ctx, char digit, int duration_ms);
    /* Something for the call's journal, in the order in which it happened: a short word, and a few
     * plain words without secrets. */
    void (*on_note)(void *ctx, const char *event, const char *text);
    void (*on_end)(void *ctx, const struct call_cause *cause);
};

/* An INVITE that became no call, or a REGISTER with a wrong password of a phone that there is.
 * Strings live during the event only. */
enum sip_refusal {
    SIP_REFUSED_USER,     /* no phone has that name */
    SIP_REFUSED_PASSWORD, /* of a phone that there is */
    SIP_REFUSED_CODEC,    /* nothing in its offer that we know */
    SIP_REFUSED_REQUEST,  /* malformed, or asks for what we cannot do */
};
struct sip_refused {
    bool is_registration;
    enum sip_refusal why;
    const char *user;    /* as it called itself */
    const char *dialled; /* as in sip_invite */
    struct sockaddr_storage source;
    enum conf_transport transport;
    int status; /* that it was answered */
};

struct sip_events {
    /* A new call. The gateway must call sip_call_accept or sip_call_reject before it returns or
     * later. */
    void (*on_invite)(void *ctx, struct sip_call *call, const struct sip_invite *invite);
    /* A phone registered (contacts > 0) or its last binding went (0). */
    void (*on_registration)(void *ctx, const char *phone, int contacts);
    /* Something was refused; not for challenges. A flood of those comes through unlimited: do
     * little. */
    void (*on_refused)(void *ctx, const struct sip_refused *refused);
};

/* Starts. `loop` and `root` run on this thread. `conf` must outlive it. 0, or negative errno when
 * an address cannot be bound or the bindings cannot be opened (logged with the reason). */
int sip_open(uv_loop_t *loop, struct su_root_t *root, const struct conf *conf,
             const struct sip_events *events, void *ctx, struct sip **sip);
/* Ends the calls that are left, writes what is to be written, then reports. */
void sip_close(struct sip *sip, void (*on_closed)(void *ctx), void *ctx);

/* ---- calls ------------------------------------------------------------------------------------
 */

/* Takes an incoming call into the gateway's hands: events go to `ctx`, log lines carry `call_id`.
 */
void sip_call_accept(struct sip_call *call, const struct sip_call_events *events, void *ctx,
                     const char *call_id);
/* 180. */
void sip_call_ring(struct sip_call *call);
/* 183 with SDP: early media from our address. -EINVAL without an offer, -ENOTSUP without common
 * codec. */
int sip_call_progress(struct sip_call *call, const struct sip_local_audio *local);
/* 200. With an offer from the phone on_media follows at once, else when its answer comes in the
 * ACK. -ENOTSUP when there is no common codec (the call is still there: reject it). */
int sip_call_answer(struct sip_call *call, const struct sip_local_audio *local);
/* Final error answer to an incoming call that was not answered; the pointer is dead afterwards. */
void sip_call_reject(struct sip_call *call, const struct call_cause *cause);

struct sip_caller {
    const char *user; /* shown as caller: From user */
    const char *name; /* may be "" */
    const char *host; /* From host; NULL: our domain */
};
/* Calls all contacts of a registered phone. -ENOENT when there is no such phone or -ENOTCONN when
 * it has no binding. `local.address` port must be open already. */
int sip_call_new(struct sip *sip, const char *phone, const struct sip_caller *caller,
                 const struct sip_local_audio *local, const char *call_id,
                 const struct sip_call_events *events, void *ctx, struct sip_call **call);
/* Our address towards this phone's newest contact: what to bind RTP on. */
int sip_phone_local(struct sip *sip, const char *phone, struct sockaddr_storage *local);

/* Changes direction (hold, resume) or address of an established call by re-INVITE; on_media
 * follows. Glare (491) is retried inside. */
int sip_call_update(struct sip_call *call, const struct sip_local_audio *local);
/* CANCEL, BYE or, for an unanswered incoming call, a final error; the pointer is dead afterwards.
 */
void sip_call_end(struct sip_call *call, const struct call_cause *cause);

/* ---- state, for `sallyport status` ------------------------------------------------------------
 */

struct sip_binding {
    const char *phone;
    const char *contact; /* URI as registered */
    const char *user_agent;
    struct sockaddr_storage source;
    enum conf_transport transport;
    int expires_s; /* from now */
};
void sip_each_binding(struct sip *sip, void (*each)(void *ctx, const struct sip_binding *binding),
                      void *ctx);

struct sip_counters {
    uint64_t requests, malformed, auth_failures, calls_in, calls_out;
    unsigned calls, bindings, connections;
};
void sip_counters(const struct sip *sip, struct sip_counters *counters);

#endif
