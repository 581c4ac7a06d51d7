/* Session descriptions: reading, agreeing, writing. */
#include "sip/sdp.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HEAD "v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n"

static struct sdp sdp;

static int parse(const char *text)
{
    return sdp_parse(text, strlen(text), &sdp);
}

static struct sip_local_audio local_of(const char *codecs)
{
    struct sip_local_audio local = {.direction = MEDIA_SENDRECV};
    char copy[64], *word, *rest;

    address_parse("203.0.113.5:40000", &local.address);
    snprintf(copy, sizeof copy, "%s", codecs);
    for (word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        codec_find(word, &local.codecs.codec[local.codecs.count++]);
    return local;
}

/* ---- what is no description ---- */

static void malformed_is_refused(void **state)
{
    static const struct {
        const char *text;
        int err;
    } cases[] = {
        {"", -EINVAL},
        {"\r\n\r\n", -EINVAL},
        {"hello", -EINVAL},
        {"o=- 1 1 IN IP4 192.0.2.7\r\nv=0\r\n", -EINVAL},
        {"v=1\r\n", -EINVAL},
        {"v=0\r\nnonsense\r\n", -EINVAL},
        {HEAD "m=audio\r\n", -EINVAL},
        {HEAD "m=audio 5004\r\n", -EINVAL},
        {HEAD "m=audio x RTP/AVP 0\r\n", -EINVAL},
        {HEAD "m=audio -5 RTP/AVP 0\r\n", -EINVAL},
        {HEAD "m=audio 65536 RTP/AVP 0\r\n", -EINVAL},
        {HEAD "m=audio 99999999999999999999 RTP/AVP 0\r\n", -EINVAL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(parse(cases[i].text), cases[i].err);
}

/* These make other parsers run for ever. */
static void strange_formats_end_at_once(void **state)
{
    static const char *const lines[] = {
        "m=image 4000 udptl \t",           "m=audio 4000 udptl , ;",
        "m=message 4000 foo \x01",         "m=audio 4000 RTP/AVP",
        "m=audio 4000 RTP/AVP 0 \t , ; 8", "m=audio 4000 RTP/AVP 256 -1 999999999999 0x8",
    };
    char text[512];

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        snprintf(text, sizeof text, HEAD "%s\r\n", lines[i]);
        assert_int_equal(parse(text), 0);
        assert_int_equal(sdp.media_count, 1);
    }
}

static void bounds_hold(void **state)
{
    static char text[3 * SDP_BYTES_MAX];
    size_t used;

    (void)state;
    used = (size_t)snprintf(text, sizeof text, HEAD);
    for (int i = 0; i <= SDP_MEDIA_MAX; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "m=audio 4000 RTP/AVP 0\r\n");
    assert_int_equal(parse(text), -E2BIG);
    memset(text, 'a', sizeof text - 1);
    assert_int_equal(parse(text), -E2BIG);
    used = (size_t)snprintf(text, sizeof text, HEAD "m=audio 4000 RTP/AVP");
    for (int i = 0; i < 200; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, " %d", i % 128);
    assert_int_equal(parse(text), 0);
    assert_int_equal(sdp.media[0].format_count, SDP_FORMATS_MAX);
}

/* ---- answering ---- */

static void offers_are_answered(void **state)
{
    static const struct {
        const char *media, *ours;
        int err;
        enum codec codec;
        int payload_type, event, ptime_ms;
        enum media_direction direction;
        const char *remote, *rtcp; /* "" when the family is 0 */
    } cases[] = {
        /* our order decides */
        {"m=audio 5004 RTP/AVP 0 8\r\n", "pcma pcmu", 0, CODEC_PCMA, 8, -1, 20, MEDIA_SENDRECV,
         "192.0.2.7:5004", ""},
        /* dynamic types, with their numbers kept */
        {"m=audio 5004 RTP/AVP 107 8 126\r\na=rtpmap:107 opus/48000/2\r\n"
         "a=rtpmap:126 telephone-event/8000\r\na=ptime:40\r\n",
         "opus pcma", 0, CODEC_OPUS, 107, 126, 40, MEDIA_SENDRECV, "192.0.2.7:5004", ""},
        {"m=audio 5004 RTP/AVP 9\r\n", "opus g722", 0, CODEC_G722, 9, -1, 20, MEDIA_SENDRECV,
         "192.0.2.7:5004", ""},
        {"m=audio 5004 RTP/AVP 9\r\na=rtpmap:9 G722/16000\r\n", "g722", 0, CODEC_G722, 9, -1, 20,
         MEDIA_SENDRECV, "192.0.2.7:5004", ""},
        /* another clock is another codec */
        {"m=audio 5004 RTP/AVP 97\r\na=rtpmap:97 PCMU/16000\r\n", "pcmu", -ENOTSUP, 0, 0, 0, 0, 0,
         "", ""},
        {"m=audio 5004 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/48000\r\n", "pcmu", 0,
         CODEC_PCMU, 0, -1, 20, MEDIA_SENDRECV, "192.0.2.7:5004", ""},
        /* a static number with a map of its own is what the map says */
        {"m=audio 5004 RTP/AVP 0\r\na=rtpmap:0 speex/8000\r\n", "pcmu", -ENOTSUP, 0, 0, 0, 0, 0, "",
         ""},
        /* hold, in its forms */
        {"m=audio 5004 RTP/AVP 0\r\na=sendonly\r\n", "pcmu", 0, CODEC_PCMU, 0, -1, 20,
         MEDIA_RECVONLY, "192.0.2.7:5004", ""},
        {"m=audio 5004 RTP/AVP 0\r\na=recvonly\r\n", "pcmu", 0, CODEC_PCMU, 0, -1, 20,
         MEDIA_SENDONLY, "192.0.2.7:5004", ""},
        {"m=audio 5004 RTP/AVP 0\r\na=inactive\r\n", "pcmu", 0, CODEC_PCMU, 0, -1, 20,
         MEDIA_INACTIVE, "192.0.2.7:5004", ""},
        {"m=audio 5004 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\n", "pcmu", 0, CODEC_PCMU, 0, -1, 20,
         MEDIA_RECVONLY, "", ""},
        {"m=audio 5004 RTP/AVP 0\r\nc=IN IP6 ::\r\na=sendonly\r\n", "pcmu", 0, CODEC_PCMU, 0, -1,
         20, MEDIA_RECVONLY, "", ""},
        /* addresses */
        {"m=audio 5004 RTP/AVP 0\r\nc=IN IP6 2001:db8::9\r\n", "pcmu", 0, CODEC_PCMU, 0, -1, 20,
         MEDIA_SENDRECV, "[2001:db8::9]:5004", ""},
        {"m=audio 5004 RTP/AVP 0\r\nc=IN IP6 ::ffff:198.51.100.1\r\n", "pcmu", 0, CODEC_PCMU, 0, -1,
         20, MEDIA_SENDRECV, "198.51.100.1:5004", ""},
        {"m=audio 5004 RTP/AVP 0\r\nc=IN IP4 phone.example\r\n", "pcmu", 0, CODEC_PCMU, 0, -1, 20,
         MEDIA_SENDRECV, "", ""},
        {"m=audio 5004 RTP/AVP 0\r\nc=IN IP4 224.2.1.1/127\r\n", "pcmu", 0, CODEC_PCMU, 0, -1, 20,
         MEDIA_SENDRECV, "", ""},
        {"m=audio 5004 RTP/AVP 0\r\na=rtcp:5010\r\n", "pcmu", 0, CODEC_PCMU, 0, -1, 20,
         MEDIA_SENDRECV, "192.0.2.7:5004", "192.0.2.7:5010"},
        {"m=audio 5004 RTP/AVP 0\r\na=rtcp:5010 IN IP4 198.51.100.9\r\n", "pcmu", 0, CODEC_PCMU, 0,
         -1, 20, MEDIA_SENDRECV, "192.0.2.7:5004", "198.51.100.9:5010"},
        /* packet times out of the ordinary */
        {"m=audio 5004 RTP/AVP 0\r\na=ptime:1000\r\n", "pcmu", 0, CODEC_PCMU, 0, -1, 120,
         MEDIA_SENDRECV, "192.0.2.7:5004", ""},
        {"m=audio 5004 RTP/AVP 0\r\na=ptime:60\r\na=maxptime:30\r\n", "pcmu", 0, CODEC_PCMU, 0, -1,
         30, MEDIA_SENDRECV, "192.0.2.7:5004", ""},
        /* what we do not do */
        {"m=audio 5004 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\n", "pcmu",
         -ENOTSUP, 0, 0, 0, 0, 0, "", ""},
        {"m=audio 5004 UDP/TLS/RTP/SAVPF 0\r\n", "pcmu", -ENOTSUP, 0, 0, 0, 0, 0, "", ""},
        {"m=audio 0 RTP/AVP 0\r\n", "pcmu", -ENOTSUP, 0, 0, 0, 0, 0, "", ""},
        {"m=video 5004 RTP/AVP 34\r\n", "pcmu", -ENOTSUP, 0, 0, 0, 0, 0, "", ""},
        {"m=audio 5004 RTP/AVP 18 3\r\n", "pcmu", -ENOTSUP, 0, 0, 0, 0, 0, "", ""},
        {"", "pcmu", -ENOTSUP, 0, 0, 0, 0, 0, "", ""},
        /* AVPF is plain RTP too */
        {"m=audio 5004 RTP/AVPF 8\r\n", "pcma", 0, CODEC_PCMA, 8, -1, 20, MEDIA_SENDRECV,
         "192.0.2.7:5004", ""},
    };
    char text[1024], shown[ADDRESS_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sip_local_audio local = local_of(cases[i].ours);
        struct sip_audio audio;
        int accepted;

        snprintf(text, sizeof text, HEAD "%s", cases[i].media);
        assert_int_equal(parse(text), 0);
        if (sdp_negotiate_answer(&sdp, &local, &audio, &accepted) != cases[i].err)
            fail_msg("case %zu: %s", i, cases[i].media);
        if (cases[i].err)
            continue;
        assert_int_equal(audio.codec, cases[i].codec);
        assert_int_equal(audio.payload_type, cases[i].payload_type);
        assert_int_equal(audio.event_payload_type, cases[i].event);
        assert_int_equal(audio.ptime_ms, cases[i].ptime_ms);
        assert_int_equal(audio.direction, cases[i].direction);
        assert_int_equal(audio.receive_count, 1);
        assert_string_equal(audio.remote.ss_family ? address_format(&audio.remote, shown) : "",
                            cases[i].remote);
        assert_string_equal(audio.remote_rtcp.ss_family ? address_format(&audio.remote_rtcp, shown)
                                                        : "",
                            cases[i].rtcp);
    }
}

static void hold_of_the_session_reaches_the_stream(void **state)
{
    struct sip_local_audio local = local_of("pcmu");
    struct sip_audio audio;
    int accepted;

    (void)state;
    assert_int_equal(parse(HEAD "a=sendonly\r\nm=audio 5004 RTP/AVP 0\r\n"), 0);
    assert_int_equal(sdp_negotiate_answer(&sdp, &local, &audio, &accepted), 0);
    assert_int_equal(audio.direction, MEDIA_RECVONLY);
    local.direction = MEDIA_SENDONLY; /* both hold */
    assert_int_equal(sdp_negotiate_answer(&sdp, &local, &audio, &accepted), 0);
    assert_int_equal(audio.direction, MEDIA_INACTIVE);
}

static void other_streams_are_answered_with_port_0(void **state)
{
    static const char offer[] =
        HEAD "m=video 6000 RTP/AVP 96 97\r\nm=audio 6002 RTP/SAVP 0\r\n"
             "m=audio 6004 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n"
             "m=application 6006 TCP/BFCP *\r\nm=audio 6008 RTP/AVP 0\r\n";
    struct sip_local_audio local = local_of("pcma pcmu");
    struct sdp_origin origin = {7, 3};
    struct sip_audio audio;
    char text[SDP_TEXT_MAX];
    int accepted;

    (void)state;
    assert_int_equal(parse(offer), 0);
    assert_int_equal(sdp_negotiate_answer(&sdp, &local, &audio, &accepted), 0);
    assert_int_equal(accepted, 2);
    assert_true(sdp_write_answer(&origin, &local, &sdp, accepted, &audio, text) > 0);
    assert_string_equal(text, "v=0\r\no=- 7 3 IN IP4 203.0.113.5\r\ns=sallyport\r\n"
                              "c=IN IP4 203.0.113.5\r\nt=0 0\r\n"
                              "m=video 0 RTP/AVP 96\r\nm=audio 0 RTP/SAVP 0\r\n"
                              "m=audio 40000 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\n"
                              "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
                              "a=ptime:20\r\na=sendrecv\r\n"
                              "m=application 0 TCP/BFCP *\r\nm=audio 0 RTP/AVP 0\r\n");
}

/* ---- offering ---- */

static void offer_says_what_we_have(void **state)
{
    struct sip_local_audio local = local_of("opus g722 pcma");
    struct sdp_origin origin = {5, 1};
    char text[SDP_TEXT_MAX];

    (void)state;
    local.direction = MEDIA_SENDONLY;
    assert_true(sdp_write_offer(&origin, &local, text) > 0);
    assert_string_equal(text, "v=0\r\no=- 5 1 IN IP4 203.0.113.5\r\ns=sallyport\r\n"
                              "c=IN IP4 203.0.113.5\r\nt=0 0\r\n"
                              "m=audio 40000 RTP/AVP 96 9 8 101\r\n"
                              "a=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1\r\n"
                              "a=rtpmap:9 G722/8000\r\na=rtpmap:8 PCMA/8000\r\n"
                              "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
                              "a=ptime:20\r\na=sendonly\r\n");
}

static void answers_are_evaluated(void **state)
{
    struct sip_local_audio local = local_of("opus pcma pcmu");
    struct sip_audio audio;

    (void)state;
    /* It chose; we send by its number, it sends by ours. */
    assert_int_equal(parse(HEAD "m=audio 5004 RTP/AVP 0 111\r\na=rtpmap:111 opus/48000/2\r\n"), 0);
    assert_int_equal(sdp_negotiate_offer(&sdp, &local, &audio), 0);
    assert_int_equal(audio.codec, CODEC_PCMU);
    assert_int_equal(audio.payload_type, 0);
    assert_int_equal(audio.receive_count, 2);
    assert_int_equal(audio.receive[1].codec, CODEC_OPUS);
    assert_int_equal(audio.receive[1].payload_type, SDP_OPUS_TYPE);
    assert_int_equal(parse(HEAD "m=audio 0 RTP/AVP 0\r\n"), 0);
    assert_int_equal(sdp_negotiate_offer(&sdp, &local, &audio), -ENOTSUP);
    assert_int_equal(parse(HEAD "m=audio 5004 RTP/AVP 9\r\n"), 0);
    assert_int_equal(sdp_negotiate_offer(&sdp, &local, &audio), -ENOTSUP);
    assert_int_equal(parse(HEAD), 0);
    assert_int_equal(sdp_negotiate_offer(&sdp, &local, &audio), -ENOTSUP);
}

static void what_we_write_we_can_read(void **state)
{
    struct sip_local_audio local = local_of("opus g722 pcma pcmu");
    struct sdp_origin origin = {UINT64_MAX, UINT64_MAX};
    char text[SDP_TEXT_MAX];
    struct codec_list codecs;

    (void)state;
    address_parse("[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:65534", &local.address);
    assert_true(sdp_write_offer(&origin, &local, text) > 0);
    assert_int_equal(parse(text), 0);
    sdp_codecs(&sdp, &codecs);
    assert_int_equal(codecs.count, 4);
    assert_int_equal(codecs.codec[0], CODEC_OPUS);
    assert_int_equal(sdp_direction(&sdp), MEDIA_SENDRECV);
    assert_int_equal(sdp.address.ss_family, AF_INET6);
}

/* The largest offer that is let in must have an answer that fits. */
static void largest_offer_has_an_answer(void **state)
{
    struct sip_local_audio local = local_of("pcmu");
    struct sdp_origin origin = {UINT64_MAX, UINT64_MAX};
    struct sip_audio audio;
    char offer[4096], text[SDP_TEXT_MAX];
    size_t used;
    int accepted;

    (void)state;
    used = (size_t)snprintf(offer, sizeof offer, HEAD);
    for (int i = 1; i < SDP_MEDIA_MAX; i++)
        used += (size_t)snprintf(offer + used, sizeof offer - used,
                                 "m=abcdefghijklmnopqrs 65535 "
                                 "abcdefghijklmnopqrstuvwxyz12345 abcdefghijklmnopqrstuvw\r\n");
    snprintf(offer + used, sizeof offer - used, "m=audio 5004 RTP/AVP 0\r\n");
    assert_int_equal(parse(offer), 0);
    assert_int_equal(sdp_negotiate_answer(&sdp, &local, &audio, &accepted), 0);
    assert_true(sdp_write_answer(&origin, &local, &sdp, accepted, &audio, text) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_is_refused),
        cmocka_unit_test(strange_formats_end_at_once),
        cmocka_unit_test(bounds_hold),
        cmocka_unit_test(offers_are_answered),
        cmocka_unit_test(hold_of_the_session_reaches_the_stream),
        cmocka_unit_test(other_streams_are_answered_with_port_0),
        cmocka_unit_test(offer_says_what_we_have),
        cmocka_unit_test(answers_are_evaluated),
        cmocka_unit_test(what_we_write_we_can_read),
        cmocka_unit_test(largest_offer_has_an_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
