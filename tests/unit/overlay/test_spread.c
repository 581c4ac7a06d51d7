/* Records of our clients at their holders: handed on, again when these change, corrections back. */
#include "tests/unit/overlay/names_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* Time passes, those linked answer, nothing is forgotten but the Pings. */
static void run_answering(struct stand *stand, int fellows, uint64_t ms)
{
    uint64_t end_ms = stand->now_ms + ms;

    while (stand->now_ms < end_ms) {
        stand_run(stand, 100);
        for (int i = 0; i < fellows; i++)
            stand_pong(stand, LINK(i));
    }
}

/* The hub with a client that has published its name. */
static void open_hub(struct stand *stand, int fellows)
{
    open_names(stand, fellows);
    stand_client(stand, CLIENT, berlin, 0);
    run_answering(stand, fellows, 2000);
    stand_clear(stand);
    give_publish(stand, CLIENT, berlin, "berlin", 7);
}

static int sent_to(struct stand *stand, core_link link)
{
    int count = 0;

    for (int i = 0; i < stand->frames; i++)
        count += stand->frame[i].link == link &&
                 stand->frame[i].envelope->body_case == BODY(PUBLISH) &&
                 stand->frame[i].envelope->publish->forwarded;
    return count;
}

static void a_record_goes_to_its_three_holders(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand, FELLOWS);
    for (int i = 0; i < FELLOWS; i++)
        assert_int_equal(sent_to(&stand, LINK(i)), holds(&stand, LINK(i), "berlin") ? 1 : 0);
    const Sallyport__Published *published = stand_sent(&stand, CLIENT, BODY(PUBLISHED))->published;
    assert_int_equal(published->accepted, 1);
    assert_string_equal(published->refused, "");
    stand_clear(&stand);
    give_publish(&stand, CLIENT, berlin, "berlin", 7); /* known */
    run_answering(&stand, FELLOWS, 62000);
    assert_int_equal(stand_count(&stand, BODY(PUBLISH)), 0);
    stand.core->members->self->is_leaving = true;
    give_publish(&stand, CLIENT, berlin, "berlin", 8);
    assert_int_equal(stand_count(&stand, BODY(PUBLISH)), 3);
    stand_finish(&stand);
}

static void what_a_fellow_hands_on_goes_no_further(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand, FELLOWS);
    stand_clear(&stand);
    give_publish(&stand, LINK(0), paris, "paris", 7);
    assert_int_equal(directory_count(stand.core->directory), 2);
    run_answering(&stand, FELLOWS, 10000);
    assert_int_equal(stand_count(&stand, BODY(PUBLISH)), 0);
    stand_finish(&stand);
}

/* A holder goes: after a second the next one in rank has the record, and nobody else hears it
 * again.
 */
static void the_next_holder_hears_of_it(void **state)
{
    struct stand stand;
    struct member *holders[HOLDERS];
    core_link next = 0;

    (void)state;
    open_hub(&stand, FELLOWS);
    core_link first = holder_of(&stand, "berlin", 0);
    members_rank(stand.core, members_key("berlin"), holders);
    stand_clear(&stand);
    for (int i = 0; i < FELLOWS; i++)
        if (LINK(i) == first)
            stand_accuse(&stand, LINK((i + 1) % FELLOWS), all[(i + 1) % FELLOWS], all[i], 5);
    assert_true(holders[0]->is_down);
    next = holder_of(&stand, "berlin", 2);
    run_answering(&stand, FELLOWS, 900);
    assert_int_equal(stand_count(&stand, BODY(PUBLISH)), 0); /* it may be an error */
    run_answering(&stand, FELLOWS, 700);
    assert_int_equal(sent_to(&stand, next), 1);
    assert_int_equal(stand_count(&stand, BODY(PUBLISH)), 1);
    stand_finish(&stand);
}

/* A holder has started again: it has forgotten all. */
static void one_that_has_restarted_hears_it_again(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand, FELLOWS);
    core_link first = holder_of(&stand, "berlin", 0);
    stand_clear(&stand);
    for (int i = 0; i < FELLOWS; i++) {
        struct statement statement = fixture_statement(all[i], 6);
        statement.instance = LINK(i) == first ? 2 : 1;
        stand_tell(&stand, LINK(i), all[i], &statement);
    }
    run_answering(&stand, FELLOWS, 2000);
    assert_int_equal(stand_count(&stand, BODY(PUBLISH)), 1);
    assert_int_equal(sent_to(&stand, first), 1);
    stand_finish(&stand);
}

