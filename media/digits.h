/* media/digits.h: sending digits as RFC 4733 events of our own. */
#ifndef MEDIA_DIGITS_H
#define MEDIA_DIGITS_H

#include <stdbool.h>
#include <stdint.h>

struct leg;

#define DIGITS_WAITING 32

struct digits {
    bool active; /* one is being sent; sound is held back meanwhile */
    uint8_t code;
    int duration_ms, sent_ms;
    int ends_left;
    uint32_t timestamp;
    uint64_t next_us; /* when the next packet is due */
    int waiting;
    struct {
        uint8_t code;
        uint16_t duration_ms;
    } queue[DIGITS_WAITING];
};

/* Digits beyond DIGITS_WAITING are dropped: nobody dials so far ahead. */
void digits_add(struct leg *leg, char digit, int duration_ms, uint64_t now_us);
/* Sends what is due; returns when next, 0: nothing more. */
uint64_t digits_run(struct leg *leg, uint64_t now_us);

#endif
