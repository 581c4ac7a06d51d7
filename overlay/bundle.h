/* overlay/bundle.h: packets over up to two parallel TLS connections: frames in, frames out, nothing
 * old.
 *
 * One way of a path over TCP, or one end of a relay's tunnel. A segment that TCP has lost holds up
 * all that was sent after it on the same connection, so each packet takes the connection that is
 * least behind: the one whose oldest unacknowledged byte is the youngest. What TCP has not sent
 * stays short; a packet that no connection takes waits in one queue, which forgets what is too old
 * (stream.h), for whichever is free first.
 *
 * TCP finds a loss by what comes after it. Where little comes after it, as with a few calls, that
 * takes long: on a line that loses, a thin stream of packets goes over both connections
 * (bundle_double.c), and the receiving bundle drops what it has had.
 *
 * Both ends use it, whoever dialled (bundle_dial.h). Thread: that of the streams' loop.
 */
#ifndef OVERLAY_BUNDLE_H
#define OVERLAY_BUNDLE_H

#include "overlay/stream.h"
#include "overlay/tls.h"

#define BUNDLE_STREAMS 2
#define BUNDLE_PLACES (2 * BUNDLE_STREAMS) /* with those that are leaving */
#define BUNDLE_MARKS 48

struct bundle;

struct bundle_events {
    /* A packet came; it may be changed. The bundle must still be there afterwards. */
    void (*on_packet)(void *ctx, uint8_t *packet, size_t bytes);
    /* A connection ended, in words; bundle_count tells what is left. The bundle may be ended. */
    void (*on_lost)(void *ctx, const char *why);
};

/* What a bundle needs of the worker that it lives on. */
struct bundle_host {
    uv_loop_t *loop;
    unsigned *lingering;        /* one more for each connection that is closing */
    void (*on_gone)(void *ctx); /* it is gone: takes one off. May come after bundle_fini. */
    void *ctx;
};

/* Up to here the connection had carried at that time. */
struct bundle_mark {
    uint64_t bytes;
    uint64_t sent_ms;
};

/* The end of a packet that has come: of SRTP and of what we sign the part that makes it unique. */
#define BUNDLE_TAIL_BYTES 16
#define BUNDLE_SEEN 256
struct bundle_seen {
    uint8_t tail[BUNDLE_TAIL_BYTES];
    uint8_t from; /* the place of its connection, from 1 on; 0: none has come */
};

struct bundle_stream {
    struct bundle *bundle;
    struct tls_stream *stream; /* NULL: none */
    uint64_t number;           /* counts up: the lower one of two is older */
    bool is_leaving;           /* replaced: nothing is sent on it, but what comes is taken */
    uint64_t leave_ms;         /* until then, on the side that dialled */
    struct stream_frames frames;
    struct bundle_mark marks[BUNDLE_MARKS]; /* what is not acknowledged yet, oldest first */
    unsigned first_mark, mark_count;
    struct tls_line line; /* when it was last looked */
    uint32_t least_round_trip_us;
    uint64_t asked_ms; /* when it was last looked which of them are acknowledged */
};

struct bundle {
    const struct bundle_events *events;
    void *ctx;
    struct bundle_host host;
    struct bundle_stream streams[BUNDLE_PLACES];
    struct stream_queue queue;
    unsigned last; /* that was sent on */
    uint64_t next_number;
    struct bundle_loss {
        uint64_t looked_ms; /* for what was lost */
        uint64_t double_until_ms;
        uint64_t second_ms; /* when this second began */
        unsigned packets;   /* sent in it */
    } loss;
    struct bundle_seen seen[BUNDLE_SEEN];
};

/* `host` is copied. */
void bundle_init(struct bundle *bundle, const struct bundle_host *host,
                 const struct bundle_events *events, void *ctx);
/* Closes all connections and frees what is kept, but not the bundle; no event comes any more, and
 * it may be used again. */
void bundle_fini(struct bundle *bundle);

/* Takes a connection that is up. When there are two, it replaces the one that seems to be dead
 * (nothing of what was sent has been acknowledged for long), else the older one. One that is alive
 * is not closed at once: packets may still be on their way to us. */
void bundle_add(struct bundle *bundle, struct tls_stream *stream);
/* What came on a connection of the bundle before it was added. */
void bundle_take(struct bundle *bundle, const struct tls_stream *stream, const uint8_t *data,
                 size_t bytes);
/* The same for one that is detached from another loop; `hello` is sent on it first. When it cannot
 * be resumed, it is closed: negative errno. */
int bundle_resume(struct bundle *bundle, struct tls_stream *stream, const uint8_t *hello,
                  size_t hello_bytes);
/* Closes those that have been leaving for long enough; returns when there is more to close
 * (uv_now), UINT64_MAX: nothing. The side that dialled does it; the other one is closed by that. */
uint64_t bundle_reap(struct bundle *bundle, uint64_t now_ms);
/* Closes those that have not got something acknowledged for so long, as long as one is left. */
void bundle_drop_behind(struct bundle *bundle, uint64_t behind_ms);

/* Connections that packets may take. */
unsigned bundle_count(const struct bundle *bundle);
/* Sends the packet now, or keeps it. -EMSGSIZE, -ENOTCONN, -ENOMEM. */
int bundle_send(struct bundle *bundle, const uint8_t *packet, size_t bytes);

/* bundle_double.c; private to bundle*.c */
/* Shall the packet that is being sent go over a second connection as well? */
bool bundle_double_is_wanted(struct bundle *bundle, uint64_t now_ms);
/* Has this packet come over another connection already? Remembers it. */
bool bundle_double_is_seen(struct bundle_stream *one, const uint8_t *packet, size_t bytes);

#endif
