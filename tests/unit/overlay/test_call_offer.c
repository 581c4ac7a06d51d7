/* A node that calls: what it does when its offer is not acknowledged, fails, or is looked for anew.
 * Two supernodes of its own, played by the test; the callee is a real core. */
#include "tests/unit/overlay/names_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* ---- what the test plays -----------------------------------------------------------------------
 */

static struct calling {
    struct stand stand;
    core_link home, standby;
    struct overlay_call *call;
    char failed[160]; /* why it ended */
} calling;

static void on_end(void *ctx, const struct call_cause *cause)
{
    (void)ctx;
    snprintf(calling.failed, sizeof calling.failed, "%s", cause->text);
    calling.call = NULL;
}

static const struct overlay_call_events events = {.on_end = on_end};

static void open_attached(struct stand *stand, const struct identity *identity)
{
    struct core_settings settings = {.identity = identity, .roles = CONF_ROLE_GATEWAY};

    settings.supernodes[settings.supernode_count++] = "a.example:443";
    settings.supernodes[settings.supernode_count++] = "b.example:443";
    stand_open(stand, &settings);
    stand_welcome(stand, stand->dialled[0], hub);
    stand_welcome(stand, stand->dialled[1], all[0]);
    assert_int_equal(stand->core->upstream_count, 2);
    stand_clear(stand);
}

static void open_call(void)
{
    const struct overlay_call_request request = {.call_id = "00112233aabbccdd",
                                                 .to = "202@paris",
                                                 .caller = "201",
                                                 .codecs = {{CODEC_OPUS}, 1},
                                                 .direction = MEDIA_SENDRECV};

    calling = (struct calling){.call = NULL};
    open_attached(&calling.stand, berlin);
    calling.home = calling.stand.core->upstream[0]->link;
    calling.standby = calling.stand.core->upstream[1]->link;
    assert_int_equal(core_call_new(calling.stand.core, &request, &events, &calling, &calling.call),
                     0);
}

static void finish(void)
{
    struct call_cause cause = call_cause(CALL_CANCELLED, NULL);

    if (calling.call)
        overlay_call_end(calling.call, &cause);
    stand_finish(&calling.stand);
}

/* `by` answers the look-up: paris was at `first` and `second` with this sequence. */
static void give_found(core_link by, uint64_t sequence, const char *first, const char *second)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Found found = SALLYPORT__FOUND__INIT;
    Sallyport__SignedRecord wire, *list = &wire;
    struct record *record = core_alloc(sizeof *record);
    const char *address[] = {first, second};

    const Sallyport__Envelope *asked = stand_sent(&calling.stand, by, BODY(LOOKUP));
    assert_non_null(asked);
    assert_string_equal(asked->lookup->name, "paris");
    strcpy(record->name, "paris");
    record->sequence = sequence;
    record->issued_s = time(NULL);
    record->lifetime_s = 900;
    record->homes.count = 2;
    for (int i = 0; i < 2; i++)
        strcpy(record->homes.home[i].address, address[i]);
    record_sign(paris, record, &wire);
    free(record);
    found.request = asked->lookup->request;
    found.records = &list;
    found.n_records = 1;
    envelope.body_case = BODY(FOUND);
    envelope.found = &found;
    stand_give(&calling.stand, by, &envelope);
    record_signed_fini(&wire);
}

/* Each supernode says that nobody of the last Route's name is there. */
static void fail_routes(void)
{
    for (int i = 0; i < calling.stand.frames; i++) {
        Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
        Sallyport__RouteFailed failed = SALLYPORT__ROUTE_FAILED__INIT;
        if (calling.stand.frame[i].envelope->body_case != BODY(ROUTE))
            continue;
        failed.id = calling.stand.frame[i].envelope->route->id;
        failed.why = SALLYPORT__ROUTE_FAILED__WHY__NOT_ATTACHED;
        envelope.body_case = BODY(ROUTE_FAILED);
        envelope.route_failed = &failed;
        stand_give(&calling.stand, calling.stand.frame[i].link, &envelope);
    }
}

