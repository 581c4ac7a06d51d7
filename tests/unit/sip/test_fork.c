/* Calls to a phone with several contacts: who rings, who wins, what the caller is told. */
#include "phone.h"

#define PORT 43300

static struct phone a, b;

static int setup(void **state)
{
    struct lab *lab = lab_open(PORT);

    assert_int_equal(lab_start(lab), 0);
    phone_open(&a, lab, false, "202", SECRET_202);
    phone_open(&b, lab, true, "202", SECRET_202);
    phone_register(&a, phone_contact(&a), "");
    phone_register(&b, phone_contact(&b), "");
    lab_expect(lab, "reg:202=1 reg:202=2");
    *state = lab;
    return 0;
}

static int teardown(void **state)
{
    phone_close(&a);
    phone_close(&b);
    lab_close(*state);
    return 0;
}

static char invite_a[16384], invite_b[16384];

static void call(struct lab *lab)
{
    lab->log[0] = '\0';
    assert_int_equal(sip_call_new(lab->sip, "202", &(struct sip_caller){"201", "Ann", NULL},
                                  &lab->local, "0123456789abcdef", &lab_call_events, lab,
                                  &lab->call),
                     0);
    phone_expect_request(&a, "INVITE sip:202@10.1.2.3:5060 ");
    snprintf(invite_a, sizeof invite_a, "%s", a.message);
    phone_expect_request(&b, "INVITE sip:202@10.1.2.3:5060;transport=tcp ");
    snprintf(invite_b, sizeof invite_b, "%s", b.message);
}

static const char contact[] = "Contact: <sip:202@10.1.2.3:5060>\r\n";

/* Reads the CANCEL, answers it and the INVITE. */
static void expect_cancel(struct phone *p, const char *invite)
{
    phone_expect_request(p, "CANCEL ");
    phone_reply(p, 200, "", NULL);
    phone_reply_to(p, invite, 487, "", NULL);
    phone_expect_request(p, "ACK ");
}

static void first_answer_wins(void **state)
{
    struct lab *lab = *state;
    struct call_cause cause = call_cause(CALL_NORMAL, NULL);

    call(lab);
    phone_reply_to(&a, invite_a, 180, "", NULL);
    phone_reply_to(&b, invite_b, 180, "", NULL);
    lab_expect(lab, "ringing");
    phone_reply_to(&b, invite_b, 200, contact, SDP_PCMA);
    phone_expect_request(&b, "ACK ");
    lab_expect(lab, "media answer");
    phone_expect_request(&a, "CANCEL ");
    assert_non_null(strstr(phone_header(&a, "Reason"), "cause=200"));
    phone_reply(&a, 200, "", NULL);
    phone_reply_to(&a, invite_a, 487, "", NULL);
    phone_expect_request(&a, "ACK ");
    sip_call_end(lab->call, &cause);
    phone_expect_request(&b, "BYE ");
    phone_reply(&b, 200, "", NULL);
    lab_expect(lab, "");
    assert_non_null(strstr(lab->journal, "invite: INVITE goes to 127.0.0.1:"));
    assert_non_null(strstr(lab->journal, "response: 180 Whatever from 127.0.0.1:"));
    assert_non_null(strstr(lab->journal, "response: 200 Whatever from 127.0.0.1:"));
}

static void both_answer_at_once(void **state)
{
    struct lab *lab = *state;

    call(lab);
    phone_reply_to(&a, invite_a, 200, contact, SDP_PCMA);
    phone_reply_to(&b, invite_b, 200, contact, SDP_PCMA);
    lab_expect(lab, "media answer");
    phone_expect_request(&a, "ACK ");
    /* The second one is acknowledged and ended. */
    for (int i = 0; i < 3; i++) {
        assert_true(phone_read_within(&b, PATIENCE_MS));
        if (!strncmp(b.message, "BYE ", 4))
            break;
        if (!strncmp(b.message, "CANCEL ", 7))
            phone_reply(&b, 481, "", NULL);
    }
    assert_memory_equal(b.message, "BYE ", 4);
    phone_reply(&b, 200, "", NULL);
}

