/* Attaching, serving, dispatch and forwarding of one core, the test being everybody else. */
#include "tests/unit/overlay/core_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define BODY(name) SALLYPORT__ENVELOPE__BODY_##name
#define FIRST 0x80000001u
#define SECOND 0x80000002u
#define THIRD 0x80000003u

static struct identity *hub, *other, *third, *berlin, *paris;

static int setup(void **state)
{
    struct realm realm;

    (void)state;
    log_set_level(LOG_OVERLAY, LOG_ERROR);
    fixture_realm(&realm);
    hub = fixture_identity(&realm, "hub", CONF_ROLE_SUPERNODE | CONF_ROLE_RELAY);
    other = fixture_identity(&realm, "other", CONF_ROLE_SUPERNODE);
    third = fixture_identity(&realm, "third", CONF_ROLE_SUPERNODE);
    berlin = fixture_identity(&realm, "berlin", CONF_ROLE_GATEWAY);
    paris = fixture_identity(&realm, "paris", CONF_ROLE_GATEWAY);
    realm_fini(&realm);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    identity_free(hub);
    identity_free(other);
    identity_free(third);
    identity_free(berlin);
    identity_free(paris);
    return 0;
}

static void open_node(struct stand *stand, int supernodes)
{
    static const char *const addresses[] = {"a.example:443", "b.example:443", "c.example:443",
                                            "d.example:443"};
    struct core_settings settings = {.identity = berlin, .roles = CONF_ROLE_GATEWAY};

    for (int i = 0; i < supernodes; i++)
        settings.supernodes[settings.supernode_count++] = addresses[i];
    stand_open(stand, &settings);
}

static void open_hub(struct stand *stand, unsigned seats)
{
    struct core_settings settings = {.identity = hub,
                                     .roles = CONF_ROLE_SUPERNODE | CONF_ROLE_RELAY,
                                     .address = "hub.example:443",
                                     .seats = seats};

    stand_open(stand, &settings);
    stand_clear(stand);
}

/* ---- attaching ---------------------------------------------------------------------------------
 */

static void three_are_raced_and_two_kept(void **state)
{
    struct stand stand;
    const struct identity *supernodes[] = {hub, other, third};

    (void)state;
    open_node(&stand, 4);
    assert_int_equal(stand.dials, 3);
    for (int i = 0; i < 3; i++)
        stand_welcome(&stand, stand.dialled[i], supernodes[i]);
    assert_true(core_is_attached(stand.core));
    assert_int_equal(stand.core->upstream_count, 2);
    assert_int_equal(stand.closes, 1);
    assert_string_equal(stand.why, "home and standby are there already");
    assert_int_equal(stand.attached, 1);
    stand_run(&stand, 20000);
    assert_int_equal(stand.dials, 3);
    stand_finish(&stand);
}

static void back_off_grows_and_is_random(void **state)
{
    struct stand stand;
    uint64_t last_ms, longest_ms = 1000;

    (void)state;
    open_node(&stand, 1);
    for (int i = 0; i < 14; i++) {
        assert_int_equal(stand.dials, i + 1);
        core_on_link_down(stand.core, stand.dialled[i % 16], "connection refused");
        last_ms = stand.now_ms;
        while (stand.dials == i + 1)
            stand_run(&stand, 10);
        uint64_t pause_ms = stand.now_ms - last_ms;
        assert_true(pause_ms + 10 >= longest_ms / 2 && pause_ms <= longest_ms + 10);
        longest_ms = 2 * longest_ms < 300000 ? 2 * longest_ms : 300000;
    }
    struct overlay_status status = {.site = NULL};
    core_status(stand.core, &status);
    assert_string_equal(status.last_error, "a.example:443: connection refused");
    stand_finish(&stand);
}

struct known {
    int count;
    bool has_given, has_failed, has_new;
};

static void count_known(void *ctx, const char *address)
{
    struct known *known = ctx;

    known->count++;
    known->has_given |= strcmp(address, "a.example:443") == 0;
    known->has_failed |= strcmp(address, "s7.example:443") == 0;
    known->has_new |= strcmp(address, "new.example:443") == 0;
}

