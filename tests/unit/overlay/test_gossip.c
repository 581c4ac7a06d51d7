/* What is told and heard of supernodes: news, comparisons, accusations, refutations. */
#include "tests/unit/overlay/supernode_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define BODY(name) SALLYPORT__ENVELOPE__BODY_##name
#define LINK(i) (0x80000001u + (unsigned)(i))
#define ALL 8

static struct realm realm;
static struct identity *hub, *all[ALL], *berlin;

static int setup(void **state)
{
    (void)state;
    log_set_level(LOG_OVERLAY, LOG_ERROR);
    fixture_realm(&realm);
    hub = fixture_identity(&realm, "hub", CONF_ROLE_SUPERNODE | CONF_ROLE_GATEWAY);
    berlin = fixture_identity(&realm, "berlin", CONF_ROLE_GATEWAY);
    fixture_supernodes(&realm, all, ALL);
    fixture_ring(all, ALL, hub);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < ALL; i++)
        identity_free(all[i]);
    identity_free(hub);
    identity_free(berlin);
    realm_fini(&realm);
    return 0;
}

/* The hub, linked to the first `fellows` of the ring. */
static void open_hub(struct stand *stand, int fellows)
{
    struct core_settings settings = {
        .identity = hub, .roles = CONF_ROLE_SUPERNODE, .address = "hub.example:443", .seats = 100};

    stand_open(stand, &settings);
    for (int i = 0; i < fellows; i++)
        stand_fellow(stand, LINK(i), all[i], 5);
    stand_run(stand, 100);
    stand_clear(stand);
}

/* Time passes; those that are linked answer. */
static void run_answering(struct stand *stand, int fellows, uint64_t ms)
{
    for (uint64_t passed = 0; passed < ms; passed += 50) {
        stand_run(stand, 50);
        for (int i = 0; i < fellows; i++)
            stand_pong(stand, LINK(i));
        stand_clear(stand);
    }
}

/* ---- news -------------------------------------------------------------------------------------
 */

static void news_are_handed_on_once(void **state)
{
    struct stand stand;
    struct statement statement = fixture_statement(all[5], 5);

    (void)state;
    open_hub(&stand, 4);
    stand_tell(&stand, LINK(0), all[5], &statement);
    stand_run(&stand, 50);
    for (int i = 0; i < 4; i++)
        assert_int_equal(stand_statements(&stand, LINK(i), all[5]), 1);
    stand_clear(&stand);
    /* It comes back from all sides, as it does in a ring. */
    for (int i = 0; i < 4; i++)
        stand_tell(&stand, LINK(i), all[5], &statement);
    stand_run(&stand, 50);
    assert_int_equal(stand_statements(&stand, 0, all[5]), 0);
    /* So with something newer, and something older. */
    statement.sequence = 6;
    stand_tell(&stand, LINK(1), all[5], &statement);
    stand_run(&stand, 50);
    assert_int_equal(stand_statements(&stand, 0, all[5]), 4);
    stand_clear(&stand);
    statement.sequence = 4;
    stand_tell(&stand, LINK(1), all[5], &statement);
    stand_run(&stand, 50);
    assert_int_equal(stand_statements(&stand, 0, all[5]), 0);
    assert_int_equal(stand.core->malformed, 0);
    stand_finish(&stand);
}

static void what_is_refused_is_counted_and_not_handed_on(void **state)
{
    static const struct {
        uint64_t sequence;
        int64_t age_s;
        bool is_of_a_gateway;
    } cases[] = {{UINT64_MAX, 0, false}, {6, 700, false}, {6, -600, false}, {6, 0, true}};
    struct stand stand;

    (void)state;
    open_hub(&stand, 2);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct identity *signer = cases[i].is_of_a_gateway ? berlin : all[5];
        struct statement statement = fixture_statement(signer, cases[i].sequence);
        statement.issued_s -= cases[i].age_s;
        uint64_t before = stand.core->malformed;
        stand_tell(&stand, LINK(0), signer, &statement);
        stand_run(&stand, 50);
        assert_int_equal(stand.core->malformed, before + 1);
        assert_int_equal(stand_statements(&stand, 0, signer), 0);
        assert_null(stand_member(&stand, signer));
    }
    stand_finish(&stand);
}