static void answer_crosses_cancel(void **state)
{
    struct lab *lab = *state;
    struct call_cause cause = call_cause(CALL_CANCELLED, NULL);

    call(lab);
    phone_reply_to(&a, invite_a, 180, "", NULL);
    phone_reply_to(&b, invite_b, 180, "", NULL);
    lab_expect(lab, "ringing");
    sip_call_end(lab->call, &cause);
    phone_expect_request(&a, "CANCEL ");
    phone_reply(&a, 200, "", NULL);
    phone_reply_to(&a, invite_a, 200, contact, SDP_PCMA);
    phone_expect_request(&a, "ACK ");
    phone_expect_request(&a, "BYE ");
    phone_reply(&a, 200, "", NULL);
    expect_cancel(&b, invite_b);
    lab_expect(lab, "");
}

/* CANCEL may only follow a provisional response (RFC 3261, 9.1). */
static void cancel_waits_for_a_sign_of_life(void **state)
{
    struct lab *lab = *state;
    struct call_cause cause = call_cause(CALL_CANCELLED, NULL);

    call(lab);
    sip_call_end(lab->call, &cause);
    assert_false(phone_read_within(&a, 100));
    phone_reply_to(&a, invite_a, 180, "", NULL);
    expect_cancel(&a, invite_a);
    phone_reply_to(&b, invite_b, 486, "", NULL);
    phone_expect_request(&b, "ACK ");
    lab_expect(lab, "");
}

static void best_error_is_told(void **state)
{
    static const struct {
        int a, b, told;
        enum call_reason reason;
    } cases[] = {
        {486, 404, 486, CALL_BUSY},           {480, 486, 486, CALL_BUSY},
        {503, 486, 486, CALL_BUSY},           {404, 503, 404, CALL_NOT_FOUND},
        {488, 480, 488, CALL_NOT_ACCEPTABLE}, {302, 480, 480, CALL_UNAVAILABLE},
        {500, 503, 500, CALL_FAILURE},
    };
    struct lab *lab = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        call(lab);
        phone_reply_to(&a, invite_a, cases[i].a, "", NULL);
        phone_expect_request(&a, "ACK ");
        assert_string_equal(lab->log, "");
        phone_reply_to(&b, invite_b, cases[i].b, "", NULL);
        phone_expect_request(&b, "ACK ");
        lab_expect(lab, "end");
        assert_int_equal(lab->cause.sip_status, cases[i].told);
        assert_int_equal(lab->cause.reason, cases[i].reason);
        assert_string_equal(lab->cause.text, "Whatever");
    }
}

/* 6xx speaks for the user: nobody else rings on. */
static void global_failure_ends_all(void **state)
{
    struct lab *lab = *state;

    call(lab);
    phone_reply_to(&b, invite_b, 180, "", NULL);
    lab_expect(lab, "ringing");
    phone_reply_to(&a, invite_a, 603, "Reason: Q.850;cause=21;text=\"Not now\"\r\n", NULL);
    phone_expect_request(&a, "ACK ");
    lab_expect(lab, "end");
    assert_int_equal(lab->cause.reason, CALL_DECLINED);
    assert_int_equal(lab->cause.sip_status, 603);
    assert_int_equal(lab->cause.q850, 21);
    assert_string_equal(lab->cause.text, "Not now");
    expect_cancel(&b, invite_b);
}

/* A phone cannot end, nor change, what it has not answered yet. */
static void early_requests_of_a_branch(void **state)
{
    struct lab *lab = *state;
    struct talk t;

    call(lab);
    strcpy(a.message, invite_a);
    talk_from_invite(&a, &t);
    phone_reply_to(&a, invite_a, 180, "", NULL);
    phone_reply_to(&b, invite_b, 180, "", NULL);
    lab_expect(lab, "ringing");
    talk_send(&a, &t, "BYE", "", NULL);
    phone_expect(&a, 481);
    talk_send(&a, &t, "UPDATE", "", SDP_PCMA);
    phone_expect(&a, 500);
    assert_string_equal(lab->log, "");
    phone_reply_to(&a, invite_a, 200, contact, SDP_PCMA);
    lab_expect(lab, "media answer");
    phone_expect_request(&a, "ACK ");
    talk_send(&a, &t, "BYE", "", NULL);
    phone_expect(&a, 200);
    lab_expect(lab, "end");
    expect_cancel(&b, invite_b);
}

