/* Dial-back in the core: who may ask, where it goes, and what the asker hears. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/overlay/core_fixture.h"

#define LINK 0x80000001u

static struct realm realm;
static struct identity *supernode, *berlin;

static struct {
    int asked, told;
    struct core_dial_back_to to;
    struct core_dial_back ask;
    struct core_dialed_back result;
} seen;

static void on_dial_back(void *ctx, const struct core_dial_back_to *to,
                         const struct core_dial_back *ask)
{
    (void)ctx;
    seen.asked++;
    seen.to = *to;
    seen.ask = *ask;
}

static void on_dialed_back(void *ctx, const struct core_dialed_back *result)
{
    (void)ctx;
    seen.told++;
    seen.result = *result;
}

static int make(void **state)
{
    (void)state;
    fixture_realm(&realm);
    supernode = fixture_identity(&realm, "sn", CONF_ROLE_SUPERNODE | CONF_ROLE_RELAY);
    berlin = fixture_identity(&realm, "berlin", CONF_ROLE_GATEWAY);
    return 0;
}

static int unmake(void **state)
{
    (void)state;
    identity_free(supernode);
    identity_free(berlin);
    realm_fini(&realm);
    return 0;
}

static int forget(void **state)
{
    (void)state;
    memset(&seen, 0, sizeof seen);
    return 0;
}

/* A supernode with berlin as its client, whose link comes from `from`. */
static void serve(struct stand *stand, const char *from)
{
    struct core_settings settings = {.identity = supernode,
                                     .roles = CONF_ROLE_SUPERNODE | CONF_ROLE_RELAY,
                                     .address = "203.0.113.1:443"};
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Hello hello = SALLYPORT__HELLO__INIT;
    struct sockaddr_storage address;

    stand_open(stand, &settings);
    stand->core->io.dial_back = on_dial_back;
    assert_int_equal(address_parse(from, &address), 0);
    core_on_link_up(stand->core, LINK, true, identity_certificate(berlin), &address);
    hello.version = 1;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_HELLO;
    envelope.hello = &hello;
    stand_give(stand, LINK, &envelope);
    stand_clear(stand);
}

static void give_dial_back(struct stand *stand, uint32_t tcp_port, uint32_t udp_port, size_t knock)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__DialBack wire = SALLYPORT__DIAL_BACK__INIT;

    wire.request = 7;
    wire.tcp_port = tcp_port;
    wire.udp_port = udp_port;
    wire.knock.data = (uint8_t *)"abcdefghijklmnop";
    wire.knock.len = knock;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_DIAL_BACK;
    envelope.dial_back = &wire;
    stand_give(stand, LINK, &envelope);
}

static const Sallyport__DialedBack *told(struct stand *stand)
{
    const Sallyport__Envelope *envelope =
        stand_sent(stand, LINK, SALLYPORT__ENVELOPE__BODY_DIALED_BACK);

    return envelope ? envelope->dialed_back : NULL;
}

static void goes_to_where_the_link_comes_from_and_nowhere_else(void **state)
{
    const struct core_dialed_back result = {.tcp = true, .udp = true};
    char text[ADDRESS_TEXT_MAX];
    struct stand stand;

    (void)state;
    serve(&stand, "[::ffff:198.51.100.7]:50123");
    give_dial_back(&stand, 443, 4000, 12);
    assert_int_equal(seen.asked, 1);
    address_set_port(&seen.to.address, 1);
    assert_string_equal(address_format(&seen.to.address, text), "198.51.100.7:1");
    assert_memory_equal(seen.to.node, identity_certificate(berlin)->node, OVERLAY_NODE_ID_BYTES);
    assert_int_equal(seen.ask.tcp_port, 443);
    assert_int_equal(seen.ask.udp_port, 4000);
    assert_memory_equal(seen.ask.knock, "abcdefghijkl", 12);
    assert_null(told(&stand));

    core_dialed_back(stand.core, seen.to.link, seen.to.request, &result);
    assert_non_null(told(&stand));
    assert_int_equal(told(&stand)->request, 7);
    assert_true(told(&stand)->tcp && told(&stand)->udp && !told(&stand)->refused);
    core_dialed_back(stand.core, 12345, 7, &result); /* a link that is gone by now */
    stand_finish(&stand);
}

