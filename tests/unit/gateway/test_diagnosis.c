/* One sentence about a call, by what is known of it. */
#include "gateway/diagnosis.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct diagnosis_facts facts;
static struct media_stats stats[2];

/* A call of phone 201 to 301@paris that talked for a minute, with nothing wrong. */
static int setup(void **state)
{
    (void)state;
    memset(stats, 0, sizeof stats);
    facts = (struct diagnosis_facts){
        .was_answered = true,
        .talk_ms = 60000,
        .cause = call_cause(CALL_NORMAL, ""),
        .ended_by = MEDIA_A,
        .has_arrived = true,
        .path = "udp 192.0.2.1:4000",
        .last_move = "",
        .reach = "",
        .no_supernode = "",
        .refused_from = "",
        .legs = {{DIAGNOSIS_PHONE, "201", true, {0}, &stats[0], 5},
                 {DIAGNOSIS_NODE, "301@paris", true, {0}, &stats[1], 5}},
    };
    for (int side = 0; side < 2; side++) {
        stats[side].packets_in = stats[side].packets_out = 3000;
        stats[side].longest_gap_us = 19500;
    }
    stats[1].round_trip_us = 42100;
    address_parse("10.0.0.5:4000", &facts.legs[0].named);
    return 0;
}

static void check(const char *wanted)
{
    char text[DIAGNOSIS_MAX];

    diagnosis_write(&facts, text);
    if (strncmp(text, wanted, strlen(wanted)) != 0)
        print_error("wanted: %s\nsaid:   %s\n", wanted, text);
    assert_int_equal(strncmp(text, wanted, strlen(wanted)), 0);
    assert_true(text[strlen(text) - 1] == '.');
}

