#include "media/event.h"

#include "media/rtp.h"

#include <errno.h>
#include <string.h>

static const char digits[] = "0123456789*#ABCD";
/* An event is over when its packets stop for so long (they come each 20-50 ms). */
#define END_LOST_US 300000
/* Nobody presses faster; a flood of events must not become a flood of reports. */
#define REPORT_GAP_US 30000

int event_parse(const uint8_t *payload, size_t bytes, struct event *event)
{
    if (bytes < EVENT_BYTES)
        return -EBADMSG;
    event->code = payload[0];
    event->end = payload[1] & 0x80;
    event->volume = payload[1] & 0x3f;
    event->duration = rtp_get16(payload + 2);
    return 0;
}

void event_write(uint8_t payload[EVENT_BYTES], const struct event *event)
{
    payload[0] = event->code;
    payload[1] = (uint8_t)((event->end ? 0x80 : 0) | (event->volume & 0x3f));
    rtp_put16(payload + 2, event->duration);
}

char event_digit(uint8_t code)
{
    return code < sizeof digits - 1 ? digits[code] : 0;
}

int event_code(char digit)
{
    if (digit >= 'a' && digit <= 'd')
        digit = (char)(digit - 'a' + 'A');
    const char *found = digit ? strchr(digits, digit) : NULL;
    return found ? (int)(found - digits) : -EINVAL;
}

uint16_t event_scale(uint16_t duration, int from_hz, int to_hz)
{
    uint64_t scaled = (uint64_t)duration * (uint64_t)to_hz / (uint64_t)from_hz;
    return scaled > UINT16_MAX ? UINT16_MAX : (uint16_t)scaled;
}

static bool report(struct event_watch *watch, int clock_hz, uint64_t now_us,
                   struct event_heard *heard)
{
    watch->active = false;
    watch->reported = true;
    heard->digit = event_digit(watch->event.code);
    heard->duration_ms = (int)((int64_t)watch->event.duration * 1000 / clock_hz);
    if (!heard->digit || (watch->reported_us && now_us - watch->reported_us < REPORT_GAP_US))
        return false;
    watch->reported_us = now_us;
    return true;
}

bool event_watch_packet(struct event_watch *watch, const struct event *event, uint32_t timestamp,
                        int clock_hz, uint64_t now_us, struct event_heard *heard)
{
    bool same = (watch->active || watch->reported) && timestamp == watch->timestamp &&
                event->code == watch->event.code;
    if (same && watch->reported)
        return false; /* the end, repeated */
    if (!same && watch->reported && (int32_t)(timestamp - watch->timestamp) < 0 &&
        now_us - watch->heard_us < END_LOST_US)
        return false; /* an older one, reordered */
    bool due = false;
    if (!same) {
        if (watch->active)
            due = report(watch, clock_hz, now_us, heard); /* its end was lost */
        watch->active = true;
        watch->reported = false;
        watch->timestamp = timestamp;
        watch->event = *event;
    }
    watch->heard_us = now_us;
    if (event->duration > watch->event.duration)
        watch->event.duration = event->duration;
    if (event->end && !due)
        due = report(watch, clock_hz, now_us, heard);
    return due;
}

bool event_watch_tick(struct event_watch *watch, int clock_hz, uint64_t now_us,
                      struct event_heard *heard)
{
    if (!watch->active || now_us - watch->heard_us < END_LOST_US)
        return false;
    return report(watch, clock_hz, now_us, heard);
}
