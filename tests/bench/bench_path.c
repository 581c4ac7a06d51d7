/* What a packet costs on a path: over UDP, and through a relay over TLS.
 *
 * Two nodes (and a relay) in one process, a worker thread for each, one call's packets of 172 bytes
 * in both directions in bursts of 32, as workers with many calls send them. Figures are CPU time of
 * the thread named, divided by packets; sending and receiving are apart because they are in
 * different nodes.
 */
#include "overlay/path_control.h"
#include "overlay/relay.h"
#include "overlay/tls.h"
#include "tests/unit/overlay/path_fixture.h"

#include <time.h>
#include <unistd.h>

#define PACKETS 64000
#define BURST 32

struct bench {
    struct lab lab;
    struct lab_node berlin, paris;
    struct identity *rome;
    struct relay *relay;
    struct overlay_workers workers;
    uv_tcp_t listener;
    char address[ADDRESS_TEXT_MAX];
};

/* ---- a relay for them -------------------------------------------------------------------------
 */

static struct bench *the_bench;

static int one(void *ctx)
{
    (void)ctx;
    return 1;
}

static uv_loop_t *third_loop(void *ctx, int worker)
{
    (void)worker;
    return lab_loop(ctx, LAB_PATH_WORKERS);
}

static int third_post(void *ctx, int worker, void (*fn)(void *arg), void *arg)
{
    return lab_post(ctx, worker < 0 ? worker : LAB_PATH_WORKERS, fn, arg);
}

static void on_up(void *ctx, struct tls_stream *stream, const struct certificate *peer,
                  const char *alpn)
{
    (void)alpn;
    relay_take(((struct bench *)ctx)->relay, stream, peer);
}

static void on_down(void *ctx, struct tls_stream *stream, const char *why)
{
    (void)ctx;
    (void)why;
    tls_stream_close(stream);
}

static const struct tls_stream_events door = {.on_up = on_up, .on_down = on_down};

static void on_connection(uv_stream_t *listener, int status)
{
    struct tls_stream *stream;

    if (status < 0 || tls_stream_accept(listener, the_bench->rome, &door, the_bench, &stream) < 0)
        abort();
}

static void open_relay(struct bench *bench)
{
    bench->rome = fixture_identity(&bench->lab.realm, "rome", CONF_ROLE_RELAY);
    struct relay_settings settings = {.loop = &bench->lab.control.loop,
                                      .workers = &bench->workers,
                                      .identity = bench->rome,
                                      .tunnel_kbit_s = 4000000};
    struct sockaddr_storage address;
    int length = sizeof address;

    bench->workers = bench->lab.workers;
    bench->workers.count = one;
    bench->workers.loop = third_loop;
    bench->workers.post = third_post;
    if (relay_open(&settings, &bench->relay) < 0)
        abort();
    uv_tcp_init(&bench->lab.control.loop, &bench->listener);
    address_parse("127.0.0.1:0", &address);
    uv_tcp_bind(&bench->listener, (struct sockaddr *)&address, 0);
    if (uv_listen((uv_stream_t *)&bench->listener, 16, on_connection) < 0 ||
        uv_tcp_getsockname(&bench->listener, (struct sockaddr *)&address, &length) < 0)
        abort();
    address_format(&address, bench->address);
}

static void set_flag(void *ctx)
{
    *(bool *)ctx = true;
}

static void close_relay(struct bench *bench)
{
    bool is_closed = false;

    uv_close((uv_handle_t *)&bench->listener, NULL);
    relay_close(bench->relay, set_flag, &is_closed);
    lab_run(&bench->lab, lab_flag, &is_closed, 5000);
    identity_free(bench->rome);
}

/* ---- measuring --------------------------------------------------------------------------------
 */

static double cpu_of(pthread_t thread)
{
    struct timespec spent;
    clockid_t clock;

    pthread_getcpuclockid(thread, &clock);
    clock_gettime(clock, &spent);
    return (double)spent.tv_sec * 1e6 + (double)spent.tv_nsec / 1e3;
}

