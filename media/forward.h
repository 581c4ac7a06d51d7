/* media/forward.h: the stream that we send to a leg, and the rewriting of headers when packets are
 * forwarded into it.
 *
 * To the receiver there is one stream for the whole call: one SSRC, numbers and timestamps without
 * a break, whatever happens on the other side (another source, hold, a transfer, a change between
 * forwarding and transcoding, digits of our own in between). Holes and disorder inside one source
 * are handed on, so that the receiver can conceal. Pure. */
#ifndef MEDIA_FORWARD_H
#define MEDIA_FORWARD_H

#include "media/rtp.h"

/* What was sent so far. */
struct sender {
    uint32_t ssrc;
    bool started;
    uint16_t sequence;  /* highest sent */
    uint32_t timestamp; /* of that packet */
    uint64_t sent_us;   /* when */
    int clock_hz;
    uint64_t packets, octets;
};
/* Begins with random numbers; the sequence in the lower half, as SRTP's rollover counter wants. */
void sender_init(struct sender *sender);
/* The timestamp of something that is sent now and does not follow from what came before. */
uint32_t sender_timestamp_now(const struct sender *sender, int clock_hz, uint64_t now_us);
/* A packet has been sent. */
void sender_sent(struct sender *sender, const struct rtp_header *rtp, int clock_hz,
                 uint64_t now_us);

struct forward {
    bool synced;
    uint32_t source_ssrc;
    uint16_t source_first; /* older ones than this belong to before */
    uint16_t source_newest;
    uint16_t sequence_offset; /* out minus in */
    uint32_t timestamp_offset;
    uint16_t sent; /* highest out; when the sender is further, somebody else sent */
};
/* Makes the header to send from the one received (payload type is left to the caller). -ESTALE
 * when the packet is from before the last change and has no place any more. */
int forward_map(struct forward *forward, const struct sender *sender, const struct rtp_header *in,
                int clock_hz, uint64_t now_us, struct rtp_header *out);
/* The packet is not handed on: no hole is left for it. */
void forward_skip(struct forward *forward, const struct rtp_header *in);

#endif
