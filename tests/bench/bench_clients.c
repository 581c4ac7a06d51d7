/* What nodes cost their supernode: memory, keepalive, handshakes, a crowd that comes back, calls
 * and questions of the directory.
 *
 *   bench_clients [NODES [SECONDS]]
 *
 * The supernode is a real one (`sallyport run`, its own process, on loopback). The nodes are light:
 * one thread, epoll and OpenSSL, each with its own certificate, from 127.x.x.x addresses spread so
 * that the door's limits per host do not matter. They say what real ones say (Hello, Publish, Ping)
 * and come back as real ones do (host_failed). CPU is that of the supernode's process alone; both
 * share the machine's cores. SECONDS: how long keepalive is watched. When they are more than the
 * seats for nodes without calls (all but a sixteenth) they say that they have one each.
 */
#include "overlay/frame.h"
#include "overlay/overlay.pb-c.h"
#include "overlay/record.h"
#include "overlay/tls.h"
#include "tests/unit/overlay/realm_fixture.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NODES 20000
#define SEATS 20000 /* of a supernode that may open as many files */
#define SECONDS 60
#define SPARE_FILES 420 /* above the nodes, here and there */
#define PER_ADDRESS 20  /* nodes that share one */
#define HANDSHAKES 5000
#define HANDSHAKES_AT_ONCE 32
#define SEALED_BYTES 1200
#define ROUTERS 1000
#define ROUTES_AT_ONCE 256
#define ROUTE_SECONDS 10
#define QUESTIONS 4000
#define ASKERS 400
#define TIMEOUT_US 10000000
#define HESITATE_US 10000
#define S 1000000ull

enum node_state { AWAY, CONNECTING, SHAKING, GREETING, ATTACHED };

struct node {
    enum node_state state;
    int index, fd;
    SSL *ssl;
    SSL_SESSION *session; /* the newest */
    bool has_ticket;      /* of this connection */
    X509 *certificate;
    EVP_PKEY *key;
    uint8_t id[OVERLAY_NODE_ID_BYTES];
    uint8_t *publish; /* an Envelope, packed */
    size_t publish_bytes;
    struct frame_reader reader;
    uint64_t due_us; /* away: dials; attached: pings; else: gives up */
    unsigned failures;
};

static struct {
    struct node *nodes;
    int count;
    unsigned seconds;
    int epoll;
    SSL_CTX *tls;
    pid_t supernode;
    uint16_t port;
    char folder[64];
    /* What nodes do. */
    bool resumes, publishes, only_shakes, has_calls;
    void (*on_envelope)(struct node *node, const Sallyport__Envelope *envelope);
    /* What has happened. */
    int attached, shaking, shaken, resumed, refused, published;
    uint64_t pongs;
} bench;

static uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * S + (uint64_t)now.tv_nsec / 1000;
}

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "bench_clients: %s: %s\n", what, strerror(errno));
    if (bench.supernode > 0)
        kill(bench.supernode, SIGTERM);
    exit(1);
}

/* ---- the supernode ----------------------------------------------------------------------------
 */

static void write_file(const char *name, const char *text)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s", bench.folder, name);
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        give_up(path);
    close(fd);
}

static uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        give_up("no port");
    close(fd);
    return ntohs(address.sin_port);
}

