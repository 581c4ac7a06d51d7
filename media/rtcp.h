/* media/rtcp.h: RTCP compound packets as bytes (RFC 3550, section 6): sender and receiver reports,
 * source description and goodbye. Pure; the input is hostile. */
#ifndef MEDIA_RTCP_H
#define MEDIA_RTCP_H

#include "media/rtp.h"
#include "media/source.h"

/* Room for the largest packet that rtcp_write makes. */
#define RTCP_PACKET_MAX 128

/* What we say. */
struct rtcp_out {
    uint32_t ssrc;
    const char *cname; /* at most 32 characters */
    bool is_sender;    /* SR, else RR */
    bool bye;
    uint64_t ntp;
    uint32_t timestamp, packets, octets; /* of a sender */
    bool has_block;                      /* a report on what we hear */
    uint32_t about;                      /* its SSRC */
    struct source_report block;
    uint32_t last_report, since_last_report; /* LSR, DLSR; 0: none yet */
};
/* Returns the length; `packet` has RTCP_PACKET_MAX bytes. */
size_t rtcp_write(uint8_t *packet, const struct rtcp_out *out);

/* What the far end said. */
struct rtcp_in {
    bool has_sender_report;
    uint32_t sender; /* SSRC */
    uint64_t ntp;
    bool has_block; /* a report about the stream that we send */
    uint8_t fraction_lost;
    int32_t lost;
    uint32_t last_report, since_last_report;
    bool bye;
};
/* Reads a compound packet; blocks about others than `own_ssrc` are skipped. -EBADMSG when it is
 * not well-formed; then nothing of it counts. */
int rtcp_parse(const uint8_t *packet, size_t bytes, uint32_t own_ssrc, struct rtcp_in *in);

/* The wall clock as NTP time. */
uint64_t rtcp_ntp_now(void);
/* The middle 32 bits, as LSR wants them. */
static inline uint32_t rtcp_ntp_middle(uint64_t ntp)
{
    return (uint32_t)(ntp >> 16);
}
/* RFC 3550, section 6.4.1: A - LSR - DLSR; 0 when it cannot be told. */
uint32_t rtcp_round_trip_us(uint64_t ntp_now, const struct rtcp_in *in);

#endif
