/* The ring of supernodes, who holds which names, and the table of what they say. */
#include "tests/unit/overlay/supernode_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define RING_MAX 1000
#define KEYS 10000

/* ---- the ring ---------------------------------------------------------------------------------
 */

/* A core that knows of so many members by chance, `self` one of them; nothing else works in it. */
struct ring {
    struct core core;
    struct members members;
    struct certificate self;
    struct member member[RING_MAX];
    struct member *live[RING_MAX];
};

static int compare_members(const void *left, const void *right)
{
    return memcmp((*(struct member *const *)left)->node, (*(struct member *const *)right)->node,
                  OVERLAY_NODE_ID_BYTES);
}

static void ring_sort(struct ring *ring)
{
    qsort(ring->live, (size_t)ring->members.live_count, sizeof ring->live[0], compare_members);
}

static void ring_add_node(struct ring *ring, const uint8_t node[OVERLAY_NODE_ID_BYTES])
{
    struct member *member = &ring->member[ring->members.live_count];

    *member = (struct member){.sequence = 1};
    memcpy(member->node, node, OVERLAY_NODE_ID_BYTES);
    member->hash = members_hash(node, OVERLAY_NODE_ID_BYTES);
    ring->live[ring->members.live_count++] = member;
}

static struct ring *ring_new(int count)
{
    struct ring *ring = calloc(1, sizeof *ring);
    uint8_t node[OVERLAY_NODE_ID_BYTES];
    uint64_t dice = 7;

    ring->core.members = &ring->members;
    ring->core.self = &ring->self;
    ring->members.live = ring->live;
    for (int i = 0; i < count; i++) {
        for (size_t k = 0; k < sizeof node; k++) {
            dice = dice * 6364136223846793005u + 1442695040888963407u;
            node[k] = (uint8_t)(dice >> 56);
        }
        ring_add_node(ring, node);
    }
    ring_sort(ring);
    if (count > 0) {
        memcpy(ring->self.node, ring->live[count / 2]->node, OVERLAY_NODE_ID_BYTES);
        ring->live[count / 2]->is_self = true;
    }
    return ring;
}

static void links_go_to_the_next_and_across(void **state)
{
    static const struct {
        int members;
        int distances[RING_LINKS_MAX]; /* ends with 0 */
    } cases[] = {
        {1, {0}},
        {2, {1}},
        {3, {1, 2}},
        {4, {1, 2, 3}},
        {5, {1, 2, 3, 4}},
        {8, {1, 2, 3, 4}},
        {9, {1, 2, 3, 4, 8}},
        {100, {1, 2, 3, 4, 8, 16, 32, 64}},
        {1000, {1, 2, 3, 4, 8, 16, 32, 64, 128, 256, 512}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ring *ring = ring_new(cases[i].members);
        struct member *links[RING_LINKS_MAX];
        int count = members_ring(&ring->core, links), expected = 0;
        while (cases[i].distances[expected])
            expected++;
        assert_int_equal(count, expected);
        for (int k = 0; k < count; k++) {
            int place = (cases[i].members / 2 + cases[i].distances[k]) % cases[i].members;
            assert_ptr_equal(links[k], ring->live[place]);
            assert_ptr_equal(members_next(&ring->core, cases[i].distances[k]), links[k]);
        }
        assert_null(members_next(&ring->core, cases[i].members));
        free(ring);
    }
}

/* ---- ranking ----------------------------------------------------------------------------------
 */

/* As the protocol document says, computed by another program. */
static void the_ranking_is_that_of_the_document(void **state)
{
    static const struct {
        const char *key;
        int holders[HOLDERS]; /* node n has the id n n n … */
    } cases[] = {{"berlin", {6, 8, 7}}, {"paris", {3, 7, 10}}, {"+493", {1, 6, 7}}};
    struct ring *ring = ring_new(0);
    struct member *holders[HOLDERS];
    uint8_t node[OVERLAY_NODE_ID_BYTES];

    (void)state;
    for (int i = 1; i <= 10; i++) {
        memset(node, i, sizeof node);
        ring_add_node(ring, node);
    }
    assert_true(members_hash("berlin", 6) == 0x306afafce312d611);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t key = members_hash(cases[i].key, strlen(cases[i].key));
        assert_int_equal(members_rank(&ring->core, key, holders), HOLDERS);
        for (int h = 0; h < HOLDERS; h++)
            assert_int_equal(holders[h]->node[0], cases[i].holders[h]);
    }
    free(ring);
}

