/* Paths over UDP between two nodes in one process, with real worker threads. */
#include "overlay/path_control.h"
#include "tests/unit/overlay/path_fixture.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct pair {
    int ways_before;
    struct lab lab;
    struct lab_node berlin, paris;
};

static int setup(void **state)
{
    struct pair *pair = calloc(1, sizeof *pair);

    lab_init(&pair->lab);
    pair->berlin.conf = pair->paris.conf = (struct conf_overlay){.udp = true, .keep_path_s = 60};
    assert_int_equal(lab_open(&pair->lab, &pair->berlin, "berlin"), 0);
    assert_int_equal(lab_open(&pair->lab, &pair->paris, "paris"), 0);
    *state = pair;
    return 0;
}

static int teardown(void **state)
{
    struct pair *pair = *state;

    lab_close(&pair->berlin);
    lab_close(&pair->paris);
    lab_fini(&pair->lab);
    free(pair);
    return 0;
}

static bool both_have_ways(void *arg)
{
    struct pair *pair = arg;

    return lab_has_way(&pair->berlin) && lab_has_way(&pair->paris);
}

static void hang_up(struct pair *pair)
{
    lab_hang_up(&pair->berlin);
    lab_hang_up(&pair->paris);
}

static struct path_figures figures_of(struct lab_node *node, int worker)
{
    return node->paths->workers[worker].figures;
}

struct ask {
    struct lab_node *node;
    struct path_figures figures;
    int ways;
};

static void do_ask(void *arg)
{
    struct ask *ask = arg;
    struct path_way *way;

    ask->figures = figures_of(ask->node, paths_worker(ask->node->path));
    TAILQ_FOREACH(way, &((struct path *)ask->node->path)->live.ways, next)
    ask->ways++;
}

static struct ask ask(struct lab_node *node)
{
    struct ask asked = {.node = node};

    lab_on_worker(node->lab, paths_worker(node->path), do_ask, &asked);
    return asked;
}

static void a_call_is_heard_both_ways(void **state)
{
    struct pair *pair = *state;

    assert_int_equal(lab_call(&pair->berlin, &pair->paris), 0);
    assert_int_equal(paths_count(pair->berlin.paths), 1);
    assert_true(lab_run(&pair->lab, both_have_ways, pair, 3000));
    assert_memory_equal(pair->berlin.way, "udp ", 4);
    assert_memory_equal(pair->paris.way, "udp ", 4);
    assert_int_equal(lab_say(&pair->berlin, 10, 7), 0);
    assert_int_equal(lab_say(&pair->paris, 10, 8), 0);
    assert_true(lab_wait_heard(&pair->paris, 10, 1000));
    assert_true(lab_wait_heard(&pair->berlin, 10, 1000));
    assert_int_equal(atomic_load(&pair->paris.last_byte), 7);
    assert_int_equal(atomic_load(&pair->berlin.last_byte), 8);
    hang_up(pair);
}

/* RTCP carries its sender's SSRC: that which we gave to the peer. */
static void rtcp_finds_its_call(void **state)
{
    struct pair *pair = *state;
    uint8_t packet[28] = {0x81, 200};
    struct lab_send send = {NULL, packet, sizeof packet, 1, 0};

    assert_int_equal(lab_call(&pair->berlin, &pair->paris), 0);
    assert_true(lab_run(&pair->lab, both_have_ways, pair, 3000));
    send.path = pair->berlin.path;
    for (int i = 0; i < 4; i++)
        packet[4 + i] = (uint8_t)(pair->berlin.ssrc_out >> (24 - 8 * i));
    lab_on_worker(&pair->lab, paths_worker(send.path), lab_do_send, &send);
    assert_true(lab_wait_heard(&pair->paris, 1, 1000));
    hang_up(pair);
}

/* One call may say 600 packets in a burst, which is six seconds of voice. */
static void a_flood_is_cut(void **state)
{
    struct pair *pair = *state;
    int heard;

    assert_int_equal(lab_call(&pair->berlin, &pair->paris), 0);
    assert_true(lab_run(&pair->lab, both_have_ways, pair, 3000));
    for (int i = 0; i < 20; i++)
        assert_int_equal(lab_say(&pair->berlin, 100, 7), 0);
    lab_run(&pair->lab, NULL, NULL, 50);
    heard = atomic_load(&pair->paris.packets);
    assert_in_range(heard, 500, 1500);
    assert_int_equal(ask(&pair->paris).figures.flood + (uint64_t)heard, 2000);
    hang_up(pair);
}

