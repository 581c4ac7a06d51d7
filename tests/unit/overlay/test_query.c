/* Look-ups at a supernode: who is asked, what is taken, what is kept, how much is allowed. */
#include "tests/unit/overlay/names_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void open_hub(struct stand *stand)
{
    open_names(stand, FELLOWS);
    stand_client(stand, CLIENT, berlin, 0);
    stand_clear(stand);
}

static void look_up(struct stand *stand, core_link link, uint32_t request, const char *name,
                    bool is_fresh)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Lookup lookup = SALLYPORT__LOOKUP__INIT;

    lookup.request = request;
    lookup.name = (char *)name;
    lookup.fresh = is_fresh;
    envelope.body_case = BODY(LOOKUP);
    envelope.lookup = &lookup;
    stand_give(stand, link, &envelope);
}

/* The holder on this link answers what it was asked last; `wire` NULL: it knows nothing. */
static void answer(struct stand *stand, core_link link, Sallyport__SignedRecord *wire,
                   bool is_offline)
{
    const Sallyport__Envelope *asked = stand_sent(stand, link, BODY(LOOKUP));
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Found found = SALLYPORT__FOUND__INIT;

    assert_non_null(asked);
    assert_true(asked->lookup->forwarded);
    found.request = asked->lookup->request;
    found.records = &wire;
    found.n_records = wire ? 1 : 0;
    found.offline = is_offline;
    envelope.body_case = BODY(FOUND);
    envelope.found = &found;
    stand_give(stand, link, &envelope);
}

static void answer_name(struct stand *stand, core_link link, const struct identity *signer,
                        const char *name, uint64_t sequence)
{
    Sallyport__SignedRecord wire;

    sign_name(signer, name, sequence, &wire);
    answer(stand, link, &wire, false);
    record_signed_fini(&wire);
}

/* What the client was told; NULL: nothing yet. */
static const Sallyport__Found *told(struct stand *stand)
{
    const Sallyport__Envelope *envelope = stand_sent(stand, CLIENT, BODY(FOUND));

    return envelope ? envelope->found : NULL;
}

static uint64_t sequence_told(struct stand *stand)
{
    const Sallyport__Found *found = told(stand);

    assert_non_null(found);
    assert_int_equal(found->n_records, 1);
    Sallyport__Record *record = sallyport__record__unpack(NULL, found->records[0]->record.len,
                                                          found->records[0]->record.data);
    uint64_t sequence = record->sequence;
    sallyport__record__free_unpacked(record, NULL);
    return sequence;
}

static bool was_asked(struct stand *stand, const char *name, int rank)
{
    return stand_sent(stand, holder_of(stand, name, rank), BODY(LOOKUP)) != NULL;
}

/* ---- who is asked -----------------------------------------------------------------------------
 */

static void two_holders_are_asked_and_the_first_answer_counts(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand);
    look_up(&stand, CLIENT, 77, "paris", false);
    assert_int_equal(stand_count(&stand, BODY(LOOKUP)), 2);
    assert_true(was_asked(&stand, "paris", 0) && was_asked(&stand, "paris", 1));
    assert_null(told(&stand));
    answer_name(&stand, holder_of(&stand, "paris", 1), paris, "paris", 9);
    assert_int_equal(told(&stand)->request, 77);
    assert_int_equal(sequence_told(&stand), 9);
    answer_name(&stand, holder_of(&stand, "paris", 0), paris, "paris", 10); /* too late */
    assert_int_equal(stand_count(&stand, BODY(FOUND)), 1);
    assert_null(stand.core->queries);
    stand_run(&stand, 1000);
    assert_int_equal(stand_count(&stand, BODY(FOUND)), 1);
    stand_finish(&stand);
}

