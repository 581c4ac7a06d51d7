/* What a bridge promises, seen from the phones: echo, hold, strangers, digits, silence, files, and
 * that thousands of them come and go. */
#include "tests/unit/media/fixture.h"

#include <sndfile.h>

/* Two phones on one bridge. */
struct local {
    struct node node;
    struct phone a, b;
    struct media_leg leg_a, leg_b;
    struct call call;
};

static void local_open(struct local *local, enum codec a, enum codec b)
{
    node_open(&local->node, 1, 0);
    phone_open(&local->a, a);
    phone_open(&local->b, b);
    call_open(&local->node, &local->call, 0);
    local->leg_a = phone_leg(&local->node, &local->a);
    local->leg_b = phone_leg(&local->node, &local->b);
    assert_int_equal(media_bridge_set(local->call.bridge, MEDIA_A, &local->leg_a), 0);
    assert_int_equal(media_bridge_set(local->call.bridge, MEDIA_B, &local->leg_b), 0);
    node_run(&local->node, 20);
}

static void local_close(struct local *local)
{
    if (!local->call.closed)
        call_close(&local->node, &local->call);
    phone_close(&local->a);
    phone_close(&local->b);
    node_close(&local->node);
}

static void speak(struct local *local, struct phone *from, struct phone *to, int frames)
{
    for (int i = 0; i < frames; i++) {
        phone_speak(from, 440, 20);
        node_run(&local->node, 2);
    }
    node_run(&local->node, 20);
    phone_listen(to);
}

/* Numbers follow one another without a hole; timestamps never go back. */
static void assert_one_stream(const struct phone *phone)
{
    for (int i = 1; i < phone->arrived; i++) {
        assert_int_equal(phone->header[i].ssrc, phone->header[0].ssrc);
        assert_int_equal((uint16_t)(phone->header[i].sequence - phone->header[i - 1].sequence), 1);
        assert_true((int32_t)(phone->header[i].timestamp - phone->header[i - 1].timestamp) >= 0);
    }
}

static void hold_and_resume_keep_the_stream(void **state)
{
    static const enum codec other[] = {CODEC_PCMA, CODEC_PCMU};
    (void)state;
    for (int i = 0; i < 2; i++) { /* forwarded, transcoded */
        struct local local;
        local_open(&local, CODEC_PCMA, other[i]);
        speak(&local, &local.a, &local.b, 10);
        assert_int_equal(local.b.arrived, 10);

        local.leg_b.direction = MEDIA_RECVONLY; /* b holds: hears nothing */
        assert_int_equal(media_bridge_set(local.call.bridge, MEDIA_B, &local.leg_b), 0);
        node_run(&local.node, 50);
        speak(&local, &local.a, &local.b, 10);
        assert_int_equal(local.b.arrived, 10);

        local.leg_b.direction = MEDIA_SENDRECV;
        assert_int_equal(media_bridge_set(local.call.bridge, MEDIA_B, &local.leg_b), 0);
        node_run(&local.node, 20);
        local.a.ssrc += 77; /* and another phone has taken over the other side meanwhile */
        local.a.sequence = 300;
        local.a.timestamp = 99;
        speak(&local, &local.a, &local.b, 10);
        assert_int_equal(local.b.arrived, 20);
        assert_one_stream(&local.b);
        assert_true(local.b.header[10].marker);
        /* The pause is in the timestamps, roughly as long as it was. */
        uint32_t pause = local.b.header[10].timestamp - local.b.header[9].timestamp;
        assert_in_range(pause, 70 * 8, 2000 * 8);
        local_close(&local);
    }
}

static void the_other_side_may_change_its_codec(void **state)
{
    struct local local;
    (void)state;
    local_open(&local, CODEC_PCMA, CODEC_PCMA);
    speak(&local, &local.a, &local.b, 5);
    phone_close(&local.a);
    phone_open(&local.a, CODEC_OPUS);
    local.a.address = local.leg_a.remote;
    struct media_leg leg = phone_leg(&local.node, &local.a); /* a transfer: new socket, new phone */
    assert_int_equal(media_bridge_set(local.call.bridge, MEDIA_A, &leg), 0);
    node_run(&local.node, 20);
    speak(&local, &local.a, &local.b, 5); /* from an address that must be learnt first */
    assert_int_equal(local.b.arrived, 5 + 5 - 2);
    assert_one_stream(&local.b);
    local_close(&local);
}

