/* Which relays there are: told by supernodes, gathered by them, chosen by nodes. */
#include "tests/unit/overlay/core_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define BODY_RELAYS SALLYPORT__ENVELOPE__BODY_RELAYS
#define FIRST 0x80000001u
#define SECOND 0x80000002u
#define THIRD 0x80000003u

static struct identity *hub, *other, *rome, *berlin, *paris;

static int setup(void **state)
{
    struct realm realm;

    (void)state;
    log_set_level(LOG_OVERLAY, LOG_ERROR);
    fixture_realm(&realm);
    hub = fixture_identity(&realm, "hub", CONF_ROLE_SUPERNODE | CONF_ROLE_RELAY);
    other = fixture_identity(&realm, "other", CONF_ROLE_SUPERNODE);
    rome = fixture_identity(&realm, "rome", CONF_ROLE_RELAY);
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
    identity_free(rome);
    identity_free(berlin);
    identity_free(paris);
    return 0;
}

static void open_node(struct stand *stand, const struct identity *identity, unsigned roles)
{
    struct core_settings settings = {.identity = identity,
                                     .roles = roles,
                                     .address = roles & CONF_ROLE_RELAY ? "rome.example:443" : NULL,
                                     .supernodes = {"a.example:443", "b.example:443"},
                                     .supernode_count = 2};

    stand_open(stand, &settings);
}

static void open_hub(struct stand *stand)
{
    struct core_settings settings = {.identity = hub,
                                     .roles = CONF_ROLE_SUPERNODE | CONF_ROLE_RELAY,
                                     .address = "hub.example:443"};

    stand_open(stand, &settings);
    stand_clear(stand);
}

static const uint8_t *node_of(const struct identity *identity)
{
    return identity_certificate(identity)->node;
}

/* ---- what others say --------------------------------------------------------------------------
 */

struct said {
    const uint8_t *node;
    const char *address;
    unsigned load;
};

static void give(struct stand *stand, core_link link, const struct said *said, int count)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Relays relays = SALLYPORT__RELAYS__INIT;
    Sallyport__Relay wire[64], *list[64];

    for (int i = 0; i < count; i++) {
        sallyport__relay__init(&wire[i]);
        wire[i].node.data = (uint8_t *)said[i].node;
        wire[i].node.len = OVERLAY_NODE_ID_BYTES;
        wire[i].address = (char *)said[i].address;
        wire[i].load = said[i].load;
        list[i] = &wire[i];
    }
    relays.relays = list;
    relays.n_relays = (size_t)count;
    envelope.body_case = BODY_RELAYS;
    envelope.relays = &relays;
    stand_give(stand, link, &envelope);
}

static void relay_hello(struct stand *stand, core_link link, const struct identity *peer)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Hello hello = SALLYPORT__HELLO__INIT;

    core_on_link_up(stand->core, link, true, identity_certificate(peer), NULL);
    hello.version = 1;
    hello.relay = true;
    hello.address = (char *)"rome.example:443";
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_HELLO;
    envelope.hello = &hello;
    stand_give(stand, link, &envelope);
}

/* "address load, …" of the last Relays that went to `link`; "-" for none. */
static const char *told(struct stand *stand, core_link link)
{
    static char text[1024];
    Sallyport__Envelope *sent = stand_sent(stand, link, BODY_RELAYS);
    size_t at = 0;

    strcpy(text, sent ? "" : "-");
    for (size_t i = 0; sent && i < sent->relays->n_relays; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%s %u", i ? ", " : "",
                               sent->relays->relays[i]->address, sent->relays->relays[i]->load);
    return text;
}

/* ---- supernode side ---------------------------------------------------------------------------
 */

static void a_relay_is_told_to_clients_and_fellows(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand);
    stand_hello(&stand, FIRST, berlin, false);
    assert_string_equal(told(&stand, FIRST), "hub.example:443 0");
    stand_hello(&stand, SECOND, other, true);
    assert_string_equal(told(&stand, SECOND), "hub.example:443 0");
    stand_clear(&stand);

    relay_hello(&stand, THIRD, rome);
    stand_run(&stand, 3000);
    assert_non_null(strstr(told(&stand, FIRST), "rome.example:443 0"));
    assert_non_null(strstr(told(&stand, FIRST), "hub.example:443 0"));
    assert_non_null(strstr(told(&stand, SECOND), "rome.example:443 0"));
    stand_clear(&stand);

    core_on_link_down(stand.core, THIRD, "gone");
    stand_run(&stand, 3000);
    assert_string_equal(told(&stand, FIRST), "hub.example:443 0");
    assert_string_equal(told(&stand, SECOND), "hub.example:443 0");
    stand_finish(&stand);
}

