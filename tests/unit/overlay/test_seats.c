/* Seats of a supernode, who is invited to be one, and how one begins and ceases. */
#include "tests/unit/overlay/names_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct identity *plain[40], *able[3];

static int setup(void **state)
{
    char site[16];

    names_setup(state);
    for (int i = 0; i < 40; i++) {
        snprintf(site, sizeof site, "site%d", i);
        plain[i] = fixture_identity(&realm, site, CONF_ROLE_GATEWAY);
    }
    for (int i = 0; i < 3; i++) {
        snprintf(site, sizeof site, "able%d", i);
        able[i] = fixture_identity(&realm, site, CONF_ROLE_GATEWAY | CONF_ROLE_SUPERNODE);
    }
    return 0;
}

static int teardown(void **state)
{
    for (int i = 0; i < 40; i++)
        identity_free(plain[i]);
    for (int i = 0; i < 3; i++)
        identity_free(able[i]);
    return names_teardown(state);
}

static void open_hub(struct stand *stand, unsigned seats)
{
    struct core_settings settings = {.identity = hub,
                                     .roles = CONF_ROLE_SUPERNODE,
                                     .address = "hub.example:443",
                                     .seats = seats};

    stand_open(stand, &settings);
    stand_clear(stand);
}

/* A supernode of this realm, as it says, with so many seats and clients. */
static void tell_of(struct stand *stand, int which, uint64_t sequence, unsigned seats,
                    unsigned clients)
{
    struct statement statement = fixture_statement(all[which], sequence);
    Sallyport__SignedMember wire;
    char why[96];

    statement.seats = seats;
    statement.clients = clients;
    statement_sign(all[which], &statement, &wire);
    assert_int_equal(members_take(stand->core, &wire, why, sizeof why), 1);
    statement_signed_fini(&wire);
}

static void give_willing(struct stand *stand, core_link link, bool is_willing)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Willing willing = SALLYPORT__WILLING__INIT;

    willing.willing = is_willing;
    envelope.body_case = BODY(WILLING);
    envelope.willing = &willing;
    stand_give(stand, link, &envelope);
}

/* ---- seats ------------------------------------------------------------------------------------
 */

static void the_last_seats_are_for_nodes_with_calls(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand, 32); /* one of 16: two are kept */
    for (int i = 0; i < 30; i++)
        stand_client(&stand, LINK(i), plain[i], 0);
    assert_int_equal(stand.core->client_count, 30);
    stand_client(&stand, LINK(30), plain[30], 0);
    const Sallyport__Envelope *sent = stand_sent(&stand, LINK(30), BODY(GOODBYE));
    assert_non_null(sent);
    assert_true(sent->goodbye->full);
    assert_string_equal(sent->goodbye->reason, "no seat is free");
    stand_client(&stand, LINK(31), plain[31], 2);
    stand_client(&stand, LINK(32), plain[32], 1);
    assert_int_equal(stand.core->client_count, 32);
    stand_client(&stand, LINK(33), plain[33], 1);
    assert_int_equal(stand.core->client_count, 32); /* now it is full for all */
    assert_non_null(stand_sent(&stand, LINK(33), BODY(GOODBYE)));
    core_on_link_down(stand.core, LINK(0), "connection reset");
    stand_client(&stand, LINK(34), plain[34], 1);
    assert_int_equal(stand.core->client_count, 32);
    stand_finish(&stand);
}

static void who_is_sent_elsewhere_hears_of_those_with_room(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand, 1);
    tell_of(&stand, 0, 5, 100, 100); /* full */
    tell_of(&stand, 1, 5, 100, 99);
    tell_of(&stand, 2, 5, 100, 0);
    stand_client(&stand, LINK(20), plain[0], 0);
    stand_client(&stand, LINK(21), plain[1], 0);
    const Sallyport__Goodbye *goodbye = stand_sent(&stand, LINK(21), BODY(GOODBYE))->goodbye;
    assert_int_equal(goodbye->n_supernodes, 2);
    for (int i = 0; i < 2; i++) {
        assert_string_not_equal(goodbye->supernodes[i]->address, "hub.example:443");
        assert_true(goodbye->supernodes[i]->clients < goodbye->supernodes[i]->seats);
        assert_int_equal(goodbye->supernodes[i]->version, 2);
    }
    stand_clear(&stand);
    /* All are full: better those than nobody. */
    tell_of(&stand, 1, 6, 100, 100);
    tell_of(&stand, 2, 6, 100, 100);
    stand_client(&stand, LINK(22), plain[1], 0);
    assert_int_equal(stand_sent(&stand, LINK(22), BODY(GOODBYE))->goodbye->n_supernodes, 3);
    stand_finish(&stand);
}

