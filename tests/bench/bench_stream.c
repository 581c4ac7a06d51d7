/* How late voice is over TCP on a line that loses packets: one connection and two (bundle.h).
 *
 *   bench_stream [SECONDS [LINE]]
 *
 * Two network namespaces with a wire between them that delays and loses (tests/lab/netemu.c; LINE
 * is what its file says). Over it some calls at once, each over a bundle of its own, both ends
 * sending a packet every 20 ms. A packet's delay is from the send to the receive function, so the
 * 20 ms of the line are in it. Needs root; without it nothing is measured.
 */
#include "overlay/bundle.h"
#include "tests/unit/overlay/realm_fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE "both delay=20 loss=2"
#define SECONDS 20
#define CALLS 10
#define FRAME_MS 20
#define FRAME_BYTES 100
#define FRAMES_MAX 10000 /* of a call and direction */
#define SETTLE_MS 3000   /* connections that come late (SYN lost) and slow starts are left out */
#define GOOD_MS 150
#define NEAR_HOST "198.18.7.1"
#define FAR_HOST "198.18.7.2"
#define PORT 5000

struct call;

/* One end of a call. */
struct end {
    struct call *call;
    struct bundle bundle;
    uv_tcp_t listener; /* of the side that is dialled */
    uint32_t sent;
    double sent_ms[FRAMES_MAX];
    double delay_ms[FRAMES_MAX]; /* of what the other end has heard from us; negative: nothing */
};

struct call {
    struct end ends[2];
};

/* One side of the line: a thread with a loop, in a namespace. */
struct side {
    int index;
    pthread_t thread;
    uv_loop_t loop;
    uv_timer_t pace;
    unsigned lingering;
};

static struct {
    struct call *calls;
    struct side sides[2];
    struct identity *identity;
    int streams; /* of a bundle */
    double until_ms;
    char spaces[2][32], wire[64];
    pid_t netemu;
} bench;

static double now_ms(void)
{
    return (double)uv_hrtime() / 1e6;
}

/* ---- packets ----------------------------------------------------------------------------------
 */

static void on_packet(void *ctx, uint8_t *packet, size_t bytes)
{
    struct end *end = ctx, *from = &end->call->ends[end == &end->call->ends[0]];
    uint32_t number;

    if (bytes != FRAME_BYTES)
        abort();
    memcpy(&number, packet, sizeof number);
    from->delay_ms[number] = now_ms() - from->sent_ms[number];
}

static void on_lost(void *ctx, const char *why)
{
    (void)ctx;
    printf("a connection is lost: %s\n", why);
}

static const struct bundle_events bundle_events = {.on_packet = on_packet, .on_lost = on_lost};

static void on_gone(void *ctx)
{
    ((struct side *)ctx)->lingering--;
}

static void stop(struct side *side)
{
    uv_close((uv_handle_t *)&side->pace, NULL);
    for (int i = 0; i < CALLS; i++) {
        struct end *end = &bench.calls[i].ends[side->index];

        bundle_fini(&end->bundle);
        if (side->index == 1)
            uv_close((uv_handle_t *)&end->listener, NULL);
    }
}

static void on_pace(uv_timer_t *timer)
{
    struct side *side = timer->data;
    uint8_t packet[FRAME_BYTES] = {0};

    if (now_ms() >= bench.until_ms) {
        stop(side);
        return;
    }
    for (int i = 0; i < CALLS; i++) {
        struct end *end = &bench.calls[i].ends[side->index];

        if (bundle_count(&end->bundle) == 0 || end->sent == FRAMES_MAX)
            continue;
        memcpy(packet, &end->sent, sizeof end->sent);
        packet[FRAME_BYTES - 1] = (uint8_t)end->sent;
        memcpy(packet + FRAME_BYTES - 8, &end->sent, sizeof end->sent);
        end->delay_ms[end->sent] = -1;
        end->sent_ms[end->sent++] = now_ms();
        bundle_send(&end->bundle, packet, sizeof packet);
    }
}

/* ---- connections ------------------------------------------------------------------------------
 */

