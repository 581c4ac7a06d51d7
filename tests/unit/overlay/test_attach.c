/* The node's side of its homes: which ones it takes, when it changes them, when it waits. */
#include "tests/unit/overlay/names_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* A gateway that was given so many supernodes: s0, s1 … */
static void open_node(struct stand *stand, int supernodes)
{
    static char addresses[FELLOWS][32];
    struct core_settings settings = {.identity = berlin, .roles = CONF_ROLE_GATEWAY};

    for (int i = 0; i < supernodes; i++) {
        snprintf(addresses[i], sizeof addresses[i], "s%d.example:443", i);
        settings.supernodes[settings.supernode_count++] = addresses[i];
    }
    stand_open(stand, &settings);
}

static int which_of(const struct stand *stand, int dial)
{
    return stand->address[dial % 16][1] - '0';
}

/* The dial is answered after a while by a supernode with so many clients of 100. */
static void answer_dial(struct stand *stand, int dial, uint64_t after_ms, unsigned clients)
{
    core_link link = stand->dialled[dial % 16];
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Welcome welcome = SALLYPORT__WELCOME__INIT;

    core_on_link_up(stand->core, link, false, identity_certificate(all[which_of(stand, dial)]),
                    NULL);
    stand->now_ms += after_ms;
    welcome.version = 2;
    welcome.seats = 100;
    welcome.clients = clients;
    envelope.body_case = BODY(WELCOME);
    envelope.welcome = &welcome;
    stand_give(stand, link, &envelope);
}

static void run_answering(struct stand *stand, uint64_t ms)
{
    for (uint64_t passed = 0; passed < ms; passed += 100) {
        stand_run(stand, 100);
        for (int i = 0; i < stand->dials && i < 16; i++)
            stand_pong(stand, stand->dialled[i]);
        stand_clear(stand);
    }
}

static void give_goodbye(struct stand *stand, core_link link, Sallyport__Goodbye *goodbye)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;

    goodbye->reason = (char *)"test";
    envelope.body_case = BODY(GOODBYE);
    envelope.goodbye = goodbye;
    stand_give(stand, link, &envelope);
}

static bool is_up(const struct stand *stand, core_link link)
{
    return peer_find(stand->core, link) != NULL;
}

/* Home is the nearer one of the two. */
static void the_nearer_one_is_home(void **state)
{
    struct stand stand;

    (void)state;
    open_node(&stand, 2);
    answer_dial(&stand, 0, 80, 0);
    assert_int_equal(stand.core->upstream[0]->link, stand.dialled[0]);
    answer_dial(&stand, 1, 10, 0); /* it seems to be nearer by far */
    assert_int_equal(stand.core->upstream[0]->link, stand.dialled[1]);
    stand_finish(&stand);
}

/* ---- being asked to go ------------------------------------------------------------------------
 */

static void a_goodbye_with_grace_keeps_the_link_until_another_is_there(void **state)
{
    struct stand stand;
    Sallyport__Goodbye goodbye = SALLYPORT__GOODBYE__INIT;
    Sallyport__Supernode other = SALLYPORT__SUPERNODE__INIT, *list = &other;

    (void)state;
    open_node(&stand, 2);
    answer_dial(&stand, 0, 20, 0);
    answer_dial(&stand, 1, 20, 0);
    core_link home = stand.core->upstream[0]->link, standby = stand.core->upstream[1]->link;
    goodbye.grace_ms = 10000;
    other.address = (char *)"s2.example:443";
    goodbye.supernodes = &list;
    goodbye.n_supernodes = 1;
    give_goodbye(&stand, home, &goodbye);
    assert_true(is_up(&stand, home));
    assert_int_equal(stand.core->upstream[0]->link, standby);
    stand_run(&stand, 10);
    assert_int_equal(stand.dials, 3);
    assert_string_equal(stand.address[2], "s2.example:443");
    assert_true(is_up(&stand, home));
    answer_dial(&stand, 2, 20, 0);
    stand_run(&stand, 10);
    assert_false(is_up(&stand, home));
    assert_int_equal(stand.core->upstream_count, 2);
    assert_int_equal(stand.detached, 0);
    stand_finish(&stand);
}