static void good_calls_tell_how_they_travelled(void **state)
{
    static const struct {
        const char *path, *reach, *said;
        unsigned moves;
    } cases[] = {
        {"udp 192.0.2.1:4000", "",
         "Good call: direct over UDP, 42 ms round trip, no gap longer than 20 ms.", 0},
        {"udp 192.0.2.1:4000", "",
         "Good call: direct over UDP, 42 ms round trip, no gap longer than 20 ms, the path moved "
         "once.",
         1},
        {"tcp 192.0.2.1:443", "UDP is blocked here",
         "Good call: direct over TCP, because UDP is blocked here, 42 ms round trip", 0},
        {"relay tcp r.example:443", "UDP is blocked here",
         "Good call: through a relay (relay tcp r.example:443), because UDP is blocked here, 42",
         0},
        {"relay tcp r.example:443", "", "Good call: through a relay (relay tcp r.example:443), 42",
         0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        facts.path = cases[i].path;
        facts.reach = cases[i].reach;
        facts.moves = cases[i].moves;
        check(cases[i].said);
    }
    facts.is_live = true;
    check("Good so far: ");
    facts.is_live = false;
    facts.talk_ms = 900;
    check("Short call: ");
    facts.talk_ms = 60000;
    facts.legs[1].kind = DIAGNOSIS_PHONE;
    facts.path = "";
    check("Good call: inside the site, no gap longer than 20 ms.");
}

static void calls_that_were_not_answered_say_why(void **state)
{
    static const struct {
        enum call_reason reason;
        const char *text;
        enum diagnosis_kind kind;
        bool has_arrived;
        const char *to, *said;
    } cases[] = {
        {CALL_NOT_FOUND, "", DIAGNOSIS_NONE, false, "999", "No such number: no phone and no route"},
        {CALL_NOT_FOUND, "nobody serves rome", DIAGNOSIS_NODE, false, "1@rome",
         "No such site: nobody in the realm serves rome."},
        {CALL_NOT_FOUND, "No such number", DIAGNOSIS_NODE, true, "9@paris",
         "Site paris has no such number: 9@paris."},
        {CALL_UNAVAILABLE, "paris is offline", DIAGNOSIS_NODE, false, "301@paris",
         "Site paris is offline: its node is attached to no supernode."},
        {CALL_UNAVAILABLE, "the directory does not answer for paris", DIAGNOSIS_NODE, false,
         "301@paris", "The supernodes did not answer when they were asked for paris"},
        {CALL_UNAVAILABLE, "Phone is not registered", DIAGNOSIS_NODE, true, "301@paris",
         "At site paris: Phone is not registered. `sallyport why` there"},
        {CALL_UNAVAILABLE, "Phone is not registered", DIAGNOSIS_PHONE, false, "202",
         "Phone 202 is not registered."},
        {CALL_UNAVAILABLE, "The phone does not answer", DIAGNOSIS_PHONE, false, "202",
         "Phone 202 does not answer where it registered"},
        {CALL_NOT_ACCEPTABLE, "No common codec", DIAGNOSIS_PHONE, false, "202",
         "No common codec between 201 and 202. Add one that both ends have to "
         "media.codecs."},
        {CALL_NO_SUPERNODE, "", DIAGNOSIS_NODE, false, "301@paris",
         "No supernode could be reached: h:443: connection refused: no other site"},
        {CALL_BUSY, "", DIAGNOSIS_PHONE, false, "202", "202 was busy."},
        {CALL_DECLINED, "", DIAGNOSIS_NODE, true, "301@paris", "301@paris declined the call."},
        {CALL_NO_ANSWER, "", DIAGNOSIS_PHONE, false, "202", "202 rang, and nobody answered."},
        {CALL_CANCELLED, "", DIAGNOSIS_PHONE, false, "202", "The caller hung up before 202"},
        {CALL_TIMEOUT, "the far node does not answer", DIAGNOSIS_NODE, true, "301@paris",
         "paris got the call but did not say anything for too long"},
        {CALL_FORBIDDEN, "policy", DIAGNOSIS_NODE, true, "301@paris",
         "301@paris does not allow the call: policy."},
        {CALL_CONGESTION, "No RTP port free", DIAGNOSIS_PHONE, false, "202",
         "The call to 202 failed: No RTP port free."},
        {CALL_FAILURE, "", DIAGNOSIS_PHONE, false, "202", "The call to 202 failed: "},
    };

    (void)state;
    facts.was_answered = false;
    facts.no_supernode = "h:443: connection refused";
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        facts.cause = call_cause(cases[i].reason, cases[i].text);
        facts.legs[1].kind = cases[i].kind;
        facts.legs[1].name = cases[i].to;
        facts.has_arrived = cases[i].has_arrived;
        check(cases[i].said);
    }
}

static void a_phone_that_could_not_register_is_told_why(void **state)
{
    (void)state;
    facts.was_answered = false;
    facts.legs[1].kind = DIAGNOSIS_PHONE;
    facts.legs[1].name = "202";
    facts.cause = call_cause(CALL_UNAVAILABLE, "Phone is not registered");
    facts.refused_from = "10.0.0.9:5060";
    check("Phone 202 is not registered: it tried from 10.0.0.9:5060 with a wrong password.");
}

static void what_is_still_being_set_up_says_how_far_it_is(void **state)
{
    (void)state;
    facts.is_live = true;
    facts.was_answered = facts.has_arrived = false;
    check("Still being set up: the far site has not been reached yet.");
    facts.has_arrived = true;
    check("Still being set up: the far node has the call");
    facts.is_ringing = true;
    check("301@paris rings; nobody has answered yet.");
}

static void refusals_name_the_mistake(void **state)
{
    static const struct {
        enum diagnosis_refusal refusal;
        const char *said;
    } cases[] = {
        {DIAGNOSIS_NO_SUCH_USER, "Refused: there is no phone \"201\" in the settings."},
        {DIAGNOSIS_WRONG_PASSWORD, "Refused: phone 201 sent a wrong password."},
        {DIAGNOSIS_UNKNOWN_CODECS, "Refused: phone 201 offered no codec that is known here."},
        {DIAGNOSIS_BAD_REQUEST, "Refused: the INVITE of phone 201 could not be understood"},
    };

    (void)state;
    facts = (struct diagnosis_facts){.legs[0].name = "201"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        facts.refusal = cases[i].refusal;
        check(cases[i].said);
    }
}