static struct known known_hosts(struct stand *stand)
{
    struct known known = {0};

    core_each_host(stand->core, count_known, &known);
    return known;
}

/* At most 200 supernodes are known; a new one takes the place of one that failed, never of one that
 * was given. */
static void the_host_cache_is_bounded(void **state)
{
    struct stand stand;
    char address[32];

    (void)state;
    open_node(&stand, 1);
    core_on_link_down(stand.core, stand.dialled[0], "connection refused");
    for (int i = 0; i < 300; i++) {
        snprintf(address, sizeof address, "s%d.example:443", i);
        core_add_host(stand.core, address);
    }
    core_add_host(stand.core, "new.example:443");
    assert_int_equal(known_hosts(&stand).count, HOSTS_MAX);
    assert_true(known_hosts(&stand).has_given && known_hosts(&stand).has_failed);
    assert_false(known_hosts(&stand).has_new);

    for (int i = 0; i < HOSTS_MAX; i++)
        if (strcmp(stand.core->hosts[i]->address, "s7.example:443") == 0)
            host_failed(stand.core, stand.core->hosts[i]);
    core_add_host(stand.core, "new.example:443");
    assert_int_equal(known_hosts(&stand).count, HOSTS_MAX);
    assert_true(known_hosts(&stand).has_given && known_hosts(&stand).has_new);
    assert_false(known_hosts(&stand).has_failed);
    stand_finish(&stand);
}

static void nobody_attaches_to_itself_or_a_plain_node(void **state)
{
    struct stand stand;

    (void)state;
    open_node(&stand, 2);
    core_on_link_up(stand.core, stand.dialled[0], false, identity_certificate(berlin), NULL);
    assert_string_equal(stand.why, "that is this node itself");
    core_on_link_up(stand.core, stand.dialled[1], false, identity_certificate(paris), NULL);
    assert_string_equal(stand.why, "its certificate does not grant the role supernode");
    stand_run(&stand, 2000);
    for (int i = 2; i < stand.dials; i++)
        assert_string_not_equal(stand.address[i], stand.address[0]); /* never again */
    stand_finish(&stand);
}

static void without_supernodes_it_says_so(void **state)
{
    struct stand stand;
    struct overlay_status status;

    (void)state;
    open_node(&stand, 0);
    core_status(stand.core, &status);
    assert_string_equal(status.last_error,
                        "no supernode is known: neither enrolment nor settings name one");
    assert_int_equal(stand.dials, 0);
    stand_finish(&stand);
}

static void a_silent_supernode_is_left(void **state)
{
    struct stand stand;

    (void)state;
    open_node(&stand, 1);
    stand_welcome(&stand, stand.dialled[0], hub);
    stand_run(&stand, 400); /* before the question for others */
    stand_clear(&stand);
    core_on_network_change(stand.core);
    assert_non_null(stand_sent(&stand, stand.dialled[0], BODY(PING)));
    stand_run(&stand, 1400); /* with reason to doubt it has not much time */
    assert_true(core_is_attached(stand.core));
    stand_run(&stand, 200);
    assert_false(core_is_attached(stand.core));
    assert_int_equal(stand.detached, 1);
    assert_string_equal(stand.why, "does not answer");
    stand_finish(&stand);
}

static void an_idle_link_is_probed(void **state)
{
    struct stand stand;

    (void)state;
    open_node(&stand, 2);
    stand_welcome(&stand, stand.dialled[0], hub);
    stand_welcome(&stand, stand.dialled[1], other);
    stand_run(&stand, 24900);
    assert_int_equal(stand_count(&stand, BODY(PING)), 0);
    stand_run(&stand, 5200);
    assert_int_equal(stand_count(&stand, BODY(PING)), 2);
    for (int i = 0; i < 2; i++) {
        Sallyport__Envelope reply = SALLYPORT__ENVELOPE__INIT;
        Sallyport__Pong pong = SALLYPORT__PONG__INIT;
        pong.number = stand_sent(&stand, stand.dialled[i], BODY(PING))->ping->number;
        reply.body_case = BODY(PONG);
        reply.pong = &pong;
        stand_give(&stand, stand.dialled[i], &reply);
    }
    stand_run(&stand, 10000);
    assert_int_equal(stand.core->upstream_count, 2);
    stand_finish(&stand);
}

