/* The open UDP port: answers no longer than questions, and packets on the worker they belong to. */
#include "overlay/stun.h"
#include "overlay/udp_port.h"
#include "tests/unit/overlay/path_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

static const uint8_t key[32] = "0123456789abcdef0123456789abcde";

struct stand {
    struct lab lab;
    struct udp_port *port;
    bool is_closed;
    int fd; /* of somebody who asks */
    struct sockaddr_storage at, own;
    /* what the handler saw last */
    atomic_int packets, worker, bytes, wrong_thread;
};

static void on_port_closed(void *ctx)
{
    ((struct stand *)ctx)->is_closed = true;
}

/* Keeps what came and throws it back. */
static void on_packet(void *ctx, int worker, const struct sockaddr_storage *source, uint8_t *data,
                      size_t bytes)
{
    struct stand *stand = ctx;

    if (!pthread_equal(pthread_self(), stand->lab.worker[worker].thread))
        atomic_store(&stand->wrong_thread, 1);
    atomic_store(&stand->worker, worker);
    atomic_store(&stand->bytes, (int)bytes);
    atomic_fetch_add(&stand->packets, 1);
    udp_port_send(stand->port, worker, source, data, bytes);
}

static int open_at(struct stand *stand, const char *address)
{
    struct udp_port_settings settings = {
        .control = &stand->lab.control.loop, .workers = &stand->lab.workers, .address = &stand->at};

    assert_int_equal(address_parse(address, &stand->at), 0);
    return udp_port_open(&settings, &stand->port);
}

static void ask_from(struct stand *stand, const char *address)
{
    socklen_t length = sizeof stand->own;

    assert_int_equal(address_parse(address, &stand->own), 0);
    stand->fd = socket(stand->own.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(stand->fd, (struct sockaddr *)&stand->own, address_length(&stand->own)),
                     0);
    assert_int_equal(getsockname(stand->fd, (struct sockaddr *)&stand->own, &length), 0);
    assert_int_equal(address_parse(address, &stand->at), 0);
    address_set_port(&stand->at, udp_port_number(stand->port));
}

static int set_up(void **state)
{
    struct stand *stand = calloc(1, sizeof *stand);

    lab_init(&stand->lab);
    assert_int_equal(open_at(stand, "127.0.0.1:0"), 0);
    ask_from(stand, "127.0.0.1:0");
    *state = stand;
    return 0;
}

static void close_port(struct stand *stand)
{
    close(stand->fd);
    stand->is_closed = false;
    udp_port_close(stand->port, on_port_closed, stand);
    assert_true(lab_run(&stand->lab, lab_flag, &stand->is_closed, 5000));
}

static int tear_down(void **state)
{
    struct stand *stand = *state;

    close_port(stand);
    lab_fini(&stand->lab);
    free(stand);
    return 0;
}

static void send_to_port(struct stand *stand, const uint8_t *data, size_t bytes)
{
    assert_int_equal(sendto(stand->fd, data, bytes, 0, (struct sockaddr *)&stand->at,
                            address_length(&stand->at)),
                     bytes);
}

/* What came back; 0: nothing so far. */
static size_t receive(struct stand *stand, uint8_t *data, size_t room)
{
    ssize_t bytes = recv(stand->fd, data, room, MSG_DONTWAIT);

    return bytes < 0 ? 0 : (size_t)bytes;
}

static size_t wait_for_answer(struct stand *stand, uint8_t *data, size_t room)
{
    struct pollfd readable = {.fd = stand->fd, .events = POLLIN};

    assert_int_equal(poll(&readable, 1, 5000), 1);
    return receive(stand, data, room);
}

struct set_handler {
    struct stand *stand;
    int worker;
    bool is_on;
};

static void set_handler(void *arg)
{
    struct set_handler *set = arg;

    udp_port_handle(set->stand->port, set->worker, set->is_on ? on_packet : NULL, set->stand);
}

static void set_handlers(struct stand *stand, bool is_on)
{
    for (int w = 0; w < LAB_PATH_WORKERS; w++) {
        struct set_handler set = {stand, w, is_on};
        lab_on_worker(&stand->lab, w, set_handler, &set);
    }
}