static bool answers(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(bench.port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bool is_there = connect(fd, (struct sockaddr *)&to, sizeof to) == 0;
    close(fd);
    return is_there;
}

static void start_supernode(const char *self, const struct realm *realm)
{
    char program[512], settings[128], text[512];
    const char *slash = strrchr(self, '/');

    snprintf(bench.folder, sizeof bench.folder, "/tmp/bench-clients-XXXXXX");
    if (!mkdtemp(bench.folder))
        give_up("no folder");
    bench.port = free_port();
    char *pem = fixture_pem(realm, "supernode", NULL, CONF_ROLE_SUPERNODE, time(NULL));
    write_file("supernode.pem", pem);
    free(pem);
    snprintf(text, sizeof text,
             "state_dir = \"%s/state\"\nrealm { enrolment = \"%s/supernode.pem\" }\n"
             "overlay { roles = { \"supernode\" } listen = \"127.0.0.1:%u\" }\n",
             bench.folder, bench.folder, bench.port);
    write_file("supernode.conf", text);
    snprintf(program, sizeof program, "%.*s/../../sallyport", slash ? (int)(slash - self) : 1,
             slash ? self : ".");
    snprintf(settings, sizeof settings, "%s/supernode.conf", bench.folder);
    snprintf(text, sizeof text, "%s/supernode.log", bench.folder);
    bench.supernode = fork();
    if (bench.supernode == 0) {
        int log = open(text, O_CREAT | O_WRONLY, 0600);
        dup2(log, STDERR_FILENO);
        execl(program, program, "run", "-c", settings, (char *)NULL);
        _exit(1);
    }
    for (int i = 0; i < 100 && !answers(); i++)
        usleep(50000);
    if (!answers())
        give_up("the supernode does not answer");
}

static void stop_supernode(void)
{
    char command[128];

    kill(bench.supernode, SIGTERM);
    waitpid(bench.supernode, NULL, 0);
    snprintf(command, sizeof command, "rm -rf %s", bench.folder);
    if (system(command) != 0)
        fprintf(stderr, "bench_clients: %s stays\n", bench.folder);
}

/* CPU time of all its threads. */
static double cpu_us(void)
{
    char path[320];
    double total_ns = 0;
    struct dirent *entry;

    snprintf(path, sizeof path, "/proc/%d/task", bench.supernode);
    DIR *dir = opendir(path);
    while (dir && (entry = readdir(dir))) {
        unsigned long long ns = 0;
        snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", bench.supernode, entry->d_name);
        FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (!file)
            continue;
        if (fscanf(file, "%llu", &ns) == 1)
            total_ns += (double)ns;
        fclose(file);
    }
    if (dir)
        closedir(dir);
    return total_ns / 1000;
}

struct memory {
    double rss_kib, pss_kib;
};

static struct memory memory_of_supernode(void)
{
    struct memory memory = {0, 0};
    char path[64], line[200];

    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", bench.supernode);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file)) {
        sscanf(line, "Rss: %lf", &memory.rss_kib);
        sscanf(line, "Pss: %lf", &memory.pss_kib);
    }
    if (file)
        fclose(file);
    return memory;
}

/* ---- a node -----------------------------------------------------------------------------------
 */

static uint64_t dice(uint64_t below)
{
    return (uint64_t)random() % below;
}

static void leave(struct node *node)
{
    if (node->state == AWAY)
        return;
    bench.attached -= node->state == ATTACHED;
    bench.shaking -= node->state != ATTACHED;
    /* Else OpenSSL would spoil the session, because there was no farewell. */
    if (node->ssl)
        SSL_set_shutdown(node->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(node->ssl);
    close(node->fd);
    frame_reader_fini(&node->reader);
    memset(&node->reader, 0, sizeof node->reader);
    node->ssl = NULL;
    node->state = AWAY;
    node->due_us = 0;
}

/* As host_failed. */
static void come_back_later(struct node *node)
{
    uint64_t longest_us = S << (node->failures < 9 ? node->failures : 9);

    if (longest_us > 300 * S)
        longest_us = 300 * S;
    node->failures++;
    node->due_us = now_us() + longest_us / 2 + dice(longest_us / 2);
}

static void fail(struct node *node)
{
    ERR_clear_error();
    bench.refused++;
    leave(node);
    come_back_later(node);
}

static void send_packed(struct node *node, const uint8_t *body, size_t bytes)
{
    static uint8_t whole[FRAME_HEAD_BYTES + FRAME_MAX];

    frame_head(whole, bytes);
    memcpy(whole + FRAME_HEAD_BYTES, body, bytes);
    if (SSL_write(node->ssl, whole, (int)(FRAME_HEAD_BYTES + bytes)) <= 0)
        fail(node);
}

static void send_envelope(struct node *node, const Sallyport__Envelope *envelope)
{
    static uint8_t body[FRAME_MAX];

    send_packed(node, body, sallyport__envelope__pack(envelope, body));
}

static void greet(struct node *node)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Hello hello = SALLYPORT__HELLO__INIT;

    hello.version = 2;
    hello.software = "bench";
    hello.calls = bench.has_calls;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_HELLO;
    envelope.hello = &hello;
    node->state = GREETING;
    send_envelope(node, &envelope);
}

