/* A realm on loopback, with real TLS and real UDP: a supernode, nodes of two sites, calls with
 * media between them, and those who do not get in. One loop serves as control thread and as media
 * worker. */
#include "overlay/overlay.h"
#include "overlay/realm.h"
#include "tests/unit/overlay/proxy_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define PACKET_BYTES 172
#define CALL_ID "00112233aabbccdd"

static uv_loop_t loop;
static char folder[64];
static char log_path[100];              /* what the nodes log while a test runs */
static int supernode_port, second_port; /* second_port 0: there is but one */

/* ---- one loop as worker ---------------------------------------------------------------------- */

struct letter {
    STAILQ_ENTRY(letter) next;
    void (*fn)(void *arg);
    void *arg;
};
static STAILQ_HEAD(, letter) letters = STAILQ_HEAD_INITIALIZER(letters);
static uv_async_t post_wake;

static int worker_count(void *ctx)
{
    (void)ctx;
    return 1;
}

static int worker_pick(void *ctx)
{
    (void)ctx;
    return 0;
}

static uv_loop_t *worker_loop(void *ctx, int worker)
{
    (void)ctx, (void)worker;
    return &loop;
}

static int worker_post(void *ctx, int worker, void (*fn)(void *arg), void *arg)
{
    struct letter *letter = malloc(sizeof *letter);

    (void)ctx, (void)worker;
    if (!letter)
        return -ENOBUFS;
    letter->fn = fn;
    letter->arg = arg;
    STAILQ_INSERT_TAIL(&letters, letter, next);
    uv_async_send(&post_wake);
    return 0;
}

static void on_post(uv_async_t *async)
{
    (void)async;
    while (!STAILQ_EMPTY(&letters)) {
        struct letter *letter = STAILQ_FIRST(&letters);
        STAILQ_REMOVE_HEAD(&letters, next);
        letter->fn(letter->arg);
        free(letter);
    }
}

static const struct overlay_workers workers = {NULL, worker_count, worker_pick, worker_loop,
                                               worker_post};

/* ---- a node and what its gateway heard --------------------------------------------------------
 */

struct node {
    struct overlay *overlay;
    struct conf *conf;
    int attached, detached, closed;
    char why[200];
    /* the one call */
    struct overlay_call *call;
    struct overlay_port port;
    bool has_port;
    int offers, ringing, media, answers, ends, ports_closed;
    int packets;
    enum codec codec;
    enum call_reason reason;
    char caller[OVERLAY_NAME_MAX], site[OVERLAY_NAME_MAX], dialled[OVERLAY_NAME_MAX];
    char call_id[CALL_ID_LEN + 1], path[120], end_text[96];
    uint8_t digit;
    char notes[4096];
};

static void on_ringing(void *ctx)
{
    ((struct node *)ctx)->ringing++;
}

static void on_media(void *ctx, const struct overlay_media *media)
{
    ((struct node *)ctx)->media++;
    ((struct node *)ctx)->codec = media->codec;
}

static void on_answer(void *ctx)
{
    ((struct node *)ctx)->answers++;
}

static void on_digit(void *ctx, char digit, int duration_ms)
{
    (void)duration_ms;
    ((struct node *)ctx)->digit = (uint8_t)digit;
}

static void on_path(void *ctx, const char *path)
{
    struct node *node = ctx;

    snprintf(node->path, sizeof node->path, "%s", path);
}

static void on_note(void *ctx, const char *part, const char *event, const char *text)
{
    struct node *node = ctx;
    size_t used = strlen(node->notes);

    snprintf(node->notes + used, sizeof node->notes - used, "%s %s: %s\n", part, event, text);
}

static void on_end(void *ctx, const struct call_cause *cause)
{
    struct node *node = ctx;

    node->ends++;
    node->call = NULL;
    node->reason = cause->reason;
    snprintf(node->end_text, sizeof node->end_text, "%s", cause->text);
}

static const struct overlay_call_events call_events = {
    .on_ringing = on_ringing,
    .on_media = on_media,
    .on_answer = on_answer,
    .on_digit = on_digit,
    .on_path = on_path,
    .on_note = on_note,
    .on_end = on_end,
};

static void on_attached(void *ctx, const char *supernode)
{
    (void)supernode;
    ((struct node *)ctx)->attached++;
}

static void on_detached(void *ctx, const char *why)
{
    struct node *node = ctx;

    node->detached++;
    snprintf(node->why, sizeof node->why, "%s", why);
}