/* ---- the STUN service -------------------------------------------------------------------------
 */

static void ask_for_address(struct stand *stand)
{
    uint8_t data[STUN_MESSAGE_MAX], transaction[STUN_TRANSACTION_BYTES];
    struct stun_message message;

    for (int i = 0; i < 8; i++) { /* each worker several times */
        randombytes_buf(transaction, sizeof transaction);
        transaction[0] = (uint8_t)i;
        send_to_port(stand, data, stun_encode_plain_request(data, transaction));
        size_t bytes = wait_for_answer(stand, data, sizeof data);
        assert_true(bytes <= STUN_PLAIN_BYTES);
        assert_int_equal(stun_decode(data, bytes, &message), 0);
        assert_int_equal(message.type, STUN_BINDING_RESPONSE);
        assert_memory_equal(message.transaction, transaction, sizeof transaction);
        assert_true(address_equal(&message.mapped, &stand->own));
        assert_true(message.has_fingerprint);
    }
}

static void tells_who_asks_where_he_is_seen(void **state)
{
    struct stand *stand = *state;
    struct udp_port_figures figures;

    ask_for_address(stand);
    udp_port_figures(stand->port, &figures);
    assert_int_equal(figures.answered, 8);
}

static void answers_ipv6_and_ipv4_on_one_port(void **state)
{
    struct stand *stand = *state;

    close_port(stand);
    assert_int_equal(open_at(stand, "[::]:0"), 0);
    ask_from(stand, "[::1]:0");
    ask_for_address(stand);
    close(stand->fd);
    ask_from(stand, "127.0.0.1:0");
    ask_for_address(stand);
}

/* Forged sources must get nothing that is longer than what their forger has sent. */
static void a_short_question_gets_no_answer(void **state)
{
    struct stand *stand = *state;
    uint8_t data[STUN_MESSAGE_MAX];
    struct udp_port_figures figures;
    static const uint8_t bare[STUN_HEADER_BYTES] = {0,    1,    0,    0,   0x21, 0x12,
                                                    0xa4, 0x42, 0xff, 'a', 'b',  'c'};

    send_to_port(stand, bare, sizeof bare);
    /* the same worker answers this one, so the bare one is through as well */
    send_to_port(stand, data, stun_encode_plain_request(data, bare + 8));
    assert_true(wait_for_answer(stand, data, sizeof data) > 0);
    assert_int_equal(receive(stand, data, sizeof data), 0);
    udp_port_figures(stand->port, &figures);
    assert_int_equal(figures.too_short, 1);
    assert_int_equal(figures.answered, 1);
}

/* An answer that is not longer goes out without FINGERPRINT when the question had none. */
static void a_question_without_fingerprint_gets_an_answer_without(void **state)
{
    struct stand *stand = *state;
    uint8_t data[STUN_MESSAGE_MAX], transaction[STUN_TRANSACTION_BYTES] = "abcdefghijk";
    struct stun_message message;
    size_t asked = stun_encode_plain_request(data, transaction) - 8;

    data[3] = (uint8_t)(asked - STUN_HEADER_BYTES);
    send_to_port(stand, data, asked);
    size_t bytes = wait_for_answer(stand, data, sizeof data);
    assert_true(bytes <= asked);
    assert_int_equal(stun_decode(data, bytes, &message), 0);
    assert_false(message.has_fingerprint);
    assert_true(address_equal(&message.mapped, &stand->own));
}

static void what_is_neither_is_counted_and_dropped(void **state)
{
    static const struct {
        const char *what;
        size_t bytes;
        uint8_t data[24];
    } cases[] = {
        {"nothing", 0, {0}},
        {"one byte", 1, {0}},
        {"RTP", 12, {0x80}},
        {"a DTLS hello", 20, {22, 254, 253}},
        {"STUN with a wrong cookie", 20, {0, 1, 0, 0, 1, 2, 3, 4}},
        {"STUN that says it is longer", 20, {0, 1, 0, 4, 0x21, 0x12, 0xa4, 0x42}},
    };
    struct stand *stand = *state;
    const size_t count = sizeof cases / sizeof *cases;
    struct udp_port_figures figures = {0};
    uint8_t data[STUN_MESSAGE_MAX];

    for (size_t i = 0; i < count; i++)
        send_to_port(stand, cases[i].data, cases[i].bytes);
    for (int i = 0; i < 5000 && figures.malformed < count; i++) {
        usleep(1000);
        udp_port_figures(stand->port, &figures);
    }
    assert_int_equal(figures.malformed, count);
    assert_int_equal(receive(stand, data, sizeof data), 0);
}

