/* Who learns our addresses, and when: a call attempt alone tells a stranger nothing. */
#include "overlay/path_control.h"
#include "tests/unit/overlay/path_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct pair {
    struct lab lab;
    struct lab_node berlin, paris;
};

static void open_pair(struct pair *pair, const char *trusted)
{
    lab_init(&pair->lab);
    pair->berlin.conf = pair->paris.conf = (struct conf_overlay){.udp = true, .keep_path_s = 60};
    pair->paris.is_wary = true;
    if (trusted)
        pair->paris.conf.trust[pair->paris.conf.trust_count++] = (char *)trusted;
    assert_int_equal(lab_open(&pair->lab, &pair->berlin, "berlin"), 0);
    assert_int_equal(lab_open(&pair->lab, &pair->paris, "paris"), 0);
}

static int set_up(void **state)
{
    *state = calloc(1, sizeof(struct pair));
    return 0;
}

static int tear_down(void **state)
{
    struct pair *pair = *state;

    lab_close(&pair->berlin);
    lab_close(&pair->paris);
    lab_fini(&pair->lab);
    free(pair);
    return 0;
}

/* Offer and accept; what the callee says of itself. */
static void ring(struct pair *pair, struct candidate_path *said, struct core_path *reply)
{
    struct lab_node *caller = &pair->berlin, *callee = &pair->paris;
    struct core_path offer;

    assert_int_equal(paths_offer(caller->paths, identity_certificate(callee->identity), &offer,
                                 &caller->path, &caller->ssrc_in),
                     0);
    assert_int_equal(paths_accept(callee->paths, identity_certificate(caller->identity), &offer,
                                  reply, &callee->path, &callee->ssrc_in),
                     0);
    assert_int_equal(candidate_path_decode(reply, said), 0);
}

static int count_addresses(const struct candidate_path *said)
{
    int count = 0;

    for (int i = 0; i < said->count; i++)
        count += said->candidates[i].kind != CANDIDATE_RELAY;
    return count;
}

static void release(struct pair *pair)
{
    paths_release(pair->berlin.paths, pair->berlin.path, pair->berlin.ssrc_in);
    paths_release(pair->paris.paths, pair->paris.path, pair->paris.ssrc_in);
    pair->berlin.path = pair->paris.path = NULL;
}

struct reading {
    struct path_worker *worker;
    struct path_figures figures;
};

static void on_read(void *arg)
{
    struct reading *reading = arg;

    reading->figures = reading->worker->figures;
}

static struct path_figures figures_of(const struct lab_node *node)
{
    int worker = paths_worker(node->path);
    struct reading reading = {.worker = &node->paths->workers[worker]};

    lab_on_worker(node->lab, worker, on_read, &reading);
    return reading.figures;
}

static bool has_turned_checks_away(void *arg)
{
    return figures_of(&((struct pair *)arg)->paris).check_hidden >= 3;
}

static bool both_have_ways(void *arg)
{
    struct pair *pair = arg;

    return lab_has_way(&pair->berlin) && lab_has_way(&pair->paris);
}

static void a_trusted_site_is_told_at_once(void **state)
{
    struct pair *pair = *state;
    struct candidate_path said;
    struct core_path reply, more;

    open_pair(pair, "Berlin"); /* names fold */
    ring(pair, &said, &reply);
    assert_true(count_addresses(&said) > 0);
    assert_int_equal(paths_show(pair->paris.paths, pair->paris.path, &more), 0);
    assert_int_equal(more.bytes, 0); /* nothing new to tell */
    release(pair);
}

/* A relay of ours hides us, unless we are that relay. */
static void a_stranger_is_told_of_relays_but_not_of_ourselves(void **state)
{
    struct pair *pair = *state;
    struct candidate_path said;
    struct core_path reply;

    open_pair(pair, "oslo");
    pair->paris.conf.supernodes[0] = (char *)"127.0.0.1:9"; /* a realm on this machine */
    pair->paris.conf.supernode_count = 1;
    lab_knows_relay(&pair->paris, pair->berlin.identity, "127.0.0.1:9");
    ring(pair, &said, &reply);
    assert_int_equal(said.count, 1);
    assert_int_equal(said.candidates[0].kind, CANDIDATE_RELAY);
    release(pair);

    pair->paris.relays[0].is_self = true;
    ring(pair, &said, &reply);
    assert_int_equal(said.count, 0);
    release(pair);
}

