#include "tests/unit/media/fixture.h"

#include "media/rtcp.h"
#include "media/srtp.h"

static struct srtp_link *near, *far;

static int setup(void **state)
{
    const struct media_leg first = wire_leg(NULL, CODEC_OPUS, true);
    const struct media_leg second = wire_leg(NULL, CODEC_OPUS, false);
    (void)state;
    return srtp_start() || srtp_link_new(&first, &near) || srtp_link_new(&second, &far);
}

static int teardown(void **state)
{
    (void)state;
    srtp_link_free(near);
    srtp_link_free(far);
    return 0;
}

static size_t make(uint8_t *packet, uint16_t sequence, uint32_t ssrc)
{
    const struct rtp_header rtp = {.payload_type = 111, .sequence = sequence, .ssrc = ssrc};
    rtp_write(packet, &rtp);
    memset(packet + RTP_HEADER_BYTES, 0x55, 60);
    return RTP_HEADER_BYTES + 60;
}

static size_t protect(uint8_t *packet, uint16_t sequence)
{
    size_t bytes = make(packet, sequence, 0xbbbb);
    assert_int_equal(srtp_link_protect(near, false, packet, &bytes), 0);
    return bytes;
}

static void packets_pass_and_are_hidden(void **state)
{
    uint8_t packet[256], plain[256];
    (void)state;
    make(plain, 5, 0xbbbb);
    size_t bytes = protect(packet, 5);
    assert_int_equal(bytes, RTP_HEADER_BYTES + 60 + 16);
    assert_memory_not_equal(packet + RTP_HEADER_BYTES, plain + RTP_HEADER_BYTES, 60);
    assert_int_equal(srtp_link_unprotect(far, false, packet, &bytes), 0);
    assert_int_equal(bytes, RTP_HEADER_BYTES + 60);
    assert_memory_equal(packet, plain, bytes);
}

static void the_same_packet_passes_once(void **state)
{
    uint8_t packet[256], copy[256];
    (void)state;
    size_t bytes = protect(packet, 5), again = bytes;
    memcpy(copy, packet, bytes);
    assert_int_equal(srtp_link_unprotect(far, false, packet, &bytes), 0);
    assert_int_equal(srtp_link_unprotect(far, false, copy, &again), -EEXIST);
    /* and is never sent twice: its nonce would be */
    bytes = make(packet, 5, 0xbbbb);
    assert_int_equal(srtp_link_protect(near, false, packet, &bytes), -EEXIST);
}

static void old_packets_are_told_from_new(void **state)
{
    uint8_t old[256], packet[256];
    (void)state;
    size_t old_bytes = protect(old, 1), bytes = 0;
    for (uint16_t sequence = 2; sequence < 1000; sequence++) {
        bytes = protect(packet, sequence);
        assert_int_equal(srtp_link_unprotect(far, false, packet, &bytes), 0);
    }
    assert_int_equal(srtp_link_unprotect(far, false, old, &old_bytes), -ETIME);
}

/* Two ways for a while: each packet of half a second twice, the slower way's after the others'. */
static void half_a_second_may_come_twice(void **state)
{
    enum { PACKETS = 50 }; /* of 10 ms */
    uint8_t first[PACKETS][256], second[PACKETS][256];
    size_t bytes[PACKETS];
    (void)state;
    for (uint16_t i = 0; i < PACKETS; i++) {
        bytes[i] = protect(first[i], (uint16_t)(500 + i));
        memcpy(second[i], first[i], sizeof first[i]);
    }
    for (int i = PACKETS - 1; i >= 0; i--) { /* and in the worst of all orders */
        size_t length = bytes[i];
        assert_int_equal(srtp_link_unprotect(far, false, first[i], &length), 0);
    }
    for (int i = 0; i < PACKETS; i++)
        assert_int_equal(srtp_link_unprotect(far, false, second[i], &bytes[i]), -EEXIST);
}

static void forgeries_are_refused(void **state)
{
    uint8_t packet[256];
    (void)state;
    for (size_t at = 0; at < 88; at++) {
        size_t bytes = protect(packet, (uint16_t)(10 + at));
        packet[at] ^= 0x01;
        assert_true(srtp_link_unprotect(far, false, packet, &bytes) < 0);
    }
    for (size_t cut = 0; cut < 88; cut++) {
        protect(packet, (uint16_t)(200 + cut));
        size_t bytes = cut;
        if (cut >= 28) /* shorter ones do not get so far, see leg_peer.c */
            assert_int_equal(srtp_link_unprotect(far, false, packet, &bytes), -EBADMSG);
    }
    size_t bytes = make(packet, 1, 0xcccc); /* another stream */
    assert_int_equal(srtp_link_protect(near, false, packet, &bytes), -EBADMSG);
}

static void reports_pass_too(void **state)
{
    uint8_t packet[RTCP_PACKET_MAX + SRTP_TRAILER_MAX], copy[sizeof packet];
    const struct rtcp_out out = {.ssrc = 0xbbbb, .cname = "x", .is_sender = true, .ntp = 77};
    struct rtcp_in in;
    (void)state;
    size_t bytes = rtcp_write(packet, &out);
    assert_int_equal(srtp_link_protect(near, true, packet, &bytes), 0);
    assert_true(rtp_is_rtcp(packet, bytes));
    size_t again = bytes;
    memcpy(copy, packet, bytes);
    assert_int_equal(srtp_link_unprotect(far, true, packet, &bytes), 0);
    assert_int_equal(rtcp_parse(packet, bytes, 1, &in), 0);
    assert_true(in.ntp == 77);
    assert_int_equal(srtp_link_unprotect(far, true, copy, &again), -EEXIST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(packets_pass_and_are_hidden, setup, teardown),
        cmocka_unit_test_setup_teardown(the_same_packet_passes_once, setup, teardown),
        cmocka_unit_test_setup_teardown(old_packets_are_told_from_new, setup, teardown),
        cmocka_unit_test_setup_teardown(half_a_second_may_come_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(forgeries_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(reports_pass_too, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
