/* Calls both ways, told as stories between a phone and the gateway. */
#include "phone.h"

#define PORT 43100

static int setup(void **state)
{
    struct lab *lab = lab_open(PORT);

    assert_int_equal(lab_start(lab), 0);
    *state = lab;
    return 0;
}

static int teardown(void **state)
{
    lab_close(*state);
    return 0;
}

static void register_phone(struct phone *p, struct lab *lab, const char *user, const char *secret)
{
    char word[64];

    phone_open(p, lab, false, user, secret);
    phone_register(p, phone_contact(p), "");
    assert_int_equal(phone_status(p), 200);
    snprintf(word, sizeof word, "reg:%s=1", user);
    lab_expect(lab, word);
}

static void incoming_call_is_answered_and_ended_by_the_phone(void **state)
{
    struct lab *lab = *state;
    static struct phone p;
    struct talk t;

    phone_open(&p, lab, false, "201", SECRET_201);
    phone_dial(&p, &t, "8202", SDP_PCMA);
    lab_expect(lab, "invite");
    assert_string_equal(lab->from_user, "201");
    assert_string_equal(lab->from_name, "Reception");
    assert_string_equal(lab->dialled, "8202");
    assert_string_equal(lab->host, "lab.example");
    assert_int_equal(lab->codecs.count, 1);
    sip_call_ring(lab->call);
    phone_expect(&p, 180);
    assert_int_equal(sip_call_answer(lab->call, &lab->local), 0);
    phone_expect(&p, 200);
    assert_non_null(strstr(phone_body(&p), "m=audio 40000 RTP/AVP 8 101"));
    lab_expect(lab, "media");
    assert_int_equal(lab->audio.codec, CODEC_PCMA);
    assert_int_equal(address_port(&lab->audio.remote), 43990);
    talk_confirm(&p, &t);
    talk_send(&p, &t, "ACK", "", NULL);
    talk_send(&p, &t, "BYE", "Reason: Q.850;cause=16;text=\"done\"\r\n", NULL);
    phone_expect(&p, 200);
    lab_expect(lab, "end");
    assert_int_equal(lab->cause.reason, CALL_NORMAL);
    assert_int_equal(lab->cause.q850, 16);
    phone_close(&p);
}

static void what_is_refused_is_told(void **state)
{
    struct lab *lab = *state;
    static const struct {
        const char *user, *secret, *sdp, *told;
        int status;
    } cases[] = {
        {"201", "wrong", SDP_PCMA, "password 201->8202 403", 403},
        {"nobody", "wrong", SDP_PCMA, "user nobody->8202 403", 403},
        {"201", SECRET_201, SDP_HEAD "m=audio 43990 RTP/AVP 18\r\n", "codec 201->8202 488", 488},
        {"201", SECRET_201, "no description", "request 201->8202 400", 400},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static struct phone p;
        struct talk t;
        phone_open(&p, lab, false, cases[i].user, cases[i].secret);
        phone_dial(&p, &t, "8202", cases[i].sdp);
        phone_expect(&p, cases[i].status);
        lab_run(lab, 20);
        assert_string_equal(lab->refused, cases[i].told);
        phone_close(&p);
    }
    assert_string_equal(lab->log, "");
}

static void outgoing_call_is_answered_and_ended_by_the_gateway(void **state)
{
    struct lab *lab = *state;
    static struct phone p;
    struct call_cause cause = call_cause(CALL_NORMAL, NULL);
    char ack[128];

    register_phone(&p, lab, "202", SECRET_202);
    assert_int_equal(sip_call_new(lab->sip, "202", &(struct sip_caller){"201", "Bob \"B\"", NULL},
                                  &lab->local, "0123456789abcdef", &lab_call_events, lab,
                                  &lab->call),
                     0);
    phone_expect_request(&p, "INVITE sip:202@10.1.2.3:5060 ");
    assert_non_null(strstr(phone_header(&p, "From"), "<sip:201@lab.example>"));
    phone_reply(&p, 180, "", NULL);
    lab_expect(lab, "ringing");
    phone_reply(&p, 200, "Contact: <sip:202@10.1.2.3:5060>\r\n", SDP_PCMA);
    phone_expect_request(&p, "ACK sip:202@10.1.2.3:5060 ");
    snprintf(ack, sizeof ack, "%s", phone_header(&p, "CSeq"));
    lab_expect(lab, "media answer");
    sip_call_end(lab->call, &cause);
    phone_expect_request(&p, "BYE sip:202@10.1.2.3:5060 ");
    assert_non_null(strstr(phone_header(&p, "Reason"), "Q.850;cause=16"));
    phone_reply(&p, 200, "", NULL);
    lab_run(lab, 20);
    assert_string_equal(lab->log, "");
    phone_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(incoming_call_is_answered_and_ended_by_the_phone, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_refused_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(outgoing_call_is_answered_and_ended_by_the_gateway, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