/* Whoever asks and in whatever order it learnt of them: the same three, the same first. */
static void all_members_agree(void **state)
{
    struct ring *one = ring_new(50), *two = ring_new(50);
    struct member *left[HOLDERS], *right[HOLDERS];

    (void)state;
    memcpy(two->self.node, two->live[3]->node, OVERLAY_NODE_ID_BYTES);
    for (int i = 0; i < 25; i++) { /* another order */
        struct member *held = two->live[i];
        two->live[i] = two->live[49 - i];
        two->live[49 - i] = held;
    }
    for (unsigned key = 0; key < 1000; key++) {
        uint64_t hash = members_hash(&key, sizeof key);
        assert_int_equal(members_rank(&one->core, hash, left), HOLDERS);
        assert_int_equal(members_rank(&two->core, hash, right), HOLDERS);
        for (int h = 0; h < HOLDERS; h++)
            assert_memory_equal(left[h]->node, right[h]->node, OVERLAY_NODE_ID_BYTES);
    }
    free(one);
    free(two);
}

static void shares_are_even(void **state)
{
    struct ring *ring = ring_new(100);
    struct member *holders[HOLDERS];
    unsigned share[100] = {0};

    (void)state;
    for (unsigned key = 0; key < KEYS; key++) {
        assert_int_equal(members_rank(&ring->core, members_hash(&key, sizeof key), holders), 3);
        for (int h = 0; h < HOLDERS; h++)
            share[holders[h] - ring->member]++;
    }
    for (int i = 0; i < 100; i++) /* 300 on average */
        assert_in_range(share[i], 225, 375);
    free(ring);
}

/* One member goes: what it held moves to one other each, nothing else moves; when it comes back,
 * all is as before. */
static void few_names_move_when_a_member_goes(void **state)
{
    struct ring *before = ring_new(60), *after = ring_new(60);
    struct member *old[HOLDERS], *new[HOLDERS], *gone = before->live[17];
    unsigned moved = 0;

    (void)state;
    memmove(&after->live[17], &after->live[18], 42 * sizeof after->live[0]);
    after->members.live_count--;
    for (unsigned key = 0; key < KEYS; key++) {
        uint64_t hash = members_hash(&key, sizeof key);
        int kept = 0;
        members_rank(&before->core, hash, old);
        members_rank(&after->core, hash, new);
        for (int h = 0; h < HOLDERS; h++) {
            if (old[h] == gone)
                continue; /* those behind it move up, in the same order */
            assert_memory_equal(new[kept]->node, old[h]->node, OVERLAY_NODE_ID_BYTES);
            kept++;
        }
        moved += kept < HOLDERS;
    }
    assert_in_range(moved, KEYS * 3 / 60 * 3 / 4, KEYS * 3 / 60 * 5 / 4);
    free(before);
    free(after);
}

static void who_leaves_holds_nothing_unless_all_leave(void **state)
{
    struct ring *ring = ring_new(6);
    struct member *holders[HOLDERS];

    (void)state;
    for (int i = 0; i < 4; i++)
        ring->live[i]->is_leaving = true;
    for (unsigned key = 0; key < 100; key++) {
        assert_int_equal(members_rank(&ring->core, members_hash(&key, sizeof key), holders), 2);
        assert_false(holders[0]->is_leaving || holders[1]->is_leaving);
    }
    ring->live[4]->is_leaving = ring->live[5]->is_leaving = true;
    assert_int_equal(members_rank(&ring->core, 1, holders), 3);
    ring->members.live_count = 0;
    assert_int_equal(members_rank(&ring->core, 1, holders), 0);
    free(ring);
}

/* ---- keys -------------------------------------------------------------------------------------
 */

static void keys_are_beginnings(void **state)
{
    static const struct {
        const char *asked;
        const char *keys[KEYS_MAX]; /* the last is that of a record of this name */
    } cases[] = {
        {"berlin", {"berlin"}},
        {"a", {"a"}},
        {"+4", {"+4"}},
        {"+49", {"+4"}},
        {"+493", {"+4", "+493"}},
        {"+4930", {"+4", "+493"}},
        {"+49301", {"+4", "+493", "+49301"}},
        {"+4930123", {"+4", "+493", "+49301", "+4930123"}},
        {"+4930123456789", {"+4", "+493", "+49301", "+4930123"}},
    };
    uint64_t keys[KEYS_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int count = members_keys(cases[i].asked, keys), expected = 0;
        for (; expected < KEYS_MAX && cases[i].keys[expected]; expected++)
            assert_true(keys[expected] ==
                        members_hash(cases[i].keys[expected], strlen(cases[i].keys[expected])));
        assert_int_equal(count, expected);
        assert_true(members_key(cases[i].asked) == keys[count - 1]);
    }
}

