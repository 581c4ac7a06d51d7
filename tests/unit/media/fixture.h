/* What the tests of whole bridges share: a running `struct media`, phones that are plain sockets
 * with a codec, a wire between two nodes that loses, doubles and reorders, and an ear. */
#ifndef TESTS_MEDIA_FIXTURE_H
#define TESTS_MEDIA_FIXTURE_H

#include "media/codec.h"
#include "media/event.h"
#include "media/media.h"
#include "media/rtp.h"
#include "media/worker.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>

#include <cmocka.h>

#define PORT_MIN 40000
#define PORT_MAX 41999
#define EVENT_TYPE 101

static const uint8_t type_of[CODEC_COUNT] = {
    [CODEC_PCMU] = 0, [CODEC_PCMA] = 8, [CODEC_G722] = 9, [CODEC_OPUS] = 111};

/* ---- the node -------------------------------------------------------------------------------- */

struct node {
    uv_loop_t loop;
    struct media *media;
    bool closed;
};

static inline void node_open(struct node *node, int workers, int timeout_s)
{
    *node = (struct node){0};
    struct conf_media settings = {
        .port_min = PORT_MIN, .port_max = PORT_MAX, .workers = workers, .timeout_s = timeout_s};
    assert_int_equal(uv_loop_init(&node->loop), 0);
    assert_int_equal(media_open(&node->loop, &settings, &node->media), 0);
}

static inline void node_on_closed(void *ctx)
{
    ((struct node *)ctx)->closed = true;
}

static inline void node_close(struct node *node)
{
    media_close(node->media, node_on_closed, node);
    uv_run(&node->loop, UV_RUN_DEFAULT);
    assert_true(node->closed);
    assert_int_equal(uv_loop_close(&node->loop), 0);
}

/* Lets `ms` go by, handling events. */
static inline void node_run(struct node *node, int ms)
{
    uint64_t end = now_us() + (uint64_t)ms * 1000;
    do {
        uv_run(&node->loop, UV_RUN_NOWAIT);
        usleep(500);
    } while (now_us() < end);
}

/* ---- a bridge and what it reports ------------------------------------------------------------ */

struct call {
    struct media_bridge *bridge;
    bool closed;
    int gaps, gap_ms, first_packets, silences, byes, played, answers;
    char digits[2][16];
    int digit_count[2], duration_ms;
    struct media_stats stats[2];
};

static inline void call_on_first(void *ctx, enum media_side side, uint64_t at_us)
{
    (void)side;
    assert_true(at_us > 0);
    ((struct call *)ctx)->first_packets++;
}

static inline void call_on_gap(void *ctx, enum media_side side, uint64_t at_us, int gap_ms)
{
    (void)side;
    assert_true(at_us > 0);
    ((struct call *)ctx)->gaps++;
    ((struct call *)ctx)->gap_ms = gap_ms;
}

static inline void call_on_digit(void *ctx, enum media_side side, char digit, int duration_ms)
{
    struct call *call = ctx;
    if (call->digit_count[side] < 15)
        call->digits[side][call->digit_count[side]++] = digit;
    call->duration_ms = duration_ms;
}

static inline void call_on_silence(void *ctx, enum media_side side)
{
    (void)side;
    ((struct call *)ctx)->silences++;
}

static inline void call_on_bye(void *ctx, enum media_side side)
{
    (void)side;
    ((struct call *)ctx)->byes++;
}

static inline void call_on_played(void *ctx, enum media_side side)
{
    (void)side;
    ((struct call *)ctx)->played++;
}

static inline void call_on_stats(void *ctx, const struct media_stats stats[2])
{
    struct call *call = ctx;
    memcpy(call->stats, stats, sizeof call->stats);
    call->answers++;
}

static inline void call_on_closed(void *ctx, const struct media_stats stats[2])
{
    struct call *call = ctx;
    memcpy(call->stats, stats, sizeof call->stats);
    call->closed = true;
}

static const struct media_events call_events = {
    .on_first_packet = call_on_first,
    .on_gap = call_on_gap,
    .on_digit = call_on_digit,
    .on_silence = call_on_silence,
    .on_bye = call_on_bye,
    .on_played = call_on_played,
    .on_stats = call_on_stats,
    .on_closed = call_on_closed,
};

static inline void call_open(struct node *node, struct call *call, int worker)
{
    *call = (struct call){0};
    assert_int_equal(media_bridge_open(node->media, worker, &call_events, call, &call->bridge), 0);
}

static inline void call_close(struct node *node, struct call *call)
{
    media_bridge_close(call->bridge);
    while (!call->closed)
        uv_run(&node->loop, UV_RUN_ONCE);
}

static inline void call_ask(struct node *node, struct call *call)
{
    int before = call->answers;
    media_bridge_ask(call->bridge);
    while (call->answers == before)
        uv_run(&node->loop, UV_RUN_ONCE);
}

