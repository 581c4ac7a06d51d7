/* media/source.h: what we know of a stream that we receive: its sequence, losses and jitter
 * (RFC 3550, appendix A.1, A.3 and A.8). Pure. */
#ifndef MEDIA_SOURCE_H
#define MEDIA_SOURCE_H

#include "media/rtp.h"

struct source {
    bool known;
    uint32_t ssrc;
    uint16_t newest;  /* highest sequence number */
    uint16_t restart; /* a leap is believed when this number follows it */
    bool may_restart;
    uint32_t cycles;                           /* wraps of the sequence number, times 65536 */
    uint32_t first;                            /* first sequence number */
    uint32_t received;                         /* since `first` */
    uint32_t expected_before, received_before; /* at the last report */
    uint64_t seen;                             /* bit n: newest - n came in */
    uint32_t transit;                          /* arrival minus timestamp, in clock units */
    bool has_transit;
    uint32_t jitter_16; /* clock units times 16 */
    int clock_hz;
    uint64_t lost_before; /* of earlier streams on this leg */
};

enum source_verdict {
    SOURCE_NEW,     /* a stream begins here: the first ever, another SSRC, or one that restarted */
    SOURCE_FOLLOWS, /* newer than all before */
    SOURCE_REORDERED, /* older than the newest, not seen yet */
    SOURCE_DUPLICATE,
    SOURCE_LEAP, /* far off; believed when another one follows it */
};

/* Takes note of a packet that came in at `now_us`. */
enum source_verdict source_receive(struct source *source, const struct rtp_header *rtp,
                                   int clock_hz, uint64_t now_us);
/* Timestamps of this packet are no measure of jitter (RFC 4733 events repeat theirs). */
void source_skip_jitter(struct source *source);
uint64_t source_lost(const struct source *source);
uint32_t source_jitter_us(const struct source *source);

/* What a report block says; ends the interval of `fraction_lost`. */
struct source_report {
    uint8_t fraction_lost; /* of 256 */
    int32_t lost;          /* cumulative, clamped to 24 bits */
    uint32_t highest;      /* extended sequence number */
    uint32_t jitter;       /* clock units */
};
void source_report(struct source *source, struct source_report *report);

#endif