static void a_stranger_diverts_nothing(void **state)
{
    struct local local;
    struct phone stranger;
    (void)state;
    local_open(&local, CODEC_PCMU, CODEC_PCMU);
    speak(&local, &local.a, &local.b, 5);
    speak(&local, &local.b, &local.a, 5);
    assert_int_equal(local.a.arrived, 5);
    phone_open(&stranger, CODEC_PCMU);
    stranger.gateway = local.a.gateway;
    speak(&local, &stranger, &stranger, 30);
    phone_listen(&local.b);
    assert_int_equal(local.b.arrived, 5);
    speak(&local, &local.b, &local.a, 5);
    phone_listen(&stranger);
    assert_int_equal(stranger.arrived, 0);
    assert_int_equal(local.a.arrived, 10);
    call_ask(&local.node, &local.call);
    assert_int_equal(local.call.stats[MEDIA_A].rejected, 30);
    assert_int_equal(local.call.first_packets, 2);
    phone_close(&stranger);
    local_close(&local);
}

static void send_event(struct phone *phone, uint8_t code, bool end, uint16_t duration)
{
    uint8_t payload[EVENT_BYTES];
    const struct event event = {.code = code, .end = end, .volume = 10, .duration = duration};
    event_write(payload, &event);
    const struct rtp_header rtp = {
        .marker = duration <= 1000,
        .payload_type = EVENT_TYPE,
        .sequence = phone->sequence++,
        .timestamp = phone->timestamp,
        .ssrc = phone->ssrc,
        .payload = payload,
        .payload_bytes = sizeof payload,
    };
    phone_send_raw(phone, &rtp);
}

/* From 8 to 48 kHz and back, and forwarded. */
static void digits_pass(void **state)
{
    static const enum codec pairs[][2] = {
        {CODEC_PCMA, CODEC_OPUS}, {CODEC_OPUS, CODEC_PCMU}, {CODEC_PCMA, CODEC_PCMA}};
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct local local;
        local_open(&local, pairs[i][0], pairs[i][1]);
        int in_khz = codec_clock_hz(pairs[i][0]) / 1000,
            out_khz = codec_clock_hz(pairs[i][1]) / 1000;
        speak(&local, &local.a, &local.b, 3);
        for (int ms = 20; ms <= 100; ms += 20)
            send_event(&local.a, 5, false, (uint16_t)(ms * in_khz));
        for (int repeat = 0; repeat < 3; repeat++)
            send_event(&local.a, 5, true, (uint16_t)(120 * in_khz));
        local.a.timestamp += 120u * (unsigned)in_khz;
        speak(&local, &local.a, &local.b, 3);
        int events = 0, ends = 0;
        uint32_t began = 0;
        for (int at = 0; at < local.b.arrived; at++) {
            if (local.b.header[at].payload_type != EVENT_TYPE)
                continue;
            if (events++ == 0)
                began = local.b.header[at].timestamp;
            assert_int_equal(local.b.header[at].timestamp, began);
            assert_int_equal(local.b.event[at].code, 5);
            ends += local.b.event[at].end;
            if (local.b.event[at].end)
                assert_int_equal(local.b.event[at].duration, 120 * out_khz);
        }
        assert_int_equal(events, 8);
        assert_int_equal(ends, 3);
        assert_int_equal(began - local.b.header[0].timestamp, 60 * out_khz);
        assert_int_equal(local.b.header[local.b.arrived - 1].timestamp - began,
                         (120 + 40) * out_khz);
        assert_one_stream(&local.b);
        assert_string_equal(local.call.digits[MEDIA_A], "5");
        assert_int_equal(local.call.duration_ms, 120);
        local_close(&local);
    }
}

