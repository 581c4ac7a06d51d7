/* sip/stream_connection.h: one TCP connection of a phone, and its loopback socket towards nta.
 * Private to stream.c and stream_connection.c; stream.h tells the whole idea. */
#ifndef SIP_STREAM_CONNECTION_H
#define SIP_STREAM_CONNECTION_H

#include "sip/core.h"
#include "sip/stream.h"
#include "sip/stream_frame.h"

#include <uthash.h>

#define STREAM_RECENT_MAX 16

struct connection {
    uv_tcp_t tcp;
    uv_udp_t udp; /* our end of the way to nta */
    struct stream *stream;
    struct flow flow;
    TAILQ_ENTRY(connection) ready; /* a whole message waits to be handed over */
    bool is_ready, closing;
    int open_handles;
    uint64_t since_ms;                  /* of the last whole message, or of the start */
    uint64_t partial_ms;                /* when an unfinished message began; 0: none */
    bool spoke;                         /* a whole message came */
    uint64_t recent[STREAM_RECENT_MAX]; /* requests that went out */
    int recent_at;
    UT_hash_handle hh;
    struct framer framer;
};

struct listener {
    uv_tcp_t tcp;
    struct stream *stream;
};

struct stream {
    struct sip *sip;
    struct sockaddr_storage nta; /* its loopback socket */
    struct listener listeners[CONF_LISTS_MAX];
    int listener_count;
    struct connection *connections; /* by loopback port */
    TAILQ_HEAD(, connection) ready;
    uv_idle_t pump;
    uv_timer_t sweep;
    unsigned max;
    int open_handles; /* while closing: listeners, pump, sweep, connections */
    bool closing;
    struct log_limit limit;
};

/* Takes a connection that waits at a listener. */
void stream_connection_accept(struct stream *stream, uv_stream_t *listener);
/* Closes in silence, or with a (limited) complaint about what came in. */
void stream_connection_close(struct connection *connection, const char *why);
void stream_connection_refuse(struct connection *connection, const char *why);
/* Frees the stream when it is closing and nothing is open any more. */
void stream_settle(struct stream *stream);

#endif
