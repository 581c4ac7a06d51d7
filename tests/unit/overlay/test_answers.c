/* What is found for one look-up: the newest record of each node, the longest name. */
#include "overlay/answers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define LIST_MAX ANSWERS_MAX

struct sample {
    char name[OVERLAY_NAME_MAX], text[64];
    uint8_t node[OVERLAY_NODE_ID_BYTES];
    struct directory_answer told;
};

static struct directory_answer *tell(struct sample *sample, int node, const char *name,
                                     uint64_t sequence, bool is_withdrawn)
{
    memset(sample, 0, sizeof *sample);
    sample->node[0] = (uint8_t)node;
    snprintf(sample->name, sizeof sample->name, "%s", name);
    int length = snprintf(sample->text, sizeof sample->text, "%d %s %llu", node, name,
                          (unsigned long long)sequence);
    sample->told = (struct directory_answer){
        .record = {(size_t)length, (uint8_t *)sample->text},
        .signature = {1, (uint8_t *)sample->text},
        .name = sample->name,
        .node = sample->node,
        .sequence = sequence,
        .is_withdrawn = is_withdrawn,
    };
    return &sample->told;
}

static void put(struct answers *answers, int node, const char *name, uint64_t sequence,
                bool is_withdrawn)
{
    struct sample sample;

    answers_put(answers, tell(&sample, node, name, sequence, is_withdrawn));
    memset(&sample, 0xff, sizeof sample); /* what is kept is a copy */
}

static void expect(const struct answers *answers, int count, const char *first)
{
    const Sallyport__SignedRecord *list[LIST_MAX];

    assert_int_equal(answers_choose(answers, list, LIST_MAX), count);
    if (count > 0) {
        assert_int_equal(list[0]->record.len, strlen(first));
        assert_memory_equal(list[0]->record.data, first, strlen(first));
    }
}

static void the_newest_of_a_node_counts(void **state)
{
    struct answers answers = {.count = 0};

    (void)state;
    expect(&answers, 0, NULL);
    put(&answers, 1, "site", 5, false);
    put(&answers, 1, "site", 4, false);
    expect(&answers, 1, "1 site 5");
    put(&answers, 1, "site", 6, false);
    expect(&answers, 1, "1 site 6");
    put(&answers, 2, "site", 1, false);
    expect(&answers, 2, "1 site 6");
    answers_fini(&answers);
}

static void a_withdrawn_one_hides_older_ones(void **state)
{
    struct answers answers = {.count = 0};

    (void)state;
    put(&answers, 1, "site", 7, true);
    put(&answers, 1, "site", 6, false);
    expect(&answers, 0, NULL);
    put(&answers, 1, "site", 8, false);
    expect(&answers, 1, "1 site 8");
    answers_fini(&answers);
}

static void the_longest_name_counts_of_which_somebody_is_there(void **state)
{
    struct answers answers = {.count = 0};

    (void)state;
    put(&answers, 1, "+49", 1, false);
    put(&answers, 2, "+4930", 1, false);
    expect(&answers, 1, "2 +4930 1");
    put(&answers, 3, "+49301", 1, true);
    expect(&answers, 1, "2 +4930 1");
    put(&answers, 2, "+4930", 2, true);
    expect(&answers, 1, "1 +49 1");
    answers_fini(&answers);
}

static void when_all_places_are_taken_shorter_names_go(void **state)
{
    struct answers answers = {.count = 0};

    (void)state;
    for (int i = 0; i < ANSWERS_MAX; i++)
        put(&answers, i, "+49", 1, false);
    put(&answers, 100, "+49", 1, false); /* as good as those that are here */
    expect(&answers, ANSWERS_MAX, "0 +49 1");
    put(&answers, 101, "+4930", 1, false);
    expect(&answers, 1, "101 +4930 1");
    assert_int_equal(answers.count, ANSWERS_MAX);
    answers_fini(&answers);
}

static void the_very_same_record_is_known(void **state)
{
    struct answers answers = {.count = 0};
    Sallyport__SignedRecord wire = SALLYPORT__SIGNED_RECORD__INIT;
    struct sample sample;

    (void)state;
    put(&answers, 1, "site", 5, false);
    tell(&sample, 1, "site", 5, false);
    wire.record = sample.told.record;
    wire.signature = sample.told.signature;
    assert_true(answers_hold(&answers, &wire));
    sample.text[0] = '2'; /* another record, and signature */
    assert_false(answers_hold(&answers, &wire));
    wire.record.len = 0;
    assert_false(answers_hold(&answers, &wire));
    answers_fini(&answers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_of_a_node_counts),
        cmocka_unit_test(a_withdrawn_one_hides_older_ones),
        cmocka_unit_test(the_longest_name_counts_of_which_somebody_is_there),
        cmocka_unit_test(when_all_places_are_taken_shorter_names_go),
        cmocka_unit_test(the_very_same_record_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
