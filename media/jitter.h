/* media/jitter.h: puts packets back into order before they are decoded, and decides when one is
 * lost.
 *
 * We are in the middle of the way, not at the ear: the receiver behind us has a playout clock of
 * its own. So a packet that comes in order is handed out at once, and a clean path has no added
 * delay. Only a gap makes the stream wait, for as long as packets were seen to come late on this
 * path (adaptive, between WAIT_MIN and WAIT_MAX); then the missing one is declared lost, to be
 * concealed. One that comes after that is late; it stretches the wait for the next gap.
 *
 * Pure: time is an argument. */
#ifndef MEDIA_JITTER_H
#define MEDIA_JITTER_H

#include "media/rtp.h"

/* 120 ms, the longest wait, of 10 ms packets, and some. */
#define JITTER_SLOTS 16

enum jitter_kind { JITTER_AUDIO, JITTER_EVENT, JITTER_SKIP /* a number that carries nothing */ };

struct jitter_packet {
    enum jitter_kind kind;
    uint16_t sequence;
    bool marker;
    uint32_t timestamp;
    uint16_t bytes;
    uint64_t arrived_us;
    uint8_t payload[RTP_PAYLOAD_MAX];
};

struct jitter {
    bool started;
    uint16_t next;      /* sequence number that is due */
    uint32_t wait_us;   /* for a missing one */
    uint64_t lost_us;   /* when `lost` was declared lost … */
    uint32_t waited_us; /* … after so long */
    uint16_t lost;
    bool has_lost;
    int held;
    uint8_t order[JITTER_SLOTS]; /* slots in use, by sequence number; the free ones behind them */
    struct jitter_packet slot[JITTER_SLOTS];
};

void jitter_init(struct jitter *jitter);

/* Keeps a packet (copied). -ETIME: late, it was given up before. -EEXIST: is here already.
 * -EMSGSIZE: too long. */
int jitter_put(struct jitter *jitter, enum jitter_kind kind, const struct rtp_header *rtp,
               uint64_t now_us);

enum jitter_result {
    JITTER_NOTHING, /* nothing is due yet: see jitter_deadline_us */
    JITTER_PACKET,  /* *packet is the next one; good until the next call */
    JITTER_LOST,    /* the next one is lost; *packet is the first that follows the hole */
};
/* For JITTER_LOST, *missing is how many are lost from here up to *packet (at least 1). Each call
 * passes over one of them. */
enum jitter_result jitter_get(struct jitter *jitter, uint64_t now_us,
                              const struct jitter_packet **packet, int *missing);
/* When jitter_get will have something although no packet comes; 0: nothing is held. */
uint64_t jitter_deadline_us(const struct jitter *jitter);

#endif
