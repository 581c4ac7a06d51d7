/* Codecs, concealment, redundancy and resampling, by ear. */
#include "tests/unit/media/fixture.h"

#include "media/decode.h"
#include "media/resample.h"

static void tone(int16_t *pcm, int samples, int rate, double hz, int from)
{
    for (int i = 0; i < samples; i++)
        pcm[i] = (int16_t)(10000 * sin(2 * M_PI * hz * (from + i) / rate));
}

static void tones_survive_at_each_rate_and_ptime(void **state)
{
    static const int rates[] = {8000, 16000, 48000}, wishes[] = {0, 10, 20, 30, 40, 60, 500};
    (void)state;
    for (int codec = 0; codec < CODEC_COUNT; codec++) {
        for (int r = 0; r < 3; r++) {
            for (int w = 0; w < 7; w++) {
                static int16_t in[2880], heard[60000], out[CODEC_SAMPLES_MAX];
                uint8_t payload[CODEC_PAYLOAD_MAX];
                struct encoder *encoder = encoder_new((enum codec)codec, rates[r]);
                struct decoder *decoder = decoder_new((enum codec)codec, rates[r]);
                assert_true(!encoder == !decoder);
                if (!encoder)
                    continue;
                int frame = rates[r] / 1000 * codec_ptime_ms((enum codec)codec, wishes[w]);
                int count = 0;
                for (int at = 0; at + frame <= rates[r]; at += frame) {
                    tone(in, frame, rates[r], 440, at);
                    int bytes = encoder_encode(encoder, in, frame, payload);
                    assert_true(bytes > 0);
                    int samples = decoder_decode(decoder, payload, (size_t)bytes, out);
                    assert_int_equal(samples, frame);
                    memcpy(heard + count, out, (size_t)samples * sizeof *out);
                    count += samples;
                }
                double amplitude;
                int skip = rates[r] / 5;
                assert_true(ear_listen(heard + skip, count - skip, rates[r], 440, &amplitude) >
                            0.97);
                assert_true(amplitude > 9000 && amplitude < 11000);
                encoder_free(encoder);
                decoder_free(decoder);
            }
        }
    }
}

static void ptimes_are_those_of_the_codec(void **state)
{
    (void)state;
    assert_int_equal(codec_ptime_ms(CODEC_PCMU, 30), 30);
    assert_int_equal(codec_ptime_ms(CODEC_PCMU, 0), 20);
    assert_int_equal(codec_ptime_ms(CODEC_PCMU, -5), 20);
    assert_int_equal(codec_ptime_ms(CODEC_PCMU, 1000), 60);
    assert_int_equal(codec_ptime_ms(CODEC_OPUS, 30), 20);
    assert_int_equal(codec_ptime_ms(CODEC_OPUS, 45), 40);
}

static void nonsense_is_refused(void **state)
{
    static const uint8_t nothing[1], garbage[] = {0xff, 0xff, 0xff, 0xff};
    static const uint8_t long_one[CODEC_SAMPLES_MAX + 1];
    int16_t pcm[CODEC_SAMPLES_MAX];
    (void)state;
    for (int codec = 0; codec < CODEC_COUNT; codec++) {
        struct decoder *decoder = decoder_new((enum codec)codec, 8000);
        assert_int_equal(decoder_decode(decoder, nothing, 0, pcm), -EBADMSG);
        if (codec == CODEC_OPUS)
            assert_int_equal(decoder_decode(decoder, garbage, sizeof garbage, pcm), -EBADMSG);
        else
            assert_int_equal(decoder_decode(decoder, long_one, sizeof long_one, pcm), -EBADMSG);
        decoder_free(decoder);
    }
    assert_null(decoder_new(CODEC_PCMU, 16000));
    assert_null(decoder_new(CODEC_OPUS, 44100));
}

/* ---- a stream with holes --------------------------------------------------------------------- */

struct ear {
    int16_t heard[64000];
    int count, gaps, restarts;
};

static void on_audio(void *ctx, const int16_t *pcm, int samples, uint64_t now)
{
    struct ear *ear = ctx;
    (void)now;
    assert_true(ear->count + samples <= 64000);
    memcpy(ear->heard + ear->count, pcm, (size_t)samples * sizeof *pcm);
    ear->count += samples;
}