static void ping(struct node *node, uint64_t at_us)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Ping body = SALLYPORT__PING__INIT;

    body.number = at_us;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_PING;
    envelope.ping = &body;
    node->due_us = at_us + 25 * S + dice(5 * S);
    send_envelope(node, &envelope);
}

static void on_envelope(struct node *node, const Sallyport__Envelope *envelope)
{
    switch (envelope->body_case) {
    case SALLYPORT__ENVELOPE__BODY_WELCOME:
        if (node->state != GREETING)
            break;
        node->state = ATTACHED;
        node->failures = 0;
        node->due_us = now_us() + 1 + dice(30 * S);
        bench.shaking--;
        bench.attached++;
        if (bench.publishes)
            send_packed(node, node->publish, node->publish_bytes);
        break;
    case SALLYPORT__ENVELOPE__BODY_PONG:
        bench.pongs++;
        break;
    case SALLYPORT__ENVELOPE__BODY_PUBLISHED:
        bench.published += envelope->published->accepted == 1;
        break;
    default:
        break;
    }
    if (bench.on_envelope)
        bench.on_envelope(node, envelope);
}

static void take_frames(struct node *node, const uint8_t *data, size_t bytes)
{
    const uint8_t *frame;
    size_t frame_bytes;

    while (node->state != AWAY &&
           frame_take(&node->reader, &data, &bytes, &frame, &frame_bytes) > 0) {
        Sallyport__Envelope *envelope = sallyport__envelope__unpack(NULL, frame_bytes, frame);
        if (!envelope)
            give_up("not an envelope");
        on_envelope(node, envelope);
        sallyport__envelope__free_unpacked(envelope, NULL);
    }
}

static void drive(struct node *node)
{
    static uint8_t plain[65536];
    int got = 1;

    if (node->state == SHAKING && !SSL_is_init_finished(node->ssl)) {
        got = SSL_do_handshake(node->ssl);
        if (got == 1) {
            bench.shaken++;
            bench.resumed += SSL_session_reused(node->ssl);
            if (!bench.only_shakes)
                greet(node);
        }
    }
    while (got > 0 && node->state != AWAY) {
        got = SSL_read(node->ssl, plain, sizeof plain);
        if (got > 0)
            take_frames(node, plain, (size_t)got);
    }
    if (node->state == AWAY)
        return;
    int error = SSL_get_error(node->ssl, got);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
        fail(node);
    else if (bench.only_shakes && SSL_is_init_finished(node->ssl) &&
             (node->has_ticket || SSL_session_reused(node->ssl)))
        leave(node);
}

static void bind_to_own_address(const struct node *node)
{
    struct sockaddr_in from = {.sin_family = AF_INET};
    int host = node->index / PER_ADDRESS, on = 1;

    from.sin_addr.s_addr =
        htonl(0x7f010001u + (unsigned)(host / 250) * 256 + (unsigned)(host % 250));
    setsockopt(node->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(node->fd, (struct sockaddr *)&from, sizeof from) < 0)
        give_up("bind");
}

static void dial(struct node *node)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(bench.port)};
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = node};

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    node->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (node->fd < 0)
        give_up("socket");
    bind_to_own_address(node);
    if (connect(node->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS)
        give_up("connect");
    node->state = CONNECTING;
    node->due_us = now_us() + HESITATE_US;
    bench.shaking++;
    epoll_ctl(bench.epoll, EPOLL_CTL_ADD, node->fd, &event);
}