static void what_a_fellow_says_goes_to_clients_only(void **state)
{
    struct stand stand;
    struct said said[] = {{node_of(rome), "rome.example:443", 30}};

    (void)state;
    open_hub(&stand);
    stand_hello(&stand, FIRST, berlin, false);
    stand_hello(&stand, SECOND, other, true);
    give(&stand, SECOND, said, 1);
    stand_run(&stand, 3000);
    assert_string_equal(told(&stand, FIRST), "hub.example:443 0, rome.example:443 30");
    assert_string_equal(told(&stand, SECOND), "hub.example:443 0");
    stand_finish(&stand);
}

static void a_client_speaks_for_itself_alone(void **state)
{
    struct stand stand;
    struct said other_node[] = {{node_of(paris), "paris.example:443", 0}},
                not_granted[] = {{node_of(berlin), "berlin.example:443", 0}},
                own[] = {{node_of(rome), "rome.example:443", 200}},
                no_address[] = {{node_of(rome), "rome.example", 0}};

    (void)state;
    open_hub(&stand);
    stand_hello(&stand, FIRST, berlin, false);
    stand_hello(&stand, SECOND, rome, false);
    give(&stand, FIRST, not_granted, 1);
    give(&stand, SECOND, other_node, 1);
    give(&stand, SECOND, no_address, 1);
    assert_int_equal(stand.core->malformed, 3);
    stand_run(&stand, 3000);
    assert_string_equal(told(&stand, FIRST), "hub.example:443 0");
    give(&stand, SECOND, own, 1);
    stand_run(&stand, 3000);
    assert_string_equal(told(&stand, FIRST), "hub.example:443 0, rome.example:443 100");
    give(&stand, SECOND, NULL, 0); /* relays no more */
    stand_run(&stand, 3000);
    assert_string_equal(told(&stand, FIRST), "hub.example:443 0");
    stand_finish(&stand);
}

/* Thousands of entries, again and again: nothing grows, and few hear of it. */
static void a_flood_of_news_is_bounded(void **state)
{
    static uint8_t nodes[64][OVERLAY_NODE_ID_BYTES];
    struct stand stand;
    struct said said[64];

    (void)state;
    open_hub(&stand);
    stand_hello(&stand, FIRST, berlin, false);
    stand_hello(&stand, SECOND, other, true);
    stand_clear(&stand);
    for (int i = 0; i < 64; i++) {
        nodes[i][0] = (uint8_t)(i + 1);
        said[i] = (struct said){nodes[i], "far.example:443", 0};
    }
    for (unsigned turn = 0; turn < 200; turn++) {
        said[0].load = turn % 100;
        give(&stand, SECOND, said, 64);
    }
    assert_in_range(stand.core->malformed, 150, 200);
    stand_run(&stand, 1900);
    assert_int_equal(stand_count(&stand, BODY_RELAYS), 1); /* our clients, once */
    assert_int_equal(stand_sent(&stand, FIRST, BODY_RELAYS)->relays->n_relays, RELAYS_TOLD_MAX);
    stand_finish(&stand);
}

/* ---- node side --------------------------------------------------------------------------------
 */

static const char *chosen(struct stand *stand, int max)
{
    static char text[CORE_RELAYS_MAX * (ADDRESS_TEXT_MAX + 2)];
    struct core_relay relays[CORE_RELAYS_MAX];
    int count = core_take_relays(stand->core, relays, max);

    text[0] = '\0';
    for (int i = 0; i < count; i++) {
        strcat(text, i ? ", " : "");
        strcat(text, relays[i].address);
    }
    return text;
}

static void the_nearest_are_chosen(void **state)
{
    static const uint8_t far[OVERLAY_NODE_ID_BYTES] = "far", near[OVERLAY_NODE_ID_BYTES] = "near",
                         new[OVERLAY_NODE_ID_BYTES] = "new";
    struct said said[] = {{node_of(hub), "a.example:443", 0},
                          {new, "new.example:443", 0},
                          {far, "far.example:443", 0},
                          {near, "near.example:443", 0}},
                busy[] = {{node_of(hub), "a.example:443", 90}, {near, "near.example:443", 60}};
    struct stand stand;

    (void)state;
    open_node(&stand, berlin, CONF_ROLE_GATEWAY);
    assert_string_equal(chosen(&stand, 2), "");
    core_on_link_up(stand.core, stand.dialled[0], false, identity_certificate(hub), NULL);
    stand.now_ms += 30; /* the round trip to its home */
    stand_welcome(&stand, stand.dialled[0], hub);
    give(&stand, stand.dialled[0], said, 4);
    core_relay_measured(stand.core, "near.example:443", 9000);
    core_relay_measured(stand.core, "far.example:443", 120000);
    assert_string_equal(chosen(&stand, 4),
                        "near.example:443, a.example:443, far.example:443, new.example:443");
    assert_string_equal(chosen(&stand, 2), "near.example:443, a.example:443");

    give(&stand, stand.dialled[0], busy, 2);
    assert_string_equal(chosen(&stand, 2), "near.example:443, a.example:443");
    busy[1].load = 100;
    busy[0].load = 20;
    give(&stand, stand.dialled[0], busy, 2);
    assert_string_equal(chosen(&stand, 2), "a.example:443, near.example:443");
    core_relay_measured(stand.core, "near.example:443", 0); /* it does not answer any more */
    assert_string_equal(chosen(&stand, 2), "a.example:443, near.example:443");
    stand_finish(&stand);
}

