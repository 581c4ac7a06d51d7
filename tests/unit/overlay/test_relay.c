/* Paths through a relay, over real TLS: two nodes, a supernode, and others who want to join in. */
#include "tests/unit/overlay/relay_fixture.h"

/* ---- calls ------------------------------------------------------------------------------------
 */

static void a_call_is_heard_through_the_relay(void **state)
{
    struct relayed *relayed = *state;
    char expected[ADDRESS_TEXT_MAX + 16];

    assert_int_equal(lab_call(&relayed->berlin, &relayed->paris), 0);
    assert_true(lab_run(&relayed->lab, both_have_ways, relayed, 3000));
    snprintf(expected, sizeof expected, "relay %s", relayed->supernode.address);
    assert_string_equal(relayed->berlin.way, expected);
    assert_string_equal(relayed->paris.way, expected);
    assert_int_equal(lab_say(&relayed->berlin, 20, 7), 0);
    assert_int_equal(lab_say(&relayed->paris, 20, 8), 0);
    assert_true(lab_wait_heard(&relayed->paris, 20, 2000));
    assert_true(lab_wait_heard(&relayed->berlin, 20, 2000));
    assert_int_equal(atomic_load(&relayed->paris.last_byte), 7);
    assert_int_equal(relay_tunnel_count(relayed->supernode.relay), 1);
    hang_up(relayed);
}

static void the_callee_brings_a_relay_when_the_caller_has_none(void **state)
{
    struct relayed *relayed = *state;

    relayed->berlin.relay_count = 0;
    assert_int_equal(lab_call(&relayed->berlin, &relayed->paris), 0);
    assert_true(lab_run(&relayed->lab, both_have_ways, relayed, 3000));
    assert_int_equal(lab_say(&relayed->berlin, 1, 7), 0);
    assert_true(lab_wait_heard(&relayed->paris, 1, 2000));
    hang_up(relayed);
}

static void a_relay_must_be_granted_the_role(void **state)
{
    struct relayed *relayed = *state;

    assert_int_equal(lab_call(&relayed->berlin, &relayed->paris), 0);
    assert_false(lab_run(&relayed->lab, both_have_ways, relayed, 300));
    assert_int_equal(relay_tunnel_count(relayed->supernode.relay), 0);
    hang_up(relayed);
}

static void do_stop_udp(void *arg)
{
    uv_poll_stop(&((struct path *)arg)->worker->poll);
}

/* As after four checks without an answer. */
static void do_lose(void *arg)
{
    struct path *path = arg;

    path->live.current->unanswered = 100;
    path->live.current->due_ms = 0;
    path_live_wake(path);
}

static bool both_by_relay(void *arg)
{
    struct relayed *relayed = arg;

    return memcmp(relayed->berlin.way, "relay", 5) == 0 &&
           memcmp(relayed->paris.way, "relay", 5) == 0;
}

static bool both_by_udp(void *arg)
{
    struct relayed *relayed = arg;

    return memcmp(relayed->berlin.way, "udp", 3) == 0 && memcmp(relayed->paris.way, "udp", 3) == 0;
}

struct relay_is_proved {
    struct lab_node *node;
    bool is_proved;
};

static void do_look(void *arg)
{
    struct relay_is_proved *look = arg;
    struct path_way *way;

    TAILQ_FOREACH(way, &((struct path *)look->node->path)->live.ways, next)
    look->is_proved |= way->ops->rank == PATH_RANK_RELAY && way->is_proved;
}

static void wait_for_relay(struct lab_node *node)
{
    struct relay_is_proved look = {node, false};

    for (int i = 0; i < 300 && !look.is_proved; i++) {
        lab_run(node->lab, NULL, NULL, 10);
        lab_on_worker(node->lab, paths_worker(node->path), do_look, &look);
    }
    assert_true(look.is_proved);
}

