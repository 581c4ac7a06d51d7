/* What supernodes sign: statements of themselves, accusations of others. */
#include "overlay/member.h"
#include "tests/unit/overlay/realm_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct identity *hub, *other, *gateway, *stranger;
static int64_t now_s;

static int setup(void **state)
{
    struct realm realm, elsewhere;

    (void)state;
    now_s = time(NULL);
    fixture_realm(&realm);
    fixture_realm(&elsewhere);
    hub = fixture_identity(&realm, "hub", CONF_ROLE_SUPERNODE | CONF_ROLE_GATEWAY);
    other = fixture_identity(&realm, "other", CONF_ROLE_SUPERNODE);
    gateway = fixture_identity(&realm, "berlin", CONF_ROLE_GATEWAY | CONF_ROLE_RELAY);
    stranger = fixture_identity(&elsewhere, "hub", CONF_ROLE_SUPERNODE);
    realm_fini(&realm);
    realm_fini(&elsewhere);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    identity_free(hub);
    identity_free(other);
    identity_free(gateway);
    identity_free(stranger);
    return 0;
}

static struct statement good(void)
{
    return (struct statement){.address = "hub.example:443",
                              .sequence = 7,
                              .instance = 0x1122334455667788,
                              .issued_s = now_s,
                              .lifetime_s = 300,
                              .version = 2,
                              .seats = 100,
                              .clients = 30,
                              .willing = 2,
                              .records = 50,
                              .is_invited = true,
                              .is_leaving = true};
}

static int verify(const Sallyport__SignedMember *wire, struct statement *statement, char why[96])
{
    struct trust trust;

    why[0] = '\0';
    trust_init(&trust, other);
    int error = statement_verify(&trust, wire, now_s, statement, why, 96);
    trust_fini(&trust);
    return error;
}

static void what_was_said_is_understood(void **state)
{
    struct statement said = good(), heard;
    Sallyport__SignedMember wire;
    char why[96];

    (void)state;
    statement_sign(hub, &said, &wire);
    assert_int_equal(verify(&wire, &heard, why), 0);
    assert_memory_equal(heard.certificate.node, identity_certificate(hub)->node,
                        OVERLAY_NODE_ID_BYTES);
    assert_string_equal(heard.address, "hub.example:443");
    assert_int_equal(heard.sequence, 7);
    assert_true(heard.instance == 0x1122334455667788);
    assert_int_equal(heard.lifetime_s, 300);
    assert_int_equal(heard.version, 2);
    assert_int_equal(heard.seats, 100);
    assert_int_equal(heard.clients, 30);
    assert_int_equal(heard.willing, 2);
    assert_int_equal(heard.records, 50);
    assert_true(heard.is_invited && heard.is_leaving);
    statement_signed_fini(&wire);
}

