/* What happens inside a call: hold and resume both ways, glare, INVITE without SDP, CANCEL, digits,
 * lost ACKs. Each story over UDP and over TCP. */
#include "phone.h"

#define PORT 43400
#define SDP_HOLD SDP_HEAD "m=audio 43990 RTP/AVP 8\r\na=sendonly\r\n"

static struct phone p;
static struct talk t;

static int open_lab(void **state, bool tcp)
{
    struct lab *lab = lab_open(PORT);

    assert_int_equal(lab_start(lab), 0);
    phone_open(&p, lab, tcp, "201", SECRET_201);
    *state = lab;
    return 0;
}

static int setup_udp(void **state)
{
    return open_lab(state, false);
}

static int setup_tcp(void **state)
{
    return open_lab(state, true);
}

static int teardown(void **state)
{
    phone_close(&p);
    lab_close(*state);
    return 0;
}

static void dial(struct lab *lab, const char *sdp)
{
    phone_dial(&p, &t, "202", sdp);
    lab_expect(lab, "invite");
}

/* A call from the phone that is up. */
static void talk(struct lab *lab)
{
    dial(lab, SDP_PCMA);
    assert_int_equal(sip_call_answer(lab->call, &lab->local), 0);
    phone_expect(&p, 200);
    lab_expect(lab, "media");
    talk_confirm(&p, &t);
    talk_send(&p, &t, "ACK", "", NULL);
    lab_run(lab, 20);
}

static unsigned long long sdp_version(void)
{
    const char *at = strstr(phone_body(&p), "o=- ");

    assert_non_null(at);
    return strtoull(strchr(at + 4, ' '), NULL, 10);
}

static void phone_holds_and_resumes(void **state)
{
    struct lab *lab = *state;
    unsigned long long version;

    talk(lab);
    version = sdp_version();
    talk_send(&p, &t, "INVITE", "", SDP_HOLD);
    phone_expect(&p, 200);
    assert_non_null(strstr(phone_body(&p), "a=recvonly"));
    assert_int_equal(sdp_version(), version + 1);
    lab_expect(lab, "media");
    assert_int_equal(lab->audio.direction, MEDIA_RECVONLY);
    talk_send(&p, &t, "ACK", "", NULL);
    talk_send(&p, &t, "INVITE", "", SDP_PCMA);
    phone_expect(&p, 200);
    assert_non_null(strstr(phone_body(&p), "a=sendrecv"));
    lab_expect(lab, "media");
    assert_int_equal(lab->audio.direction, MEDIA_SENDRECV);
    talk_send(&p, &t, "ACK", "", NULL);
    /* Nothing new: the same description, the same version. */
    version = sdp_version();
    talk_send(&p, &t, "INVITE", "", SDP_PCMA);
    phone_expect(&p, 200);
    assert_int_equal(sdp_version(), version);
    talk_send(&p, &t, "ACK", "", NULL);
    lab_expect(lab, "media");
}

static void gateway_holds_and_resumes(void **state)
{
    struct lab *lab = *state;
    struct sip_local_audio local = lab->local;

    talk(lab);
    local.direction = MEDIA_SENDONLY;
    assert_int_equal(sip_call_update(lab->call, &local), 0);
    phone_expect_request(&p, "INVITE ");
    assert_non_null(strstr(phone_body(&p), "a=sendonly"));
    phone_reply(&p, 200, "Contact: <sip:201@10.1.2.3>\r\n",
                SDP_HEAD "m=audio 43990 RTP/AVP 8\r\na=recvonly\r\n");
    phone_expect_request(&p, "ACK ");
    lab_expect(lab, "media");
    assert_int_equal(lab->audio.direction, MEDIA_SENDONLY);
    assert_int_equal(lab->audio.willing, MEDIA_SENDRECV); /* that it may not speak is our wish */
    assert_int_equal(sip_call_update(lab->call, &lab->local), 0);
    phone_expect_request(&p, "INVITE ");
    phone_reply(&p, 488, "", NULL); /* refused: all stays as it was */
    phone_expect_request(&p, "ACK ");
    lab_expect(lab, "media");
    assert_int_equal(lab->audio.direction, MEDIA_SENDONLY);
}