static void the_third_is_asked_when_two_know_nothing(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand);
    look_up(&stand, CLIENT, 1, "paris", false);
    answer(&stand, holder_of(&stand, "paris", 0), NULL, false);
    assert_false(was_asked(&stand, "paris", 2));
    answer(&stand, holder_of(&stand, "paris", 1), NULL, false);
    assert_true(was_asked(&stand, "paris", 2));
    assert_null(told(&stand));
    answer_name(&stand, holder_of(&stand, "paris", 2), paris, "paris", 9);
    assert_int_equal(sequence_told(&stand), 9);
    stand_clear(&stand);

    look_up(&stand, CLIENT, 2, "rome", false); /* nobody serves it, but somebody did */
    answer(&stand, holder_of(&stand, "rome", 0), NULL, false);
    answer(&stand, holder_of(&stand, "rome", 1), NULL, true);
    answer(&stand, holder_of(&stand, "rome", 2), NULL, false);
    assert_int_equal(told(&stand)->n_records, 0);
    assert_true(told(&stand)->offline && !told(&stand)->busy);
    stand_finish(&stand);
}

static void the_third_is_asked_when_one_is_silent_or_gone(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand);
    look_up(&stand, CLIENT, 1, "paris", false);
    answer(&stand, holder_of(&stand, "paris", 1), NULL, false);
    stand_run(&stand, 200);
    assert_false(was_asked(&stand, "paris", 2));
    stand_run(&stand, 100); /* a quarter of a second */
    assert_true(was_asked(&stand, "paris", 2));
    answer_name(&stand, holder_of(&stand, "paris", 2), paris, "paris", 9);
    assert_int_equal(sequence_told(&stand), 9);
    stand_finish(&stand);

    open_hub(&stand);
    look_up(&stand, CLIENT, 1, "paris", false);
    core_link third = holder_of(&stand, "paris", 2);
    core_on_link_down(stand.core, holder_of(&stand, "paris", 0), "connection reset");
    assert_non_null(stand_sent(&stand, third, BODY(LOOKUP))); /* at once */
    answer_name(&stand, third, paris, "paris", 9);
    assert_int_equal(sequence_told(&stand), 9);
    stand_finish(&stand);
}

static void when_nobody_answers_that_is_told(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand);
    look_up(&stand, CLIENT, 1, "paris", false);
    stand_run(&stand, 790);
    assert_null(told(&stand));
    stand_run(&stand, 20);
    assert_int_equal(told(&stand)->n_records, 0);
    assert_null(stand.core->queries);
    assert_int_equal(stand.core->query_count, 0);
    stand_finish(&stand);
}

/* What came to us as the home of its node is an answer when the holders fail. */
static void what_is_kept_here_helps_when_holders_fail(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand);
    stand_client(&stand, LINK(21), paris, 0);
    give_publish(&stand, LINK(21), paris, "paris", 9);
    look_up(&stand, CLIENT, 1, "paris", false);
    stand_run(&stand, 810);
    assert_int_equal(sequence_told(&stand), 9);
    stand_finish(&stand);
}

/* ---- numbers ----------------------------------------------------------------------------------
 */

/* Three beginnings of one number are published, by three nodes: each that is asked answers the
 * longest that it holds, and after that round the longest of all is told. */
static void the_longest_prefix_is_found_in_one_round(void **state)
{
    static const char *const names[] = {"+4", "+4930", "+49301"};
    struct identity *nodes[3];
    struct stand stand;

    (void)state;
    open_hub(&stand);
    for (int i = 0; i < 3; i++)
        nodes[i] = fixture_number(i == 0 ? "a" : i == 1 ? "b" : "c", names[i]);
    look_up(&stand, CLIENT, 1, "+4930123", false);
    int asked = stand_count(&stand, BODY(LOOKUP));
    assert_in_range(asked, 2, FELLOWS); /* two of each of four keys, some of them the same */
    for (int i = 0; i < FELLOWS; i++) {
        int longest = -1;
        if (!stand_sent(&stand, LINK(i), BODY(LOOKUP)))
            continue;
        for (int k = 0; k < 3; k++)
            if (holds(&stand, LINK(i), names[k]))
                longest = k;
        if (longest < 0)
            answer(&stand, LINK(i), NULL, false);
        else
            answer_name(&stand, LINK(i), nodes[longest], names[longest], (uint64_t)longest + 1);
    }
    assert_int_equal(sequence_told(&stand), 3);
    assert_int_equal(stand_count(&stand, BODY(LOOKUP)), asked);
    for (int i = 0; i < 3; i++)
        identity_free(nodes[i]);
    stand_finish(&stand);
}

