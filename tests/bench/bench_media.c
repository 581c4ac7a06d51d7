/* What a packet costs a media worker: forwarded and transcoded, towards phones and towards other
 * nodes, and what a bridge takes of memory. CPU is that of the worker's thread alone, system calls
 * included. Figures drift with the machine; the ratios to plain forwarding hold better. */
#include "media/codec.h"
#include "media/media.h"
#include "media/rtp.h"
#include "media/worker.h"

#include <arpa/inet.h>
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define PACKETS 2000
#define BURST 10
#define PREPARED 250 /* five seconds, then again */
#define BRIDGES 500

static const uint8_t type_of[CODEC_COUNT] = {0, 8, 9, 111};

struct bench {
    uv_loop_t loop;
    struct media *media;
    int fd;
    struct sockaddr_storage address;
    bool closed, measured;
    double cpu_us;
    struct media_stats stats[2];
    struct {
        uint8_t payload[CODEC_PAYLOAD_MAX];
        int bytes;
    } frames[CODEC_COUNT][PREPARED];
};

static struct bench bench;

/* ---- pieces ---------------------------------------------------------------------------------- */

static void on_stats_closed(void *ctx, const struct media_stats stats[2])
{
    (void)ctx;
    memcpy(bench.stats, stats, sizeof bench.stats);
    bench.closed = true;
}

static const struct media_events events = {.on_closed = on_stats_closed};