static void packets_of_nobody_are_dropped(void **state)
{
    struct pair *pair = *state;

    assert_int_equal(lab_call(&pair->berlin, &pair->paris), 0);
    assert_true(lab_run(&pair->lab, both_have_ways, pair, 3000));
    pair->berlin.ssrc_out++;
    assert_int_equal(lab_say(&pair->berlin, 3, 1), 0);
    assert_false(lab_wait_heard(&pair->paris, 1, 30));
    assert_int_equal(ask(&pair->paris).figures.stranger, 3);
    hang_up(pair);
}

static void start_listening(struct lab_node *node, uint32_t ssrc)
{
    atomic_store(&node->packets, 0);
    paths_hold(node->path);
    paths_listen(node->path, ssrc, lab_receive, node);
}

static void stop_listening(struct lab_node *node, uint32_t ssrc)
{
    bool is_closed = false;

    paths_unlisten(node->path, ssrc, lab_on_port_closed, &is_closed);
    assert_true(lab_run(node->lab, lab_flag, &is_closed, 3000));
}

static void say_before_it_listens(struct pair *pair, int count, uint8_t last)
{
    uint64_t before = ask(&pair->paris).figures.stranger;

    assert_int_equal(lab_say(&pair->berlin, count, last), 0);
    while (ask(&pair->paris).figures.stranger < before + (uint64_t)count)
        lab_run(&pair->lab, NULL, NULL, 1);
}

/* Says so many, then listens; how many of them were heard. A machine that was away meanwhile (they
 * wait for 300 ms) tries again. */
static int hear_early(struct pair *pair, int count, uint8_t last)
{
    struct lab_node *paris = &pair->paris;
    uint64_t start_ms, took_ms;

    do {
        stop_listening(paris, paris->ssrc_in);
        lab_run(&pair->lab, NULL, NULL, 350); /* nothing is left of before */
        start_ms = uv_hrtime() / 1000000;
        say_before_it_listens(pair, count - 1, (uint8_t)(last + 1));
        say_before_it_listens(pair, 1, last);
        start_listening(paris, paris->ssrc_in);
        lab_run(&pair->lab, NULL, NULL, 20);
        took_ms = uv_hrtime() / 1000000 - start_ms;
    } while (took_ms > 250);
    return atomic_load(&paris->packets);
}

/* Who has just answered speaks at once, while the other end still makes its listener: its first
 * words wait for that, but not long, and not many. */
static void media_that_comes_before_its_listener_is_heard(void **state)
{
    struct pair *pair = *state;
    struct lab_node *paris = &pair->paris;

    assert_int_equal(lab_call(&pair->berlin, paris), 0);
    assert_true(lab_run(&pair->lab, both_have_ways, pair, 3000));
    assert_int_equal(hear_early(pair, 5, 7), 5);
    assert_int_equal(atomic_load(&paris->last_byte), 7); /* in their order */
    stop_listening(paris, paris->ssrc_in);
    start_listening(paris, paris->ssrc_in);
    assert_false(lab_wait_heard(paris, 1, 20)); /* once */
    assert_int_equal(hear_early(pair, PATH_EARLY_MAX + 10, 9), PATH_EARLY_MAX);
    assert_int_equal(atomic_load(&paris->last_byte), 9); /* the newest of them */

    stop_listening(paris, paris->ssrc_in);
    say_before_it_listens(pair, 3, 11);
    start_listening(paris, paris->ssrc_in + 1);
    assert_false(lab_wait_heard(paris, 1, 20)); /* they are for another one */
    stop_listening(paris, paris->ssrc_in + 1);
    lab_run(&pair->lab, NULL, NULL, 350);
    start_listening(paris, paris->ssrc_in);
    assert_false(lab_wait_heard(paris, 1, 20)); /* too old to be said now */
    hang_up(pair);
}

