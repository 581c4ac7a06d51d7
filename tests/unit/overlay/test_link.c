/* Links by number and the door they come in by: two nodes on loopback, each with what its core
 * would hear. */
#include "overlay/frame.h"
#include "overlay/link.h"
#include "overlay/listen.h"
#include "tests/unit/overlay/realm_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define LINK 7 /* the number that the dialling side chose */

struct node {
    struct identity *identity;
    struct links *links;
    core_link link; /* heard of last */
    int ups, downs, frames;
    size_t bytes;
    bool is_accepted, is_resumed;
    char site[OVERLAY_NAME_MAX], why[200];
    bool ends_on_frame, echoes;
    uint8_t frame[FRAME_MAX];
};

static uv_loop_t loop;
static struct realm realm;
static struct node client, server;
static struct listener *listener;
static char address[ADDRESS_TEXT_MAX];
static int closed;

static void on_up(void *ctx, core_link link, bool is_accepted, const struct certificate *peer,
                  const struct sockaddr_storage *from)
{
    struct node *node = ctx;

    assert_true(from->ss_family == AF_INET);
    node->ups++;
    node->link = link;
    node->is_accepted = is_accepted;
    snprintf(node->site, sizeof node->site, "%s", peer->site);
}

static void on_frame(void *ctx, core_link link, const uint8_t *frame, size_t bytes)
{
    struct node *node = ctx;

    node->frames++;
    node->bytes += bytes;
    if (node->ends_on_frame)
        links_end(node->links, link, "because");
    /* Even then the frame is still there. */
    memcpy(node->frame, frame, bytes);
    if (node->echoes)
        assert_int_equal(links_send(node->links, link, frame, bytes), 0);
}

static void on_down(void *ctx, core_link link, const char *why)
{
    struct node *node = ctx;

    node->downs++;
    node->link = link;
    snprintf(node->why, sizeof node->why, "%s", why);
    assert_int_equal(links_send(node->links, link, (const uint8_t *)"x", 1), -ENOTCONN);
}

static const struct link_events link_events = {on_up, on_frame, on_down};

static void on_stream(void *ctx, struct tls_stream *stream, const struct certificate *peer,
                      const char *alpn)
{
    assert_string_equal(alpn, TLS_ALPN_LINK);
    ((struct node *)ctx)->is_resumed = tls_stream_is_resumed(stream);
    links_take(((struct node *)ctx)->links, stream, peer);
}

static void open_node(struct node *node, const char *site)
{
    memset(node, 0, sizeof *node);
    node->identity = fixture_identity(&realm, site, CONF_ROLE_GATEWAY);
    const struct links_settings settings = {&loop, node->identity, NULL, &link_events, node};
    assert_int_equal(links_open(&settings, &node->links), 0);
}

static int open_all(void **state)
{
    struct sockaddr_storage at;
    struct listener_settings settings = {&loop, NULL, &at, on_stream, &server};
    int error = -EADDRINUSE;

    (void)state;
    uv_loop_init(&loop);
    fixture_realm(&realm);
    open_node(&client, "berlin");
    open_node(&server, "paris");
    settings.identity = server.identity;
    for (int port = 50400; port < 50800 && error == -EADDRINUSE; port++) {
        uv_ip4_addr("127.0.0.1", port, (struct sockaddr_in *)&at);
        error = listener_open(&settings, &listener);
    }
    assert_int_equal(error, 0);
    address_format(listener_address(listener), address);
    closed = 0;
    return 0;
}

static void on_closed(void *ctx)
{
    (void)ctx;
    closed++;
}

