#include "media/forward.h"

#include <errno.h>
#include <sys/random.h>

/* Forwarded timestamps may run apart from the wall clock by as much before they are set anew. */
#define DRIFT_MAX_S 3
/* A number further back than this is no reordered packet. */
#define DISORDER_MAX 100

void sender_init(struct sender *sender)
{
    uint32_t dice[3];
    if (getrandom(dice, sizeof dice, 0) != sizeof dice)
        dice[0] = dice[1] = dice[2] = 0x5a11;
    *sender = (struct sender){
        .ssrc = dice[0],
        .timestamp = dice[1],
        .sequence = dice[2] & 0x7fff,
    };
}

uint32_t sender_timestamp_now(const struct sender *sender, int clock_hz, uint64_t now_us)
{
    if (!sender->started)
        return sender->timestamp;
    uint64_t elapsed_us = now_us > sender->sent_us ? now_us - sender->sent_us : 0;
    if (elapsed_us < 20000)
        elapsed_us = 20000;
    return sender->timestamp + (uint32_t)(elapsed_us * (uint64_t)clock_hz / 1000000);
}

void sender_sent(struct sender *sender, const struct rtp_header *rtp, int clock_hz, uint64_t now_us)
{
    sender->packets++;
    sender->octets += rtp->payload_bytes;
    if (sender->started && (int16_t)(uint16_t)(rtp->sequence - sender->sequence) <= 0)
        return; /* a reordered one that is handed on */
    sender->started = true;
    sender->sequence = rtp->sequence;
    sender->timestamp = rtp->timestamp;
    sender->sent_us = now_us;
    sender->clock_hz = clock_hz;
}

static bool has_drifted(const struct forward *forward, const struct sender *sender,
                        const struct rtp_header *in, int clock_hz, uint64_t now_us)
{
    int64_t passed = (int64_t)(now_us - sender->sent_us) * clock_hz / 1000000;
    int64_t moved = (int32_t)(in->timestamp + forward->timestamp_offset - sender->timestamp);
    int64_t apart = moved - passed;
    return apart > DRIFT_MAX_S * clock_hz || apart < -DRIFT_MAX_S * clock_hz;
}

int forward_map(struct forward *forward, const struct sender *sender, const struct rtp_header *in,
                int clock_hz, uint64_t now_us, struct rtp_header *out)
{
    bool fresh = !forward->synced || forward->source_ssrc != in->ssrc ||
                 (sender->started && forward->sent != sender->sequence) ||
                 sender->clock_hz != clock_hz;
    int newer = (int16_t)(uint16_t)(in->sequence - forward->source_newest);
    if (newer > 3000 || newer < -DISORDER_MAX)
        fresh = true; /* the source began anew (RFC 3550, appendix A.1) */
    if (!fresh && newer <= 0 && (int16_t)(uint16_t)(in->sequence - forward->source_first) < 0)
        return -ESTALE;
    *out = *in;
    if (fresh) {
        forward->synced = true;
        forward->source_ssrc = in->ssrc;
        forward->source_first = forward->source_newest = in->sequence;
        forward->sequence_offset = (uint16_t)(sender->sequence + 1 - in->sequence);
        forward->timestamp_offset = sender_timestamp_now(sender, clock_hz, now_us) - in->timestamp;
        out->marker = true;
    } else if (newer > 0) {
        forward->source_newest = in->sequence;
        /* Follows behind, lest it comes round from the other side after half a cycle. */
        if ((uint16_t)(in->sequence - forward->source_first) > 2 * DISORDER_MAX)
            forward->source_first = (uint16_t)(in->sequence - DISORDER_MAX);
        if (has_drifted(forward, sender, in, clock_hz, now_us))
            forward->timestamp_offset =
                sender_timestamp_now(sender, clock_hz, now_us) - in->timestamp;
    }
    out->ssrc = sender->ssrc;
    out->sequence = (uint16_t)(in->sequence + forward->sequence_offset);
    out->timestamp = in->timestamp + forward->timestamp_offset;
    if (fresh || newer > 0)
        forward->sent = out->sequence;
    return 0;
}

void forward_skip(struct forward *forward, const struct rtp_header *in)
{
    if (!forward->synced || forward->source_ssrc != in->ssrc ||
        in->sequence != (uint16_t)(forward->source_newest + 1))
        return;
    forward->source_newest = in->sequence;
    forward->source_first = (uint16_t)(in->sequence + 1);
    forward->sequence_offset--;
}