/* Whatever beginning of a number is published: its key is among those that are asked. */
static void each_beginning_of_a_number_is_found(void **state)
{
    static const char number[] = "+4930123456789";
    uint64_t keys[KEYS_MAX];
    char name[sizeof number];

    (void)state;
    int count = members_keys(number, keys);
    for (size_t length = 2; length < sizeof number; length++) {
        bool is_asked = false;
        snprintf(name, sizeof name, "%.*s", (int)length, number);
        for (int i = 0; i < count; i++)
            is_asked |= keys[i] == members_key(name);
        assert_true(is_asked);
    }
}

/* ---- the table --------------------------------------------------------------------------------
 */

static struct realm realm;
static struct identity *hub, *all[8], *berlin;

static int setup(void **state)
{
    (void)state;
    log_set_level(LOG_OVERLAY, LOG_ERROR);
    fixture_realm(&realm);
    hub = fixture_identity(&realm, "hub", CONF_ROLE_SUPERNODE | CONF_ROLE_GATEWAY);
    berlin = fixture_identity(&realm, "berlin", CONF_ROLE_GATEWAY);
    fixture_supernodes(&realm, all, 8);
    fixture_ring(all, 8, hub);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++)
        identity_free(all[i]);
    identity_free(hub);
    identity_free(berlin);
    realm_fini(&realm);
    return 0;
}

static void open_hub(struct stand *stand)
{
    struct core_settings settings = {
        .identity = hub, .roles = CONF_ROLE_SUPERNODE, .address = "hub.example:443", .seats = 100};

    stand_open(stand, &settings);
    stand_clear(stand);
}

static int take(struct stand *stand, const struct identity *signer,
                const struct statement *statement, char why[96])
{
    Sallyport__SignedMember wire;

    statement_sign(signer, statement, &wire);
    int result = members_take(stand->core, &wire, why, 96);
    statement_signed_fini(&wire);
    return result;
}

static int take_one(struct stand *stand, const struct identity *signer, uint64_t sequence)
{
    struct statement statement = fixture_statement(signer, sequence);
    char why[96];

    return take(stand, signer, &statement, why);
}

static int accuse(struct stand *stand, const struct identity *accuser, const struct identity *whom,
                  uint64_t sequence)
{
    struct accusation accusation = {.sequence = sequence};

    memcpy(accusation.node, identity_certificate(whom)->node, sizeof accusation.node);
    accusation_sign(accuser, &accusation);
    return members_accuse(stand->core, &accusation);
}

static void the_highest_sequence_counts(void **state)
{
    struct stand stand;
    struct statement statement = fixture_statement(all[0], 5);
    char why[96];

    (void)state;
    open_hub(&stand);
    assert_int_equal(take(&stand, all[0], &statement, why), 1);
    assert_int_equal(stand.core->members->live_count, 2);
    assert_int_equal(take(&stand, all[0], &statement, why), 0); /* the same again */
    statement.clients = 9;
    assert_int_equal(take(&stand, all[0], &statement, why), 0); /* other words, same number */
    statement.sequence = 4;
    assert_int_equal(take(&stand, all[0], &statement, why), 0);
    assert_int_equal(stand_member(&stand, all[0])->clients, 0);
    statement.sequence = 6;
    assert_int_equal(take(&stand, all[0], &statement, why), 1);
    assert_int_equal(stand_member(&stand, all[0])->clients, 9);
    assert_int_equal(stand.core->members->live_count, 2);
    statement.sequence = UINT64_MAX;
    assert_int_equal(take(&stand, all[0], &statement, why), -EACCES);
    assert_int_equal(take(&stand, berlin, &statement, why), -EACCES);
    assert_null(stand_member(&stand, berlin));
    stand_finish(&stand);
}

