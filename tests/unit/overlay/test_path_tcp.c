/* Paths over TCP without a relay: nodes with a door, and others who knock at it. */
#include "overlay/bundle.h"
#include "overlay/path_control.h"
#include "overlay/path_frame.h"
#include "overlay/tls.h"
#include "tests/unit/overlay/path_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>

#include <cmocka.h>

/* A node's door: gives what comes to its paths. */
struct door {
    struct lab_node *node;
    uv_tcp_t listener;
    char address[ADDRESS_TEXT_MAX];
    int accepted;
};

struct direct {
    struct lab lab;
    struct lab_node berlin, paris;
    struct door door; /* of Paris */
};

/* ---- the door ---------------------------------------------------------------------------------
 */

static void on_up(void *ctx, struct tls_stream *stream, const struct certificate *peer,
                  const char *alpn)
{
    struct door *door = ctx;

    assert_string_equal(alpn, TLS_ALPN_PATH);
    door->accepted++;
    paths_take(door->node->paths, stream, peer);
}

static void on_down(void *ctx, struct tls_stream *stream, const char *why)
{
    (void)ctx;
    (void)why;
    tls_stream_close(stream);
}

static const struct tls_stream_events door_events = {.on_up = on_up, .on_down = on_down};

static void on_connection(uv_stream_t *listener, int status)
{
    struct door *door = listener->data;
    struct tls_stream *stream;

    assert_int_equal(status, 0);
    assert_int_equal(tls_stream_accept(listener, door->node->identity, &door_events, door, &stream),
                     0);
}

static void door_open(struct door *door, struct lab_node *node)
{
    struct sockaddr_storage address;
    int length = sizeof address;

    door->node = node;
    uv_tcp_init(&node->lab->control.loop, &door->listener);
    door->listener.data = door;
    address_parse("127.0.0.1:0", &address);
    uv_tcp_bind(&door->listener, (struct sockaddr *)&address, 0);
    assert_int_equal(uv_listen((uv_stream_t *)&door->listener, 64, on_connection), 0);
    uv_tcp_getsockname(&door->listener, (struct sockaddr *)&address, &length);
    address_format(&address, door->address);
    paths_set_open(node->paths, door->address);
}

static int setup(void **state)
{
    struct direct *direct = calloc(1, sizeof *direct);

    lab_init(&direct->lab);
    /* a realm on this machine: loopback may be dialled */
    direct->berlin.conf = direct->paris.conf = (struct conf_overlay){
        .keep_path_s = 60, .supernodes = {"127.0.0.1:9"}, .supernode_count = 1};
    assert_int_equal(lab_open(&direct->lab, &direct->berlin, "berlin"), 0);
    assert_int_equal(lab_open(&direct->lab, &direct->paris, "paris"), 0);
    door_open(&direct->door, &direct->paris);
    *state = direct;
    return 0;
}

static int teardown(void **state)
{
    struct direct *direct = *state;

    uv_close((uv_handle_t *)&direct->door.listener, NULL);
    lab_close(&direct->berlin);
    lab_close(&direct->paris);
    lab_fini(&direct->lab);
    free(direct);
    return 0;
}

static bool both_have_ways(void *arg)
{
    struct direct *direct = arg;

    return lab_has_way(&direct->berlin) && lab_has_way(&direct->paris);
}

static void call(struct direct *direct)
{
    assert_int_equal(lab_call(&direct->berlin, &direct->paris), 0);
    assert_true(lab_run(&direct->lab, both_have_ways, direct, 3000));
}

static void hang_up(struct direct *direct)
{
    lab_hang_up(&direct->berlin);
    lab_hang_up(&direct->paris);
}

/* ---- calls ------------------------------------------------------------------------------------
 */

static void whoever_knows_an_open_end_dials_it(void **state)
{
    struct direct *direct = *state;
    char expected[ADDRESS_TEXT_MAX + 8];

    call(direct);
    snprintf(expected, sizeof expected, "tcp %s", direct->door.address);
    assert_string_equal(direct->berlin.way, expected);
    assert_memory_equal(direct->paris.way, "tcp 127.0.0.1:", 14);
    assert_int_equal(lab_say(&direct->berlin, 20, 7), 0);
    assert_int_equal(lab_say(&direct->paris, 20, 8), 0);
    assert_true(lab_wait_heard(&direct->paris, 20, 2000));
    assert_true(lab_wait_heard(&direct->berlin, 20, 2000));
    assert_int_equal(atomic_load(&direct->paris.last_byte), 7);
    assert_int_equal(atomic_load(&direct->berlin.last_byte), 8);
    assert_int_equal(direct->door.accepted, BUNDLE_STREAMS);
    hang_up(direct);
}