static void digits_of_our_own_are_sent(void **state)
{
    struct local local;
    (void)state;
    local_open(&local, CODEC_PCMU, CODEC_PCMU);
    speak(&local, &local.a, &local.b, 3);
    assert_int_equal(media_bridge_send_digit(local.call.bridge, MEDIA_B, 'x', 100), -EINVAL);
    assert_int_equal(media_bridge_send_digit(local.call.bridge, MEDIA_B, '7', 60), 0);
    assert_int_equal(media_bridge_send_digit(local.call.bridge, MEDIA_B, '#', 40), 0);
    node_run(&local.node, 400);
    speak(&local, &local.a, &local.b, 3);
    char heard[8] = "";
    int ends = 0;
    for (int at = 0; at < local.b.arrived; at++) {
        if (local.b.header[at].payload_type != EVENT_TYPE || !local.b.event[at].end)
            continue;
        if (ends % 3 == 0)
            heard[ends / 3] = event_digit(local.b.event[at].code);
        ends++;
    }
    assert_int_equal(ends, 6);
    assert_string_equal(heard, "7#");
    assert_one_stream(&local.b);
    local_close(&local);
}

static void echo_sends_back(void **state)
{
    struct local local;
    const struct media_leg echo = {.kind = MEDIA_LEG_ECHO, .direction = MEDIA_SENDRECV};
    (void)state;
    local_open(&local, CODEC_G722, CODEC_PCMU);
    assert_int_equal(media_bridge_set(local.call.bridge, MEDIA_B, &echo), 0);
    node_run(&local.node, 20);
    speak(&local, &local.a, &local.a, 50);
    assert_int_equal(local.a.arrived, 50);
    double amplitude;
    int skip = local.a.rate / 10;
    double share =
        ear_listen(local.a.heard + skip, local.a.heard_count - skip, local.a.rate, 440, &amplitude);
    assert_true(share > 0.99);
    assert_one_stream(&local.a);
    local_close(&local);
}

static void phones_may_speak_ipv6(void **state)
{
    struct local local;
    struct sockaddr_storage address;
    const struct media_leg echo = {.kind = MEDIA_LEG_ECHO, .direction = MEDIA_SENDRECV};
    (void)state;
    local_open(&local, CODEC_PCMU, CODEC_PCMU);
    assert_int_equal(address_parse("[::1]:42998", &address), 0);
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(struct sockaddr_in6)) == 0) {
        struct media_leg leg = local.leg_a;
        uint8_t packet[RTP_PACKET_MAX] = {0x80};
        assert_int_equal(media_rtp_open(local.node.media, &address, &leg.rtp), 0);
        leg.remote = address;
        assert_int_equal(media_bridge_set(local.call.bridge, MEDIA_A, &leg), 0);
        assert_int_equal(media_bridge_set(local.call.bridge, MEDIA_B, &echo), 0);
        node_run(&local.node, 20);
        address_set_port(&address, media_rtp_port(leg.rtp));
        sendto(fd, packet, 172, 0, (struct sockaddr *)&address, sizeof(struct sockaddr_in6));
        node_run(&local.node, 20);
        assert_int_equal(recv(fd, packet, sizeof packet, 0), 172);
    } else {
        print_message("no IPv6 here\n");
    }
    close(fd);
    local_close(&local);
}

static void other_ptimes_are_framed_anew(void **state)
{
    static const int ptimes_ms[] = {10, 20, 30, 40, 60};
    (void)state;
    for (int i = 0; i < 5; i++) {
        struct local local;
        local_open(&local, CODEC_PCMA, CODEC_PCMU);
        int frames = 240 / ptimes_ms[i];
        for (int n = 0; n < frames; n++)
            phone_speak(&local.a, 440, ptimes_ms[i]);
        node_run(&local.node, 50);
        phone_listen(&local.b);
        assert_int_equal(local.b.arrived, 12);
        assert_int_equal(local.b.heard_count, 12 * 160);
        for (int n = 1; n < 12; n++)
            assert_int_equal(local.b.header[n].timestamp - local.b.header[n - 1].timestamp, 160);
        local_close(&local);
    }
}