static void on_offer(void *ctx, struct overlay_call *call, const struct overlay_offer *offer)
{
    struct node *node = ctx;

    node->offers++;
    node->call = call;
    snprintf(node->call_id, sizeof node->call_id, "%s", offer->call_id);
    snprintf(node->caller, sizeof node->caller, "%s", offer->caller);
    snprintf(node->site, sizeof node->site, "%s", offer->caller_site);
    snprintf(node->dialled, sizeof node->dialled, "%s", offer->dialled);
    overlay_call_accept(call, &call_events, node);
}

static const struct overlay_events node_events = {on_attached, on_detached, on_offer};

/* ---- running ----------------------------------------------------------------------------------
 */

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

/* Runs until *what is `wanted` or more; fails after `limit_s`. */
static void run_until_within(const int *what, int wanted, int limit_s)
{
    uint64_t end = uv_hrtime() + (uint64_t)limit_s * 1000000000;
    uv_timer_t tick;

    uv_timer_init(&loop, &tick);
    uv_timer_start(&tick, on_tick, 10, 10);
    while (*what < wanted && uv_hrtime() < end)
        uv_run(&loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&tick, NULL);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_true(*what >= wanted);
}

static void run_until(const int *what, int wanted)
{
    run_until_within(what, wanted, 8);
}

static void run_for_ms(int ms)
{
    uint64_t end = uv_hrtime() + (uint64_t)ms * 1000000;
    uv_timer_t tick;

    uv_timer_init(&loop, &tick);
    uv_timer_start(&tick, on_tick, 5, 5);
    while (uv_hrtime() < end)
        uv_run(&loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&tick, NULL);
    uv_run(&loop, UV_RUN_NOWAIT);
}

static char *at(const char *name)
{
    char *path;

    if (asprintf(&path, "%s/%s", folder, name) < 0)
        abort();
    return path;
}

/* An enrolment file with this name, of the realm in folder `realm`. */
static void enrol(const char *realm, const char *name, const char *number, unsigned roles)
{
    const struct overlay_enrolment enrolment = {.site = name,
                                                .numbers = {number},
                                                .number_count = number ? 1 : 0,
                                                .roles = roles,
                                                .days = 30};
    char *dir = at(realm), *path = at(name), why[300] = "";

    if (overlay_realm_enrol(dir, &enrolment, path, why, sizeof why) < 0)
        fail_msg("%s", why);
    free(dir);
    free(path);
}

static void know(struct conf *conf, int port)
{
    if (asprintf(&conf->overlay.supernodes[conf->overlay.supernode_count++], "127.0.0.1:%d", port) <
        0)
        abort();
}

/* The settings of a node that knows the supernode by 127.0.0.1. */
static struct conf *settings_of(const char *name, unsigned roles)
{
    struct conf *conf = conf_default();

    assert_non_null(conf);
    conf->realm.enrolment = at(name);
    free(conf->state_dir);
    conf->state_dir = NULL;
    conf->overlay.roles = roles;
    conf->overlay.keep_path_s = 0;
    if (roles & CONF_ROLE_SUPERNODE) {
        uv_ip4_addr("0.0.0.0", supernode_port, (struct sockaddr_in *)&conf->overlay.listen);
    } else {
        know(conf, supernode_port);
        if (second_port)
            know(conf, second_port);
    }
    return conf;
}

static void open_with(struct node *node, struct conf *conf)
{
    char why[300] = "";

    memset(node, 0, sizeof *node);
    node->conf = conf;
    if (overlay_open(&loop, conf, &workers, &node_events, node, &node->overlay, why, sizeof why) <
        0)
        fail_msg("%s", why);
}

static void open_node(struct node *node, const char *name)
{
    open_with(node, settings_of(name, CONF_ROLE_GATEWAY));
}

static void open_supernode(struct node *node)
{
    open_with(node, settings_of("sn", CONF_ROLE_SUPERNODE | CONF_ROLE_RELAY));
}

static void on_closed(void *ctx)
{
    ((struct node *)ctx)->closed++;
}

static void close_node(struct node *node)
{
    uint64_t start = uv_hrtime();

    overlay_close(node->overlay, on_closed, node);
    run_until_within(&node->closed, 1, 4);
    assert_true(uv_hrtime() - start < 2500000000ull);
    conf_free(node->conf);
}

static int free_port(void)
{
    static int next = 51000;

    for (;; next++) {
        struct sockaddr_in to;
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        uv_ip4_addr("0.0.0.0", next, &to);
        int error = bind(fd, (struct sockaddr *)&to, sizeof to);
        close(fd);
        if (error == 0)
            return next++;
    }
}

