/* A phone: plain RTP and RTCP over UDP. Symmetric: we send where accepted packets come from. */
#include "media/learn.h"
#include "media/leg.h"
#include "media/socket.h"

#include <errno.h>
#include <stdlib.h>

struct rtp_state {
    struct media_rtp *socket;
    struct learn learn;
    struct sockaddr_storage reports_from; /* family 0: none came yet */
};

static void on_report(struct leg *leg, const uint8_t *packet, size_t bytes,
                      const struct sockaddr_storage *source)
{
    struct rtp_state *state = leg->state;
    if (!learn_is_host(&state->learn, source)) {
        leg->stats.rejected++;
        return;
    }
    state->reports_from = *source;
    leg_hear_rtcp(leg, packet, bytes, now_us());
}

static void on_packet(void *ctx, enum socket_side side, uint8_t *packet, size_t bytes,
                      const struct sockaddr_storage *source)
{
    struct leg *leg = ctx;
    struct rtp_state *state = leg->state;
    struct rtp_header rtp;
    enum codec codec;
    uint64_t now = now_us();
    if (side == SOCKET_RTCP || rtp_is_rtcp(packet, bytes)) {
        on_report(leg, packet, bytes, source);
        return;
    }
    if (rtp_parse(packet, bytes, &rtp) < 0 ||
        leg_format(leg, rtp.payload_type, &codec) == LEG_UNKNOWN ||
        learn_packet(&state->learn, source, &rtp, now) != LEARN_ACCEPT) {
        leg->stats.rejected++;
        return;
    }
    leg->stats.source = *source;
    leg_hear(leg, &rtp, now);
}

static int adopt(struct leg *leg, struct rtp_state *state, struct media_rtp *socket)
{
    if (state->socket == socket)
        return 0;
    if (state->socket)
        socket_close(state->socket);
    state->socket = socket;
    socket->on_packet = on_packet;
    socket->ctx = leg;
    return socket_start(socket, leg->worker);
}

static int set(struct leg *leg, struct bridge_change *change, uint64_t now_us)
{
    struct rtp_state *state = leg->state;
    const struct media_leg *new = &change->leg;
    if (!state) {
        leg->state = state = calloc(1, sizeof *state);
        if (!state) {
            socket_close(new->rtp);
            return -ENOMEM;
        }
    }
    if (state->socket != new->rtp) {
        learn_begin(&state->learn, &new->remote, now_us);
        state->reports_from.ss_family = 0;
    } else if (learn_again(&state->learn, &new->remote, now_us)) {
        state->reports_from.ss_family = 0;
    }
    return adopt(leg, state, new->rtp);
}

static bool is_ready(const struct leg *leg)
{
    const struct rtp_state *state = leg->state;
    return state->learn.remote.ss_family != 0;
}

static int send_packet(struct leg *leg, bool rtcp, uint8_t *packet, size_t bytes)
{
    struct rtp_state *state = leg->state;
    struct sockaddr_storage to = state->learn.remote;
    if (!rtcp) {
        socket_send(state->socket, SOCKET_RTP, packet, bytes, &to);
        return 0;
    }
    if (state->reports_from.ss_family)
        to = state->reports_from;
    else if (leg->set.remote_rtcp.ss_family && address_port(&leg->set.remote_rtcp) != 0)
        to = leg->set.remote_rtcp;
    else if (address_port(&to) < UINT16_MAX)
        address_set_port(&to, (uint16_t)(address_port(&to) + 1));
    socket_send(state->socket, SOCKET_RTCP, packet, bytes, &to);
    return 0;
}

static void close_rtp(struct leg *leg)
{
    struct rtp_state *state = leg->state;
    if (!state)
        return;
    if (state->socket)
        socket_close(state->socket);
    free(state);
}

const struct leg_ops media_rtp_ops = {
    .set = set,
    .is_ready = is_ready,
    .send = send_packet,
    .has_reports = true,
    .report_ms = 5000,
    .close = close_rtp,
};
