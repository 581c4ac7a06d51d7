/* Records: what is signed is read back; what is not quite true is refused, and why is said. */
#include "overlay/record.h"
#include "tests/unit/overlay/realm_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct fixture {
    struct identity *gateway, *supernode, *foreign;
    struct trust trust; /* of the supernode */
    int64_t now_s;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct realm realm, other;
    char why[200];

    fixture->now_s = time(NULL);
    fixture_realm(&realm);
    fixture_realm(&other);
    char *pem = fixture_pem(&realm, "berlin", "+4930", CONF_ROLE_GATEWAY, fixture->now_s);
    if (identity_parse(pem, strlen(pem), &fixture->gateway, why, sizeof why) < 0)
        abort();
    free(pem);
    fixture->supernode = fixture_identity(&realm, "hub", CONF_ROLE_SUPERNODE);
    trust_init(&fixture->trust, fixture->supernode);
    fixture->foreign = fixture_identity(&other, "berlin", CONF_ROLE_GATEWAY);
    realm_fini(&realm);
    realm_fini(&other);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    trust_fini(&fixture->trust);
    identity_free(fixture->gateway);
    identity_free(fixture->supernode);
    identity_free(fixture->foreign);
    free(fixture);
    return 0;
}

static struct record good_record(const struct fixture *fixture)
{
    struct record record = {.name = "berlin",
                            .sequence = 42,
                            .issued_s = fixture->now_s,
                            .lifetime_s = 600,
                            .priority = 1,
                            .weight = 5};

    record.homes.count = 2;
    record.homes.home[0].has_node = true;
    memset(record.homes.home[0].node, 7, OVERLAY_NODE_ID_BYTES);
    strcpy(record.homes.home[0].address, "192.0.2.1:443");
    strcpy(record.homes.home[1].address, "[2001:db8::1]:443");
    return record;
}

static void what_is_signed_is_read_back(void **state)
{
    struct fixture *fixture = *state;
    struct record record = good_record(fixture), read;
    Sallyport__SignedRecord wire;
    char why[96];

    record_sign(fixture->gateway, &record, &wire);
    assert_int_equal(record_verify(&fixture->trust, &wire, fixture->now_s, &read, why, sizeof why),
                     0);
    assert_string_equal(read.name, "berlin");
    assert_int_equal(read.sequence, 42);
    assert_int_equal(read.lifetime_s, 600);
    assert_int_equal(read.priority, 1);
    assert_int_equal(read.weight, 5);
    assert_false(read.is_withdrawn);
    assert_int_equal(read.homes.count, 2);
    assert_true(read.homes.home[0].has_node);
    assert_string_equal(read.homes.home[1].address, "[2001:db8::1]:443");
    assert_memory_equal(read.certificate.node, identity_certificate(fixture->gateway)->node,
                        OVERLAY_NODE_ID_BYTES);
    record_signed_fini(&wire);
}

static void what_is_not_true_is_refused(void **state)
{
    struct fixture *fixture = *state;
    const struct {
        const char *name;
        const struct identity *signer;
        int64_t issued_after_s;
        uint32_t lifetime_s;
        const char *why; /* NULL: accepted */
    } cases[] = {
        {"berlin", fixture->gateway, 0, 600, NULL},
        {"+4930123", fixture->gateway, 0, 600, NULL},
        {"berlin", fixture->gateway, 60, 600, NULL}, /* its clock is a little ahead */
        {"paris", fixture->gateway, 0, 600, "name not granted"},
        {"+49", fixture->gateway, 0, 600, "name not granted"},
        {"hub", fixture->supernode, 0, 600, "role gateway or client not granted"},
        {"berlin", fixture->gateway, -600, 600, "expired"},
        {"berlin", fixture->gateway, 1000, 600, "issued in the future: its node's clock is ahead"},
        {"berlin", fixture->gateway, 0, 0, "lifetime out of range"},
        {"berlin", fixture->gateway, 0, RECORD_LIFETIME_MAX_S + 1, "lifetime out of range"},
        {"", fixture->gateway, 0, 600, "malformed"},
        {"ber lin", fixture->gateway, 0, 600, "malformed"},
        {"+", fixture->gateway, 0, 600, "malformed"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct record record = good_record(fixture), read;
        Sallyport__SignedRecord wire;
        char why[96] = "";
        strcpy(record.name, cases[i].name);
        record.issued_s += cases[i].issued_after_s;
        record.lifetime_s = cases[i].lifetime_s;
        record_sign(cases[i].signer, &record, &wire);
        int error = record_verify(&fixture->trust, &wire, fixture->now_s, &read, why, sizeof why);
        assert_int_equal(error == 0, cases[i].why == NULL);
        if (cases[i].why)
            assert_string_equal(why, cases[i].why);
        record_signed_fini(&wire);
    }
}

static void another_realm_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct record record = good_record(fixture), read;
    Sallyport__SignedRecord wire;
    char why[96];

    record_sign(fixture->foreign, &record, &wire);
    assert_int_equal(record_verify(&fixture->trust, &wire, fixture->now_s, &read, why, sizeof why),
                     -EACCES);
    record_signed_fini(&wire);
}

