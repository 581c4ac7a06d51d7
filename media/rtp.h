/* media/rtp.h: RTP headers as bytes (RFC 3550, section 5.1), and telling RTP from RTCP (RFC 5761).
 * Pure; the input is hostile. */
#ifndef MEDIA_RTP_H
#define MEDIA_RTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RTP_HEADER_BYTES 12
/* The largest datagram that we read or build, without what SRTP adds. */
#define RTP_PACKET_MAX 1500
#define RTP_PAYLOAD_MAX (RTP_PACKET_MAX - RTP_HEADER_BYTES)
/* Comfort noise (RFC 3389): phones send it although nobody agreed on it. */
#define RTP_COMFORT_NOISE 13

struct rtp_header {
    bool marker;
    uint8_t payload_type;
    uint16_t sequence;
    uint32_t timestamp;
    uint32_t ssrc;
    const uint8_t *payload; /* points into the packet */
    size_t payload_bytes;
};

/* Reads a packet; contributing sources, extension and padding are checked and skipped. -EBADMSG
 * when it is no well-formed RTP packet of version 2. */
int rtp_parse(const uint8_t *packet, size_t bytes, struct rtp_header *rtp);
/* Writes the fixed header, RTP_HEADER_BYTES long, without the payload. */
void rtp_write(uint8_t *packet, const struct rtp_header *rtp);
/* RFC 5761, section 4: RTCP's types 192-223 take the place of the payload types 64-95. */
bool rtp_is_rtcp(const uint8_t *packet, size_t bytes);

/* Big-endian numbers, for RTP and RTCP. */
static inline uint16_t rtp_get16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static inline uint32_t rtp_get32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static inline void rtp_put16(uint8_t *bytes, uint16_t value)
{
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
}

static inline void rtp_put32(uint8_t *bytes, uint32_t value)
{
    rtp_put16(bytes, (uint16_t)(value >> 16));
    rtp_put16(bytes + 2, (uint16_t)value);
}

#endif
