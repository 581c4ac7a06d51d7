/* media/leg.h: one side of a bridge, on its worker.
 *
 *   packets from the far end                                 packets to the far end
 *   leg_hear -> flow_hear -> forward_map ------------------> leg_send -> ops->send
 *                        \-> decode -> (sink of the target)
 *                                       encode ------------> leg_send
 *                                       a file
 *
 * What a kind of leg does differently is in its operations table: leg_rtp.c, leg_peer.c,
 * leg_echo.c, leg_file.c. */
#ifndef MEDIA_LEG_H
#define MEDIA_LEG_H

#include "media/decode.h"
#include "media/digits.h"
#include "media/encode.h"
#include "media/event.h"
#include "media/forward.h"
#include "media/gap.h"
#include "media/report.h"
#include "media/source.h"
#include "media/transit.h"
#include "media/worker.h"

struct leg;

struct file;
struct srtp_link;

/* What media_bridge_set sends to the worker. `file` was opened on the control thread. */
struct bridge_change {
    struct media_leg leg;
    struct file *file;
};

struct leg_ops {
    /* Takes the new description; leg->set still holds the one before, of the same kind, or of kind
     * NONE when the leg begins. A failure leaves the leg deaf and dumb. NULL: nothing to do. */
    int (*set)(struct leg *leg, struct bridge_change *change, uint64_t now_us);
    /* Both ready to send and knowing where to. NULL: never sends packets. */
    bool (*is_ready)(const struct leg *leg);
    /* `packet` has room for SRTP_TRAILER_MAX bytes behind it. */
    int (*send)(struct leg *leg, bool rtcp, uint8_t *packet, size_t bytes);
    /* Sends the last RTP packet once more. NULL: the far end would not drop doubles. */
    void (*repeat)(struct leg *leg);
    /* Where sound from the other side is written to when this leg sends no packets. */
    const struct decode_sink *sink;
    /* The other leg hears itself. */
    bool echoes;
    bool has_reports; /* RTCP */
    bool may_stall;   /* what it carries may have waited on the way: late packets are dropped */
    int report_ms;
    void (*close)(struct leg *leg);
};
extern const struct leg_ops media_rtp_ops, media_peer_ops, media_echo_ops, media_file_ops;

/* The keys of a PEER leg outlive it while the bridge lives: should it come back under the same
 * keys, numbers must go on where they were, or the cipher's nonces would repeat. */
struct leg_keys {
    struct srtp_link *link; /* NULL: none yet */
    uint32_t ssrc_in, ssrc_out;
    uint8_t key_in[MEDIA_KEY_BYTES], key_out[MEDIA_KEY_BYTES];
};

struct leg {
    struct media_bridge *bridge;
    struct worker *worker;
    enum media_side side;
    const struct leg_ops *ops; /* NULL: kind NONE */
    void *state;               /* of the kind */
    struct media_leg set;
    struct media_stats stats;

    /* hearing */
    struct source source;
    struct transit transit;
    struct event_watch watch;
    struct gap_watch gaps;
    uint64_t heard_us;  /* the last sign of life, or when it was set */
    bool is_silent;     /* and that has been told */
    bool has_left;      /* by its own word, and that has been told */
    struct leg *target; /* where its sound goes; NULL: nowhere */
    bool decodes;       /* else forwards */
    struct forward forward;
    struct jitter order; /* of what is forwarded */
    struct decode *decode;

    /* sending */
    struct sender sender;
    struct encode *encode;
    struct digits digits;
    struct report report;
    struct leg_keys keys;
};

static inline bool leg_hears(const struct leg *leg)
{
    return leg->ops && (leg->set.direction & MEDIA_RECVONLY);
}

static inline bool leg_can_send(const struct leg *leg)
{
    return leg->ops && (leg->set.direction & MEDIA_SENDONLY) && leg->ops->is_ready &&
           leg->ops->is_ready(leg);
}

/* What a payload type from the far end means to a leg. */
enum leg_format { LEG_UNKNOWN, LEG_AUDIO, LEG_EVENT, LEG_NOISE, LEG_LATE /* sound, too late */ };
enum leg_format leg_format(const struct leg *leg, uint8_t payload_type, enum codec *codec);

void leg_init(struct leg *leg, struct media_bridge *bridge, struct worker *worker,
              enum media_side side);
/* Takes over `change` (freed). */
void leg_set(struct leg *leg, struct bridge_change *change, uint64_t now_us);
/* Points `target` of both legs anew and forgets the streams between them. */
void leg_join(struct leg legs[2]);
/* Says goodbye and lets go of everything. */
void leg_close(struct leg *leg);

/* A packet came in that may be trusted to come from the far end. */
void leg_hear(struct leg *leg, const struct rtp_header *rtp, uint64_t now_us);
void leg_hear_rtcp(struct leg *leg, const uint8_t *packet, size_t bytes, uint64_t now_us);

/* Sends a packet; sequence and timestamp are the caller's, the SSRC is filled in. False when it was
 * not sent: the leg must not send now, or sends a digit of our own. */
enum leg_how { LEG_FORWARDED, LEG_TRANSCODED, LEG_OWN };
bool leg_send(struct leg *leg, struct rtp_header *rtp, enum leg_how how, uint64_t now_us);
/* Sends the last one again, if the kind of leg has a use for that. */
void leg_repeat(struct leg *leg);

/* leg_peer.c: a packet from the overlay. */
void leg_peer_receive(struct leg *leg, uint8_t *packet, size_t bytes, uint64_t now_us);
/* flow.c: hands what a leg heard to its target. flow_join forgets the stream between them;
 * flow_wake is leg_wake's part. */
void flow_join(struct leg *leg);
uint64_t flow_wake(struct leg *leg, uint64_t now_us);
void flow_hear(struct leg *leg, enum leg_format format, enum codec codec,
               const struct rtp_header *rtp, uint64_t now_us);

/* Time has come for something that was asked for by bridge_wake. Returns when next; 0: not. */
uint64_t leg_wake(struct leg *leg, uint64_t now_us);
/* Ten times a second: reports, silence, lost ends of digits. */
void leg_tick(struct leg *leg, uint64_t now_us);
/* The figures as of now. */
void leg_stats(const struct leg *leg, struct media_stats *stats);

#endif