static void on_gap(void *ctx, int samples, uint64_t now)
{
    (void)samples;
    (void)now;
    ((struct ear *)ctx)->gaps++;
}

static void on_restart(void *ctx)
{
    ((struct ear *)ctx)->restarts++;
}

static const struct decode_sink ear_sink = {
    .audio = on_audio, .gap = on_gap, .restart = on_restart};

static void lost_frames_are_filled_in(void **state)
{
    (void)state;
    for (int codec = 0; codec < CODEC_COUNT; codec++) {
        struct media_stats stats = {0};
        static struct ear ear;
        memset(&ear, 0, sizeof ear);
        int rate = codec_common_rate((enum codec)codec, CODEC_OPUS), frame = rate / 50;
        struct decode *decode = decode_new((enum codec)codec, rate, &stats);
        struct encoder *encoder = encoder_new((enum codec)codec, rate);
        encoder_set_loss(encoder, 200);
        decode->sink = &ear_sink;
        decode->ctx = &ear;
        for (int i = 0; i < 100; i++) {
            int16_t pcm[960];
            uint8_t payload[CODEC_PAYLOAD_MAX];
            tone(pcm, frame, rate, 300, i * frame);
            int bytes = encoder_encode(encoder, pcm, frame, payload);
            struct rtp_header rtp = {
                .ssrc = 1,
                .sequence = (uint16_t)(i + 65500),
                .timestamp = (uint32_t)(i * codec_clock_hz((enum codec)codec) / 50),
                .payload = payload,
                .payload_bytes = (size_t)bytes,
            };
            if (i % 20 != 10)
                decode_packet(decode, JITTER_AUDIO, &rtp, 20000u * (unsigned)i);
        }
        decode_run(decode, 10000000);
        assert_int_equal(ear.count, 100 * frame); /* nothing is missing, nothing too much */
        assert_int_equal(ear.gaps, 0);
        assert_int_equal(ear.restarts, 1);
        assert_int_equal(stats.concealed + stats.fec_recovered, 5);
        double amplitude;
        double share =
            ear_listen(ear.heard + rate / 5, ear.count - rate / 5, rate, 300, &amplitude);
        print_message("%s: share %.3f, amplitude %.0f, fec %d\n", codec_name((enum codec)codec),
                      share, amplitude, (int)stats.fec_recovered);
        assert_true(share > 0.85);
        assert_true(amplitude > 8500);
        encoder_free(encoder);
        decode_free(decode);
    }
}

/* Redundancy is only there where the encoder hears a voice: this one rises and falls like one. */
static void opus_takes_a_lost_frame_from_the_next(void **state)
{
    struct media_stats stats = {0};
    static struct ear ear;
    struct decode *decode = decode_new(CODEC_OPUS, 16000, &stats);
    struct encoder *encoder = encoder_new(CODEC_OPUS, 16000);
    (void)state;
    memset(&ear, 0, sizeof ear);
    decode->sink = &ear_sink;
    decode->ctx = &ear;
    double phase = 0;
    for (int i = 0; i < 200; i++) {
        int16_t pcm[320];
        uint8_t payload[CODEC_PAYLOAD_MAX];
        for (int k = 0; k < 320; k++) {
            double t = (i * 320 + k) / 16000.0;
            phase += 2 * M_PI * (140 + 30 * sin(2 * M_PI * 3 * t)) / 16000;
            double voice = 0;
            for (int h = 1; h < 12; h++)
                voice += sin(h * phase) / h;
            pcm[k] = (int16_t)(6000 * voice * (0.5 + 0.5 * sin(2 * M_PI * 4 * t)));
        }
        int bytes = encoder_encode(encoder, pcm, 320, payload);
        const struct rtp_header rtp = {.ssrc = 1,
                                       .sequence = (uint16_t)i,
                                       .timestamp = 960u * (unsigned)i,
                                       .payload = payload,
                                       .payload_bytes = (size_t)bytes};
        if (i % 10 != 5)
            decode_packet(decode, JITTER_AUDIO, &rtp, 20000u * (unsigned)i);
    }
    decode_run(decode, 10000000);
    print_message("voice: fec %d of 20\n", (int)stats.fec_recovered);
    assert_int_equal(stats.fec_recovered + stats.concealed, 20);
    assert_true(stats.fec_recovered >= 12);
    encoder_free(encoder);
    decode_free(decode);
}