static int open_all(void **state)
{
    (void)state;
    uv_loop_init(&loop);
    uv_async_init(&loop, &post_wake, on_post);
    supernode_port = free_port();
    second_port = 0;
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    uv_close((uv_handle_t *)&post_wake, NULL);
    uv_run(&loop, UV_RUN_DEFAULT); /* what does not end here was left open */
    return uv_loop_close(&loop);
}

static int make_realms(void **state)
{
    char why[300];

    (void)state;
    strcpy(folder, "/tmp/sallyport-overlay-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(log_path, sizeof log_path, "%s/log", folder);
    char *here = at("realm"), *there = at("foreign");
    if (overlay_realm_new(here, "here", 300, why, sizeof why) < 0 ||
        overlay_realm_new(there, "there", 300, why, sizeof why) < 0)
        return -1;
    free(here);
    free(there);
    enrol("realm", "sn", NULL, CONF_ROLE_SUPERNODE | CONF_ROLE_RELAY);
    enrol("realm", "second", NULL, CONF_ROLE_SUPERNODE | CONF_ROLE_RELAY);
    enrol("realm", "relay1", NULL, CONF_ROLE_RELAY);
    enrol("realm", "relay2", NULL, CONF_ROLE_RELAY);
    enrol("realm", "berlin", "+4930123", CONF_ROLE_GATEWAY);
    enrol("realm", "paris", "+331", CONF_ROLE_GATEWAY);
    enrol("foreign", "oslo", NULL, CONF_ROLE_GATEWAY);
    return 0;
}

static int remove_realms(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

/* What is logged from now on goes into a file, until log_read gives all of it. */
static int log_stderr = -1;

static void log_take(void)
{
    int fd = open(log_path, O_CREAT | O_TRUNC | O_WRONLY | O_APPEND, 0600);

    log_stderr = dup(STDERR_FILENO);
    dup2(fd, STDERR_FILENO);
    close(fd);
}

static const char *log_read(void)
{
    static char text[65536];
    int fd = open(log_path, O_RDONLY);
    ssize_t bytes = read(fd, text, sizeof text - 1);

    close(fd);
    text[bytes > 0 ? bytes : 0] = '\0';
    if (log_stderr >= 0) {
        dup2(log_stderr, STDERR_FILENO);
        close(log_stderr);
        log_stderr = -1;
    }
    return text;
}

/* ---- calls ------------------------------------------------------------------------------------
 */

static void receive(void *receiver, uint8_t *packet, size_t bytes)
{
    struct node *node = receiver;

    assert_int_equal(bytes, PACKET_BYTES);
    assert_int_equal(packet[0], 0x80);
    node->packets++;
}

static void take_port(struct node *node)
{
    assert_int_equal(overlay_call_port(node->call, &node->port), 0);
    overlay_port_listen(&node->port, receive, node);
    node->has_port = true;
}

static void on_port_closed(void *ctx)
{
    ((struct node *)ctx)->ports_closed++;
}

static void close_port(struct node *node)
{
    overlay_port_close(&node->port, on_port_closed, node);
    run_until(&node->ports_closed, 1);
}

/* An RTP packet as media/ would send it: what counts here is version and SSRC. */
static void send_packet(struct node *node)
{
    uint8_t packet[PACKET_BYTES] = {0x80, 0};

    for (int i = 0; i < 4; i++)
        packet[8 + i] = (uint8_t)(node->port.ssrc_out >> (24 - 8 * i));
    node->port.send(node->port.port, packet, sizeof packet);
}

static void talk(struct node *a, struct node *b, int packets)
{
    for (int i = 0; i < 400 && (a->packets < packets || b->packets < packets); i++) {
        send_packet(a);
        send_packet(b);
        run_for_ms(20);
    }
    assert_true(a->packets >= packets);
    assert_true(b->packets >= packets);
}

static void call_and_answer(struct node *from, struct node *to, const char *dialled)
{
    const struct overlay_call_request request = {
        .call_id = CALL_ID,
        .to = dialled,
        .caller = "101",
        .caller_name = "Anna",
        .codecs = {{CODEC_OPUS, CODEC_PCMA}, 2},
        .direction = MEDIA_SENDRECV,
    };
    const struct overlay_media media = {
        .codec = CODEC_OPUS, .direction = MEDIA_SENDRECV, .ptime_ms = 20};

    assert_int_equal(overlay_call_new(from->overlay, &request, &call_events, from, &from->call), 0);
    run_until(&to->offers, 1);
    assert_string_equal(to->call_id, CALL_ID);
    overlay_call_ring(to->call);
    run_until(&from->ringing, 1);
    take_port(to);
    assert_int_equal(overlay_call_answer(to->call, &media), 0);
    run_until(&from->answers, 1);
    assert_true(from->media >= 1);
    assert_int_equal(from->codec, CODEC_OPUS);
    take_port(from);
    assert_int_equal(from->port.ssrc_out, to->port.ssrc_in);
    assert_int_equal(from->port.ssrc_in, to->port.ssrc_out);
    assert_memory_equal(from->port.key_out, to->port.key_in, OVERLAY_KEY_BYTES);
    assert_memory_equal(from->port.key_in, to->port.key_out, OVERLAY_KEY_BYTES);
    assert_memory_not_equal(from->port.key_in, from->port.key_out, OVERLAY_KEY_BYTES);
}

static void hang_up(struct node *who, struct node *other)
{
    const struct call_cause cause = call_cause(CALL_NORMAL, "bye");

    overlay_call_end(who->call, &cause);
    who->call = NULL;
    run_until(&other->ends, 1);
    assert_int_equal(other->reason, CALL_NORMAL);
    close_port(who);
    close_port(other);
}

static void a_call_by_site_with_media_over_udp(void **state)
{
    struct node sn, berlin, paris;
    struct overlay_status status;

    (void)state;
    open_supernode(&sn);
    open_node(&berlin, "berlin");
    open_node(&paris, "paris");
    run_until(&berlin.attached, 1);
    run_until(&paris.attached, 1);
    run_for_ms(100); /* names are published */

    call_and_answer(&berlin, &paris, "201@paris");
    assert_string_equal(paris.caller, "101");
    assert_string_equal(paris.site, "berlin");
    assert_string_equal(paris.dialled, "201");
    talk(&berlin, &paris, 20);
    assert_int_equal(strncmp(berlin.path, "udp ", 4), 0);
    assert_int_equal(strncmp(paris.path, "udp ", 4), 0);
    assert_int_equal(overlay_call_digit(berlin.call, '5', 100), 0);
    for (int i = 0; i < 100 && !paris.digit; i++)
        run_for_ms(10);
    assert_int_equal(paris.digit, '5');

    overlay_status(sn.overlay, &status);
    assert_int_equal(status.refused, 0);
    assert_int_equal(status.malformed, 0);
    assert_string_equal(status.site, "sn");
    hang_up(&berlin, &paris);
    close_node(&berlin);
    close_node(&paris);
    close_node(&sn);
}

static void assert_noted(const struct node *node, const char *note)
{
    if (!strstr(node->notes, note))
        print_error("not noted: %s\nbut:\n%s", note, node->notes);
    assert_non_null(strstr(node->notes, note));
}

static void the_journal_hears_of_the_signalling_and_of_a_warm_path(void **state)
{
    struct node sn, berlin, paris;
    struct conf *berlin_conf = settings_of("berlin", CONF_ROLE_GATEWAY);
    struct conf *paris_conf = settings_of("paris", CONF_ROLE_GATEWAY);
    char home[64];

    (void)state;
    open_supernode(&sn);
    berlin_conf->overlay.keep_path_s = paris_conf->overlay.keep_path_s = 60;
    open_with(&berlin, berlin_conf);
    open_with(&paris, paris_conf);
    run_until(&berlin.attached, 1);
    run_until(&paris.attached, 1);
    run_for_ms(100);
    snprintf(home, sizeof home, "through our home 127.0.0.1:%d", supernode_port);

    call_and_answer(&berlin, &paris, "201@paris");
    assert_noted(&berlin, "overlay lookup: asks the directory who serves paris");
    assert_noted(&berlin, "overlay found: paris is served by a node that is attached to 127.0.0.1");
    assert_noted(&berlin, "overlay offer: offered to paris");
    assert_noted(&berlin, home);
    assert_noted(&berlin, "overlay arrived: paris has the offer, heard after ");
    assert_noted(&paris,
                 "overlay offer: the offer came from berlin, which is attached to 127.0.0.1");
    talk(&berlin, &paris, 20);
    assert_null(strstr(berlin.notes, "path warm"));
    hang_up(&berlin, &paris);

    berlin.notes[0] = paris.notes[0] = '\0';
    paris.ends = berlin.ports_closed = paris.ports_closed = 0;
    call_and_answer(&paris, &berlin, "101@berlin");
    assert_noted(&berlin, "path warm: ");
    assert_noted(&paris, "path warm: ");
    hang_up(&berlin, &paris);
    close_node(&berlin);
    close_node(&paris);
    close_node(&sn);
}

static void a_call_by_number_over_the_relay(void **state)
{
    struct conf *conf;
    struct node sn, berlin, paris;
    struct overlay_status status;

    (void)state;
    open_supernode(&sn);
    conf = settings_of("berlin", CONF_ROLE_GATEWAY);
    conf->overlay.udp = false; /* as behind a firewall that lets outgoing TCP through only */
    open_with(&berlin, conf);
    open_node(&paris, "paris");
    run_until(&berlin.attached, 1);
    run_until(&paris.attached, 1);
    run_for_ms(100);

    call_and_answer(&berlin, &paris, "+3314567");
    assert_string_equal(paris.dialled, "+3314567");
    talk(&berlin, &paris, 20);
    assert_non_null(strstr(berlin.path, "relay"));
    assert_non_null(strstr(paris.path, "relay"));
    overlay_status(sn.overlay, &status);
    assert_int_equal(status.tunnels, 1);
    hang_up(&paris, &berlin);
    close_node(&berlin);
    close_node(&paris);
    close_node(&sn);
}

static void open_relay(struct node *node, const char *name)
{
    struct conf *conf = settings_of(name, CONF_ROLE_RELAY);

    uv_ip4_addr("0.0.0.0", free_port(), (struct sockaddr_in *)&conf->overlay.listen);
    open_with(node, conf);
}

static unsigned tunnels_of(const struct node *node)
{
    struct overlay_relaying relaying;

    assert_true(overlay_relaying(node->overlay, &relaying));
    return relaying.tunnels;
}

/* Nodes that are nothing but relays, told of by the supernode, which is none: a call has made two
 * of them ready; the one that carries it ends, the other one takes over. */
static void the_standby_relay_takes_over(void **state)
{
    struct node sn, relays[2], berlin, paris;
    struct overlay_relaying relaying;
    struct conf *conf;
    const char *names[] = {"relay1", "relay2"};

    (void)state;
    open_with(&sn, settings_of("sn", CONF_ROLE_SUPERNODE));
    for (int i = 0; i < 2; i++) {
        open_relay(&relays[i], names[i]);
        run_until(&relays[i].attached, 1);
    }
    conf = settings_of("berlin", CONF_ROLE_GATEWAY);
    conf->overlay.udp = false;
    open_with(&berlin, conf);
    open_node(&paris, "paris");
    run_until(&berlin.attached, 1);
    run_until(&paris.attached, 1);
    run_for_ms(100);

    assert_false(overlay_relaying(sn.overlay, &relaying));
    call_and_answer(&berlin, &paris, "201@paris");
    talk(&berlin, &paris, 20);
    for (int i = 0; i < 100 && tunnels_of(&relays[0]) + tunnels_of(&relays[1]) < 2; i++)
        run_for_ms(20);
    assert_int_equal(tunnels_of(&relays[0]), 1);
    assert_int_equal(tunnels_of(&relays[1]), 1);

    char port[8];
    snprintf(port, sizeof port, ":%u", address_port(&relays[0].conf->overlay.listen));
    int used = strstr(berlin.path, port) == NULL;
    assert_non_null(strstr(berlin.path, "relay"));
    close_node(&relays[used]);
    talk(&berlin, &paris, berlin.packets + 30);
    snprintf(port, sizeof port, ":%u", address_port(&relays[!used].conf->overlay.listen));
    assert_non_null(strstr(berlin.path, port));
    hang_up(&paris, &berlin);
    close_node(&berlin);
    close_node(&paris);
    close_node(&relays[!used]);
    close_node(&sn);
}

static void names_that_nobody_serves_end_at_once(void **state)
{
    struct overlay_call_request request = {.call_id = CALL_ID,
                                           .to = "201@rome",
                                           .caller = "101",
                                           .caller_name = "",
                                           .codecs = {{CODEC_OPUS}, 1},
                                           .direction = MEDIA_SENDRECV};
    struct node sn, berlin;

    (void)state;
    open_node(&berlin, "berlin");
    assert_int_equal(
        overlay_call_new(berlin.overlay, &request, &call_events, &berlin, &berlin.call), -ENOTCONN);
    open_supernode(&sn);
    run_until(&berlin.attached, 1);
    assert_int_equal(
        overlay_call_new(berlin.overlay, &request, &call_events, &berlin, &berlin.call), 0);
    run_until_within(&berlin.ends, 1, 2);
    assert_int_equal(berlin.reason, CALL_NOT_FOUND);
    assert_noted(&berlin, "overlay failed: nobody serves rome");
    request.to = "nonsense";
    assert_int_equal(
        overlay_call_new(berlin.overlay, &request, &call_events, &berlin, &berlin.call), -EINVAL);
    close_node(&berlin);
    close_node(&sn);
}

/* ---- who does not get in ----------------------------------------------------------------------
 */

static void wait_for_refusal(struct node *node, const char *reason)
{
    struct overlay_status status;

    for (int i = 0; i < 400; i++) {
        run_for_ms(20);
        overlay_status(node->overlay, &status);
        if (strstr(status.last_error, reason))
            break;
    }
    if (!strstr(status.last_error, reason))
        print_error("last error: %s\n", status.last_error);
    assert_non_null(strstr(status.last_error, reason));
    assert_int_equal(node->attached, 0);
}

static void a_node_of_another_realm_is_refused(void **state)
{
    struct node sn, oslo;
    struct overlay_status status;

    (void)state;
    log_take();
    open_supernode(&sn);
    open_node(&oslo, "oslo");
    wait_for_refusal(&oslo, "its certificate is refused: of another realm");
    overlay_status(sn.overlay, &status);
    assert_true(status.refused >= 1);
    const char *log = log_read();
    assert_non_null(strstr(log, "refused 127.0.0.1:"));
    assert_non_null(strstr(log, "peer refused our certificate: of another realm"));
    assert_non_null(strstr(log, "its certificate is refused: of another realm"));
    close_node(&oslo);
    close_node(&sn);
}

/* Writes an enrolment file that is good for `seconds` only. */
static void enrol_briefly(const char *name, int seconds)
{
    const struct overlay_enrolment enrolment = {
        .site = name, .roles = CONF_ROLE_GATEWAY, .days = 1};
    char *dir = at("realm"), *path = at(name), *pem, why[300];
    struct realm realm;

    assert_int_equal(realm_open(&realm, dir, why, sizeof why), 0);
    assert_int_equal(
        realm_issue(&realm, &enrolment, time(NULL) - 86400 + seconds, &pem, NULL, why, sizeof why),
        0);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, pem, strlen(pem)), strlen(pem));
    close(fd);
    free(pem);
    free(dir);
    free(path);
    realm_fini(&realm);
}

