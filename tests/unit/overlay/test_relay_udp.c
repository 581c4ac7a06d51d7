/* Legs to a relay by UDP: bound, doubted, mixed with TLS, forged; and how a relay shares what it
 * may carry. */
#include "overlay/relay_share.h"
#include "tests/unit/overlay/relay_fixture.h"

#include <poll.h>

static int set_up(void **state, bool berlin_udp, bool paris_udp, unsigned relay_kbit_s)
{
    struct relayed *relayed = calloc(1, sizeof *relayed);

    relayed->supernode.has_udp = true;
    relayed->supernode.relay_kbit_s = relay_kbit_s;
    relayed->berlin.conf.udp = berlin_udp;
    relayed->paris.conf.udp = paris_udp;
    *state = relayed;
    return open_relayed(relayed, CONF_ROLE_SUPERNODE | CONF_ROLE_RELAY);
}

static int both_by_udp(void **state)
{
    return set_up(state, true, true, 0);
}

static int one_by_udp(void **state)
{
    return set_up(state, true, false, 0);
}

static int hidden(void **state)
{
    struct relayed *relayed = calloc(1, sizeof *relayed);

    relayed->supernode.has_udp = relayed->berlin.conf.udp = relayed->paris.conf.udp = true;
    relayed->berlin.conf.relay_only = true;
    *state = relayed;
    return open_relayed(relayed, CONF_ROLE_SUPERNODE | CONF_ROLE_RELAY);
}

static int with_a_cap(void **state)
{
    return set_up(state, true, true, 1600); /* 200 kB/s */
}

/* ---- calls ------------------------------------------------------------------------------------
 */

static void keep_relays_only(struct core_path *said)
{
    struct candidate_path path;
    int kept = 0;

    assert_int_equal(candidate_path_decode(said, &path), 0);
    for (int i = 0; i < path.count; i++)
        if (path.candidates[i].kind == CANDIDATE_RELAY)
            path.candidates[kept++] = path.candidates[i];
    path.count = kept;
    assert_int_equal(candidate_path_encode(&path, said), 0);
}

/* As lab_call, but neither can find the other directly. */
static void call(struct relayed *relayed)
{
    struct lab_node *caller = &relayed->berlin, *callee = &relayed->paris;
    struct lab_node *ends[] = {caller, callee};
    struct core_path offer, reply;

    assert_int_equal(paths_offer(caller->paths, identity_certificate(callee->identity), &offer,
                                 &caller->path, &caller->ssrc_in),
                     0);
    keep_relays_only(&offer);
    assert_int_equal(paths_accept(callee->paths, identity_certificate(caller->identity), &offer,
                                  &reply, &callee->path, &callee->ssrc_in),
                     0);
    keep_relays_only(&reply);
    assert_int_equal(paths_learn(caller->paths, caller->path, &reply), 0);
    caller->ssrc_out = callee->ssrc_in;
    callee->ssrc_out = caller->ssrc_in;
    for (int i = 0; i < 2; i++) {
        paths_hold(ends[i]->path);
        ends[i]->is_listening = true;
        paths_listen(ends[i]->path, ends[i]->ssrc_in, lab_receive, ends[i]);
    }
}

static bool is_by_udp(void *arg)
{
    return strstr(((struct lab_node *)arg)->way, "by udp") != NULL;
}

static bool is_by_tcp(void *arg)
{
    return strncmp(((struct lab_node *)arg)->way, "relay", 5) == 0 && !is_by_udp(arg);
}

static void a_call_goes_by_udp_through_the_relay(void **state)
{
    struct relayed *relayed = *state;
    struct lab_node *ends[] = {&relayed->berlin, &relayed->paris};

    call(relayed);
    for (int i = 0; i < 2; i++)
        assert_true(lab_run(&relayed->lab, is_by_udp, ends[i], 3000));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(lab_say(ends[i], 20, 7), 0);
        assert_true(lab_wait_heard(ends[!i], 20, 2000));
    }
    assert_true(relay_figure(relayed->supernode.relay, RELAY_PACKETS) >= 40);
    assert_int_equal(relay_figure(relayed->supernode.relay, RELAY_UNKNOWN), 0);
    hang_up(relayed);
}

