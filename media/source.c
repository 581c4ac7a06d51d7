#include "media/source.h"

/* RFC 3550, appendix A.1: what is still the same stream. */
#define DROPOUT_MAX 3000
#define MISORDER_MAX 100

static uint32_t expected(const struct source *source)
{
    return source->cycles + source->newest - source->first + 1;
}

uint64_t source_lost(const struct source *source)
{
    uint64_t lost = source->lost_before;
    if (source->known && expected(source) > source->received)
        lost += expected(source) - source->received;
    return lost;
}

static void begin(struct source *source, const struct rtp_header *rtp)
{
    *source = (struct source){
        .known = true,
        .ssrc = rtp->ssrc,
        .newest = rtp->sequence,
        .first = rtp->sequence,
        .received = 1,
        .seen = 1,
        .jitter_16 = source->jitter_16,
        .lost_before = source_lost(source),
    };
}

static enum source_verdict place(struct source *source, const struct rtp_header *rtp)
{
    if (!source->known || rtp->ssrc != source->ssrc) {
        begin(source, rtp);
        return SOURCE_NEW;
    }
    uint16_t ahead = (uint16_t)(rtp->sequence - source->newest);
    uint16_t behind = (uint16_t)-ahead;
    if (ahead != 0 && ahead < DROPOUT_MAX) {
        if (rtp->sequence < source->newest)
            source->cycles += 1u << 16;
        source->newest = rtp->sequence;
        source->seen = ahead < 64 ? source->seen << ahead | 1 : 1;
        source->received++;
        source->may_restart = false;
        return SOURCE_FOLLOWS;
    }
    if (behind < 64) {
        if (source->seen >> behind & 1)
            return SOURCE_DUPLICATE;
        source->seen |= (uint64_t)1 << behind;
        source->received++;
        return SOURCE_REORDERED;
    }
    if (behind < MISORDER_MAX)
        return SOURCE_DUPLICATE; /* too old to tell; nobody can use it any more */
    if (source->may_restart && rtp->sequence == source->restart) {
        begin(source, rtp);
        return SOURCE_NEW;
    }
    source->restart = (uint16_t)(rtp->sequence + 1);
    source->may_restart = true;
    return SOURCE_LEAP;
}

/* RFC 3550, appendix A.8, with the mean scaled by 16. */
static void measure(struct source *source, const struct rtp_header *rtp, uint64_t now_us)
{
    uint32_t arrival = (uint32_t)(now_us * (uint64_t)source->clock_hz / 1000000);
    uint32_t transit = arrival - rtp->timestamp;
    if (source->has_transit) {
        int32_t difference = (int32_t)(transit - source->transit);
        uint32_t size = difference < 0 ? 0u - (uint32_t)difference : (uint32_t)difference;
        /* A leap of the sender's clock (hold, transfer) is no jitter. */
        if (size < (uint32_t)source->clock_hz)
            source->jitter_16 += size - ((source->jitter_16 + 8) >> 4);
    }
    source->transit = transit;
    source->has_transit = true;
}

enum source_verdict source_receive(struct source *source, const struct rtp_header *rtp,
                                   int clock_hz, uint64_t now_us)
{
    enum source_verdict verdict = place(source, rtp);
    if (verdict == SOURCE_DUPLICATE || verdict == SOURCE_LEAP)
        return verdict;
    if (source->clock_hz != clock_hz) {
        source->clock_hz = clock_hz;
        source->has_transit = false;
        source->jitter_16 = 0;
    }
    if (verdict != SOURCE_REORDERED)
        measure(source, rtp, now_us);
    return verdict;
}

void source_skip_jitter(struct source *source)
{
    source->has_transit = false;
}

uint32_t source_jitter_us(const struct source *source)
{
    if (source->clock_hz == 0)
        return 0;
    return (uint32_t)((uint64_t)(source->jitter_16 >> 4) * 1000000 / (uint64_t)source->clock_hz);
}

/* RFC 3550, appendix A.3. */
void source_report(struct source *source, struct source_report *report)
{
    uint32_t all = expected(source);
    int64_t lost = (int64_t)all - source->received;
    uint32_t expected_now = all - source->expected_before;
    int64_t lost_now = (int64_t)expected_now - source->received + source->received_before;
    source->expected_before = all;
    source->received_before = source->received;
    report->fraction_lost = 0;
    if (expected_now > 0 && lost_now > 0)
        report->fraction_lost =
            (uint8_t)(lost_now >= expected_now ? 255 : lost_now * 256 / expected_now);
    report->lost = (int32_t)(lost > 0x7fffff ? 0x7fffff : lost < -0x800000 ? -0x800000 : lost);
    report->highest = source->cycles + source->newest;
    report->jitter = source->jitter_16 >> 4;
}
