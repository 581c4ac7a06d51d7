/* What is remembered of calls that are over and of INVITEs that were refused, and how it is found.
 */
#include "gateway/call_note.h"
#include "gateway/report.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct gateway gateway;
static struct conf *conf;
static uv_loop_t loop;

static int setup(void **state)
{
    (void)state;
    uv_loop_init(&loop);
    conf = conf_default();
    gateway = (struct gateway){.uv = &loop, .conf = conf};
    TAILQ_INIT(&gateway.calls);
    return conf ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    history_fini(&gateway.history);
    conf_free(conf);
    return uv_loop_close(&loop);
}

/* A call that is over already. */
static void end_call(const char *id, uint64_t created_ms)
{
    struct call call = {.gateway = &gateway,
                        .state = CALL_STATE_ENDING,
                        .created_ms = created_ms,
                        .cause = call_cause(CALL_BUSY, NULL)};
    char diagnosis[DIAGNOSIS_MAX];

    snprintf(call.id, sizeof call.id, "%s", id);
    strcpy(call.legs[MEDIA_A].name, "201");
    strcpy(call.legs[MEDIA_B].name, "202");
    for (int side = 0; side < 2; side++)
        call.legs[side].call = &call;
    call_note_end(&call);
    call_diagnose(&call, diagnosis);
    history_add(&gateway.history, &call, diagnosis);
}

static void refuse(const char *user, const char *source, uint64_t now_ms)
{
    struct sip_refused refused = {
        .why = SIP_REFUSED_PASSWORD, .user = user, .dialled = "600", .status = 403};

    address_parse(source, &refused.source);
    history_add_refused(&gateway.history, &refused, now_ms);
}

/* The member `key` of the journal that is found so; "" when none is. */
static const char *found(const char *id, const char *key, int error)
{
    static char text[DIAGNOSIS_MAX];
    int got;
    json_t *json = report_journal(&gateway, id, &got);

    assert_int_equal(got, error);
    const char *value = json_string_value(json_object_get(json, key));
    snprintf(text, sizeof text, "%s", value ? value : "");
    json_decref(json);
    return text;
}

static void calls_are_found_by_the_beginning_of_their_id(void **state)
{
    (void)state;
    assert_string_equal(found("last", "error", -ENOENT), "there was no call yet");
    end_call("aa11223344556677", 1000);
    end_call("ab11223344556677", 2000);
    assert_string_equal(found("aa", "id", 0), "aa11223344556677");
    assert_string_equal(found("ab11223344556677", "diagnosis", 0), "202 was busy.");
    assert_string_equal(found("last", "id", 0), "ab11223344556677");
    assert_non_null(strstr(found("a", "error", -EEXIST), "several calls"));
    assert_non_null(strstr(found("b", "error", -ENOENT), "no call with this id"));
}

static void a_call_that_goes_on_is_found_too(void **state)
{
    static struct call call = {.gateway = &gateway, .id = "cc11223344556677", .created_ms = 500};

    (void)state;
    call.state = CALL_STATE_CALLING;
    strcpy(call.legs[MEDIA_B].name, "202");
    TAILQ_INSERT_TAIL(&gateway.calls, &call, link);
    end_call("aa11223344556677", 400);
    assert_string_equal(found("last", "state", 0), "calling");
    assert_string_equal(found("cc", "diagnosis", 0), "Still being set up: 202 does not ring yet.");
    end_call("ab11223344556677", 600);
    assert_string_equal(found("last", "state", 0), "ended");
    journal_fini(&call.journal);
}

static void old_calls_are_forgotten_with_their_journals(void **state)
{
    char id[CALL_ID_LEN + 1];

    (void)state;
    for (unsigned i = 0; i < 3 * HISTORY_CALLS; i++) {
        snprintf(id, sizeof id, "%016x", i);
        end_call(id, i);
    }
    found("0000000000000000", "error", -ENOENT);
    snprintf(id, sizeof id, "%016x", 2 * HISTORY_CALLS);
    assert_string_equal(found(id, "id", 0), id);
}

