/* Revocation lists of an identity: which are taken, who is in them, while others look. */
#include "overlay/directory.h"
#include "overlay/trust.h"
#include "tests/unit/overlay/realm_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

/* A realm with a judge and two nodes. */
struct fixture {
    struct realm realm;
    struct identity *judge, *berlin, *paris;
};

struct made {
    uint8_t *der;
    size_t bytes;
};

static int open_fixture(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    fixture_realm(&fixture->realm);
    fixture->judge = fixture_identity(&fixture->realm, "hub", CONF_ROLE_SUPERNODE);
    fixture->berlin = fixture_identity(&fixture->realm, "berlin", CONF_ROLE_GATEWAY);
    fixture->paris = fixture_identity(&fixture->realm, "paris", CONF_ROLE_GATEWAY);
    *state = fixture;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *fixture = *state;

    identity_free(fixture->judge);
    identity_free(fixture->berlin);
    identity_free(fixture->paris);
    realm_fini(&fixture->realm);
    free(fixture);
    return 0;
}

static struct made make(const struct realm *realm, uint64_t number,
                        struct identity *const *identities, size_t count)
{
    uint8_t serials[4][CERTIFICATE_SERIAL_BYTES];
    struct realm_list list = {.number = number, .count = count, .serials = serials};
    struct made made = {NULL, 0};

    for (size_t i = 0; i < count; i++)
        memcpy(serials[i], identity_certificate(identities[i])->serial, sizeof serials[i]);
    assert_int_equal(realm_list_make(realm, &list, &made.der, &made.bytes), 0);
    return made;
}

/* Makes it, hands it to the judge, frees it. */
static int take(const struct fixture *fixture, uint64_t number, struct identity *const *identities,
                size_t count, char why[160])
{
    struct made made = make(&fixture->realm, number, identities, count);
    int error = identity_revoke(fixture->judge, made.der, made.bytes, why, 160);

    free(made.der);
    return error;
}

static bool is_revoked(const struct fixture *fixture, const struct identity *identity)
{
    return identity_is_revoked(fixture->judge, identity_certificate(identity)->serial);
}

/* ---- lists ------------------------------------------------------------------------------------
 */

static void the_list_with_the_highest_number_counts(void **state)
{
    struct fixture *fixture = *state;
    char why[160] = "";

    assert_int_equal(identity_list(fixture->judge).number, 0);
    assert_false(is_revoked(fixture, fixture->berlin));
    assert_null(identity_list_pem(fixture->judge));
    assert_int_equal(take(fixture, 2, &fixture->berlin, 1, why), 0);
    assert_true(is_revoked(fixture, fixture->berlin));
    assert_false(is_revoked(fixture, fixture->paris));
    assert_int_equal(identity_list(fixture->judge).number, 2);
    assert_int_equal(identity_list(fixture->judge).count, 1);

    assert_int_equal(take(fixture, 2, &fixture->paris, 1, why), -EALREADY);
    assert_int_equal(take(fixture, 1, &fixture->paris, 1, why), -ESTALE);
    assert_string_equal(why, "has number 1, and 2 is known already");
    assert_false(is_revoked(fixture, fixture->paris));

    /* Whoever is not in the newest list is not revoked: that is for the root to say. */
    assert_int_equal(take(fixture, 3, &fixture->paris, 1, why), 0);
    assert_true(is_revoked(fixture, fixture->paris));
    assert_false(is_revoked(fixture, fixture->berlin));
    assert_int_equal(take(fixture, UINT64_MAX, NULL, 0, why), 0);
    assert_false(is_revoked(fixture, fixture->paris));
    assert_true(identity_list(fixture->judge).number == UINT64_MAX);
}

static void wrong_lists_are_refused_with_the_reason(void **state)
{
    struct fixture *fixture = *state;
    struct realm foreign;
    char why[160];

    fixture_realm(&foreign); /* of the same name */
    struct made forged = make(&foreign, 9, &fixture->berlin, 1);
    assert_int_equal(identity_revoke(fixture->judge, forged.der, forged.bytes, why, sizeof why),
                     -EINVAL);
    assert_string_equal(why, "is not signed by the root of our realm");
    free(forged.der);
    realm_fini(&foreign);

    assert_int_equal(take(fixture, 0, &fixture->berlin, 1, why), -EINVAL);
    assert_non_null(strstr(why, "has no CRL number"));
    struct made good = make(&fixture->realm, 1, &fixture->berlin, 1);
    for (size_t bytes = 0; bytes < good.bytes; bytes++)
        assert_int_equal(identity_revoke(fixture->judge, good.der, bytes, why, sizeof why),
                         -EINVAL);
    for (size_t i = 0; i < good.bytes; i++) {
        good.der[i] ^= 0x01;
        assert_int_equal(identity_revoke(fixture->judge, good.der, good.bytes, why, sizeof why),
                         -EINVAL);
        good.der[i] ^= 0x01;
    }
    good.der = realloc(good.der, good.bytes + 1);
    good.der[good.bytes] = 0;
    assert_int_equal(identity_revoke(fixture->judge, good.der, good.bytes + 1, why, sizeof why),
                     -EINVAL);
    assert_string_equal(why, "is no revocation list");
    assert_int_equal(identity_list(fixture->judge).number, 0);
    assert_int_equal(identity_revoke(fixture->judge, good.der, good.bytes, why, sizeof why), 0);
    free(good.der);
}

