/* Packets over two TLS connections on loopback, one of which may stop; and what is dialled. */
#include "overlay/bundle_dial.h"
#include "overlay/relay_frame.h"
#include "tests/unit/overlay/realm_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#include <cmocka.h>

#define SERVERS_MAX 12
#define NUMBERS_MAX 20000

/* A connection as the far end has it. */
struct server {
    struct pair *pair;
    struct tls_stream *stream; /* NULL: closed */
    struct stream_frames frames;
    bool is_deaf; /* reads nothing: its handles are closed, its socket is open */
    unsigned packets;
};

/* A bundle, and whoever accepts its connections; all on one loop. */
struct pair {
    struct realm realm;
    struct identity *near, *far;
    uv_loop_t loop;
    uv_tcp_t listener;
    uv_timer_t tick;
    char address[ADDRESS_TEXT_MAX];
    unsigned lingering;

    struct bundle bundle;
    struct bundle_dial dial;
    const char *refusal; /* of whoever binds */
    bool is_wanted;
    unsigned bound, lost, failed;
    char why[BIND_REASON_MAX];

    struct server servers[SERVERS_MAX];
    int server_count;
    uint64_t sent_ns[NUMBERS_MAX], late_ns; /* by number; the worst */
    uint32_t sent, heard, newest;
};

/* ---- the far end ------------------------------------------------------------------------------
 */

static void hear(struct pair *pair, const uint8_t *packet, size_t bytes)
{
    uint32_t number;

    assert_in_range(bytes, sizeof number, STREAM_PACKET_MAX);
    memcpy(&number, packet, sizeof number);
    assert_in_range(number, 0, NUMBERS_MAX - 1);
    uint64_t took_ns = uv_hrtime() - pair->sent_ns[number];
    pair->late_ns = took_ns > pair->late_ns ? took_ns : pair->late_ns;
    pair->newest = number > pair->newest ? number : pair->newest;
    pair->heard++;
}

static void server_on_data(void *ctx, struct tls_stream *stream, const uint8_t *data, size_t bytes)
{
    struct server *server = ctx;
    uint8_t *packet;
    size_t packet_bytes;

    (void)stream;
    while (stream_frames_next(&server->frames, &data, &bytes, &packet, &packet_bytes) > 0) {
        server->packets++;
        hear(server->pair, packet, packet_bytes);
    }
}

static void server_on_down(void *ctx, struct tls_stream *stream, const char *why)
{
    (void)why;
    ((struct server *)ctx)->stream = NULL;
    tls_stream_close(stream);
}

/* The first frame is answered without a look at it. */
static void server_on_first(void *ctx, struct tls_stream *stream, const uint8_t *data, size_t bytes)
{
    static const struct tls_stream_events bound = {.on_data = server_on_data,
                                                   .on_down = server_on_down};
    struct server *server = ctx;
    uint8_t frame[BIND_LENGTH_BYTES + BIND_FRAME_MAX];

    (void)data;
    (void)bytes;
    tls_stream_hand(stream, &bound, server);
    tls_stream_send(stream, frame, relay_refused_encode(server->pair->refusal, frame));
}

static void server_on_up(void *ctx, struct tls_stream *stream, const struct certificate *peer,
                         const char *alpn)
{
    (void)ctx;
    (void)stream;
    (void)peer;
    (void)alpn;
}

static const struct tls_stream_events server_events = {
    .on_up = server_on_up, .on_data = server_on_first, .on_down = server_on_down};

static void on_connection(uv_stream_t *listener, int status)
{
    struct pair *pair = listener->data;
    struct server *server = &pair->servers[pair->server_count++];

    assert_int_equal(status, 0);
    assert_in_range(pair->server_count, 1, SERVERS_MAX);
    server->pair = pair;
    assert_int_equal(
        tls_stream_accept(listener, pair->far, &server_events, server, &server->stream), 0);
}

static void go_deaf(struct server *server)
{
    assert_int_equal(tls_stream_detach(server->stream), 0);
    server->is_deaf = true;
}