struct look {
    struct path_worker *worker;
    uint64_t unknown;
};

static void do_count_udp(void *arg)
{
    struct look *look = arg;
    struct path *path;

    for (path = look->worker->live; path; path = path->live.hh.next) {
        struct path_way *way;
        TAILQ_FOREACH(way, &path->live.ways, next)
        look->unknown += way->ops->rank == PATH_RANK_UDP;
    }
}

/* A node that never shows its address uses UDP to its relay all the same, and tries no address of
 * the other end, nor answers there. */
static void a_hidden_node_goes_by_udp_through_the_relay(void **state)
{
    struct relayed *relayed = *state;
    struct look look = {.unknown = 0};

    assert_int_equal(lab_call(&relayed->berlin, &relayed->paris), 0);
    assert_true(lab_run(&relayed->lab, is_by_udp, &relayed->berlin, 3000));
    assert_true(lab_run(&relayed->lab, is_by_udp, &relayed->paris, 3000));
    assert_int_equal(lab_say(&relayed->berlin, 20, 7), 0);
    assert_true(lab_wait_heard(&relayed->paris, 20, 2000));
    look.worker = &relayed->berlin.paths->workers[paths_worker(relayed->berlin.path)];
    lab_on_worker(&relayed->lab, paths_worker(relayed->berlin.path), do_count_udp, &look);
    look.worker = &relayed->paris.paths->workers[paths_worker(relayed->paris.path)];
    lab_on_worker(&relayed->lab, paths_worker(relayed->paris.path), do_count_udp, &look);
    assert_int_equal(look.unknown, 0);
    hang_up(relayed);
}

static void legs_may_differ(void **state)
{
    struct relayed *relayed = *state;

    call(relayed);
    assert_true(lab_run(&relayed->lab, is_by_udp, &relayed->berlin, 3000));
    assert_true(lab_run(&relayed->lab, is_by_tcp, &relayed->paris, 3000));
    assert_int_equal(lab_say(&relayed->berlin, 20, 7), 0);
    assert_true(lab_wait_heard(&relayed->paris, 20, 2000));
    assert_int_equal(lab_say(&relayed->paris, 20, 8), 0);
    assert_true(lab_wait_heard(&relayed->berlin, 20, 2000));
    hang_up(relayed);
}

static void do_deafen(void *arg)
{
    uv_poll_stop(&((struct path *)arg)->worker->poll);
}

/* A firewall begins to drop UDP in the middle of a call: TCP carries on, within a moment. */
static void tcp_takes_over_when_udp_stops(void **state)
{
    struct relayed *relayed = *state;
    int heard;

    call(relayed);
    assert_true(lab_run(&relayed->lab, is_by_udp, &relayed->paris, 3000));
    for (int i = 0; i < 10; i++) {
        assert_int_equal(lab_say(&relayed->berlin, 1, 1), 0);
        lab_run(&relayed->lab, NULL, NULL, 20);
    }
    lab_on_worker(&relayed->lab, paths_worker(relayed->paris.path), do_deafen, relayed->paris.path);
    heard = atomic_load(&relayed->paris.packets);
    for (int i = 0; i < 100 && atomic_load(&relayed->paris.packets) <= heard + 5; i++) {
        assert_int_equal(lab_say(&relayed->berlin, 1, 2), 0);
        lab_run(&relayed->lab, NULL, NULL, 20);
    }
    assert_true(atomic_load(&relayed->paris.packets) > heard + 5);
    assert_true(lab_run(&relayed->lab, is_by_tcp, &relayed->paris, 1000));
    hang_up(relayed);
}

static void do_look(void *arg)
{
    struct look *look = arg;

    look->unknown = look->worker->figures.channel_unknown;
}

static int udp_to(const char *host, int port, struct sockaddr_storage *to);

