#include "media/report.h"

#include "media/leg.h"
#include "media/rtcp.h"
#include "media/srtp.h"

#include <stdio.h>
#include <stdlib.h>

/* RFC 3550, section 6.3.1: between half and one and a half times the interval, so that reports of
 * many calls do not march in step. The sequence number is dice enough. */
static uint64_t interval_us(const struct leg *leg)
{
    uint64_t mean_us = (uint64_t)leg->ops->report_ms * 1000;
    unsigned dice = (leg->sender.sequence * 2654435761u + leg->sender.ssrc) >> 16 & 0x3ff;
    return mean_us / 2 + mean_us * dice / 1024;
}

static uint32_t timestamp_now(const struct sender *sender, uint64_t now_us)
{
    uint64_t since_us = now_us - sender->sent_us;
    return sender->timestamp + (uint32_t)(since_us * (uint64_t)sender->clock_hz / 1000000);
}

static void send_packet(struct leg *leg, bool bye, uint64_t now_us)
{
    struct report *report = &leg->report;
    const struct sender *sender = &leg->sender;
    char cname[24];
    snprintf(cname, sizeof cname, "sallyport-%08x", sender->ssrc);
    struct rtcp_out out = {
        .ssrc = sender->ssrc,
        .cname = cname,
        .bye = bye,
        .is_sender = sender->packets > report->packets_then,
        .ntp = rtcp_ntp_now(),
        .timestamp = timestamp_now(sender, now_us),
        .packets = (uint32_t)sender->packets,
        .octets = (uint32_t)sender->octets,
        .has_block = leg->source.known,
        .about = leg->source.ssrc,
    };
    if (out.has_block)
        source_report(&leg->source, &out.block);
    if (report->last_us) {
        out.last_report = report->last_middle;
        out.since_last_report = (uint32_t)(((now_us - report->last_us) << 16) / 1000000);
    }
    uint8_t packet[RTCP_PACKET_MAX + SRTP_TRAILER_MAX];
    leg->ops->send(leg, true, packet, rtcp_write(packet, &out));
    report->packets_then = sender->packets;
}

void report_tick(struct leg *leg, uint64_t now_us)
{
    struct report *report = &leg->report;
    if (!leg->ops->has_reports || !leg->ops->is_ready(leg))
        return;
    if (report->next_us == 0)
        report->next_us = now_us + interval_us(leg) / 2;
    if (now_us < report->next_us)
        return;
    report->next_us = now_us + interval_us(leg);
    if (leg->sender.started || leg->source.known)
        send_packet(leg, false, now_us);
}

void report_bye(struct leg *leg, uint64_t now_us)
{
    if (leg->ops->has_reports && leg->ops->is_ready(leg) && leg->sender.started)
        send_packet(leg, true, now_us);
}

int report_hear(struct leg *leg, const uint8_t *packet, size_t bytes, uint64_t now_us, bool *bye)
{
    struct rtcp_in in;
    int error = rtcp_parse(packet, bytes, leg->sender.ssrc, &in);
    if (error)
        return error;
    *bye = in.bye;
    if (in.has_sender_report) {
        leg->report.last_middle = rtcp_ntp_middle(in.ntp);
        leg->report.last_us = now_us;
    }
    if (!in.has_block)
        return 0;
    uint32_t trip_us = rtcp_round_trip_us(rtcp_ntp_now(), &in);
    if (trip_us)
        leg->stats.round_trip_us = trip_us;
    leg->stats.remote_lost_per_mille = in.fraction_lost * 1000u / 256;
    if (leg->encode)
        encoder_set_loss(leg->encode->encoder, (int)leg->stats.remote_lost_per_mille);
    return 0;
}
