/* Tickets for relays, and who is admitted with them. */
#include "overlay/relay_admit.h"
#include "tests/unit/overlay/realm_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define NOW_S ((int64_t)time(NULL))

static struct realm realm, foreign;
static struct identity *relay, *berlin, *paris, *oslo, *hub, *stranger;

static int setup(void **state)
{
    (void)state;
    fixture_realm(&realm);
    fixture_realm(&foreign);
    relay = fixture_identity(&realm, "relay", CONF_ROLE_RELAY);
    berlin = fixture_identity(&realm, "berlin", CONF_ROLE_GATEWAY);
    paris = fixture_identity(&realm, "paris", CONF_ROLE_CLIENT);
    oslo = fixture_identity(&realm, "oslo", CONF_ROLE_GATEWAY);
    hub = fixture_identity(&realm, "hub", CONF_ROLE_SUPERNODE);
    stranger = fixture_identity(&foreign, "berlin", CONF_ROLE_GATEWAY);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    identity_free(relay);
    identity_free(berlin);
    identity_free(paris);
    identity_free(oslo);
    identity_free(hub);
    identity_free(stranger);
    realm_fini(&realm);
    realm_fini(&foreign);
    return 0;
}

static const uint8_t *node_of(const struct identity *identity)
{
    return identity_certificate(identity)->node;
}

static size_t make(const struct identity *signer, const struct identity *peer, const char *tunnel,
                   int64_t issued_s, uint32_t lifetime_s, uint8_t *out)
{
    struct ticket ticket = {.issued_s = issued_s, .lifetime_s = lifetime_s};

    snprintf((char *)ticket.tunnel, sizeof ticket.tunnel, "%s", tunnel);
    memcpy(ticket.relay, node_of(relay), sizeof ticket.relay);
    memcpy(ticket.peer, node_of(peer), sizeof ticket.peer);
    return ticket_sign(signer, &ticket, out);
}

static enum ticket_fault check(const uint8_t *data, size_t bytes, const struct identity *bearer,
                               const struct identity *certificate, const struct identity *at)
{
    struct trust trust;
    struct ticket ticket;
    struct ticket_trial trial = {.data = data,
                                 .bytes = bytes,
                                 .bearer = identity_certificate(bearer),
                                 .relay = node_of(at),
                                 .now_s = NOW_S,
                                 .trust = &trust};
    if (certificate) {
        trial.certificate = identity_certificate(certificate)->der;
        trial.certificate_bytes = identity_certificate(certificate)->der_bytes;
    }
    trust_init(&trust, relay);
    enum ticket_fault fault = ticket_check(&trial, &ticket);
    trust_fini(&trust);
    return fault;
}

static void a_ticket_is_read_as_it_was_written(void **state)
{
    uint8_t data[TICKET_BYTES_MAX];
    struct ticket ticket;
    size_t bytes = make(berlin, paris, "t", 1234567, 43200, data);

    (void)state;
    assert_int_equal(ticket_decode(data, bytes, &ticket), 0);
    assert_memory_equal(ticket.relay, node_of(relay), OVERLAY_NODE_ID_BYTES);
    assert_memory_equal(ticket.signer, node_of(berlin), OVERLAY_NODE_ID_BYTES);
    assert_memory_equal(ticket.peer, node_of(paris), OVERLAY_NODE_ID_BYTES);
    assert_string_equal((char *)ticket.tunnel, "t");
    assert_int_equal(ticket.issued_s, 1234567);
    assert_int_equal(ticket.lifetime_s, 43200);
    assert_int_not_equal(ticket_is_higher(&ticket, node_of(berlin)),
                         ticket_is_higher(&ticket, node_of(paris)));
}

static void who_may_show_it(void **state)
{
    const struct {
        const struct identity *signer, *peer, *bearer, *certificate;
        enum ticket_fault fault;
    } cases[] = {
        {berlin, paris, berlin, NULL, TICKET_GOOD},
        {berlin, paris, paris, berlin, TICKET_GOOD},
        {paris, berlin, berlin, paris, TICKET_GOOD},
        {berlin, paris, berlin, oslo, TICKET_GOOD}, /* its own is known from the handshake */
        {berlin, paris, oslo, berlin, TICKET_STRANGER},
        {oslo, hub, berlin, oslo, TICKET_STRANGER},
        {berlin, paris, paris, NULL, TICKET_FORGED},
        {berlin, paris, paris, paris, TICKET_FORGED}, /* the certificate of another */
        {stranger, paris, paris, stranger, TICKET_FORGED},
        {hub, paris, paris, hub, TICKET_FORGED}, /* it makes no calls */
        {berlin, berlin, berlin, NULL, TICKET_MALFORMED},
    };
    uint8_t data[TICKET_BYTES_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t bytes = make(cases[i].signer, cases[i].peer, "t", NOW_S, 3600, data);
        enum ticket_fault fault = check(data, bytes, cases[i].bearer, cases[i].certificate, relay);
        if (fault != cases[i].fault)
            fail_msg("case %zu: %s", i, ticket_fault_text(fault));
    }
}

static void when_and_where_it_is_good(void **state)
{
    const struct {
        int64_t age_s;
        uint32_t lifetime_s;
        enum ticket_fault fault;
    } cases[] = {
        {0, 3600, TICKET_GOOD},
        {3650, 3600, TICKET_GOOD}, /* clocks may differ */
        {-50, 3600, TICKET_GOOD},
        {-90, 3600, TICKET_TIMES},
        {3670, 3600, TICKET_TIMES},
        {0, 43200, TICKET_GOOD},
        {0, 43201, TICKET_TIMES},
        {0, 0, TICKET_TIMES},
        {0, UINT32_MAX, TICKET_TIMES},
        {INT64_MIN / 2, 3600, TICKET_TIMES},
        {INT64_MAX / 2, 3600, TICKET_TIMES},
    };
    uint8_t data[TICKET_BYTES_MAX];
    size_t bytes;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bytes = make(berlin, paris, "t", NOW_S - cases[i].age_s, cases[i].lifetime_s, data);
        if (check(data, bytes, berlin, NULL, relay) != cases[i].fault)
            fail_msg("case %zu", i);
    }
    bytes = make(berlin, paris, "t", NOW_S, 3600, data);
    assert_int_equal(check(data, bytes, berlin, NULL, oslo), TICKET_ELSEWHERE);
}