static void a_node_whose_time_is_over_is_refused(void **state)
{
    struct node sn, rome;

    (void)state;
    enrol_briefly("rome", 1);
    log_take();
    open_node(&rome, "rome");
    run_for_ms(2100);
    open_supernode(&sn);
    wait_for_refusal(&rome, "peer refused our certificate: expired");
    const char *log = log_read();
    assert_non_null(strstr(log, "its certificate is refused: expired on 20"));
    assert_non_null(strstr(log, "peer refused our certificate: expired"));
    close_node(&rome);
    close_node(&sn);

    char why[300];
    struct conf *conf = settings_of("rome", CONF_ROLE_GATEWAY);
    assert_int_equal(
        overlay_open(&loop, conf, &workers, &node_events, &rome, &rome.overlay, why, sizeof why),
        -EINVAL);
    assert_non_null(strstr(why, "enrol the node again"));
    conf_free(conf);
}

static void a_port_that_is_taken_is_said(void **state)
{
    struct node sn;
    struct overlay *other;
    char why[300];

    (void)state;
    open_supernode(&sn);
    struct conf *conf = settings_of("sn", CONF_ROLE_SUPERNODE);
    assert_int_equal(
        overlay_open(&loop, conf, &workers, &node_events, &sn, &other, why, sizeof why),
        -EADDRINUSE);
    assert_non_null(strstr(why, "cannot listen on 0.0.0.0:"));
    run_for_ms(50);
    conf_free(conf);
    close_node(&sn);
}

