/* media/transit.h: which packets of a stream come too late to be of use.
 *
 * A stalled TCP connection hands over at once what it kept back. What is older by then than
 * TRANSIT_LATE_MS is not played: it would only push what follows to a later time. Older means: its
 * transit (arrival minus timestamp) is that much above the usual one, the smallest of the last half
 * second in which packets came in time (a stall makes nothing usual, however long).
 *
 * A move to a longer way also makes all packets late, but for good. Up to TRANSIT_LATE_MS nothing
 * is dropped, and after half a second the new transit is the usual one. A larger shift is told from
 * a stall by what follows: after a stall each packet is less late than the one before, after a
 * shift they go on as late as they are; 60 ms of that are believed, which is what such a shift
 * costs.
 *
 * Pure. */
#ifndef MEDIA_TRANSIT_H
#define MEDIA_TRANSIT_H

#include <stdbool.h>
#include <stdint.h>

#define TRANSIT_LATE_MS 150
#define TRANSIT_BINS 5

struct transit {
    bool started;
    int clock_hz;
    uint32_t base;               /* transit of the first packet; those below are relative to it */
    int32_t usual;               /* all in clock units */
    int32_t least[TRANSIT_BINS]; /* the smallest of each bin of time; the first one is filled now */
    uint64_t bin_end_us;
    bool is_shifted;                  /* packets come late, since … */
    uint64_t since_us, late_since_us; /* … equally; and at all */
    int32_t latest;                   /* … by up to so much */
};

/* Forgets the stream: another one begins. */
void transit_reset(struct transit *transit);
/* A packet of sound came in, in any order. True: too late. */
bool transit_is_late(struct transit *transit, uint32_t timestamp, int clock_hz, uint64_t now_us);

#endif
