#include "media/decode.h"

#include <errno.h>
#include <stdlib.h>

/* So many frames in a row are made up (spandsp fades out within the first three); after that the
 * sender is taken to be silent. */
#define CONCEAL_MAX 10
/* Sound that is missing is waited for at least so long before it is made up. */
#define WAIT_MIN_US 10000
/* A longer hole is left open: by now its time is over at the receiver behind us, and sound that is
 * made up for it would only push back what follows. No single packet is longer either. */
#define HOLE_MAX_MS 120
/* A leap of the timestamps beyond that is another time line, not a pause. */
#define PAUSE_MAX_S 10

struct decode *decode_new(enum codec codec, int rate, struct media_stats *stats)
{
    struct decode *decode = calloc(1, sizeof *decode);
    if (!decode)
        return NULL;
    decode->codec = codec;
    decode->rate = rate;
    decode->clock_hz = codec_clock_hz(codec);
    decode->stats = stats;
    decode->decoder = decoder_new(codec, rate);
    if (!decode->decoder) {
        free(decode);
        return NULL;
    }
    jitter_init(&decode->jitter, decode->clock_hz, WAIT_MIN_US);
    return decode;
}

void decode_free(struct decode *decode)
{
    if (!decode)
        return;
    decoder_free(decode->decoder);
    jitter_fini(&decode->jitter);
    free(decode);
}

void decode_reset(struct decode *decode)
{
    jitter_init(&decode->jitter, decode->clock_hz, WAIT_MIN_US);
    decode->running = false;
}

static int samples_of(const struct decode *decode, int32_t units)
{
    return (int)((int64_t)units * decode->rate / decode->clock_hz);
}

static uint32_t units_of(const struct decode *decode, int samples)
{
    return (uint32_t)((int64_t)samples * decode->clock_hz / decode->rate);
}

/* Moves the time line to where a packet says that it is. */
static void advance(struct decode *decode, uint32_t timestamp, uint64_t now_us)
{
    int32_t pause = (int32_t)(timestamp - decode->due);
    if (!decode->running || pause > PAUSE_MAX_S * decode->clock_hz ||
        pause < -PAUSE_MAX_S * decode->clock_hz)
        decode->sink->restart(decode->ctx);
    else if (pause > 0 && samples_of(decode, pause) > 0)
        decode->sink->gap(decode->ctx, samples_of(decode, pause), now_us);
    decode->running = true;
    decode->due = timestamp;
}

static void play(struct decode *decode, const struct rtp_header *rtp, uint64_t now_us)
{
    int16_t pcm[CODEC_SAMPLES_MAX];
    int samples = decoder_decode(decode->decoder, rtp->payload, rtp->payload_bytes, pcm);
    if (samples <= 0) {
        decode->stats->rejected++;
        return;
    }
    advance(decode, rtp->timestamp, now_us);
    decode->due += units_of(decode, samples);
    decode->concealed = 0;
    decode->sink->audio(decode->ctx, pcm, samples, now_us);
}

static void relay(struct decode *decode, const struct rtp_header *rtp, uint64_t now_us)
{
    struct decode_event event = {.timestamp = rtp->timestamp, .clock_hz = decode->clock_hz};
    if (event_parse(rtp->payload, rtp->payload_bytes, &event.event) < 0)
        return;
    if (!decode->running) {
        decode->sink->restart(decode->ctx);
        decode->running = true;
        decode->due = rtp->timestamp;
    }
    event.offset = (int32_t)(rtp->timestamp - decode->due);
    if (decode->sink->event)
        decode->sink->event(decode->ctx, &event, now_us);
}

/* One packet is lost. How long it was is told by the timestamp of the one behind the hole. */
static void conceal(struct decode *decode, const struct jitter_packet *next, int missing,
                    uint64_t now_us)
{
    int16_t pcm[CODEC_SAMPLES_MAX];
    int32_t hole = (int32_t)(next->rtp.timestamp - decode->due), units = hole / missing;
    if (!decode->running || units <= 0 || hole > HOLE_MAX_MS * decode->clock_hz / 1000 ||
        decode->concealed >= CONCEAL_MAX)
        return; /* it carried no sound, or a pause lies in the hole */
    int samples = samples_of(decode, units);
    int made = -ENOTSUP;
    if (missing == 1 && next->kind == JITTER_AUDIO)
        made = decoder_recover(decode->decoder, next->rtp.payload, next->rtp.payload_bytes, pcm,
                               samples);
    if (made > 0) {
        decode->stats->fec_recovered++;
    } else {
        made = decoder_conceal(decode->decoder, pcm, samples);
        decode->stats->concealed++;
    }
    decode->concealed++;
    if (made <= 0)
        return;
    decode->due += units_of(decode, made);
    decode->sink->audio(decode->ctx, pcm, made, now_us);
}

static void handle(struct decode *decode, enum jitter_kind kind, const struct rtp_header *rtp,
                   uint64_t now_us)
{
    if (kind == JITTER_AUDIO)
        play(decode, rtp, now_us);
    else if (kind == JITTER_EVENT)
        relay(decode, rtp, now_us);
}

uint64_t decode_run(struct decode *decode, uint64_t now_us)
{
    const struct jitter_packet *packet;
    int missing;
    for (;;) {
        switch (jitter_get(&decode->jitter, now_us, &packet, &missing)) {
        case JITTER_NOTHING:
            return jitter_deadline_us(&decode->jitter);
        case JITTER_LOST:
            conceal(decode, packet, missing, now_us);
            break;
        case JITTER_PACKET:
            handle(decode, packet->kind, &packet->rtp, now_us);
            break;
        }
    }
}

void decode_packet(struct decode *decode, enum jitter_kind kind, const struct rtp_header *rtp,
                   uint64_t now_us)
{
    if (rtp->ssrc != decode->ssrc)
        decode_reset(decode);
    decode->ssrc = rtp->ssrc;
    if (jitter_pass(&decode->jitter, kind, rtp, now_us)) {
        handle(decode, kind, rtp, now_us);
        return;
    }
    if (jitter_put(&decode->jitter, kind, rtp, now_us) == -ETIME && kind != JITTER_LATE)
        decode->stats->late++;
    decode_run(decode, now_us);
}