static void what_may_not_be_said_is_refused(void **state)
{
    static const struct {
        const char *why;
        int error;
        const char *address; /* NULL: a good one */
        int64_t age_s;
        uint32_t lifetime_s;
        uint64_t sequence;
        int signer; /* 0 hub, 1 the gateway, 2 the stranger */
    } cases[] = {
        {"", 0, NULL, 0, 300, 7, 0},
        {"", 0, NULL, 0, 3600, UINT64_MAX / 2, 0},
        {"", 0, NULL, 0, 1, 0, 0},
        {"", 0, NULL, -120, 300, 7, 0},
        {"", 0, NULL, 299, 300, 7, 0},
        {"malformed", -EINVAL, "", 0, 300, 7, 0},
        {"malformed", -EINVAL, "hub.example", 0, 300, 7, 0},
        {"malformed", -EINVAL, "hub.example:0", 0, 300, 7, 0},
        {"malformed", -EINVAL, "hub example:443", 0, 300, 7, 0},
        {"lifetime out of range", -EACCES, NULL, 0, 0, 7, 0},
        {"lifetime out of range", -EACCES, NULL, 0, 3601, 7, 0},
        {"issued in the future: its node's clock is ahead", -EACCES, NULL, -130, 300, 7, 0},
        {"expired", -EACCES, NULL, 300, 300, 7, 0},
        {"expired", -EACCES, NULL, 4000, 3600, 7, 0},
        {"sequence out of range", -EACCES, NULL, 0, 300, UINT64_MAX / 2 + 1, 0},
        {"sequence out of range", -EACCES, NULL, 0, 300, UINT64_MAX, 0},
        {"role supernode not granted", -EACCES, NULL, 0, 300, 7, 1},
        {NULL, -EACCES, NULL, 0, 300, 7, 2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct identity *signers[] = {hub, gateway, stranger};
        struct statement said = good(), heard;
        Sallyport__SignedMember wire;
        char why[96];
        if (cases[i].address)
            strcpy(said.address, cases[i].address);
        said.issued_s = now_s - cases[i].age_s;
        said.lifetime_s = cases[i].lifetime_s;
        said.sequence = cases[i].sequence;
        statement_sign(signers[cases[i].signer], &said, &wire);
        assert_int_equal(verify(&wire, &heard, why), cases[i].error);
        if (cases[i].why)
            assert_string_equal(why, cases[i].why);
        else
            assert_true(why[0]);
        statement_signed_fini(&wire);
    }
}

/* Each byte that is changed on the way, each byte that is missing is noticed. */
static void no_byte_of_a_statement_may_change(void **state)
{
    struct statement said = good(), heard;
    Sallyport__SignedMember wire;
    char why[96];

    (void)state;
    statement_sign(hub, &said, &wire);
    for (size_t i = 0; i < wire.member.len; i++) {
        wire.member.data[i] ^= 1;
        assert_true(verify(&wire, &heard, why) < 0);
        wire.member.data[i] ^= 1;
    }
    for (size_t i = 0; i < wire.signature.len; i++) {
        wire.signature.data[i] ^= 1;
        assert_int_equal(verify(&wire, &heard, why), -EACCES);
        assert_string_equal(why, "wrong signature");
        wire.signature.data[i] ^= 1;
    }
    while (wire.member.len > 0) {
        wire.member.len--;
        assert_true(verify(&wire, &heard, why) < 0);
    }
    statement_signed_fini(&wire);
}

static void sizes_are_bounded(void **state)
{
    struct statement said = good(), heard;
    Sallyport__SignedMember wire, odd;
    uint8_t large[MEMBER_BYTES_MAX + 1] = {0};
    char why[96];

    (void)state;
    statement_sign(hub, &said, &wire);
    odd = wire;
    odd.signature.len--;
    assert_int_equal(verify(&odd, &heard, why), -EINVAL);
    odd = wire;
    odd.member.data = large;
    odd.member.len = sizeof large;
    assert_int_equal(verify(&odd, &heard, why), -EINVAL);
    odd.member.len = 0;
    assert_int_equal(verify(&odd, &heard, why), -EINVAL);
    assert_int_equal(verify(&wire, &heard, why), 0);
    statement_signed_fini(&wire);
}

/* Somebody else signs what the hub said, certificate and all. */
static void a_statement_is_its_own_nodes(void **state)
{
    struct statement said = good(), heard;
    Sallyport__SignedMember wire, theirs;
    char why[96];

    (void)state;
    statement_sign(hub, &said, &wire);
    statement_sign(other, &said, &theirs);
    memcpy(wire.signature.data, theirs.signature.data, IDENTITY_SIGNATURE_BYTES);
    assert_int_equal(verify(&wire, &heard, why), -EACCES);
    assert_string_equal(why, "wrong signature");
    statement_signed_fini(&wire);
    statement_signed_fini(&theirs);
}

/* ---- accusations ------------------------------------------------------------------------------
 */

static struct accusation accuse(void)
{
    struct accusation accusation = {.sequence = 0x0102030405060708};

    memcpy(accusation.node, identity_certificate(hub)->node, OVERLAY_NODE_ID_BYTES);
    accusation_sign(other, &accusation);
    return accusation;
}

static void an_accusation_is_signed_by_its_accuser(void **state)
{
    struct accusation accusation = accuse(), heard;
    const uint8_t *key = identity_certificate(other)->public_key;
    Sallyport__Down wire;

    (void)state;
    accusation_encode(&wire, &accusation);
    assert_true(accusation_decode(&heard, &wire));
    assert_memory_equal(heard.node, identity_certificate(hub)->node, OVERLAY_NODE_ID_BYTES);
    assert_true(heard.sequence == 0x0102030405060708);
    assert_true(accusation_is_signed(&heard, key));
    assert_memory_equal(heard.accuser, identity_certificate(other)->node, OVERLAY_NODE_ID_BYTES);
    assert_false(accusation_is_signed(&heard, identity_certificate(hub)->public_key));

    for (size_t i = 0; i < sizeof heard.node; i++) {
        heard.node[i] ^= 0x80;
        assert_false(accusation_is_signed(&heard, key));
        heard.node[i] ^= 0x80;
    }
    for (int bit = 0; bit < 64; bit++) {
        heard.sequence ^= 1ull << bit;
        assert_false(accusation_is_signed(&heard, key));
        heard.sequence ^= 1ull << bit;
    }
    for (size_t i = 0; i < sizeof heard.signature; i++) {
        heard.signature[i] ^= 1;
        assert_false(accusation_is_signed(&heard, key));
        heard.signature[i] ^= 1;
    }
    assert_true(accusation_is_signed(&heard, key));
}

static void fields_of_wrong_lengths_are_no_accusation(void **state)
{
    struct accusation accusation = accuse(), heard;
    Sallyport__Down wire;
    ProtobufCBinaryData *fields[] = {&wire.node, &wire.accuser, &wire.signature};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        accusation_encode(&wire, &accusation);
        fields[i]->len--;
        assert_false(accusation_decode(&heard, &wire));
        fields[i]->len = 0;
        fields[i]->data = NULL;
        assert_false(accusation_decode(&heard, &wire));
    }
}

/* The signature of a statement is none of an accusation, though one node makes both. */
static void labels_keep_the_two_apart(void **state)
{
    struct statement said = good();
    struct accusation accusation = accuse();
    Sallyport__SignedMember wire;

    (void)state;
    statement_sign(other, &said, &wire);
    memcpy(accusation.signature, wire.signature.data, IDENTITY_SIGNATURE_BYTES);
    assert_false(accusation_is_signed(&accusation, identity_certificate(other)->public_key));
    statement_signed_fini(&wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_said_is_understood),
        cmocka_unit_test(what_may_not_be_said_is_refused),
        cmocka_unit_test(no_byte_of_a_statement_may_change),
        cmocka_unit_test(sizes_are_bounded),
        cmocka_unit_test(a_statement_is_its_own_nodes),
        cmocka_unit_test(an_accusation_is_signed_by_its_accuser),
        cmocka_unit_test(fields_of_wrong_lengths_are_no_accusation),
        cmocka_unit_test(labels_keep_the_two_apart),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
