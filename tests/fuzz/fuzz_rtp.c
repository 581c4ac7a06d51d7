/* Packets from phones and nodes: RTP, RTCP, telephone events, and the whole way of a stream through
 * disorder, codecs and forwarding.
 *
 * The first byte chooses: 0 a single datagram; else a stream of packets, each behind a byte that
 * tells its length and a byte that tells how much time goes by. */
#include "media/decode.h"
#include "media/event.h"
#include "media/forward.h"
#include "media/gap.h"
#include "media/rtcp.h"
#include "media/rtp.h"
#include "media/source.h"
#include "media/transit.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void datagram(const uint8_t *data, size_t size)
{
    struct rtp_header rtp;
    struct rtcp_in in;
    struct event event;
    if (rtp_is_rtcp(data, size)) {
        if (rtcp_parse(data, size, 0x01020304, &in) == 0)
            rtcp_round_trip_us(rtcp_ntp_now(), &in);
        return;
    }
    if (rtp_parse(data, size, &rtp) < 0)
        return;
    assert(rtp.payload >= data + RTP_HEADER_BYTES);
    assert(rtp.payload + rtp.payload_bytes <= data + size);
    uint8_t again[RTP_HEADER_BYTES];
    rtp_write(again, &rtp);
    assert(memcmp(again + 1, data + 1, RTP_HEADER_BYTES - 1) == 0);
    if (event_parse(rtp.payload, rtp.payload_bytes, &event) == 0)
        event_scale(event.duration, 8000, 48000);
}

static void on_audio(void *ctx, const int16_t *pcm, int samples, uint64_t now_us)
{
    (void)now_us;
    assert(samples > 0 && samples <= CODEC_SAMPLES_MAX);
    *(volatile int16_t *)ctx = pcm[samples - 1];
}

static void on_gap(void *ctx, int samples, uint64_t now_us)
{
    (void)ctx;
    (void)now_us;
    assert(samples > 0);
}

static void on_restart(void *ctx)
{
    (void)ctx;
}

static void on_event(void *ctx, const struct decode_event *event, uint64_t now_us)
{
    (void)ctx;
    (void)event;
    (void)now_us;
}

static const struct decode_sink sink = {
    .audio = on_audio, .gap = on_gap, .restart = on_restart, .event = on_event};

struct way {
    struct source source;
    struct transit transit;
    struct gap_watch gaps;
    struct sender sender;
    struct forward forward;
    struct event_watch watch;
    struct decode *decode;
    int clock_hz;
    uint64_t now_us;
};

static void packet(struct way *way, const uint8_t *data, size_t size)
{
    struct rtp_header rtp, out;
    struct event event;
    struct event_heard heard;
    if (rtp_parse(data, size, &rtp) < 0)
        return;
    source_receive(&way->source, &rtp, way->clock_hz, way->now_us);
    bool late = transit_is_late(&way->transit, rtp.timestamp, way->clock_hz, way->now_us);
    if (!late)
        gap_hear(&way->gaps, &rtp, way->clock_hz, way->now_us);
    if (forward_map(&way->forward, &way->sender, &rtp, way->clock_hz, way->now_us, &out) == 0)
        sender_sent(&way->sender, &out, way->clock_hz, way->now_us);
    if (rtp.payload_type == 101 && event_parse(rtp.payload, rtp.payload_bytes, &event) == 0)
        event_watch_packet(&way->watch, &event, rtp.timestamp, way->clock_hz, way->now_us, &heard);
    decode_packet(way->decode,
                  rtp.payload_type == 101  ? JITTER_EVENT
                  : rtp.payload_type == 13 ? JITTER_SKIP
                  : late                   ? JITTER_LATE
                                           : JITTER_AUDIO,
                  &rtp, way->now_us);
}

static void stream(enum codec codec, const uint8_t *data, size_t size)
{
    struct media_stats stats = {0};
    struct source_report report;
    volatile int16_t last = 0;
    struct way way = {.clock_hz = codec_clock_hz(codec), .now_us = 1000000};
    way.decode = decode_new(codec, codec_common_rate(codec, CODEC_OPUS), &stats);
    assert(way.decode);
    way.decode->sink = &sink;
    way.decode->ctx = (void *)&last;
    sender_init(&way.sender);
    for (size_t at = 0; at + 2 <= size;) {
        size_t bytes = data[at];
        way.now_us += data[at + 1] * 1000u;
        at += 2;
        if (bytes > size - at)
            bytes = size - at;
        packet(&way, data + at, bytes);
        at += bytes;
    }
    decode_run(way.decode, way.now_us + 1000000);
    assert(jitter_deadline_us(&way.decode->jitter) == 0);
    if (way.source.known)
        source_report(&way.source, &report);
    decode_free(way.decode);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    /* Copied to its exact size, so that each byte read too far is seen. */
    uint8_t *copy = malloc(size - 1 ? size - 1 : 1);
    memcpy(copy, data + 1, size - 1);
    if (data[0] == 0)
        datagram(copy, size - 1);
    else
        stream((enum codec)(data[0] % CODEC_COUNT), copy, size - 1);
    free(copy);
    return 0;
}