static void who_is_accused_stands_in_the_ring_no_more_until_it_speaks(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand);
    take_one(&stand, all[0], 5);
    take_one(&stand, all[1], 5);
    assert_int_equal(accuse(&stand, all[1], all[0], 4), 0); /* of the past */
    assert_int_equal(accuse(&stand, all[2], all[0], 5), 0); /* by nobody known */
    assert_int_equal(accuse(&stand, all[1], all[2], 5), 0); /* of nobody known */
    assert_true(stand_lives(&stand, all[0]));
    assert_int_equal(accuse(&stand, all[1], all[0], 5), 1);
    assert_false(stand_lives(&stand, all[0]));
    assert_int_equal(stand.core->members->live_count, 2);
    assert_int_equal(accuse(&stand, all[1], all[0], 5), 0); /* known */
    assert_int_equal(take_one(&stand, all[0], 5), 0);       /* what it said before does not count */
    assert_false(stand_lives(&stand, all[0]));
    assert_int_equal(take_one(&stand, all[0], 6), 1);
    assert_true(stand_lives(&stand, all[0]));
    assert_int_equal(accuse(&stand, all[1], all[0], 5), 0); /* replayed */
    assert_true(stand_lives(&stand, all[0]));
    stand_finish(&stand);
}

static void forged_accusations_are_noticed(void **state)
{
    struct stand stand;
    struct accusation accusation = {.sequence = 5};

    (void)state;
    open_hub(&stand);
    take_one(&stand, all[0], 5);
    take_one(&stand, all[1], 5);
    memcpy(accusation.node, identity_certificate(all[0])->node, sizeof accusation.node);
    accusation_sign(all[2], &accusation);
    memcpy(accusation.accuser, identity_certificate(all[1])->node, sizeof accusation.accuser);
    assert_int_equal(members_accuse(stand.core, &accusation), -EACCES);
    /* Of all that it will ever say: it could be told again and again. */
    assert_int_equal(accuse(&stand, all[1], all[0], UINT64_MAX), -EACCES);
    assert_true(stand_lives(&stand, all[0]));
    stand_finish(&stand);
}

static void a_goodbye_is_an_accusation_of_oneself(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand);
    take_one(&stand, all[0], 5);
    assert_int_equal(accuse(&stand, all[0], all[0], 5), 1);
    assert_false(stand_lives(&stand, all[0]));
    stand_finish(&stand);
}

/* Each of its accusations is refuted at once: it may make so many. */
static void who_lies_too_often_is_ignored(void **state)
{
    struct stand stand;
    uint64_t sequence = 5;
    int believed = 0;

    (void)state;
    open_hub(&stand);
    for (int i = 0; i < 8; i++)
        take_one(&stand, all[i], sequence);
    for (int second = 0; second < 40; second++) {
        for (int i = 1; i < 8; i++) {
            believed += accuse(&stand, all[0], all[i], sequence);
            take_one(&stand, all[i], sequence + 1);
            assert_true(stand_lives(&stand, all[i]));
        }
        sequence++;
        stand_run(&stand, 1000);
    }
    assert_in_range(believed, 90, 150);       /* of 280 */
    accuse(&stand, all[0], all[1], sequence); /* perhaps the one of this second */
    take_one(&stand, all[1], sequence + 1);
    assert_int_equal(accuse(&stand, all[0], all[2], sequence), 0);
    assert_int_equal(accuse(&stand, all[1], all[2], sequence), 1); /* others are believed */
    stand_finish(&stand);
}

/* One that comes back after it was gone was not accused in vain: the next time it is accused as
 * soon as the first time. */
static void a_true_accusation_counts_for_the_accuser(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand);
    take_one(&stand, all[0], 5);
    gossip_accuse(stand.core, stand_member(&stand, all[0]));
    assert_false(stand_lives(&stand, all[0]));
    take_one(&stand, all[0], 6);
    assert_int_equal(stand_member(&stand, all[0])->wrongly, 1);
    stand_run(&stand, 20000);
    gossip_accuse(stand.core, stand_member(&stand, all[0]));
    stand_run(&stand, 20000);
    take_one(&stand, all[0], 7);
    assert_int_equal(stand_member(&stand, all[0])->wrongly, 0);
    stand_finish(&stand);
}