static void two_supernodes_tell_of_the_same_relay(void **state)
{
    struct said said[] = {{node_of(rome), "rome.example:443", 0}};
    struct stand stand;

    (void)state;
    open_node(&stand, berlin, CONF_ROLE_GATEWAY);
    stand_welcome(&stand, stand.dialled[0], hub);
    stand_welcome(&stand, stand.dialled[1], other);
    give(&stand, stand.dialled[0], said, 1);
    give(&stand, stand.dialled[1], said, 1);
    assert_string_equal(chosen(&stand, 4), "rome.example:443");
    core_on_link_down(stand.core, stand.dialled[0], "gone");
    assert_string_equal(chosen(&stand, 4), "rome.example:443");
    core_on_link_down(stand.core, stand.dialled[1], "gone");
    assert_string_equal(chosen(&stand, 4), "");
    stand_finish(&stand);
}

static void a_measurement_is_forgotten(void **state)
{
    static const uint8_t a[OVERLAY_NODE_ID_BYTES] = "a", b[OVERLAY_NODE_ID_BYTES] = "b";
    struct said said[] = {{a, "a.example:1", 0}, {b, "b.example:1", 0}};
    struct stand stand;
    char address[ADDRESS_TEXT_MAX];

    (void)state;
    open_node(&stand, berlin, CONF_ROLE_GATEWAY);
    stand_welcome(&stand, stand.dialled[0], hub);
    give(&stand, stand.dialled[0], said, 2);
    core_relay_measured(stand.core, "b.example:1", 500);
    assert_string_equal(chosen(&stand, 2), "b.example:1, a.example:1");
    for (int i = 0; i < 200; i++) { /* of whomever: the table does not grow */
        snprintf(address, sizeof address, "other%d.example:1", i);
        stand.now_ms++;
        core_relay_measured(stand.core, address, 5);
    }
    core_relay_measured(stand.core, "a.example:1", 900);
    assert_string_equal(chosen(&stand, 2), "a.example:1, b.example:1");
    stand_finish(&stand);
}

static void a_relay_tells_its_load_when_it_has_changed(void **state)
{
    struct stand stand;

    (void)state;
    open_node(&stand, rome, CONF_ROLE_RELAY);
    stand_welcome(&stand, stand.dialled[0], hub);
    Sallyport__Hello *hello =
        stand_sent(&stand, stand.dialled[0], SALLYPORT__ENVELOPE__BODY_HELLO)->hello;
    assert_true(hello->relay);
    assert_string_equal(hello->address, "rome.example:443");
    core_relay_load(stand.core, 4);
    stand_run(&stand, 3000);
    assert_string_equal(told(&stand, stand.dialled[0]), "-");
    core_relay_load(stand.core, 35);
    core_relay_load(stand.core, 47);
    stand_run(&stand, 3000);
    assert_string_equal(told(&stand, stand.dialled[0]), "rome.example:443 47");
    assert_int_equal(stand_count(&stand, BODY_RELAYS), 1);
    stand_welcome(&stand, stand.dialled[1], other);
    assert_string_equal(told(&stand, stand.dialled[1]), "rome.example:443 47");
    stand_finish(&stand);
}

static void a_relay_that_cannot_be_reached_is_told_of_no_more(void **state)
{
    struct stand stand;

    (void)state;
    open_node(&stand, rome, CONF_ROLE_RELAY);
    stand_welcome(&stand, stand.dialled[0], hub);
    core_relay_offer(stand.core, false);
    stand_run(&stand, 3000);
    assert_string_equal(told(&stand, stand.dialled[0]), "");
    stand_welcome(&stand, stand.dialled[1], other);
    assert_false(
        stand_sent(&stand, stand.dialled[1], SALLYPORT__ENVELOPE__BODY_HELLO)->hello->relay);
    core_relay_offer(stand.core, true);
    stand_run(&stand, 3000);
    assert_string_equal(told(&stand, stand.dialled[0]), "rome.example:443 0");
    assert_string_equal(told(&stand, stand.dialled[1]), "rome.example:443 0");
    stand_finish(&stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_relay_is_told_to_clients_and_fellows),
        cmocka_unit_test(what_a_fellow_says_goes_to_clients_only),
        cmocka_unit_test(a_client_speaks_for_itself_alone),
        cmocka_unit_test(a_flood_of_news_is_bounded),
        cmocka_unit_test(the_nearest_are_chosen),
        cmocka_unit_test(two_supernodes_tell_of_the_same_relay),
        cmocka_unit_test(a_measurement_is_forgotten),
        cmocka_unit_test(a_relay_tells_its_load_when_it_has_changed),
        cmocka_unit_test(a_relay_that_cannot_be_reached_is_told_of_no_more),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
