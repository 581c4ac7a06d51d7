/* media/gap.h: gaps in what comes in: times without a packet in which one was due. Pure.
 *
 * A phone that says nothing while nobody speaks (voice activity detection) leaves no gap: its next
 * packet follows in sequence and its clock has gone on. */
#ifndef MEDIA_GAP_H
#define MEDIA_GAP_H

#include "media/rtp.h"

#define GAP_MIN_US 60000 /* two packets of 20 ms are missing */

struct gap_watch {
    uint64_t last_us; /* the last packet; 0: none since it is watched */
    uint64_t told_us;
    uint16_t sequence;
    uint32_t timestamp, ssrc;
    uint32_t longest_us; /* between two packets */
    uint32_t count;      /* longer than GAP_MIN_US */
    unsigned told;
};

/* A packet that counts came in. Returns the gap before it when it is to be told (at most 20 of
 * them, one a second), else 0. */
uint32_t gap_hear(struct gap_watch *watch, const struct rtp_header *rtp, int clock_hz,
                  uint64_t now_us);
/* What comes next is no end of a gap: hold, resume, another description. */
void gap_forget(struct gap_watch *watch);

#endif