static void listen_somewhere(struct pair *pair)
{
    struct sockaddr_storage address;
    int length = sizeof address, small = 4096;
    uv_os_fd_t fd;

    uv_tcp_init(&pair->loop, &pair->listener);
    pair->listener.data = pair;
    uv_ip4_addr("127.0.0.1", 0, (struct sockaddr_in *)&address);
    assert_int_equal(uv_tcp_bind(&pair->listener, (struct sockaddr *)&address, 0), 0);
    /* one that does not read is soon felt */
    assert_int_equal(uv_fileno((uv_handle_t *)&pair->listener, &fd), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    assert_int_equal(uv_listen((uv_stream_t *)&pair->listener, 16, on_connection), 0);
    uv_tcp_getsockname(&pair->listener, (struct sockaddr *)&address, &length);
    address_format(&address, pair->address);
}

/* ---- the near end -----------------------------------------------------------------------------
 */

static void on_gone(void *ctx)
{
    ((struct pair *)ctx)->lingering--;
}

static void on_packet(void *ctx, uint8_t *packet, size_t bytes)
{
    hear(ctx, packet, bytes);
}

static void on_lost(void *ctx, const char *why)
{
    struct pair *pair = ctx;

    (void)why;
    pair->lost++;
    bundle_dial_lost(&pair->dial, uv_now(&pair->loop));
}

static const struct bundle_events bundle_events = {.on_packet = on_packet, .on_lost = on_lost};

static const char *refuse(void *ctx, const struct certificate *peer)
{
    (void)ctx;
    return strcmp(peer->site, "paris") == 0 ? NULL : "not whom we wanted";
}

static size_t ask(void *ctx, uint8_t *out)
{
    static const struct relay_bind bind = {.ticket_bytes = 8, .ticket = "a ticket"};

    (void)ctx;
    return relay_bind_encode(&bind, out);
}

static int answered(void *ctx, const uint8_t *frame, size_t bytes, char *refused)
{
    struct relay_bound bound;
    int err = relay_bound_decode(frame, bytes, &bound);

    (void)ctx;
    if (err == 0)
        strcpy(refused, bound.refused);
    return err;
}

static void on_bound(void *ctx)
{
    ((struct pair *)ctx)->bound++;
}

static void on_change(void *ctx, const char *why)
{
    struct pair *pair = ctx;

    if (!why)
        return;
    pair->failed++;
    snprintf(pair->why, sizeof pair->why, "%s", why);
}

static const struct bundle_dial_events dial_events = {.alpn = TLS_ALPN_RELAY,
                                                      .refuse = refuse,
                                                      .ask = ask,
                                                      .answered = answered,
                                                      .on_bound = on_bound,
                                                      .on_change = on_change};

static void on_tick(uv_timer_t *timer)
{
    struct pair *pair = timer->data;

    bundle_dial_tick(&pair->dial, pair->is_wanted, uv_now(timer->loop));
}

static bool run(struct pair *pair, bool (*done)(struct pair *pair), unsigned ms)
{
    uint64_t end = uv_hrtime() + (uint64_t)ms * 1000000;

    while (!(done && done(pair)) && uv_hrtime() < end)
        uv_run(&pair->loop, UV_RUN_ONCE);
    return done && done(pair);
}

static bool is_full(struct pair *pair)
{
    return bundle_count(&pair->bundle) == BUNDLE_STREAMS;
}

static int setup(void **state)
{
    struct pair *pair = calloc(1, sizeof *pair);

    fixture_realm(&pair->realm);
    pair->near = fixture_identity(&pair->realm, "berlin", CONF_ROLE_GATEWAY);
    pair->far = fixture_identity(&pair->realm, "paris", CONF_ROLE_RELAY);
    pair->refusal = "";
    pair->is_wanted = true;
    uv_loop_init(&pair->loop);
    listen_somewhere(pair);
    struct bundle_host host = {&pair->loop, &pair->lingering, on_gone, pair};
    bundle_init(&pair->bundle, &host, &bundle_events, pair);
    struct bundle_dial_settings dial = {.bundle = &pair->bundle,
                                        .identity = pair->near,
                                        .address = pair->address,
                                        .events = &dial_events,
                                        .ctx = pair};
    bundle_dial_init(&pair->dial, &dial);
    uv_timer_init(&pair->loop, &pair->tick);
    pair->tick.data = pair;
    uv_timer_start(&pair->tick, on_tick, 0, 1);
    *state = pair;
    return 0;
}

static int teardown(void **state)
{
    struct pair *pair = *state;

    bundle_dial_fini(&pair->dial);
    bundle_fini(&pair->bundle);
    for (int i = 0; i < pair->server_count; i++)
        if (pair->servers[i].stream)
            tls_stream_close(pair->servers[i].stream);
    uv_close((uv_handle_t *)&pair->listener, NULL);
    uv_close((uv_handle_t *)&pair->tick, NULL);
    uv_run(&pair->loop, UV_RUN_DEFAULT); /* ends when no handle is left */
    assert_int_equal(pair->lingering, 0);
    assert_int_equal(uv_loop_close(&pair->loop), 0);
    identity_free(pair->near);
    identity_free(pair->far);
    realm_fini(&pair->realm);
    free(pair);
    return 0;
}

/* One packet of voice, with its number. */
static int say(struct pair *pair)
{
    uint8_t packet[172] = {0};

    memcpy(packet, &pair->sent, sizeof pair->sent);
    memcpy(packet + sizeof packet - 8, &pair->sent, sizeof pair->sent);
    packet[sizeof packet - 1] = (uint8_t)pair->sent;
    pair->sent_ns[pair->sent++] = uv_hrtime();
    return bundle_send(&pair->bundle, packet, sizeof packet);
}

/* So many packets, one each millisecond. */
static void talk(struct pair *pair, int count)
{
    for (int i = 0; i < count; i++) {
        assert_int_equal(say(pair), 0);
        run(pair, NULL, 1);
    }
}

static bool has_heard_all(struct pair *pair)
{
    return pair->heard == pair->sent;
}

static bool has_heard_the_newest(struct pair *pair)
{
    return pair->newest + 1 == pair->sent;
}

/* ---- packets ----------------------------------------------------------------------------------
 */

static void packets_take_turns(void **state)
{
    struct pair *pair = *state;

    assert_int_equal(say(pair), -ENOTCONN);
    pair->sent = 0;
    assert_true(run(pair, is_full, 3000));
    for (int i = 0; i < 100; i++) /* at once: none is behind */
        assert_int_equal(say(pair), 0);
    assert_true(run(pair, has_heard_all, 1000));
    assert_in_range(pair->servers[0].packets, 20, 80);
    assert_int_equal(pair->servers[0].packets + pair->servers[1].packets, 100);
    uint8_t long_one[STREAM_PACKET_MAX + 1] = {0};
    assert_int_equal(bundle_send(&pair->bundle, long_one, sizeof long_one), -EMSGSIZE);
}

/* What is in the buffers of a connection whose peer stops reading is lost; from then on everything
 * goes over the other one, and is not late. */
static void one_that_stalls_does_not_hold_up_the_other(void **state)
{
    struct pair *pair = *state;

    assert_true(run(pair, is_full, 3000));
    go_deaf(&pair->servers[0]);
    talk(pair, 200); /* until its buffers are full and it is seen to be behind */
    run(pair, NULL, 50);
    pair->late_ns = 0;
    talk(pair, 300);
    assert_true(run(pair, has_heard_the_newest, 1000));
    assert_in_range(pair->sent - pair->heard, 1, 100);
    assert_int_equal(pair->servers[1].packets, pair->heard);
    assert_in_range(pair->late_ns / 1000000, 0, STREAM_AGE_MS);
    assert_int_equal(pair->bundle.queue.dropped, 0);
}

/* Both stop: what is old is gone; what is kept comes over the one that reads again first. */
static void with_both_stalled_one_queue_waits_for_the_first(void **state)
{
    static const struct tls_stream_events bound = {.on_data = server_on_data,
                                                   .on_down = server_on_down};
    struct pair *pair = *state;

    assert_true(run(pair, is_full, 3000));
    go_deaf(&pair->servers[0]);
    go_deaf(&pair->servers[1]);
    talk(pair, 400);
    assert_true(pair->bundle.queue.dropped > 0);
    assert_int_equal(pair->heard, 0);
    struct server *server = &pair->servers[1];
    assert_int_equal(tls_stream_resume(server->stream, &pair->loop, &bound, server), 0);
    talk(pair, 50);
    assert_true(run(pair, has_heard_the_newest, 1000));
    assert_true(pair->bundle.queue.dropped + pair->heard <= pair->sent);
    assert_true(stream_queue_is_empty(&pair->bundle.queue));
}

static void too_long_a_frame_ends_its_connection_only(void **state)
{
    struct pair *pair = *state;

    assert_true(run(pair, is_full, 3000));
    pair->is_wanted = false;
    tls_stream_send(pair->servers[0].stream, (const uint8_t *)"\xff\xff", 2);
    while (pair->lost == 0)
        run(pair, NULL, 1);
    assert_int_equal(bundle_count(&pair->bundle), 1);
    talk(pair, 3);
    assert_true(run(pair, has_heard_all, 1000));
}

/* ---- twice ------------------------------------------------------------------------------------
 */

/* As after a segment that was sent again. */
static void note_loss(struct pair *pair)
{
    pair->bundle.loss.double_until_ms = uv_now(&pair->loop) + 10000;
}

static bool has_heard_100_twice(struct pair *pair)
{
    return pair->heard == 200;
}

static void on_a_line_that_loses_packets_go_twice(void **state)
{
    struct pair *pair = *state;

    assert_true(run(pair, is_full, 3000));
    note_loss(pair);
    talk(pair, 100);
    assert_true(run(pair, has_heard_100_twice, 1000));
    assert_int_equal(pair->servers[0].packets, 100);
    assert_int_equal(pair->servers[1].packets, 100);
}

/* What comes close behind tells TCP of a loss soon enough. */
static void a_thick_stream_goes_once(void **state)
{
    struct pair *pair = *state;

    assert_true(run(pair, is_full, 3000));
    note_loss(pair);
    for (int i = 0; i < 100; i++) {
        for (int burst = 0; burst < 20; burst++)
            assert_int_equal(say(pair), 0);
        run(pair, NULL, 1);
    }
    assert_true(run(pair, has_heard_the_newest, 1000));
    run(pair, NULL, 50);
    /* 250 of them for each second that has begun */
    assert_in_range(pair->heard, 2000, 2000 + 3 * 250);
}

/* What has come over one connection is not taken from the other one; from the same one it is, and
 * short ones cannot be told apart. */
static void what_comes_twice_is_taken_once(void **state)
{
    static const uint8_t voice[] = "\0\x18....a packet of voice..", same[] = "\0\4....";
    static const struct {
        const uint8_t *frame;
        size_t bytes;
        int servers[2];
        unsigned heard;
    } cases[] = {{voice, 26, {0, 1}, 1}, {voice, 26, {1, 1}, 2}, {same, 6, {0, 1}, 2}};
    struct pair *pair = *state;

    assert_true(run(pair, is_full, 3000));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t frame[32];

        memcpy(frame, cases[i].frame, cases[i].bytes);
        memset(frame + 2, 0, 4); /* its number */
        if (cases[i].bytes > 6)
            frame[cases[i].bytes - 1] = (uint8_t)i;
        pair->heard = 0;
        for (int k = 0; k < 2; k++) {
            tls_stream_send(pair->servers[cases[i].servers[k]].stream, frame, cases[i].bytes);
            run(pair, NULL, 20);
        }
        assert_int_equal(pair->heard, cases[i].heard);
    }
}