static void on_up(void *ctx, struct tls_stream *stream, const struct certificate *peer,
                  const char *alpn)
{
    struct end *end = ctx;

    (void)peer;
    (void)alpn;
    bundle_add(&end->bundle, stream);
}

static void on_down(void *ctx, struct tls_stream *stream, const char *why)
{
    (void)ctx;
    printf("no connection: %s\n", why);
    tls_stream_close(stream);
}

static const struct tls_stream_events stream_events = {.on_up = on_up, .on_down = on_down};

static void on_connection(uv_stream_t *listener, int status)
{
    struct tls_stream *stream;

    if (status < 0 ||
        tls_stream_accept(listener, bench.identity, &stream_events, listener->data, &stream) < 0)
        abort();
}

/* Each call has a port of its own. */
static void dial(struct side *side, int call)
{
    struct end *end = &bench.calls[call].ends[side->index];
    char address[ADDRESS_TEXT_MAX];
    struct tls_dial dial = {.identity = bench.identity,
                            .address = address,
                            .alpn = TLS_ALPN_RELAY,
                            .timeout_ms = SETTLE_MS};
    struct tls_stream *stream;

    snprintf(address, sizeof address, FAR_HOST ":%d", PORT + call);
    for (int i = 0; i < bench.streams; i++)
        if (tls_stream_dial(&side->loop, &dial, &stream_events, end, &stream) < 0)
            abort();
}

static void listen_for(struct side *side, int call)
{
    struct end *end = &bench.calls[call].ends[side->index];
    char text[ADDRESS_TEXT_MAX];
    struct sockaddr_storage address;

    snprintf(text, sizeof text, FAR_HOST ":%d", PORT + call);
    address_parse(text, &address);
    uv_tcp_init(&side->loop, &end->listener);
    end->listener.data = end;
    if (uv_tcp_bind(&end->listener, (struct sockaddr *)&address, 0) < 0 ||
        uv_listen((uv_stream_t *)&end->listener, 16, on_connection) < 0)
        abort();
}

/* ---- the line ---------------------------------------------------------------------------------
 */