/* ---- dispatch ----------------------------------------------------------------------------------
 */

static void each_role_accepts_its_own_bodies(void **state)
{
    static const struct {
        core_link link;
        int body;
        bool is_accepted;
    } cases[] = {
        {FIRST, BODY(PUBLISH), true},  {FIRST, BODY(LOOKUP), true},
        {FIRST, BODY(RELAYS), true},   {FIRST, BODY(PING), true},
        {FIRST, BODY(FOUND), false},   {FIRST, BODY(WELCOME), false},
        {FIRST, BODY(HELLO), false},   {FIRST, BODY(PUBLISHED), false},
        {SECOND, BODY(FOUND), true},   {SECOND, BODY(LOOKUP), true},
        {SECOND, BODY(RELAYS), true},  {SECOND, BODY(HELLO), false},
        {THIRD, BODY(LOOKUP), false},  {THIRD, BODY(PING), false},
        {THIRD, BODY(PUBLISH), false},
    };
    Sallyport__Lookup lookup = SALLYPORT__LOOKUP__INIT;
    Sallyport__Publish publish = SALLYPORT__PUBLISH__INIT;
    Sallyport__Published published = SALLYPORT__PUBLISHED__INIT;
    Sallyport__Relays relays = SALLYPORT__RELAYS__INIT;
    Sallyport__Ping ping = SALLYPORT__PING__INIT;
    Sallyport__Found found = SALLYPORT__FOUND__INIT;
    Sallyport__Hello hello = SALLYPORT__HELLO__INIT;
    Sallyport__Welcome welcome = SALLYPORT__WELCOME__INIT;
    struct stand stand;

    (void)state;
    open_hub(&stand, 0);
    lookup.name = (char *)"berlin";
    stand_hello(&stand, FIRST, berlin, false);
    stand_hello(&stand, SECOND, other, true);
    core_on_link_up(stand.core, THIRD, true, identity_certificate(paris), NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
        uint64_t before = stand.core->malformed;
        envelope.body_case = (Sallyport__Envelope__BodyCase)cases[i].body;
        switch (cases[i].body) {
        case BODY(LOOKUP):
            envelope.lookup = &lookup;
            break;
        case BODY(PUBLISH):
            envelope.publish = &publish;
            break;
        case BODY(PUBLISHED):
            envelope.published = &published;
            break;
        case BODY(RELAYS):
            envelope.relays = &relays;
            break;
        case BODY(PING):
            envelope.ping = &ping;
            break;
        case BODY(FOUND):
            envelope.found = &found;
            break;
        case BODY(HELLO):
            envelope.hello = &hello;
            break;
        case BODY(WELCOME):
            envelope.welcome = &welcome;
            break;
        }
        stand_give(&stand, cases[i].link, &envelope);
        assert_int_equal(stand.core->malformed - before, cases[i].is_accepted ? 0 : 1);
    }
    stand_finish(&stand);
}

static void unknown_bodies_are_ignored_and_garbage_is_counted(void **state)
{
    static const uint8_t unknown[] = {0xa2, 0x06, 0x01, 'x'}; /* field 100 */
    static const uint8_t garbage[] = {0xff, 0xff, 0xff};
    struct stand stand;

    (void)state;
    open_hub(&stand, 0);
    stand_hello(&stand, FIRST, berlin, false);
    core_on_frame(stand.core, FIRST, unknown, sizeof unknown);
    core_on_frame(stand.core, FIRST, NULL, 0);
    assert_int_equal(stand.core->malformed, 0);
    core_on_frame(stand.core, FIRST, garbage, sizeof garbage);
    assert_int_equal(stand.core->malformed, 1);
    core_on_frame(stand.core, 77, garbage, sizeof garbage); /* of no link */
    assert_int_equal(stand.closes, 0);
    stand_finish(&stand);
}