static void the_relay_takes_over_when_udp_stops(void **state)
{
    struct relayed *relayed = *state;
    struct lab_node *nodes[] = {&relayed->berlin, &relayed->paris};

    assert_int_equal(lab_call(&relayed->berlin, &relayed->paris), 0);
    assert_true(lab_run(&relayed->lab, both_by_udp, relayed, 3000));
    for (int i = 0; i < 2; i++)
        wait_for_relay(nodes[i]);
    for (int i = 0; i < 2; i++) {
        lab_on_worker(&relayed->lab, paths_worker(nodes[i]->path), do_stop_udp, nodes[i]->path);
        lab_on_worker(&relayed->lab, paths_worker(nodes[i]->path), do_lose, nodes[i]->path);
    }
    assert_true(lab_run(&relayed->lab, both_by_relay, relayed, 3000));
    assert_int_equal(lab_say(&relayed->berlin, 5, 9), 0);
    assert_true(lab_wait_heard(&relayed->paris, 5, 2000));
    hang_up(relayed);
}

/* ---- others -----------------------------------------------------------------------------------
 */

static bool has_bytes(void *arg)
{
    return ((struct client *)arg)->bytes > 0;
}

static const char tunnel_a[] = "tunnel-aaaaaaaaa";

static void only_the_two_ends_may_bind(void **state)
{
    struct relayed *relayed = *state;
    struct identity *third = fixture_identity(&relayed->lab.realm, "oslo", CONF_ROLE_GATEWAY);
    const struct identity *binders[] = {relayed->berlin.identity, relayed->paris.identity, third};
    struct client client;

    for (int i = 0; i < 3; i++) { /* the third replays what it has seen */
        client_dial(&client, relayed, binders[i]);
        client_bind(&client, relayed, tunnel_a);
        assert_string_equal(client.bound.refused, i < 2 ? "" : "the ticket is for others");
        client_close(&client);
    }
    assert_int_equal(relay_refused(relayed->supernode.relay, TICKET_STRANGER), 1);
    identity_free(third);
}

static void tickets_that_are_not_good_are_refused(void **state)
{
    struct relayed *relayed = *state;
    struct identity *third = fixture_identity(&relayed->lab.realm, "oslo", CONF_ROLE_GATEWAY);
    const struct shown right = good(relayed, tunnel_a);
    struct shown cases[5] = {right, right, right, right, right};
    const char *const words[] = {"another relay", "expired", "not signed", "not signed", ""};
    struct client client;

    cases[0].relay = third;
    cases[1].issued_s -= 200;
    cases[2].certificate = NULL;
    cases[3].certificate = third;
    for (int i = 0; i < 5; i++) {
        client_dial(&client, relayed, relayed->paris.identity);
        client_show(&client, &cases[i]);
        assert_non_null(strstr(client.bound.refused, words[i]));
        assert_true(i < 4 || client.bound.refused[0] == '\0');
        client_close(&client);
    }
    assert_int_equal(relay_refused(relayed->supernode.relay, TICKET_FORGED), 2);
    assert_int_equal(relay_refused(relayed->supernode.relay, TICKET_TIMES), 1);
    assert_int_equal(relay_refused(relayed->supernode.relay, TICKET_ELSEWHERE), 1);
    identity_free(third);
}

/* An empty frame tells each end; what comes meanwhile is forwarded, but for empty frames. */
static void both_ends_are_told_that_it_leaves(void **state)
{
    struct relayed *relayed = *state;
    struct client berlin, paris;

    client_dial(&berlin, relayed, relayed->berlin.identity);
    client_bind(&berlin, relayed, tunnel_a);
    client_dial(&paris, relayed, relayed->paris.identity);
    client_bind(&paris, relayed, tunnel_a);
    tls_stream_send(berlin.stream, (const uint8_t *)"\0\0", 2);
    tls_stream_send(berlin.stream, (const uint8_t *)"\0\5hello", 7);
    assert_true(lab_run(&relayed->lab, has_bytes, &paris, 3000));
    assert_int_equal(paris.bytes, 7);
    relay_leave(relayed->supernode.relay);
    assert_true(lab_run(&relayed->lab, has_bytes, &berlin, 3000));
    assert_int_equal(berlin.bytes, 2);
    tls_stream_send(paris.stream, (const uint8_t *)"\0\5hello", 7);
    berlin.bytes = 0;
    assert_true(lab_run(&relayed->lab, has_bytes, &berlin, 3000));
    assert_int_equal(berlin.bytes, 7);
    client_close(&berlin);
    client_close(&paris);
}