static void silence(int side)
{
    stats[side].packets_in = 0;
    stats[side].longest_gap_us = 0;
    facts.legs[side].first_voice_ms = 0;
}

static void one_way_audio_names_the_end(void **state)
{
    (void)state;
    silence(0);
    check(
        "One-way audio: no RTP came from phone 201, which should send it from 10.0.0.5:4000; look "
        "at the phone's microphone");
    stats[0].rejected = 3000;
    check(
        "One-way audio: no RTP came from phone 201, which should send it from 10.0.0.5:4000; 3000 "
        "packets of strangers");
    facts.legs[0].is_expected = false; /* it holds */
    check("Good call: ");
    setup(state);
    silence(1);
    check(
        "One-way audio: nothing came from 301@paris by udp 192.0.2.1:4000; `sallyport why` there");
    facts.path = "";
    facts.reach = "UDP is blocked at this end";
    check(
        "One-way audio: nothing came from 301@paris, because no path to it was ever found: UDP is "
        "blocked at this end.");
    silence(0);
    check("No audio: no RTP came from phone 201");
    facts.talk_ms = 400; /* too short to tell */
    check("Short call: ");
    facts.cause = call_cause(CALL_MEDIA_TIMEOUT, "No media");
    check("No audio: ");
}

static void sound_that_went_wrong_says_where(void **state)
{
    (void)state;
    stats[1].longest_gap_us = 280000;
    stats[1].gaps = 1;
    check("Sound from 301@paris was interrupted 1 time, at most for 280 ms on udp 192.0.2.1:4000");
    facts.moves = 1;
    facts.last_move = "moved from udp to relay: silent for 300 ms";
    check(
        "Sound from 301@paris was interrupted 1 time, at most for 280 ms; the path moved from udp "
        "to relay: silent for 300 ms.");
    facts.moves = 3;
    check(
        "Sound from 301@paris was interrupted 1 time, at most for 280 ms; the path moved 3 times, "
        "the last time it moved from udp");
    stats[0].longest_gap_us = 2000000;
    stats[0].gaps = 7;
    check("Sound from 201 was interrupted 7 times, at most for 2000 ms: the network between");
    setup(state);
    stats[1].lost = 158;
    check("Bad sound from 301@paris: 5.0 % of its packets were lost or late on udp");
    setup(state);
    stats[0].late = 200;
    check("Bad sound from 201: 6.6 % of its packets were lost or late between the phone");
}

static void calls_that_broke_say_what_broke_them(void **state)
{
    (void)state;
    facts.cause = call_cause(CALL_MEDIA_TIMEOUT, "No media");
    facts.ended_by = MEDIA_A;
    check("Ended because no sound came from 201 any more: the phone crashed");
    facts.ended_by = MEDIA_B;
    check("Ended because no sound came from 301@paris any more: its site lost its network");
    facts.is_path_lost = true;
    check("The path (udp 192.0.2.1:4000) died and no other way worked: something between");
    setup(state);
    facts.cause = call_cause(CALL_CONGESTION, "Media overload");
    check("It was up and then failed: Media overload.");
}

static void long_names_are_cut_off(void **state)
{
    static char name[400];
    char text[DIAGNOSIS_MAX];

    (void)state;
    memset(name, 'x', sizeof name - 1);
    facts.path = name;
    diagnosis_write(&facts, text);
    assert_int_equal(strlen(text), DIAGNOSIS_MAX - 1);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup(test, setup)
    const struct CMUnitTest tests[] = {
        TEST(good_calls_tell_how_they_travelled),
        TEST(calls_that_were_not_answered_say_why),
        TEST(a_phone_that_could_not_register_is_told_why),
        TEST(what_is_still_being_set_up_says_how_far_it_is),
        TEST(refusals_name_the_mistake),
        TEST(one_way_audio_names_the_end),
        TEST(sound_that_went_wrong_says_where),
        TEST(calls_that_broke_say_what_broke_them),
        TEST(long_names_are_cut_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