/* ---- connections ------------------------------------------------------------------------------
 */

static bool has_lost(struct pair *pair)
{
    return pair->lost > 0;
}

static bool has_failed(struct pair *pair)
{
    return pair->failed > 0;
}

static void a_lost_one_is_dialled_again_while_the_other_carries_on(void **state)
{
    struct pair *pair = *state;
    struct tls_stream *stream;

    assert_true(run(pair, is_full, 3000));
    stream = pair->servers[0].stream;
    pair->servers[0].stream = NULL;
    tls_stream_close(stream);
    assert_true(run(pair, has_lost, 1000));
    assert_int_equal(bundle_count(&pair->bundle), 1);
    talk(pair, 20);
    assert_true(run(pair, is_full, 3000));
    assert_true(run(pair, has_heard_the_newest, 1000));
    assert_int_equal(pair->server_count, 3);
}

static bool has_dialled_a_third(struct pair *pair)
{
    return pair->bound == 3;
}

/* Make before break: the two carry on until the fresh one is bound; then the older one goes. Who
 * doubts again soon is not heard. */
static void doubt_brings_a_fresh_one(void **state)
{
    struct pair *pair = *state;

    assert_true(run(pair, is_full, 3000));
    assert_true(bundle_dial_doubt(&pair->dial, uv_now(&pair->loop)));
    assert_false(bundle_dial_doubt(&pair->dial, uv_now(&pair->loop) + 900));
    assert_true(run(pair, has_dialled_a_third, 3000));
    assert_int_equal(bundle_count(&pair->bundle), BUNDLE_STREAMS);
    assert_int_equal(pair->lost, 0);
    assert_int_equal(pair->server_count, 3);
    assert_true(bundle_dial_doubt(&pair->dial, uv_now(&pair->loop) + 1000));
}