/* ---- what is taken ----------------------------------------------------------------------------
 */

static void false_answers_do_not_count(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand);
    look_up(&stand, CLIENT, 1, "paris", false);
    answer_name(&stand, holder_of(&stand, "paris", 0), berlin, "paris", 99); /* not its name */
    answer_name(&stand, holder_of(&stand, "paris", 1), berlin, "berlin", 99);
    assert_null(told(&stand));
    answer_name(&stand, holder_of(&stand, "paris", 2), paris, "paris", 9);
    assert_int_equal(sequence_told(&stand), 9);
    stand_finish(&stand);
}

/* Who was not asked, or has answered, says nothing more to it. */
static void only_those_asked_are_heard(void **state)
{
    struct stand stand;
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Found found = SALLYPORT__FOUND__INIT;
    Sallyport__SignedRecord wire, *list = &wire;

    (void)state;
    open_hub(&stand);
    look_up(&stand, CLIENT, 1, "paris", false);
    sign_name(paris, "paris", 99, &wire);
    found.request =
        stand_sent(&stand, holder_of(&stand, "paris", 0), BODY(LOOKUP))->lookup->request;
    found.records = &list;
    found.n_records = 1;
    envelope.body_case = BODY(FOUND);
    envelope.found = &found;
    stand_give(&stand, holder_of(&stand, "paris", 2), &envelope);
    assert_null(told(&stand));
    found.n_records = 0;
    stand_give(&stand, holder_of(&stand, "paris", 0), &envelope);
    found.n_records = 1;
    stand_give(&stand, holder_of(&stand, "paris", 0), &envelope);
    assert_null(told(&stand));
    record_signed_fini(&wire);
    stand_finish(&stand);
}

static void fresh_takes_the_newest_of_all(void **state)
{
    struct stand stand;
    static const uint64_t sequences[] = {7, 9, 8};

    (void)state;
    open_hub(&stand);
    look_up(&stand, CLIENT, 1, "paris", true);
    assert_int_equal(stand_count(&stand, BODY(LOOKUP)), 3);
    for (int i = 0; i < 3; i++) {
        assert_null(told(&stand));
        answer_name(&stand, holder_of(&stand, "paris", i), paris, "paris", sequences[i]);
    }
    assert_int_equal(sequence_told(&stand), 9);
    stand_finish(&stand);
}

/* ---- what is kept -----------------------------------------------------------------------------
 */

static void what_was_found_is_told_again_for_a_minute(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand);
    look_up(&stand, CLIENT, 1, "Paris", false);
    answer_name(&stand, holder_of(&stand, "paris", 0), paris, "paris", 9);
    stand_clear(&stand);
    look_up(&stand, CLIENT, 2, "paris", false);
    assert_int_equal(stand_count(&stand, BODY(LOOKUP)), 0);
    assert_int_equal(told(&stand)->request, 2);
    assert_int_equal(sequence_told(&stand), 9);
    stand_clear(&stand);
    /* It led nowhere: the holders are asked, and what they say is kept. */
    look_up(&stand, CLIENT, 3, "paris", true);
    assert_int_equal(stand_count(&stand, BODY(LOOKUP)), 3);
    for (int i = 0; i < 3; i++)
        answer_name(&stand, holder_of(&stand, "paris", i), paris, "paris", 11);
    stand_clear(&stand);
    look_up(&stand, CLIENT, 4, "paris", false);
    assert_int_equal(sequence_told(&stand), 11);
    stand_clear(&stand);
    stand.now_ms += 60000;
    look_up(&stand, CLIENT, 5, "paris", false);
    assert_int_equal(stand_count(&stand, BODY(LOOKUP)), 2);
    stand_finish(&stand);
}

static void a_publication_here_ends_what_was_kept(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand);
    look_up(&stand, CLIENT, 1, "paris", false);
    answer_name(&stand, holder_of(&stand, "paris", 0), paris, "paris", 9);
    stand_client(&stand, LINK(21), paris, 0);
    give_publish(&stand, LINK(21), paris, "paris", 10);
    stand_clear(&stand);
    look_up(&stand, CLIENT, 2, "paris", false);
    assert_int_equal(stand_count(&stand, BODY(LOOKUP)), 2);
    stand_finish(&stand);
}

