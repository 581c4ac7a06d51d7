/* Another node: SRTP and SRTCP under the call's own keys, both through the one port that the
 * overlay gave. */
#include "media/leg.h"
#include "media/srtp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A header and the tag; what is shorter is no SRTP and no SRTCP. */
#define SHORTEST 28
/* Voice is shorter: 60 ms of Opus at its highest rate here are 240 bytes. */
#define REPEAT_MAX 320

/* The last RTP packet, as it went out: sent again it is the same, and SRTP drops it as a double. */
struct peer_state {
    size_t bytes; /* 0: none */
    uint8_t packet[REPEAT_MAX];
};

static bool same_keys(const struct leg_keys *keys, const struct media_leg *new)
{
    return keys->link && keys->ssrc_in == new->ssrc_in &&
           keys->ssrc_out == new->ssrc_out &&memcmp(keys->key_in, new->key_in, MEDIA_KEY_BYTES) ==
               0 &&
           memcmp(keys->key_out, new->key_out, MEDIA_KEY_BYTES) == 0;
}

static int set(struct leg *leg, struct bridge_change *change, uint64_t now_us)
{
    (void)now_us;
    struct leg_keys *keys = &leg->keys;
    const struct media_leg *new = &change->leg;
    struct peer_state *state = leg->state;
    if (!state)
        leg->state = state = calloc(1, sizeof *state);
    if (!state)
        return -ENOMEM;
    leg->sender.ssrc = new->ssrc_out;
    if (same_keys(keys, new))
        return 0;
    state->bytes = 0;
    srtp_link_free(keys->link);
    keys->link = NULL;
    int error = srtp_link_new(new, &keys->link);
    if (error)
        return error;
    keys->ssrc_in = new->ssrc_in;
    keys->ssrc_out = new->ssrc_out;
    memcpy(keys->key_in, new->key_in, MEDIA_KEY_BYTES);
    memcpy(keys->key_out, new->key_out, MEDIA_KEY_BYTES);
    return 0;
}

static bool is_ready(const struct leg *leg)
{
    return leg->keys.link != NULL;
}

static void keep(struct peer_state *state, const uint8_t *packet, size_t bytes)
{
    state->bytes = bytes <= REPEAT_MAX ? bytes : 0;
    memcpy(state->packet, packet, state->bytes);
}

static void repeat(struct leg *leg)
{
    const struct peer_state *state = leg->state;
    if (state->bytes == 0)
        return;
    leg->stats.repeated++;
    leg->set.send(leg->set.port, state->packet, state->bytes);
}

static void close_peer(struct leg *leg)
{
    free(leg->state);
}

static int send_packet(struct leg *leg, bool rtcp, uint8_t *packet, size_t bytes)
{
    int error = srtp_link_protect(leg->keys.link, rtcp, packet, &bytes);
    if (error)
        return error;
    if (!rtcp)
        keep(leg->state, packet, bytes);
    /* A path without a way at this moment has lost the packet, which is what paths do; the number
     * is used up all the same. */
    leg->set.send(leg->set.port, packet, bytes);
    return 0;
}

void leg_peer_receive(struct leg *leg, uint8_t *packet, size_t bytes, uint64_t now_us)
{
    struct rtp_header rtp;
    bool rtcp = rtp_is_rtcp(packet, bytes);
    int error = -EBADMSG;
    if (bytes >= SHORTEST && bytes <= RTP_PACKET_MAX)
        error = srtp_link_unprotect(leg->keys.link, rtcp, packet, &bytes);
    if (!error && !rtcp)
        error = rtp_parse(packet, bytes, &rtp);
    if (error == -EEXIST)
        leg->stats.duplicate++;
    else if (error == -ETIME)
        leg->stats.late++;
    else if (error)
        leg->stats.rejected++;
    else if (rtcp)
        leg_hear_rtcp(leg, packet, bytes, now_us);
    else
        leg_hear(leg, &rtp, now_us);
}

const struct leg_ops media_peer_ops = {
    .set = set,
    .is_ready = is_ready,
    .send = send_packet,
    .repeat = repeat,
    .has_reports = true,
    .may_stall = true,
    /* Between nodes reports steer the redundancy of Opus: rather more often than phones do. */
    .report_ms = 2000,
    .close = close_peer,
};