static void a_list_of_supernodes_is_short(void **state)
{
    struct identity *many[30];
    struct stand stand;

    (void)state;
    open_hub(&stand, 100);
    fixture_supernodes(&realm, many, 30);
    for (int i = 0; i < 30; i++) {
        struct statement statement = fixture_statement(many[i], 5);
        Sallyport__SignedMember wire;
        char why[96];
        statement_sign(many[i], &statement, &wire);
        members_take(stand.core, &wire, why, sizeof why);
        statement_signed_fini(&wire);
        identity_free(many[i]);
    }
    stand_client(&stand, LINK(0), plain[0], 0);
    assert_int_equal(stand_sent(&stand, LINK(0), BODY(WELCOME))->welcome->n_supernodes, 20);
    stand_finish(&stand);
}

/* ---- what the realm needs ---------------------------------------------------------------------
 */

static void a_realm_is_short_when_a_third_lost_leaves_too_few_seats(void **state)
{
    static const struct {
        unsigned seats[5], clients[5]; /* of five others; the hub has 100 and none */
        bool is_short;
    } cases[] = {
        {{100, 100, 100, 100, 100}, {0, 0, 0, 0, 0}, false},
        {{100, 100, 100, 100, 100}, {80, 80, 80, 80, 80}, false}, /* two lost: 400 for 400 */
        {{100, 100, 100, 100, 100}, {80, 80, 80, 80, 81}, true},
        {{1000, 100, 100, 100, 100}, {80, 80, 80, 80, 81}, true}, /* the largest are lost */
        {{1000, 1000, 1000, 100, 100}, {300, 300, 300, 80, 81}, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct stand stand;
        open_hub(&stand, 100);
        for (int k = 0; k < 5; k++)
            tell_of(&stand, k, 5, cases[i].seats[k], cases[i].clients[k]);
        assert_int_equal(seats_of_realm(stand.core, NULL).is_short, cases[i].is_short);
        stand_finish(&stand);
    }
}

static int invitations(struct stand *stand)
{
    return stand_count(stand, BODY(INVITE));
}

/* Two supernodes are fewer than a name has holders: one willing client is invited, five seconds
 * later the next one, each once. */
static void a_short_realm_invites_one_at_a_time(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand, 100);
    stand_client(&stand, LINK(0), plain[0], 0);
    for (int i = 0; i < 3; i++)
        stand_client(&stand, LINK(1 + i), able[i], 0);
    stand_clear(&stand);
    give_willing(&stand, LINK(0), true); /* without the role that is nothing */
    give_willing(&stand, LINK(1), true);
    give_willing(&stand, LINK(2), true);
    give_willing(&stand, LINK(3), true);
    give_willing(&stand, LINK(3), false);
    assert_int_equal(stand.core->seats_state.willing, 2);
    assert_int_equal(invitations(&stand), 0);
    stand_run(&stand, 10100); /* it has looked around */
    assert_int_equal(invitations(&stand), 1);
    stand_run(&stand, 4500);
    assert_int_equal(invitations(&stand), 1);
    stand_run(&stand, 1500);
    assert_int_equal(invitations(&stand), 2);
    assert_int_equal(stand.core->seats_state.willing, 0);
    assert_null(stand_sent(&stand, LINK(0), BODY(INVITE)));
    assert_null(stand_sent(&stand, LINK(3), BODY(INVITE)));
    stand_run(&stand, 20000);
    assert_int_equal(invitations(&stand), 2);
    stand_finish(&stand);
}