static void take_cpu(void *arg)
{
    struct rusage usage;
    (void)arg;
    getrusage(RUSAGE_THREAD, &usage);
    bench.cpu_us = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
                   (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    __atomic_store_n(&bench.measured, true, __ATOMIC_RELEASE);
}

/* CPU time of the worker, when it has done all that was asked before. */
static double worker_cpu_us(void)
{
    bench.measured = false;
    while (media_post(bench.media, 0, take_cpu, NULL) < 0)
        usleep(1000);
    while (!__atomic_load_n(&bench.measured, __ATOMIC_ACQUIRE))
        usleep(200);
    return bench.cpu_us;
}

static struct sockaddr_storage loopback(uint16_t port)
{
    struct sockaddr_storage address = {0};
    struct sockaddr_in *in = (struct sockaddr_in *)&address;
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    in->sin_port = htons(port);
    return address;
}

static struct media_leg format(enum media_leg_kind kind, enum codec codec)
{
    return (struct media_leg){
        .kind = kind,
        .direction = MEDIA_SENDRECV,
        .codec = codec,
        .payload_type = type_of[codec],
        .event_payload_type = -1,
        .receive = {{type_of[codec], codec}},
        .receive_count = 1,
    };
}

static struct media_leg phone_leg(enum codec codec, uint16_t *port)
{
    const struct sockaddr_storage local = loopback(0);
    struct media_leg leg = format(MEDIA_LEG_RTP, codec);
    leg.remote = bench.address;
    if (media_rtp_open(bench.media, &local, &leg.rtp) < 0) {
        fprintf(stderr, "no ports left\n");
        exit(1);
    }
    *port = media_rtp_port(leg.rtp);
    return leg;
}

static int swallow(void *port, const uint8_t *packet, size_t bytes)
{
    (void)port;
    (void)packet;
    (void)bytes;
    return 0;
}

static struct media_leg peer_leg(enum codec codec)
{
    struct media_leg leg = format(MEDIA_LEG_PEER, codec);
    leg.send = swallow;
    leg.ssrc_in = 1;
    leg.ssrc_out = 2;
    return leg;
}

/* A voice of sorts, so that the encoders have work. */
static void prepare(void)
{
    for (int codec = 0; codec < CODEC_COUNT; codec++) {
        int rate = codec_common_rate((enum codec)codec, CODEC_OPUS), frame = rate / 50;
        struct encoder *encoder = encoder_new((enum codec)codec, rate);
        double phase = 0;
        for (int i = 0; i < PREPARED; i++) {
            int16_t pcm[320];
            for (int k = 0; k < frame; k++) {
                double t = (double)(i * frame + k) / rate, voice = 0;
                phase += 2 * M_PI * (140 + 30 * sin(2 * M_PI * 3 * t)) / rate;
                for (int h = 1; h < 10; h++)
                    voice += sin(h * phase) / h;
                pcm[k] = (int16_t)(6000 * voice * (0.5 + 0.5 * sin(2 * M_PI * 4 * t)));
            }
            bench.frames[codec][i].bytes =
                encoder_encode(encoder, pcm, frame, bench.frames[codec][i].payload);
        }
        encoder_free(encoder);
    }
}

static void speak(enum codec codec, uint16_t port, int from, int count)
{
    const struct sockaddr_storage to = loopback(port);
    for (int i = from; i < from + count; i++) {
        const struct rtp_header rtp = {
            .payload_type = type_of[codec],
            .sequence = (uint16_t)i,
            .timestamp = (uint32_t)(i * codec_clock_hz(codec) / 50),
            .ssrc = 77,
        };
        uint8_t packet[RTP_PACKET_MAX];
        size_t bytes = (size_t)bench.frames[codec][i % PREPARED].bytes;
        rtp_write(packet, &rtp);
        memcpy(packet + RTP_HEADER_BYTES, bench.frames[codec][i % PREPARED].payload, bytes);
        sendto(bench.fd, packet, RTP_HEADER_BYTES + bytes, 0, (const struct sockaddr *)&to,
               sizeof(struct sockaddr_in));
    }
}

static void drain(void)
{
    uint8_t packet[RTP_PACKET_MAX];
    while (recv(bench.fd, packet, sizeof packet, MSG_DONTWAIT) > 0)
        ;
}

static void set(struct media_bridge *bridge, enum media_side side, struct media_leg leg)
{
    if (media_bridge_set(bridge, side, &leg) < 0)
        abort();
}

static void close_bridge(struct media_bridge *bridge)
{
    bench.closed = false;
    media_bridge_close(bridge);
    while (!bench.closed)
        uv_run(&bench.loop, UV_RUN_ONCE);
}

/* ---- the benches ----------------------------------------------------------------------------- */

static double cost_us(enum codec from, enum codec to, bool to_peer)
{
    struct media_bridge *bridge;
    uint16_t port, other;
    while (media_bridge_open(bench.media, 0, &events, NULL, &bridge) < 0)
        uv_run(&bench.loop, UV_RUN_NOWAIT);
    set(bridge, MEDIA_A, phone_leg(from, &port));
    set(bridge, MEDIA_B, to_peer ? peer_leg(to) : phone_leg(to, &other));
    worker_cpu_us();
    speak(from, port, 0, BURST);
    usleep(5000);
    double before = worker_cpu_us();
    for (int sent = BURST; sent < BURST + PACKETS; sent += BURST) {
        speak(from, port, sent, BURST);
        usleep(from == to ? 200 : 1000);
        if (to == CODEC_OPUS && from != to)
            worker_cpu_us(); /* slow: wait for it, lest packets are lost (adds under 1 us to each)
                              */
        drain();
    }
    usleep(20000);
    double cpu = worker_cpu_us() - before;
    close_bridge(bridge);
    uint64_t out = bench.stats[MEDIA_B].packets_out;
    if (out < PACKETS)
        fprintf(stderr, "only %d of %d packets came through\n", (int)out, PACKETS);
    return cpu / (double)(out > BURST ? out - BURST : 1);
}

static void bench_packets(bool to_peer)
{
    double forward_us = 0;
    printf("CPU per packet, phone to %s (us; ratio to forwarding)\n", to_peer ? "node" : "phone");
    printf("  %-6s", "from");
    for (int to = 0; to < CODEC_COUNT; to++)
        printf("%16s", codec_name((enum codec)to));
    printf("\n");
    for (int from = 0; from < CODEC_COUNT; from++) {
        printf("  %-6s", codec_name((enum codec)from));
        for (int to = 0; to < CODEC_COUNT; to++) {
            double us = cost_us((enum codec)from, (enum codec)to, to_peer);
            if (from == 0 && to == 0)
                forward_us = us;
            printf("%8.1f (%5.1f)", us, us / forward_us);
            fflush(stdout);
        }
        printf("\n");
    }
}

static long resident_kb(void)
{
    long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file && fscanf(file, "%ld %ld", &pages, &resident) != 2)
        resident = 0;
    if (file)
        fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void bench_memory(enum codec from, enum codec to)
{
    static struct media_bridge *bridges[BRIDGES];
    static uint16_t ports[BRIDGES];
    worker_cpu_us();
    long before = resident_kb();
    for (int i = 0; i < BRIDGES; i++) {
        while (media_bridge_open(bench.media, 0, &events, NULL, &bridges[i]) < 0)
            uv_run(&bench.loop, UV_RUN_NOWAIT);
        set(bridges[i], MEDIA_A, phone_leg(from, &ports[i]));
        set(bridges[i], MEDIA_B, peer_leg(to));
    }
    worker_cpu_us();
    for (int i = 0; i < BRIDGES; i++) {
        speak(from, ports[i], 0, 2);
        usleep(200);
    }
    worker_cpu_us();
    printf("  %-6s -> %-6s %8.1f kB\n", codec_name(from), codec_name(to),
           (double)(resident_kb() - before) / BRIDGES);
    for (int i = 0; i < BRIDGES; i++)
        close_bridge(bridges[i]);
}

static void on_media_closed(void *ctx)
{
    *(bool *)ctx = true;
}

int main(void)
{
    struct conf_media settings = {.port_min = 40000, .port_max = 41999, .workers = 1};
    bool closed = false;
    uv_loop_init(&bench.loop);
    if (media_open(&bench.loop, &settings, &bench.media) < 0)
        return 1;
    bench.address = loopback(42990);
    bench.fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (bind(bench.fd, (struct sockaddr *)&bench.address, sizeof(struct sockaddr_in)) < 0)
        return 1;
    prepare();
    /* Memory first: afterwards the heap has room of its own. */
    printf("Memory per bridge, one way in use, both sockets and SRTP included\n");
    bench_memory(CODEC_OPUS, CODEC_OPUS);
    bench_memory(CODEC_PCMU, CODEC_OPUS);
    bench_packets(false);
    bench_packets(true);
    media_close(bench.media, on_media_closed, &closed);
    uv_run(&bench.loop, UV_RUN_DEFAULT);
    close(bench.fd);
    return closed ? 0 : 1;
}