static void a_node_takes_no_channel_packets_of_others(void **state)
{
    struct relayed *relayed = *state;
    struct path_worker *worker = &relayed->berlin.paths->workers[0];
    struct look look = {worker, 0};
    struct sockaddr_storage to;
    int fd = udp_to("127.0.0.1", path_socket_port(worker->socket), &to);

    assert_int_equal(sendto(fd, "\x41\1\2\3hello", 9, 0, (void *)&to, address_length(&to)), 9);
    for (int i = 0; i < 200 && look.unknown == 0; i++) {
        lab_run(&relayed->lab, NULL, NULL, 5);
        lab_on_worker(&relayed->lab, 0, do_look, &look);
    }
    assert_int_equal(look.unknown, 1);
    close(fd);
}

/* ---- requests to bind a channel ---------------------------------------------------------------
 */

static int udp_to(const char *host, int port, struct sockaddr_storage *to)
{
    struct sockaddr_storage own;
    char text[ADDRESS_TEXT_MAX];
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    address_parse("127.0.0.1:0", &own);
    assert_int_equal(bind(fd, (void *)&own, address_length(&own)), 0);
    snprintf(text, sizeof text, "%s:%d", host, port);
    address_parse(text, to);
    return fd;
}

/* Sends; returns the length of what comes back within 300 ms, 0: nothing. */
static size_t exchange(struct relayed *relayed, int fd, const void *data, size_t bytes,
                       uint8_t *reply)
{
    struct sockaddr_storage to;

    address_parse(relayed->supernode.address, &to);
    assert_int_equal(sendto(fd, data, bytes, 0, (void *)&to, address_length(&to)), bytes);
    for (int i = 0; i < 60; i++) {
        ssize_t got = recv(fd, reply, 2000, MSG_DONTWAIT);
        if (got > 0)
            return (size_t)got;
        lab_run(&relayed->lab, NULL, NULL, 5);
    }
    return 0;
}

static uint64_t figure(struct relayed *relayed, enum relay_figure which)
{
    return relay_figure(relayed->supernode.relay, which);
}

struct udp_client {
    struct client tls;
    int fd;
    uint64_t number;
};

static void udp_client_open(struct udp_client *client, struct relayed *relayed,
                            const struct identity *identity, const char *tunnel)
{
    struct sockaddr_storage to;

    client_dial(&client->tls, relayed, identity);
    client_bind(&client->tls, relayed, tunnel);
    assert_string_equal(client->tls.bound.refused, "");
    assert_int_not_equal(client->tls.bound.udp_port, 0);
    client->fd = udp_to("127.0.0.1", client->tls.bound.udp_port, &to);
    client->number = 1000;
}

static size_t request_of(struct udp_client *client, uint8_t *out)
{
    uint8_t transaction[STUN_TRANSACTION_BYTES];

    return channel_encode_bind(out, client->tls.bound.channel, client->number++, 7,
                               client->tls.bound.key, transaction);
}

static void udp_client_bind(struct udp_client *client, struct relayed *relayed)
{
    uint8_t request[STUN_MESSAGE_MAX], reply[2000];
    size_t bytes = request_of(client, request);

    assert_true(exchange(relayed, client->fd, request, bytes, reply) > 0);
}

static void udp_client_close(struct udp_client *client)
{
    close(client->fd);
    client_close(&client->tls);
}