static bool both_have_ways(void *arg)
{
    struct bench *bench = arg;

    return lab_has_way(&bench->berlin) && lab_has_way(&bench->paris);
}

/* Berlin talks, Paris listens: what did each thread spend? */
static void talk(struct bench *bench, const char *what)
{
    uint8_t packet[172];
    struct lab_send send = {bench->berlin.path, packet, sizeof packet, BURST, 0};
    int from = paths_worker(bench->berlin.path), to = paths_worker(bench->paris.path);
    pthread_t threads[3] = {bench->lab.worker[from].thread, bench->lab.worker[to].thread,
                            bench->lab.worker[LAB_PATH_WORKERS].thread};
    double cpu[3];
    int heard = atomic_load(&bench->paris.packets);
    uint64_t start = uv_hrtime();

    lab_rtp(packet, bench->berlin.ssrc_out, 0);
    for (int i = 0; i < 3; i++)
        cpu[i] = cpu_of(threads[i]);
    for (int sent = 0; sent < PACKETS; sent += BURST) {
        lab_on_worker(&bench->lab, from, lab_do_send, &send);
        /* no more than a few bursts ahead of the listener: nothing is dropped */
        for (int wait = 0;
             wait < 200 && sent - (atomic_load(&bench->paris.packets) - heard) > 4 * BURST; wait++)
            usleep(50);
    }
    lab_run(&bench->lab, NULL, NULL, 100);
    double seconds = (double)(uv_hrtime() - start) / 1e9;
    heard = atomic_load(&bench->paris.packets) - heard;
    for (int i = 0; i < 3; i++)
        cpu[i] = cpu_of(threads[i]) - cpu[i];
    printf("path_%s_packet: sender %.2f us, receiver %.2f us, relay %.2f us (%d of %d heard, %.1f "
           "s)\n",
           what, cpu[0] / PACKETS, cpu[1] / heard, cpu[2] / heard, heard, PACKETS, seconds);
}

/* What one call would never send is dropped as a flood: be as many as send so much. */
#define CALLS 1000
struct calls {
    struct path *path;
    int more;
};

static void do_count(void *arg)
{
    struct calls *calls = arg;

    calls->path->live.listeners += (unsigned)calls->more;
}

static void count_calls(struct bench *bench, struct lab_node *node, int more)
{
    struct calls calls = {node->path, more};

    lab_on_worker(&bench->lab, paths_worker(node->path), do_count, &calls);
}

static void measure(struct bench *bench, bool udp, const char *what)
{
    struct lab_node *nodes[] = {&bench->berlin, &bench->paris};

    memset(&bench->berlin, 0, sizeof bench->berlin);
    memset(&bench->paris, 0, sizeof bench->paris);
    for (int i = 0; i < 2; i++) {
        nodes[i]->conf.udp = udp;
        nodes[i]->conf.supernodes[0] = bench->address;
        nodes[i]->conf.supernode_count = 1;
        if (!udp)
            lab_knows_relay(nodes[i], bench->rome, bench->address);
        if (lab_open(&bench->lab, nodes[i], i ? "paris" : "berlin") < 0)
            abort();
    }
    if (lab_call(&bench->berlin, &bench->paris) < 0 ||
        !lab_run(&bench->lab, both_have_ways, bench, 5000))
        abort();
    count_calls(bench, &bench->paris, CALLS);
    talk(bench, what);
    count_calls(bench, &bench->paris, -CALLS);
    for (int i = 0; i < 2; i++)
        lab_hang_up(nodes[i]);
    for (int i = 0; i < 2; i++)
        lab_close(nodes[i]);
}

int main(void)
{
    the_bench = calloc(1, sizeof *the_bench);
    if (!the_bench)
        return 1;
    lab_init(&the_bench->lab);
    open_relay(the_bench);
    measure(the_bench, true, "udp");
    measure(the_bench, false, "relay");
    close_relay(the_bench);
    lab_fini(&the_bench->lab);
    free(the_bench);
    return 0;
}
