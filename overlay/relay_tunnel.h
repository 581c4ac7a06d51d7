/* overlay/relay_tunnel.h: tunnels on their worker; private to relay*.c. */
#ifndef OVERLAY_RELAY_TUNNEL_H
#define OVERLAY_RELAY_TUNNEL_H

#include "overlay/bundle.h"
#include "overlay/candidate.h"
#include "overlay/path_post.h"
#include "overlay/relay.h"
#include "overlay/relay_udp.h"

#include <stdatomic.h>
#include <uthash.h>

struct relay_tunnel;
struct relay_worker;

/* How one of the two nodes is reached. */
struct relay_end {
    struct relay_tunnel *tunnel;
    struct bundle bundle; /* empty: this end is missing, but for what its channel may carry */
    struct relay_channel channel;
    uint8_t serial[CERTIFICATE_SERIAL_BYTES]; /* of who bound last */
    int64_t allowance;                        /* bytes that may come in now */
    uint64_t allowance_ms;                    /* when it was counted */
    uint64_t wanted_bytes; /* that came, forwarded or not, since shares were given out last */
};

struct relay_tunnel {
    struct relay_worker *worker;
    uint8_t id[CANDIDATE_TUNNEL_BYTES];
    struct relay_end ends[2]; /* of the lower node id, of the higher */
    uint64_t active_ms;       /* last bind or forwarded frame */
    unsigned connections;     /* that came, ever */
    UT_hash_handle hh;
};

struct relay_worker {
    struct relay *relay;
    int index;
    uint64_t bytes_s, idle_ms;           /* limits of a tunnel; fixed */
    atomic_uint *tunnel_count;           /* of the relay */
    atomic_ullong figure[RELAY_FIGURES]; /* written by the worker only */
    atomic_uint busy_ends; /* that sent something lately: the worker's part of the relay's cap */
    struct path_post *to_worker; /* control thread */
    struct path_letter start, leave, stop;

    /* worker */
    uv_loop_t *loop;
    struct path_post *to_control;
    struct relay_tunnel *tunnels;
    struct relay_channel *channels;
    uint64_t share_bytes_s; /* what each end may send now, so that it is enough for all */
    uv_timer_t sweep, share;
    unsigned lingering; /* handles and streams that are still closing */
    bool is_stopping;
};

/* A connection on its way to the worker, detached from its old loop. */
struct relay_arrival {
    struct path_letter letter;
    struct relay_worker *worker;
    struct tls_stream *stream;
    uint8_t tunnel[CANDIDATE_TUNNEL_BYTES];
    bool is_higher; /* its node id is the higher one */
    uint8_t serial[CERTIFICATE_SERIAL_BYTES];
};

/* A packet came from this end. */
void relay_tunnel_forward(struct relay_end *from, const uint8_t *packet, size_t bytes);
static inline void relay_count(struct relay_worker *worker, enum relay_figure figure, uint64_t more)
{
    atomic_fetch_add_explicit(&worker->figure[figure], more, memory_order_relaxed);
}

/* All on the worker: letters of the control thread. */
void relay_worker_start(struct path_letter *letter);
void relay_worker_leave(struct path_letter *letter);
void relay_worker_stop(struct path_letter *letter); /* comes back as relay_on_stopped */
void relay_worker_arrive(struct path_letter *letter);
struct relay_revoked {
    struct path_letter letter;
    struct relay_worker *worker;
};
void relay_worker_revoke(struct path_letter *letter);

/* Control thread: letters of the worker. */
struct relay_gone {
    struct path_letter letter;
    struct relay *relay;
    uint8_t tunnel[CANDIDATE_TUNNEL_BYTES];
    unsigned connections;
};
void relay_on_gone(struct path_letter *letter);
void relay_on_stopped(struct path_letter *letter);
/* Any thread; fixed, but for the last one. */
const struct relay_settings *relay_get_settings(const struct relay *relay);
int relay_worker_count(const struct relay *relay);
unsigned relay_busy_ends(const struct relay *relay);

#endif