/* Of the Routes sent: which went by whom to which home first. */
static bool was_sent(core_link by, const char *first)
{
    for (int i = 0; i < calling.stand.frames; i++) {
        const Sallyport__Envelope *envelope = calling.stand.frame[i].envelope;
        if (calling.stand.frame[i].link == by && envelope->body_case == BODY(ROUTE) &&
            strcmp(envelope->route->via[0]->address, first) == 0)
            return true;
    }
    return false;
}

/* Hands the last Route to the callee, and what that says to the caller, by `by`. */
static void deliver(struct stand *callee, core_link by)
{
    stand_give(callee, callee->dialled[0], stand_sent(&calling.stand, 0, BODY(ROUTE)));
    Sallyport__Envelope *reply = stand_sent(callee, 0, BODY(ROUTE));
    assert_non_null(reply);
    stand_give(&calling.stand, by, reply);
}

/* ---- tests -------------------------------------------------------------------------------------
 */

static void two_more_ways_are_taken_by_each_repetition(void **state)
{
    (void)state;
    open_call();
    give_found(calling.home, 5, "x.example:443", "y.example:443");
    assert_int_equal(stand_count(&calling.stand, BODY(ROUTE)), 1);
    assert_true(was_sent(calling.home, "x.example:443"));
    stand_clear(&calling.stand);
    stand_run(&calling.stand, 310);
    assert_int_equal(stand_count(&calling.stand, BODY(ROUTE)), 2);
    assert_true(was_sent(calling.standby, "y.example:443"));
    assert_true(was_sent(calling.home, "y.example:443"));
    stand_clear(&calling.stand);
    stand_run(&calling.stand, 300);
    assert_int_equal(stand_count(&calling.stand, BODY(ROUTE)), 2);
    assert_true(was_sent(calling.standby, "x.example:443"));
    finish();
}

/* The supernode that answered the look-up lives. */
static void an_offer_goes_by_who_found_its_record(void **state)
{
    (void)state;
    open_call();
    stand_run(&calling.stand, 310); /* home is silent: the standby is asked */
    give_found(calling.standby, 5, "x.example:443", "y.example:443");
    assert_int_equal(stand_count(&calling.stand, BODY(ROUTE)), 1);
    assert_true(was_sent(calling.standby, "x.example:443"));
    finish();
}

/* Offered where its record says, in vain: the directory is asked anew. */
static void fail_at_first(void)
{
    open_call();
    give_found(calling.home, 5, "x.example:443", "y.example:443");
    fail_routes();
    assert_int_equal(calling.call->state, STATE_LOOKING);
    assert_true(stand_sent(&calling.stand, calling.home, BODY(LOOKUP))->lookup->fresh);
    assert_true(stand_sent(&calling.stand, calling.standby, BODY(LOOKUP))->lookup->fresh);
}

/* What was tried, or is older, may be told by a bad supernode sooner than the truth by another. */
static void what_was_tried_is_no_answer(void **state)
{
    static const struct {
        uint64_t sequence;
        const char *home;
    } useless[] = {{5, "x.example:443"}, {6, "x.example:443"}, {4, "w.example:443"}};

    (void)state;
    for (size_t i = 0; i < sizeof useless / sizeof useless[0]; i++) {
        fail_at_first();
        give_found(calling.home, useless[i].sequence, useless[i].home, "y.example:443");
        stand_run(&calling.stand, 400);
        assert_int_equal(calling.call->state, STATE_LOOKING);
        give_found(calling.standby, 7, "z.example:443", "y.example:443");
        assert_int_equal(calling.call->state, STATE_OFFERING);
        assert_true(was_sent(calling.standby, "z.example:443"));
        finish();
    }
    fail_at_first();
    give_found(calling.home, 5, "x.example:443", "y.example:443");
    give_found(calling.standby, 5, "x.example:443", "y.example:443");
    assert_null(calling.call);
    assert_string_equal(calling.failed, "paris is offline");
    finish();
}