/* Whoever signs a ticket for a tunnel of others gets another tunnel. */
static void nobody_gets_into_the_tunnel_of_others(void **state)
{
    struct relayed *relayed = *state;
    struct identity *third = fixture_identity(&relayed->lab.realm, "oslo", CONF_ROLE_GATEWAY);
    struct shown own = good(relayed, tunnel_a);
    struct client berlin, paris, oslo;

    own.signer = third;
    client_dial(&berlin, relayed, relayed->berlin.identity);
    client_bind(&berlin, relayed, tunnel_a);
    client_dial(&oslo, relayed, third);
    client_show(&oslo, &own);
    assert_string_equal(oslo.bound.refused, "");
    client_dial(&paris, relayed, relayed->paris.identity);
    client_bind(&paris, relayed, tunnel_a);
    assert_int_equal(relay_tunnel_count(relayed->supernode.relay), 2);
    tls_stream_send(berlin.stream, (const uint8_t *)"\0\5hello", 7);
    assert_true(lab_run(&relayed->lab, has_bytes, &paris, 3000));
    assert_int_equal(oslo.bytes, 0);
    client_close(&berlin);
    client_close(&paris);
    client_close(&oslo);
    identity_free(third);
}

/* The relay's process ends in the middle of a call, another one takes its place: it knows nothing,
 * and the call goes on. */
static void a_relay_that_starts_again_takes_those_who_come_back(void **state)
{
    struct relayed *relayed = *state;
    struct supernode *supernode = &relayed->supernode;

    assert_int_equal(lab_call(&relayed->berlin, &relayed->paris), 0);
    assert_true(lab_run(&relayed->lab, both_have_ways, relayed, 3000));
    relay_close(supernode->relay, on_supernode_closed, supernode);
    assert_true(lab_run(&relayed->lab, lab_flag, &supernode->is_closed, 5000));
    supernode->is_closed = false;
    supernode_open_relay(supernode);
    int heard = atomic_load(&relayed->paris.packets);
    for (int i = 0; i < 300 && atomic_load(&relayed->paris.packets) == heard; i++) {
        lab_say(&relayed->berlin, 1, 1);
        lab_run(&relayed->lab, NULL, NULL, 10);
    }
    assert_true(atomic_load(&relayed->paris.packets) > heard);
    hang_up(relayed);
}

static bool has_no_tunnel(void *arg)
{
    return relay_tunnel_count(((struct relayed *)arg)->supernode.relay) == 0;
}

static bool has_one_tunnel(void *arg)
{
    return relay_tunnel_count(((struct relayed *)arg)->supernode.relay) == 1;
}