static void glare_is_refused_and_retried(void **state)
{
    struct lab *lab = *state;
    struct sip_local_audio local = lab->local;
    char *ours;

    talk(lab);
    local.direction = MEDIA_SENDONLY;
    sip_call_update(lab->call, &local);
    phone_expect_request(&p, "INVITE ");
    ours = strdup(p.message);
    talk_send(&p, &t, "INVITE", "", SDP_HOLD);
    phone_expect(&p, 491);
    talk_send(&p, &t, "ACK", "", NULL);
    phone_reply_to(&p, ours, 491, "", NULL);
    phone_expect_request(&p, "ACK ");
    free(ours);
    phone_expect_request(&p, "INVITE "); /* within two seconds: the Call-ID is the phone's */
    phone_reply(&p, 200, "Contact: <sip:201@10.1.2.3>\r\n",
                SDP_HEAD "m=audio 43990 RTP/AVP 8\r\na=recvonly\r\n");
    phone_expect_request(&p, "ACK ");
    lab_expect(lab, "media");
    assert_int_equal(lab->audio.direction, MEDIA_SENDONLY);
}

/* Two wishes at once become one more re-INVITE, with the last word. */
static void updates_do_not_overtake(void **state)
{
    struct lab *lab = *state;
    struct sip_local_audio local = lab->local;

    talk(lab);
    local.direction = MEDIA_SENDONLY;
    sip_call_update(lab->call, &local);
    local.direction = MEDIA_INACTIVE;
    sip_call_update(lab->call, &local);
    sip_call_update(lab->call, &lab->local);
    phone_expect_request(&p, "INVITE ");
    assert_non_null(strstr(phone_body(&p), "a=sendonly"));
    phone_reply(&p, 200, "", SDP_HEAD "m=audio 43990 RTP/AVP 8\r\na=recvonly\r\n");
    phone_expect_request(&p, "ACK ");
    phone_expect_request(&p, "INVITE ");
    assert_non_null(strstr(phone_body(&p), "a=sendrecv"));
    phone_reply(&p, 200, "", SDP_PCMA);
    phone_expect_request(&p, "ACK ");
    lab_expect(lab, "media media");
    assert_int_equal(lab->audio.direction, MEDIA_SENDRECV);
}

static void invite_without_offer_is_offered(void **state)
{
    struct lab *lab = *state;

    dial(lab, NULL);
    assert_int_equal(lab->codecs.count, 0);
    assert_int_equal(sip_call_progress(lab->call, &lab->local), -EINVAL);
    assert_int_equal(sip_call_answer(lab->call, &lab->local), 0);
    phone_expect(&p, 200);
    assert_non_null(strstr(phone_body(&p), "m=audio 40000 RTP/AVP 96 8 0 101"));
    talk_confirm(&p, &t);
    assert_string_equal(lab->log, "");
    talk_send(&p, &t, "ACK", "", SDP_PCMA);
    lab_expect(lab, "media");
    assert_int_equal(lab->audio.codec, CODEC_PCMA);
    /* and again, in a re-INVITE */
    talk_send(&p, &t, "INVITE", "", NULL);
    phone_expect(&p, 200);
    assert_non_null(strstr(phone_body(&p), "m=audio 40000 RTP/AVP 96 8 0 101"));
    talk_send(&p, &t, "ACK", "", SDP_HEAD "m=audio 43994 RTP/AVP 0\r\n");
    lab_expect(lab, "media");
    assert_int_equal(lab->audio.codec, CODEC_PCMU);
    assert_int_equal(address_port(&lab->audio.remote), 43994);
}

static void ack_without_answer_ends(void **state)
{
    struct lab *lab = *state;

    dial(lab, NULL);
    sip_call_answer(lab->call, &lab->local);
    phone_expect(&p, 200);
    talk_confirm(&p, &t);
    talk_send(&p, &t, "ACK", "", NULL);
    phone_expect_request(&p, "BYE ");
    phone_reply(&p, 200, "", NULL);
    lab_expect(lab, "end");
    assert_int_equal(lab->cause.reason, CALL_NOT_ACCEPTABLE);
}