/* The offer's key is changed on the way: nothing may be proved. */
static void a_wrong_key_proves_nothing(void **state)
{
    struct pair *pair = *state;
    struct core_path offer, reply;
    struct candidate_path changed;

    assert_int_equal(paths_offer(pair->berlin.paths, identity_certificate(pair->paris.identity),
                                 &offer, &pair->berlin.path, &pair->berlin.ssrc_in),
                     0);
    assert_int_equal(candidate_path_decode(&offer, &changed), 0);
    changed.key[31] ^= 1;
    assert_int_equal(candidate_path_encode(&changed, &offer), 0);
    assert_int_equal(paths_accept(pair->paris.paths, identity_certificate(pair->berlin.identity),
                                  &offer, &reply, &pair->paris.path, &pair->paris.ssrc_in),
                     0);
    assert_int_equal(paths_learn(pair->berlin.paths, pair->berlin.path, &reply), 0);
    assert_false(lab_run(&pair->lab, both_have_ways, pair, 400));
    assert_false(lab_has_way(&pair->berlin) || lab_has_way(&pair->paris));
    assert_true(ask(&pair->berlin).figures.check_forged > 0);
    assert_true(ask(&pair->paris).figures.check_forged > 0);
    assert_int_equal(lab_say(&pair->berlin, 1, 1), -ENOTCONN);
    paths_release(pair->berlin.paths, pair->berlin.path, pair->berlin.ssrc_in);
    paths_release(pair->paris.paths, pair->paris.path, pair->paris.ssrc_in);
    /* it never led anywhere: nothing to keep warm */
    assert_int_equal(paths_count(pair->berlin.paths), 0);
}

static void the_next_call_uses_the_warm_path(void **state)
{
    struct pair *pair = *state;

    assert_int_equal(lab_call(&pair->berlin, &pair->paris), 0);
    assert_true(lab_run(&pair->lab, both_have_ways, pair, 3000));
    void *first = pair->berlin.path;
    hang_up(pair);
    assert_int_equal(paths_count(pair->berlin.paths), 1);

    /* also when the other side calls */
    assert_int_equal(lab_call(&pair->paris, &pair->berlin), 0);
    assert_ptr_equal(pair->berlin.path, first);
    assert_int_equal(paths_count(pair->paris.paths), 1);
    assert_int_equal(lab_say(&pair->paris, 1, 1), 0); /* at once */
    assert_true(lab_wait_heard(&pair->berlin, 1, 1000));
    assert_true(lab_run(&pair->lab, both_have_ways, pair, 1000)); /* and its calls are told */
    hang_up(pair);
}

static bool berlin_can_speak(void *arg)
{
    return lab_say(&((struct pair *)arg)->berlin, 10, 7) == 0;
}

/* Berlin's path is warm still, but who answered at its end is gone. */
static void a_restarted_far_end_is_found_at_once(void **state)
{
    struct pair *pair = *state;

    assert_int_equal(lab_call(&pair->berlin, &pair->paris), 0);
    assert_true(lab_run(&pair->lab, both_have_ways, pair, 3000));
    hang_up(pair);
    assert_int_equal(lab_restart(&pair->paris), 0);

    assert_int_equal(lab_call(&pair->berlin, &pair->paris), 0);
    assert_true(lab_run(&pair->lab, berlin_can_speak, pair, 300));
    assert_true(lab_wait_heard(&pair->paris, 10, 300));
    hang_up(pair);
}

static void a_cold_path_ends(void **state)
{
    struct pair *pair = *state;

    pair->berlin.conf.keep_path_s = 0;
    assert_int_equal(lab_call(&pair->berlin, &pair->paris), 0);
    assert_true(lab_run(&pair->lab, both_have_ways, pair, 3000));
    hang_up(pair);
    assert_int_equal(paths_count(pair->berlin.paths), 0);
    assert_int_equal(paths_count(pair->paris.paths), 1);

    /* Berlin has forgotten it; Paris has not and calls: its offer builds it again. */
    assert_int_equal(lab_call(&pair->paris, &pair->berlin), 0);
    assert_true(lab_run(&pair->lab, both_have_ways, pair, 3000));
    assert_int_equal(lab_say(&pair->berlin, 1, 1), 0);
    assert_true(lab_wait_heard(&pair->paris, 1, 1000));
    hang_up(pair);
}