static void comfort_noise_is_no_loss(void **state)
{
    static const enum codec other[] = {CODEC_PCMA, CODEC_PCMU};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct local local;
        const uint8_t noise = 60;
        local_open(&local, CODEC_PCMA, other[i]);
        speak(&local, &local.a, &local.b, 5);
        const struct rtp_header rtp = {
            .payload_type = RTP_COMFORT_NOISE,
            .sequence = local.a.sequence++,
            .timestamp = local.a.timestamp,
            .ssrc = local.a.ssrc,
            .payload = &noise,
            .payload_bytes = 1,
        };
        phone_send_raw(&local.a, &rtp);
        local.a.timestamp += 8000; /* a second of silence */
        speak(&local, &local.a, &local.b, 5);
        assert_int_equal(local.b.arrived, 10);
        assert_one_stream(&local.b);
        assert_int_equal(local.b.header[5].timestamp - local.b.header[4].timestamp, 8160);
        call_close(&local.node, &local.call);
        assert_int_equal(local.call.stats[MEDIA_A].concealed, 0);
        assert_int_equal(local.call.stats[MEDIA_A].rejected, 0);
        local_close(&local);
    }
}

static void gaps_are_told_and_counted(void **state)
{
    struct local local;
    (void)state;
    local_open(&local, CODEC_PCMA, CODEC_PCMA);
    speak(&local, &local.a, &local.b, 5);
    node_run(&local.node, 200);
    local.a.sequence += 10; /* they were lost */
    local.a.timestamp += 1600;
    speak(&local, &local.a, &local.b, 5);
    call_ask(&local.node, &local.call);
    assert_int_equal(local.call.gaps, 1);
    assert_true(local.call.gap_ms >= 200);
    assert_int_equal(local.call.stats[MEDIA_A].gaps, 1);
    assert_true(local.call.stats[MEDIA_A].longest_gap_us >= 200000);
    assert_int_equal(local.call.stats[MEDIA_B].gaps, 0);
    local_close(&local);
}

static void silence_is_told_once(void **state)
{
    struct node node;
    struct phone phone;
    struct call call;
    (void)state;
    node_open(&node, 1, 1);
    phone_open(&phone, CODEC_PCMU);
    call_open(&node, &call, 0);
    struct media_leg leg = phone_leg(&node, &phone);
    assert_int_equal(media_bridge_set(call.bridge, MEDIA_A, &leg), 0);
    node_run(&node, 800);
    phone_speak(&phone, 440, 20);
    node_run(&node, 600);
    assert_int_equal(call.silences, 0);
    node_run(&node, 1200);
    assert_int_equal(call.silences, 1);
    call_close(&node, &call);
    phone_close(&phone);
    node_close(&node);
}

/* It may send music, but most phones send nothing; a call on hold is not a dead one. */
static void who_holds_may_be_silent(void **state)
{
    struct node node;
    struct phone phone;
    struct call call;
    (void)state;
    node_open(&node, 1, 1);
    phone_open(&phone, CODEC_PCMU);
    call_open(&node, &call, 0);
    struct media_leg leg = phone_leg(&node, &phone);
    leg.direction = MEDIA_RECVONLY;
    assert_int_equal(media_bridge_set(call.bridge, MEDIA_A, &leg), 0);
    node_run(&node, 1300);
    assert_int_equal(call.silences, 0);
    leg.direction = MEDIA_SENDRECV;
    assert_int_equal(media_bridge_set(call.bridge, MEDIA_A, &leg), 0);
    node_run(&node, 700);
    assert_int_equal(call.silences, 0);
    node_run(&node, 600);
    assert_int_equal(call.silences, 1);
    call_close(&node, &call);
    phone_close(&phone);
    node_close(&node);
}