/* A node that has the offer already must not hear of another path than the one that is kept. */
static void a_node_that_moved_gets_the_same_offer(void **state)
{
    struct stand callee;

    (void)state;
    open_attached(&callee, paris);
    fail_at_first();
    stand_give(&callee, callee.dialled[0], stand_sent(&calling.stand, 0, BODY(ROUTE)));
    give_found(calling.home, 7, "z.example:443", "y.example:443");
    give_found(calling.standby, 7, "z.example:443", "y.example:443");
    assert_true(was_sent(calling.home, "z.example:443"));
    stand_clear(&callee);
    deliver(&callee, calling.home);
    assert_int_equal(callee.offers, 1);
    assert_int_equal(calling.call->state, STATE_WAITING);
    finish();
    stand_finish(&callee);
}

static void a_reply_is_taken_while_the_directory_is_asked_anew(void **state)
{
    struct stand callee;

    (void)state;
    open_attached(&callee, paris);
    fail_at_first();
    deliver(&callee, calling.home);
    assert_int_equal(calling.call->state, STATE_WAITING);
    assert_null(calling.stand.core->lookups);
    stand_run(&calling.stand, 3000);
    assert_non_null(calling.call);
    finish();
    stand_finish(&callee);
}

/* What the callee said before its offer was given up may be a reply, without the Ack that was lost.
 */
static void give_reply(struct stand *callee, core_link by)
{
    overlay_call_ring(callee->offered);
    core_deliver(callee->core);
    stand_give(&calling.stand, by, stand_sent(callee, 0, BODY(ROUTE)));
}

static void a_reply_is_as_good_as_an_ack(void **state)
{
    struct stand callee;

    (void)state;
    open_attached(&callee, paris);
    fail_at_first();
    stand_give(&callee, callee.dialled[0], stand_sent(&calling.stand, 0, BODY(ROUTE)));
    overlay_call_accept(callee.offered, &events, &calling);
    stand_clear(&callee); /* the Ack is lost */
    give_reply(&callee, calling.home);
    assert_int_equal(calling.call->state, STATE_WAITING);
    stand_run(&calling.stand, 9000); /* nothing waits for an Ack any more */
    assert_non_null(calling.call);
    assert_int_equal(calling.call->out_count, 0);
    finish();
    stand_finish(&callee);
}

/* Nothing is repeated, and no second look-up begins, while one goes on; whatever happens. */
static void while_it_looks_the_offer_rests(void **state)
{
    (void)state;
    fail_at_first();
    stand_clear(&calling.stand);
    call_on_upstreams_changed(calling.stand.core);
    lookup_on_upstreams_changed(calling.stand.core);
    call_refresh_homes(calling.call);
    stand_run(&calling.stand, 900);
    assert_int_equal(calling.call->state, STATE_LOOKING);
    assert_int_equal(stand_count(&calling.stand, BODY(ROUTE)), 0);
    assert_int_equal(stand_count(&calling.stand, BODY(LOOKUP)), 0);
    finish();
}

/* One supernode says that nobody is there, the other one says nothing. */
static void who_may_have_moved_is_looked_for(void **state)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__RouteFailed failed = SALLYPORT__ROUTE_FAILED__INIT;

    (void)state;
    open_call();
    give_found(calling.home, 5, "x.example:443", "y.example:443");
    failed.id = stand_sent(&calling.stand, calling.home, BODY(ROUTE))->route->id;
    failed.why = SALLYPORT__ROUTE_FAILED__WHY__NOT_ATTACHED;
    envelope.body_case = BODY(ROUTE_FAILED);
    envelope.route_failed = &failed;
    stand_give(&calling.stand, calling.home, &envelope);
    assert_int_equal(calling.call->state, STATE_OFFERING);
    assert_int_equal(stand_count(&calling.stand, BODY(LOOKUP)), 3);
    finish();
}