/* ---- steering ---------------------------------------------------------------------------------
 */

static void send_and_expect(struct stand *stand, const uint8_t *data, size_t bytes, int worker)
{
    uint8_t back[256];

    send_to_port(stand, data, bytes);
    assert_int_equal(wait_for_answer(stand, back, sizeof back), bytes);
    assert_int_equal(atomic_load(&stand->worker), worker);
    assert_int_equal(atomic_load(&stand->bytes), bytes);
}

static void channels_land_on_their_worker(void **state)
{
    struct stand *stand = *state;

    set_handlers(stand, true);
    for (unsigned n = 0; n < 64; n++) {
        uint8_t data[16] = {(uint8_t)(0x40 + n % 16), 1, 2, (uint8_t)(n * 37), [8] = (uint8_t)n};
        send_and_expect(stand, data, sizeof data, data[3] % LAB_PATH_WORKERS);
    }
    set_handlers(stand, false);
    assert_int_equal(atomic_load(&stand->packets), 64);
    assert_int_equal(atomic_load(&stand->wrong_thread), 0);
}

static void binding_requests_for_the_relay_land_on_their_worker(void **state)
{
    struct stand *stand = *state;
    uint8_t data[STUN_MESSAGE_MAX], transaction[STUN_TRANSACTION_BYTES] = {0};

    set_handlers(stand, true);
    for (unsigned n = 0; n < 64; n++) {
        transaction[0] = (uint8_t)(n * 37);
        size_t bytes = stun_encode_request(data, transaction, "40000001", key);
        send_and_expect(stand, data, bytes, transaction[0] % LAB_PATH_WORKERS);
    }
    set_handlers(stand, false);
    assert_int_equal(atomic_load(&stand->wrong_thread), 0);
}

static void packets_too_short_to_steer_harm_nobody(void **state)
{
    struct stand *stand = *state;
    static const uint8_t stub[] = {0x41, 0, 1};

    set_handlers(stand, true);
    send_and_expect(stand, stub, sizeof stub, 0);
    set_handlers(stand, false);
}

static void without_a_relay_its_packets_are_counted_and_dropped(void **state)
{
    struct stand *stand = *state;
    static const uint8_t packet[16] = {0x40, 1, 2, 3};
    struct udp_port_figures figures = {0};

    send_to_port(stand, packet, sizeof packet);
    for (int i = 0; i < 5000 && figures.unhandled == 0; i++) {
        usleep(1000);
        udp_port_figures(stand->port, &figures);
    }
    assert_int_equal(figures.unhandled, 1);
}

static void a_port_of_another_program_is_not_shared(void **state)
{
    struct stand *stand = *state;
    struct udp_port *ours = stand->port;
    char text[ADDRESS_TEXT_MAX];

    address_format(&stand->own, text);
    assert_int_equal(open_at(stand, text), -EADDRINUSE);
    stand->port = ours;
}

int main(void)
{
#define WITH_PORT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_PORT(tells_who_asks_where_he_is_seen),
        WITH_PORT(answers_ipv6_and_ipv4_on_one_port),
        WITH_PORT(a_short_question_gets_no_answer),
        WITH_PORT(a_question_without_fingerprint_gets_an_answer_without),
        WITH_PORT(what_is_neither_is_counted_and_dropped),
        WITH_PORT(channels_land_on_their_worker),
        WITH_PORT(binding_requests_for_the_relay_land_on_their_worker),
        WITH_PORT(packets_too_short_to_steer_harm_nobody),
        WITH_PORT(without_a_relay_its_packets_are_counted_and_dropped),
        WITH_PORT(a_port_of_another_program_is_not_shared),
    };
    return sodium_init() < 0 || cmocka_run_group_tests(tests, NULL, NULL);
}