static void the_grace_ends(void **state)
{
    struct stand stand;
    Sallyport__Goodbye goodbye = SALLYPORT__GOODBYE__INIT;

    (void)state;
    open_node(&stand, 1);
    answer_dial(&stand, 0, 20, 0);
    goodbye.grace_ms = 10000;
    give_goodbye(&stand, stand.dialled[0], &goodbye);
    run_answering(&stand, 9000);
    assert_true(is_up(&stand, stand.dialled[0]));
    run_answering(&stand, 1500);
    assert_false(is_up(&stand, stand.dialled[0]));
    run_answering(&stand, 2000); /* it may be back by now */
    assert_int_equal(stand.dials, 2);
    stand_finish(&stand);

    open_node(&stand, 1);
    answer_dial(&stand, 0, 20, 0);
    goodbye.grace_ms = UINT32_MAX; /* a minute at most */
    give_goodbye(&stand, stand.dialled[0], &goodbye);
    run_answering(&stand, 61000);
    assert_false(is_up(&stand, stand.dialled[0]));
    stand_finish(&stand);
}

static void one_that_was_full_is_not_asked_soon(void **state)
{
    struct stand stand;
    Sallyport__Goodbye goodbye = SALLYPORT__GOODBYE__INIT;

    (void)state;
    open_node(&stand, 1);
    core_on_link_up(stand.core, stand.dialled[0], false, identity_certificate(all[0]), NULL);
    goodbye.full = true;
    give_goodbye(&stand, stand.dialled[0], &goodbye);
    assert_false(is_up(&stand, stand.dialled[0]));
    run_answering(&stand, 14900);
    assert_int_equal(stand.dials, 1);
    run_answering(&stand, 15300);
    assert_int_equal(stand.dials, 2);
    stand_finish(&stand);
}

/* ---- back-off ---------------------------------------------------------------------------------
 */

/* One that has taken us before is likely to be back: 16 s at most instead of five minutes. */
static void one_that_took_us_is_tried_more_often(void **state)
{
    struct stand stand;

    (void)state;
    open_node(&stand, 1);
    answer_dial(&stand, 0, 20, 0);
    core_on_link_down(stand.core, stand.dialled[0], "connection reset");
    for (int i = 1; i < 15; i++) {
        uint64_t since_ms = stand.now_ms;
        while (stand.dials == i)
            stand_run(&stand, 10);
        assert_true(stand.now_ms - since_ms <= 16100);
        core_on_link_down(stand.core, stand.dialled[i % 16], "connection refused");
    }
    stand_finish(&stand);
}

/* Both are lost at once: the dials of many nodes do not all come at the same moment. */
static void dials_after_a_loss_are_spread(void **state)
{
    uint64_t first_ms = UINT64_MAX, last_ms = 0;

    (void)state;
    for (int run = 0; run < 20; run++) {
        struct stand stand;
        open_node(&stand, 3);
        for (int i = 0; i < run; i++)
            (void)core_random(stand.core, 2);
        for (int i = 0; i < 3; i++)
            answer_dial(&stand, i, 20, 0);
        stand_run(&stand, 100);
        uint64_t lost_ms = stand.now_ms;
        for (int i = 0; i < 3; i++)
            core_on_link_down(stand.core, stand.dialled[i], "connection reset");
        while (stand.dials == 3)
            stand_run(&stand, 1);
        uint64_t passed_ms = stand.now_ms - lost_ms;
        first_ms = passed_ms < first_ms ? passed_ms : first_ms;
        last_ms = passed_ms > last_ms ? passed_ms : last_ms;
        assert_true(passed_ms <= 301);
        stand_finish(&stand);
    }
    assert_true(last_ms - first_ms > 100);
}

/* ---- better ones ------------------------------------------------------------------------------
 */

/* A node that is well attached looks for a better one after a minute or two; it stays where it is
 * unless that is clearly nearer, or less busy. */
