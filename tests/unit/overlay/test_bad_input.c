/* What others may do to a supernode on purpose: counted, limited, forgotten; nothing grows without
 * end. What gossip and look-ups do is in their own tests. */
#include "tests/unit/overlay/names_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct identity *stranger; /* of another realm, with a good name */

static int setup(void **state)
{
    struct realm elsewhere;

    fixture_realm(&elsewhere);
    stranger = fixture_identity(&elsewhere, "berlin", CONF_ROLE_GATEWAY);
    realm_fini(&elsewhere);
    return names_setup(state);
}

static int teardown(void **state)
{
    identity_free(stranger);
    return names_teardown(state);
}

static void open_hub(struct stand *stand)
{
    open_names(stand, 4);
    stand_client(stand, CLIENT, berlin, 0);
    stand_clear(stand);
}

/* ---- records ----------------------------------------------------------------------------------
 */

enum spoil { NOTHING, BYTE, SIGNATURE, SHORT, EMPTY };

static void bad_records_are_counted_and_not_kept(void **state)
{
    static const struct {
        const char *name;
        int signer; /* 0 berlin, 1 paris, 2 the stranger, 3 a supernode */
        int64_t age_s;
        uint32_t lifetime_s;
        enum spoil spoil;
        bool by_fellow_too; /* refused from a fellow as well */
        bool is_good;
    } cases[] = {
        {"berlin", 0, 0, 900, NOTHING, false, true},
        {"paris", 1, 0, 900, NOTHING, false, false}, /* good, but not the client's own */
        {"paris", 0, 0, 900, NOTHING, true, false},  /* beyond the names of its certificate */
        {"+49", 0, 0, 900, NOTHING, true, false},
        {"s0", 3, 0, 900, NOTHING, true, false},     /* no gateway */
        {"berlin", 2, 0, 900, NOTHING, true, false}, /* of another realm */
        {"berlin", 0, 901, 900, NOTHING, true, false},
        {"berlin", 0, -1000, 900, NOTHING, true, false}, /* from the future */
        {"berlin", 0, 0, 0, NOTHING, true, false},
        {"berlin", 0, 0, UINT32_MAX, NOTHING, true, false},
        {"berlin", 0, 0, 900, BYTE, true, false},
        {"berlin", 0, 0, 900, SIGNATURE, true, false},
        {"berlin", 0, 0, 900, SHORT, true, false},
        {"berlin", 0, 0, 900, EMPTY, true, false},
    };
    const struct identity *signers[] = {berlin, paris, stranger, all[0]};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int by_fellow = 0; by_fellow < 2; by_fellow++) {
            struct stand stand;
            struct record *record = core_alloc(sizeof *record);
            Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
            Sallyport__Publish publish = SALLYPORT__PUBLISH__INIT;
            Sallyport__SignedRecord wire, *list = &wire;
            bool is_refused = !cases[i].is_good && (!by_fellow || cases[i].by_fellow_too);

            open_hub(&stand);
            strcpy(record->name, cases[i].name);
            record->sequence = 7;
            record->issued_s = time(NULL) - cases[i].age_s;
            record->lifetime_s = cases[i].lifetime_s;
            record_sign(signers[cases[i].signer], record, &wire);
            free(record);
            if (cases[i].spoil == BYTE)
                wire.record.data[wire.record.len / 2] ^= 1;
            if (cases[i].spoil == SIGNATURE)
                wire.signature.data[9] ^= 1;
            if (cases[i].spoil == SHORT)
                wire.signature.len--;
            if (cases[i].spoil == EMPTY)
                wire.record.len = 0;
            publish.records = &list;
            publish.n_records = 1;
            envelope.body_case = BODY(PUBLISH);
            envelope.publish = &publish;
            stand_give(&stand, by_fellow ? LINK(0) : CLIENT, &envelope);
            assert_int_equal(stand.core->malformed, is_refused ? 1 : 0);
            assert_int_equal(directory_count(stand.core->directory), is_refused ? 0 : 1);
            if (is_refused)
                assert_int_equal(stand_count(&stand, BODY(PUBLISH)), 0);
            record_signed_fini(&wire);
            stand_finish(&stand);
        }
}