static void nobody_answers(void **state)
{
    struct lab *lab = *state;

    lab->conf.sip.ring_timeout_s = 1;
    call(lab);
    phone_reply_to(&a, invite_a, 180, "", NULL);
    phone_reply_to(&b, invite_b, 180, "", NULL);
    lab_expect(lab, "ringing");
    lab_expect(lab, "end");
    assert_int_equal(lab->cause.reason, CALL_NO_ANSWER);
    expect_cancel(&a, invite_a);
    expect_cancel(&b, invite_b);
}

/* A phone that vanished does not keep the caller waiting. */
static void silent_phones_are_given_up(void **state)
{
    struct lab *lab = *state;

    lab->conf.sip.ring_timeout_s = 2;
    call(lab);
    lab_expect(lab, "end");
    assert_int_equal(lab->cause.reason, CALL_UNAVAILABLE);
    assert_int_equal(lab->cause.sip_status, 0);
    phone_reply_to(&b, invite_b, 180, "", NULL); /* it is back */
    expect_cancel(&b, invite_b);
    lab_expect(lab, "");
}

static void nobody_waits_for_a_silent_one(void **state)
{
    struct lab *lab = *state;

    lab->conf.sip.ring_timeout_s = 2;
    call(lab);
    phone_reply_to(&b, invite_b, 180, "", NULL);
    lab_expect(lab, "ringing");
    lab_run(lab, 1200);
    assert_string_equal(lab->log, "");
    phone_reply_to(&b, invite_b, 486, "", NULL);
    phone_expect_request(&b, "ACK ");
    lab_expect(lab, "end");
    assert_int_equal(lab->cause.reason, CALL_BUSY);
}

static void early_media_of_the_first_is_heard(void **state)
{
    struct lab *lab = *state;

    call(lab);
    phone_reply_to(&a, invite_a, 183, contact, SDP_PCMA);
    lab_expect(lab, "media");
    assert_true(lab->audio.is_early);
    phone_reply_to(&b, invite_b, 183, contact, SDP_PCMA);
    phone_reply_to(&b, invite_b, 180, contact, NULL);
    lab_expect(lab, "ringing");
    /* The other one answers, without repeating its description: that one is unusable. */
    phone_reply_to(&b, invite_b, 200, contact, SDP_HEAD "m=audio 43992 RTP/AVP 0\r\n");
    lab_expect(lab, "media answer");
    assert_false(lab->audio.is_early);
    assert_int_equal(lab->audio.codec, CODEC_PCMU);
    assert_int_equal(address_port(&lab->audio.remote), 43992);
    phone_expect_request(&b, "ACK ");
    expect_cancel(&a, invite_a);
}

static void answer_without_common_codec_is_ended(void **state)
{
    struct lab *lab = *state;

    call(lab);
    phone_reply_to(&a, invite_a, 486, "", NULL);
    phone_reply_to(&b, invite_b, 200, contact, SDP_HEAD "m=audio 43992 RTP/AVP 18\r\n");
    phone_expect_request(&b, "ACK ");
    phone_expect_request(&b, "BYE ");
    phone_reply(&b, 200, "", NULL);
    lab_expect(lab, "end");
    assert_int_equal(lab->cause.reason, CALL_NOT_ACCEPTABLE);
}

static void our_ack_is_sent_again(void **state)
{
    struct lab *lab = *state;

    call(lab);
    phone_reply_to(&b, invite_b, 486, "", NULL);
    phone_expect_request(&b, "ACK ");
    for (int i = 0; i < 3; i++) {
        phone_reply_to(&a, invite_a, 200, contact, SDP_PCMA);
        phone_expect_request(&a, "ACK ");
    }
    lab_expect(lab, "media answer");
}

static void closed_connection_ends_its_branch(void **state)
{
    struct lab *lab = *state;

    call(lab);
    phone_close(&b);
    phone_reply_to(&a, invite_a, 486, "", NULL);
    lab_expect(lab, "end");
    assert_int_equal(lab->cause.sip_status, 486);
    b.fd = dup(a.fd);
}