/* Whoever may have it is told that it is over. */
static void an_offer_that_is_given_up_is_taken_back(void **state)
{
    struct stand callee;

    (void)state;
    open_attached(&callee, paris);
    fail_at_first();
    stand_give(&callee, callee.dialled[0], stand_sent(&calling.stand, 0, BODY(ROUTE)));
    assert_int_equal(callee.offers, 1);
    struct overlay_call *rings = callee.offered;
    overlay_call_accept(rings, &events, &calling);
    give_found(calling.home, 5, "x.example:443", "y.example:443");
    give_found(calling.standby, 5, "x.example:443", "y.example:443");
    assert_string_equal(calling.failed, "paris is offline");
    stand_give(&callee, callee.dialled[0], stand_sent(&calling.stand, 0, BODY(ROUTE)));
    assert_int_equal(rings->state, STATE_CLOSING);
    finish();
    stand_finish(&callee);
}

/* Where it was nobody says that it has left: silence is asked about, too. */
static void after_a_while_of_silence_the_directory_is_asked(void **state)
{
    (void)state;
    open_call();
    give_found(calling.home, 5, "x.example:443", "y.example:443");
    stand_run(&calling.stand, 590);
    assert_int_equal(stand_count(&calling.stand, BODY(LOOKUP)), 1);
    stand_run(&calling.stand, 20);
    assert_int_equal(stand_count(&calling.stand, BODY(LOOKUP)), 3);
    give_found(calling.home, 5, "x.example:443", "y.example:443");
    give_found(calling.standby, 6, "z.example:443", "w.example:443");
    assert_true(was_sent(calling.home, "z.example:443"));
    assert_true(was_sent(calling.home, "w.example:443"));
    assert_true(was_sent(calling.standby, "z.example:443"));
    assert_true(was_sent(calling.standby, "w.example:443"));
    stand_run(&calling.stand, 2000);
    assert_string_equal(calling.failed, "paris is offline (no answer)");
    finish();
}

/* By what brought the offer, for that works; to both homes, for one may not. */
static void the_first_ack_goes_back_to_both_homes(void **state)
{
    struct stand callee;

    (void)state;
    open_attached(&callee, paris);
    open_call();
    give_found(calling.home, 5, "x.example:443", "y.example:443");
    Sallyport__Envelope *offer = stand_sent(&calling.stand, 0, BODY(ROUTE));
    for (int i = 0; i < 2; i++) {
        core_link by = callee.dialled[1 - i];
        stand_clear(&callee);
        stand_give(&callee, by, offer);
        assert_int_equal(stand_count(&callee, BODY(ROUTE)), 2);
        for (int k = 0, n = 0; k < callee.frames; k++) {
            const Sallyport__Envelope *envelope = callee.frame[k].envelope;
            if (envelope->body_case != BODY(ROUTE))
                continue;
            assert_int_equal(callee.frame[k].link, by);
            assert_string_equal(envelope->route->via[0]->address,
                                n++ == 0 ? "a.example:443" : "b.example:443");
        }
    }
    assert_int_equal(callee.offers, 1);
    finish();
    stand_finish(&callee);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_more_ways_are_taken_by_each_repetition),
        cmocka_unit_test(an_offer_goes_by_who_found_its_record),
        cmocka_unit_test(what_was_tried_is_no_answer),
        cmocka_unit_test(a_node_that_moved_gets_the_same_offer),
        cmocka_unit_test(a_reply_is_taken_while_the_directory_is_asked_anew),
        cmocka_unit_test(a_reply_is_as_good_as_an_ack),
        cmocka_unit_test(while_it_looks_the_offer_rests),
        cmocka_unit_test(who_may_have_moved_is_looked_for),
        cmocka_unit_test(an_offer_that_is_given_up_is_taken_back),
        cmocka_unit_test(after_a_while_of_silence_the_directory_is_asked),
        cmocka_unit_test(the_first_ack_goes_back_to_both_homes),
    };

    return cmocka_run_group_tests(tests, names_setup, names_teardown);
}
