/* The journal of a call: what it keeps, and in which form. */
#include "gateway/journal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct journal journal;

static int setup(void **state)
{
    (void)state;
    journal = (struct journal){.count = 0};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    journal_fini(&journal);
    return 0;
}

static void fill(unsigned count)
{
    char text[16];

    for (unsigned i = 0; i < count; i++) {
        snprintf(text, sizeof text, "line %u", i);
        journal_add(&journal, i, JOURNAL_PATH, "step", text);
    }
}

static const struct journal_entry *entry_at(unsigned index)
{
    const struct journal_entry *entry = TAILQ_FIRST(&journal.entries);

    while (index-- > 0)
        entry = TAILQ_NEXT(entry, next);
    return entry;
}

static void lines_stay_in_their_order(void **state)
{
    (void)state;
    journal_add(&journal, 0, JOURNAL_SIP, "invite", "201 calls");
    journal_add(&journal, 12, JOURNAL_ROUTE, "matched", "paris");
    journal_add(&journal, 5, JOURNAL_MEDIA, "heard", "told late");
    assert_int_equal(journal.count, 3);
    assert_int_equal(entry_at(0)->part, JOURNAL_SIP);
    assert_string_equal(entry_at(0)->event, "invite");
    assert_string_equal(entry_at(1)->text, "paris");
    assert_int_equal(entry_at(2)->at_ms, 12); /* time never goes back */
}

static void the_beginning_and_the_end_stay(void **state)
{
    (void)state;
    fill(JOURNAL_HEAD + JOURNAL_TAIL);
    assert_int_equal(journal.left_out, 0);
    journal_add(&journal, 1000, JOURNAL_CALL, "ended", "one more");
    fill(50);
    assert_int_equal(journal.count, JOURNAL_HEAD + JOURNAL_TAIL);
    assert_int_equal(journal.left_out, 51);
    assert_string_equal(entry_at(0)->text, "line 0");
    assert_string_equal(entry_at(JOURNAL_HEAD - 1)->text, "line 99");
    assert_ptr_equal(journal.hinge, entry_at(JOURNAL_HEAD - 1));
    assert_string_equal(entry_at(JOURNAL_HEAD)->text, "line 151");
    assert_string_equal(entry_at(JOURNAL_HEAD + JOURNAL_TAIL - 1)->text, "line 49");
}

static void a_long_call_costs_no_more(void **state)
{
    (void)state;
    fill(100000);
    assert_int_equal(journal.count, JOURNAL_HEAD + JOURNAL_TAIL);
    assert_int_equal(journal.left_out, 100000 - JOURNAL_HEAD - JOURNAL_TAIL);
}

static void it_can_be_handed_over(void **state)
{
    struct journal kept;

    (void)state;
    fill(300);
    journal_move(&kept, &journal);
    assert_int_equal(journal.count, 0);
    assert_null(TAILQ_FIRST(&journal.entries));
    assert_int_equal(kept.count, 200);
    assert_int_equal(kept.left_out, 100);
    journal_add(&kept, 300, JOURNAL_CALL, "ended", "the last one");
    assert_int_equal(kept.left_out, 101);
    journal_fini(&kept);
    journal_move(&kept, &journal); /* an empty one too */
    journal_add(&kept, 0, JOURNAL_CALL, "began", "anew");
    assert_int_equal(kept.count, 1);
    journal_fini(&kept);
}

static void only_printable_text_is_kept(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"plain, \"quoted\"", "plain, \"quoted\""},
        {"a\r\nb\x1b[31mc\x7f", "a??b?[31mc?"},
        {"Jos\xc3\xa9 \xe2\x82\xac \xf0\x9f\x93\x9e", "Jos\xc3\xa9 \xe2\x82\xac \xf0\x9f\x93\x9e"},
        {"latin-1 \xe9", "latin-1 ?"},
        {"overlong \xc0\xaf", "overlong ??"},
        {"surrogate \xed\xa0\x80", "surrogate ???"},
        {"C1 \xc2\x9b", "C1 ??"},
        {"cut off \xe2\x82", "cut off ??"},
        {"beyond \xf4\x90\x80\x80", "beyond ????"},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        journal_add(&journal, 0, JOURNAL_SIP, "text", cases[i].in);
        assert_string_equal(entry_at(i)->text, cases[i].out);
    }
}

static void what_is_too_long_is_cut_off(void **state)
{
    char text[4 * JOURNAL_TEXT_MAX];

    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    journal_add(&journal, 0, JOURNAL_SIP, "a word of more than fifteen", text);
    assert_int_equal(strlen(entry_at(0)->text), JOURNAL_TEXT_MAX - 1);
    assert_int_equal(strlen(entry_at(0)->event), 14);
    memcpy(text + JOURNAL_TEXT_MAX - 2, "\xe2\x82\xac", 3); /* not in its middle */
    journal_add(&journal, 0, JOURNAL_SIP, "text", text);
    assert_int_equal(strlen(entry_at(1)->text), JOURNAL_TEXT_MAX - 2);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(lines_stay_in_their_order),   TEST(the_beginning_and_the_end_stay),
        TEST(a_long_call_costs_no_more),   TEST(it_can_be_handed_over),
        TEST(only_printable_text_is_kept), TEST(what_is_too_long_is_cut_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
