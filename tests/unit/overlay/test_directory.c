/* The directory of a supernode: sequences, withdrawal, expiry, prefixes, bounds. */
#include "overlay/directory.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW_S 1000000

static int64_t certificate_ends_s = NOW_S + 1000;

/* Puts a record of node number `node`; the bytes are the sequence as text. */
static int put(struct directory *directory, const char *name, int node, uint64_t sequence,
               bool is_withdrawn)
{
    struct record *record = calloc(1, sizeof *record);
    Sallyport__SignedRecord wire = SALLYPORT__SIGNED_RECORD__INIT;
    uint8_t signature[IDENTITY_SIGNATURE_BYTES] = {0};
    char text[32];
    uint64_t held;

    strcpy(record->name, name);
    memcpy(record->certificate.node, &node, sizeof node);
    record->sequence = sequence;
    record->issued_s = NOW_S;
    record->lifetime_s = 100;
    record->certificate.not_after_s = certificate_ends_s;
    record->is_withdrawn = is_withdrawn;
    snprintf(text, sizeof text, "%llu", (unsigned long long)sequence);
    wire.record.data = (uint8_t *)text;
    wire.record.len = strlen(text);
    wire.signature.data = signature;
    wire.signature.len = sizeof signature;
    int error = directory_put(directory, record, &wire, &held);
    if (error == -ESTALE)
        assert_true(held > sequence);
    free(record);
    return error;
}

static void the_highest_sequence_wins(void **state)
{
    struct directory *directory = directory_new();
    struct directory_answer answers[DIRECTORY_ANSWERS_MAX];

    (void)state;
    assert_int_equal(put(directory, "berlin", 1, 5, false), 0);
    assert_int_equal(put(directory, "berlin", 1, 5, false), -EALREADY);
    assert_int_equal(put(directory, "berlin", 1, 4, false), -ESTALE);
    assert_int_equal(put(directory, "berlin", 1, 60, false), 0);
    assert_int_equal(put(directory, "berlin", 2, 3, false), 0); /* another node's own count */
    assert_int_equal(directory_count(directory), 2);
    assert_int_equal(directory_find(directory, "berlin", NOW_S, answers), 2);
    for (int i = 0; i < 2; i++)
        if (answers[i].sequence == 60)
            assert_memory_equal(answers[i].record.data, "60", 2);
    directory_free(directory);
}

static void what_is_withdrawn_does_not_come_back(void **state)
{
    struct directory *directory = directory_new();
    struct directory_answer answers[DIRECTORY_ANSWERS_MAX];

    (void)state;
    assert_int_equal(put(directory, "berlin", 1, 5, false), 0);
    assert_false(directory_was_served(directory, "paris"));
    assert_int_equal(put(directory, "berlin", 1, 6, true), 0);
    assert_true(directory_was_served(directory, "berlin"));
    assert_int_equal(directory_count(directory), 0);
    assert_int_equal(directory_find(directory, "berlin", NOW_S, answers), 0);
    assert_int_equal(put(directory, "berlin", 1, 5, false), -ESTALE);
    assert_int_equal(put(directory, "berlin", 1, 7, false), 0);
    assert_int_equal(directory_find(directory, "berlin", NOW_S, answers), 1);
    assert_int_equal(directory_count(directory), 1);
    directory_free(directory);
}

static void records_expire(void **state)
{
    struct directory *directory = directory_new();
    struct directory_answer answers[DIRECTORY_ANSWERS_MAX];

    (void)state;
    assert_int_equal(put(directory, "berlin", 1, 5, false), 0);
    assert_int_equal(directory_find(directory, "berlin", NOW_S + 99, answers), 1);
    assert_int_equal(directory_find(directory, "berlin", NOW_S + 100, answers), 0);
    assert_int_equal(directory_count(directory), 1);
    directory_expire(directory, NOW_S + 100);
    assert_int_equal(directory_count(directory), 0);
    directory_free(directory);
}

/* Who asks would refuse it, and so it must not hide a shorter name of another node. */
static void a_record_ends_with_its_certificate(void **state)
{
    struct directory *directory = directory_new();
    struct directory_answer answers[DIRECTORY_ANSWERS_MAX];

    (void)state;
    assert_int_equal(put(directory, "+49", 1, 5, false), 0);
    certificate_ends_s = NOW_S + 50;
    assert_int_equal(put(directory, "+4930", 2, 6, false), 0);
    certificate_ends_s = NOW_S + 1000;
    assert_int_equal(directory_find(directory, "+493012", NOW_S + 49, answers), 1);
    assert_int_equal(answers[0].sequence, 6);
    assert_int_equal(directory_find(directory, "+493012", NOW_S + 50, answers), 1);
    assert_int_equal(answers[0].sequence, 5);
    directory_free(directory);
}

static void the_longest_prefix_answers(void **state)
{
    static const struct {
        const char *asked;
        uint64_t sequence; /* of the answer; 0: none */
    } cases[] = {
        {"+4930123456", 3}, {"+493012", 2}, {"+4930", 2}, {"+4940", 1},
        {"+49", 1},         {"+4", 0},      {"+33", 0},   {"berlin", 0},
    };
    struct directory *directory = directory_new();
    struct directory_answer answers[DIRECTORY_ANSWERS_MAX];

    (void)state;
    put(directory, "+49", 1, 1, false);
    put(directory, "+4930", 1, 2, false);
    put(directory, "+4930123", 1, 3, false);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int count = directory_find(directory, cases[i].asked, NOW_S, answers);
        assert_int_equal(count, cases[i].sequence ? 1 : 0);
        if (count)
            assert_int_equal(answers[0].sequence, cases[i].sequence);
    }
    /* One that was withdrawn leaves the field to the shorter one. */
    put(directory, "+4930123", 1, 4, true);
    assert_int_equal(directory_find(directory, "+4930123456", NOW_S, answers), 1);
    assert_int_equal(answers[0].sequence, 2);
    assert_true(directory_was_served(directory, "+4930123456"));
    assert_false(directory_was_served(directory, "+5"));
    directory_free(directory);
}

static void a_node_may_have_so_many(void **state)
{
    struct directory *directory = directory_new();
    struct directory_answer answers[DIRECTORY_ANSWERS_MAX];
    char name[32];

    (void)state;
    for (int i = 0; i < DIRECTORY_NODE_RECORDS_MAX; i++) {
        snprintf(name, sizeof name, "site%d", i);
        assert_int_equal(put(directory, name, 1, 1, false), 0);
    }
    assert_int_equal(put(directory, "more", 1, 1, false), -ENOSPC);
    assert_int_equal(put(directory, "site0", 1, 2, false), 0); /* a newer one is no more */
    assert_int_equal(put(directory, "more", 2, 1, false), 0);
    for (int node = 10; node < 50; node++)
        assert_int_equal(put(directory, "crowd", node, 1, false), 0);
    assert_int_equal(directory_find(directory, "crowd", NOW_S, answers), DIRECTORY_ANSWERS_MAX);
    directory_free(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_highest_sequence_wins),
        cmocka_unit_test(what_is_withdrawn_does_not_come_back),
        cmocka_unit_test(records_expire),
        cmocka_unit_test(a_record_ends_with_its_certificate),
        cmocka_unit_test(the_longest_prefix_answers),
        cmocka_unit_test(a_node_may_have_so_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