/* ---- limits -----------------------------------------------------------------------------------
 */

static void a_client_may_not_open_thousands_of_look_ups(void **state)
{
    struct stand stand;
    char name[32];
    int busy = 0;

    (void)state;
    open_hub(&stand);
    for (uint32_t i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "site%u", i);
        look_up(&stand, CLIENT, i, name, false);
        busy += told(&stand) && told(&stand)->busy;
        stand_clear(&stand);
    }
    assert_int_equal(stand.core->query_count, 512);
    assert_int_equal(busy, 5000 - 512);
    assert_int_equal(stand.core->malformed, 5000 - 512);
    assert_true(stand.core->complaints[COMPLAINT_LOOKUP].next_ms > 0);
    /* Another one is served. */
    stand_client(&stand, LINK(21), paris, 0);
    look_up(&stand, LINK(21), 1, "berlin", false);
    assert_int_equal(stand.core->query_count, 513);
    stand_clear(&stand);
    stand_run(&stand, 400);
    stand_clear(&stand);
    stand_run(&stand, 500); /* all are over: it may ask again */
    stand_clear(&stand);
    assert_int_equal(stand.core->query_count, 0);
    look_up(&stand, CLIENT, 1, "paris", false);
    assert_int_equal(stand.core->query_count, 1);
    core_on_link_down(stand.core, CLIENT, "connection reset"); /* nobody waits for it any more */
    stand_run(&stand, 1000);
    assert_int_equal(stand.core->query_count, 0);
    stand_finish(&stand);
}

static void names_that_are_none_are_answered_and_counted(void **state)
{
    static const char *const names[] = {"", "+", "+49a", "a b", "a/b", "ä"};
    char longest[OVERLAY_NAME_MAX + 10];
    struct stand stand;

    (void)state;
    open_hub(&stand);
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    for (size_t i = 0; i <= sizeof names / sizeof names[0]; i++) {
        look_up(&stand, CLIENT, 1, i < sizeof names / sizeof names[0] ? names[i] : longest, false);
        assert_int_equal(told(&stand)->n_records, 0);
        assert_int_equal(stand.core->malformed, i + 1);
        assert_null(stand.core->queries);
    }
    stand_finish(&stand);
}

/* A fellow is answered from what is here, nobody else is asked. */
static void a_fellow_is_answered_at_once(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand);
    give_publish(&stand, LINK(1), paris, "paris", 9);
    look_up(&stand, LINK(0), 5, "paris", false);
    assert_int_equal(stand_sent(&stand, LINK(0), BODY(FOUND))->found->n_records, 1);
    look_up(&stand, LINK(0), 6, "rome", false);
    assert_int_equal(stand_sent(&stand, LINK(0), BODY(FOUND))->found->n_records, 0);
    assert_int_equal(stand_count(&stand, BODY(LOOKUP)), 0);
    stand_finish(&stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_holders_are_asked_and_the_first_answer_counts),
        cmocka_unit_test(the_third_is_asked_when_two_know_nothing),
        cmocka_unit_test(the_third_is_asked_when_one_is_silent_or_gone),
        cmocka_unit_test(when_nobody_answers_that_is_told),
        cmocka_unit_test(what_is_kept_here_helps_when_holders_fail),
        cmocka_unit_test(the_longest_prefix_is_found_in_one_round),
        cmocka_unit_test(false_answers_do_not_count),
        cmocka_unit_test(only_those_asked_are_heard),
        cmocka_unit_test(fresh_takes_the_newest_of_all),
        cmocka_unit_test(what_was_found_is_told_again_for_a_minute),
        cmocka_unit_test(a_publication_here_ends_what_was_kept),
        cmocka_unit_test(a_client_may_not_open_thousands_of_look_ups),
        cmocka_unit_test(names_that_are_none_are_answered_and_counted),
        cmocka_unit_test(a_fellow_is_answered_at_once),
    };

    return cmocka_run_group_tests(tests, names_setup, names_teardown);
}