/* ---- a phone --------------------------------------------------------------------------------- */

#define HEARD_MAX 48000
#define ARRIVED_MAX 512

struct phone {
    int fd;
    struct sockaddr_storage address, gateway;
    enum codec codec;
    int rate;
    struct encoder *encoder;
    struct decoder *decoder;
    uint32_t ssrc, timestamp;
    uint16_t sequence;
    double phase;
    /* what came in */
    int arrived;
    struct rtp_header header[ARRIVED_MAX];
    struct event event[ARRIVED_MAX];
    int16_t heard[HEARD_MAX];
    int heard_count;
};

static inline struct sockaddr_storage loopback(uint16_t port)
{
    struct sockaddr_storage address = {0};
    struct sockaddr_in *in = (struct sockaddr_in *)&address;
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    in->sin_port = htons(port);
    return address;
}

static inline int phone_socket(struct sockaddr_storage *address)
{
    static uint16_t next = 42000;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    do {
        *address = loopback(next);
        next = next >= 42998 ? 42000 : (uint16_t)(next + 2);
    } while (bind(fd, (struct sockaddr *)address, sizeof(struct sockaddr_in)) < 0);
    return fd;
}

static inline void phone_open(struct phone *phone, enum codec codec)
{
    *phone = (struct phone){.codec = codec, .ssrc = 0x1000u + codec, .timestamp = 4711};
    phone->rate = codec_common_rate(codec, CODEC_OPUS);
    phone->sequence = 65530; /* wraps soon */
    phone->fd = phone_socket(&phone->address);
    phone->encoder = encoder_new(codec, phone->rate);
    phone->decoder = decoder_new(codec, phone->rate);
    assert_non_null(phone->encoder);
    assert_non_null(phone->decoder);
}

static inline void phone_close(struct phone *phone)
{
    close(phone->fd);
    encoder_free(phone->encoder);
    decoder_free(phone->decoder);
}

/* A leg towards this phone, with a new pair of ports. */
static inline struct media_leg phone_leg(struct node *node, struct phone *phone)
{
    const struct sockaddr_storage local = loopback(0);
    struct media_leg leg = {
        .kind = MEDIA_LEG_RTP,
        .direction = MEDIA_SENDRECV,
        .codec = phone->codec,
        .payload_type = type_of[phone->codec],
        .event_payload_type = EVENT_TYPE,
        .receive = {{type_of[phone->codec], phone->codec}},
        .receive_count = 1,
        .remote = phone->address,
    };
    assert_int_equal(media_rtp_open(node->media, &local, &leg.rtp), 0);
    phone->gateway = loopback(media_rtp_port(leg.rtp));
    return leg;
}

static inline void phone_send_raw(struct phone *phone, const struct rtp_header *rtp)
{
    uint8_t packet[RTP_PACKET_MAX];
    rtp_write(packet, rtp);
    memcpy(packet + RTP_HEADER_BYTES, rtp->payload, rtp->payload_bytes);
    sendto(phone->fd, packet, RTP_HEADER_BYTES + rtp->payload_bytes, 0,
           (struct sockaddr *)&phone->gateway, sizeof(struct sockaddr_in));
}

/* One frame of a tone at -10 dBFS or so. */
static inline void phone_speak(struct phone *phone, double hz, int ptime_ms)
{
    int16_t pcm[960];
    uint8_t payload[CODEC_PAYLOAD_MAX];
    int samples = phone->rate / 1000 * ptime_ms;
    for (int i = 0; i < samples; i++) {
        pcm[i] = (int16_t)(10000 * sin(phone->phase));
        phone->phase += 2 * M_PI * hz / phone->rate;
    }
    int bytes = encoder_encode(phone->encoder, pcm, samples, payload);
    assert_true(bytes > 0);
    const struct rtp_header rtp = {
        .payload_type = type_of[phone->codec],
        .sequence = phone->sequence++,
        .timestamp = phone->timestamp,
        .ssrc = phone->ssrc,
        .payload = payload,
        .payload_bytes = (size_t)bytes,
    };
    phone->timestamp += (uint32_t)(ptime_ms * codec_clock_hz(phone->codec) / 1000);
    phone_send_raw(phone, &rtp);
}

static inline void phone_take(struct phone *phone, const struct rtp_header *rtp)
{
    if (phone->arrived < ARRIVED_MAX) {
        phone->header[phone->arrived] = *rtp;
        phone->header[phone->arrived].payload = NULL;
        if (rtp->payload_type == EVENT_TYPE)
            event_parse(rtp->payload, rtp->payload_bytes, &phone->event[phone->arrived]);
    }
    phone->arrived++;
    int16_t pcm[CODEC_SAMPLES_MAX];
    if (rtp->payload_type != type_of[phone->codec])
        return;
    int samples = decoder_decode(phone->decoder, rtp->payload, rtp->payload_bytes, pcm);
    assert_true(samples > 0);
    for (int i = 0; i < samples && phone->heard_count < HEARD_MAX; i++)
        phone->heard[phone->heard_count++] = pcm[i];
}

