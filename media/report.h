/* media/report.h: a leg's RTCP: when it reports, and what it learns from the far end's reports. */
#ifndef MEDIA_REPORT_H
#define MEDIA_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct leg;

struct report {
    uint64_t next_us;      /* 0: not begun */
    uint64_t packets_then; /* sent at the last report: tells a sender from a receiver */
    uint32_t last_middle;  /* NTP of the far end's last sender report … */
    uint64_t last_us;      /* … and when it came; 0: none */
};

/* Sends a report when it is time. */
void report_tick(struct leg *leg, uint64_t now_us);
void report_bye(struct leg *leg, uint64_t now_us);
/* -EBADMSG. *bye: the far end says that it leaves. */
int report_hear(struct leg *leg, const uint8_t *packet, size_t bytes, uint64_t now_us, bool *bye);

#endif