/* No bit may be changed, nothing cut off. */
static void it_cannot_be_forged(void **state)
{
    uint8_t data[TICKET_BYTES_MAX], changed[TICKET_BYTES_MAX];
    size_t bytes = make(berlin, paris, "t", NOW_S, 3600, data);

    (void)state;
    for (size_t i = 0; i < bytes; i++) {
        memcpy(changed, data, bytes);
        changed[i] ^= (uint8_t)(1 << i % 8);
        assert_int_not_equal(check(changed, bytes, paris, berlin, relay), TICKET_GOOD);
        assert_int_not_equal(check(data, i, paris, berlin, relay), TICKET_GOOD);
    }
    assert_int_equal(check(data, 0, paris, berlin, relay), TICKET_MALFORMED);
    assert_int_equal(check(data, bytes, paris, berlin, relay), TICKET_GOOD);
}

static void tunnels_of_others_have_other_names(void **state)
{
    uint8_t data[TICKET_BYTES_MAX], keys[4][TICKET_TUNNEL_BYTES];
    const struct {
        const struct identity *signer, *peer;
        const char *tunnel;
    } cases[] = {
        {berlin, paris, "t"}, {paris, berlin, "t"}, {berlin, oslo, "t"}, {berlin, paris, "u"}};
    struct ticket ticket;

    (void)state;
    for (int i = 0; i < 4; i++) {
        size_t bytes = make(cases[i].signer, cases[i].peer, cases[i].tunnel, NOW_S, 3600, data);
        assert_int_equal(ticket_decode(data, bytes, &ticket), 0);
        ticket_tunnel_key(&ticket, keys[i]);
    }
    assert_memory_equal(keys[0], keys[1], sizeof keys[0]); /* whoever of the two has signed */
    assert_memory_not_equal(keys[0], keys[2], sizeof keys[0]);
    assert_memory_not_equal(keys[0], keys[3], sizeof keys[0]);
}

/* ---- admission --------------------------------------------------------------------------------
 */

static enum ticket_fault bind_to(struct relay_admission *admission, int tunnel, uint64_t now_ms,
                                 struct relay_admitted *admitted)
{
    struct relay_bind bind = {.certificate_bytes = 0};
    char name[12];

    snprintf(name, sizeof name, "%d", tunnel);
    bind.ticket_bytes = make(berlin, paris, name, NOW_S, 3600, bind.ticket);
    struct relay_binder binder = {&bind, identity_certificate(berlin), now_ms, NOW_S};
    return relay_admit(admission, &binder, admitted);
}

static void open_admission(struct relay_admission *admission, unsigned all, unsigned per_signer)
{
    *admission = (struct relay_admission){
        .node = node_of(relay), .tunnels_max = all, .tunnels_per_signer = per_signer};
    trust_init(&admission->trust, relay);
}

static void seats_are_limited(void **state)
{
    struct relay_admission admission;
    struct relay_admitted first, other;

    (void)state;
    for (int per_signer = 2; per_signer <= 8; per_signer += 6) { /* either limit */
        open_admission(&admission, (unsigned)(10 - per_signer), (unsigned)per_signer);
        assert_int_equal(bind_to(&admission, 1, 1000, &first), TICKET_GOOD);
        assert_int_equal(bind_to(&admission, 1, 1000, &first), TICKET_GOOD); /* the same again */
        assert_int_equal(bind_to(&admission, 2, 1000, &other), TICKET_GOOD);
        assert_int_equal(bind_to(&admission, 3, 1000, &other), TICKET_NO_ROOM);
        assert_int_equal(admission.refused[TICKET_NO_ROOM], 1);
        relay_admission_end(&admission, first.tunnel, 1); /* another one is on its way */
        assert_int_equal(bind_to(&admission, 3, 1000, &other), TICKET_NO_ROOM);
        relay_admission_end(&admission, first.tunnel, 1);
        assert_int_equal(bind_to(&admission, 3, 1000, &other), TICKET_GOOD);
        assert_int_equal(relay_admission_tunnels(&admission), 2);
        relay_admission_fini(&admission);
    }
}

static void a_signer_that_binds_endlessly_is_slowed_down(void **state)
{
    struct relay_admission admission;
    struct relay_admitted admitted;
    int good = 0;

    (void)state;
    open_admission(&admission, 10, 10);
    for (int i = 0; i < 5000; i++)
        good += bind_to(&admission, 1, 1000, &admitted) == TICKET_GOOD;
    assert_in_range(good, 1000, 3000);
    assert_int_equal(admission.refused[TICKET_TOO_OFTEN], 5000 - good);
    assert_int_equal(bind_to(&admission, 1, 2000, &admitted), TICKET_GOOD);
    relay_admission_fini(&admission);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ticket_is_read_as_it_was_written),
        cmocka_unit_test(who_may_show_it),
        cmocka_unit_test(when_and_where_it_is_good),
        cmocka_unit_test(it_cannot_be_forged),
        cmocka_unit_test(tunnels_of_others_have_other_names),
        cmocka_unit_test(seats_are_limited),
        cmocka_unit_test(a_signer_that_binds_endlessly_is_slowed_down),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
