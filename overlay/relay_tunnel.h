/* overlay/relay_tunnel.h: tunnels on their worker; private to relay.c and relay_tunnel.c. */
#ifndef OVERLAY_RELAY_TUNNEL_H
#define OVERLAY_RELAY_TUNNEL_H

#include "overlay/bundle.h"
#include "overlay/candidate.h"
#include "overlay/path_post.h"
#include "overlay/relay.h"

#include <stdatomic.h>
#include <uthash.h>

struct relay_tunnel;
struct relay_worker;

/* The connections of one of the two nodes. */
struct relay_end {
    struct relay_tunnel *tunnel;
    struct bundle bundle;  /* empty: this end is missing */
    int64_t allowance;     /* bytes that may come in now */
    uint64_t allowance_ms; /* when it was counted */
};

struct relay_tunnel {
    struct relay_worker *worker;
    uint8_t id[CANDIDATE_TUNNEL_BYTES];
    struct relay_end ends[2]; /* of the lower node id, of the higher */
    uint64_t active_ms;       /* last bind or forwarded frame */
    unsigned connections;     /* that came, ever */
    UT_hash_handle hh;
};

struct relay_figures {
    uint64_t packets, bytes;          /* forwarded */
    uint64_t over_cap, missing, late; /* dropped: too many, no other end, too old */
};

struct relay_worker {
    struct relay *relay;
    int index;
    uint64_t bytes_s, idle_ms;   /* limits of a tunnel; fixed */
    atomic_uint *tunnel_count;   /* of the relay */
    struct path_post *to_worker; /* control thread */
    struct path_letter start, stop;

    /* worker */
    uv_loop_t *loop;
    struct path_post *to_control;
    struct relay_tunnel *tunnels;
    uv_timer_t sweep;
    unsigned lingering; /* handles and streams that are still closing */
    bool is_stopping;
    struct relay_figures figures;
};

/* A connection on its way to the worker, detached from its old loop. */
struct relay_arrival {
    struct path_letter letter;
    struct relay_worker *worker;
    struct tls_stream *stream;
    uint8_t tunnel[CANDIDATE_TUNNEL_BYTES];
    bool is_higher; /* its node id is the higher one */
};

/* All on the worker: letters of the control thread. */
void relay_worker_start(struct path_letter *letter);
void relay_worker_stop(struct path_letter *letter); /* comes back as relay_on_stopped */
void relay_worker_arrive(struct path_letter *letter);

/* Control thread: letters of the worker. */
struct relay_gone {
    struct path_letter letter;
    struct relay *relay;
    uint8_t tunnel[CANDIDATE_TUNNEL_BYTES];
    unsigned connections;
};
void relay_on_gone(struct path_letter *letter);
void relay_on_stopped(struct path_letter *letter);
const struct relay_settings *relay_get_settings(const struct relay *relay);

#endif