/* The one that comes first in the ring invites; with seats enough nobody does. */
static void others_turn_or_no_need(void **state)
{
    struct stand stand;
    struct statement statement;
    Sallyport__SignedMember wire;
    char why[96];

    (void)state;
    open_hub(&stand, 100);
    stand_client(&stand, LINK(1), able[0], 0);
    give_willing(&stand, LINK(1), true);
    int first = 0;
    while (first < FELLOWS && memcmp(identity_certificate(all[first])->node,
                                     identity_certificate(hub)->node, OVERLAY_NODE_ID_BYTES) > 0)
        first++;
    if (first < FELLOWS) { /* somebody before us has somebody willing */
        statement = fixture_statement(all[first], 5);
        statement.willing = 1;
        statement_sign(all[first], &statement, &wire);
        members_take(stand.core, &wire, why, sizeof why);
        statement_signed_fini(&wire);
        stand_clear(&stand);
        core_timer_stop(stand.core, &stand.core->members->pulse_timer); /* it stays */
        stand_run(&stand, 15000);
        assert_int_equal(invitations(&stand), 0);
    }
    stand_finish(&stand);

    open_hub(&stand, 100);
    stand_client(&stand, LINK(1), able[0], 0);
    give_willing(&stand, LINK(1), true);
    for (int i = 0; i < 5; i++)
        tell_of(&stand, i, 5, 100, 10);
    core_timer_stop(stand.core, &stand.core->members->pulse_timer);
    stand_run(&stand, 15000);
    assert_int_equal(invitations(&stand), 0);
    stand_finish(&stand);
}

/* ---- one that is invited ----------------------------------------------------------------------
 */

static const char *const first_hub = "s0.example:443", *const second_hub = "s1.example:443";

static void open_able(struct stand *stand)
{
    struct core_settings settings = {.identity = able[0],
                                     .roles = CONF_ROLE_GATEWAY,
                                     .address = "able0.example:443",
                                     .seats = 50,
                                     .may_serve = true,
                                     .plenty_for_ms = 5000};

    settings.supernodes[settings.supernode_count++] = first_hub;
    settings.supernodes[settings.supernode_count++] = second_hub;
    stand_open(stand, &settings);
    for (int i = 0; i < 2; i++)
        stand_welcome_as(stand, stand->dialled[i],
                         all[strcmp(stand->address[i], first_hub) == 0 ? 0 : 1],
                         &(Sallyport__Welcome)SALLYPORT__WELCOME__INIT);
    assert_int_equal(stand->core->upstream_count, 2);
}

static void give_invite(struct stand *stand, core_link link)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Invite invite = SALLYPORT__INVITE__INIT;

    envelope.body_case = BODY(INVITE);
    envelope.invite = &invite;
    stand_give(stand, link, &envelope);
}

static void pong_all(struct stand *stand)
{
    for (int i = 0; i < stand->dials && i < 16; i++)
        stand_pong(stand, stand->dialled[i]);
}

static void run_answering(struct stand *stand, uint64_t ms)
{
    for (uint64_t passed = 0; passed < ms; passed += 100) {
        stand_run(stand, 100);
        pong_all(stand);
    }
}

static bool last_willing(struct stand *stand, core_link link)
{
    const Sallyport__Envelope *envelope = stand_sent(stand, link, BODY(WILLING));

    return envelope && envelope->willing->willing;
}

static void who_can_be_reached_and_has_stayed_is_willing(void **state)
{
    struct stand stand;

    (void)state;
    open_able(&stand);
    core_reachable(stand.core, true);
    run_answering(&stand, 20000);
    assert_int_equal(stand_count(&stand, BODY(WILLING)), 0); /* it has just started */
    give_invite(&stand, stand.dialled[0]);
    assert_false(stand.core->is_supernode);
    run_answering(&stand, 11000);
    assert_true(last_willing(&stand, stand.dialled[0]) && last_willing(&stand, stand.dialled[1]));
    core_reachable(stand.core, false);
    assert_false(last_willing(&stand, stand.dialled[0]));
    give_invite(&stand, stand.dialled[0]);
    assert_false(stand.core->is_supernode);
    stand_finish(&stand);
}

static void open_invited(struct stand *stand)
{
    open_able(stand);
    core_reachable(stand->core, true);
    run_answering(stand, 31000);
    stand_clear(stand);
    give_invite(stand, stand->dialled[0]);
    assert_true(stand->core->is_supernode && stand->core->is_invited);
}

/* It is its own home from now on, both old ones are left once its record has spread, and it greets
 * both as a supernode. */