static void a_better_one_takes_the_place_of_the_worse(void **state)
{
    static const struct {
        uint64_t old_ms[2];
        unsigned old_clients[2];
        uint64_t new_ms;
        unsigned new_clients;
        int left; /* which one; -1: neither */
    } cases[] = {
        {{20, 20}, {0, 0}, 20, 0, -1},
        {{20, 40}, {0, 0}, 30, 0, -1}, /* nearer, but not clearly */
        {{20, 60}, {0, 0}, 30, 0, 1},
        {{60, 20}, {0, 0}, 30, 0, 0},
        {{20, 20}, {0, 90}, 20, 0, 1}, /* busy ones count as far away */
        {{20, 20}, {90, 90}, 20, 95, -1},
        {{20, 60}, {0, 0}, 10, 99, -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct stand stand;
        open_node(&stand, 2);
        for (int k = 0; k < 2; k++)
            answer_dial(&stand, k, cases[i].old_ms[k], cases[i].old_clients[k]);
        run_answering(&stand, 1000);
        core_add_host(stand.core, "s2.example:443");
        run_answering(&stand, 57000);
        assert_int_equal(stand.dials, 2);
        for (int k = 0; k < 2; k++) /* as measured then */
            stand.core->upstream[k]->round_trip_us =
                (uint32_t)(1000 *
                           cases[i]
                               .old_ms[stand.core->upstream[k]->link == stand.dialled[0] ? 0 : 1]);
        while (stand.dials == 2 && stand.now_ms < 200000)
            run_answering(&stand, 100);
        assert_int_equal(stand.dials, 3);
        for (int k = 0; k < 2; k++)
            stand.core->upstream[k]->round_trip_us =
                (uint32_t)(1000 *
                           cases[i]
                               .old_ms[stand.core->upstream[k]->link == stand.dialled[0] ? 0 : 1]);
        answer_dial(&stand, 2, cases[i].new_ms, cases[i].new_clients);
        assert_int_equal(is_up(&stand, stand.dialled[2]), cases[i].left >= 0);
        stand_run(&stand, 2100);
        for (int k = 0; k < 2; k++)
            assert_int_equal(is_up(&stand, stand.dialled[k]), k != cases[i].left);
        assert_int_equal(attach_staying(stand.core), 2);
        assert_int_equal(stand.detached, 0);
        stand_finish(&stand);
    }
}

/* Of those known it dials first what is not known to be full. */
static void full_ones_are_dialled_last(void **state)
{
    struct stand stand;
    Sallyport__Goodbye goodbye = SALLYPORT__GOODBYE__INIT;
    Sallyport__Supernode told[3], *list[3];
    static const char *const addresses[] = {"s1.example:443", "s2.example:443", "s3.example:443"};

    (void)state;
    open_node(&stand, 1);
    core_on_link_up(stand.core, stand.dialled[0], false, identity_certificate(all[0]), NULL);
    for (int i = 0; i < 3; i++) {
        sallyport__supernode__init(&told[i]);
        told[i].address = (char *)addresses[i];
        told[i].version = 2;
        told[i].seats = 100;
        told[i].clients = i == 1 ? 7 : 100;
        list[i] = &told[i];
    }
    goodbye.full = true;
    goodbye.supernodes = list;
    goodbye.n_supernodes = 3;
    give_goodbye(&stand, stand.dialled[0], &goodbye);
    stand_run(&stand, 10);
    assert_true(stand.dials >= 2);
    assert_string_equal(stand.address[1], "s2.example:443");
    stand_finish(&stand);
}

/* ---- look-ups ---------------------------------------------------------------------------------
 */

/* A supernode that has no time for a look-up has not said that nobody serves the name. */
static void busy_is_no_answer(void **state)
{
    struct stand stand;
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Found found = SALLYPORT__FOUND__INIT;
    struct overlay_call_request request = {.call_id = "0123456789abcdef",
                                           .to = "202@paris",
                                           .caller = "201",
                                           .codecs = {.codec = {CODEC_OPUS}, .count = 1}};
    struct overlay_call_events events = {.on_end = NULL};
    struct overlay_call *call;

    (void)state;
    open_node(&stand, 1);
    answer_dial(&stand, 0, 20, 0);
    assert_int_equal(core_call_new(stand.core, &request, &events, NULL, &call), 0);
    found.request = stand_sent(&stand, stand.dialled[0], BODY(LOOKUP))->lookup->request;
    found.busy = true;
    envelope.body_case = BODY(FOUND);
    envelope.found = &found;
    stand_give(&stand, stand.dialled[0], &envelope);
    assert_non_null(stand.core->lookups); /* perhaps somebody else has */
    stand_finish(&stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nearer_one_is_home),
        cmocka_unit_test(a_goodbye_with_grace_keeps_the_link_until_another_is_there),
        cmocka_unit_test(the_grace_ends),
        cmocka_unit_test(one_that_was_full_is_not_asked_soon),
        cmocka_unit_test(one_that_took_us_is_tried_more_often),
        cmocka_unit_test(dials_after_a_loss_are_spread),
        cmocka_unit_test(a_better_one_takes_the_place_of_the_worse),
        cmocka_unit_test(full_ones_are_dialled_last),
        cmocka_unit_test(busy_is_no_answer),
    };

    return cmocka_run_group_tests(tests, names_setup, names_teardown);
}
