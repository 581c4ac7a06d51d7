/* Workers that ask servers where they are seen; the servers are played by the test. */
#include "overlay/candidate.h"
#include "overlay/stun.h"
#include "overlay/udp_port.h"
#include "tests/unit/overlay/path_fixture.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#define RESULTS_MAX 32

struct stand {
    struct lab lab;
    struct lab_node node;
    int fd[2]; /* of two servers */
    struct path_stun_server server[2];
    struct path_stun_result result[RESULTS_MAX];
    int results, wanted;
    int knocks;
};

static void on_stun(void *ctx, const struct path_stun_result *result)
{
    struct stand *stand = ctx;

    if (stand->results < RESULTS_MAX)
        stand->result[stand->results++] = *result;
}

static void on_knock(void *ctx, const uint8_t knock[12])
{
    (void)knock;
    ((struct stand *)ctx)->knocks++;
}

static bool has_results(void *arg)
{
    struct stand *stand = arg;

    return stand->results >= stand->wanted;
}

static bool has_knock(void *arg)
{
    return ((struct stand *)arg)->knocks > 0;
}

static void open_server(struct stand *stand, int i)
{
    struct sockaddr_storage *at = &stand->server[i].address;
    socklen_t length = sizeof *at;

    address_parse("127.0.0.1:0", at);
    stand->fd[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(stand->fd[i], (struct sockaddr *)at, address_length(at)), 0);
    assert_int_equal(getsockname(stand->fd[i], (struct sockaddr *)at, &length), 0);
    stand->server[i].is_kept = true;
}

static int set_up(void **state)
{
    struct stand *stand = calloc(1, sizeof *stand);
    struct paths_settings settings = {.conf = &stand->node.conf,
                                      .workers = &stand->lab.workers,
                                      .control = &stand->lab.control.loop,
                                      .on_stun = on_stun,
                                      .on_knock = on_knock,
                                      .on_stun_ctx = stand};

    lab_init(&stand->lab);
    stand->node.lab = &stand->lab;
    stand->node.conf = (struct conf_overlay){.udp = true, .keep_path_s = 60};
    stand->node.identity = fixture_identity(&stand->lab.realm, "berlin", CONF_ROLE_GATEWAY);
    settings.identity = stand->node.identity;
    assert_int_equal(paths_open(&settings, &stand->node.paths), 0);
    open_server(stand, 0);
    open_server(stand, 1);
    *state = stand;
    return 0;
}

static int tear_down(void **state)
{
    struct stand *stand = *state;

    paths_close(stand->node.paths, lab_node_on_closed, &stand->node);
    assert_true(lab_run(&stand->lab, lab_node_is_closed, &stand->node, 5000));
    identity_free(stand->node.identity);
    lab_fini(&stand->lab);
    close(stand->fd[0]);
    close(stand->fd[1]);
    free(stand);
    return 0;
}

/* The next request that server `i` got. */
static void take_request(struct stand *stand, int i, struct stun_message *request,
                         struct sockaddr_storage *from)
{
    struct pollfd readable = {.fd = stand->fd[i], .events = POLLIN};
    uint8_t data[256];
    socklen_t length = sizeof *from;

    memset(from, 0, sizeof *from);
    assert_int_equal(poll(&readable, 1, 5000), 1);
    ssize_t bytes = recvfrom(stand->fd[i], data, sizeof data, 0, (struct sockaddr *)from, &length);
    assert_int_equal(bytes, STUN_PLAIN_BYTES);
    assert_int_equal(stun_decode(data, (size_t)bytes, request), 0);
    assert_int_equal(request->type, STUN_BINDING_REQUEST);
    assert_string_equal(request->username, "");
}

static void answer(struct stand *stand, int i, const struct stun_message *request,
                   const struct sockaddr_storage *to, const char *mapped_text)
{
    struct sockaddr_storage mapped;
    uint8_t data[STUN_MESSAGE_MAX];

    assert_int_equal(address_parse(mapped_text, &mapped), 0);
    size_t bytes = stun_encode_plain_response(data, request->transaction, &mapped, true);
    sendto(stand->fd[i], data, bytes, 0, (const struct sockaddr *)to, address_length(to));
}

