/* media/gap.h: how long nothing came in although the far end spoke: packets were lost, or had to
 * wait. A pause that the speaker made is none: its numbers go on without a hole, and its timestamps
 * tell how long it was. Pure. */
#ifndef MEDIA_GAP_H
#define MEDIA_GAP_H

#include "media/rtp.h"

/* What a phone hides without being noticed is not counted. */
#define GAP_MIN_US 60000

struct gap {
    bool started;
    uint16_t sequence; /* of the newest packet */
    uint32_t timestamp;
    uint64_t at_us;
};

/* Another stream begins, or what there is to hear has changed. */
void gap_reset(struct gap *gap);
/* A packet came in, and in time. Returns the time without sound before it; 0 for a packet that is
 * older than another. In a steady stream that is the length of a packet. */
uint64_t gap_us(struct gap *gap, const struct rtp_header *rtp, int clock_hz, uint64_t now_us);

#endif