/* ---- the supernode goes and comes -------------------------------------------------------------
 */

static void a_node_comes_back_when_its_supernode_does(void **state)
{
    struct node sn, berlin, paris;

    (void)state;
    open_supernode(&sn);
    open_node(&berlin, "berlin");
    open_node(&paris, "paris");
    run_until(&berlin.attached, 1);
    run_until(&paris.attached, 1);
    close_node(&sn);
    run_until(&berlin.detached, 1);
    assert_true(berlin.why[0] != '\0');
    assert_false(overlay_is_attached(berlin.overlay));
    open_supernode(&sn);
    run_until(&berlin.attached, 2);
    run_until(&paris.attached, 2);
    run_for_ms(100);
    call_and_answer(&berlin, &paris, "201@paris");
    talk(&berlin, &paris, 3);
    hang_up(&berlin, &paris);
    close_node(&berlin);
    close_node(&paris);
    close_node(&sn);
}

static void count_supernode(void *ctx, const struct overlay_supernode *supernode)
{
    (void)supernode;
    ++*(int *)ctx;
}

static int supernodes_of(const struct node *node)
{
    int count = 0;

    overlay_each_supernode(node->overlay, count_supernode, &count);
    return count;
}

static void wait_for_supernodes(const struct node *node, int wanted)
{
    for (int i = 0; i < 400 && supernodes_of(node) != wanted; i++)
        run_for_ms(20);
    assert_int_equal(supernodes_of(node), wanted);
}