static void wait_for_results(struct stand *stand, int count)
{
    stand->wanted = count;
    assert_true(lab_run(&stand->lab, has_results, stand, 8000));
}

static int count_candidates(struct stand *stand, const char *text)
{
    struct identity *peer = fixture_identity(&stand->lab.realm, "paris", CONF_ROLE_GATEWAY);
    struct core_path offer;
    struct candidate_path decoded;
    struct sockaddr_storage wanted;
    void *path;
    uint32_t ssrc;
    int count = 0;

    assert_int_equal(address_parse(text, &wanted), 0);
    assert_int_equal(
        paths_offer(stand->node.paths, identity_certificate(peer), &offer, &path, &ssrc), 0);
    assert_int_equal(candidate_path_decode(&offer, &decoded), 0);
    for (int i = 0; i < decoded.count; i++)
        count += decoded.candidates[i].kind == CANDIDATE_UDP &&
                 address_equal(&decoded.candidates[i].address, &wanted);
    paths_release(stand->node.paths, path, ssrc);
    identity_free(peer);
    return count;
}

/* ---- tests ------------------------------------------------------------------------------------
 */

static void every_worker_learns_its_mapped_address_and_offers_it_once(void **state)
{
    struct stand *stand = *state;
    struct stun_message request;
    struct sockaddr_storage from;

    paths_ask(stand->node.paths, stand->server, 2);
    for (int i = 0; i < 2; i++) {
        for (int w = 0; w < LAB_PATH_WORKERS; w++) {
            take_request(stand, i, &request, &from);
            answer(stand, i, &request, &from, "203.0.113.9:6100");
        }
    }
    wait_for_results(stand, 4);
    bool has_first = false, has_second = false;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(stand->result[i].outcome, PATH_STUN_ANSWERED);
        assert_true(stand->result[i].round_trip_us > 0);
        has_first |= stand->result[i].worker == 0;
        has_second |= stand->result[i].worker == 1;
    }
    assert_true(has_first && has_second);
    assert_int_equal(count_candidates(stand, "203.0.113.9:6100"), 1);

    struct sockaddr_storage outside;
    char text[ADDRESS_TEXT_MAX];
    assert_int_equal(paths_outside(stand->node.paths, &outside), 0);
    assert_string_equal(address_format(&outside, text), "203.0.113.9:6100");
    paths_ask(stand->node.paths, NULL, 0); /* another network: what was seen counts no more */
    assert_int_equal(count_candidates(stand, "203.0.113.9:6100"), 0);
}

static void what_no_peer_can_use_is_not_offered(void **state)
{
    struct stand *stand = *state;
    struct stun_message request;
    struct sockaddr_storage from;

    paths_ask(stand->node.paths, stand->server, 1);
    for (int w = 0; w < LAB_PATH_WORKERS; w++) {
        take_request(stand, 0, &request, &from);
        answer(stand, 0, &request, &from, "224.0.0.1:4000");
    }
    wait_for_results(stand, 2);
    assert_int_equal(count_candidates(stand, "224.0.0.1:4000"), 0);
}

static void silence_is_asked_again_and_then_told(void **state)
{
    struct stand *stand = *state;
    struct stun_message request, first;
    struct sockaddr_storage from;

    stand->server[0].is_kept = false; /* by one worker only */
    paths_ask(stand->node.paths, stand->server, 1);
    take_request(stand, 0, &first, &from);
    for (int i = 1; i < 5; i++) {
        take_request(stand, 0, &request, &from);
        assert_memory_equal(request.transaction, first.transaction, STUN_TRANSACTION_BYTES - 1);
    }
    wait_for_results(stand, 1);
    assert_int_equal(stand->result[0].outcome, PATH_STUN_SILENT);
    assert_int_equal(stand->results, 1);
}

/* A stranger does not know the transaction; one who does must still speak from the right address.
 */