/* A tone is no voice to the encoder: after a while its packets carry nothing of the one before. */
static int repeats_wanted(struct encoder *encoder, int from, int frames)
{
    int wanted = 0;
    for (int i = from; i < from + frames; i++) {
        int16_t pcm[160];
        uint8_t payload[CODEC_PAYLOAD_MAX];
        tone(pcm, 160, 8000, 440, i * 160);
        assert_true(encoder_encode(encoder, pcm, 160, payload) > 0);
        wanted += encoder_wants_repeat(encoder);
    }
    return wanted;
}

static void opus_wants_repeated_what_it_does_not_cover(void **state)
{
    struct encoder *encoder = encoder_new(CODEC_OPUS, 8000);
    (void)state;
    repeats_wanted(encoder, 0, 500);
    assert_int_equal(repeats_wanted(encoder, 500, 50), 50); /* until more is known */
    encoder_set_loss(encoder, 0);
    assert_int_equal(repeats_wanted(encoder, 550, 50), 0);
    encoder_set_loss(encoder, 20);
    assert_int_equal(repeats_wanted(encoder, 600, 50), 50);
    for (int report = 0; report < 14; report++)
        encoder_set_loss(encoder, 0);
    assert_int_equal(repeats_wanted(encoder, 650, 50), 50); /* losses come now and then */
    encoder_set_loss(encoder, 0);
    assert_int_equal(repeats_wanted(encoder, 700, 50), 0);
    encoder_free(encoder);
    encoder = encoder_new(CODEC_PCMA, 8000);
    encoder_set_loss(encoder, 20);
    assert_int_equal(repeats_wanted(encoder, 0, 10), 0);
    encoder_free(encoder);
}

static void a_long_outage_is_not_made_up(void **state)
{
    struct media_stats stats = {0};
    static struct ear ear;
    static const uint8_t silence[160];
    struct decode *decode = decode_new(CODEC_PCMU, 8000, &stats);
    (void)state;
    memset(&ear, 0, sizeof ear);
    decode->sink = &ear_sink;
    decode->ctx = &ear;
    for (unsigned i = 0; i < 300; i++) {
        const struct rtp_header rtp = {.ssrc = 1,
                                       .sequence = (uint16_t)i,
                                       .timestamp = 160 * i,
                                       .payload = silence,
                                       .payload_bytes = sizeof silence};
        if (i < 50 || i >= 100)
            decode_packet(decode, JITTER_AUDIO, &rtp, 20000u * i);
    }
    assert_int_equal(stats.concealed, 0);
    assert_int_equal(ear.gaps, 1);
    assert_int_equal(ear.count, (300 - 50) * 160);
    decode_free(decode);
}

static void rates_are_changed(void **state)
{
    static const int rates[][2] = {{44100, 16000}, {8000, 16000}, {48000, 8000}, {11025, 8000}};
    (void)state;
    for (int i = 0; i < 4; i++) {
        int from = rates[i][0], to = rates[i][1], count = 0;
        static int16_t out[40000];
        int16_t in[960];
        struct resample *resample = resample_new(from, to);
        for (int at = 0; at < from; at += from / 50) {
            tone(in, from / 50, from, 440, at);
            count += resample_run(resample, in, from / 50, out + count, 40000 - count);
        }
        double amplitude;
        assert_in_range(count, to - to / 40, to + to / 40);
        assert_true(ear_listen(out + to / 10, count - to / 10, to, 440, &amplitude) > 0.99);
        assert_true(amplitude > 9800 && amplitude < 10200);
        resample_free(resample);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tones_survive_at_each_rate_and_ptime),
        cmocka_unit_test(ptimes_are_those_of_the_codec),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(lost_frames_are_filled_in),
        cmocka_unit_test(opus_takes_a_lost_frame_from_the_next),
        cmocka_unit_test(opus_wants_repeated_what_it_does_not_cover),
        cmocka_unit_test(a_long_outage_is_not_made_up),
        cmocka_unit_test(rates_are_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