/* All nodes share the generator's core: those that are reset at once must not cost it a hello. */
static void shake(struct node *node)
{
    static const unsigned char alpn[] = "\x0bsallyport/1";

    node->ssl = SSL_new(bench.tls);
    SSL_set_app_data(node->ssl, node);
    SSL_use_certificate(node->ssl, node->certificate);
    SSL_use_PrivateKey(node->ssl, node->key);
    SSL_set_alpn_protos(node->ssl, alpn, sizeof alpn - 1);
    SSL_set_fd(node->ssl, node->fd);
    SSL_set_connect_state(node->ssl);
    if (bench.resumes && node->session)
        SSL_set_session(node->ssl, node->session);
    node->has_ticket = false;
    node->state = SHAKING;
    node->due_us = now_us() + TIMEOUT_US;
    drive(node);
}

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct node *node = SSL_get_app_data(ssl);

    SSL_SESSION_free(node->session);
    node->session = session;
    node->has_ticket = true;
    return 1;
}

/* ---- all nodes --------------------------------------------------------------------------------
 */

static void on_due(struct node *node, uint64_t at_us)
{
    switch (node->state) {
    case AWAY:
        dial(node);
        break;
    case CONNECTING:
        shake(node);
        break;
    case ATTACHED:
        ping(node, at_us);
        break;
    default:
        fail(node);
        break;
    }
}

/* One turn of at most 5 ms. */
static void turn(void)
{
    static uint64_t looked_us;
    struct epoll_event events[256];
    int count = epoll_wait(bench.epoll, events, 256, 5);
    uint64_t at_us = now_us();

    for (int i = 0; i < count; i++) {
        struct node *node = events[i].data.ptr;
        if (node->state == CONNECTING && events[i].events & (EPOLLERR | EPOLLHUP))
            fail(node);
        else if (node->state > CONNECTING)
            drive(node);
    }
    if (at_us < looked_us + 5000)
        return;
    looked_us = at_us;
    for (int i = 0; i < bench.count; i++)
        if (bench.nodes[i].due_us && bench.nodes[i].due_us <= at_us)
            on_due(&bench.nodes[i], at_us);
}

static void run_for(double seconds)
{
    for (uint64_t end_us = now_us() + (uint64_t)(seconds * 1e6); now_us() < end_us;)
        turn();
}

/* A key, a certificate and a record of its own. */
static void make_node(struct node *node, const struct realm *realm, int index)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Publish publish = SALLYPORT__PUBLISH__INIT;
    Sallyport__SignedRecord signed_record, *list[] = {&signed_record};
    struct record *record = calloc(1, sizeof *record);
    struct identity *identity = NULL;
    char site[32], why[200];

    snprintf(site, sizeof site, "node%05d", index);
    char *pem = fixture_pem(realm, site, NULL, CONF_ROLE_GATEWAY, time(NULL));
    BIO *bio = BIO_new_mem_buf(pem, -1);
    node->certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    node->key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    if (!record || !node->certificate || !node->key ||
        identity_parse(pem, strlen(pem), &identity, why, sizeof why) < 0)
        give_up("no identity");
    memcpy(node->id, identity_certificate(identity)->node, sizeof node->id);
    snprintf(record->name, sizeof record->name, "%s", site);
    record->homes.count = 1;
    snprintf(record->homes.home[0].address, sizeof record->homes.home[0].address, "127.0.0.1:%u",
             bench.port);
    record->sequence = (uint64_t)time(NULL) << 20;
    record->issued_s = time(NULL);
    record->lifetime_s = 900;
    record->weight = 1;
    record_sign(identity, record, &signed_record);
    publish.request = 1;
    publish.records = list;
    publish.n_records = 1;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_PUBLISH;
    envelope.publish = &publish;
    node->publish_bytes = sallyport__envelope__get_packed_size(&envelope);
    node->publish = malloc(node->publish_bytes);
    sallyport__envelope__pack(&envelope, node->publish);
    record_signed_fini(&signed_record);
    identity_free(identity);
    free(record);
    free(pem);
    node->index = index;
}

