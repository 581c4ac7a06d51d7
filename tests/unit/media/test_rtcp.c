#include "tests/unit/media/unit.h"

#include "media/rtcp.h"

static struct rtcp_out full(void)
{
    return (struct rtcp_out){
        .ssrc = 0x11111111,
        .cname = "sallyport-11111111",
        .is_sender = true,
        .ntp = 0x0123456789abcdef,
        .timestamp = 160,
        .packets = 50,
        .octets = 8000,
        .has_block = true,
        .about = 0x22222222,
        .block = {.fraction_lost = 64, .lost = -2, .highest = 0x10001, .jitter = 33},
        .last_report = 0x55556666,
        .since_last_report = 0x8000,
    };
}

static void reports_survive_the_round_trip(void **state)
{
    uint8_t packet[RTCP_PACKET_MAX];
    struct rtcp_in in;
    (void)state;
    for (int variant = 0; variant < 8; variant++) {
        struct rtcp_out out = full();
        out.is_sender = variant & 1;
        out.has_block = variant & 2;
        out.bye = variant & 4;
        size_t bytes = rtcp_write(packet, &out);
        assert_true(bytes <= sizeof packet && bytes % 4 == 0);
        assert_true(rtp_is_rtcp(packet, bytes));
        assert_int_equal(rtcp_parse(packet, bytes, 0x22222222, &in), 0);
        assert_int_equal(in.has_sender_report, out.is_sender);
        assert_int_equal(in.has_block, out.has_block);
        assert_int_equal(in.bye, out.bye);
        assert_int_equal(in.sender, 0x11111111);
        if (out.is_sender)
            assert_true(in.ntp == out.ntp);
        if (!out.has_block)
            continue;
        assert_int_equal(in.fraction_lost, 64);
        assert_int_equal(in.lost, -2);
        assert_int_equal(in.last_report, 0x55556666);
        assert_int_equal(in.since_last_report, 0x8000);
    }
}

static void blocks_about_others_are_skipped(void **state)
{
    uint8_t packet[RTCP_PACKET_MAX];
    struct rtcp_in in;
    const struct rtcp_out out = full();
    (void)state;
    assert_int_equal(rtcp_parse(packet, rtcp_write(packet, &out), 0x33333333, &in), 0);
    assert_false(in.has_block);
}

static void wrong_packets_are_refused(void **state)
{
    static const struct {
        const char *what;
        uint8_t packet[32];
        size_t bytes;
    } cases[] = {
        {"nothing", {0}, 0},
        {"short", {0x80, 201, 0, 1, 0, 0, 0}, 7},
        {"version", {0x40, 201, 0, 1}, 8},
        {"longer than all", {0x80, 201, 0, 2}, 8},
        {"block that is not there", {0x81, 201, 0, 1}, 8},
        {"sender report without figures", {0x80, 200, 0, 1}, 8},
        {"rest behind the last", {0x80, 201, 0, 1, 0, 0, 0, 1, 0x80, 203}, 10},
        {"second one of another version", {0x80, 201, 0, 1, 0, 0, 0, 1, 0, 203, 0, 0}, 12},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct rtcp_in in;
        print_message("  %s\n", cases[i].what);
        assert_int_equal(rtcp_parse(cases[i].packet, cases[i].bytes, 1, &in), -EBADMSG);
    }
}

/* Each cut of a good packet is refused or read as its whole first parts; never beyond its end. */
static void cuts_are_harmless(void **state)
{
    uint8_t packet[RTCP_PACKET_MAX];
    struct rtcp_out out = full();
    (void)state;
    out.bye = true;
    size_t bytes = rtcp_write(packet, &out);
    for (size_t cut = 0; cut < bytes; cut++) {
        uint8_t *copy = malloc(cut ? cut : 1);
        struct rtcp_in in;
        memcpy(copy, packet, cut);
        int error = rtcp_parse(copy, cut, 1, &in);
        assert_true(error == 0 || error == -EBADMSG);
        free(copy);
    }
}

static void round_trips_are_told(void **state)
{
    static const struct {
        uint32_t now, last, since, us;
        bool has_block;
    } cases[] = {
        {0x00020000, 0x00010000, 0x00008000, 500000, true},
        {0x00020000, 0x00010000, 0x00008000, 0, false},
        {0x00020000, 0, 0x00008000, 0, true},               /* no report of ours arrived yet */
        {0x00020000, 0x00010000, 0x00018000, 0, true},      /* negative: clocks lie */
        {0x00000000, 0xffff8000, 0x00000000, 500000, true}, /* wraps */
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct rtcp_in in = {.has_block = cases[i].has_block,
                                   .last_report = cases[i].last,
                                   .since_last_report = cases[i].since};
        assert_int_equal(rtcp_round_trip_us((uint64_t)cases[i].now << 16, &in), cases[i].us);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_survive_the_round_trip),
        cmocka_unit_test(blocks_about_others_are_skipped),
        cmocka_unit_test(wrong_packets_are_refused),
        cmocka_unit_test(cuts_are_harmless),
        cmocka_unit_test(round_trips_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
