/* media/event.h: telephone events (RFC 4733): the payload as bytes, and hearing each digit once.
 * Pure. */
#ifndef MEDIA_EVENT_H
#define MEDIA_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EVENT_BYTES 4

struct event {
    uint8_t code;
    bool end;
    uint8_t volume;
    uint16_t duration; /* in units of the RTP clock */
};

/* -EBADMSG when shorter than an event; what follows the first event (redundancy) is not read. */
int event_parse(const uint8_t *payload, size_t bytes, struct event *event);
void event_write(uint8_t payload[EVENT_BYTES], const struct event *event);

/* 0-9 * # A-D, or 0 when the code is no digit. */
char event_digit(uint8_t code);
/* -EINVAL when it is no digit. */
int event_code(char digit);

/* The duration at another clock; stays within 16 bits. */
uint16_t event_scale(uint16_t duration, int from_hz, int to_hz);

/* Hears digits: each event (told apart by its timestamp) is reported once, at its end. */
struct event_watch {
    bool active;   /* an event is going on */
    bool reported; /* the event at `timestamp` has been reported */
    uint32_t timestamp;
    struct event event;
    uint64_t heard_us, reported_us;
};
struct event_heard {
    char digit;
    int duration_ms;
};
/* An event packet came in. True when a digit is to be reported now. */
bool event_watch_packet(struct event_watch *watch, const struct event *event, uint32_t timestamp,
                        int clock_hz, uint64_t now_us, struct event_heard *heard);
/* Time goes by: true when an event whose end was lost is to be reported now. */
bool event_watch_tick(struct event_watch *watch, int clock_hz, uint64_t now_us,
                      struct event_heard *heard);

#endif