static void a_call_outlives_a_supernode_and_the_next_one_works_at_once(void **state)
{
    struct node sn, second, berlin, paris;

    (void)state;
    second_port = free_port();
    open_supernode(&sn);
    struct conf *conf = settings_of("second", CONF_ROLE_SUPERNODE | CONF_ROLE_RELAY);
    know(conf, supernode_port);
    uv_ip4_addr("0.0.0.0", second_port, (struct sockaddr_in *)&conf->overlay.listen);
    open_with(&second, conf);
    open_node(&berlin, "berlin");
    open_node(&paris, "paris");
    wait_for_supernodes(&berlin, 2);
    wait_for_supernodes(&paris, 2);
    run_for_ms(200);

    call_and_answer(&berlin, &paris, "201@paris");
    talk(&berlin, &paris, 5);
    close_node(&sn);
    wait_for_supernodes(&berlin, 1);
    assert_true(overlay_is_attached(berlin.overlay));
    talk(&berlin, &paris, berlin.packets + 10);
    assert_int_equal(berlin.ends + paris.ends, 0);
    hang_up(&berlin, &paris);

    berlin.ringing = berlin.answers = berlin.ends = berlin.ports_closed = 0;
    paris.offers = paris.ends = paris.ports_closed = 0;
    wait_for_supernodes(&paris, 1);
    call_and_answer(&paris, &berlin, "+49301234");
    talk(&berlin, &paris, berlin.packets + 10);
    hang_up(&paris, &berlin);
    close_node(&berlin);
    close_node(&paris);
    close_node(&second);
}