static void one_member_may_not_say_too_much(void **state)
{
    struct stand stand;
    struct statement statement = fixture_statement(all[0], 5);
    int taken = 0, refused = 0;
    char why[96];

    (void)state;
    open_hub(&stand);
    for (int i = 0; i < 1000; i++) {
        statement.sequence++;
        statement.instance++; /* as if all that it holds were forgotten */
        int result = take(&stand, all[0], &statement, why);
        taken += result == 1;
        refused += result == -EBUSY;
    }
    assert_in_range(taken, 100, 300);
    assert_int_equal(taken + refused, 1000);
    assert_true(strstr(why, "says too much") != NULL);
    assert_int_equal(take_one(&stand, all[1], 5), 1); /* that is nothing to the others */
    stand_run(&stand, 2000);
    statement.sequence++;
    assert_int_equal(take(&stand, all[0], &statement, why), 1);
    assert_int_equal(HASH_COUNT(stand.core->members->table), 3);
    stand_finish(&stand);
}

static void statements_expire(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand);
    take_one(&stand, all[0], 5);
    stand_run(&stand, 599000);
    members_expire(stand.core);
    assert_non_null(stand_member(&stand, all[0]));
    stand_run(&stand, 2000);
    members_expire(stand.core);
    assert_null(stand_member(&stand, all[0]));
    assert_int_equal(stand.core->members->live_count, 1);
    stand_finish(&stand);
}

/* Of an earlier life of the same node, whose clock was ahead, it hears from others: it goes on
 * above that. */
static void an_earlier_life_is_overtaken(void **state)
{
    struct stand stand;

    (void)state;
    open_hub(&stand);
    uint64_t before = stand.core->members->self->sequence;
    struct statement statement = fixture_statement(hub, before + 1000000);
    char why[96];
    assert_int_equal(take(&stand, hub, &statement, why), 0);
    stand_run(&stand, 6000);
    assert_true(stand.core->members->self->sequence > before + 1000000);
    assert_true(stand.core->members->self->instance == stand.core->members->instance);
    /* What it has published meanwhile counts, too. */
    stand.core->sequence = before + 9000000;
    statement.sequence = before + 8000000;
    assert_int_equal(take(&stand, hub, &statement, why), 0);
    assert_true(stand.core->sequence >= before + 9000000);
    stand_finish(&stand);
}

static void the_table_is_bounded(void **state)
{
    struct stand stand;
    struct member *fake[MEMBERS_MAX];
    struct statement statement = fixture_statement(all[0], 5);
    char why[96];

    (void)state;
    open_hub(&stand);
    for (int i = 1; i < MEMBERS_MAX; i++) { /* as if they had said so */
        fake[i] = core_alloc(sizeof *fake[i]);
        memcpy(fake[i]->node, &i, sizeof i);
        fake[i]->until_ms = stand.now_ms + 100000;
        fake[i]->is_down = true;
        HASH_ADD(hh, stand.core->members->table, node, OVERLAY_NODE_ID_BYTES, fake[i]);
    }
    assert_int_equal(take(&stand, all[0], &statement, why), -ENOSPC);
    assert_string_equal(why, "there are too many supernodes");
    assert_int_equal(HASH_COUNT(stand.core->members->table), MEMBERS_MAX);
    stand.now_ms += 100000; /* what is out of date makes room */
    assert_int_equal(take(&stand, all[0], &statement, why), 1);
    assert_int_equal(HASH_COUNT(stand.core->members->table), 2);
    stand_finish(&stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(links_go_to_the_next_and_across),
        cmocka_unit_test(the_ranking_is_that_of_the_document),
        cmocka_unit_test(all_members_agree),
        cmocka_unit_test(shares_are_even),
        cmocka_unit_test(few_names_move_when_a_member_goes),
        cmocka_unit_test(who_leaves_holds_nothing_unless_all_leave),
        cmocka_unit_test(keys_are_beginnings),
        cmocka_unit_test(each_beginning_of_a_number_is_found),
        cmocka_unit_test(the_highest_sequence_counts),
        cmocka_unit_test(who_is_accused_stands_in_the_ring_no_more_until_it_speaks),
        cmocka_unit_test(forged_accusations_are_noticed),
        cmocka_unit_test(a_goodbye_is_an_accusation_of_oneself),
        cmocka_unit_test(who_lies_too_often_is_ignored),
        cmocka_unit_test(a_true_accusation_counts_for_the_accuser),
        cmocka_unit_test(one_member_may_not_say_too_much),
        cmocka_unit_test(statements_expire),
        cmocka_unit_test(an_earlier_life_is_overtaken),
        cmocka_unit_test(the_table_is_bounded),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