static void one_that_is_invited_serves_at_once(void **state)
{
    struct stand stand;
    int as_supernode = 0;

    (void)state;
    open_invited(&stand);
    assert_int_equal(attach_staying(stand.core), 1);
    assert_non_null(stand.core->upstream[0]->other);
    assert_int_equal(stand.core->members->live_count, 1);
    stand_client(&stand, LINK(0), plain[0], 0);
    assert_int_equal(stand.core->client_count, 1);
    assert_int_equal(stand_sent(&stand, LINK(0), BODY(WELCOME))->welcome->seats, 50);
    int before = stand.dials;
    assert_in_range(before, 4, 8);
    for (int i = 2; i < before; i++) {
        bool is_first = strcmp(stand.address[i], first_hub) == 0;
        core_on_link_up(stand.core, stand.dialled[i], false,
                        identity_certificate(all[is_first ? 0 : 1]), NULL);
        const Sallyport__Envelope *hello = stand_sent(&stand, stand.dialled[i], BODY(HELLO));
        if (hello) {
            assert_true(hello->hello->supernode && hello->hello->member);
            as_supernode |= is_first ? 1 : 2;
        }
    }
    assert_int_equal(as_supernode, 3);
    run_answering(&stand, 4500);
    assert_int_equal(stand.core->upstream_count, 1);
    stand_finish(&stand);
}

/* A link was being made as that of a client when the invitation came: the other end would never
 * take it for a supernode's. */
static void a_link_of_the_time_before_is_not_mistaken(void **state)
{
    struct stand stand;

    (void)state;
    open_able(&stand);
    core_reachable(stand.core, true);
    run_answering(&stand, 31000);
    core_add_host(stand.core, "s2.example:443");
    core_on_link_down(stand.core, stand.dialled[1], "connection reset");
    run_answering(&stand, 2100);
    core_link link = 0;
    for (int i = 2; i < stand.dials; i++)
        if (strcmp(stand.address[i], "s2.example:443") == 0)
            link = stand.dialled[i];
    assert_true(link != 0);
    core_on_link_up(stand.core, link, false, identity_certificate(all[2]), NULL);
    assert_false(stand_sent(&stand, link, BODY(HELLO))->hello->supernode);
    give_invite(&stand, stand.dialled[0]);
    assert_true(stand.core->is_supernode);
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Welcome welcome = SALLYPORT__WELCOME__INIT;
    welcome.version = 2;
    envelope.body_case = BODY(WELCOME);
    envelope.welcome = &welcome;
    stand_give(&stand, link, &envelope);
    assert_null(stand.core->fellows);
    assert_null(peer_find(stand.core, link));
    stand_finish(&stand);
}

/* ---- retiring ---------------------------------------------------------------------------------
 */

/* Others can reach it no more: its clients are asked to move, and it serves until they have. */
static void who_retires_moves_its_clients_first(void **state)
{
    struct stand stand;

    (void)state;
    open_invited(&stand);
    for (int i = 0; i < 2; i++)
        stand_fellow(&stand, LINK(30 + i), all[i], 5);
    for (int i = 0; i < 10; i++)
        stand_client(&stand, LINK(i), plain[i], 0);
    for (int i = 2; i < stand.dials; i++) /* linked already */
        core_on_link_down(stand.core, stand.dialled[i], "connection refused");
    for (int i = 0; i < 50; i++) { /* the old homes are left */
        run_answering(&stand, 100);
        stand_pong(&stand, LINK(30));
        stand_pong(&stand, LINK(31));
    }
    stand_clear(&stand);
    core_reachable(stand.core, false);
    assert_true(stand.core->is_retiring && stand.core->is_supernode);
    stand_run(&stand, 500);
    assert_true(stand.core->members->self->is_leaving);
    for (int i = 0; i < 10; i++) {
        const Sallyport__Envelope *goodbye = stand_sent(&stand, LINK(i), BODY(GOODBYE));
        assert_non_null(goodbye);
        assert_true(goodbye->goodbye->grace_ms >= 5000);
        assert_in_range(goodbye->goodbye->n_supernodes, 1, 2);
    }
    assert_int_equal(stand_count(&stand, BODY(GOODBYE)), 10); /* each is asked once */
    stand_client(&stand, LINK(12), plain[12], 3);             /* nobody new */
    assert_true(stand_sent(&stand, LINK(12), BODY(GOODBYE))->goodbye->full);
    assert_int_equal(stand.core->client_count, 10);
    /* It looks for homes of its own, as a client. */
    int dial = stand.dials - 1;
    while (!peer_find(stand.core, stand.dialled[dial % 16]) ||
           !peer_find(stand.core, stand.dialled[dial % 16])->is_for_us) {
        assert_true(dial > 2);
        dial--;
    }
    core_link home = stand.dialled[dial % 16];
    const char *address = stand.address[dial % 16];
    core_on_link_up(stand.core, home, false,
                    identity_certificate(all[strcmp(address, first_hub) == 0 ? 0 : 1]), NULL);
    assert_false(stand_sent(&stand, home, BODY(HELLO))->hello->supernode);
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Welcome welcome = SALLYPORT__WELCOME__INIT;
    welcome.version = 2;
    envelope.body_case = BODY(WELCOME);
    envelope.welcome = &welcome;
    stand_give(&stand, home, &envelope);
    for (int i = 0; i < 10; i++) {
        assert_true(stand.core->is_supernode);
        core_on_link_down(stand.core, LINK(i), "it has moved");
    }
    stand_run(&stand, 200);
    assert_false(stand.core->is_supernode);
    assert_null(stand.core->members);
    assert_null(stand.core->clients);
    assert_null(stand.core->fellows);
    assert_true(core_is_attached(stand.core));
    stand_finish(&stand);
}

