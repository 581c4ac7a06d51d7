/* media/worker.h: a media worker, a thread with a libuv loop that owns its bridges and sockets,
 * and the `struct media` that holds them all. */
#ifndef MEDIA_WORKER_H
#define MEDIA_WORKER_H

#include "media/inbox.h"
#include "media/media.h"
#include "media/rtp.h"

#include <netinet/in.h>

/* Datagrams per system call. */
#define WORKER_BATCH 16

/* Packets that wait for one sendmmsg: all from one socket, sent at the latest before the loop
 * sleeps. */
struct send_batch {
    int fd;
    unsigned count;
    struct mmsghdr message[WORKER_BATCH];
    struct iovec vector[WORKER_BATCH];
    struct sockaddr_storage to[WORKER_BATCH];
    uint8_t packet[WORKER_BATCH][RTP_PACKET_MAX];
};

struct receive_batch {
    struct mmsghdr message[WORKER_BATCH];
    struct iovec vector[WORKER_BATCH];
    struct sockaddr_storage from[WORKER_BATCH];
    uint8_t packet[WORKER_BATCH][RTP_PACKET_MAX];
};

struct worker {
    struct media *media;
    int index;
    uv_thread_t thread;
    uv_loop_t loop;
    struct inbox inbox;

    /* control thread */
    struct outbox to_worker;
    int assigned; /* bridges */

    /* worker */
    struct outbox to_control;
    uv_timer_t tick; /* runs while there are bridges */
    uv_prepare_t before_sleep;
    struct media_bridge *bridges; /* hash by address: which ones are alive */
    struct send_batch sending;
    struct receive_batch receiving;
};

struct media {
    uv_loop_t *control;
    struct conf_media settings;
    struct inbox inbox; /* of the control thread */
    struct worker *workers;
    int worker_count, workers_running, outboxes_open;
    unsigned next_port; /* pair to try first */
    void (*on_closed)(void *ctx);
    void *ctx;
};

/* Control thread. worker_start begins the thread; the worker posts INBOX_STOPPED when it is over,
 * after which worker_join takes it down. */
int worker_start(struct media *media, struct worker *worker, int index);
void worker_join(struct worker *worker);

/* The worker whose thread this is; NULL on others. */
struct worker *worker_current(void);
/* Worker: tells the control thread. */
void worker_tell(struct worker *worker, const struct inbox_item *item);

static inline uint64_t now_us(void)
{
    return uv_hrtime() / 1000;
}

#endif
