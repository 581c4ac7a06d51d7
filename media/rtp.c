#include "media/rtp.h"

#include <errno.h>

#define VERSION 2

int rtp_parse(const uint8_t *packet, size_t bytes, struct rtp_header *rtp)
{
    if (bytes < RTP_HEADER_BYTES || packet[0] >> 6 != VERSION)
        return -EBADMSG;
    bool padded = packet[0] & 0x20, extended = packet[0] & 0x10;
    size_t start = RTP_HEADER_BYTES + 4u * (packet[0] & 0x0f);
    if (extended) {
        if (bytes < start + 4)
            return -EBADMSG;
        start += 4 + 4u * rtp_get16(packet + start + 2);
    }
    size_t end = bytes;
    if (padded) {
        uint8_t padding = packet[bytes - 1];
        if (padding == 0 || padding > bytes)
            return -EBADMSG;
        end -= padding;
    }
    if (start > end)
        return -EBADMSG;
    rtp->marker = packet[1] & 0x80;
    rtp->payload_type = packet[1] & 0x7f;
    rtp->sequence = rtp_get16(packet + 2);
    rtp->timestamp = rtp_get32(packet + 4);
    rtp->ssrc = rtp_get32(packet + 8);
    rtp->payload = packet + start;
    rtp->payload_bytes = end - start;
    return 0;
}

void rtp_write(uint8_t *packet, const struct rtp_header *rtp)
{
    packet[0] = VERSION << 6;
    packet[1] = (uint8_t)((rtp->marker ? 0x80 : 0) | (rtp->payload_type & 0x7f));
    rtp_put16(packet + 2, rtp->sequence);
    rtp_put32(packet + 4, rtp->timestamp);
    rtp_put32(packet + 8, rtp->ssrc);
}

bool rtp_is_rtcp(const uint8_t *packet, size_t bytes)
{
    return bytes >= 2 && packet[1] >= 192 && packet[1] <= 223;
}