/* There was no link to a holder and none could be made: it hears of it when there is one. */
static void what_did_not_arrive_is_sent_again(void **state)
{
    struct stand stand;
    core_link link = 0;

    (void)state;
    open_names(&stand, 2);
    stand_client(&stand, CLIENT, berlin, 0);
    for (int i = 2; i < FELLOWS; i++) { /* known, but not linked */
        struct statement statement = fixture_statement(all[i], 5);
        stand_tell(&stand, LINK(0), all[i], &statement);
    }
    give_publish(&stand, CLIENT, berlin, "berlin", 7);
    int holder = 2;
    while (holder < FELLOWS && !holds(&stand, LINK(holder), "berlin"))
        holder++;
    assert_in_range(holder, 2, FELLOWS - 1); /* three of eight: one of the six in any case */
    struct statement where = fixture_statement(all[holder], 5);
    for (int i = 0; i < stand.dials; i++)
        if (strcmp(stand.address[i], where.address) == 0)
            link = stand.dialled[i];
    assert_true(link != 0);
    core_on_link_down(stand.core, link, "connection refused");
    where.sequence = 6; /* it is accused perhaps, and lives */
    stand_tell(&stand, LINK(0), all[holder], &where);
    stand_clear(&stand);
    stand_fellow(&stand, LINK(holder), all[holder], 7);
    for (int i = 0; i < 70; i++) {
        run_answering(&stand, FELLOWS, 1000);
        if (sent_to(&stand, LINK(holder)) > 0)
            break;
    }
    assert_int_equal(sent_to(&stand, LINK(holder)), 1);
    stand_finish(&stand);
}

/* What was sent on a link that broke may not have arrived: the holder hears it by the next link,
 * soon and not by the look of the minute. */
static void what_a_broken_link_may_have_lost_is_sent_again(void **state)
{
    struct stand stand;
    int holder = 0;

    (void)state;
    open_hub(&stand, FELLOWS);
    while (!holds(&stand, LINK(holder), "berlin"))
        holder++;
    run_answering(&stand, FELLOWS, 5000);
    assert_int_equal(sent_to(&stand, LINK(holder)), 1);
    stand_clear(&stand);
    core_on_link_down(stand.core, LINK(holder), "reset");
    stand_fellow(&stand, LINK(holder), all[holder], 6);
    run_answering(&stand, FELLOWS, 1500);
    assert_int_equal(sent_to(&stand, LINK(holder)), 1);
    assert_int_equal(stand_count(&stand, BODY(PUBLISH)), 1);
    stand_finish(&stand);
}

/* One that comes and goes all the time does not keep the others waiting. */
static void one_that_flaps_holds_up_nothing(void **state)
{
    struct stand stand;
    uint64_t sequence = 10;
    int flapping = 0;

    (void)state;
    open_hub(&stand, FELLOWS);
    while (holds(&stand, LINK(flapping), "berlin"))
        flapping++;
    core_link first = holder_of(&stand, "berlin", 0);
    stand_clear(&stand);
    for (int i = 0; i < FELLOWS; i++) { /* the first holder has restarted */
        struct statement statement = fixture_statement(all[i], 6);
        statement.instance = LINK(i) == first ? 2 : 1;
        stand_tell(&stand, LINK(i), all[i], &statement);
    }
    for (int i = 0; i < 16; i++) {
        struct statement statement = fixture_statement(all[flapping], ++sequence);
        statement.is_leaving = i % 2;
        stand_tell(&stand, LINK(flapping), all[flapping], &statement);
        run_answering(&stand, FELLOWS, 500);
    }
    assert_int_equal(sent_to(&stand, first), 1);
    stand_finish(&stand);
}

/* ---- corrections ------------------------------------------------------------------------------
 */

static void give_published(struct stand *stand, core_link link, const struct identity *of,
                           size_t node_bytes, uint64_t sequence)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Published published = SALLYPORT__PUBLISHED__INIT;

    published.refused = (char *)"a newer one is known";
    published.sequence = sequence;
    published.node.data = (uint8_t *)identity_certificate(of)->node;
    published.node.len = node_bytes;
    envelope.body_case = BODY(PUBLISHED);
    envelope.published = &published;
    stand_give(stand, link, &envelope);
}