/* Neither is a warm one kept, nor that of a call that was up. */
static void a_path_to_a_revoked_node_ends(void **state)
{
    struct pair *pair = *state;

    assert_int_equal(lab_call(&pair->berlin, &pair->paris), 0);
    assert_true(lab_run(&pair->lab, both_have_ways, pair, 3000));
    hang_up(pair);
    paths_revoke(pair->berlin.paths);
    assert_int_equal(paths_count(pair->berlin.paths), 1);
    fixture_revoke(&pair->lab.realm, pair->berlin.identity, pair->paris.identity);
    paths_revoke(pair->berlin.paths);
    assert_int_equal(paths_count(pair->berlin.paths), 0);

    assert_int_equal(lab_call(&pair->berlin, &pair->paris), 0); /* the core would not */
    assert_true(lab_run(&pair->lab, both_have_ways, pair, 3000));
    paths_revoke(pair->berlin.paths);
    assert_int_equal(paths_count(pair->berlin.paths), 1); /* its call and port are to let go */
    hang_up(pair);
    assert_int_equal(paths_count(pair->berlin.paths), 0);

    assert_int_equal(paths_count(pair->paris.paths), 2);
    fixture_revoke(&pair->lab.realm, pair->paris.identity, pair->paris.identity);
    paths_revoke(pair->paris.paths);
    assert_int_equal(paths_count(pair->paris.paths), 0);
}

static void paths_of_others_cannot_be_taken(void **state)
{
    struct pair *pair = *state;
    struct identity *rome = fixture_identity(&pair->lab.realm, "rome", CONF_ROLE_GATEWAY);
    struct core_path offer, reply;
    void *path;
    uint32_t ssrc;

    assert_int_equal(lab_call(&pair->berlin, &pair->paris), 0);
    struct candidate_path theirs = {.has_key = true};
    memcpy(theirs.id, ((struct path *)pair->berlin.path)->id, PATH_ID_BYTES);
    memcpy(theirs.key, ((struct path *)pair->berlin.path)->key, PATH_KEY_BYTES);
    candidate_path_encode(&theirs, &offer);
    assert_int_equal(
        paths_accept(pair->paris.paths, identity_certificate(rome), &offer, &reply, &path, &ssrc),
        -EINVAL);
    /* nor may the right peer change the key */
    theirs.key[0] ^= 1;
    candidate_path_encode(&theirs, &offer);
    assert_int_equal(paths_accept(pair->paris.paths, identity_certificate(pair->berlin.identity),
                                  &offer, &reply, &path, &ssrc),
                     -EINVAL);
    /* nor name one that is not known without its key */
    theirs.id[0] ^= 1;
    theirs.has_key = false;
    candidate_path_encode(&theirs, &offer);
    assert_int_equal(paths_accept(pair->paris.paths, identity_certificate(pair->berlin.identity),
                                  &offer, &reply, &path, &ssrc),
                     -ENOENT);
    assert_int_equal(paths_learn(pair->berlin.paths, pair->berlin.path, &offer), -EINVAL);
    assert_int_equal(paths_offer(pair->berlin.paths, identity_certificate(pair->berlin.identity),
                                 &offer, &path, &ssrc),
                     -ELOOP);
    identity_free(rome);
    hang_up(pair);
}

static void a_peer_gets_no_endless_number_of_paths(void **state)
{
    struct pair *pair = *state;
    struct candidate_path theirs = {.has_key = true};
    struct core_path offer, reply;
    void *path[64];
    uint32_t ssrc[64];
    int made = 0, err = 0;

    for (; made < 64 && err == 0; made += err == 0) {
        theirs.id[0] = (uint8_t)made;
        candidate_path_encode(&theirs, &offer);
        err = paths_accept(pair->paris.paths, identity_certificate(pair->berlin.identity), &offer,
                           &reply, &path[made], &ssrc[made]);
    }
    assert_int_equal(err, -ENOBUFS);
    assert_int_equal(made, 32);
    while (made-- > 0)
        paths_release(pair->paris.paths, path[made], ssrc[made]);
}

