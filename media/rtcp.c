#include "media/rtcp.h"

#include <errno.h>
#include <string.h>
#include <time.h>

enum { TYPE_SR = 200, TYPE_RR = 201, TYPE_SDES = 202, TYPE_BYE = 203 };
#define HEADER_BYTES 4
#define BLOCK_BYTES 24
#define SENDER_BYTES 20
#define SDES_CNAME 1
#define NTP_EPOCH 2208988800u /* 1970 in seconds since 1900 */
/* A round trip beyond that is a forged or stale report. */
#define ROUND_TRIP_MAX (60u << 16)

uint64_t rtcp_ntp_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t fraction = ((uint64_t)now.tv_nsec << 32) / 1000000000u;
    return ((uint64_t)now.tv_sec + NTP_EPOCH) << 32 | fraction;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void write_header(uint8_t *at, uint8_t count, uint8_t type, size_t bytes)
{
    at[0] = (uint8_t)(0x80 | count);
    at[1] = type;
    rtp_put16(at + 2, (uint16_t)(bytes / 4 - 1));
}

static size_t write_report(uint8_t *at, const struct rtcp_out *out)
{
    size_t bytes = HEADER_BYTES + 4;
    rtp_put32(at + 4, out->ssrc);
    if (out->is_sender) {
        rtp_put32(at + 8, (uint32_t)(out->ntp >> 32));
        rtp_put32(at + 12, (uint32_t)out->ntp);
        rtp_put32(at + 16, out->timestamp);
        rtp_put32(at + 20, out->packets);
        rtp_put32(at + 24, out->octets);
        bytes += SENDER_BYTES;
    }
    if (out->has_block) {
        uint8_t *block = at + bytes;
        rtp_put32(block, out->about);
        rtp_put32(block + 4, (uint32_t)out->block.lost & 0xffffff);
        block[4] = out->block.fraction_lost;
        rtp_put32(block + 8, out->block.highest);
        rtp_put32(block + 12, out->block.jitter);
        rtp_put32(block + 16, out->last_report);
        rtp_put32(block + 20, out->since_last_report);
        bytes += BLOCK_BYTES;
    }
    write_header(at, out->has_block, out->is_sender ? TYPE_SR : TYPE_RR, bytes);
    return bytes;
}

static size_t write_sdes(uint8_t *at, const struct rtcp_out *out)
{
    size_t length = strnlen(out->cname, 32);
    /* One chunk: SSRC, the item, and a null item that pads to a word. */
    size_t bytes = (HEADER_BYTES + 4 + 2 + length + 1 + 3) & ~(size_t)3;
    memset(at, 0, bytes);
    write_header(at, 1, TYPE_SDES, bytes);
    rtp_put32(at + 4, out->ssrc);
    at[8] = SDES_CNAME;
    at[9] = (uint8_t)length;
    memcpy(at + 10, out->cname, length);
    return bytes;
}

size_t rtcp_write(uint8_t *packet, const struct rtcp_out *out)
{
    size_t bytes = write_report(packet, out);
    bytes += write_sdes(packet + bytes, out);
    if (out->bye) {
        write_header(packet + bytes, 1, TYPE_BYE, 8);
        rtp_put32(packet + bytes + 4, out->ssrc);
        bytes += 8;
    }
    return bytes;
}

/* ---- reading --------------------------------------------------------------------------------- */

static int read_report(const uint8_t *at, size_t bytes, uint32_t own_ssrc, struct rtcp_in *in)
{
    size_t count = at[0] & 0x1f;
    size_t blocks = HEADER_BYTES + 4 + (at[1] == TYPE_SR ? SENDER_BYTES : 0);
    if (bytes < blocks + count * BLOCK_BYTES)
        return -EBADMSG;
    in->sender = rtp_get32(at + 4);
    if (at[1] == TYPE_SR) {
        in->has_sender_report = true;
        in->ntp = (uint64_t)rtp_get32(at + 8) << 32 | rtp_get32(at + 12);
    }
    for (size_t i = 0; i < count; i++) {
        const uint8_t *block = at + blocks + i * BLOCK_BYTES;
        if (rtp_get32(block) != own_ssrc)
            continue;
        in->has_block = true;
        in->fraction_lost = block[4];
        in->lost = (int32_t)(rtp_get32(block + 4) << 8) >> 8;
        in->last_report = rtp_get32(block + 16);
        in->since_last_report = rtp_get32(block + 20);
    }
    return 0;
}

int rtcp_parse(const uint8_t *packet, size_t bytes, uint32_t own_ssrc, struct rtcp_in *in)
{
    struct rtcp_in found = {0};
    if (bytes < HEADER_BYTES + 4)
        return -EBADMSG;
    for (size_t at = 0; at < bytes;) {
        if (bytes - at < HEADER_BYTES || packet[at] >> 6 != 2)
            return -EBADMSG;
        size_t length = 4u * (1u + rtp_get16(packet + at + 2));
        if (length > bytes - at)
            return -EBADMSG;
        uint8_t type = packet[at + 1];
        if ((type == TYPE_SR || type == TYPE_RR) &&
            read_report(packet + at, length, own_ssrc, &found) < 0)
            return -EBADMSG;
        if (type == TYPE_BYE)
            found.bye = true;
        at += length;
    }
    *in = found;
    return 0;
}

uint32_t rtcp_round_trip_us(uint64_t ntp_now, const struct rtcp_in *in)
{
    if (!in->has_block || in->last_report == 0)
        return 0;
    uint32_t trip = rtcp_ntp_middle(ntp_now) - in->last_report - in->since_last_report;
    if (trip > ROUND_TRIP_MAX)
        return 0;
    uint32_t us = (uint32_t)((uint64_t)trip * 1000000 >> 16);
    return us ? us : 1;
}