/* An old record comes again: the newer one stays, whoever brings it. */
static void replayed_records_change_nothing(void **state)
{
    struct stand stand;
    struct directory_answer held[DIRECTORY_ANSWERS_MAX];

    (void)state;
    open_hub(&stand);
    give_publish(&stand, CLIENT, berlin, "berlin", 5);
    give_publish(&stand, CLIENT, berlin, "berlin", 9);
    stand_clear(&stand);
    for (int i = 0; i < 4; i++)
        give_publish(&stand, LINK(i), berlin, "berlin", 5);
    assert_int_equal(directory_find(stand.core->directory, "berlin", time(NULL), held), 1);
    assert_int_equal(held[0].sequence, 9);
    assert_int_equal(stand_count(&stand, BODY(PUBLISH)), 0);
    stand_finish(&stand);
}

/* Each costs two signatures: so many of a client, then they are refused unseen. */
static void a_client_may_not_publish_all_the_time(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand);
    for (uint64_t i = 1; i <= 400; i++) {
        give_publish(&stand, CLIENT, berlin, "berlin", i);
        stand_clear(&stand);
    }
    assert_in_range(stand.core->malformed, 195, 200);
    assert_int_equal(directory_count(stand.core->directory), 1);
    stand_finish(&stand);
}

/* ---- frames -----------------------------------------------------------------------------------
 */

static void oversize_and_deep_frames_do_no_harm(void **state)
{
    struct stand stand;
    uint8_t *frame = calloc(1, FRAME_BYTES_MAX + 1);
    size_t at = FRAME_BYTES_MAX;

    (void)state;
    open_hub(&stand);
    core_on_frame(stand.core, CLIENT, frame, FRAME_BYTES_MAX + 1);
    assert_int_equal(stand.core->malformed, 1);
    /* Thousands of fields, each inside the one before, that nobody knows. */
    while (at >= 5) {
        size_t bytes = FRAME_BYTES_MAX - at;
        uint8_t head[5] = {0xa2, 0x06, (uint8_t)(0x80 | (bytes & 0x7f)),
                           (uint8_t)(0x80 | (bytes >> 7 & 0x7f)), (uint8_t)(bytes >> 14)};
        at -= 5;
        memcpy(frame + at, head, 5);
    }
    core_on_frame(stand.core, CLIENT, frame + at, FRAME_BYTES_MAX - at);
    assert_int_equal(stand.core->malformed, 1);
    memset(frame, 0x0b, FRAME_BYTES_MAX); /* groups in groups */
    core_on_frame(stand.core, CLIENT, frame, FRAME_BYTES_MAX);
    assert_int_equal(stand.core->malformed, 2);
    assert_non_null(peer_find(stand.core, CLIENT));
    free(frame);
    stand_finish(&stand);
}

/* A frame full of empty statements, accusations, known ones and records. */
static void frames_full_of_nothing_are_bounded(void **state)
{
    static const struct {
        uint8_t body, field;
        core_link link;
        unsigned malformed_min;
    } cases[] = {
        {33, 1, LINK(0), 20000}, /* Members.members */
        {33, 2, LINK(0), 20000}, /* Members.downs */
        {33, 3, LINK(0), 0},     /* Members.known */
        {10, 2, CLIENT, 32},     /* Publish.records: the first 32 count */
        {13, 2, LINK(0), 0},     /* Found.records: to no question */
        {30, 1, CLIENT, 0},      /* Relays.relays */
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct stand stand;
        uint8_t frame[5 + 50000];
        size_t tag = cases[i].body >= 16 ? 2 : 1, bytes = 50000;

        open_hub(&stand);
        unsigned tag_value = (unsigned)cases[i].body << 3 | 2;
        frame[0] = (uint8_t)(tag == 2 ? 0x80 | (tag_value & 0x7f) : tag_value);
        if (tag == 2)
            frame[1] = (uint8_t)(tag_value >> 7);
        frame[tag] = (uint8_t)(0x80 | (bytes & 0x7f));
        frame[tag + 1] = (uint8_t)(0x80 | (bytes >> 7 & 0x7f));
        frame[tag + 2] = (uint8_t)(bytes >> 14);
        for (size_t k = 0; k < bytes; k += 2) {
            frame[tag + 3 + k] = (uint8_t)(cases[i].field << 3 | 2);
            frame[tag + 4 + k] = 0;
        }
        core_on_frame(stand.core, cases[i].link, frame, tag + 3 + bytes);
        assert_true(stand.core->malformed >= cases[i].malformed_min);
        assert_int_equal(HASH_COUNT(stand.core->members->table), 5);
        assert_int_equal(directory_count(stand.core->directory), 0);
        stand_finish(&stand);
    }
}