static void only_fresh_signed_requests_bind(void **state)
{
    struct relayed *relayed = *state;
    struct udp_client client;
    struct stun_message message;
    struct sockaddr_storage to;
    uint8_t request[STUN_MESSAGE_MAX], forged[STUN_MESSAGE_MAX], reply[2000];
    size_t bytes, got;
    int other = udp_to("127.0.0.1", 1, &to);

    udp_client_open(&client, relayed, relayed->berlin.identity, "tunnel-aaaaaaaaa");
    bytes = request_of(&client, request);
    memcpy(forged, request, bytes);
    client.tls.bound.key[0] ^= 1;
    size_t forged_bytes = request_of(&client, forged);
    client.tls.bound.key[0] ^= 1;
    assert_int_equal(exchange(relayed, other, forged, forged_bytes, reply), 0);
    assert_int_equal(figure(relayed, RELAY_BINDS_FORGED), 1);

    got = exchange(relayed, client.fd, request, bytes, reply);
    assert_in_range(got, 1, bytes); /* not longer than the question */
    assert_int_equal(stun_decode(reply, got, &message), 0);
    assert_true(stun_verify(reply, &message, client.tls.bound.key, CHANNEL_KEY_BYTES));
    /* once more from there: the answer may have been lost; from elsewhere: a replay */
    assert_int_equal(exchange(relayed, client.fd, request, bytes, reply), got);
    assert_int_equal(exchange(relayed, other, request, bytes, reply), 0);
    assert_int_equal(figure(relayed, RELAY_BINDS_REPLAYED), 1);
    for (size_t cut = 4; cut < bytes; cut += 12)
        assert_int_equal(sendto(other, request, cut, 0, (void *)&to, address_length(&to)), cut);
    close(other);
    udp_client_close(&client);
}

static bool has_bytes(void *arg)
{
    return ((struct client *)arg)->bytes > 0;
}

static void packets_of_strangers_are_dropped(void **state)
{
    struct relayed *relayed = *state;
    struct udp_client berlin;
    struct client paris;
    struct sockaddr_storage to;
    uint8_t packet[] = "....hello", reply[2000];
    int other = udp_to("127.0.0.1", 1, &to);

    udp_client_open(&berlin, relayed, relayed->berlin.identity, "tunnel-aaaaaaaaa");
    client_dial(&paris, relayed, relayed->paris.identity);
    client_bind(&paris, relayed, "tunnel-aaaaaaaaa");
    channel_write(packet, berlin.tls.bound.channel);
    /* before it is bound, from elsewhere, of no channel */
    assert_int_equal(exchange(relayed, berlin.fd, packet, 9, reply), 0);
    udp_client_bind(&berlin, relayed);
    assert_int_equal(exchange(relayed, other, packet, 9, reply), 0);
    channel_write(packet, berlin.tls.bound.channel ^ 0x100);
    assert_int_equal(exchange(relayed, berlin.fd, packet, 9, reply), 0);
    assert_int_equal(figure(relayed, RELAY_UNKNOWN), 3);
    assert_int_equal(paris.bytes, 0);
    channel_write(packet, berlin.tls.bound.channel);
    exchange(relayed, berlin.fd, packet, 9, reply);
    assert_true(lab_run(&relayed->lab, has_bytes, &paris, 2000));
    assert_int_equal(paris.bytes, 7);
    close(other);
    client_close(&paris);
    udp_client_close(&berlin);
}

/* The end has got another address: its next request moves the leg, packets follow. */
static void a_leg_moves_with_its_node(void **state)
{
    struct relayed *relayed = *state;
    struct udp_client berlin;
    struct client paris;
    struct sockaddr_storage to;
    uint8_t request[STUN_MESSAGE_MAX], packet[] = "....hello", reply[2000];
    int moved = udp_to("127.0.0.1", 1, &to);

    udp_client_open(&berlin, relayed, relayed->berlin.identity, "tunnel-aaaaaaaaa");
    client_dial(&paris, relayed, relayed->paris.identity);
    client_bind(&paris, relayed, "tunnel-aaaaaaaaa");
    udp_client_bind(&berlin, relayed);
    size_t bytes = request_of(&berlin, request);
    assert_true(exchange(relayed, moved, request, bytes, reply) > 0);
    channel_write(packet, berlin.tls.bound.channel);
    exchange(relayed, moved, packet, 9, reply);
    assert_true(lab_run(&relayed->lab, has_bytes, &paris, 2000));
    tls_stream_send(paris.stream, (const uint8_t *)"\0\3you", 5);
    for (int i = 0; i < 200 && recv(moved, reply, sizeof reply, MSG_PEEK | MSG_DONTWAIT) < 0; i++)
        lab_run(&relayed->lab, NULL, NULL, 5);
    assert_int_equal(recv(moved, reply, sizeof reply, MSG_DONTWAIT), 7);
    assert_memory_equal(reply + CHANNEL_BYTES, "you", 3);
    close(moved);
    client_close(&paris);
    udp_client_close(&berlin);
}