static void a_node_finds_the_realm_by_what_it_knew_before(void **state)
{
    struct node sn, berlin;

    (void)state;
    open_supernode(&sn);
    struct conf *conf = settings_of("berlin", CONF_ROLE_GATEWAY);
    conf->state_dir = strdup(folder);
    open_with(&berlin, conf);
    run_until(&berlin.attached, 1);
    close_node(&berlin);

    conf = settings_of("berlin", CONF_ROLE_GATEWAY);
    free(conf->overlay.supernodes[0]);
    conf->overlay.supernode_count = 0;
    conf->state_dir = strdup(folder);
    open_with(&berlin, conf);
    run_until(&berlin.attached, 1);
    close_node(&berlin);
    close_node(&sn);
}

static void set_proxy(struct conf *conf, const char *user, int port)
{
    free(conf->overlay.proxy);
    if (asprintf(&conf->overlay.proxy, "%s127.0.0.1:%d", user, port) < 0)
        abort();
}

static void a_node_behind_a_proxy_is_called(void **state)
{
    struct fixture_proxy proxy;
    struct node sn, berlin, paris, locked;
    struct overlay_status status;

    (void)state;
    int port = fixture_proxy_open(&proxy, &loop, free_port());
    open_supernode(&sn);
    struct conf *conf = settings_of("berlin", CONF_ROLE_GATEWAY);
    conf->overlay.udp = false;
    set_proxy(conf, "anna:secret@", port);
    open_with(&berlin, conf);
    open_node(&paris, "paris");
    run_until(&berlin.attached, 1);
    run_until(&paris.attached, 1);
    run_for_ms(100);
    assert_int_equal(proxy.tunnels, 1);
    call_and_answer(&paris, &berlin, "201@berlin");
    talk(&berlin, &paris, 10);
    assert_true(proxy.tunnels >= 2); /* the media's own, too */
    hang_up(&paris, &berlin);
    close_node(&berlin);

    conf = settings_of("berlin", CONF_ROLE_GATEWAY);
    set_proxy(conf, "anna:wrong@", port);
    open_with(&locked, conf);
    wait_for_refusal(&locked, "the proxy wants a user and a password");
    overlay_status(locked.overlay, &status);
    assert_true(proxy.refused >= 1);
    close_node(&locked);
    close_node(&paris);
    close_node(&sn);
    fixture_proxy_close(&proxy);
}