static void make_nodes(const struct realm *realm)
{
    uint64_t start_us = now_us();

    bench.nodes = calloc((size_t)bench.count, sizeof *bench.nodes);
    for (int i = 0; i < bench.count; i++)
        make_node(&bench.nodes[i], realm, i);
    printf("%d certificates, keys and records made in %.1f s\n", bench.count,
           (double)(now_us() - start_us) / 1e6);
}

static void open_tls(void)
{
    bench.epoll = epoll_create1(0);
    bench.tls = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(bench.tls, TLS1_3_VERSION);
    SSL_CTX_set1_sigalgs_list(bench.tls, "ed25519");
    SSL_CTX_set1_groups_list(bench.tls, "X25519");
    SSL_CTX_set_ciphersuites(bench.tls, "TLS_AES_128_GCM_SHA256");
    SSL_CTX_set_mode(bench.tls, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(bench.tls, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(bench.tls, on_session);
}

/* ---- what is measured -------------------------------------------------------------------------
 */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void show_spread(const char *what, double *us, int count)
{
    qsort(us, (size_t)count, sizeof *us, compare);
    printf("%s: p50 %.0f us, p99 %.0f us, worst %.0f us (%d, one at a time)\n", what, us[count / 2],
           us[count * 99 / 100], us[count - 1], count);
}

/* Until all are attached; the time of 50, 90 and 100 per cent. */
static void attach_all(const char *what)
{
    uint64_t start_us = now_us(), half_us = 0, most_us = 0;
    double cpu = cpu_us();

    bench.refused = bench.resumed = bench.shaken = 0;
    while (bench.attached < bench.count && now_us() < start_us + 300 * S) {
        turn();
        if (!half_us && bench.attached >= bench.count / 2)
            half_us = now_us() - start_us;
        if (!most_us && bench.attached >= bench.count * 9 / 10)
            most_us = now_us() - start_us;
    }
    double seconds = (double)(now_us() - start_us) / 1e6;
    printf("%s: %d attached (%d resumed, %d refusals) in %.1f s; half in %.1f s, 90 %% in %.1f s; "
           "CPU %.1f s, %.0f us each\n",
           what, bench.attached, bench.resumed, bench.refused, seconds, (double)half_us / 1e6,
           (double)most_us / 1e6, (cpu_us() - cpu) / 1e6, (cpu_us() - cpu) / bench.attached);
    fflush(stdout);
    if (bench.attached < bench.count)
        give_up("the others did not get in");
}

static void show_memory(const char *what, const struct memory *before)
{
    struct memory now = memory_of_supernode();

    printf("%s: RSS %.1f MiB, %.2f KiB a node; PSS %.1f MiB, %.2f KiB a node\n", what,
           now.rss_kib / 1024, (now.rss_kib - before->rss_kib) / bench.count, now.pss_kib / 1024,
           (now.pss_kib - before->pss_kib) / bench.count);
    fflush(stdout);
}

static void measure_memory(void)
{
    struct memory before = memory_of_supernode();

    for (int i = 0; i < bench.count; i++)
        bench.nodes[i].due_us = now_us() + (uint64_t)i * 2000; /* not a crowd */
    attach_all("first contact");
    run_for(2);
    show_memory("memory, attached", &before);
    for (int i = 0; i < bench.count; i++) {
        send_packed(&bench.nodes[i], bench.nodes[i].publish, bench.nodes[i].publish_bytes);
        if (i % 100 == 0)
            turn();
    }
    run_for(3);
    show_memory("memory, attached and published", &before);
}

static void measure_keepalive(void)
{
    double cpu = cpu_us();
    uint64_t start_us = now_us();

    bench.pongs = 0;
    run_for(bench.seconds);
    double passed_us = (double)(now_us() - start_us);
    cpu = cpu_us() - cpu;
    printf("keepalive: %.2f %% of a core for %d nodes, %.1f us per ping (%.0f pings/s, %.0f s)\n",
           100 * cpu / passed_us, bench.attached, cpu / (double)bench.pongs,
           (double)bench.pongs * 1e6 / passed_us, passed_us / 1e6);
    fflush(stdout);
}

static void cut_all(void)
{
    struct linger at_once = {1, 0};

    for (int i = 0; i < bench.count; i++) {
        struct node *node = &bench.nodes[i];
        if (node->state == AWAY)
            continue;
        setsockopt(node->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        leave(node);
        node->failures = 0;
    }
}

static void measure_return(bool resumes)
{
    cut_all();
    for (int i = 0; i < bench.count; i++)
        come_back_later(&bench.nodes[i]);
    bench.resumes = resumes;
    bench.publishes = true;
    attach_all(resumes ? "all cut, back by resumption" : "all cut, back by full handshakes");
    bench.publishes = false;
    run_for(2);
}

static void measure_handshakes(bool resumes)
{
    int next = 0;

    bench.resumes = resumes;
    bench.only_shakes = true;
    bench.shaken = bench.resumed = bench.refused = 0;
    double cpu = cpu_us();
    uint64_t start_us = now_us();
    while (bench.shaken < HANDSHAKES && now_us() < start_us + 60 * S) {
        for (; bench.shaking < HANDSHAKES_AT_ONCE; next = (next + 1) % bench.count) {
            struct node *node = &bench.nodes[next];
            if (node->state == AWAY && (node->session || !resumes))
                dial(node);
        }
        turn();
    }
    double passed_us = (double)(now_us() - start_us);
    cpu = cpu_us() - cpu;
    printf(
        "%s handshakes: %.0f us of CPU each, a core does %.0f/s; let in at %.0f/s (%d, %d resumed, "
        "%d refusals)\n",
        resumes ? "resumed" : "full", cpu / bench.shaken, 1e6 * bench.shaken / cpu,
        1e6 * bench.shaken / passed_us, bench.shaken, bench.resumed, bench.refused);
    fflush(stdout);
    for (int i = 0; i < bench.count; i++) {
        leave(&bench.nodes[i]);
        bench.nodes[i].due_us = 0;
    }
    bench.only_shakes = false;
}

/* ---- calls and questions ----------------------------------------------------------------------
 */

static struct {
    int wanted; /* body that is the answer */
    bool is_answered;
    bool is_flood;
    uint64_t routed;
} talk;

static void route(int from)
{
    static uint8_t sealed[SEALED_BYTES];
    int to = (from + 1) % (bench.count < ROUTERS ? bench.count : ROUTERS);
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Route body = SALLYPORT__ROUTE__INIT;
    uint64_t id = now_us();

    body.id.data = (uint8_t *)&id;
    body.id.len = sizeof id;
    body.to.data = bench.nodes[to].id;
    body.to.len = OVERLAY_NODE_ID_BYTES;
    body.sealed.data = sealed;
    body.sealed.len = sizeof sealed;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_ROUTE;
    envelope.route = &body;
    send_envelope(&bench.nodes[from], &envelope);
}

static void on_answer(struct node *node, const Sallyport__Envelope *envelope)
{
    if ((int)envelope->body_case == talk.wanted)
        talk.is_answered = true;
    if (envelope->body_case == SALLYPORT__ENVELOPE__BODY_ROUTE_FAILED)
        give_up("a route failed");
    if (envelope->body_case != SALLYPORT__ENVELOPE__BODY_ROUTE)
        return;
    talk.routed++;
    if (talk.is_flood)
        route(node->index);
}

static void wait_for_answer(void)
{
    for (uint64_t end_us = now_us() + 5 * S; !talk.is_answered;) {
        turn();
        if (now_us() > end_us)
            give_up("no answer");
    }
    talk.is_answered = false;
}

static void ask(int from, int number)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Lookup lookup = SALLYPORT__LOOKUP__INIT;
    char name[32];

    snprintf(name, sizeof name, "node%05d", number);
    lookup.request = (uint32_t)number + 1;
    lookup.name = name;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_LOOKUP;
    envelope.lookup = &lookup;
    send_envelope(&bench.nodes[from], &envelope);
}

static void measure_latency(const char *what, int wanted)
{
    static double took_us[QUESTIONS];
    int askers = bench.count < ASKERS ? bench.count : ASKERS;

    talk.wanted = wanted;
    talk.is_answered = false;
    double cpu = cpu_us();
    for (int i = 0; i < QUESTIONS; i++) {
        struct node *node = &bench.nodes[i % askers];
        uint64_t start_us = now_us();
        if (wanted == SALLYPORT__ENVELOPE__BODY_ROUTE)
            route(i % askers);
        else if (wanted == SALLYPORT__ENVELOPE__BODY_FOUND)
            ask(i % askers, (int)dice((uint64_t)bench.count));
        else
            send_packed(node, node->publish, node->publish_bytes);
        wait_for_answer();
        took_us[i] = (double)(now_us() - start_us);
    }
    show_spread(what, took_us, QUESTIONS);
    printf("%s: CPU %.0f us each\n", what, (cpu_us() - cpu) / QUESTIONS);
}

static void measure_talk(void)
{
    int routers = bench.count < ROUTERS ? bench.count : ROUTERS;

    bench.on_envelope = on_answer;
    measure_latency("a message through the supernode", SALLYPORT__ENVELOPE__BODY_ROUTE);
    measure_latency("look-up", SALLYPORT__ENVELOPE__BODY_FOUND);
    measure_latency("publish", SALLYPORT__ENVELOPE__BODY_PUBLISHED);

    talk.is_flood = true;
    talk.routed = 0;
    double cpu = cpu_us();
    uint64_t start_us = now_us();
    for (int i = 0; i < ROUTES_AT_ONCE; i++)
        route(i * routers / ROUTES_AT_ONCE);
    run_for(ROUTE_SECONDS);
    double passed_us = (double)(now_us() - start_us);
    cpu = cpu_us() - cpu;
    printf("messages of %d bytes: %.0f/s at %.0f %% of a core, %.1f us of CPU each (%d at once)\n",
           SEALED_BYTES, (double)talk.routed * 1e6 / passed_us, 100 * cpu / passed_us,
           cpu / (double)talk.routed, ROUTES_AT_ONCE);
    fflush(stdout);
    talk.is_flood = false;
    run_for(1);
    bench.on_envelope = NULL;
}

/* All that may be opened; fewer nodes when that is not enough. */
static void choose_count(int wanted)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        give_up("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    int most = limit.rlim_cur > 1000000 ? 1000000 : (int)limit.rlim_cur - SPARE_FILES;
    bench.count = wanted < most ? wanted : most;
    if (bench.count < wanted)
        printf("%d nodes instead of %d: no more files may be opened\n", bench.count, wanted);
    int seats = most < SEATS ? most : SEATS;
    bench.has_calls = bench.count > seats - seats / 16;
}

int main(int argc, char **argv)
{
    struct realm realm;

    signal(SIGPIPE, SIG_IGN);
    choose_count(argc > 1 ? atoi(argv[1]) : NODES);
    bench.seconds = argc > 2 ? (unsigned)atoi(argv[2]) : SECONDS;
    fixture_realm(&realm);
    open_tls();
    start_supernode(argv[0], &realm);
    make_nodes(&realm);
    measure_memory();
    measure_keepalive();
    measure_talk();
    measure_return(false);
    measure_return(true);
    cut_all();
    run_for(2);
    measure_handshakes(false);
    run_for(2);
    measure_handshakes(true);
    stop_supernode();
    realm_fini(&realm);
    return 0;
}