static void once_a_minute(void **state)
{
    struct stand stand;

    (void)state;
    serve(&stand, "198.51.100.7:50123");
    give_dial_back(&stand, 443, 4000, 12);
    give_dial_back(&stand, 444, 4000, 12);
    assert_int_equal(seen.asked, 1);
    assert_true(told(&stand)->refused);
    assert_string_equal(told(&stand)->why, "asked twice within a minute");
    stand_clear(&stand);
    stand.now_ms += 60000;
    give_dial_back(&stand, 445, 4000, 12);
    assert_int_equal(seen.asked, 2);
    assert_null(told(&stand));
    stand_finish(&stand);
}

static void nonsense_is_counted(void **state)
{
    static const struct {
        uint32_t tcp_port, udp_port;
        size_t knock;
    } cases[] = {{0, 4000, 12},   {65536, 4000, 12}, {443, 65536, 12},
                 {443, 4000, 11}, {443, 4000, 13},   {443, 4000, 0}};
    struct stand stand;

    (void)state;
    serve(&stand, "198.51.100.7:50123");
    uint64_t before = stand.core->malformed;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        give_dial_back(&stand, cases[i].tcp_port, cases[i].udp_port, cases[i].knock);
    assert_int_equal(seen.asked, 0);
    assert_int_equal(stand.core->malformed - before, sizeof cases / sizeof *cases);
    assert_null(told(&stand));
    stand_finish(&stand);
}

static void who_cannot_says_so(void **state)
{
    struct stand stand;

    (void)state;
    serve(&stand, "198.51.100.7:50123");
    stand.core->io.dial_back = NULL;
    give_dial_back(&stand, 443, 4000, 12);
    assert_true(told(&stand)->refused);
    stand_finish(&stand);
}

static void give_dialed_back(struct stand *stand, uint32_t request, const char *why)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__DialedBack wire = SALLYPORT__DIALED_BACK__INIT;

    wire.request = request;
    wire.udp = true;
    wire.why = (char *)why;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_DIALED_BACK;
    envelope.dialed_back = &wire;
    stand_give(stand, stand->dialled[0], &envelope);
}

static void the_asker_hears_the_answer_to_its_last_question(void **state)
{
    struct core_settings settings = {.identity = berlin,
                                     .roles = CONF_ROLE_GATEWAY,
                                     .supernodes = {"203.0.113.1:443"},
                                     .supernode_count = 1};
    const struct core_dial_back ask = {.tcp_port = 443, .udp_port = 4000, .knock = "abcdefghijk"};
    char why[300];
    struct stand stand;

    (void)state;
    stand_open(&stand, &settings);
    stand.core->io.dialed_back = on_dialed_back;
    assert_int_equal(core_dial_back(stand.core, &ask), -107 /* ENOTCONN */);
    stand_run(&stand, 100);
    stand_welcome(&stand, stand.dialled[0], supernode);
    assert_int_equal(core_dial_back(stand.core, &ask), 0);
    const Sallyport__Envelope *sent =
        stand_sent(&stand, stand.dialled[0], SALLYPORT__ENVELOPE__BODY_DIAL_BACK);
    assert_non_null(sent);
    assert_int_equal(sent->dial_back->tcp_port, 443);
    assert_int_equal(sent->dial_back->knock.len, 12);

    give_dialed_back(&stand, sent->dial_back->request + 1, "of another question");
    assert_int_equal(seen.told, 0);
    memset(why, 'x', sizeof why);
    why[sizeof why - 1] = '\0';
    give_dialed_back(&stand, sent->dial_back->request, why);
    assert_int_equal(seen.told, 1);
    assert_true(seen.result.udp && !seen.result.tcp);
    assert_int_equal(strlen(seen.result.why), sizeof seen.result.why - 1);
    stand_finish(&stand);
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup(test, forget)
    const struct CMUnitTest tests[] = {
        FRESH(goes_to_where_the_link_comes_from_and_nowhere_else),
        FRESH(once_a_minute),
        FRESH(nonsense_is_counted),
        FRESH(who_cannot_says_so),
        FRESH(the_asker_hears_the_answer_to_its_last_question),
    };
    return cmocka_run_group_tests(tests, make, unmake);
}
