#include "media/socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A flood at one socket must not keep the others waiting: what is left comes at the next turn. */
#define ROUNDS_MAX 4

void socket_batches_init(struct worker *worker)
{
    struct send_batch *out = &worker->sending;
    struct receive_batch *in = &worker->receiving;
    out->fd = -1;
    for (int i = 0; i < WORKER_BATCH; i++) {
        in->vector[i] = (struct iovec){in->packet[i], RTP_PACKET_MAX};
        in->message[i].msg_hdr =
            (struct msghdr){.msg_name = &in->from[i], .msg_iov = &in->vector[i], .msg_iovlen = 1};
        out->vector[i].iov_base = out->packet[i];
        out->message[i].msg_hdr =
            (struct msghdr){.msg_name = &out->to[i], .msg_iov = &out->vector[i], .msg_iovlen = 1};
    }
}

/* ---- sending --------------------------------------------------------------------------------- */

void socket_flush(struct worker *worker)
{
    struct send_batch *batch = &worker->sending;
    unsigned sent = 0;
    while (sent < batch->count) {
        int done = sendmmsg(batch->fd, batch->message + sent, batch->count - sent, 0);
        if (done > 0)
            sent += (unsigned)done;
        else if (errno != EINTR)
            sent++; /* refused by a far host that has no such port, or no buffers: it is lost */
    }
    batch->count = 0;
}

void socket_send(struct media_rtp *rtp, enum socket_side side, const uint8_t *packet, size_t bytes,
                 const struct sockaddr_storage *to)
{
    struct send_batch *batch = &rtp->worker->sending;
    if (bytes > RTP_PACKET_MAX)
        return;
    if (batch->count == WORKER_BATCH || (batch->count > 0 && batch->fd != rtp->fd[side]))
        socket_flush(rtp->worker);
    unsigned at = batch->count++;
    batch->fd = rtp->fd[side];
    memcpy(batch->packet[at], packet, bytes);
    batch->vector[at].iov_len = bytes;
    batch->to[at] = *to;
    batch->message[at].msg_hdr.msg_namelen = address_length(to);
}

/* ---- receiving ------------------------------------------------------------------------------- */

static void read_all(struct media_rtp *rtp, enum socket_side side)
{
    struct receive_batch *batch = &rtp->worker->receiving;
    int count, rounds = 0;
    do {
        for (int i = 0; i < WORKER_BATCH; i++)
            batch->message[i].msg_hdr.msg_namelen = sizeof batch->from[i];
        count = recvmmsg(rtp->fd[side], batch->message, WORKER_BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; i < count; i++) {
            if (batch->message[i].msg_hdr.msg_flags & MSG_TRUNC)
                continue;
            rtp->on_packet(rtp->ctx, side, batch->packet[i], batch->message[i].msg_len,
                           &batch->from[i]);
        }
    } while (count == WORKER_BATCH && ++rounds < ROUNDS_MAX);
}

static void on_rtp(uv_poll_t *poll, int status, int events)
{
    (void)status; /* errors are read off the socket */
    (void)events;
    read_all(poll->data, SOCKET_RTP);
}

static void on_rtcp(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    read_all(poll->data, SOCKET_RTCP);
}

int socket_start(struct media_rtp *rtp, struct worker *worker)
{
    static const uv_poll_cb readers[2] = {on_rtp, on_rtcp};
    rtp->worker = worker;
    for (int i = 0; i < 2; i++) {
        int error = uv_poll_init(&worker->loop, &rtp->poll[i], rtp->fd[i]);
        if (error)
            return error;
        rtp->polls_open++;
        rtp->poll[i].data = rtp;
        error = uv_poll_start(&rtp->poll[i], UV_READABLE, readers[i]);
        if (error)
            return error;
    }
    return 0;
}

/* ---- closing --------------------------------------------------------------------------------- */

static void release(struct media_rtp *rtp)
{
    close(rtp->fd[0]);
    close(rtp->fd[1]);
    free(rtp);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct media_rtp *rtp = handle->data;
    if (--rtp->polls_open == 0)
        release(rtp);
}

void socket_close(struct media_rtp *rtp)
{
    if (rtp->polls_open == 0) {
        release(rtp);
        return;
    }
    if (rtp->worker->sending.fd == rtp->fd[0] || rtp->worker->sending.fd == rtp->fd[1])
        socket_flush(rtp->worker);
    for (int i = rtp->polls_open - 1; i >= 0; i--)
        uv_close((uv_handle_t *)&rtp->poll[i], on_poll_closed);
}