static void many_calls_spread_over_the_workers(void **state)
{
    enum { CALLS = 70 };
    struct pair *pair = *state;
    struct core_path offer;
    void *path[CALLS];
    uint32_t ssrc[CALLS];

    for (int i = 0; i < CALLS; i++)
        assert_int_equal(paths_offer(pair->berlin.paths, identity_certificate(pair->paris.identity),
                                     &offer, &path[i], &ssrc[i]),
                         0);
    assert_int_equal(paths_count(pair->berlin.paths), 2);
    assert_int_not_equal(paths_worker(path[0]), paths_worker(path[CALLS - 6]));
    for (int i = 0; i < CALLS; i++)
        paths_release(pair->berlin.paths, path[i], ssrc[i]);
}

/* What an inbox does not take waits, in order, and is not lost. */
static void full_inboxes_only_delay(void **state)
{
    struct pair *pair = *state;

    lab_set_full(&pair->lab, true);
    assert_int_equal(lab_call(&pair->berlin, &pair->paris), 0);
    assert_false(lab_run(&pair->lab, both_have_ways, pair, 30));
    assert_true(pair->lab.worker[0].refused > 0);
    lab_set_full(&pair->lab, false);
    assert_true(lab_run(&pair->lab, both_have_ways, pair, 3000));
    assert_int_equal(lab_say(&pair->berlin, 1, 1), 0);
    assert_true(lab_wait_heard(&pair->paris, 1, 1000));
    hang_up(pair);
}

/* Addresses that cannot be a peer's are not tried, whatever the peer says. */
static void implausible_candidates_are_never_probed(void **state)
{
    static const char *const texts[] = {"224.0.0.1:4000",        "255.255.255.255:4000",
                                        "0.0.0.0:4000",          "[::ffff:0.0.0.0]:4000",
                                        "[::ffff:224.0.0.1]:53", "[ff02::1]:4000",
                                        "169.254.169.254:80",    "[fe80::1]:4000"};
    struct pair *pair = *state;
    struct candidate_path theirs = {.has_key = true};
    struct core_path offer, reply;
    int count = (int)(sizeof texts / sizeof *texts);

    for (int i = 0; i < count; i++)
        address_parse(texts[i], &theirs.candidates[theirs.count++].address);
    candidate_path_encode(&theirs, &offer);
    assert_int_equal(paths_accept(pair->paris.paths, identity_certificate(pair->berlin.identity),
                                  &offer, &reply, &pair->paris.path, &pair->paris.ssrc_in),
                     0);
    assert_int_equal(pair->paris.paths->implausible, count);
    if (!pair->paris.paths->is_loopback) {
        theirs.count = 2;
        address_parse("127.0.0.1:4000", &theirs.candidates[0].address);
        address_parse("[::ffff:127.0.0.1]:4000", &theirs.candidates[1].address);
        candidate_path_encode(&theirs, &offer);
        assert_int_equal(paths_learn(pair->paris.paths, pair->paris.path, &offer), 0);
        assert_int_equal(pair->paris.paths->implausible, count + 2);
    }
    /* its own socket */
    theirs.count = 1;
    theirs.candidates[0].address = pair->paris.paths->own[0];
    candidate_path_encode(&theirs, &offer);
    assert_int_equal(paths_learn(pair->paris.paths, pair->paris.path, &offer), 0);

    lab_run(&pair->lab, NULL, NULL, 60);
    struct ask asked = ask(&pair->paris);
    assert_int_equal(asked.ways, 0);
    assert_int_equal(asked.figures.checks_sent, 0);
    paths_release(pair->paris.paths, pair->paris.path, pair->paris.ssrc_in);
}

/* ---- a stranger with a socket -----------------------------------------------------------------
 */

struct stranger {
    int fd;
    struct sockaddr_storage target; /* the node's socket */
    uint8_t key[32], back_key[32];
    char username[PATH_USERNAME_BYTES];
    uint8_t number;
};

