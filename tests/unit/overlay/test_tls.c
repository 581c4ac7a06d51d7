/* TLS connections on loopback: who gets in, who does not and what both sides are told, and moving
 * house. */
#include "overlay/identity_ticket.h"
#include "overlay/identity_x509.h"
#include "overlay/tls_stream.h"
#include "tests/unit/overlay/realm_fixture.h"
#include "tests/unit/overlay/tls_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#define DAY_S 86400

static struct realm realm;
static struct identity *berlin, *paris;

static int make_identities(void **state)
{
    (void)state;
    fixture_realm(&realm);
    berlin = fixture_identity(&realm, "berlin", CONF_ROLE_GATEWAY);
    paris = fixture_identity(&realm, "paris", CONF_ROLE_SUPERNODE);
    return 0;
}

static int free_identities(void **state)
{
    (void)state;
    identity_free(berlin);
    identity_free(paris);
    realm_fini(&realm);
    return 0;
}

static struct tls_fixture f;

static void connect_both(void)
{
    fixture_open(&f, berlin, paris);
    assert_int_equal(fixture_dial(&f, NULL, TLS_ALPN_LINK), 0);
    assert_true(fixture_run(&f, &f.server.is_up));
    assert_true(f.client.is_up);
}

static void both_know_each_other_and_talk(void **state)
{
    static uint8_t data[200000];
    char text[ADDRESS_TEXT_MAX];

    (void)state;
    connect_both();
    assert_string_equal(f.client.site, "paris");
    assert_string_equal(f.server.site, "berlin");
    assert_string_equal(f.client.alpn, TLS_ALPN_LINK);
    assert_string_equal(f.server.alpn, TLS_ALPN_LINK);
    assert_string_equal(address_format(tls_stream_peer_address(f.client.stream), text), f.address);

    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 + i / 251);
    assert_int_equal(tls_stream_send(f.client.stream, data, sizeof data), 0);
    assert_int_equal(tls_stream_send(f.server.stream, data, 1000), 0);
    for (int i = 0; i < 1000 && (f.server.bytes < sizeof data || f.client.bytes < 1000); i++)
        uv_run(&f.loop, UV_RUN_ONCE);
    assert_int_equal(f.server.bytes, sizeof data);
    assert_memory_equal(f.server.data, data, sizeof data);
    assert_memory_equal(f.client.data, data, 1000);

    /* What was sent before the close still comes. */
    assert_int_equal(tls_stream_send(f.client.stream, data, 100), 0);
    tls_stream_close_then(f.client.stream, fixture_on_closed, &f.client);
    f.client.stream = NULL;
    assert_true(fixture_run(&f, &f.client.is_closed));
    assert_int_equal(f.server.bytes, sizeof data + 100);
    assert_string_equal(f.server.why, "closed by the other side");
    fixture_close(&f);
}

static void talk_both_ways(size_t bytes)
{
    static uint8_t data[60000];
    size_t client_has = f.client.bytes, server_has = f.server.bytes;

    assert_int_equal(tls_stream_send(f.client.stream, data, bytes), 0);
    assert_int_equal(tls_stream_send(f.server.stream, data, bytes), 0);
    for (int i = 0;
         i < 1000 && (f.server.bytes < server_has + bytes || f.client.bytes < client_has + bytes);
         i++)
        uv_run(&f.loop, UV_RUN_ONCE);
    assert_int_equal(f.server.bytes, server_has + bytes);
    assert_int_equal(f.client.bytes, client_has + bytes);
}

static size_t room_of(BIO *bio)
{
    BUF_MEM *memory;

    BIO_get_mem_ptr(bio, &memory);
    return memory->max;
}

/* A link that is up has given back what its handshake needed, and is whole without: keys change,
 * large messages pass, and their memory goes as well. */