/* What nta makes up when nobody is there is not the phone's word. */
static void closed_port_is_no_answer(void **state)
{
    struct lab *lab = *state;

    phone_close(&a);
    assert_int_equal(sip_call_new(lab->sip, "202", &(struct sip_caller){"201", "Ann", NULL},
                                  &lab->local, "0123456789abcdef", &lab_call_events, lab,
                                  &lab->call),
                     0);
    phone_expect_request(&b, "INVITE ");
    lab_run(lab, 50);
    phone_reply(&b, 503, "", NULL);
    lab_expect(lab, "end");
    assert_int_equal(lab->cause.reason, CALL_UNAVAILABLE);
    assert_int_equal(lab->cause.sip_status, 0);
    a.fd = dup(b.fd);
}

/* Our requests are sent over UDP until they are answered, over TCP once. */
static void requests_are_repeated_over_udp_only(void **state)
{
    struct lab *lab = *state;

    call(lab);
    phone_expect_request(&a, "INVITE ");
    assert_false(phone_read_within(&b, 700));
    phone_reply_to(&a, invite_a, 486, "", NULL);
    phone_reply_to(&b, invite_b, 486, "", NULL);
    lab_expect(lab, "end");
}

/* Names come from other nodes: nothing of them may break out of a header. */
static void caller_is_shown_safely(void **state)
{
    struct lab *lab = *state;
    struct sip_caller caller = {"2\r\nX: 1@>", "Eve\"\r\nEvil: yes", "x>\r\nEvil: yes"};
    struct call_cause cause = call_cause(CALL_NORMAL, NULL);

    assert_int_equal(sip_call_new(lab->sip, "202", &caller, &lab->local, "0123456789abcdef",
                                  &lab_call_events, lab, &lab->call),
                     0);
    phone_expect_request(&a, "INVITE ");
    assert_null(strstr(a.message, "\r\nEvil"));
    assert_null(strstr(a.message, "\r\nX:"));
    assert_non_null(strstr(phone_header(&a, "From"), "@lab.example>"));
    phone_expect_request(&b, "INVITE ");
    sip_call_end(lab->call, &cause);
}

static void phone_without_contacts(void **state)
{
    struct lab *lab = *state;
    struct sip_caller caller = {"201", "", NULL};
    struct sip_call *made;

    assert_int_equal(sip_call_new(lab->sip, "201", &caller, &lab->local, "0123456789abcdef",
                                  &lab_call_events, lab, &made),
                     -ENOTCONN);
    assert_int_equal(sip_call_new(lab->sip, "999", &caller, &lab->local, "0123456789abcdef",
                                  &lab_call_events, lab, &made),
                     -ENOENT);
}

static void closing_ends_what_rings(void **state)
{
    struct lab *lab = *state;

    call(lab);
    phone_reply_to(&a, invite_a, 180, "", NULL);
    lab_expect(lab, "ringing");
    lab_stop(lab);
    phone_expect_request(&a, "CANCEL ");
    assert_int_equal(lab_start(lab), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(first_answer_wins, setup, teardown),
        cmocka_unit_test_setup_teardown(both_answer_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(answer_crosses_cancel, setup, teardown),
        cmocka_unit_test_setup_teardown(cancel_waits_for_a_sign_of_life, setup, teardown),
        cmocka_unit_test_setup_teardown(best_error_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(global_failure_ends_all, setup, teardown),
        cmocka_unit_test_setup_teardown(early_requests_of_a_branch, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(silent_phones_are_given_up, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_waits_for_a_silent_one, setup, teardown),
        cmocka_unit_test_setup_teardown(early_media_of_the_first_is_heard, setup, teardown),
        cmocka_unit_test_setup_teardown(answer_without_common_codec_is_ended, setup, teardown),
        cmocka_unit_test_setup_teardown(our_ack_is_sent_again, setup, teardown),
        cmocka_unit_test_setup_teardown(closed_connection_ends_its_branch, setup, teardown),
        cmocka_unit_test_setup_teardown(closed_port_is_no_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(requests_are_repeated_over_udp_only, setup, teardown),
        cmocka_unit_test_setup_teardown(caller_is_shown_safely, setup, teardown),
        cmocka_unit_test_setup_teardown(phone_without_contacts, setup, teardown),
        cmocka_unit_test_setup_teardown(closing_ends_what_rings, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