static int run(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int run(const char *format, ...)
{
    char command[512];
    va_list args;

    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    return system(command);
}

/* Starts the wire and waits until it says that it is ready. */
static int start_wire(const char *program)
{
    int pipes[2];
    char said[16];

    if (access(program, X_OK) < 0 || pipe(pipes) < 0)
        return -1;
    bench.netemu = fork();
    if (bench.netemu == 0) {
        dup2(pipes[1], STDOUT_FILENO);
        execl(program, program, bench.spaces[0], "wire", bench.spaces[1], "wire", bench.wire,
              (char *)NULL);
        _exit(1);
    }
    close(pipes[1]);
    ssize_t got = read(pipes[0], said, sizeof said);
    close(pipes[0]);
    return got > 0 ? 0 : -1;
}

static int open_line(const char *self, const char *line)
{
    char program[512];
    const char *slash = strrchr(self, '/');
    FILE *file;

    snprintf(program, sizeof program, "%.*s/../lab/netemu", slash ? (int)(slash - self) : 1,
             slash ? self : ".");
    snprintf(bench.wire, sizeof bench.wire, "/tmp/bench-stream-%d", getpid());
    if (!(file = fopen(bench.wire, "w")))
        return -1;
    fprintf(file, "%s\n", line);
    fclose(file);
    for (int i = 0; i < 2; i++) {
        snprintf(bench.spaces[i], sizeof bench.spaces[i], "bench-%d-%d", getpid(), i);
        if (run("ip netns add %s 2>/dev/null", bench.spaces[i]) != 0)
            return -1;
    }
    if (start_wire(program) < 0)
        return -1;
    for (int i = 0; i < 2; i++)
        if (run("ip -n %s address add %s/24 dev wire && ip -n %s link set wire up", bench.spaces[i],
                i ? FAR_HOST : NEAR_HOST, bench.spaces[i]) != 0)
            return -1;
    return 0;
}

static void close_line(void)
{
    if (bench.netemu > 0) {
        kill(bench.netemu, SIGTERM);
        waitpid(bench.netemu, NULL, 0);
    }
    for (int i = 0; i < 2; i++)
        if (bench.spaces[i][0])
            run("ip netns delete %s 2>/dev/null", bench.spaces[i]);
    unlink(bench.wire);
}

static void enter(const char *space)
{
    char path[64];

    snprintf(path, sizeof path, "/run/netns/%s", space);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
        abort();
    close(fd);
}

/* ---- measuring --------------------------------------------------------------------------------
 */

static void *side_main(void *arg)
{
    struct side *side = arg;

    enter(bench.spaces[side->index]);
    uv_loop_init(&side->loop);
    struct bundle_host host = {&side->loop, &side->lingering, on_gone, side};
    for (int i = 0; i < CALLS; i++) {
        struct end *end = &bench.calls[i].ends[side->index];

        end->call = &bench.calls[i];
        bundle_init(&end->bundle, &host, &bundle_events, end);
        if (side->index == 1)
            listen_for(side, i);
        else
            dial(side, i);
    }
    uv_timer_init(&side->loop, &side->pace);
    side->pace.data = side;
    uv_timer_start(&side->pace, on_pace, FRAME_MS, FRAME_MS);
    uv_run(&side->loop, UV_RUN_DEFAULT); /* until no handle is left */
    uv_loop_close(&side->loop);
    return NULL;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void show(double start_ms)
{
    double *delays = calloc((size_t)CALLS * 2 * FRAMES_MAX, sizeof *delays);
    int sent = 0, heard = 0, good = 0;

    for (int i = 0; i < 2 * CALLS; i++) {
        const struct end *end = &bench.calls[i / 2].ends[i % 2];
        for (uint32_t n = 0; n < end->sent; n++) {
            if (end->sent_ms[n] < start_ms + SETTLE_MS || end->sent_ms[n] > bench.until_ms - 1000)
                continue;
            sent++;
            if (end->delay_ms[n] < 0)
                continue;
            good += end->delay_ms[n] <= GOOD_MS;
            delays[heard++] = end->delay_ms[n];
        }
    }
    qsort(delays, (size_t)heard, sizeof *delays, compare);
    if (heard > 0)
        printf("stream_delay_%d: %.2f %% of %d frames within %d ms, %.2f %% never came; p50 %.0f, "
               "p90 %.0f, p95 %.0f, p99 %.0f, worst %.0f ms\n",
               bench.streams, 100.0 * good / sent, sent, GOOD_MS, 100.0 * (sent - heard) / sent,
               delays[heard / 2], delays[heard * 9 / 10], delays[heard * 95 / 100],
               delays[heard * 99 / 100], delays[heard - 1]);
    free(delays);
}

static void measure(int streams, unsigned seconds)
{
    double start_ms = now_ms();

    bench.streams = streams;
    bench.until_ms = start_ms + SETTLE_MS + 1000 + seconds * 1000.0;
    bench.calls = calloc(CALLS, sizeof *bench.calls);
    if (!bench.calls)
        abort();
    for (int i = 1; i >= 0; i--) {
        bench.sides[i] = (struct side){.index = i};
        pthread_create(&bench.sides[i].thread, NULL, side_main, &bench.sides[i]);
        usleep(100000); /* the far side listens first */
    }
    for (int i = 0; i < 2; i++)
        pthread_join(bench.sides[i].thread, NULL);
    show(start_ms);
    free(bench.calls);
}

int main(int argc, char **argv)
{
    unsigned seconds = argc > 1 ? (unsigned)atoi(argv[1]) : SECONDS;
    const char *line = argc > 2 ? argv[2] : LINE;
    struct realm realm;

    signal(SIGPIPE, SIG_IGN);
    if (geteuid() != 0 || open_line(argv[0], line) < 0) {
        printf("stream_delay: needs root and tests/lab/netemu: not measured\n");
        close_line();
        return 0;
    }
    fixture_realm(&realm);
    bench.identity = fixture_identity(&realm, "berlin", CONF_ROLE_RELAY);
    printf("%s; %d calls, a frame every %d ms each way\n", line, CALLS, FRAME_MS);
    for (int streams = 1; streams <= BUNDLE_STREAMS; streams++)
        measure(streams, seconds);
    identity_free(bench.identity);
    realm_fini(&realm);
    close_line();
    return 0;
}