/* Its other end goes with it; tunnels of others stay, and nobody may use its tickets any more. */
static void a_revoked_end_loses_its_tunnels(void **state)
{
    struct relayed *relayed = *state;
    struct identity *third = fixture_identity(&relayed->lab.realm, "oslo", CONF_ROLE_GATEWAY);
    struct shown own = good(relayed, tunnel_a);
    struct client berlin, paris, oslo, late[2];

    client_dial(&berlin, relayed, relayed->berlin.identity);
    client_bind(&berlin, relayed, tunnel_a);
    client_dial(&paris, relayed, relayed->paris.identity);
    client_bind(&paris, relayed, tunnel_a);
    own.signer = own.certificate = third;
    client_dial(&oslo, relayed, third);
    client_show(&oslo, &own);
    client_dial(&late[0], relayed, relayed->berlin.identity);
    client_dial(&late[1], relayed, relayed->paris.identity);
    assert_int_equal(relay_tunnel_count(relayed->supernode.relay), 2);

    fixture_revoke(&relayed->lab.realm, relayed->supernode.identity, relayed->berlin.identity);
    relay_revoke(relayed->supernode.relay);
    assert_true(lab_run(&relayed->lab, lab_flag, &berlin.is_down, 3000));
    assert_true(lab_run(&relayed->lab, lab_flag, &paris.is_down, 3000));
    assert_true(lab_run(&relayed->lab, has_one_tunnel, relayed, 3000));
    assert_false(oslo.is_down);
    for (int i = 0; i < 2; i++) { /* had shaken hands before */
        client_bind(&late[i], relayed, tunnel_a);
        assert_non_null(strstr(late[i].bound.refused, "not signed"));
    }

    fixture_revoke(&relayed->lab.realm, relayed->supernode.identity, relayed->supernode.identity);
    relay_revoke(relayed->supernode.relay);
    assert_true(lab_run(&relayed->lab, has_no_tunnel, relayed, 3000));
    client_close(&berlin);
    client_close(&paris);
    client_close(&oslo);
    client_close(&late[0]);
    client_close(&late[1]);
    identity_free(third);
}

static void malformed_binds_are_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t count;
    } cases[] = {
        {"\0\0\0\2\x0a\x7f", 6}, {"\0\0\0\0", 4}, {"\0\0\0\4\x0a\2ab", 8}, {"\x7f\xff\xff\xff", 4}};
    struct relayed *relayed = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct client client;

        client_dial(&client, relayed, relayed->berlin.identity);
        tls_stream_send(client.stream, (const uint8_t *)cases[i].bytes, cases[i].count);
        assert_true(lab_run(&relayed->lab, lab_flag, &client.is_answered, 3000));
        assert_string_equal(client.bound.refused, "malformed");
        client_close(&client);
    }
    assert_int_equal(relay_refused(relayed->supernode.relay, TICKET_MALFORMED), 3);
}

static bool has_ten_frames(void *arg)
{
    struct client *clients = arg;

    return clients[0].bytes + clients[1].bytes == 10 * 5;
}

/* Frames behind the RelayBind in the same packet are not lost; a node has two connections, which
 * share what comes for it, and a third one replaces the first, of which only what it sends still
 * counts. */
static void the_two_newest_connections_of_a_node_count(void **state)
{
    struct relayed *relayed = *state;
    struct client berlin, paris[3];
    uint8_t bytes[BIND_LENGTH_BYTES + BIND_FRAME_MAX + 16];

    client_dial(&paris[0], relayed, relayed->paris.identity);
    client_bind(&paris[0], relayed, tunnel_a);
    client_dial(&berlin, relayed, relayed->berlin.identity);
    struct shown shown = good(relayed, tunnel_a);
    size_t count = encode_bind(&shown, bytes);
    memcpy(bytes + count, "\0\5hello", 7);
    tls_stream_send(berlin.stream, bytes, count + 7);
    assert_true(lab_run(&relayed->lab, has_bytes, &paris[0], 3000));
    assert_int_equal(paris[0].bytes, 7);

    client_dial(&paris[1], relayed, relayed->paris.identity);
    client_bind(&paris[1], relayed, tunnel_a);
    paris[0].bytes = 0;
    for (int i = 0; i < 10; i++)
        tls_stream_send(berlin.stream, (const uint8_t *)"\0\3you", 5);
    assert_true(lab_run(&relayed->lab, has_ten_frames, paris, 3000));
    assert_true(paris[0].bytes > 0 && paris[1].bytes > 0);
    assert_false(paris[0].is_down);

    client_dial(&paris[2], relayed, relayed->paris.identity);
    client_bind(&paris[2], relayed, tunnel_a);
    assert_string_equal(paris[2].bound.refused, "");
    size_t before = paris[0].bytes;
    paris[1].bytes = 0;
    for (int i = 0; i < 10; i++)
        tls_stream_send(berlin.stream, (const uint8_t *)"\0\3you", 5);
    assert_true(lab_run(&relayed->lab, has_ten_frames, &paris[1], 3000));
    assert_int_equal(paris[0].bytes, before);
    berlin.bytes = 0;
    tls_stream_send(paris[0].stream, (const uint8_t *)"\0\3you", 5);
    assert_true(lab_run(&relayed->lab, has_bytes, &berlin, 3000));
    assert_false(paris[0].is_down || paris[1].is_down);
    assert_int_equal(relay_tunnel_count(relayed->supernode.relay), 1);
    client_close(&berlin);
    for (int i = 0; i < 3; i++)
        client_close(&paris[i]);
}

