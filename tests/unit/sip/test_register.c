/* REGISTER and OPTIONS over UDP and TCP, and what is refused before anything else. */
#include "phone.h"

#define PORT 43200

static int setup(void **state)
{
    struct lab *lab = lab_open(PORT);

    assert_int_equal(lab_start(lab), 0);
    *state = lab;
    return 0;
}

static int teardown(void **state)
{
    lab_close(*state);
    return 0;
}

static struct sip_binding seen;
static int seen_count;

static void on_binding(void *ctx, const struct sip_binding *b)
{
    (void)ctx;
    seen = *b;
    seen_count++;
}

static void list(struct lab *lab)
{
    seen_count = 0;
    sip_each_binding(lab->sip, on_binding, NULL);
}

static void phone_registers_and_leaves(void **state)
{
    struct lab *lab = *state;
    static struct phone p;

    for (int tcp = 0; tcp < 2; tcp++) {
        phone_open(&p, lab, tcp, "201", SECRET_201);
        phone_register(&p, phone_contact(&p), "Expires: 600\r\nUser-Agent: tester\r\n");
        assert_int_equal(phone_status(&p), 200);
        assert_non_null(strstr(phone_header(&p, "Contact"), "<sip:201@10.1.2.3:5060"));
        assert_non_null(strstr(phone_header(&p, "Contact"), ";expires=600"));
        assert_non_null(strstr(phone_header(&p, "Via"), "received=127.0.0.1"));
        lab_expect(lab, "reg:201=1");
        list(lab);
        assert_int_equal(seen_count, 1);
        assert_int_equal(seen.transport, tcp ? CONF_TCP : CONF_UDP);
        assert_int_equal(address_port(&seen.source), p.port);
        assert_string_equal(seen.user_agent, "tester");
        phone_register(&p, "*", "Expires: 0\r\n");
        assert_int_equal(phone_status(&p), 200);
        assert_string_equal(phone_header(&p, "Contact"), "");
        lab_expect(lab, "reg:201=0");
        phone_close(&p);
    }
}

static void challenge_offers_both_algorithms(void **state)
{
    struct lab *lab = *state;
    static struct phone p;

    phone_open(&p, lab, false, "201", SECRET_201);
    phone_send_register(&p, phone_contact(&p), "", "");
    phone_expect(&p, 401);
    assert_non_null(strstr(phone_header_at(&p, "WWW-Authenticate", 0), "algorithm=SHA-256"));
    assert_non_null(strstr(phone_header_at(&p, "WWW-Authenticate", 1), "algorithm=MD5"));
    assert_null(strstr(phone_header_at(&p, "WWW-Authenticate", 0), "stale"));
    phone_send_register(&p, phone_contact(&p),
                        phone_credentials(&p, "REGISTER", "sip:lab.example", DIGEST_MD5), "");
    phone_expect(&p, 200);
    phone_close(&p);
}

/* The answer to a stranger and to a wrong secret is the same. */
static void users_cannot_be_enumerated(void **state)
{
    struct lab *lab = *state;
    static const struct {
        const char *user, *secret;
    } cases[] = {{"201", "wrong"}, {"nobody", "wrong"}, {"nobody", ""}};
    static struct phone p;
    struct sip_counters counters;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        phone_open(&p, lab, false, cases[i].user, cases[i].secret);
        phone_register(&p, phone_contact(&p), "");
        assert_int_equal(phone_status(&p), 403);
        assert_memory_equal(p.message, "SIP/2.0 403 Forbidden\r\n", 23);
        phone_close(&p);
    }
    sip_counters(lab->sip, &counters);
    assert_int_equal(counters.auth_failures, 3);
    assert_int_equal(counters.bindings, 0);
    assert_string_equal(lab->log, "");
    assert_string_equal(lab->refused, "password 201-> 403"); /* nobody's is not told */
}