/* ---- serving -----------------------------------------------------------------------------------
 */

static void seats_are_limited(void **state)
{
    struct stand stand;
    struct overlay_status status;

    (void)state;
    open_hub(&stand, 1);
    stand_hello(&stand, FIRST, other, true); /* a fellow takes no seat */
    stand_hello(&stand, SECOND, berlin, false);
    stand_hello(&stand, THIRD, paris, false);
    const Sallyport__Goodbye *goodbye = stand_sent(&stand, THIRD, BODY(GOODBYE))->goodbye;
    assert_string_equal(goodbye->reason, "no seat is free");
    assert_int_equal(goodbye->n_supernodes, 1);
    assert_string_equal(goodbye->supernodes[0]->address, "fellow.example:443");
    core_status(stand.core, &status);
    assert_int_equal(status.clients, 1);
    /* The one that has a seat may come again. */
    stand_hello(&stand, THIRD + 1, berlin, false);
    assert_int_equal(stand.closed[1], SECOND);
    core_status(stand.core, &status);
    assert_int_equal(status.clients, 1);
    stand_finish(&stand);
}

static void who_says_nothing_is_closed(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand, 0);
    core_on_link_up(stand.core, FIRST, true, identity_certificate(berlin), NULL);
    stand_run(&stand, 5100);
    assert_int_equal(stand.closes, 1);
    assert_string_equal(stand.why, "no greeting in time");
    stand_hello(&stand, SECOND, berlin, false);
    stand_run(&stand, 70000);
    assert_int_equal(stand.closes, 2);
    assert_string_equal(stand.why, "silent for too long");
    stand_finish(&stand);
}

static void a_plain_node_serves_nobody(void **state)
{
    struct stand stand;

    (void)state;
    open_node(&stand, 0);
    core_on_link_up(stand.core, FIRST, true, identity_certificate(paris), NULL);
    assert_string_equal(stand.why, "not a supernode");
    stand_finish(&stand);
}

/* ---- forwarding --------------------------------------------------------------------------------
 */

static void give_route(struct stand *stand, core_link from, const struct identity *to,
                       const struct identity *home, uint32_t hops)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Route route = SALLYPORT__ROUTE__INIT;
    Sallyport__Supernode via = SALLYPORT__SUPERNODE__INIT, *list = &via;

    route.id.data = (uint8_t *)"12345678";
    route.id.len = 8;
    route.to.data = (uint8_t *)identity_certificate(to)->node;
    route.to.len = OVERLAY_NODE_ID_BYTES;
    route.sealed.data = (uint8_t *)"secret";
    route.sealed.len = 6;
    route.hops = hops;
    if (home) {
        via.node.data = (uint8_t *)identity_certificate(home)->node;
        via.node.len = OVERLAY_NODE_ID_BYTES;
        via.address = (char *)"elsewhere.example:443";
        route.via = &list;
        route.n_via = 1;
    }
    envelope.body_case = BODY(ROUTE);
    envelope.route = &route;
    stand_give(stand, from, &envelope);
}

static int failure_of(struct stand *stand, core_link link)
{
    Sallyport__Envelope *envelope = stand_sent(stand, link, BODY(ROUTE_FAILED));

    assert_non_null(envelope);
    assert_memory_equal(envelope->route_failed->id.data, "12345678", 8);
    return (int)envelope->route_failed->why;
}

static void a_route_reaches_a_client(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand, 0);
    stand_hello(&stand, FIRST, berlin, false);
    stand_hello(&stand, SECOND, paris, false);
    give_route(&stand, FIRST, paris, NULL, 0);
    const Sallyport__Route *route = stand_sent(&stand, SECOND, BODY(ROUTE))->route;
    assert_memory_equal(route->sealed.data, "secret", 6);
    assert_int_equal(route->hops, 1);
    stand_clear(&stand);

    give_route(&stand, FIRST, paris, NULL, 3); /* one too many */
    assert_int_equal(stand.frames, 0);
    give_route(&stand, FIRST, third, NULL, 0);
    assert_int_equal(failure_of(&stand, FIRST), SALLYPORT__ROUTE_FAILED__WHY__NOT_ATTACHED);
    stand_finish(&stand);
}