/* The callee learns of an open caller as well. */
static void an_open_caller_is_dialled(void **state)
{
    struct direct *direct = *state;

    assert_int_equal(lab_call(&direct->paris, &direct->berlin), 0);
    assert_true(lab_run(&direct->lab, both_have_ways, direct, 3000));
    assert_int_equal(lab_say(&direct->paris, 5, 7), 0);
    assert_true(lab_wait_heard(&direct->berlin, 5, 2000));
    hang_up(direct);
}

static bool has_dialled_again(void *arg)
{
    return ((struct direct *)arg)->door.accepted > BUNDLE_STREAMS;
}

static void do_doubt(void *arg)
{
    struct path *path = arg;

    path->live.current->ops->doubt(path->live.current, uv_now(path->worker->loop));
}

static void doubt_dials_a_fresh_one_from_the_side_that_can(void **state)
{
    struct direct *direct = *state;
    struct lab_node *nodes[] = {&direct->paris, &direct->berlin};

    call(direct);
    while (direct->door.accepted < BUNDLE_STREAMS)
        lab_run(&direct->lab, NULL, NULL, 5);
    for (int i = 0; i < 2; i++)
        lab_on_worker(&direct->lab, paths_worker(nodes[i]->path), do_doubt, nodes[i]->path);
    assert_true(lab_run(&direct->lab, has_dialled_again, direct, 3000));
    assert_int_equal(lab_say(&direct->berlin, 5, 7), 0);
    assert_true(lab_wait_heard(&direct->paris, 5, 2000));
    assert_int_equal(direct->door.accepted, BUNDLE_STREAMS + 1);
    hang_up(direct);
}

/* Two paths between the same nodes: each has connections of its own. */
static void each_path_has_its_own_connections(void **state)
{
    struct direct *direct = *state;
    struct candidate_path theirs = {.has_key = true, .count = 1};
    struct core_path offer, reply;
    void *paths[2][2];
    uint32_t ssrc[2][2];

    theirs.candidates[0].kind = CANDIDATE_TCP;
    strcpy(theirs.candidates[0].host, direct->door.address);
    for (int i = 0; i < 2; i++) {
        theirs.id[0] = (uint8_t)(1 + i);
        candidate_path_encode(&theirs, &offer);
        for (int side = 0; side < 2; side++) {
            struct lab_node *node = side ? &direct->berlin : &direct->paris;
            struct lab_node *other = side ? &direct->paris : &direct->berlin;
            assert_int_equal(paths_accept(node->paths, identity_certificate(other->identity),
                                          &offer, &reply, &paths[i][side], &ssrc[i][side]),
                             0);
        }
        int expected = BUNDLE_STREAMS * (i + 1);
        for (int n = 0; n < 300 && direct->door.accepted < expected; n++)
            lab_run(&direct->lab, NULL, NULL, 10);
        assert_int_equal(direct->door.accepted, expected);
    }
    for (int i = 0; i < 2; i++) {
        paths_release(direct->paris.paths, paths[i][0], ssrc[i][0]);
        paths_release(direct->berlin.paths, paths[i][1], ssrc[i][1]);
    }
}

/* ---- what is offered and judged ---------------------------------------------------------------
 */

static int offered(struct lab_node *node, const struct lab_node *to)
{
    struct core_path offer;
    struct candidate_path said;
    void *path;
    uint32_t ssrc;
    int count = 0;

    assert_int_equal(
        paths_offer(node->paths, identity_certificate(to->identity), &offer, &path, &ssrc), 0);
    assert_int_equal(candidate_path_decode(&offer, &said), 0);
    for (int i = 0; i < said.count; i++)
        count += said.candidates[i].kind == CANDIDATE_TCP;
    paths_release(node->paths, path, ssrc);
    return count;
}