static void clients_tell_nothing_of_members(void **state)
{
    struct stand stand;
    struct statement statement = fixture_statement(all[5], 5);

    (void)state;
    open_hub(&stand, 1);
    stand_client(&stand, LINK(10), berlin, 0);
    uint64_t before = stand.core->malformed;
    stand_tell(&stand, LINK(10), all[5], &statement);
    assert_int_equal(stand.core->malformed, before + 1);
    assert_null(stand_member(&stand, all[5]));
    stand_finish(&stand);
}

static void its_own_statement_is_said_again_before_it_expires(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand, 1);
    int said = 0;
    for (int i = 0; i < 40 * 300; i++) { /* ten minutes */
        stand_run(&stand, 50);
        stand_pong(&stand, LINK(0));
        said += stand_statements(&stand, LINK(0), hub);
        stand_clear(&stand);
    }
    assert_in_range(said, 9, 20);
    stand_finish(&stand);
}

/* ---- comparing --------------------------------------------------------------------------------
 */

static void give_known(struct stand *stand, core_link link, const struct identity *of,
                       uint64_t sequence)
{
    Sallyport__Members members = SALLYPORT__MEMBERS__INIT;
    Sallyport__Known known = SALLYPORT__KNOWN__INIT, *list = &known;

    members.whole = true;
    known.sequence = sequence;
    if (of) {
        known.node.data = (uint8_t *)identity_certificate(of)->node;
        known.node.len = OVERLAY_NODE_ID_BYTES;
        members.known = &list;
        members.n_known = 1;
    }
    stand_members(stand, link, &members);
}

static void who_compares_hears_what_it_lacks(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand, 2);
    give_known(&stand, LINK(0), NULL, 0); /* it knows nothing */
    assert_int_equal(stand_statements(&stand, LINK(0), hub), 1);
    assert_int_equal(stand_statements(&stand, LINK(0), all[0]), 1);
    assert_int_equal(stand_statements(&stand, LINK(0), all[1]), 1);
    assert_int_equal(stand_statements(&stand, LINK(1), hub), 0);
    stand_clear(&stand);
    give_known(&stand, LINK(0), all[1], 4);
    assert_int_equal(stand_statements(&stand, LINK(0), all[1]), 1);
    stand_clear(&stand);
    give_known(&stand, LINK(0), all[1], 5);
    assert_int_equal(stand_statements(&stand, LINK(0), all[1]), 0);
    assert_int_equal(stand_statements(&stand, LINK(0), hub), 1);
    stand_clear(&stand);
    /* It believes in one that is down here. */
    stand_accuse(&stand, LINK(0), all[0], all[1], 5);
    stand_run(&stand, 50);
    stand_clear(&stand);
    give_known(&stand, LINK(0), all[1], 5);
    assert_int_equal(stand_downs(&stand, LINK(0), all[1]), 1);
    stand_clear(&stand);
    give_known(&stand, LINK(0), all[1], 6); /* it knows better */
    assert_int_equal(stand_downs(&stand, LINK(0), all[1]), 0);
    stand_finish(&stand);
}

static void both_compare_when_they_link(void **state)
{
    struct stand stand;
    struct core_settings settings = {
        .identity = hub, .roles = CONF_ROLE_SUPERNODE, .address = "hub.example:443"};

    (void)state;
    stand_open(&stand, &settings);
    stand_fellow(&stand, LINK(0), all[0], 5);
    const Sallyport__Envelope *sent = stand_sent(&stand, LINK(0), BODY(MEMBERS));
    assert_non_null(sent);
    assert_true(sent->members->whole);
    assert_int_equal(sent->members->n_known, 2); /* itself, and the one that greeted */
    /* Later with one by lot, now and then. */
    stand_clear(&stand);
    int compared = 0;
    for (int i = 0; i < 20 * 120; i++) {
        stand_run(&stand, 50);
        stand_pong(&stand, LINK(0));
        for (int k = 0; k < stand.frames; k++)
            compared += stand.frame[k].envelope->body_case == BODY(MEMBERS) &&
                        stand.frame[k].envelope->members->whole;
        stand_clear(&stand);
    }
    assert_in_range(compared, 3, 12);
    stand_finish(&stand);
}