static void clients_that_do_not_move_are_left_in_the_end(void **state)
{
    struct stand stand;

    (void)state;
    open_invited(&stand);
    stand_client(&stand, LINK(0), plain[0], 0);
    core_on_link_up(stand.core, LINK(1), true, identity_certificate(plain[1]), NULL);
    core_reachable(stand.core, false);
    stand_run(&stand, 29000);
    assert_true(stand.core->is_supernode);
    core_on_link_up(stand.core, LINK(2), true, identity_certificate(plain[2]), NULL);
    core_on_link_up(stand.core, LINK(3), true, identity_certificate(all[3]), NULL);
    stand_run(&stand, 1500);
    assert_false(stand.core->is_supernode);
    assert_int_equal(stand.core->client_count, 0);
    /* Strangers that had not greeted by then are sent away. */
    for (int i = 2; i < 4; i++) {
        Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
        Sallyport__Hello hello = SALLYPORT__HELLO__INIT;
        hello.version = 2;
        hello.supernode = i == 3;
        hello.address = (char *)(i == 3 ? "s3.example:443" : "");
        envelope.body_case = BODY(HELLO);
        envelope.hello = &hello;
        stand_give(&stand, LINK(i), &envelope);
        assert_string_equal(stand.why, "not a supernode");
        assert_null(peer_find(stand.core, LINK(i)));
    }
    /* And it may be invited again. */
    run_answering(&stand, 2000);
    stand_finish(&stand);
}

/* It retires when the realm has had plenty without it for as long as the settings say. */
static void with_plenty_it_retires(void **state)
{
    struct stand stand;

    (void)state;
    open_invited(&stand);
    for (int i = 0; i < 4; i++)
        stand_fellow(&stand, LINK(30 + i), all[i], 5);
    for (int i = 0; i < 200 && !stand.core->is_retiring; i++) {
        stand_run(&stand, 100);
        pong_all(&stand);
        for (int k = 0; k < 4; k++)
            stand_pong(&stand, LINK(30 + k));
        if (i < 140)
            assert_false(stand.core->is_retiring); /* ten seconds to look, five of plenty */
    }
    assert_true(stand.core->is_retiring);
    stand_finish(&stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_seats_are_for_nodes_with_calls),
        cmocka_unit_test(who_is_sent_elsewhere_hears_of_those_with_room),
        cmocka_unit_test(a_list_of_supernodes_is_short),
        cmocka_unit_test(a_realm_is_short_when_a_third_lost_leaves_too_few_seats),
        cmocka_unit_test(a_short_realm_invites_one_at_a_time),
        cmocka_unit_test(others_turn_or_no_need),
        cmocka_unit_test(who_can_be_reached_and_has_stayed_is_willing),
        cmocka_unit_test(one_that_is_invited_serves_at_once),
        cmocka_unit_test(a_link_of_the_time_before_is_not_mistaken),
        cmocka_unit_test(who_retires_moves_its_clients_first),
        cmocka_unit_test(clients_that_do_not_move_are_left_in_the_end),
        cmocka_unit_test(with_plenty_it_retires),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