/* Whatever is dialled reaches logs and routes: no control characters, no hidden ends. */
static void strange_numbers_are_no_numbers(void **state)
{
    static const struct {
        const char *dialled, *heard;
    } cases[] = {
        {"%38%38", "88"}, {"a%00b", ""}, {"a%0Ab", ""}, {"%2B49-30", "+49-30"}, {"a%20b", "a b"},
    };
    struct lab *lab = *state;
    struct call_cause cause = call_cause(CALL_NOT_FOUND, NULL);

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        phone_dial(&p, &t, cases[i].dialled, SDP_PCMA);
        lab_expect(lab, "invite");
        assert_string_equal(lab->dialled, cases[i].heard);
        sip_call_reject(lab->call, &cause);
        phone_expect(&p, 404);
    }
}

static void caller_gives_up(void **state)
{
    struct lab *lab = *state;

    dial(lab, SDP_PCMA);
    sip_call_ring(lab->call);
    phone_expect(&p, 180);
    talk_send(&p, &t, "CANCEL", "", NULL);
    phone_expect(&p, 200);
    phone_expect(&p, 487);
    talk_send(&p, &t, "ACK", "", NULL);
    lab_expect(lab, "end");
    assert_int_equal(lab->cause.reason, CALL_CANCELLED);
}

/* CANCEL crosses our 200: the call is up, and the phone says BYE (RFC 3261, 9.2). */
static void cancel_comes_too_late(void **state)
{
    struct lab *lab = *state;

    dial(lab, SDP_PCMA);
    sip_call_answer(lab->call, &lab->local);
    phone_expect(&p, 200);
    talk_send(&p, &t, "CANCEL", "", NULL);
    phone_expect(&p, 481);
    lab_expect(lab, "media");
}

static void gateway_refuses(void **state)
{
    static const struct {
        struct call_cause cause;
        int status;
        const char *phrase;
    } cases[] = {
        {{CALL_BUSY, 0, 0, ""}, 486, "Busy Here"},
        {{CALL_NOT_FOUND, 0, 0, "No such number"}, 404, "No such number"},
        {{CALL_NO_SUPERNODE, 0, 0, "No supernode reachable"}, 503, "No supernode reachable"},
        {{CALL_FAILURE, 606, 79, "From afar"}, 606, "From afar"},
        {{CALL_NOT_ACCEPTABLE, 0, 0, ""}, 488, "Not Acceptable Here"},
    };
    struct lab *lab = *state;
    char line[128];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dial(lab, SDP_PCMA);
        sip_call_reject(lab->call, &cases[i].cause);
        phone_expect(&p, cases[i].status);
        snprintf(line, sizeof line, "SIP/2.0 %d %s\r\n", cases[i].status, cases[i].phrase);
        assert_memory_equal(p.message, line, strlen(line));
        assert_non_null(strstr(phone_header(&p, "Reason"), "Q.850;cause="));
        if (cases[i].status == 488)
            assert_non_null(strstr(phone_header(&p, "Warning"), "305"));
        talk_confirm(&p, &t);
        talk_send(&p, &t, "ACK", "", NULL);
    }
    assert_string_equal(lab->log, "");
}

static void early_media_comes_before_the_answer(void **state)
{
    struct lab *lab = *state;
    struct sip_local_audio local = lab->local;
    char sdp[2048];

    dial(lab, SDP_HEAD "m=audio 43990 RTP/AVP 0 8\r\n");
    assert_int_equal(sip_call_progress(lab->call, &lab->local), 0);
    phone_expect(&p, 183);
    snprintf(sdp, sizeof sdp, "%s", phone_body(&p));
    lab_expect(lab, "media");
    assert_true(lab->audio.is_early);
    local.codecs = (struct codec_list){{CODEC_PCMU, CODEC_PCMA}, 2}; /* another wish by now */
    assert_int_equal(sip_call_answer(lab->call, &local), 0);
    phone_expect(&p, 200);
    assert_string_equal(phone_body(&p), sdp); /* the one answer to the one offer */
    lab_expect(lab, "media");
    assert_false(lab->audio.is_early);
    assert_int_equal(lab->audio.codec, CODEC_PCMA);
}