/* An answer is long: one that asks for it all the time gets few. */
static void who_compares_too_often_is_counted(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand, 2);
    for (int i = 0; i < 100; i++)
        give_known(&stand, LINK(0), NULL, 0);
    assert_in_range(stand_statements(&stand, LINK(0), hub), 4, 6);
    assert_in_range(stand.core->malformed, 94, 96);
    stand_finish(&stand);
}

/* Statements as long as they may be: more than fit into one frame. */
static void all_statements_are_told_however_long(void **state)
{
    struct identity *many[40];
    struct stand stand;

    (void)state;
    fixture_supernodes(&realm, many, 40);
    fixture_ring(many, 40, hub);
    open_hub(&stand, 1);
    stand_fellow(&stand, LINK(1), many[0], 4); /* one of the next in the ring */
    stand_run(&stand, 50);
    stand_clear(&stand);
    for (int i = 0; i < 40; i++)
        stand_tell_padded(&stand, LINK(0), many[i], MEMBER_BYTES_MAX);
    assert_int_equal(stand.core->malformed, 0);
    stand_run(&stand, 50);
    for (int i = 0; i < 40; i++)
        assert_int_equal(stand_statements(&stand, LINK(1), many[i]), 1);
    stand_clear(&stand);
    give_known(&stand, LINK(0), NULL, 0);
    for (int i = 0; i < 40; i++) {
        assert_int_equal(stand_statements(&stand, LINK(0), many[i]), 1);
        identity_free(many[i]);
    }
    stand_finish(&stand);
}

static void one_link_may_not_tell_too_much(void **state)
{
    struct stand stand;
    struct statement statement = fixture_statement(all[3], UINT64_MAX);
    Sallyport__Members members = SALLYPORT__MEMBERS__INIT;
    Sallyport__SignedMember wire, *list[50];

    (void)state;
    open_hub(&stand, 2);
    statement_sign(all[3], &statement, &wire);
    for (int i = 0; i < 50; i++)
        list[i] = &wire;
    members.members = list;
    members.n_members = 50;
    for (int i = 0; i < 200; i++)
        stand_members(&stand, LINK(0), &members);
    assert_int_equal(stand.core->malformed, 10000);
    assert_true(stand.core->complaints[COMPLAINT_GOSSIP].next_ms > 0);
    assert_int_equal(HASH_COUNT(stand.core->members->table), 3);
    statement_signed_fini(&wire);
    /* The other link is heard. */
    statement = fixture_statement(all[3], 5);
    stand_tell(&stand, LINK(0), all[3], &statement);
    assert_null(stand_member(&stand, all[3]));
    stand_tell(&stand, LINK(1), all[3], &statement);
    assert_non_null(stand_member(&stand, all[3]));
    stand_finish(&stand);
}

/* ---- accusations ------------------------------------------------------------------------------
 */

static void an_accusation_goes_round_once_and_to_the_accused(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand, 4);
    stand_accuse(&stand, LINK(0), all[0], all[3], 5);
    stand_run(&stand, 50);
    assert_false(stand_lives(&stand, all[3]));
    for (int i = 0; i < 4; i++)
        assert_int_equal(stand_downs(&stand, LINK(i), all[3]), 1);
    stand_clear(&stand);
    stand_accuse(&stand, LINK(1), all[0], all[3], 5);
    stand_run(&stand, 50);
    assert_int_equal(stand_downs(&stand, 0, all[3]), 0);
    /* It lives: that goes round as well. */
    struct statement statement = fixture_statement(all[3], 6);
    stand_tell(&stand, LINK(3), all[3], &statement);
    stand_run(&stand, 50);
    assert_true(stand_lives(&stand, all[3]));
    assert_true(stand_statements(&stand, LINK(0), all[3]) == 1);
    stand_finish(&stand);
}