/* Credentials cover neither the contact nor the sender: only the same request may come again. */
static void replayed_credentials_are_stale(void **state)
{
    struct lab *lab = *state;
    static struct phone p, thief;
    char credentials[1024];

    phone_open(&p, lab, false, "201", SECRET_201);
    phone_send_register(&p, phone_contact(&p), "", "");
    phone_expect(&p, 401);
    strcpy(credentials, phone_credentials(&p, "REGISTER", "sip:lab.example", DIGEST_SHA256));
    phone_send_register(&p, phone_contact(&p), credentials, "");
    phone_expect(&p, 200);
    p.cseq--; /* sent again */
    phone_send_register(&p, phone_contact(&p), credentials, "");
    phone_expect(&p, 200);
    lab_expect(lab, "reg:201=1");
    phone_send_register(&p, phone_contact(&p), credentials, "");
    phone_expect(&p, 401);
    assert_non_null(strstr(phone_header(&p, "WWW-Authenticate"), "stale=true"));
    phone_open(&thief, lab, false, "201", "");
    thief.cseq = p.cseq - 2;
    thief.port = p.port; /* all is copied but where it comes from */
    phone_send_register(&thief, "<sip:201@10.6.6.6>", credentials, "");
    phone_expect(&thief, 401);
    assert_string_equal(lab->log, "");
    phone_close(&p);
    phone_close(&thief);
}

/* After a restart all nonces are strange: the phone must try again, not give up. */
static void foreign_nonce_is_stale(void **state)
{
    struct lab *lab = *state;
    static struct phone p;

    phone_open(&p, lab, false, "201", SECRET_201);
    phone_send_register(&p, phone_contact(&p), "", "");
    phone_expect(&p, 401);
    memcpy(strstr(strstr(p.message, "nonce=\""), "-") + 1, "0000", 4);
    phone_send_register(&p, phone_contact(&p),
                        phone_credentials(&p, "REGISTER", "sip:lab.example", DIGEST_SHA256), "");
    phone_expect(&p, 401);
    assert_non_null(strstr(phone_header(&p, "WWW-Authenticate"), "stale=true"));
    phone_close(&p);
}

static void bad_registrations_are_refused(void **state)
{
    struct lab *lab = *state;
    static const struct {
        const char *contact, *extra;
        int status;
    } cases[] = {
        {"<sip:a@10.1.2.3>", "Expires: 10\r\n", 423},
        {"<sip:a@10.1.2.3>;expires=59", "", 423},
        {"*", "", 400},
        {"*", "Expires: 60\r\n", 400},
        {"<tel:+4930123>", "", 400},
        {"<http://10.1.2.3/>", "", 400},
        {"<sip:a@10.1.2.3>", "Path: <tel:1>\r\n", 400},
        {"<sip:a@10.1.2.3>", "Require: unheard-of\r\n", 420},
        {"<sip:a@10.1.2.3>", "Path: <sip:10.9.9.9;lr>\r\nRequire: path\r\n", 200},
        {"<sip:b@10.1.2.3>;expires=99999", "", 200},
    };
    static struct phone p;

    phone_open(&p, lab, false, "201", SECRET_201);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (cases[i].status == 420) {
            phone_send_register(&p, cases[i].contact, cases[i].extra, "");
            phone_expect(&p, 420);
            assert_string_equal(phone_header(&p, "Unsupported"), "unheard-of");
            continue;
        }
        p.user = "201";
        {
            char lines[1024];

            phone_send_register(&p, "", "", "");
            phone_expect(&p, 401);
            snprintf(lines, sizeof lines, "%s%s",
                     phone_credentials(&p, "REGISTER", "sip:lab.example", DIGEST_SHA256),
                     cases[i].extra);
            phone_send_register(&p, cases[i].contact, lines, "");
        }
        phone_expect(&p, cases[i].status);
        if (cases[i].status == 423)
            assert_string_equal(phone_header(&p, "Min-Expires"), "60");
    }
    assert_non_null(strstr(phone_header(&p, "Contact"), "<sip:b@10.1.2.3>;expires=3600"));
    phone_close(&p);
}

