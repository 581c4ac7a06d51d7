/* media/jitter.h: puts packets back into order, and decides when one is lost.
 *
 * We are in the middle of the way, not at the ear: the receiver behind us has a playout clock of
 * its own. So a packet that comes in order is handed out at once, and a clean path has no added
 * delay. Only a gap makes the stream wait:
 *
 *   - A packet that comes before its time, measured by the one before the gap, has overtaken others
 *     (the path moved to a faster way): those are waited for until its own time, so nothing is
 *     delayed by more than the slower way did before. At most JITTER_WAIT_MAX_MS.
 *   - Else it waits for as long as packets were seen to come late on this path (adaptive, not below
 *     `wait_min_us`), or for `wait_min_us` only when many are missing in a row.
 *
 * Then the missing one is declared lost. One that comes after that is late; it stretches the wait
 * for the next gap.
 *
 * Pure: time is an argument. The packets behind a gap are copied; memory for them is allocated at
 * the first gap, which most calls never have. */
#ifndef MEDIA_JITTER_H
#define MEDIA_JITTER_H

#include "media/rtp.h"

#define JITTER_WAIT_MAX_MS 200
/* So long in 10 ms packets, and some. */
#define JITTER_SLOTS 24

enum jitter_kind {
    JITTER_AUDIO,
    JITTER_EVENT,
    JITTER_SKIP, /* a number that carries nothing */
    JITTER_LATE  /* one that came too late to be of use */
};

struct jitter_packet {
    enum jitter_kind kind;
    struct rtp_header rtp; /* its payload is the one here */
    uint64_t arrived_us;
    uint8_t payload[RTP_PAYLOAD_MAX];
};

struct jitter {
    int clock_hz;
    uint32_t wait_min_us;
    bool started;
    uint16_t next;             /* sequence number that is due */
    uint32_t wait_us;          /* for a missing one */
    uint64_t lost_us;          /* when `lost` was declared lost … */
    uint32_t waited_us;        /* … after so long */
    uint16_t lost, lost_up_to; /* the packet behind the hole it was in */
    bool has_lost;
    bool has_passed; /* the sound handed out last: its timestamp, and when it came */
    uint32_t passed;
    uint64_t passed_us;
    int held;
    uint8_t order[JITTER_SLOTS]; /* slots in use, by sequence number; the free ones behind them */
    struct jitter_packet *slot;  /* JITTER_SLOTS of them; NULL: there was no gap yet */
};

/* Begins anew; the struct is zeroed or was used before. */
void jitter_init(struct jitter *jitter, int clock_hz, uint32_t wait_min_us);
void jitter_fini(struct jitter *jitter);

/* True: the packet is the next one and nothing is held, so that it need not be kept: it counts as
 * handed out. */
bool jitter_pass(struct jitter *jitter, enum jitter_kind kind, const struct rtp_header *rtp,
                 uint64_t now_us);
/* Keeps a packet (copied) that jitter_pass did not take. -ETIME: late, it was given up before.
 * -EEXIST: is here already. -EMSGSIZE: too long. -ENOMEM. */
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