static void only_an_open_node_offers_itself(void **state)
{
    struct direct *direct = *state;

    assert_int_equal(offered(&direct->paris, &direct->berlin), 1);
    assert_int_equal(offered(&direct->berlin, &direct->paris), 0);
    paths_set_open(direct->paris.paths, NULL);
    assert_int_equal(offered(&direct->paris, &direct->berlin), 0);
}

static void relay_only_neither_offers_nor_dials_nor_accepts(void **state)
{
    struct direct *direct = *state;

    direct->paris.conf.relay_only = true;
    assert_int_equal(offered(&direct->paris, &direct->berlin), 0);
    direct->paris.conf.relay_only = false;
    direct->berlin.conf.relay_only = true;
    assert_int_equal(lab_call(&direct->berlin, &direct->paris), 0);
    assert_false(lab_run(&direct->lab, both_have_ways, direct, 200));
    assert_int_equal(direct->door.accepted, 0);
    direct->berlin.conf.relay_only = false;
    direct->paris.conf.relay_only = true;
    hang_up(direct);
}

struct ask {
    struct path *path;
    int tcp_ways;
    uint64_t implausible;
};

static void do_ask(void *arg)
{
    struct ask *ask = arg;
    struct path_way *way;

    ask->tcp_ways = 0;
    ask->implausible = ask->path->worker->figures.implausible;
    TAILQ_FOREACH(way, &ask->path->live.ways, next)
    ask->tcp_ways += way->ops->rank == PATH_RANK_TCP;
}

static struct ask ask(struct direct *direct, void *path)
{
    struct ask asked = {.path = path};

    lab_on_worker(&direct->lab, paths_worker(path), do_ask, &asked);
    return asked;
}

/* Berlin is called by Paris, which names these places. */
static void *name(struct direct *direct, struct candidate_path *theirs, uint32_t *ssrc)
{
    struct core_path offer, reply;
    void *path;

    theirs->has_key = true;
    candidate_path_encode(theirs, &offer);
    assert_int_equal(paths_accept(direct->berlin.paths,
                                  identity_certificate(direct->paris.identity), &offer, &reply,
                                  &path, ssrc),
                     0);
    return path;
}

static void impossible_places_are_never_dialled(void **state)
{
    static const char *const hosts[] = {
        "224.0.0.1:443",     "0.0.0.0:443",   "[::ffff:0.0.0.0]:443", "169.254.1.1:80",
        "host.example:0",    "127.1:443",     "203.0.113.9:8443",     "RELAY.example:443",
        "relay.example:443", "192.0.2.77:443"};
    struct direct *direct = *state;
    struct candidate_path theirs = {.count = 12};
    uint32_t ssrc;

    for (int i = 0; i < 10; i++) {
        theirs.candidates[i].kind = CANDIDATE_TCP;
        strcpy(theirs.candidates[i].host, hosts[i]);
    }
    /* two relays, and Berlin's own door */
    theirs.candidates[10].kind = theirs.candidates[11].kind = CANDIDATE_RELAY;
    strcpy(theirs.candidates[10].host, "203.0.113.9:8443");
    strcpy(theirs.candidates[11].host, "relay.example:443");
    paths_set_open(direct->berlin.paths, "192.0.2.77:443");
    void *path = name(direct, &theirs, &ssrc);
    assert_int_equal(direct->berlin.paths->implausible, 10);
    assert_int_equal(ask(direct, path).tcp_ways, 0);
    paths_release(direct->berlin.paths, path, ssrc);
}

static void a_peer_names_only_so_many_places(void **state)
{
    struct direct *direct = *state;
    struct candidate_path theirs = {.count = CANDIDATES_MAX};
    uint32_t ssrc;

    for (int i = 0; i < CANDIDATES_MAX; i++) {
        theirs.candidates[i].kind = CANDIDATE_TCP;
        snprintf(theirs.candidates[i].host, CANDIDATE_HOST_MAX, "127.0.0.%d:9", i + 1);
    }
    void *path = name(direct, &theirs, &ssrc);
    struct ask asked = ask(direct, path);
    assert_int_equal(asked.tcp_ways, PATH_TCP_MAX);
    assert_int_equal(asked.implausible, CANDIDATES_MAX - 8);
    paths_release(direct->berlin.paths, path, ssrc);
}