static void the_same_refusal_is_counted(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 300; i++)
        refuse("201", i % 2 ? "192.0.2.1:5060" : "192.0.2.1:6060", 1000 + i);
    assert_int_equal(gateway.history.refusals, 1);
    assert_int_equal(gateway.history.refused[0].times, 300);
    assert_int_equal(gateway.history.refused[0].journal.left_out, 100);
    assert_string_equal(found("last", "state", 0), "refused");
    assert_non_null(strstr(found("last", "diagnosis", 0), "wrong password"));
    refuse("201", "192.0.2.2:5060", 3000);
    assert_int_equal(gateway.history.refusals, 2);
    end_call("aa11223344556677", 4000);
    assert_string_equal(found("last", "state", 0), "ended");
    refuse("201", "192.0.2.2:5060", 5000); /* the second time */
    assert_string_equal(found("last", "state", 0), "refused");
}

static void a_phone_that_could_not_register_is_known(void **state)
{
    struct sip_refused refused = {.is_registration = true, .why = SIP_REFUSED_PASSWORD};
    char phone[16];

    (void)state;
    assert_null(history_find_registration(&gateway.history, ""));
    for (unsigned i = 0; i < 3 * HISTORY_REFUSED; i++) {
        snprintf(phone, sizeof phone, "%u", i);
        refused.user = phone;
        history_add_registration(&gateway.history, &refused, 1000 + i);
    }
    assert_null(history_find_registration(&gateway.history, "0")); /* too long ago */
    assert_int_equal(history_find_registration(&gateway.history, "59")->at_ms, 1059);
    history_drop_registration(&gateway.history, "59");
    assert_null(history_find_registration(&gateway.history, "59"));
    history_drop_registration(&gateway.history, "59");
}

static void a_scanner_pushes_no_calls_out(void **state)
{
    char user[16];

    (void)state;
    end_call("aa11223344556677", 0);
    for (unsigned i = 0; i < 10000; i++) {
        snprintf(user, sizeof user, "u%u", i);
        refuse(user, "192.0.2.1:5060", 1000 + i);
    }
    assert_true(gateway.history.refusals <= 55); /* 5 a second */
    assert_string_equal(found("aa11223344556677", "state", 0), "ended");
}

static void the_path_is_judged_by_its_notes(void **state)
{
    static const struct {
        const char *event, *text;
        bool is_lost;
        unsigned moves;
    } story[] = {
        {"chosen", "relay h:443: it works and is better", false, 0},
        {"moved", "from relay h:443 to udp 192.0.2.1:4000: it is better", false, 1},
        {"silent", "nothing has come for 150 ms", true, 1},
        {"lost", "udp 192.0.2.1:4000: no answer", true, 1},
        {"moved", "from udp 192.0.2.1:4000 to relay h:443: it is silent", true, 2},
        {"heard", "the far end is heard again", false, 2},
    };
    struct call call = {.state = CALL_STATE_UP};

    (void)state;
    for (size_t i = 0; i < sizeof story / sizeof *story; i++) {
        call_note_overlay(&call, "path", story[i].event, story[i].text);
        assert_int_equal(call.is_path_lost, story[i].is_lost);
        assert_int_equal(call.moves, story[i].moves);
    }
    assert_string_equal(call.last_move,
                        "moved from udp 192.0.2.1:4000 to relay h:443: it is silent");
    call_note_overlay(&call, "path", "told", "for another call on the same path");
    assert_int_equal(call.journal.count, 6);
    journal_fini(&call.journal);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(calls_are_found_by_the_beginning_of_their_id),
        TEST(a_call_that_goes_on_is_found_too),
        TEST(old_calls_are_forgotten_with_their_journals),
        TEST(the_same_refusal_is_counted),
        TEST(a_phone_that_could_not_register_is_known),
        TEST(a_scanner_pushes_no_calls_out),
        TEST(the_path_is_judged_by_its_notes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