static void other_requests_are_answered(void **state)
{
    struct lab *lab = *state;
    static const struct {
        const char *method, *uri, *extra;
        int status;
    } cases[] = {
        {"OPTIONS", "sip:lab.example", "", 200},
        {"OPTIONS", "sip:lab.example", "Max-Forwards: 0\r\n", 483},
        {"SUBSCRIBE", "sip:201@lab.example", "", 405},
        {"NEWFANGLED", "sip:201@lab.example", "", 405},
        {"OPTIONS", "tel:+4930123", "", 416},
        {"OPTIONS", "http://lab.example/", "", 416},
        {"INVITE", "sip:202@lab.example", "", 407},
        {"INVITE", "sip:nobody@lab.example", "", 407},
        {"BYE", "sip:201@lab.example", "", 481},
        {"CANCEL", "sip:201@lab.example", "", 481},
    };
    static struct phone p;

    for (int tcp = 0; tcp < 2; tcp++) {
        phone_open(&p, lab, tcp, "201", SECRET_201);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            phone_send(&p,
                       "%s %s SIP/2.0\r\nVia: SIP/2.0/%s h.invalid;branch=z9hG4bKo%zu\r\n"
                       "From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>%s\r\nCall-ID: o%zu\r\n"
                       "CSeq: 1 %s\r\n%sContent-Length: 0\r\n\r\n",
                       cases[i].method, cases[i].uri, tcp ? "TCP" : "UDP", i,
                       cases[i].status == 481 ? ";tag=2" : "", i, cases[i].method, cases[i].extra);
            phone_expect(&p, cases[i].status);
            assert_non_null(strstr(phone_header(&p, "Allow"), "INVITE"));
        }
        phone_close(&p);
    }
}

static void ping_is_answered(void **state)
{
    struct lab *lab = *state;
    static struct phone p;

    phone_open(&p, lab, true, "201", SECRET_201);
    phone_send(&p, "\r\n\r\n");
    lab_run(lab, 30);
    assert_int_equal(recv(p.fd, p.in, sizeof p.in, 0), 2);
    phone_close(&p);
}

static void closed_connection_takes_its_bindings(void **state)
{
    struct lab *lab = *state;
    static struct phone p;
    struct sip_counters counters;

    phone_open(&p, lab, true, "201", SECRET_201);
    phone_register(&p, phone_contact(&p), "");
    lab_expect(lab, "reg:201=1");
    sip_counters(lab->sip, &counters);
    assert_int_equal(counters.connections, 1);
    phone_close(&p);
    lab_expect(lab, "reg:201=0");
    sip_counters(lab->sip, &counters);
    assert_int_equal(counters.connections, 0);
}

static void connections_are_limited(void **state)
{
    struct lab *lab = *state;
    static struct phone phones[12];
    struct sip_counters counters;
    char byte;

    for (size_t i = 0; i < 12; i++)
        phone_open(&phones[i], lab, true, "201", SECRET_201);
    lab_run(lab, 30);
    sip_counters(lab->sip, &counters);
    assert_int_equal(counters.connections, 10);
    assert_int_equal(recv(phones[11].fd, &byte, 1, 0), 0);
    for (size_t i = 0; i < 12; i++)
        phone_close(&phones[i]);
}

static void garbage_closes_the_connection(void **state)
{
    static const char *const garbage[] = {
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "OPTIONS sip:x SIP/2.0\r\nContent-Length: -1\r\n\r\n",
        "OPTIONS sip:x SIP/2.0\r\nTo: no via\r\n\r\n",
    };
    struct lab *lab = *state;
    static struct phone p;
    char byte;

    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        phone_open(&p, lab, true, "201", SECRET_201);
        phone_send(&p, "%s", garbage[i]);
        lab_run(lab, 30);
        assert_int_equal(recv(p.fd, &byte, 1, 0), 0);
        phone_close(&p);
    }
}