static void stranger_open(struct stranger *stranger, struct pair *pair,
                          const struct core_path *offer)
{
    struct candidate_path said;
    struct timeval timeout = {.tv_usec = 60000};

    assert_int_equal(candidate_path_decode(offer, &said), 0);
    assert_true(said.count > 0);
    memset(stranger, 0, sizeof *stranger);
    stranger->target = said.candidates[0].address;
    sodium_bin2hex(stranger->username, sizeof stranger->username, said.id, sizeof said.id);
    /* signs as Paris would */
    crypto_generichash(stranger->key, 32, identity_certificate(pair->paris.identity)->node,
                       OVERLAY_NODE_ID_BYTES, said.key, sizeof said.key);
    crypto_generichash(stranger->back_key, 32, identity_certificate(pair->berlin.identity)->node,
                       OVERLAY_NODE_ID_BYTES, said.key, sizeof said.key);
    stranger->fd = socket(stranger->target.ss_family, SOCK_DGRAM, 0);
    struct sockaddr_storage own = stranger->target;
    address_set_port(&own, 0);
    assert_int_equal(bind(stranger->fd, (struct sockaddr *)&own, address_length(&own)), 0);
    setsockopt(stranger->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
}

static void stranger_send(struct stranger *stranger, const uint8_t *data, size_t bytes)
{
    sendto(stranger->fd, data, bytes, 0, (struct sockaddr *)&stranger->target,
           address_length(&stranger->target));
}

/* Is the next packet a Binding response? Checks of the node to us are passed over. */
static bool stranger_is_answered(struct pair *pair, struct stranger *stranger)
{
    uint8_t data[2048];
    struct stun_message message;

    lab_run(&pair->lab, NULL, NULL, 5);
    for (;;) {
        ssize_t got = recv(stranger->fd, data, sizeof data, 0);
        if (got < 0)
            return false;
        if (stun_decode(data, (size_t)got, &message) == 0 && message.type == STUN_BINDING_RESPONSE)
            return stun_verify(data, &message, stranger->back_key, 32);
    }
}

static size_t stranger_request(struct stranger *stranger, uint8_t *out)
{
    uint8_t transaction[STUN_TRANSACTION_BYTES] = {1, 0, 0, 0, 0, ++stranger->number};

    return stun_encode_request(out, transaction, stranger->username, stranger->key);
}

static void only_fresh_signed_checks_are_answered(void **state)
{
    struct pair *pair = *state;
    struct stranger stranger;
    struct core_path offer;
    uint8_t request[STUN_MESSAGE_MAX];
    size_t bytes;

    assert_int_equal(paths_offer(pair->berlin.paths, identity_certificate(pair->paris.identity),
                                 &offer, &pair->berlin.path, &pair->berlin.ssrc_in),
                     0);
    stranger_open(&stranger, pair, &offer);

    /* cut short, anonymous, of another path, forged: silence */
    bytes = stranger_request(&stranger, request);
    stranger_send(&stranger, request, bytes - 1);
    stranger_send(&stranger, request, bytes - 8); /* without its fingerprint */
    stranger_send(&stranger,
                  (const uint8_t *)"\0\1\0\0\x21\x12\xa4\x42"
                                   "aaaabbbbcccc",
                  20);
    uint8_t transaction[STUN_TRANSACTION_BYTES] = {1};
    bytes = stun_encode_request(request, transaction, "0011223344556677", stranger.key);
    stranger_send(&stranger, request, bytes);
    bytes = stun_encode_request(request, transaction, stranger.username, stranger.back_key);
    stranger_send(&stranger, request, bytes);
    assert_false(stranger_is_answered(pair, &stranger));
    struct path_figures figures = ask(&pair->berlin).figures;
    assert_int_equal(figures.check_malformed, 3);
    assert_int_equal(figures.check_unknown, 1);
    assert_int_equal(figures.check_forged, 1);
    assert_int_equal(figures.checks_sent, 0);

    /* a good one is answered and becomes an address to check; once */
    bytes = stranger_request(&stranger, request);
    stranger_send(&stranger, request, bytes);
    assert_true(stranger_is_answered(pair, &stranger));
    stranger_send(&stranger, request, bytes);
    assert_false(stranger_is_answered(pair, &stranger));
    struct ask asked = ask(&pair->berlin);
    assert_int_equal(asked.figures.check_replayed, 1);
    assert_int_equal(asked.ways, 1);
    assert_true(asked.figures.checks_sent > 0);

    /* late ones count as long as they are not too late */
    stranger.number = 100;
    bytes = stranger_request(&stranger, request);
    stranger_send(&stranger, request, bytes);
    assert_true(stranger_is_answered(pair, &stranger));
    stranger.number = 60;
    bytes = stranger_request(&stranger, request);
    stranger_send(&stranger, request, bytes);
    assert_true(stranger_is_answered(pair, &stranger));
    stranger.number = 30;
    bytes = stranger_request(&stranger, request);
    stranger_send(&stranger, request, bytes);
    assert_false(stranger_is_answered(pair, &stranger));
    close(stranger.fd);
    paths_release(pair->berlin.paths, pair->berlin.path, pair->berlin.ssrc_in);
}

/* Our own requests, thrown back at us, prove nothing. */
struct tell {
    struct path *path;
    struct sockaddr_storage address;
};

static void do_tell(void *arg)
{
    struct tell *tell = arg;

    path_check_tell(tell->path->live.current, &tell->address);
}

static void tell(struct lab_node *node, const struct sockaddr_storage *address)
{
    struct tell told = {node->path, *address};

    lab_on_worker(node->lab, paths_worker(node->path), do_tell, &told);
}

static bool has_two_ways_more(void *arg)
{
    struct pair *pair = arg;

    return ask(&pair->paris).ways == pair->ways_before + 2;
}

static bool are_eight_judged(void *arg)
{
    struct lab_node *paris = &((struct pair *)arg)->paris;

    return paris->paths->implausible + ask(paris).figures.implausible == 12;
}

/* Berlin finds out in the middle of the call that it has another address. */
static void an_address_told_later_is_checked(void **state)
{
    struct pair *pair = *state;
    struct sockaddr_storage address; /* on this machine, where nobody listens */

    assert_int_equal(lab_call(&pair->berlin, &pair->paris), 0);
    assert_true(lab_run(&pair->lab, both_have_ways, pair, 3000));
    pair->ways_before = ask(&pair->paris).ways;
    address = pair->paris.paths->hosts[0];
    address_set_port(&address, 4000);
    tell(&pair->berlin, &address);
    tell(&pair->berlin, &address); /* as always, more than once */
    address_set_port(&address, 4001);
    tell(&pair->berlin, &address);
    assert_true(lab_run(&pair->lab, has_two_ways_more, pair, 2000));
    hang_up(pair);
}

/* What it says is judged like any candidate, and there is an end to it. */
static void addresses_told_later_are_judged_and_bounded(void **state)
{
    struct pair *pair = *state;
    struct sockaddr_storage address = {0};

    assert_int_equal(lab_call(&pair->berlin, &pair->paris), 0);
    assert_true(lab_run(&pair->lab, both_have_ways, pair, 3000));
    pair->ways_before = ask(&pair->paris).ways;
    for (int i = 0; i < 12; i++) {
        address_parse(i % 2 ? "224.0.0.1:4000" : "0.0.0.0:4000", &address);
        address_set_port(&address, (uint16_t)(4000 + i));
        tell(&pair->berlin, &address);
    }
    assert_true(lab_run(&pair->lab, are_eight_judged, pair, 2000));
    assert_int_equal(ask(&pair->paris).figures.implausible, 4); /* not even judged */
    assert_int_equal(ask(&pair->paris).ways, pair->ways_before);
    hang_up(pair);
}

static void reflected_checks_prove_nothing(void **state)
{
    struct pair *pair = *state;
    struct stranger stranger;
    struct core_path offer, reply;
    uint8_t data[2048];
    int reflected = 0;

    assert_int_equal(paths_offer(pair->berlin.paths, identity_certificate(pair->paris.identity),
                                 &offer, &pair->berlin.path, &pair->berlin.ssrc_in),
                     0);
    stranger_open(&stranger, pair, &offer);
    struct candidate_path theirs = {.count = 1};
    memcpy(theirs.id, ((struct path *)pair->berlin.path)->id, PATH_ID_BYTES);
    socklen_t length = sizeof theirs.candidates[0].address;
    getsockname(stranger.fd, (struct sockaddr *)&theirs.candidates[0].address, &length);
    candidate_path_encode(&theirs, &reply);
    assert_int_equal(paths_learn(pair->berlin.paths, pair->berlin.path, &reply), 0);
    for (int i = 0; i < 3; i++) {
        lab_run(&pair->lab, NULL, NULL, 60);
        ssize_t got = recv(stranger.fd, data, sizeof data, 0);
        if (got > 0) {
            stranger_send(&stranger, data, (size_t)got);
            reflected++;
        }
    }
    lab_run(&pair->lab, NULL, NULL, 20);
    assert_true(reflected > 0);
    assert_int_equal(ask(&pair->berlin).figures.check_forged, reflected);
    assert_false(lab_has_way(&pair->berlin));
    close(stranger.fd);
    paths_release(pair->berlin.paths, pair->berlin.path, pair->berlin.ssrc_in);
}

/* Someone who has the key still cannot make us keep more than a handful of addresses. */
static void addresses_to_check_are_bounded(void **state)
{
    struct pair *pair = *state;
    struct stranger stranger;
    struct core_path offer;
    uint8_t request[STUN_MESSAGE_MAX];

    assert_int_equal(paths_offer(pair->berlin.paths, identity_certificate(pair->paris.identity),
                                 &offer, &pair->berlin.path, &pair->berlin.ssrc_in),
                     0);
    for (int i = 0; i < 40; i++) {
        uint8_t number = i ? stranger.number : 0;
        stranger_open(&stranger, pair, &offer);
        stranger.number = number;
        size_t bytes = stranger_request(&stranger, request);
        stranger_send(&stranger, request, bytes);
        lab_run(&pair->lab, NULL, NULL, 2);
        close(stranger.fd);
    }
    lab_run(&pair->lab, NULL, NULL, 30);
    assert_int_equal(ask(&pair->berlin).ways, CANDIDATES_MAX);
    paths_release(pair->berlin.paths, pair->berlin.path, pair->berlin.ssrc_in);
}

static void a_taken_port_is_told(void **state)
{
    struct pair *pair = *state;
    struct lab_node second = {.conf = {.udp = true}};

    second.conf.udp_port = path_socket_port(pair->berlin.paths->workers[0].socket);
    assert_int_equal(lab_open(&pair->lab, &second, "rome"), -EADDRINUSE);
    identity_free(second.identity);
}

static void relay_only_shows_no_address(void **state)
{
    struct lab_node rome = {.conf = {.udp = true, .relay_only = true}};
    struct pair *pair = *state;
    struct core_path offer;
    struct candidate_path said;

    assert_int_equal(lab_open(&pair->lab, &rome, "rome"), 0);
    lab_knows_relay(&rome, pair->berlin.identity, "203.0.113.5:443");
    assert_int_equal(paths_offer(rome.paths, identity_certificate(pair->paris.identity), &offer,
                                 &rome.path, &rome.ssrc_in),
                     0);
    assert_int_equal(candidate_path_decode(&offer, &said), 0);
    assert_int_equal(said.count, 1);
    assert_int_equal(said.candidates[0].kind, CANDIDATE_RELAY);
    paths_release(rome.paths, rome.path, rome.ssrc_in);
    lab_close(&rome);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(a_call_is_heard_both_ways),
        TEST(rtcp_finds_its_call),
        TEST(a_flood_is_cut),
        TEST(packets_of_nobody_are_dropped),
        TEST(media_that_comes_before_its_listener_is_heard),
        TEST(a_wrong_key_proves_nothing),
        TEST(the_next_call_uses_the_warm_path),
        TEST(a_restarted_far_end_is_found_at_once),
        TEST(a_cold_path_ends),
        TEST(a_path_to_a_revoked_node_ends),
        TEST(paths_of_others_cannot_be_taken),
        TEST(a_peer_gets_no_endless_number_of_paths),
        TEST(many_calls_spread_over_the_workers),
        TEST(full_inboxes_only_delay),
        TEST(implausible_candidates_are_never_probed),
        TEST(only_fresh_signed_checks_are_answered),
        TEST(an_address_told_later_is_checked),
        TEST(addresses_told_later_are_judged_and_bounded),
        TEST(reflected_checks_prove_nothing),
        TEST(addresses_to_check_are_bounded),
        TEST(a_taken_port_is_told),
        TEST(relay_only_shows_no_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