static void each_changed_byte_is_noticed(void **state)
{
    struct fixture *fixture = *state;
    struct record record = good_record(fixture), read;
    Sallyport__SignedRecord wire;
    char why[96];

    record_sign(fixture->gateway, &record, &wire);
    for (size_t i = 0; i < wire.record.len; i++) {
        wire.record.data[i] ^= 0x20;
        assert_int_not_equal(
            record_verify(&fixture->trust, &wire, fixture->now_s, &read, why, sizeof why), 0);
        wire.record.data[i] ^= 0x20;
    }
    for (size_t i = 0; i < wire.signature.len; i++) {
        wire.signature.data[i] ^= 1;
        assert_int_not_equal(
            record_verify(&fixture->trust, &wire, fixture->now_s, &read, why, sizeof why), 0);
        wire.signature.data[i] ^= 1;
    }
    wire.signature.len--;
    assert_int_equal(record_verify(&fixture->trust, &wire, fixture->now_s, &read, why, sizeof why),
                     -EINVAL);
    record_signed_fini(&wire);
}

/* Good for a minute without another look, but never beyond its time, nor for a byte more or less.
 */
static void trust_lasts_a_minute(void **state)
{
    struct fixture *fixture = *state;
    const struct certificate *own = identity_certificate(fixture->gateway);
    const struct {
        int64_t at_s;
        bool is_good;
    } cases[] = {
        {0, true},           {1, true}, {TRUST_KEPT_S - 1, true},
        {40 * 86400, false}, {0, true}, {-2 * 86400, false},
    };
    struct certificate judged;
    struct trust trust;
    char why[96];

    trust_init(&trust, fixture->supernode);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(trust_verify(&trust, own->der, own->der_bytes,
                                      fixture->now_s + cases[i].at_s, &judged, why,
                                      sizeof why) == 0,
                         cases[i].is_good);
    assert_int_equal(
        trust_verify(&trust, own->der, own->der_bytes, fixture->now_s, &judged, why, sizeof why),
        0);
    assert_memory_equal(judged.node, own->node, OVERLAY_NODE_ID_BYTES);
    assert_int_not_equal(trust_verify(&trust, own->der, own->der_bytes - 1, fixture->now_s, &judged,
                                      why, sizeof why),
                         0);
    const struct certificate *foreign = identity_certificate(fixture->foreign);
    for (int i = 0; i < 2; i++)
        assert_int_equal(trust_verify(&trust, foreign->der, foreign->der_bytes, fixture->now_s,
                                      &judged, why, sizeof why),
                         -EACCES);
    trust_fini(&trust);
}

static void names_are_told_apart(void **state)
{
    static const struct {
        const char *name, *asked;
        bool answers;
    } cases[] = {
        {"berlin", "berlin", true}, {"berlin", "berlin2", false}, {"+4930", "+4930123", true},
        {"+4930", "+4930", true},   {"+4930", "+493", false},     {"+4930", "+49401", false},
        {"berlin", "+4930", false}, {"+4930", "berlin", false},
    };
    char folded[OVERLAY_NAME_MAX], longest[OVERLAY_NAME_MAX + 1];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(record_name_answers(cases[i].name, cases[i].asked), cases[i].answers);
    assert_int_equal(record_name_fold("BerLin-2.x_y", folded), 0);
    assert_string_equal(folded, "berlin-2.x_y");
    memset(longest, 'a', sizeof longest);
    longest[OVERLAY_NAME_MAX] = '\0';
    assert_int_equal(record_name_fold(longest, folded), -EINVAL);
    longest[OVERLAY_NAME_MAX - 1] = '\0';
    assert_int_equal(record_name_fold(longest, folded), 0);
}

static void addresses_are_checked(void **state)
{
    static const struct {
        const char *address;
        bool is_valid;
    } cases[] = {
        {"192.0.2.1:443", true},
        {"[2001:db8::1]:443", true},
        {"host.example:1", true},
        {"host:65535", true},
        {"host:65536", false},
        {"host:0", false},
        {"host:", false},
        {":443", false},
        {"host", false},
        {"ho st:443", false},
        {"host\n:443", false},
        {"host:4x3", false},
        {"", false},
        {"host:99999999999", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(home_address_is_valid(cases[i].address), cases[i].is_valid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_signed_is_read_back),
        cmocka_unit_test(what_is_not_true_is_refused),
        cmocka_unit_test(another_realm_is_refused),
        cmocka_unit_test(each_changed_byte_is_noticed),
        cmocka_unit_test(trust_lasts_a_minute),
        cmocka_unit_test(names_are_told_apart),
        cmocka_unit_test(addresses_are_checked),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