static void too_long_a_frame_ends_the_connection(void **state)
{
    struct relayed *relayed = *state;
    struct client client;

    client_dial(&client, relayed, relayed->paris.identity);
    client_bind(&client, relayed, tunnel_a);
    tls_stream_send(client.stream, (const uint8_t *)"\xff\xff", 2);
    assert_true(lab_run(&relayed->lab, lab_flag, &client.is_down, 3000));
    client_close(&client);
}

static bool has_ended(void *arg)
{
    return relay_tunnel_count(((struct supernode *)arg)->relay) == 0;
}

static void an_idle_tunnel_is_given_back(void **state)
{
    struct relayed *relayed = *state;
    struct client client;

    client_dial(&client, relayed, relayed->paris.identity);
    client_bind(&client, relayed, tunnel_a);
    assert_int_equal(relay_tunnel_count(relayed->supernode.relay), 1);
    assert_true(lab_run(&relayed->lab, has_ended, &relayed->supernode, 4000));
    assert_true(lab_run(&relayed->lab, lab_flag, &client.is_down, 3000));
    client_close(&client);
}

/* ---- too much ---------------------------------------------------------------------------------
 */

/* relay.c's own: the first worker. */
struct relay_head {
    struct relay_settings settings;
    struct relay_worker *workers;
};

struct late {
    struct relayed *relayed;
    uint64_t packets;
};

static void do_late(void *arg)
{
    struct late *late = arg;
    struct relay *relay = late->relayed->supernode.relay;
    struct relay_tunnel *tunnel = ((struct relay_head *)relay)->workers[0].tunnels;

    late->packets = relay_figure(relay, RELAY_LATE);
    for (int i = 0; tunnel && i < 2; i++)
        late->packets += tunnel->ends[i].bundle.queue.dropped;
}

static uint64_t late_of(struct relayed *relayed)
{
    struct late late = {.relayed = relayed};

    lab_on_worker(&relayed->lab, LAB_PATH_WORKERS, do_late, &late);
    return late.packets;
}

static void do_hang_up_on_all(void *arg)
{
    struct relay_head *head = (struct relay_head *)((struct relayed *)arg)->supernode.relay;

    for (int i = 0; i < 2; i++)
        bundle_fini(&head->workers[0].tunnels->ends[i].bundle);
}

/* A path whose connections to the relay end in the middle of a call has new ones by itself. */
static void lost_connections_are_dialled_again(void **state)
{
    struct relayed *relayed = *state;

    assert_int_equal(lab_call(&relayed->berlin, &relayed->paris), 0);
    assert_true(lab_run(&relayed->lab, both_have_ways, relayed, 3000));
    lab_on_worker(&relayed->lab, LAB_PATH_WORKERS, do_hang_up_on_all, relayed);
    int heard = atomic_load(&relayed->paris.packets);
    for (int i = 0; i < 200 && atomic_load(&relayed->paris.packets) == heard; i++) {
        lab_say(&relayed->berlin, 1, 1);
        lab_run(&relayed->lab, NULL, NULL, 10);
    }
    assert_true(atomic_load(&relayed->paris.packets) > heard);
    hang_up(relayed);
}