/* An address that leads to another node of the realm: the certificate tells. */
static void only_the_far_end_itself_is_bound(void **state)
{
    struct direct *direct = *state;
    struct candidate_path theirs = {.count = 1};
    struct lab_node rome = {.conf = direct->paris.conf};
    struct door door = {0};
    uint32_t ssrc;

    assert_int_equal(lab_open(&direct->lab, &rome, "rome"), 0);
    door_open(&door, &rome);
    theirs.candidates[0].kind = CANDIDATE_TCP;
    strcpy(theirs.candidates[0].host, door.address);
    void *path = name(direct, &theirs, &ssrc);
    for (int i = 0; i < 300 && door.accepted < BUNDLE_STREAMS; i++)
        lab_run(&direct->lab, NULL, NULL, 10);
    assert_int_equal(door.accepted, BUNDLE_STREAMS);
    lab_run(&direct->lab, NULL, NULL, 50);
    assert_int_equal(paths_count(rome.paths), 0);
    paths_release(direct->berlin.paths, path, ssrc);
    uv_close((uv_handle_t *)&door.listener, NULL);
    lab_close(&rome);
}

/* ---- others who knock -------------------------------------------------------------------------
 */

struct knock {
    struct tls_stream *stream;
    struct lab *lab;
    struct bind_first first;
    char refused[BIND_REASON_MAX];
    bool is_up, is_answered, is_down, is_closed;
};

static void knock_on_up(void *ctx, struct tls_stream *stream, const struct certificate *peer,
                        const char *alpn)
{
    (void)stream;
    (void)peer;
    (void)alpn;
    ((struct knock *)ctx)->is_up = true;
}

static void knock_on_data(void *ctx, struct tls_stream *stream, const uint8_t *data, size_t bytes)
{
    struct knock *knock = ctx;
    const uint8_t *frame;
    size_t frame_bytes;

    (void)stream;
    if (knock->is_answered ||
        bind_first_take(&knock->first, &data, &bytes, &frame, &frame_bytes) <= 0)
        return;
    assert_int_equal(path_bound_decode(frame, frame_bytes, knock->refused), 0);
    knock->is_answered = true;
}

static void knock_on_down(void *ctx, struct tls_stream *stream, const char *why)
{
    (void)stream;
    (void)why;
    ((struct knock *)ctx)->is_down = true;
}

static const struct tls_stream_events knock_events = {
    .on_up = knock_on_up, .on_data = knock_on_data, .on_down = knock_on_down};

static void knock_open(struct knock *knock, struct direct *direct, const struct identity *identity)
{
    struct tls_dial dial = {
        .identity = identity, .address = direct->door.address, .alpn = TLS_ALPN_PATH};

    *knock = (struct knock){.lab = &direct->lab};
    assert_int_equal(
        tls_stream_dial(&direct->lab.control.loop, &dial, &knock_events, knock, &knock->stream), 0);
    assert_true(lab_run(knock->lab, lab_flag, &knock->is_up, 3000));
}

static void knock_bind(struct knock *knock, const uint8_t *id)
{
    uint8_t frame[BIND_LENGTH_BYTES + BIND_FRAME_MAX];

    tls_stream_send(knock->stream, frame, path_bind_encode(id, frame));
    assert_true(lab_run(knock->lab, lab_flag, &knock->is_answered, 3000));
}

static void on_knock_closed(void *ctx)
{
    ((struct knock *)ctx)->is_closed = true;
}

static void knock_close(struct knock *knock)
{
    tls_stream_close_then(knock->stream, on_knock_closed, knock);
    assert_true(lab_run(knock->lab, lab_flag, &knock->is_closed, 3000));
}

/* Neither a path that is not there nor one of others can be had, and the answers are the same. */
static void only_the_far_end_gets_its_path(void **state)
{
    struct direct *direct = *state;
    struct identity *rome = fixture_identity(&direct->lab.realm, "rome", CONF_ROLE_GATEWAY);
    struct knock knock;
    uint8_t id[PATH_ID_BYTES];

    call(direct);
    memcpy(id, ((struct path *)direct->paris.path)->id, sizeof id);
    knock_open(&knock, direct, rome);
    knock_bind(&knock, id);
    assert_string_equal(knock.refused, "no such path");
    assert_true(lab_run(&direct->lab, lab_flag, &knock.is_down, 3000));
    knock_close(&knock);

    id[0] ^= 1;
    knock_open(&knock, direct, direct->berlin.identity);
    knock_bind(&knock, id);
    assert_string_equal(knock.refused, "no such path");
    knock_close(&knock);
    assert_int_equal(ask(direct, direct->paris.path).tcp_ways, 1);
    hang_up(direct);
    identity_free(rome);
}