static void an_idle_stream_holds_little(void **state)
{
    (void)state;
    connect_both();
    talk_both_ways(100);
    talk_both_ways(60000);
    assert_int_equal(SSL_key_update(f.client.stream->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    talk_both_ways(100);
    assert_int_equal(SSL_key_update(f.server.stream->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    talk_both_ways(60000);
    talk_both_ways(100);
    const struct tls_stream *ends[] = {f.client.stream, f.server.stream};
    for (int i = 0; i < 2; i++) {
        assert_true(room_of(ends[i]->in) <= 512);
        assert_true(room_of(ends[i]->out) <= 512);
    }
    fixture_close(&f);
}

static void refused(const struct identity *client, const struct identity *server,
                    const char *client_why, const char *server_why)
{
    fixture_open(&f, client, server);
    assert_int_equal(fixture_dial(&f, NULL, TLS_ALPN_LINK), 0);
    assert_true(fixture_run(&f, &f.client.is_down));
    assert_true(fixture_run(&f, &f.server.is_down));
    if (!strstr(f.client.why, client_why) || !strstr(f.server.why, server_why))
        print_error("client: %s; server: %s\n", f.client.why, f.server.why);
    assert_non_null(strstr(f.client.why, client_why));
    assert_non_null(strstr(f.server.why, server_why));
    assert_false(f.server.is_up);
    fixture_close(&f);
}

static void both_sides_are_told_why_one_is_refused(void **state)
{
    struct realm other;

    (void)state;
    fixture_realm(&other);
    struct identity *stranger = fixture_identity(&other, "berlin", CONF_ROLE_GATEWAY);
    struct identity *old =
        fixture_identity_from(&realm, "berlin", CONF_ROLE_GATEWAY, time(NULL) - 60 * DAY_S);
    struct identity *early =
        fixture_identity_from(&realm, "berlin", CONF_ROLE_GATEWAY, time(NULL) + 9 * DAY_S);

    refused(old, paris, "peer refused our certificate: expired",
            "its certificate is refused: expired on 20");
    refused(early, paris, "peer refused our certificate: not accepted",
            "its certificate is refused: not valid before 20");
    /* Of two realms the dialler is the first to see the other's certificate. */
    refused(stranger, paris, "its certificate is refused: of another realm",
            "peer refused our certificate: of another realm");
    refused(berlin, old, "its certificate is refused: expired on 20",
            "peer refused our certificate: expired");

    identity_free(stranger);
    identity_free(old);
    identity_free(early);
    realm_fini(&other);
}

/* Sends bytes as a stranger would, on a plain connection. */
static void stranger_sends(const char *bytes, size_t length, const char *why)
{
    struct sockaddr_storage to;

    fixture_open(&f, berlin, paris);
    assert_int_equal(address_parse(f.address, &to), 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, address_length(&to)), 0);
    if (length)
        assert_int_equal(write(fd, bytes, length), length);
    else
        close(fd);
    assert_true(fixture_run(&f, &f.server.is_down));
    if (!strstr(f.server.why, why))
        print_error("%s\n", f.server.why);
    assert_non_null(strstr(f.server.why, why));
    if (length)
        close(fd);
    fixture_close(&f);
}

static void strangers_without_tls_are_told_apart(void **state)
{
    (void)state;
    stranger_sends("GET / HTTP/1.1\r\n\r\n", 18, "it does not speak TLS");
    stranger_sends("\0\0\0\0\0\0\0\0\0\0\0\0", 12, "it does not speak TLS");
    stranger_sends("", 0, "closed by the other side during the handshake");
}

static void openssl_without_a_certificate_is_refused(void **state)
{
    char command[200];

    (void)state;
    fixture_open(&f, berlin, paris);
    snprintf(command, sizeof command,
             "openssl s_client -connect %s -alpn sallyport/1 </dev/null >/dev/null 2>&1 &",
             f.address);
    assert_int_equal(system(command), 0);
    assert_true(fixture_run(&f, &f.server.is_down));
    assert_string_equal(f.server.why, "its certificate is refused: it showed none");
    fixture_close(&f);
}

static void another_protocol_is_refused(void **state)
{
    (void)state;
    fixture_open(&f, berlin, paris);
    assert_int_equal(fixture_dial(&f, NULL, "h2"), 0);
    assert_true(fixture_run(&f, &f.client.is_down));
    assert_string_equal(f.client.why, "peer ended TLS: it does not speak our protocol");
    assert_true(fixture_run(&f, &f.server.is_down));
    fixture_close(&f);
}

static void a_dial_that_fails_says_how(void **state)
{
    struct sockaddr_storage address;
    char text[ADDRESS_TEXT_MAX];
    uint64_t start = uv_hrtime();

    (void)state;
    fixture_open(&f, berlin, paris);
    snprintf(f.address, sizeof f.address, "host.example");
    assert_int_equal(fixture_dial(&f, NULL, TLS_ALPN_LINK), -EINVAL);
    snprintf(f.address, sizeof f.address, "127.0.0.1:1"); /* nobody listens */
    assert_int_equal(fixture_dial(&f, NULL, TLS_ALPN_LINK), 0);
    assert_true(fixture_run(&f, &f.client.is_down));
    assert_string_equal(f.client.why, "connection refused");
    fixture_close(&f);

    /* One that takes the connection and stays silent. */
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t length = sizeof address;
    assert_int_equal(address_parse("127.0.0.1:0", &address), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, address_length(&address)), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    address_format(&address, text);
    fixture_open(&f, berlin, paris);
    struct tls_dial dial = {
        .identity = berlin, .address = text, .alpn = TLS_ALPN_LINK, .timeout_ms = 100};
    assert_int_equal(tls_stream_dial(&f.loop, &dial, &fixture_events, &f.client, &f.client.stream),
                     0);
    assert_true(fixture_run(&f, &f.client.is_down));
    assert_string_equal(f.client.why, "no end of the handshake within 0.1 s");
    fixture_close(&f);
    close(fd);
    assert_true(uv_hrtime() - start < 3000000000ull);
}

static void a_dial_can_be_given_up_at_any_time(void **state)
{
    static const bool never = false;

    (void)state;
    for (int turns = 0; turns < 12; turns++) {
        fixture_open(&f, berlin, paris);
        if (turns % 2)
            snprintf(f.address, sizeof f.address, "localhost:1");
        assert_int_equal(fixture_dial(&f, NULL, TLS_ALPN_LINK), 0);
        for (int i = 0; i < turns && !f.client.is_down; i++)
            uv_run(&f.loop, UV_RUN_NOWAIT);
        fixture_close(&f);
    }
    assert_false(never);
}

static void a_name_is_resolved(void **state)
{
    char port[8];

    (void)state;
    fixture_open(&f, berlin, paris);
    snprintf(port, sizeof port, "%s", strrchr(f.address, ':') + 1);
    snprintf(f.address, sizeof f.address, "localhost:%s", port);
    assert_int_equal(fixture_dial(&f, NULL, TLS_ALPN_LINK), 0);
    assert_true(fixture_run(&f, &f.server.is_up)); /* ::1 may refuse first */
    fixture_close(&f);
}

static bool to_nowhere(const struct sockaddr_storage *to)
{
    (void)to;
    return false;
}

/* What a name leads to is judged, too. */
static void a_name_may_lead_where_nobody_may_dial(void **state)
{
    struct tls_dial dial = {.identity = berlin, .alpn = TLS_ALPN_LINK, .may_dial = to_nowhere};

    (void)state;
    fixture_open(&f, berlin, paris);
    dial.address = "localhost:443";
    assert_int_equal(tls_stream_dial(&f.loop, &dial, &fixture_events, &f.client, &f.client.stream),
                     0);
    assert_true(fixture_run(&f, &f.client.is_down));
    assert_string_equal(f.client.why,
                        "the name does not resolve: to no address that may be dialled");
    assert_false(f.server.is_up);
    fixture_close(&f);
}

static void one_who_does_not_read_is_not_queued_for(void **state)
{
    static uint8_t data[65536];
    int sent = 0, error = 0;

    (void)state;
    connect_both();
    while (error == 0 && sent < 1000) /* nothing is read: the loop does not run */
        if ((error = tls_stream_send(f.client.stream, data, sizeof data)) == 0)
            sent++;
    assert_int_equal(error, -ENOBUFS);
    assert_true(tls_stream_queued(f.client.stream) > 900000);
    for (int i = 0; i < 10000 && f.server.bytes < (size_t)sent * sizeof data; i++)
        uv_run(&f.loop, UV_RUN_ONCE);
    assert_int_equal(f.server.bytes, (size_t)sent * sizeof data);
    assert_true(f.client.drains > 0);
    assert_int_equal(tls_stream_queued(f.client.stream), 0);
    assert_int_equal(tls_stream_send(f.client.stream, data, 1), 0);
    fixture_close(&f);
}

/* ---- moving to another loop ----------------------------------------------------------- */

struct worker {
    struct tls_fixture *from;
    size_t wanted;
    uv_loop_t loop;
};

static void run_worker(void *arg)
{
    struct worker *worker = arg;
    struct tls_end *end = &worker->from->server;

    uv_loop_init(&worker->loop);
    assert_int_equal(tls_stream_resume(end->stream, &worker->loop, &fixture_events, end), 0);
    while (end->bytes < worker->wanted)
        uv_run(&worker->loop, UV_RUN_ONCE);
    assert_int_equal(tls_stream_send(end->stream, (const uint8_t *)"hello from the worker", 21), 0);
    tls_stream_close(end->stream);
    end->stream = NULL;
    uv_run(&worker->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&worker->loop), 0);
}

static void detach_at_once(struct tls_end *end)
{
    assert_int_equal(tls_stream_detach(end->stream), 0);
    assert_int_equal(tls_stream_send(end->stream, (const uint8_t *)"x", 1), -ENOTCONN);
}

static void send_early(struct tls_end *end)
{
    assert_int_equal(tls_stream_send(end->stream, (const uint8_t *)"early ", 6), 0);
}

static void a_stream_moves_with_all_its_bytes(void **state)
{
    struct worker worker = {.from = &f, .wanted = 10};
    uv_thread_t thread;

    (void)state;
    fixture_open(&f, berlin, paris);
    f.client.on_up = send_early; /* arrives together with the end of the handshake */
    f.server.on_up = detach_at_once;
    assert_int_equal(fixture_dial(&f, NULL, TLS_ALPN_RELAY), 0);
    assert_true(fixture_run(&f, &f.server.is_up));
    assert_int_equal(f.server.bytes, 0);
    assert_string_equal(f.server.alpn, TLS_ALPN_RELAY);
    assert_int_equal(tls_stream_unread(f.server.stream, (const uint8_t *)"12", 2), 0);
    assert_int_equal(tls_stream_send(f.client.stream, (const uint8_t *)"late", 4), 0);
    worker.wanted = 12;
    assert_int_equal(uv_thread_create(&thread, run_worker, &worker), 0);
    assert_true(fixture_run(&f, &f.client.is_down));
    uv_thread_join(&thread);
    assert_memory_equal(f.server.data, "12early late", 12);
    assert_memory_equal(f.client.data, "hello from the worker", 21);
    fixture_close(&f);
}

static void what_is_queued_moves_too(void **state)
{
    static uint8_t data[60000];
    struct worker worker = {.from = &f, .wanted = 1};
    uv_thread_t thread;
    size_t sent = 0;

    (void)state;
    connect_both();
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i / 256 + i);
    while (tls_stream_send(f.server.stream, data, sizeof data) == 0)
        sent += sizeof data;
    assert_true(tls_stream_queued(f.server.stream) > 500000);
    assert_int_equal(tls_stream_detach(f.server.stream), 0);
    assert_int_equal(uv_thread_create(&thread, run_worker, &worker), 0);
    for (int i = 0; i < 100000 && f.client.bytes < sent; i++)
        uv_run(&f.loop, UV_RUN_ONCE);
    assert_int_equal(f.client.bytes, sent);
    for (size_t i = 0; i < sizeof f.client.data; i++)
        assert_int_equal(f.client.data[i], data[i % sizeof data]);
    assert_int_equal(tls_stream_send(f.client.stream, data, 1), 0);
    assert_true(fixture_run(&f, &f.client.is_down));
    uv_thread_join(&thread);
    assert_int_equal(f.client.bytes, sent + 21);
    fixture_close(&f);
}

static void a_detached_stream_can_be_closed(void **state)
{
    (void)state;
    connect_both();
    assert_int_equal(tls_stream_detach(f.server.stream), 0);
    tls_stream_close_then(f.server.stream, fixture_on_closed, &f.server);
    f.server.stream = NULL;
    assert_true(f.server.is_closed);
    assert_true(fixture_run(&f, &f.client.is_down));
    fixture_close(&f);
}

/* ---- resumption ----------------------------------------------------------------------- */

static void forget_end(struct tls_end *end, const struct identity *identity)
{
    if (end->stream)
        tls_stream_close_then(end->stream, fixture_on_closed, end);
    if (end->stream || end->is_down)
        assert_true(fixture_run(&f, &end->is_closed));
    memset(end, 0, sizeof *end);
    end->identity = identity;
}

/* Lets the ticket come, and ends the connection on both sides. */
static void hang_up(void)
{
    for (int i = 0; i < 3; i++)
        uv_run(&f.loop, UV_RUN_NOWAIT);
    forget_end(&f.client, f.client.identity);
    forget_end(&f.server, f.server.identity);
}

/* Both are up; returns whether by resumption, of which both must think the same. */
static bool dial_resumes(const char *alpn)
{
    assert_int_equal(fixture_dial(&f, NULL, alpn), 0);
    assert_true(fixture_run(&f, &f.client.is_up));
    assert_true(fixture_run(&f, &f.server.is_up));
    assert_string_equal(f.client.alpn, alpn);
    assert_string_equal(f.server.alpn, alpn);
    assert_string_equal(f.client.site, "paris");
    assert_string_equal(f.server.site, identity_certificate(f.client.identity)->site);
    bool is_resumed = tls_stream_is_resumed(f.client.stream);
    assert_true(is_resumed == tls_stream_is_resumed(f.server.stream));
    return is_resumed;
}

static void open_with_sessions(const struct identity *client, const struct identity *server)
{
    fixture_open(&f, client, server);
    f.sessions = tls_sessions_new(client);
    assert_non_null(f.sessions);
}

static void close_with_sessions(void)
{
    fixture_close(&f);
    tls_sessions_free(f.sessions);
}

static void the_next_dial_is_resumed(void **state)
{
    (void)state;
    open_with_sessions(berlin, paris);
    assert_false(dial_resumes(TLS_ALPN_LINK));
    hang_up();
    for (int i = 0; i < 3; i++) {
        assert_true(dial_resumes(TLS_ALPN_LINK));
        assert_int_equal(tls_stream_send(f.client.stream, (const uint8_t *)"hello", 5), 0);
        for (int turns = 0; turns < 100 && f.server.bytes < 5; turns++)
            uv_run(&f.loop, UV_RUN_ONCE);
        assert_memory_equal(f.server.data, "hello", 5);
        hang_up();
    }
    close_with_sessions();
}

/* A cut by a reset is no reason to begin from the start. */
static void what_was_cut_is_resumed_too(void **state)
{
    (void)state;
    open_with_sessions(berlin, paris);
    assert_false(dial_resumes(TLS_ALPN_LINK));
    for (int i = 0; i < 3; i++)
        uv_run(&f.loop, UV_RUN_NOWAIT);
    assert_int_equal(tls_stream_detach(f.server.stream), 0);
    tls_stream_close(f.server.stream); /* without a last word */
    f.server.stream = NULL;
    assert_true(fixture_run(&f, &f.client.is_down));
    hang_up();
    assert_true(dial_resumes(TLS_ALPN_LINK));
    close_with_sessions();
}

/* Who is not let in, because there are too many, has spent nothing. */
static void a_session_that_nobody_saw_is_kept(void **state)
{
    struct sockaddr_storage address;
    char name[ADDRESS_TEXT_MAX + 20];

    (void)state;
    open_with_sessions(berlin, paris);
    assert_false(dial_resumes(TLS_ALPN_LINK));
    hang_up();
    uv_close((uv_handle_t *)&f.listener, NULL);
    uv_run(&f.loop, UV_RUN_NOWAIT);

    assert_int_equal(address_parse(f.address, &address), 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, address_length(&address)), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(fixture_dial(&f, NULL, TLS_ALPN_LINK), 0);
    int taken = accept(fd, NULL, NULL);
    struct linger at_once = {1, 0};
    uv_run(&f.loop, UV_RUN_ONCE);
    setsockopt(taken, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(taken);
    close(fd);
    assert_true(fixture_run(&f, &f.client.is_down));
    assert_non_null(strstr(f.client.why, "connection reset"));
    hang_up();

    snprintf(name, sizeof name, TLS_ALPN_LINK " %s", f.address);
    SSL_SESSION *session = tls_sessions_take(f.sessions, name);
    assert_non_null(session);
    assert_true(SSL_SESSION_is_resumable(session));
    SSL_SESSION_free(session);
    uv_tcp_init(&f.loop, &f.listener);
    close_with_sessions();
}

static void a_session_is_of_one_protocol(void **state)
{
    (void)state;
    open_with_sessions(berlin, paris);
    assert_false(dial_resumes(TLS_ALPN_LINK));
    hang_up();
    assert_false(dial_resumes(TLS_ALPN_RELAY));
    hang_up();
    assert_false(dial_resumes(TLS_ALPN_RELAY)); /* which gives no tickets */
    hang_up();

    /* One who shows it for another protocol nevertheless. */
    char name[200];
    snprintf(name, sizeof name, TLS_ALPN_LINK " %s", f.address);
    SSL_SESSION *session = tls_sessions_take(f.sessions, name);
    assert_non_null(session);
    snprintf(name, sizeof name, TLS_ALPN_RELAY " %s", f.address);
    tls_sessions_put(f.sessions, name, session);
    assert_int_equal(fixture_dial(&f, NULL, TLS_ALPN_RELAY), 0);
    assert_true(fixture_run(&f, &f.client.is_down));
    assert_true(fixture_run(&f, &f.server.is_down));
    assert_string_equal(f.client.why, "peer ended TLS: it does not speak our protocol");
    assert_false(f.server.is_up);
    close_with_sessions();
}

/* Refused after it was welcome once, in the words of a full handshake. */
static void second_dial_is_refused(const char *client_why, const char *server_why)
{
    assert_int_equal(fixture_dial(&f, NULL, TLS_ALPN_LINK), 0);
    assert_true(fixture_run(&f, &f.client.is_down));
    assert_true(fixture_run(&f, &f.server.is_down));
    if (!strstr(f.client.why, client_why) || !strstr(f.server.why, server_why))
        print_error("client: %s; server: %s\n", f.client.why, f.server.why);
    assert_non_null(strstr(f.client.why, client_why));
    assert_non_null(strstr(f.server.why, server_why));
    assert_false(f.server.is_up);
}

static void who_is_revoked_since_is_not_resumed(void **state)
{
    (void)state;
    open_with_sessions(berlin, paris);
    assert_false(dial_resumes(TLS_ALPN_LINK));
    hang_up();
    fixture_revoke(&realm, paris, berlin);
    second_dial_is_refused("peer refused our certificate: revoked",
                           "its certificate is refused: revoked");
    close_with_sessions();
    fixture_revoke(&realm, paris, NULL);

    /* And the other way round. */
    open_with_sessions(berlin, paris);
    assert_false(dial_resumes(TLS_ALPN_LINK));
    hang_up();
    fixture_revoke(&realm, berlin, paris);
    second_dial_is_refused("its certificate is refused: revoked",
                           "peer refused our certificate: revoked");
    close_with_sessions();
    fixture_revoke(&realm, berlin, NULL);
}

static void who_has_expired_since_is_not_resumed(void **state)
{
    time_t end = time(NULL) + 2;
    struct identity *old =
        fixture_identity_from(&realm, "berlin", CONF_ROLE_GATEWAY, end - FIXTURE_DAYS * DAY_S);

    (void)state;
    open_with_sessions(old, paris);
    assert_false(dial_resumes(TLS_ALPN_LINK));
    hang_up();
    assert_true(dial_resumes(TLS_ALPN_LINK));
    hang_up();
    while (time(NULL) <= end)
        usleep(50000);
    second_dial_is_refused("peer refused our certificate: expired",
                           "its certificate is refused: expired on 20");
    close_with_sessions();
    identity_free(old);
}

/* What the listener has sealed opens nowhere else, and what is damaged not at all. */
static void a_ticket_that_does_not_open_costs_a_full_handshake(void **state)
{
    struct identity *later = fixture_identity(&realm, "paris", CONF_ROLE_SUPERNODE);
    const unsigned char *at;
    const uint8_t *ticket;
    unsigned char *der = NULL;
    size_t ticket_bytes;
    char name[200];

    (void)state;
    open_with_sessions(berlin, paris);
    assert_false(dial_resumes(TLS_ALPN_LINK));
    hang_up();
    f.server.identity = later; /* the supernode has started anew */
    assert_false(dial_resumes(TLS_ALPN_LINK));
    hang_up();
    assert_true(dial_resumes(TLS_ALPN_LINK));
    hang_up();

    snprintf(name, sizeof name, TLS_ALPN_LINK " %s", f.address);
    SSL_SESSION *session = tls_sessions_take(f.sessions, name);
    SSL_SESSION_get0_ticket(session, &ticket, &ticket_bytes);
    int bytes = i2d_SSL_SESSION(session, &der);
    unsigned char *found = memmem(der, (size_t)bytes, ticket, ticket_bytes);
    assert_non_null(found);
    found[ticket_bytes / 2] ^= 1;
    SSL_SESSION_free(session);
    at = der;
    session = d2i_SSL_SESSION(NULL, &at, bytes);
    assert_non_null(session);
    OPENSSL_free(der);
    tls_sessions_put(f.sessions, name, session);
    assert_false(dial_resumes(TLS_ALPN_LINK));
    close_with_sessions();
    identity_free(later);
}

static void another_identity_does_not_use_it(void **state)
{
    struct identity *spy = fixture_identity(&realm, "spy", CONF_ROLE_GATEWAY);

    (void)state;
    open_with_sessions(berlin, paris);
    assert_false(dial_resumes(TLS_ALPN_LINK));
    hang_up();
    f.client.identity = spy;
    assert_false(dial_resumes(TLS_ALPN_LINK)); /* and it is known as the spy */
    hang_up();
    f.client.identity = berlin;
    assert_true(dial_resumes(TLS_ALPN_LINK));
    close_with_sessions();
    identity_free(spy);
}

/* A ticket is seen on the wire by everybody; without the secret that belongs to it it is worth
 * nothing. */
static void a_ticket_that_was_overheard_is_worth_nothing(void **state)
{
    struct identity *spy = fixture_identity(&realm, "spy", CONF_ROLE_GATEWAY);
    unsigned char *der = NULL, secret[64];
    const unsigned char *at;
    char name[200];

    (void)state;
    open_with_sessions(berlin, paris);
    assert_false(dial_resumes(TLS_ALPN_LINK));
    hang_up();
    snprintf(name, sizeof name, TLS_ALPN_LINK " %s", f.address);
    SSL_SESSION *session = tls_sessions_take(f.sessions, name);
    size_t secret_bytes = SSL_SESSION_get_master_key(session, secret, sizeof secret);
    int bytes = i2d_SSL_SESSION(session, &der);
    unsigned char *found = memmem(der, (size_t)bytes, secret, secret_bytes);
    assert_non_null(found);
    memset(found, 7, secret_bytes);
    SSL_SESSION_free(session);
    at = der;
    session = d2i_SSL_SESSION(NULL, &at, bytes);
    OPENSSL_free(der);
    tls_sessions_free(f.sessions);
    f.sessions = tls_sessions_new(spy);
    tls_sessions_put(f.sessions, name, session);

    f.client.identity = spy;
    assert_int_equal(fixture_dial(&f, NULL, TLS_ALPN_LINK), 0);
    assert_true(fixture_run(&f, &f.server.is_down));
    assert_false(f.server.is_up);
    assert_true(fixture_run(&f, &f.client.is_down));
    hang_up();
    assert_false(dial_resumes(TLS_ALPN_LINK)); /* it gets in as what it is */
    close_with_sessions();
    identity_free(spy);
}

static void few_sessions_are_kept_and_each_is_taken_out(void **state)
{
    struct tls_sessions *sessions = tls_sessions_new(berlin);
    SSL_SESSION *session;
    char name[20];

    (void)state;
    for (int i = 0; i <= TLS_SESSIONS_MAX; i++) {
        snprintf(name, sizeof name, "%d", i);
        tls_sessions_put(sessions, name, SSL_SESSION_new());
    }
    assert_null(tls_sessions_take(sessions, "0"));
    assert_non_null(session = tls_sessions_take(sessions, "1"));
    SSL_SESSION_free(session);
    assert_null(tls_sessions_take(sessions, "1"));
    tls_sessions_put(sessions, "2", SSL_SESSION_new()); /* in place of the older one */
    assert_non_null(session = tls_sessions_take(sessions, "2"));
    SSL_SESSION_free(session);
    assert_null(tls_sessions_take(sessions, "2"));
    assert_non_null(session = tls_sessions_take(sessions, "3"));
    SSL_SESSION_free(session);
    tls_sessions_free(sessions);
}

static void keys_of_tickets_change(void **state)
{
    struct identity_tickets *tickets = identity_tickets_new();
    struct identity_ticket_key first, second, found;

    (void)state;
    identity_tickets_seal(tickets, 1000, &first);
    assert_int_equal(identity_tickets_open(tickets, 1000, first.name, &found), 0);
    assert_memory_equal(&found, &first, sizeof first);
    identity_tickets_seal(tickets, 1000 + IDENTITY_TICKET_S - 1, &second);
    assert_memory_equal(&second, &first, sizeof first);
    identity_tickets_seal(tickets, 1000 + IDENTITY_TICKET_S, &second);
    assert_memory_not_equal(second.name, first.name, sizeof first.name);
    assert_memory_not_equal(second.cipher, first.cipher, sizeof first.cipher);
    assert_int_equal(
        identity_tickets_open(tickets, 999 + 2 * IDENTITY_TICKET_S, first.name, &found), 0);
    assert_memory_equal(&found, &first, sizeof first);
    assert_int_equal(
        identity_tickets_open(tickets, 1000 + 2 * IDENTITY_TICKET_S, first.name, &found), -ENOENT);
    assert_int_equal(
        identity_tickets_open(tickets, 1000 + 2 * IDENTITY_TICKET_S, second.name, &found), 0);
    assert_int_equal(
        identity_tickets_open(tickets, 1000 + 9 * IDENTITY_TICKET_S, second.name, &found), -ENOENT);
    identity_tickets_free(tickets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_know_each_other_and_talk),
        cmocka_unit_test(an_idle_stream_holds_little),
        cmocka_unit_test(both_sides_are_told_why_one_is_refused),
        cmocka_unit_test(strangers_without_tls_are_told_apart),
        cmocka_unit_test(openssl_without_a_certificate_is_refused),
        cmocka_unit_test(another_protocol_is_refused),
        cmocka_unit_test(a_dial_that_fails_says_how),
        cmocka_unit_test(a_dial_can_be_given_up_at_any_time),
        cmocka_unit_test(a_name_is_resolved),
        cmocka_unit_test(a_name_may_lead_where_nobody_may_dial),
        cmocka_unit_test(one_who_does_not_read_is_not_queued_for),
        cmocka_unit_test(a_stream_moves_with_all_its_bytes),
        cmocka_unit_test(what_is_queued_moves_too),
        cmocka_unit_test(a_detached_stream_can_be_closed),
        cmocka_unit_test(the_next_dial_is_resumed),
        cmocka_unit_test(what_was_cut_is_resumed_too),
        cmocka_unit_test(a_session_that_nobody_saw_is_kept),
        cmocka_unit_test(a_session_is_of_one_protocol),
        cmocka_unit_test(who_is_revoked_since_is_not_resumed),
        cmocka_unit_test(who_has_expired_since_is_not_resumed),
        cmocka_unit_test(a_ticket_that_does_not_open_costs_a_full_handshake),
        cmocka_unit_test(another_identity_does_not_use_it),
        cmocka_unit_test(a_ticket_that_was_overheard_is_worth_nothing),
        cmocka_unit_test(few_sessions_are_kept_and_each_is_taken_out),
        cmocka_unit_test(keys_of_tickets_change),
    };
    signal(SIGPIPE, SIG_IGN);
    int failed = cmocka_run_group_tests(tests, make_identities, free_identities);
    uv_library_shutdown(); /* its resolver threads; joined after main they hang under TSan */
    return failed;
}