static void one_that_is_accused_says_at_once_that_it_lives(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand, 2);
    stand_run(&stand, 150);
    uint64_t sequence = stand.core->members->self->sequence;
    stand_accuse(&stand, LINK(0), all[1], hub, sequence);
    stand_run(&stand, 25);
    assert_true(stand.core->members->self->sequence > sequence);
    assert_int_equal(stand_statements(&stand, LINK(0), hub), 1);
    assert_int_equal(stand_statements(&stand, LINK(1), hub), 1);
    assert_true(stand_lives(&stand, hub));
    stand_clear(&stand);
    stand_accuse(&stand, LINK(0), all[1], hub, sequence); /* old by now */
    stand_run(&stand, 500);
    assert_int_equal(stand_statements(&stand, 0, hub), 0);
    stand_finish(&stand);
}

/* One accuses us of each statement as soon as it is out: that costs the others little, and it is
 * not answered for ever. */
static void we_do_not_answer_a_liar_all_the_time(void **state)
{
    struct stand stand;
    int said = 0, late = 0;

    (void)state;
    open_hub(&stand, 2);
    for (int i = 0; i < 10 * 120; i++) {
        for (int k = 0; k < 5; k++) {
            stand_accuse(&stand, LINK(0), all[0], hub, stand.core->members->self->sequence);
            stand_run(&stand, 20);
        }
        for (int k = 0; k < 2; k++)
            stand_pong(&stand, LINK(k));
        int now = stand_statements(&stand, LINK(1), hub);
        said += now;
        late += i >= 10 * 60 ? now : 0;
        stand_clear(&stand);
    }
    assert_in_range(said, 100, 300);
    assert_in_range(late, 20, 80); /* one a second */
    stand_finish(&stand);
}

static void forged_accusations_are_counted(void **state)
{
    struct stand stand;
    Sallyport__Members members = SALLYPORT__MEMBERS__INIT;
    struct accusation accusation = {.sequence = 5};
    Sallyport__Down wire, *list = &wire;

    (void)state;
    open_hub(&stand, 3);
    memcpy(accusation.node, identity_certificate(all[1])->node, sizeof accusation.node);
    accusation_sign(all[2], &accusation);
    accusation.signature[5] ^= 1;
    accusation_encode(&wire, &accusation);
    members.downs = &list;
    members.n_downs = 1;
    stand_members(&stand, LINK(0), &members);
    assert_int_equal(stand.core->malformed, 1);
    assert_true(stand_lives(&stand, all[1]));
    wire.signature.len = 10;
    stand_members(&stand, LINK(0), &members);
    assert_int_equal(stand.core->malformed, 2);
    stand_finish(&stand);
}

static void who_ends_says_so_to_all(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand, 3);
    core_leave(stand.core);
    for (int i = 0; i < 3; i++)
        assert_int_equal(stand_downs(&stand, LINK(i), hub), 1);
    stand_finish(&stand);
}

/* ---- the watch --------------------------------------------------------------------------------
 */

/* Three are watched: one of them falls silent, the others answer. */
static void one_that_is_silent_is_accused_within_a_second_and_a_half(void **state)
{
    struct stand stand;
    uint64_t silent_ms = 0;

    (void)state;
    open_hub(&stand, 5);
    run_answering(&stand, 5, 3000);
    for (int i = 0; i < 5; i++)
        assert_true(stand_lives(&stand, all[i]));
    silent_ms = stand.now_ms;
    while (stand_lives(&stand, all[1])) {
        stand_run(&stand, 50);
        for (int i = 0; i < 5; i++)
            if (i != 1)
                stand_pong(&stand, LINK(i));
        assert_true(stand.now_ms < silent_ms + 2000);
        if (stand_lives(&stand, all[1]))
            stand_clear(&stand);
    }
    assert_in_range(stand.now_ms - silent_ms, 900, 1700);
    stand_run(&stand, 50);
    assert_true(stand_downs(&stand, LINK(0), all[1]) == 1);
    assert_true(stand_downs(&stand, LINK(2), all[1]) == 1);
    assert_true(stand_lives(&stand, all[0]) && stand_lives(&stand, all[2]));
    stand_finish(&stand);
}