static void only_the_server_that_was_asked_is_believed(void **state)
{
    struct stand *stand = *state;
    struct stun_message request, other;
    struct sockaddr_storage from;

    stand->server[0].is_kept = false;
    paths_ask(stand->node.paths, stand->server, 1);
    take_request(stand, 0, &request, &from);
    answer(stand, 1, &request, &from, "203.0.113.66:6666");
    other = request;
    other.transaction[0] ^= 1;
    answer(stand, 0, &other, &from, "203.0.113.66:6666");
    other = request;
    other.transaction[STUN_TRANSACTION_BYTES - 1] = 200; /* was not sent yet */
    answer(stand, 0, &other, &from, "203.0.113.66:6666");
    answer(stand, 0, &request, &from, "203.0.113.9:6100");
    wait_for_results(stand, 1);
    char text[ADDRESS_TEXT_MAX];
    assert_string_equal(address_format(&stand->result[0].mapped, text), "203.0.113.9:6100");
}

static void a_knock_that_is_expected_is_told_once(void **state)
{
    struct stand *stand = *state;
    static const uint8_t knock[STUN_TRANSACTION_BYTES] = "abcdefghijk";
    uint8_t data[STUN_MESSAGE_MAX];
    struct sockaddr_storage host[4];

    assert_true(paths_hosts(stand->node.paths, host, 4) > 0);
    struct sockaddr_storage to = host[0];
    if (to.ss_family == AF_INET)
        ((struct sockaddr_in *)&to)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    paths_expect(stand->node.paths, knock);
    size_t bytes = stun_encode_plain_request(data, knock);
    data[1] = 0x11; /* an indication; its fingerprint is left out with the last 8 bytes */
    bytes -= 8;
    data[3] = (uint8_t)(bytes - STUN_HEADER_BYTES);
    for (int i = 0; i < 3000 && !stand->knocks; i++) {
        sendto(stand->fd[0], data, bytes, 0, (struct sockaddr *)&to, address_length(&to));
        lab_run(&stand->lab, has_knock, stand, 10);
    }
    assert_int_equal(stand->knocks, 1);
    sendto(stand->fd[0], data, bytes, 0, (struct sockaddr *)&to, address_length(&to));
    lab_run(&stand->lab, NULL, NULL, 50);
    assert_int_equal(stand->knocks, 1);
}

/* Ours and the open port understand each other, from one worker to the next. */
static void the_open_port_answers(void **state)
{
    struct stand *stand = *state;
    struct sockaddr_storage at;
    struct udp_port_settings settings = {
        .control = &stand->lab.control.loop, .workers = &stand->lab.workers, .address = &at};
    struct udp_port *port;
    bool is_closed = false;

    address_parse("127.0.0.1:0", &at);
    assert_int_equal(udp_port_open(&settings, &port), 0);
    stand->server[0].address = at;
    address_set_port(&stand->server[0].address, udp_port_number(port));
    paths_ask(stand->node.paths, stand->server, 1);
    wait_for_results(stand, 2);
    for (int i = 0; i < 2; i++)
        assert_int_equal(stand->result[i].outcome, PATH_STUN_ANSWERED);
    udp_port_close(port, lab_on_port_closed, &is_closed);
    assert_true(lab_run(&stand->lab, lab_flag, &is_closed, 5000));
}

static void no_way_to_ipv6_is_told_at_once(void **state)
{
    struct stand *stand = *state;

    address_parse("[100::1]:443", &stand->server[0].address); /* RFC 6666: goes nowhere */
    stand->server[0].is_kept = false;
    paths_ask(stand->node.paths, stand->server, 1);
    wait_for_results(stand, 1);
    assert_int_not_equal(stand->result[0].outcome, PATH_STUN_ANSWERED);
}

int main(void)
{
#define WITH_STAND(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_STAND(every_worker_learns_its_mapped_address_and_offers_it_once),
        WITH_STAND(what_no_peer_can_use_is_not_offered),
        WITH_STAND(silence_is_asked_again_and_then_told),
        WITH_STAND(only_the_server_that_was_asked_is_believed),
        WITH_STAND(a_knock_that_is_expected_is_told_once),
        WITH_STAND(the_open_port_answers),
        WITH_STAND(no_way_to_ipv6_is_told_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
