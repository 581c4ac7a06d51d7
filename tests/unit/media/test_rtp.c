#include "tests/unit/media/unit.h"

#include "media/rtp.h"

static void headers_are_read(void **state)
{
    static const struct {
        const char *what;
        uint8_t packet[32];
        size_t bytes;
        int error;
        size_t payload_at, payload_bytes;
    } cases[] = {
        {"plain", {0x80, 0x08, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xaa, 0xbb}, 14, 0, 12, 2},
        {"no payload", {0x80}, 12, 0, 12, 0},
        {"short", {0x80}, 11, -EBADMSG, 0, 0},
        {"nothing", {0}, 0, -EBADMSG, 0, 0},
        {"version 1", {0x40}, 12, -EBADMSG, 0, 0},
        {"two contributors", {0x82}, 21, 0, 20, 1},
        {"contributors cut off", {0x8f}, 20, -EBADMSG, 0, 0},
        {"extension", {0x90, [14] = 0, [15] = 1}, 21, 0, 20, 1},
        {"extension cut off", {0x90, [14] = 0, [15] = 2}, 21, -EBADMSG, 0, 0},
        {"extension's head cut off", {0x90}, 15, -EBADMSG, 0, 0},
        {"extension longer than all", {0x90, [14] = 0xff, [15] = 0xff}, 32, -EBADMSG, 0, 0},
        {"padding", {0xa0, [15] = 3}, 16, 0, 12, 1},
        {"all is padding", {0xa0, [15] = 4}, 16, 0, 12, 0},
        {"padding into the header", {0xa0, [15] = 5}, 16, -EBADMSG, 0, 0},
        {"padding of none", {0xa0, [15] = 0}, 16, -EBADMSG, 0, 0},
        {"padding longer than all", {0xa0, [15] = 255}, 16, -EBADMSG, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct rtp_header rtp;
        print_message("  %s\n", cases[i].what);
        assert_int_equal(rtp_parse(cases[i].packet, cases[i].bytes, &rtp), cases[i].error);
        if (cases[i].error)
            continue;
        assert_ptr_equal(rtp.payload, cases[i].packet + cases[i].payload_at);
        assert_int_equal(rtp.payload_bytes, cases[i].payload_bytes);
    }
}

static void headers_survive_the_round_trip(void **state)
{
    const struct rtp_header out = {.marker = true,
                                   .payload_type = 111,
                                   .sequence = 0xfffe,
                                   .timestamp = 0x89abcdef,
                                   .ssrc = 0xdeadbeef};
    uint8_t packet[RTP_HEADER_BYTES];
    struct rtp_header in;
    (void)state;
    rtp_write(packet, &out);
    assert_int_equal(rtp_parse(packet, sizeof packet, &in), 0);
    assert_true(in.marker);
    assert_int_equal(in.payload_type, 111);
    assert_int_equal(in.sequence, 0xfffe);
    assert_int_equal(in.timestamp, 0x89abcdef);
    assert_int_equal(in.ssrc, 0xdeadbeef);
}

static void rtcp_is_told_apart(void **state)
{
    (void)state;
    for (int second = 0; second < 256; second++) {
        const uint8_t packet[2] = {0x80, (uint8_t)second};
        assert_int_equal(rtp_is_rtcp(packet, 2), second >= 192 && second <= 223);
        assert_false(rtp_is_rtcp(packet, 1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_are_read),
        cmocka_unit_test(headers_survive_the_round_trip),
        cmocka_unit_test(rtcp_is_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