static void a_stranger_is_told_with_the_answer(void **state)
{
    struct pair *pair = *state;
    struct candidate_path said;
    struct core_path reply;

    open_pair(pair, "oslo");
    ring(pair, &said, &reply);
    assert_int_equal(count_addresses(&said), 0);
    assert_int_equal(paths_learn(pair->berlin.paths, pair->berlin.path, &reply), 0);

    assert_int_equal(paths_show(pair->paris.paths, pair->paris.path, &reply), 0);
    assert_int_equal(candidate_path_decode(&reply, &said), 0);
    assert_true(count_addresses(&said) > 0);
    assert_int_equal(paths_learn(pair->berlin.paths, pair->berlin.path, &reply), 0);
    assert_true(lab_run(&pair->lab, both_have_ways, pair, 5000));
    release(pair);
}

/* He may know or guess an address of ours and knock there: silence, and we do not knock either. */
static void a_stranger_who_guesses_hears_nothing(void **state)
{
    struct pair *pair = *state;
    struct candidate_path said;
    struct core_path reply;
    struct sockaddr_storage host[1];

    open_pair(pair, NULL);
    ring(pair, &said, &reply);
    assert_int_equal(count_addresses(&said), 0);
    assert_int_equal(paths_hosts(pair->paris.paths, host, 1), 1);
    address_set_port(
        &host[0],
        path_socket_port(pair->paris.paths->workers[paths_worker(pair->paris.path)].socket));
    said.candidates[said.count].kind = CANDIDATE_UDP;
    said.candidates[said.count++].address = host[0];
    assert_int_equal(candidate_path_encode(&said, &reply), 0);
    assert_int_equal(paths_learn(pair->berlin.paths, pair->berlin.path, &reply), 0);

    assert_true(lab_run(&pair->lab, has_turned_checks_away, pair, 5000));
    assert_false(lab_has_way(&pair->berlin));
    assert_false(lab_has_way(&pair->paris));
    assert_int_equal(figures_of(&pair->paris).checks_sent, 0);
    assert_int_equal(figures_of(&pair->berlin).checks_answered, 0);

    assert_int_equal(paths_show(pair->paris.paths, pair->paris.path, &reply), 0);
    assert_int_equal(paths_learn(pair->berlin.paths, pair->berlin.path, &reply), 0);
    assert_true(lab_run(&pair->lab, both_have_ways, pair, 5000));
    release(pair);
}

/* Whoever we call ourselves may know where we are. */
static void our_own_call_shows_us(void **state)
{
    struct pair *pair = *state;
    struct candidate_path said;
    struct core_path reply, offer;
    uint32_t ssrc;
    void *path;

    open_pair(pair, NULL);
    ring(pair, &said, &reply);
    assert_int_equal(paths_offer(pair->paris.paths, identity_certificate(pair->berlin.identity),
                                 &offer, &path, &ssrc),
                     0);
    assert_ptr_equal(path, pair->paris.path);
    assert_int_equal(candidate_path_decode(&offer, &said), 0);
    assert_true(count_addresses(&said) > 0);
    paths_release(pair->paris.paths, path, ssrc);
    release(pair);
}

int main(void)
{
#define WITH_PAIR(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_PAIR(a_trusted_site_is_told_at_once),
        WITH_PAIR(a_stranger_is_told_of_relays_but_not_of_ourselves),
        WITH_PAIR(a_stranger_is_told_with_the_answer),
        WITH_PAIR(a_stranger_who_guesses_hears_nothing),
        WITH_PAIR(our_own_call_shows_us),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