/* Two nodes tell each other by RTCP how long the way is, and what is lost on it. */
static void reports_tell_of_the_way(void **state)
{
    struct node node;
    struct phone phone;
    struct call near, far;
    struct wire there = {0}, back = {0};
    (void)state;
    node_open(&node, 1, 0);
    phone_open(&phone, CODEC_PCMU);
    call_open(&node, &near, 0);
    call_open(&node, &far, 0);
    there = (struct wire){.media = node.media, .to_bridge = far.bridge, .lose_each = 5};
    back = (struct wire){.media = node.media, .to_bridge = near.bridge};
    struct media_leg leg = phone_leg(&node, &phone);
    assert_int_equal(media_bridge_set(near.bridge, MEDIA_A, &leg), 0);
    leg = wire_leg(&there, CODEC_PCMA, true);
    assert_int_equal(media_bridge_set(near.bridge, MEDIA_B, &leg), 0);
    leg = wire_leg(&back, CODEC_PCMA, false);
    assert_int_equal(media_bridge_set(far.bridge, MEDIA_A, &leg), 0);
    leg = (struct media_leg){.kind = MEDIA_LEG_ECHO, .direction = MEDIA_SENDRECV};
    assert_int_equal(media_bridge_set(far.bridge, MEDIA_B, &leg), 0);
    const struct media_stats *stats = &near.stats[MEDIA_B];
    for (int i = 0; i < 500 && (!stats->round_trip_us || !stats->remote_lost_per_mille); i++) {
        phone_speak(&phone, 440, 20);
        node_run(&node, 20);
        phone_listen(&phone);
        call_ask(&node, &near);
    }
    assert_in_range(stats->round_trip_us, 1, 500000);
    assert_in_range(stats->remote_lost_per_mille, 100, 300);
    assert_true(stats->packets_in > 0 && stats->first_in_us > 0);

    /* Whose leg is taken away says goodbye; the other end hears it once. */
    assert_int_equal(far.byes, 0);
    there.lose_each = 0;
    leg = (struct media_leg){.kind = MEDIA_LEG_NONE};
    assert_int_equal(media_bridge_set(near.bridge, MEDIA_B, &leg), 0);
    for (int i = 0; i < 50 && far.byes == 0; i++)
        node_run(&node, 20);
    assert_int_equal(far.byes, 1);
    call_close(&node, &near);
    node_run(&node, 100);
    assert_int_equal(far.byes, 1);
    call_close(&node, &far);
    phone_close(&phone);
    node_close(&node);
}

/* Two calls between two nodes over a wire that loses two in a hundred, with a tone, which is no
 * voice and so has no redundancy inside Opus: packets sent twice make good for it. */
static void a_tone_survives_a_bad_line(void **state)
{
    struct node node;
    struct phone from, to;
    struct call near, far;
    struct wire there = {0};
    (void)state;
    node_open(&node, 2, 0);
    phone_open(&from, CODEC_PCMA);
    phone_open(&to, CODEC_PCMA);
    call_open(&node, &near, 0);
    call_open(&node, &far, 1);
    there = (struct wire){
        .media = node.media, .to_worker = 1, .to_bridge = far.bridge, .lose_each = 47};
    struct media_leg leg = phone_leg(&node, &from);
    assert_int_equal(media_bridge_set(near.bridge, MEDIA_A, &leg), 0);
    leg = wire_leg(&there, CODEC_OPUS, true);
    assert_int_equal(media_bridge_set(near.bridge, MEDIA_B, &leg), 0);
    leg = wire_leg(&there, CODEC_OPUS, false);
    leg.direction = MEDIA_RECVONLY;
    assert_int_equal(media_bridge_set(far.bridge, MEDIA_A, &leg), 0);
    leg = phone_leg(&node, &to);
    assert_int_equal(media_bridge_set(far.bridge, MEDIA_B, &leg), 0);
    node_run(&node, 30);
    for (int frame = 0; frame < 250; frame++) { /* far.bridge reports nothing: losses are assumed */
        phone_speak(&from, 440, 20);
        node_run(&node, 2);
        phone_listen(&to);
    }
    node_run(&node, 200);
    phone_listen(&to);
    call_close(&node, &near);
    call_close(&node, &far);
    assert_int_equal(to.arrived, 250);
    assert_true(there.lost >= 5);
    assert_true(near.stats[MEDIA_B].repeated > 50);
    assert_true(far.stats[MEDIA_A].duplicate >=
                near.stats[MEDIA_B].repeated - (unsigned)there.lost);
    assert_true(far.stats[MEDIA_A].concealed <= 1);
    double amplitude;
    assert_true(ear_listen(to.heard + 800, to.heard_count - 800, 8000, 440, &amplitude) > 0.95);
    phone_close(&from);
    phone_close(&to);
    node_close(&node);
}