static inline void phone_listen(struct phone *phone)
{
    uint8_t packet[RTP_PACKET_MAX];
    ssize_t bytes;
    struct rtp_header rtp;
    while ((bytes = recv(phone->fd, packet, sizeof packet, 0)) > 0)
        if (!rtp_is_rtcp(packet, (size_t)bytes) && rtp_parse(packet, (size_t)bytes, &rtp) == 0)
            phone_take(phone, &rtp);
}

/* ---- the ear --------------------------------------------------------------------------------- */

/* The share of the energy of `samples` that lies at `hz` (0..1), and the amplitude there. */
static inline double ear_share(const int16_t *pcm, int samples, int rate, double hz,
                               double *amplitude)
{
    double re = 0, im = 0, energy = 0;
    for (int i = 0; i < samples; i++) {
        double at = 2 * M_PI * hz * i / rate;
        re += pcm[i] * cos(at);
        im += pcm[i] * sin(at);
        energy += (double)pcm[i] * pcm[i];
    }
    double power = 2 * (re * re + im * im) / samples;
    *amplitude = 2 * sqrt(re * re + im * im) / samples;
    return energy > 0 ? power / energy : 0;
}

/* The middling of ears over windows of 100 ms: a lost packet more or less moves the phase, which a
 * long window would take for another tone. */
static inline double ear_listen(const int16_t *pcm, int samples, int rate, double hz,
                                double *amplitude)
{
    int window = rate / 10, count = 0;
    double share = 0, sum = 0, one;
    for (int at = 0; at + window <= samples; at += window, count++) {
        share += ear_share(pcm + at, window, rate, hz, &one);
        sum += one;
    }
    *amplitude = count ? sum / count : 0;
    return count ? share / count : 0;
}

/* ---- a wire between two nodes ---------------------------------------------------------------- */

struct wire {
    struct media *media;
    int to_worker;
    void *to_bridge;
    int lose_each, swap_each, double_each; /* 0: never */
    int count, lost;
    struct parcel *held;
};

struct parcel {
    struct wire *wire;
    size_t bytes;
    uint8_t packet[RTP_PACKET_MAX];
};

static inline void wire_deliver(void *arg)
{
    struct parcel *parcel = arg;
    media_bridge_receive(parcel->wire->to_bridge, parcel->packet, parcel->bytes);
    free(parcel);
}

static inline void wire_post(struct parcel *parcel)
{
    if (media_post(parcel->wire->media, parcel->wire->to_worker, wire_deliver, parcel) < 0)
        free(parcel);
}

static inline struct parcel *wire_pack(struct wire *wire, const uint8_t *packet, size_t bytes)
{
    struct parcel *parcel = malloc(sizeof *parcel);
    parcel->wire = wire;
    parcel->bytes = bytes;
    memcpy(parcel->packet, packet, bytes);
    return parcel;
}

/* The `send` of a PEER leg: on the worker of the sending bridge. */
static inline int wire_send(void *port, const uint8_t *packet, size_t bytes)
{
    struct wire *wire = port;
    assert_true(bytes <= RTP_PACKET_MAX);
    if (rtp_is_rtcp(packet, bytes)) {
        wire_post(wire_pack(wire, packet, bytes));
        return 0;
    }
    int n = ++wire->count;
    if (wire->lose_each && n % wire->lose_each == 0) {
        wire->lost++;
        return 0;
    }
    if (wire->double_each && n % wire->double_each == 0)
        wire_post(wire_pack(wire, packet, bytes));
    struct parcel *parcel = wire_pack(wire, packet, bytes);
    if (wire->swap_each && n % wire->swap_each == 0 && !wire->held) {
        wire->held = parcel; /* goes after the next one */
        return 0;
    }
    wire_post(parcel);
    if (wire->held)
        wire_post(wire->held);
    wire->held = NULL;
    return 0;
}

/* The two ends' legs of one wire pair. */
static inline struct media_leg wire_leg(struct wire *out, enum codec codec, bool is_first)
{
    struct media_leg leg = {
        .kind = MEDIA_LEG_PEER,
        .direction = MEDIA_SENDRECV,
        .codec = codec,
        .payload_type = type_of[codec],
        .event_payload_type = EVENT_TYPE,
        .receive = {{type_of[codec], codec}},
        .receive_count = 1,
        .send = wire_send,
        .port = out,
        .ssrc_in = is_first ? 0xaaaa : 0xbbbb,
        .ssrc_out = is_first ? 0xbbbb : 0xaaaa,
    };
    memset(leg.key_in, is_first ? 1 : 2, sizeof leg.key_in);
    memset(leg.key_out, is_first ? 2 : 1, sizeof leg.key_out);
    return leg;
}

#endif