static int close_all(void **state)
{
    (void)state;
    links_close(client.links, on_closed, NULL);
    links_close(server.links, on_closed, NULL);
    if (listener)
        listener_close(listener, on_closed, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(closed, listener ? 3 : 2);
    assert_int_equal(uv_loop_close(&loop), 0);
    identity_free(client.identity);
    identity_free(server.identity);
    realm_fini(&realm);
    return 0;
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

/* Runs until *what is `wanted` or more; at most 5 s. */
static void run_until(const int *what, int wanted)
{
    uint64_t end = uv_hrtime() + 5000000000ull;
    uv_timer_t tick;

    uv_timer_init(&loop, &tick);
    uv_timer_start(&tick, on_tick, 10, 10);
    while (*what < wanted && uv_hrtime() < end)
        uv_run(&loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&tick, NULL);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_true(*what >= wanted);
}

static void connect_nodes(void)
{
    links_dial(client.links, LINK, address);
    assert_int_equal(links_send(client.links, LINK, (const uint8_t *)"x", 1), -ENOTCONN);
    run_until(&server.ups, 1);
    run_until(&client.ups, 1);
}

static void frames_go_both_ways(void **state)
{
    static uint8_t frame[FRAME_MAX + 1];

    (void)state;
    connect_nodes();
    assert_int_equal(client.link, LINK);
    assert_false(client.is_accepted);
    assert_true(server.is_accepted);
    assert_true(server.link & 0x80000000u);
    assert_string_equal(client.site, "paris");
    assert_string_equal(server.site, "berlin");

    server.echoes = true;
    for (size_t i = 0; i < sizeof frame; i++)
        frame[i] = (uint8_t)(i % 253);
    assert_int_equal(links_send(client.links, LINK, frame, 0), 0);
    assert_int_equal(links_send(client.links, LINK, frame, 100), 0);
    assert_int_equal(links_send(client.links, LINK, frame, FRAME_MAX), 0);
    assert_int_equal(links_send(client.links, LINK, frame, FRAME_MAX + 1), -EMSGSIZE);
    assert_int_equal(links_send(client.links, LINK + 1, frame, 1), -ENOTCONN);
    run_until(&client.frames, 3);
    assert_int_equal(client.bytes, 100 + FRAME_MAX);
    assert_memory_equal(client.frame, frame, FRAME_MAX);

    assert_int_equal(links_send(client.links, LINK, frame, 10), 0);
    links_end(client.links, LINK, "enough"); /* what was queued still goes out */
    run_until(&server.downs, 1);
    assert_int_equal(server.frames, 4);
    assert_string_equal(server.why, "closed by the other side");
    assert_int_equal(client.downs, 0);
    assert_int_equal(listener_refused(listener), 0);
}

static void a_link_that_comes_again_is_resumed(void **state)
{
    (void)state;
    connect_nodes();
    assert_false(server.is_resumed);
    assert_int_equal(links_send(server.links, server.link, (const uint8_t *)"x", 1), 0);
    run_until(&client.frames, 1); /* behind the ticket */
    links_end(server.links, server.link, "come again");
    run_until(&client.downs, 1);
    links_dial(client.links, LINK + 1, address);
    run_until(&client.ups, 2);
    run_until(&server.ups, 2);
    assert_true(server.is_resumed);
    assert_string_equal(server.site, "berlin");
    assert_string_equal(client.site, "paris");
}

static void a_link_can_be_ended_from_inside_a_frame(void **state)
{
    (void)state;
    connect_nodes();
    server.ends_on_frame = true;
    for (int i = 0; i < 10; i++)
        assert_int_equal(links_send(client.links, LINK, (const uint8_t *)"hello", 5), 0);
    run_until(&client.downs, 1);
    assert_int_equal(server.frames, 1);
    assert_memory_equal(server.frame, "hello", 5);
    assert_int_equal(server.downs, 0);
}

static void who_reads_too_slowly_is_cut(void **state)
{
    static uint8_t frame[FRAME_MAX];
    int error = 0;

    (void)state;
    connect_nodes();
    for (int i = 0; i < 1000 && error == 0; i++)
        error = links_send(client.links, LINK, frame, sizeof frame);
    assert_int_equal(error, -ENOBUFS);
    assert_int_equal(client.downs, 0); /* never from inside */
    assert_int_equal(links_send(client.links, LINK, frame, 1), -ENOTCONN);
    run_until(&client.downs, 1);
    assert_string_equal(client.why, "it reads too slowly");
    run_until(&server.downs, 1);
}

static void an_address_that_is_none_is_told_later(void **state)
{
    (void)state;
    links_dial(client.links, LINK, "nonsense");
    links_dial(client.links, LINK + 1, "127.0.0.1:1");
    assert_int_equal(client.downs, 0);
    run_until(&client.downs, 2);
    assert_string_equal(client.why, "connection refused");
    links_dial(client.links, LINK, "nonsense");
    run_until(&client.downs, 3);
    assert_int_equal(client.link, LINK);
    assert_non_null(strstr(client.why, "is not host:port"));
}

/* ---- strangers ------------------------------------------------------------------------ */

static int connect_plainly(void)
{
    struct sockaddr_storage to;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(address_parse(address, &to), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, address_length(&to)), 0);
    return fd;
}

static void run_for_a_moment(void)
{
    for (int i = 0; i < 20; i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
}

static struct tls_stream *raw;
static bool is_raw_down;

static void raw_on_up(void *ctx, struct tls_stream *stream, const struct certificate *peer,
                      const char *alpn)
{
    (void)ctx, (void)peer, (void)alpn;
    assert_int_equal(tls_stream_send(stream, (const uint8_t *)"\0\1\0\1....", 8), 0);
}

static void raw_on_data(void *ctx, struct tls_stream *stream, const uint8_t *data, size_t bytes)
{
    (void)ctx, (void)stream, (void)data, (void)bytes;
}

static void raw_on_down(void *ctx, struct tls_stream *stream, const char *why)
{
    (void)ctx, (void)why;
    is_raw_down = true;
    tls_stream_close(stream);
}

static void a_frame_that_is_too_long_ends_the_link(void **state)
{
    static const struct tls_stream_events events = {raw_on_up, raw_on_data, raw_on_down, NULL};
    const struct tls_dial dial = {
        .identity = client.identity, .address = address, .alpn = TLS_ALPN_LINK};

    (void)state;
    assert_int_equal(tls_stream_dial(&loop, &dial, &events, NULL, &raw), 0);
    run_until(&server.downs, 1);
    assert_string_equal(server.why, "it sent a frame that is too long");
    assert_int_equal(server.frames, 0);
    for (int i = 0; i < 1000 && !is_raw_down; i++)
        uv_run(&loop, UV_RUN_ONCE);
    assert_true(is_raw_down);
}

static void silent_strangers_hold_few_places(void **state)
{
    int fds[100];

    (void)state;
    for (int i = 0; i < 100; i++) {
        fds[i] = connect_plainly();
        run_for_a_moment();
    }
    assert_int_equal(listener_refused(listener), 100 - 64);
    for (int i = 0; i < 100; i++)
        close(fds[i]);
    run_for_a_moment();
    assert_int_equal(listener_refused(listener), 100);
    connect_nodes(); /* and the door is open again */
}

/* From one of many addresses of this machine. */
static int connect_from(int host)
{
    struct sockaddr_storage to, from;
    char text[ADDRESS_TEXT_MAX];
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    snprintf(text, sizeof text, "127.0.1.%d:0", host);
    assert_int_equal(address_parse(text, &from), 0);
    assert_int_equal(address_parse(address, &to), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&from, address_length(&from)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, address_length(&to)), 0);
    return fd;
}

static bool is_reset(int fd)
{
    char byte;

    return recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == ECONNRESET;
}

/* A crowd that comes at once: some are in, some wait, the last are told at once; nobody hangs. */
static void in_a_crowd_the_last_are_told_at_once(void **state)
{
    enum { CROWD = 800, HOSTS = 50 };
    int fds[CROWD], first_reset = CROWD, resets = 0;

    (void)state;
    for (int i = 0; i < CROWD; i++)
        fds[i] = connect_from(1 + i % HOSTS);
    uv_run(&loop, UV_RUN_NOWAIT);
    run_for_a_moment();
    for (int i = CROWD - 1; i >= 0; i--)
        if (is_reset(fds[i])) {
            first_reset = i;
            resets++;
        }
    assert_int_equal(listener_refused(listener), resets);
    assert_in_range(first_reset, 512, 700); /* who came first waits */
    assert_true(resets > 50);
    for (int i = 0; i < CROWD; i++)
        close(fds[i]);
    /* Behind those who waited and are gone; on a slow machine for too long, then it comes again. */
    for (int i = 0; client.ups == 0 && i < 10; i++) {
        const int before = client.downs;
        links_dial(client.links, LINK + (core_link)i, address);
        for (int k = 0; k < 500 && client.ups == 0 && client.downs == before; k++)
            run_for_a_moment();
    }
    assert_int_equal(client.ups, 1);
}

static void a_port_is_taken_once(void **state)
{
    struct sockaddr_storage at = *listener_address(listener);
    const struct listener_settings settings = {&loop, server.identity, &at, on_stream, &server};
    struct listener *other;

    (void)state;
    assert_int_equal(listener_open(&settings, &other), -EADDRINUSE);
}

int main(void)
{
#define WITH_NODES(test) cmocka_unit_test_setup_teardown(test, open_all, close_all)
    const struct CMUnitTest tests[] = {
        WITH_NODES(frames_go_both_ways),
        WITH_NODES(a_link_that_comes_again_is_resumed),
        WITH_NODES(a_link_can_be_ended_from_inside_a_frame),
        WITH_NODES(who_reads_too_slowly_is_cut),
        WITH_NODES(an_address_that_is_none_is_told_later),
        WITH_NODES(a_frame_that_is_too_long_ends_the_link),
        WITH_NODES(silent_strangers_hold_few_places),
        WITH_NODES(in_a_crowd_the_last_are_told_at_once),
        WITH_NODES(a_port_is_taken_once),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