static void no_common_codec_leaves_the_call(void **state)
{
    struct lab *lab = *state;
    struct sip_local_audio local = lab->local;
    struct call_cause cause = call_cause(CALL_NOT_ACCEPTABLE, NULL);

    dial(lab, SDP_PCMA);
    local.codecs.codec[0] = CODEC_G722;
    local.codecs.count = 1;
    assert_int_equal(sip_call_answer(lab->call, &local), -ENOTSUP);
    sip_call_reject(lab->call, &cause);
    phone_expect(&p, 488);
}

static void answer_is_repeated_until_the_ack(void **state)
{
    struct lab *lab = *state;

    dial(lab, SDP_PCMA);
    sip_call_answer(lab->call, &lab->local);
    phone_expect(&p, 200);
    phone_expect(&p, 200);
    phone_expect(&p, 200);
    talk_confirm(&p, &t);
    talk_send(&p, &t, "ACK", "", NULL);
    lab_run(lab, 20);
    while (phone_poll(&p))
        ;
    assert_false(phone_read_within(&p, 2500));
}

/* BYE must not overtake the ACK. */
static void gateway_ends_before_the_ack(void **state)
{
    struct lab *lab = *state;
    struct call_cause cause = call_cause(CALL_NORMAL, NULL);

    dial(lab, SDP_PCMA);
    sip_call_answer(lab->call, &lab->local);
    phone_expect(&p, 200);
    lab_expect(lab, "media");
    sip_call_end(lab->call, &cause);
    assert_false(phone_read_within(&p, 100));
    talk_confirm(&p, &t);
    talk_send(&p, &t, "ACK", "", NULL);
    phone_expect_request(&p, "BYE ");
    phone_reply(&p, 200, "", NULL);
    lab_expect(lab, "");
}

static void digits_come_by_info(void **state)
{
    static const struct {
        const char *type, *body, *heard;
        int status;
    } cases[] = {
        {"application/dtmf-relay", "Signal=5\r\nDuration=250\r\n", "digit:5/250", 200},
        {"application/dtmf-relay", "Signal= *\r\nDuration= 100\r\n", "digit:*/100", 200},
        {"application/dtmf-relay", "Signal=11\r\n", "digit:#/160", 200},
        {"application/dtmf", "7", "digit:7/160", 200},
        {"application/dtmf", "d", "digit:D/160", 200},
        {"application/dtmf", "77", "", 415},
        {"application/dtmf-relay", "Duration=250\r\n", "", 415},
        {"application/media_control+xml", "<x/>", "", 415},
    };
    struct lab *lab = *state;

    talk(lab);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        t.cseq++;
        phone_send(&p,
                   "INFO %s SIP/2.0\r\nVia: SIP/2.0/%s 10.1.2.3;branch=z9hG4bKinfo%d\r\n"
                   "From: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d INFO\r\n"
                   "Content-Type: %s\r\nContent-Length: %zu\r\n\r\n%s",
                   t.target, p.tcp ? "TCP" : "UDP", t.cseq, t.local, t.remote, t.call_id, t.cseq,
                   cases[i].type, strlen(cases[i].body), cases[i].body);
        phone_expect(&p, cases[i].status);
        lab_expect(lab, cases[i].heard);
    }
    talk_send(&p, &t, "INFO", "", NULL); /* a keepalive */
    phone_expect(&p, 200);
}