static void a_route_goes_by_a_fellow_and_its_failure_back(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand, 0);
    stand_hello(&stand, FIRST, berlin, false);
    stand_hello(&stand, SECOND, other, true);
    give_route(&stand, FIRST, paris, other, 0);
    const Sallyport__Route *route = stand_sent(&stand, SECOND, BODY(ROUTE))->route;
    assert_int_equal(route->n_via, 0);

    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__RouteFailed failed = SALLYPORT__ROUTE_FAILED__INIT;
    failed.id = route->id;
    failed.why = SALLYPORT__ROUTE_FAILED__WHY__NOT_ATTACHED;
    envelope.body_case = BODY(ROUTE_FAILED);
    envelope.route_failed = &failed;
    stand_give(&stand, SECOND, &envelope);
    assert_int_equal(failure_of(&stand, FIRST), SALLYPORT__ROUTE_FAILED__WHY__NOT_ATTACHED);
    stand_clear(&stand);

    /* What comes from a fellow goes no further than to a client. */
    give_route(&stand, SECOND, paris, third, 1);
    assert_int_equal(failure_of(&stand, SECOND), SALLYPORT__ROUTE_FAILED__WHY__NOT_ATTACHED);
    assert_int_equal(stand.dials, 0);
    stand_finish(&stand);
}

static void a_link_is_made_to_a_home_that_is_not_linked(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand, 0);
    stand_hello(&stand, FIRST, berlin, false);
    give_route(&stand, FIRST, paris, other, 0);
    assert_int_equal(stand.dials, 1);
    assert_string_equal(stand.address[0], "elsewhere.example:443");
    stand_welcome(&stand, stand.dialled[0], other);
    assert_non_null(stand_sent(&stand, stand.dialled[0], BODY(ROUTE)));
    stand_finish(&stand);

    open_hub(&stand, 0);
    stand_hello(&stand, FIRST, berlin, false);
    give_route(&stand, FIRST, paris, other, 0);
    core_on_link_down(stand.core, stand.dialled[0], "connection refused");
    assert_int_equal(failure_of(&stand, FIRST), SALLYPORT__ROUTE_FAILED__WHY__NO_LINK);
    stand_finish(&stand);
}

static void passages_are_forgotten(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand, 0);
    stand_hello(&stand, FIRST, berlin, false);
    stand_hello(&stand, SECOND, other, true);
    for (int i = 0; i < 40; i++)
        give_route(&stand, FIRST, paris, other, 0);
    assert_int_equal(forward_count(stand.core), 40);
    stand_run(&stand, 5100);
    assert_int_equal(forward_count(stand.core), 0);
    stand_finish(&stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_are_raced_and_two_kept),
        cmocka_unit_test(back_off_grows_and_is_random),
        cmocka_unit_test(the_host_cache_is_bounded),
        cmocka_unit_test(nobody_attaches_to_itself_or_a_plain_node),
        cmocka_unit_test(without_supernodes_it_says_so),
        cmocka_unit_test(a_silent_supernode_is_left),
        cmocka_unit_test(an_idle_link_is_probed),
        cmocka_unit_test(each_role_accepts_its_own_bodies),
        cmocka_unit_test(unknown_bodies_are_ignored_and_garbage_is_counted),
        cmocka_unit_test(seats_are_limited),
        cmocka_unit_test(who_says_nothing_is_closed),
        cmocka_unit_test(a_plain_node_serves_nobody),
        cmocka_unit_test(a_route_reaches_a_client),
        cmocka_unit_test(a_route_goes_by_a_fellow_and_its_failure_back),
        cmocka_unit_test(a_link_is_made_to_a_home_that_is_not_linked),
        cmocka_unit_test(passages_are_forgotten),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