/* Those further off are watched by others: they are not asked all the time. */
static void only_the_next_three_are_watched(void **state)
{
    struct stand stand;
    int asked[5] = {0};

    (void)state;
    open_hub(&stand, 5);
    for (int i = 0; i < 100; i++) {
        stand_run(&stand, 100);
        for (int k = 0; k < 5; k++)
            asked[k] += stand_pong(&stand, LINK(k));
        stand_clear(&stand);
    }
    for (int k = 0; k < 5; k++)
        assert_true(k < 3 ? asked[k] > 10 : asked[k] == 0);
    stand_finish(&stand);
}

/* It accuses one that always answers late, each time after a longer while. */
static void we_do_not_accuse_in_vain_all_the_time(void **state)
{
    struct stand stand;
    uint64_t sequence = 5;
    int accused = 0;

    (void)state;
    open_hub(&stand, 1);
    for (int i = 0; i < 20 * 60; i++) {
        stand_run(&stand, 50);
        if (!stand_lives(&stand, all[0])) {
            struct statement statement = fixture_statement(all[0], ++sequence);
            stand_tell(&stand, LINK(0), all[0], &statement);
            accused++;
        }
        if (i % 40 == 0)
            stand_pong(&stand, LINK(0)); /* every 2 s */
        if (i % 40 == 0)
            stand_clear(&stand);
    }
    assert_in_range(accused, 2, 6);
    stand_finish(&stand);
}

/* ---- links ------------------------------------------------------------------------------------
 */

static bool was_dialled(const struct stand *stand, const struct identity *whom)
{
    struct statement statement = fixture_statement(whom, 0);

    for (int i = 0; i < stand->dials && i < 16; i++)
        if (strcmp(stand->address[i], statement.address) == 0)
            return true;
    return false;
}

static void links_are_made_to_those_that_are_told_of(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand, 1);
    for (int i = 1; i < 5; i++) {
        struct statement statement = fixture_statement(all[i], 5);
        stand_tell(&stand, LINK(0), all[i], &statement);
    }
    run_answering(&stand, 1, 300);
    assert_true(was_dialled(&stand, all[1]) && was_dialled(&stand, all[2])); /* the next ones */
    run_answering(&stand, 1, 2500);
    for (int i = 1; i < 5; i++) /* few: all of them, whoever's turn it is */
        assert_true(was_dialled(&stand, all[i]));
    stand_finish(&stand);
}

static void one_that_cannot_be_dialled_is_accused(void **state)
{
    struct stand stand;
    struct statement statement = fixture_statement(all[1], 5);

    (void)state;
    open_hub(&stand, 1);
    stand_tell(&stand, LINK(0), all[1], &statement);
    run_answering(&stand, 1, 300);
    assert_int_equal(stand.dials, 1);
    assert_true(stand_lives(&stand, all[1]));
    core_on_link_down(stand.core, stand.dialled[0], "connection refused");
    assert_false(stand_lives(&stand, all[1]));
    /* Now and then it is tried all the same. */
    run_answering(&stand, 1, 30000);
    assert_in_range(stand.dials, 2, 6);
    stand_finish(&stand);
}

/* Two say that they listen at the same address, which is being dialled already: each has a link of
 * its own to wait for. */