/* What paris did not say while it rang goes with its answer. */
static void a_wary_site_is_reached_directly_once_it_has_answered(void **state)
{
    struct node sn, berlin, paris;
    struct conf *conf = settings_of("paris", CONF_ROLE_GATEWAY);

    (void)state;
    free(conf->overlay.trust[0]);
    conf->overlay.trust_count = 0;
    open_supernode(&sn);
    open_node(&berlin, "berlin");
    open_with(&paris, conf);
    run_until(&berlin.attached, 1);
    run_until(&paris.attached, 1);
    run_for_ms(100); /* names are published */
    call_and_answer(&berlin, &paris, "201@paris");
    talk(&berlin, &paris, 20);
    for (int i = 0; i < 250 && strncmp(berlin.path, "udp ", 4) != 0; i++)
        run_for_ms(20);
    assert_int_equal(strncmp(berlin.path, "udp ", 4), 0);
    hang_up(&berlin, &paris);
    close_node(&berlin);
    close_node(&paris);
    close_node(&sn);
}

/* Waits for a class; what it was in the end. */
static struct overlay_reachability reachability_of(const struct node *node, const char *wanted)
{
    struct overlay_reachability reachability;

    for (int i = 0; i < 400; i++) {
        overlay_reachability(node->overlay, &reachability);
        if (strcmp(reachability.class, wanted) == 0)
            break;
        run_for_ms(20);
    }
    return reachability;
}

static void nodes_learn_how_they_can_be_reached(void **state)
{
    struct overlay_reachability reachability;
    struct node sn, berlin, paris;
    struct conf *conf;

    (void)state;
    open_supernode(&sn);
    open_node(&paris, "paris");
    reachability = reachability_of(&paris, "udp-easy");
    assert_string_equal(reachability.class, "udp-easy");
    assert_int_equal(reachability.mapped_count, 1);
    assert_non_null(strstr(reachability.mapped[0].address, "127.0.0.1:"));

    conf = settings_of("berlin", CONF_ROLE_GATEWAY); /* others can come in, and do when asked */
    uv_ip4_addr("0.0.0.0", free_port(), (struct sockaddr_in *)&conf->overlay.listen);
    open_with(&berlin, conf);
    reachability = reachability_of(&berlin, "open");
    assert_string_equal(reachability.reason, "a supernode has reached us by TCP and UDP");
    assert_string_equal(reachability.class, "open");

    assert_string_equal(reachability_of(&sn, "open").class, "open");
    close_node(&berlin);
    close_node(&paris);
    close_node(&sn);
}

int main(void)
{
#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, open_all, close_all)
    const struct CMUnitTest tests[] = {
        WITH_LOOP(a_call_by_site_with_media_over_udp),
        WITH_LOOP(the_journal_hears_of_the_signalling_and_of_a_warm_path),
        WITH_LOOP(a_call_by_number_over_the_relay),
        WITH_LOOP(the_standby_relay_takes_over),
        WITH_LOOP(names_that_nobody_serves_end_at_once),
        WITH_LOOP(a_node_of_another_realm_is_refused),
        WITH_LOOP(a_node_whose_time_is_over_is_refused),
        WITH_LOOP(a_port_that_is_taken_is_said),
        WITH_LOOP(a_node_comes_back_when_its_supernode_does),
        WITH_LOOP(a_call_outlives_a_supernode_and_the_next_one_works_at_once),
        WITH_LOOP(a_node_finds_the_realm_by_what_it_knew_before),
        WITH_LOOP(a_node_behind_a_proxy_is_called),
        WITH_LOOP(a_wary_site_is_reached_directly_once_it_has_answered),
        WITH_LOOP(nodes_learn_how_they_can_be_reached),
    };
    signal(SIGPIPE, SIG_IGN);
    int failed = cmocka_run_group_tests(tests, make_realms, remove_realms);
    uv_library_shutdown(); /* its resolver threads; joined after main they hang under TSan */
    return failed;
}