/* Many messages in one segment, and one in many. */
static void stream_may_be_cut_anywhere(void **state)
{
    struct lab *lab = *state;
    static struct phone p;
    char text[64 * 300], one[300];
    size_t used = 0;

    phone_open(&p, lab, true, "201", SECRET_201);
    for (int i = 0; i < 64; i++)
        used += (size_t)snprintf(text + used, sizeof text - used,
                                 "OPTIONS sip:x SIP/2.0\r\nv: SIP/2.0/TCP h;branch=z9hG4bKm%d\r\n"
                                 "f: <sip:a@b>;tag=1\r\nt: <sip:c@d>\r\ni: m%d\r\n"
                                 "CSeq: 1 OPTIONS\r\nl: 0\r\n\r\n",
                                 i, i);
    phone_send_bytes(&p, text, used);
    for (int i = 0; i < 64; i++) {
        phone_expect(&p, 200);
        snprintf(one, sizeof one, "m%d", i);
        assert_string_equal(phone_header(&p, "Call-ID"), one);
    }
    for (size_t i = 0; i < used / 32; i++) {
        phone_send_bytes(&p, text + i, 1);
        if (i % 16 == 0)
            lab_turn(lab, 1);
    }
    phone_expect(&p, 200);
    phone_expect(&p, 200);
    phone_close(&p);
}

static void bindings_survive_a_restart(void **state)
{
    struct lab *lab = *state;
    static struct phone p;
    char path[] = "/tmp/sallyport-reg-XXXXXX", name[64];
    int fd = mkstemp(path);

    close(fd);
    unlink(path);
    lab_stop(lab);
    lab->conf.sip.registrations = path;
    assert_int_equal(lab_start(lab), 0);
    phone_open(&p, lab, false, "202", SECRET_202);
    phone_register(&p, phone_contact(&p), "");
    lab_expect(lab, "reg:202=1");
    lab_stop(lab);
    assert_int_equal(lab_start(lab), 0);
    list(lab);
    assert_int_equal(seen_count, 1);
    assert_int_equal(address_port(&seen.source), p.port);
    assert_int_equal(sip_call_new(lab->sip, "202", &(struct sip_caller){"201", "", NULL},
                                  &lab->local, "0123456789abcdef", &lab_call_events, lab,
                                  &lab->call),
                     0);
    phone_expect_request(&p, "INVITE ");
    phone_close(&p);
    lab_stop(lab);
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s%s", path, i == 0 ? "" : i == 1 ? "-wal" : "-shm");
        unlink(name);
    }
}

/* Of a wildcard, too, it is known which of our addresses a phone talks to. */
static void wildcard_knows_its_addresses(void **state)
{
    struct lab *lab = *state;
    static struct phone p;
    struct sockaddr_storage local, right;

    lab_stop(lab);
    for (int i = 0; i < 2; i++)
        ((struct sockaddr_in *)&lab->conf.sip.listen[i].address)->sin_addr.s_addr = 0;
    assert_int_equal(lab_start(lab), 0);
    lab_loopback(&right, lab->port);
    for (int tcp = 0; tcp < 2; tcp++) {
        phone_open(&p, lab, tcp, "201", SECRET_201);
        phone_register(&p, phone_contact(&p), "");
        assert_int_equal(phone_status(&p), 200);
        assert_int_equal(sip_phone_local(lab->sip, "201", &local), 0);
        assert_true(address_equal(&local, &right));
        phone_close(&p);
    }
}

static void taken_port_is_an_error(void **state)
{
    struct lab *lab = *state;
    struct sip *second = NULL;

    assert_true(sip_open(&lab->uv, (struct su_root_t *)lab->root, &lab->conf, &lab_events, lab,
                         &second) < 0);
    lab_run(lab, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(phone_registers_and_leaves, setup, teardown),
        cmocka_unit_test_setup_teardown(challenge_offers_both_algorithms, setup, teardown),
        cmocka_unit_test_setup_teardown(users_cannot_be_enumerated, setup, teardown),
        cmocka_unit_test_setup_teardown(replayed_credentials_are_stale, setup, teardown),
        cmocka_unit_test_setup_teardown(foreign_nonce_is_stale, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_registrations_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(other_requests_are_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(ping_is_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(closed_connection_takes_its_bindings, setup, teardown),
        cmocka_unit_test_setup_teardown(connections_are_limited, setup, teardown),
        cmocka_unit_test_setup_teardown(garbage_closes_the_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(stream_may_be_cut_anywhere, setup, teardown),
        cmocka_unit_test_setup_teardown(bindings_survive_a_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(wildcard_knows_its_addresses, setup, teardown),
        cmocka_unit_test_setup_teardown(taken_port_is_an_error, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