static void two_members_at_one_address_are_two(void **state)
{
    struct stand stand;
    struct statement statement = fixture_statement(all[1], 5);

    (void)state;
    open_hub(&stand, 1);
    core_add_host(stand.core, statement.address);
    run_answering(&stand, 1, 50);
    assert_int_equal(stand.dials, 1);
    stand_tell(&stand, LINK(0), all[1], &statement);
    stand_tell(&stand, LINK(0), all[2], &statement);
    run_answering(&stand, 1, 50);
    assert_int_equal(stand.dials, 2);
    assert_ptr_not_equal(stand_member(&stand, all[1])->dialling,
                         stand_member(&stand, all[2])->dialling);
    for (int i = 0; i < 2; i++)
        core_on_link_down(stand.core, stand.dialled[i], "connection refused");
    assert_null(stand_member(&stand, all[1])->dialling);
    assert_null(stand_member(&stand, all[2])->dialling);
    stand_finish(&stand);
}

/* It says that it listens where another one does: that counts as a dial that failed. */
static void a_member_is_where_it_says_or_down(void **state)
{
    struct stand stand;
    struct statement statement = fixture_statement(all[2], 5);

    (void)state;
    open_hub(&stand, 1);
    stand_tell(&stand, LINK(0), all[1], &statement);
    run_answering(&stand, 1, 50);
    assert_int_equal(stand.dials, 1);
    stand_welcome_as(&stand, stand.dialled[0], all[2],
                     &(Sallyport__Welcome)SALLYPORT__WELCOME__INIT);
    assert_non_null(stand.core->fellows);
    assert_false(stand_lives(&stand, all[1]));
    assert_null(stand_member(&stand, all[1])->dialling);
    stand_finish(&stand);
}

/* One that closes each link as soon as it is there is not dialled all the time. */
static void links_that_do_not_last_are_not_made_all_the_time(void **state)
{
    struct stand stand;
    struct statement statement = fixture_statement(all[4], 5);
    int answered = 0;

    (void)state;
    open_hub(&stand, 4); /* it is none of the three that are watched */
    stand_tell(&stand, LINK(0), all[4], &statement);
    for (int i = 0; i < 20 * 20; i++) {
        run_answering(&stand, 4, 50);
        while (answered < stand.dials) {
            core_link link = stand.dialled[answered++ % 16];
            stand_welcome_as(&stand, link, all[4], &(Sallyport__Welcome)SALLYPORT__WELCOME__INIT);
            core_on_link_down(stand.core, link, "connection reset");
        }
    }
    assert_in_range(stand.dials, 3, 10);
    stand_finish(&stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(news_are_handed_on_once),
        cmocka_unit_test(what_is_refused_is_counted_and_not_handed_on),
        cmocka_unit_test(clients_tell_nothing_of_members),
        cmocka_unit_test(its_own_statement_is_said_again_before_it_expires),
        cmocka_unit_test(who_compares_hears_what_it_lacks),
        cmocka_unit_test(both_compare_when_they_link),
        cmocka_unit_test(an_accusation_goes_round_once_and_to_the_accused),
        cmocka_unit_test(one_that_is_accused_says_at_once_that_it_lives),
        cmocka_unit_test(who_compares_too_often_is_counted),
        cmocka_unit_test(all_statements_are_told_however_long),
        cmocka_unit_test(one_link_may_not_tell_too_much),
        cmocka_unit_test(we_do_not_answer_a_liar_all_the_time),
        cmocka_unit_test(forged_accusations_are_counted),
        cmocka_unit_test(who_ends_says_so_to_all),
        cmocka_unit_test(one_that_is_silent_is_accused_within_a_second_and_a_half),
        cmocka_unit_test(only_the_next_three_are_watched),
        cmocka_unit_test(we_do_not_accuse_in_vain_all_the_time),
        cmocka_unit_test(links_are_made_to_those_that_are_told_of),
        cmocka_unit_test(one_that_cannot_be_dialled_is_accused),
        cmocka_unit_test(two_members_at_one_address_are_two),
        cmocka_unit_test(a_member_is_where_it_says_or_down),
        cmocka_unit_test(links_that_do_not_last_are_not_made_all_the_time),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