/* ---- files ----------------------------------------------------------------------------------- */

static void write_tone(const char *path, int rate, int channels, double seconds)
{
    SF_INFO info = {
        .samplerate = rate, .channels = channels, .format = SF_FORMAT_WAV | SF_FORMAT_PCM_16};
    SNDFILE *file = sf_open(path, SFM_WRITE, &info);
    assert_non_null(file);
    for (int i = 0; i < (int)(seconds * rate); i++) {
        int16_t frame[2];
        frame[0] = frame[1] = (int16_t)(10000 * sin(2 * M_PI * 1000 * i / rate));
        sf_writef_short(file, frame, 1);
    }
    sf_close(file);
}

/* Windows of 20 ms with the tone in them, and the longest row of those without in between. A loaded
 * machine stretches both, as the recording keeps real time. */
static void measure(const int16_t *pcm, int count, int *tone, int *pause)
{
    int quiet = 0;
    double amplitude;
    *tone = *pause = 0;
    for (int at = 0; at + 320 <= count; at += 320) {
        ear_share(pcm + at, 320, 16000, 440, &amplitude);
        if (amplitude < 5000) {
            quiet++;
            continue;
        }
        if (*tone > 0 && quiet > *pause)
            *pause = quiet;
        quiet = 0;
        ++*tone;
    }
}

static void files_are_played_and_recorded(void **state)
{
    static const struct {
        int rate, channels;
        enum codec codec;
    } cases[] = {{44100, 2, CODEC_PCMU}, {16000, 1, CODEC_G722}, {8000, 1, CODEC_OPUS}};
    char folder[] = "/tmp/media-XXXXXX", play[64], record[64];
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(play, sizeof play, "%s/play.wav", folder);
    snprintf(record, sizeof record, "%s/record.wav", folder);
    for (int i = 0; i < 3; i++) {
        struct local local;
        local_open(&local, cases[i].codec, CODEC_PCMU);
        write_tone(play, cases[i].rate, cases[i].channels, 0.6);
        struct media_leg file = {
            .kind = MEDIA_LEG_FILE, .direction = MEDIA_SENDRECV, .play = "/nowhere/x.wav"};
        assert_int_equal(media_bridge_set(local.call.bridge, MEDIA_B, &file), -ENOENT);
        file.play = play;
        file.record = record;
        assert_int_equal(media_bridge_set(local.call.bridge, MEDIA_B, &file), 0);
        for (int frame = 0; frame < 40; frame++) { /* pauses in the middle */
            if (frame < 10 || frame >= 30)
                phone_speak(&local.a, 440, 20);
            else
                local.a.timestamp += (unsigned)codec_clock_hz(local.a.codec) / 50;
            node_run(&local.node, 20);
            phone_listen(&local.a);
        }
        assert_int_equal(local.call.played, 1);
        double amplitude;
        const int heard = local.a.rate * 6 / 10, skip = local.a.rate / 10;
        assert_true(local.a.heard_count > heard);
        assert_true(ear_listen(local.a.heard + skip, heard - 2 * skip, local.a.rate, 1000,
                               &amplitude) > 0.95);
        assert_true(amplitude > 9000 && amplitude < 11000);
        local_close(&local);

        SF_INFO info = {0};
        int16_t pcm[32000];
        SNDFILE *recorded = sf_open(record, SFM_READ, &info);
        assert_non_null(recorded);
        assert_int_equal(info.samplerate, 16000);
        assert_int_equal(info.channels, 1);
        int count = (int)sf_read_short(recorded, pcm, 32000);
        sf_close(recorded);
        int tone, pause;
        assert_in_range(count, 12000, 32000);
        measure(pcm, count, &tone, &pause);
        assert_in_range(tone, 18, 22);
        assert_true(pause >= 18);
    }
    unlink(play);
    unlink(record);
    rmdir(folder);
}