static void a_newer_one_that_a_holder_knows_reaches_the_client(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand, FELLOWS);
    stand_clear(&stand);
    give_published(&stand, LINK(0), berlin, OVERLAY_NODE_ID_BYTES, 99);
    assert_int_equal(stand_sent(&stand, CLIENT, BODY(PUBLISHED))->published->sequence, 99);
    stand_clear(&stand);
    give_published(&stand, LINK(0), paris, OVERLAY_NODE_ID_BYTES, 99); /* not here */
    assert_int_equal(stand.frames, 0);
    give_published(&stand, LINK(0), berlin, 5, 99);
    assert_int_equal(stand.core->malformed, 1);
    /* It is told a few times, not all the time. */
    for (uint64_t i = 0; i < 100; i++)
        give_published(&stand, LINK(0), berlin, OVERLAY_NODE_ID_BYTES, 100 + i);
    assert_in_range(stand_count(&stand, BODY(PUBLISHED)), 3, 6);
    stand_finish(&stand);
}

/* As a holder: who hands on an older one hears what is known. */
static void a_holder_says_what_is_newer(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand, FELLOWS);
    give_publish(&stand, LINK(0), paris, "paris", 50);
    stand_clear(&stand);
    give_publish(&stand, LINK(1), paris, "paris", 40);
    const Sallyport__Published *published = stand_sent(&stand, LINK(1), BODY(PUBLISHED))->published;
    assert_int_equal(published->sequence, 50);
    assert_memory_equal(published->node.data, identity_certificate(paris)->node,
                        OVERLAY_NODE_ID_BYTES);
    stand_clear(&stand);
    give_publish(&stand, LINK(1), paris, "paris", 60);
    assert_int_equal(stand_count(&stand, BODY(PUBLISHED)), 0);
    stand_finish(&stand);
}

/* The node's side: it publishes above what is known; but not above all numbers, and not all the
 * time. */
static void a_node_publishes_above_what_is_known(void **state)
{
    static const char *const address = "hub.example:443";
    struct core_settings settings = {.identity = berlin, .roles = CONF_ROLE_GATEWAY};
    struct stand stand;

    (void)state;
    settings.supernodes[settings.supernode_count++] = address;
    stand_open(&stand, &settings);
    core_link home = stand.dialled[0];
    stand_welcome_as(&stand, home, hub, &(Sallyport__Welcome)SALLYPORT__WELCOME__INIT);
    uint64_t ahead = stand.core->sequence + 1000000;
    stand_clear(&stand);
    give_published(&stand, home, berlin, 0, ahead);
    stand_run(&stand, 50);
    assert_non_null(stand_sent(&stand, home, BODY(PUBLISH)));
    assert_true(stand.core->sequence > ahead && stand.core->sequence < ahead + 10);
    stand_clear(&stand);
    give_published(&stand, home, berlin, 0, UINT64_MAX / 2 - 1);
    assert_true(stand.core->sequence < ahead + 10);
    for (int i = 0; i < 200; i++)
        give_published(&stand, home, berlin, 0, stand.core->sequence + 1);
    assert_in_range(stand_count(&stand, BODY(PUBLISH)), 5, 12);
    assert_true(stand.core->malformed > 180);
    stand_finish(&stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_goes_to_its_three_holders),
        cmocka_unit_test(what_a_fellow_hands_on_goes_no_further),
        cmocka_unit_test(the_next_holder_hears_of_it),
        cmocka_unit_test(one_that_has_restarted_hears_it_again),
        cmocka_unit_test(what_did_not_arrive_is_sent_again),
        cmocka_unit_test(what_a_broken_link_may_have_lost_is_sent_again),
        cmocka_unit_test(one_that_flaps_holds_up_nothing),
        cmocka_unit_test(a_newer_one_that_a_holder_knows_reaches_the_client),
        cmocka_unit_test(a_holder_says_what_is_newer),
        cmocka_unit_test(a_node_publishes_above_what_is_known),
    };

    return cmocka_run_group_tests(tests, names_setup, names_teardown);
}