static void do_cap(void *arg)
{
    struct relayed *relayed = arg;

    ((struct relay_head *)relayed->supernode.relay)->workers[0].bytes_s = 8000;
}

static void a_tunnel_carries_no_more_than_its_cap(void **state)
{
    struct relayed *relayed = *state;

    lab_on_worker(&relayed->lab, LAB_PATH_WORKERS, do_cap, relayed);
    assert_int_equal(lab_call(&relayed->berlin, &relayed->paris), 0);
    assert_true(lab_run(&relayed->lab, both_have_ways, relayed, 3000));
    assert_int_equal(lab_say(&relayed->berlin, 200, 7), 0); /* 34 kB at once, 4 kB are allowed */
    lab_run(&relayed->lab, NULL, NULL, 50);
    assert_in_range(atomic_load(&relayed->paris.packets), 1, 30);
    assert_true(relay_figure(relayed->supernode.relay, RELAY_OVER_CAP) > 150);
    hang_up(relayed);
}

static void do_sleep(void *arg)
{
    usleep(*(useconds_t *)arg);
}

/* Paris reads nothing for a while: what was too old is gone, what comes then is fresh. */
static void a_stalled_reader_gets_no_old_voice(void **state)
{
    struct relayed *relayed = *state;
    useconds_t nap_us = 400000;

    assert_int_equal(lab_call(&relayed->berlin, &relayed->paris), 0);
    assert_true(lab_run(&relayed->lab, both_have_ways, relayed, 3000));
    if (paths_worker(relayed->berlin.path) == paths_worker(relayed->paris.path))
        skip();
    lab_must_post(&relayed->lab, paths_worker(relayed->paris.path), do_sleep, &nap_us);
    /* more than the kernels on the way take */
    for (int i = 0; i < 120; i++) {
        assert_int_equal(lab_say(&relayed->berlin, 100, 1), 0);
        lab_run(&relayed->lab, NULL, NULL, 1);
    }
    lab_run(&relayed->lab, NULL, NULL, 300); /* until Paris is awake */
    int heard = atomic_load(&relayed->paris.packets);
    uint64_t late = late_of(relayed);
    assert_in_range(heard, 1, 11999);
    /* what was not heard (and some checks) was dropped before a socket, by the relay (and by
     * Berlin, if the relay is slow) */
    assert_in_range(late, 1, 12000 - heard + 50);
    assert_int_equal(lab_say(&relayed->berlin, 1, 99), 0);
    assert_true(lab_wait_heard(&relayed->paris, heard + 1, 1000));
    assert_int_equal(atomic_load(&relayed->paris.last_byte), 99);
    hang_up(relayed);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_call_is_heard_through_the_relay),
        TEST(the_callee_brings_a_relay_when_the_caller_has_none),
        cmocka_unit_test_setup_teardown(a_relay_must_be_granted_the_role, setup_not_a_relay,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_relay_takes_over_when_udp_stops, setup_with_udp,
                                        teardown),
        TEST(only_the_two_ends_may_bind),
        TEST(tickets_that_are_not_good_are_refused),
        TEST(both_ends_are_told_that_it_leaves),
        TEST(nobody_gets_into_the_tunnel_of_others),
        TEST(a_relay_that_starts_again_takes_those_who_come_back),
        TEST(a_revoked_end_loses_its_tunnels),
        TEST(malformed_binds_are_refused),
        TEST(the_two_newest_connections_of_a_node_count),
        TEST(lost_connections_are_dialled_again),
        TEST(too_long_a_frame_ends_the_connection),
        TEST(an_idle_tunnel_is_given_back),
        TEST(a_tunnel_carries_no_more_than_its_cap),
        TEST(a_stalled_reader_gets_no_old_voice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