static void odd_requests_in_a_dialog(void **state)
{
    struct lab *lab = *state;

    talk(lab);
    talk_send(&p, &t, "OPTIONS", "", NULL);
    phone_expect(&p, 200);
    talk_send(&p, &t, "UPDATE", "", SDP_HOLD);
    phone_expect(&p, 200);
    assert_non_null(strstr(phone_body(&p), "a=recvonly"));
    lab_expect(lab, "media");
    talk_send(&p, &t, "UPDATE", "", NULL);
    phone_expect(&p, 200);
    assert_string_equal(phone_body(&p), "");
    talk_send(&p, &t, "REFER", "Refer-To: <sip:x@y>\r\n", NULL);
    phone_expect(&p, 405);
    talk_send(&p, &t, "INFO", "Require: magic\r\n", NULL);
    phone_expect(&p, 420);
    talk_send(&p, &t, "INVITE", "", SDP_HEAD "m=audio 43990 RTP/SAVP 8\r\n");
    phone_expect(&p, 488);
    talk_send(&p, &t, "ACK", "", NULL);
    talk_send(&p, &t, "INVITE", "", "nonsense");
    phone_expect(&p, 400);
    talk_send(&p, &t, "ACK", "", NULL);
    t.cseq -= 5; /* out of order */
    talk_send(&p, &t, "OPTIONS", "", NULL);
    phone_expect(&p, 500);
    t.cseq += 5;
    talk_send(&p, &t, "BYE", "", NULL);
    phone_expect(&p, 200);
    lab_expect(lab, "end");
    talk_send(&p, &t, "BYE", "", NULL); /* nobody here */
    phone_expect(&p, 481);
}

/* What would make a dialog with a target that is none. */
static void bad_targets_make_no_dialog(void **state)
{
    static const char *const contacts[] = {"Contact: <tel:+4930123>\r\n", "Contact: *\r\n",
                                           "Contact: <http://10.1.2.3/>\r\n", "",
                                           "Contact: <sip:>\r\n"};
    static const char *const routes[] = {"Record-Route: <tel:1>\r\n",
                                         "Record-Route: <http://x/;lr>\r\n"};
    struct lab *lab = *state;
    size_t count = sizeof contacts / sizeof *contacts + sizeof routes / sizeof *routes;

    for (size_t i = 0; i < count; i++) {
        size_t first = sizeof contacts / sizeof *contacts;

        for (int round = 0; round < 2; round++) {
            phone_send(&p,
                       "INVITE sip:202@lab.example SIP/2.0\r\n"
                       "Via: SIP/2.0/%s 10.1.2.3;branch=z9hG4bKbad%zu%d\r\n"
                       "From: <sip:201@lab.example>;tag=1\r\nTo: <sip:202@lab.example>\r\n"
                       "Call-ID: bad%zu\r\nCSeq: %d INVITE\r\n%s%s%sContent-Length: 0\r\n\r\n",
                       p.tcp ? "TCP" : "UDP", i, round, i, round + 1,
                       i < first ? contacts[i] : "Contact: <sip:201@10.1.2.3>\r\n",
                       i < first ? "" : routes[i - first],
                       round ? phone_credentials(&p, "INVITE", "sip:202@lab.example", DIGEST_SHA256)
                             : "");
            assert_true(phone_read_within(&p, PATIENCE_MS));
            if (phone_status(&p) == 400)
                break;
        }
        assert_int_equal(phone_status(&p), 400);
    }
    assert_string_equal(lab->log, "");
}

#define BOTH(test)                                      \
    {#test " (udp)", test, setup_udp, teardown, NULL},  \
    {                                                   \
#test " (tcp)", test, setup_tcp, teardown, NULL \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(phone_holds_and_resumes),
        BOTH(gateway_holds_and_resumes),
        BOTH(glare_is_refused_and_retried),
        BOTH(updates_do_not_overtake),
        BOTH(invite_without_offer_is_offered),
        BOTH(ack_without_answer_ends),
        BOTH(strange_numbers_are_no_numbers),
        BOTH(caller_gives_up),
        BOTH(cancel_comes_too_late),
        BOTH(gateway_refuses),
        BOTH(early_media_comes_before_the_answer),
        BOTH(no_common_codec_leaves_the_call),
        {"answer_is_repeated_until_the_ack", answer_is_repeated_until_the_ack, setup_udp, teardown,
         NULL},
        BOTH(gateway_ends_before_the_ack),
        BOTH(digits_come_by_info),
        BOTH(odd_requests_in_a_dialog),
        BOTH(bad_targets_make_no_dialog),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
