#include "media/digits.h"

#include "media/bridge.h"
#include "media/leg.h"

#include <errno.h>
#include <string.h>

#define STEP_MS 20
#define GAP_MS 60
#define DURATION_MIN_MS 40
#define DURATION_MAX_MS 8000 /* at 8 kHz a duration has 16 bits */
#define VOLUME 10            /* -10 dBm0 */

static void begin(struct leg *leg, uint64_t now_us)
{
    struct digits *digits = &leg->digits;
    digits->active = true;
    digits->code = digits->queue[0].code;
    digits->duration_ms = digits->queue[0].duration_ms;
    digits->sent_ms = 0;
    digits->ends_left = 3; /* RFC 4733, section 2.5.1.4 */
    digits->timestamp = sender_timestamp_now(&leg->sender, codec_clock_hz(leg->set.codec), now_us);
    digits->next_us = now_us;
    digits->waiting--;
    memmove(digits->queue, digits->queue + 1, (size_t)digits->waiting * sizeof digits->queue[0]);
}

void digits_add(struct leg *leg, char digit, int duration_ms, uint64_t now_us)
{
    struct digits *digits = &leg->digits;
    int code = event_code(digit);
    if (code < 0 || digits->waiting == DIGITS_WAITING)
        return;
    if (duration_ms < DURATION_MIN_MS)
        duration_ms = DURATION_MIN_MS;
    int clock_khz = codec_clock_hz(leg->set.codec) / 1000;
    int most_ms =
        UINT16_MAX / clock_khz < DURATION_MAX_MS ? UINT16_MAX / clock_khz : DURATION_MAX_MS;
    if (duration_ms > most_ms)
        duration_ms = most_ms;
    digits->queue[digits->waiting].code = (uint8_t)code;
    digits->queue[digits->waiting].duration_ms = (uint16_t)duration_ms;
    digits->waiting++;
    if (!digits->active && digits->next_us < now_us)
        digits->next_us = now_us;
    bridge_wake(leg->bridge, digits->next_us);
}

static void send_one(struct leg *leg, uint64_t now_us)
{
    struct digits *digits = &leg->digits;
    bool first = digits->sent_ms == 0;
    digits->sent_ms += STEP_MS;
    bool end = digits->sent_ms >= digits->duration_ms;
    int ms = end ? digits->duration_ms : digits->sent_ms;
    const struct event event = {
        .code = digits->code,
        .end = end,
        .volume = VOLUME,
        .duration = (uint16_t)(ms * (codec_clock_hz(leg->set.codec) / 1000)),
    };
    uint8_t payload[EVENT_BYTES];
    event_write(payload, &event);
    struct rtp_header rtp = {
        .marker = first,
        .payload_type = (uint8_t)leg->set.event_payload_type,
        .sequence = (uint16_t)(leg->sender.sequence + 1),
        .timestamp = digits->timestamp,
        .payload = payload,
        .payload_bytes = sizeof payload,
    };
    leg_send(leg, &rtp, LEG_OWN, now_us);
    if (end)
        digits->ends_left--;
}

uint64_t digits_run(struct leg *leg, uint64_t now_us)
{
    struct digits *digits = &leg->digits;
    if (!digits->active && digits->waiting == 0)
        return 0;
    if (now_us < digits->next_us)
        return digits->next_us;
    if (leg->set.event_payload_type < 0) { /* was taken away meanwhile */
        digits->active = false;
        digits->waiting = 0;
        return 0;
    }
    if (!digits->active)
        begin(leg, now_us);
    send_one(leg, now_us);
    if (digits->ends_left > 0) {
        digits->next_us = now_us + STEP_MS * 1000;
        return digits->next_us;
    }
    digits->active = false;
    digits->next_us = now_us + GAP_MS * 1000;
    return digits->waiting ? digits->next_us : 0;
}