/* ---- coming and going ------------------------------------------------------------------------ */

static void wrong_legs_are_refused(void **state)
{
    struct local local;
    (void)state;
    local_open(&local, CODEC_PCMU, CODEC_PCMU);
    struct media_leg leg = local.leg_a;
    leg.codec = CODEC_COUNT;
    assert_int_equal(media_bridge_set(local.call.bridge, MEDIA_A, &leg), -EINVAL);
    leg = local.leg_a;
    leg.rtp = NULL;
    assert_int_equal(media_bridge_set(local.call.bridge, MEDIA_A, &leg), -EINVAL);
    leg = local.leg_a;
    leg.receive[0].payload_type = 128;
    assert_int_equal(media_bridge_set(local.call.bridge, MEDIA_A, &leg), -EINVAL);
    leg = (struct media_leg){.kind = MEDIA_LEG_PEER};
    assert_int_equal(media_bridge_set(local.call.bridge, MEDIA_A, &leg), -EINVAL);
    speak(&local, &local.a, &local.b, 3); /* nothing has changed */
    assert_int_equal(local.b.arrived, 3);
    local_close(&local);
}

static void a_thousand_come_and_go(void **state)
{
    enum { AT_ONCE = 50, ROUNDS = 20 };
    struct node node;
    struct phone phone;
    struct call calls[AT_ONCE];
    struct wire wire = {.to_worker = 0};
    (void)state;
    node_open(&node, 2, 0);
    wire.media = node.media;
    wire.lose_each = 1;
    phone_open(&phone, CODEC_OPUS);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < AT_ONCE; i++) {
            call_open(&node, &calls[i], media_worker_pick(node.media));
            struct media_leg leg = phone_leg(&node, &phone);
            assert_int_equal(media_bridge_set(calls[i].bridge, MEDIA_A, &leg), 0);
            leg = wire_leg(&wire, i % 2 ? CODEC_PCMU : CODEC_OPUS, true);
            leg.port = &wire;
            leg.direction = MEDIA_RECVONLY;
            assert_int_equal(media_bridge_set(calls[i].bridge, MEDIA_B, &leg), 0);
            phone_speak(&phone, 440, 20);
            media_bridge_ask(calls[i].bridge);
        }
        for (int i = 0; i < AT_ONCE; i++)
            media_bridge_close(calls[i].bridge);
        for (int i = 0; i < AT_ONCE; i++)
            while (!calls[i].closed)
                uv_run(&node.loop, UV_RUN_ONCE);
    }
    phone_close(&phone);
    node_close(&node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hold_and_resume_keep_the_stream),
        cmocka_unit_test(the_other_side_may_change_its_codec),
        cmocka_unit_test(a_stranger_diverts_nothing),
        cmocka_unit_test(digits_pass),
        cmocka_unit_test(digits_of_our_own_are_sent),
        cmocka_unit_test(echo_sends_back),
        cmocka_unit_test(phones_may_speak_ipv6),
        cmocka_unit_test(other_ptimes_are_framed_anew),
        cmocka_unit_test(comfort_noise_is_no_loss),
        cmocka_unit_test(gaps_are_told_and_counted),
        cmocka_unit_test(silence_is_told_once),
        cmocka_unit_test(who_holds_may_be_silent),
        cmocka_unit_test(reports_tell_of_the_way),
        cmocka_unit_test(a_tone_survives_a_bad_line),
        cmocka_unit_test(files_are_played_and_recorded),
        cmocka_unit_test(wrong_legs_are_refused),
        cmocka_unit_test(a_thousand_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