/* ---- shares -----------------------------------------------------------------------------------
 */

static void shares_are_fair(void **state)
{
    static const struct {
        uint64_t wanted[4];
        size_t count;
        uint64_t capacity, level;
    } cases[] = {
        {{0}, 0, 100, UINT64_MAX},      {{10, 20, 30}, 3, 60, UINT64_MAX},
        {{100, 10, 10}, 3, 60, 40},  /* who wants little gets it */
        {{100, 100, 10}, 3, 60, 25}, /* the others the same */
        {{50, 50, 50, 50}, 4, 100, 25}, {{50}, 1, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t wanted[4];

        memcpy(wanted, cases[i].wanted, sizeof wanted);
        assert_int_equal(relay_share(wanted, cases[i].count, cases[i].capacity), cases[i].level);
    }
}

/* One tunnel is flooded with ten times of what the relay may carry: a call in another one hears
 * every packet, and the relay carries no more than its cap. */
static void a_flood_hurts_no_other_tunnel(void **state)
{
    struct relayed *relayed = *state;
    struct udp_client flood;
    struct client victim;
    uint8_t packet[1000] = {0};
    struct sockaddr_storage to;
    uint64_t start_ms, before = 0, measured_ms = 0;
    int said = 0;

    call(relayed);
    assert_true(lab_run(&relayed->lab, is_by_udp, &relayed->paris, 3000));
    udp_client_open(&flood, relayed, relayed->berlin.identity, "tunnel-aaaaaaaaa");
    client_dial(&victim, relayed, relayed->paris.identity);
    client_bind(&victim, relayed, "tunnel-aaaaaaaaa");
    udp_client_bind(&flood, relayed);
    channel_write(packet, flood.tls.bound.channel);
    address_parse(relayed->supernode.address, &to);
    start_ms = uv_hrtime() / 1000000;
    while (uv_hrtime() / 1000000 < start_ms + 2000) {
        if (!before && uv_hrtime() / 1000000 >= start_ms + 500) { /* after the first burst */
            before = figure(relayed, RELAY_BYTES);
            measured_ms = uv_hrtime() / 1000000;
        }
        for (int i = 0; i < 40; i++) /* 2 MB/s */
            sendto(flood.fd, packet, sizeof packet, 0, (void *)&to, address_length(&to));
        assert_int_equal(lab_say(&relayed->berlin, 1, 1), 0);
        said++;
        lab_run(&relayed->lab, NULL, NULL, 20);
    }
    uint64_t ms = uv_hrtime() / 1000000 - measured_ms,
             kbit_s = (figure(relayed, RELAY_BYTES) - before) * 8 / ms;
    lab_wait_heard(&relayed->paris, said, 500);
    print_message("said %d, heard %d, carried %llu kbit/s of 1600\n", said,
                  atomic_load(&relayed->paris.packets), (unsigned long long)kbit_s);
    assert_int_equal(atomic_load(&relayed->paris.packets), said);
    assert_true(figure(relayed, RELAY_OVER_CAP) > 500);
    assert_in_range(kbit_s, 400, 1800);
    udp_client_close(&flood);
    client_close(&victim);
    hang_up(relayed);
}

int main(void)
{
#define WITH(setup, name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH(both_by_udp, a_call_goes_by_udp_through_the_relay),
        WITH(hidden, a_hidden_node_goes_by_udp_through_the_relay),
        WITH(one_by_udp, legs_may_differ),
        WITH(both_by_udp, tcp_takes_over_when_udp_stops),
        WITH(both_by_udp, a_node_takes_no_channel_packets_of_others),
        WITH(both_by_udp, only_fresh_signed_requests_bind),
        WITH(both_by_udp, packets_of_strangers_are_dropped),
        WITH(both_by_udp, a_leg_moves_with_its_node),
        cmocka_unit_test(shares_are_fair),
        WITH(with_a_cap, a_flood_hurts_no_other_tunnel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
