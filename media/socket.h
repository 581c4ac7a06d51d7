/* media/socket.h: a phone's pair of UDP sockets on a worker: read and written in batches. Binding
 * them is done on the control thread, in ports.c. */
#ifndef MEDIA_SOCKET_H
#define MEDIA_SOCKET_H

#include "media/worker.h"

enum socket_side { SOCKET_RTP, SOCKET_RTCP };

struct media_rtp {
    int fd[2];
    uint16_t port;
    /* worker */
    struct worker *worker;
    uv_poll_t poll[2];
    int polls_open;
    void (*on_packet)(void *ctx, enum socket_side side, uint8_t *packet, size_t bytes,
                      const struct sockaddr_storage *source);
    void *ctx;
};

/* Worker: starts to read. `packet` is good during the call of on_packet and may be changed. */
int socket_start(struct media_rtp *rtp, struct worker *worker);
/* Worker: to be sent before the loop sleeps. */
void socket_send(struct media_rtp *rtp, enum socket_side side, const uint8_t *packet, size_t bytes,
                 const struct sockaddr_storage *to);
/* Worker: closes and frees, started or not. */
void socket_close(struct media_rtp *rtp);

void socket_flush(struct worker *worker);
void socket_batches_init(struct worker *worker);

#endif