static void a_list_is_kept_and_read_again(void **state)
{
    struct fixture *fixture = *state;
    struct identity *both[] = {fixture->berlin, fixture->paris};
    char path[] = "/tmp/sallyport-list-XXXXXX", why[300];
    int fd = mkstemp(path);

    assert_int_equal(take(fixture, 5, both, 2, why), 0);
    char *pem = identity_list_pem(fixture->judge);
    assert_non_null(pem);
    assert_int_equal(write(fd, pem, strlen(pem)), (ssize_t)strlen(pem));
    close(fd);
    free(pem);
    struct identity *other = fixture_identity(&fixture->realm, "rome", CONF_ROLE_GATEWAY);
    assert_int_equal(identity_revoke_file(other, path, why, sizeof why), 0);
    assert_int_equal(identity_list(other).count, 2);
    assert_true(identity_is_revoked(other, identity_certificate(fixture->paris)->serial));
    assert_int_equal(identity_revoke_file(other, path, why, sizeof why), -EALREADY);
    identity_free(other);
    unlink(path);
    assert_int_equal(identity_revoke_file(fixture->judge, path, why, sizeof why), -ENOENT);
}

static void a_serial_number_is_the_certificates_own(void **state)
{
    struct fixture *fixture = *state;
    static const uint8_t zeros[CERTIFICATE_SERIAL_BYTES];
    const struct certificate *own = identity_certificate(fixture->berlin);

    /* 16 bytes (realm_make.c), in the last places */
    assert_memory_equal(own->serial, zeros, 4);
    assert_memory_not_equal(own->serial + 4, zeros, 16);
    assert_memory_not_equal(own->serial, identity_certificate(fixture->paris)->serial,
                            CERTIFICATE_SERIAL_BYTES);
}

/* ---- those who ask ------------------------------------------------------------------------------
 */

static int verify(struct trust *trust, const struct identity *identity)
{
    const struct certificate *own = identity_certificate(identity);
    struct certificate judged;
    char why[128];

    return trust_verify(trust, own->der, own->der_bytes, time(NULL), &judged, why, sizeof why);
}

static void what_was_good_just_now_is_judged_anew(void **state)
{
    struct fixture *fixture = *state;
    struct trust trust;
    char why[160];

    trust_init(&trust, fixture->judge);
    assert_int_equal(verify(&trust, fixture->berlin), 0);
    assert_int_equal(take(fixture, 1, &fixture->berlin, 1, why), 0);
    assert_int_equal(verify(&trust, fixture->berlin), 0); /* the reason why it is flushed */
    trust_flush(&trust);
    assert_int_equal(verify(&trust, fixture->berlin), -EACCES);
    assert_int_equal(verify(&trust, fixture->paris), 0);
    trust_fini(&trust);
}

static void put(struct directory *directory, const struct identity *identity, const char *name)
{
    struct record *record = calloc(1, sizeof *record);
    Sallyport__SignedRecord wire;
    uint64_t held;

    strcpy(record->name, name);
    record->certificate = *identity_certificate(identity);
    record->sequence = 1;
    record->issued_s = time(NULL);
    record->lifetime_s = 600;
    record_sign(identity, record, &wire);
    assert_int_equal(directory_put(directory, record, &wire, &held), 0);
    record_signed_fini(&wire);
    free(record);
}

static void records_of_the_revoked_are_dropped(void **state)
{
    struct fixture *fixture = *state;
    struct directory *directory = directory_new();
    struct directory_answer answers[DIRECTORY_ANSWERS_MAX];
    char why[160];

    put(directory, fixture->berlin, "berlin");
    put(directory, fixture->berlin, "+4930");
    put(directory, fixture->paris, "+4930");
    directory_revoke(directory, fixture->judge);
    assert_int_equal(directory_count(directory), 3);
    assert_int_equal(take(fixture, 1, &fixture->berlin, 1, why), 0);
    directory_revoke(directory, fixture->judge);
    assert_int_equal(directory_count(directory), 1);
    assert_int_equal(directory_find(directory, "berlin", time(NULL), answers), 0);
    assert_int_equal(directory_find(directory, "+49301", time(NULL), answers), 1);
    assert_memory_equal(answers[0].node, identity_certificate(fixture->paris)->node,
                        OVERLAY_NODE_ID_BYTES);
    directory_free(directory);
}

/* ---- other threads ------------------------------------------------------------------------------
 */

struct reader {
    const struct fixture *fixture;
    atomic_bool is_over;
    unsigned wrong;
};

static void *read_on(void *ctx)
{
    struct reader *reader = ctx;
    const struct certificate *own = identity_certificate(reader->fixture->paris);
    struct certificate judged;
    char why[128];

    while (!atomic_load(&reader->is_over)) {
        /* in each list */
        reader->wrong += !is_revoked(reader->fixture, reader->fixture->berlin);
        reader->wrong += identity_verify(reader->fixture->judge, own->der, own->der_bytes,
                                         time(NULL), &judged, why, sizeof why) != 0;
    }
    return NULL;
}

static void lists_change_while_others_look(void **state)
{
    struct fixture *fixture = *state;
    struct reader readers[2] = {{.fixture = fixture}, {.fixture = fixture}};
    pthread_t threads[2];
    char why[160];

    assert_int_equal(take(fixture, 1, &fixture->berlin, 1, why), 0);
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, read_on, &readers[i]);
    for (uint64_t number = 2; number < 200; number++)
        assert_int_equal(take(fixture, number, &fixture->berlin, 1, why), 0);
    for (int i = 0; i < 2; i++) {
        atomic_store(&readers[i].is_over, true);
        pthread_join(threads[i], NULL);
        assert_int_equal(readers[i].wrong, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_list_with_the_highest_number_counts, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(wrong_lists_are_refused_with_the_reason, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(a_list_is_kept_and_read_again, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(a_serial_number_is_the_certificates_own, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(what_was_good_just_now_is_judged_anew, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(records_of_the_revoked_are_dropped, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(lists_change_while_others_look, open_fixture,
                                        close_fixture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