static void a_client_may_not_say_more_than_anybody_needs(void **state)
{
    static const uint8_t unknown[] = {0xa2, 0x06, 0x01, 'x'};
    struct stand stand;

    (void)state;
    open_hub(&stand);
    for (int i = 0; i < 30000; i++)
        core_on_frame(stand.core, CLIENT, unknown, sizeof unknown);
    assert_in_range(stand.core->malformed, 9900, 10100);
    stand_finish(&stand);
}

/* ---- slow readers -----------------------------------------------------------------------------
 */

/* Nothing that is sent finds room any more: what is said to them is lost, not kept. */
static void slow_readers_cost_no_memory(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand);
    give_publish(&stand, CLIENT, berlin, "berlin", 1);
    stand.is_slow = true;
    for (uint64_t i = 2; i < 100; i++)
        give_publish(&stand, CLIENT, berlin, "berlin", i);
    stand_run(&stand, 60000);
    assert_null(stand.core->queries);
    for (const struct peer *peer = stand.core->peers; peer; peer = peer->hh.next)
        assert_int_equal(peer->waiting_bytes, 0);
    stand.is_slow = false;
    stand_finish(&stand);
}

/* What waits for a link that is being made is bounded, and forgotten when that fails. */
static void what_waits_for_a_link_is_bounded(void **state)
{
    struct stand stand;
    struct peer *dialled = NULL;
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Publish publish = SALLYPORT__PUBLISH__INIT;
    Sallyport__SignedRecord wire, *list = &wire;

    (void)state;
    open_names(&stand, 1);
    struct statement statement = fixture_statement(all[1], 5);
    stand_tell(&stand, LINK(0), all[1], &statement);
    sign_name(berlin, "berlin", 1, &wire);
    publish.records = &list;
    publish.n_records = 1;
    envelope.body_case = BODY(PUBLISH);
    envelope.publish = &publish;
    int refused = 0;
    for (int i = 0; i < 2000; i++)
        refused += fellow_send(stand.core, stand_member(&stand, all[1]), &envelope) == -ENOBUFS;
    record_signed_fini(&wire);
    dialled = peer_find(stand.core, stand.dialled[0]);
    assert_true(refused > 1000);
    assert_in_range(dialled->waiting_bytes, 200u << 10, 256u << 10);
    core_on_link_down(stand.core, stand.dialled[0], "connection refused");
    assert_int_equal(fellow_send(stand.core, stand_member(&stand, all[1]), &envelope), -ENOTCONN);
    stand_finish(&stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_records_are_counted_and_not_kept),
        cmocka_unit_test(replayed_records_change_nothing),
        cmocka_unit_test(a_client_may_not_publish_all_the_time),
        cmocka_unit_test(oversize_and_deep_frames_do_no_harm),
        cmocka_unit_test(frames_full_of_nothing_are_bounded),
        cmocka_unit_test(a_client_may_not_say_more_than_anybody_needs),
        cmocka_unit_test(slow_readers_cost_no_memory),
        cmocka_unit_test(what_waits_for_a_link_is_bounded),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
