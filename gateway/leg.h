/* gateway/leg.h: one side of a call.
 *
 * A leg is a phone (leg_sip.c), a node (leg_peer.c) or something of our own that answers by itself
 * (leg_service.c: echo test, WAV files). The call tells a leg what to do through its operations
 * table and hears from it by the call_leg_* functions (call.h). All legs keep their media in one
 * form, `struct media_leg`, so the call can bridge any two.
 *
 * A leg that came to us (incoming) is told ring, progress, answer; one that we made (outgoing)
 * reports those. NULL in the table: this kind of leg has nothing to do.
 */
#ifndef GATEWAY_LEG_H
#define GATEWAY_LEG_H

#include "media/media.h"
#include "overlay/overlay.h"
#include "sip/sip.h"

#define LEG_NAME_MAX 160

struct call;
struct leg;

struct leg_ops {
    const char *kind;
    void (*ring)(struct leg *leg);
    /* Early media and answer; `like` is the codec that would spare transcoding. 0 or negative
     * errno. */
    int (*progress)(struct leg *leg, enum codec like);
    int (*answer)(struct leg *leg, enum codec like);
    int (*update)(struct leg *leg, enum media_direction direction);
    /* Tells the far end; the leg's signalling is over afterwards. */
    void (*end)(struct leg *leg, const struct call_cause *cause);
    /* The worker that the bridge must be on; -EAGAIN: not known yet. */
    int (*worker)(struct leg *leg);
    /* The bridge is there: have packets brought to it. */
    void (*attach)(struct leg *leg, struct media_bridge *bridge);
    /* No more packets to the bridge; call_leg_detached follows. */
    void (*detach)(struct leg *leg);
    /* Last: frees what the bridge did not take. */
    void (*release)(struct leg *leg);
};

struct leg_sip {
    struct sip_call *call;
    struct media_rtp *rtp;           /* NULL before it is needed */
    bool is_rtp_given;               /* to the bridge, which owns it then */
    struct sockaddr_storage address; /* of our RTP */
};

struct leg_peer {
    struct overlay_call *call;
    struct overlay_port port;
    bool has_port;
    struct codec_list offered;
};

struct leg {
    const struct leg_ops *ops;
    struct call *call;
    enum media_side side;
    char name[LEG_NAME_MAX];      /* "201", "201@berlin", "echo": for logs and status */
    bool is_signalling;           /* end() is still to be called */
    bool is_early;                /* its media came before its answer */
    bool has_media;               /* `media` says what the bridge shall do */
    bool is_attached;             /* attach() was called: detach() is due */
    enum media_direction willing; /* what the far end would do if we did all; seen from us */
    enum media_direction wanted;  /* last asked of the far end; what both want is agreed */
    struct media_leg media;
    char path[ADDRESS_TEXT_MAX + 16]; /* peer: the way its media takes, in words */
    bool is_source_due;               /* the journal waits for where its RTP comes from */
    uint64_t first_voice_ms;          /* loop time of its first packet; 0: none yet */
    union {
        struct leg_sip sip;
        struct leg_peer peer;
    };
};

/* What a phone or node that we call is to be told. */
struct leg_caller {
    const char *user, *name;
    const char *site; /* NULL: ours */
};

/* Incoming legs: take the call over. */
void leg_sip_take(struct leg *leg, struct sip_call *sip, const struct sip_invite *invite);
void leg_peer_take(struct leg *leg, struct overlay_call *peer, const struct overlay_offer *offer);

/* Outgoing legs: start calling; 0, or a negative errno and then the leg is not signalling.
 * `codecs` orders our offer. */
int leg_sip_start(struct leg *leg, const char *phone, const struct leg_caller *caller,
                  const struct codec_list *codecs);
int leg_peer_start(struct leg *leg, const char *to, const struct leg_caller *caller,
                   const struct codec_list *codecs);

/* A service answers at once; `play` and `record` are WAV files or NULL. */
void leg_echo_start(struct leg *leg);
void leg_file_start(struct leg *leg, const char *play, const char *record);

/* `list` with `first`, if it is in there, in front. */
struct codec_list leg_codecs(const struct codec_list *list, enum codec first);
/* "opus, pcma"; "nothing yet" when it is empty. Returns `text` (LEG_CODECS_TEXT_MAX bytes). */
#define LEG_CODECS_TEXT_MAX 64
const char *leg_codecs_text(const struct codec_list *list, char *text);

#endif