static bool has_replaced_both(struct pair *pair)
{
    return pair->bound >= 4 && is_full(pair);
}

/* Both stopped: the first fresh one takes over at once, and the dead ones go. */
static void dead_ones_are_replaced(void **state)
{
    struct pair *pair = *state;

    assert_true(run(pair, is_full, 3000));
    go_deaf(&pair->servers[0]);
    go_deaf(&pair->servers[1]);
    talk(pair, 700);
    bundle_dial_doubt(&pair->dial, uv_now(&pair->loop));
    assert_true(run(pair, has_dialled_a_third, 3000));
    uint32_t before = pair->heard;
    talk(pair, 20);
    assert_true(run(pair, has_heard_the_newest, 1000));
    assert_true(pair->heard >= before + 20);
    for (int i = 0; i < 40 && !has_replaced_both(pair); i++) {
        talk(pair, 50);
        bundle_dial_doubt(&pair->dial, uv_now(&pair->loop));
    }
    assert_true(has_replaced_both(pair));
    for (int i = 0; i < BUNDLE_PLACES; i++)
        assert_true(!pair->bundle.streams[i].stream || pair->bundle.streams[i].number >= 2);
}

static void refusals_wait_longer_each_time(void **state)
{
    struct pair *pair = *state;

    pair->refusal = "no such tunnel";
    for (unsigned i = 0; i < 4; i++) {
        bundle_dial_hurry(&pair->dial);
        pair->failed = 0;
        assert_true(run(pair, has_failed, 3000)); /* both of them */
        uint64_t now_ms = uv_now(&pair->loop), most_ms = UINT64_C(500) << i;
        assert_string_equal(pair->why, "no such tunnel");
        assert_int_equal(pair->dial.failures, i + 1);
        assert_in_range(pair->dial.next_ms, now_ms + most_ms / 2 - 50, now_ms + most_ms);
    }
    pair->refusal = "";
    bundle_dial_hurry(&pair->dial);
    assert_true(run(pair, is_full, 3000));
    assert_int_equal(pair->dial.failures, 0);
}

static void only_the_right_one_is_bound(void **state)
{
    struct pair *pair = *state;

    identity_free(pair->far);
    pair->far = fixture_identity(&pair->realm, "rome", CONF_ROLE_RELAY);
    assert_true(run(pair, has_failed, 3000));
    assert_string_equal(pair->why, "not whom we wanted");
    assert_int_equal(bundle_count(&pair->bundle), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(packets_take_turns),
        TEST(one_that_stalls_does_not_hold_up_the_other),
        TEST(with_both_stalled_one_queue_waits_for_the_first),
        TEST(too_long_a_frame_ends_its_connection_only),
        TEST(on_a_line_that_loses_packets_go_twice),
        TEST(a_thick_stream_goes_once),
        TEST(what_comes_twice_is_taken_once),
        TEST(a_lost_one_is_dialled_again_while_the_other_carries_on),
        TEST(doubt_brings_a_fresh_one),
        TEST(dead_ones_are_replaced),
        TEST(refusals_wait_longer_each_time),
        TEST(only_the_right_one_is_bound),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