static void malformed_first_frames_are_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t count;
    } cases[] = {
        {"\0\0\0\2\x0a\x7f", 6}, {"\0\0\0\0", 4}, {"\0\0\0\4\x0a\2ab", 8}, {"\x7f\xff\xff\xff", 4}};
    struct direct *direct = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct knock knock;

        knock_open(&knock, direct, direct->berlin.identity);
        tls_stream_send(knock.stream, (const uint8_t *)cases[i].bytes, cases[i].count);
        assert_true(lab_run(&direct->lab, lab_flag, &knock.is_answered, 3000));
        assert_string_equal(knock.refused, "malformed");
        knock_close(&knock);
    }
}

/* A PathBind sent again on a bound connection is no packet; sent on further connections it binds
 * them, and there are two all the same. */
static void a_repeated_bind_gains_nothing(void **state)
{
    struct direct *direct = *state;
    struct knock knocks[3];
    uint8_t frame[BIND_LENGTH_BYTES + BIND_FRAME_MAX], id[PATH_ID_BYTES];

    call(direct);
    memcpy(id, ((struct path *)direct->paris.path)->id, sizeof id);
    for (int i = 0; i < 3; i++) {
        knock_open(&knocks[i], direct, direct->berlin.identity);
        knock_bind(&knocks[i], id);
        assert_string_equal(knocks[i].refused, "");
    }
    int heard = atomic_load(&direct->paris.packets);
    tls_stream_send(knocks[2].stream, frame, path_bind_encode(id, frame));
    assert_true(lab_run(&direct->lab, lab_flag, &knocks[0].is_down, 3000));
    assert_int_equal(ask(direct, direct->paris.path).tcp_ways, 1);
    assert_int_equal(atomic_load(&direct->paris.packets), heard);
    for (int i = 0; i < 3; i++)
        knock_close(&knocks[i]);
    hang_up(direct);
}

/* One node that says nothing on many connections keeps nobody else out. */
static void silent_connections_are_bounded_per_node(void **state)
{
    enum { KNOCKS = 20, TAKEN = 16 };
    struct direct *direct = *state;
    struct identity *rome = fixture_identity(&direct->lab.realm, "rome", CONF_ROLE_GATEWAY);
    struct knock *knocks = calloc(KNOCKS, sizeof *knocks);

    for (int i = 0; i < KNOCKS; i++)
        knock_open(&knocks[i], direct, rome);
    for (int i = TAKEN; i < KNOCKS; i++)
        assert_true(lab_run(&direct->lab, lab_flag, &knocks[i].is_down, 3000));
    for (int i = 0; i < TAKEN; i++)
        assert_false(knocks[i].is_down);
    call(direct);
    hang_up(direct);
    for (int i = 0; i < KNOCKS; i++)
        knock_close(&knocks[i]);
    free(knocks);
    identity_free(rome);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(whoever_knows_an_open_end_dials_it),
        TEST(an_open_caller_is_dialled),
        TEST(doubt_dials_a_fresh_one_from_the_side_that_can),
        TEST(each_path_has_its_own_connections),
        TEST(only_an_open_node_offers_itself),
        TEST(relay_only_neither_offers_nor_dials_nor_accepts),
        TEST(impossible_places_are_never_dialled),
        TEST(a_peer_names_only_so_many_places),
        TEST(only_the_far_end_itself_is_bound),
        TEST(only_the_far_end_gets_its_path),
        TEST(malformed_first_frames_are_refused),
        TEST(a_repeated_bind_gains_nothing),
        TEST(silent_connections_are_bounded_per_node),
    };
    signal(SIGPIPE, SIG_IGN);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    uv_library_shutdown(); /* its resolver threads; joined after main they hang under TSan */
    return failed;
}
