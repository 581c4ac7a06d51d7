/* overlay/link.h: links: frames over TLS connections to other nodes, by the core's numbers.
 *
 * The core asks by number (links_dial, links_send, links_end) and hears by number; it never sees a
 * stream. A link that the listener accepted is given in by links_take and gets a number with the
 * top bit set. Whoever reads so slowly that 1 MiB waits for it is cut. Private to overlay.c and
 * tests. Thread: that of the loop. Events are delivered from the loop, never from inside a call
 * into this file.
 */
#ifndef OVERLAY_LINK_H
#define OVERLAY_LINK_H

#include "overlay/core.h"
#include "overlay/tls.h"

struct links;

/* core_on_link_up, core_on_frame and core_on_link_down, with the core as ctx. After on_down the
 * link is gone. */
struct link_events {
    void (*on_up)(void *ctx, core_link link, bool is_accepted, const struct certificate *peer,
                  const struct sockaddr_storage *address);
    void (*on_frame)(void *ctx, core_link link, const uint8_t *frame, size_t bytes);
    void (*on_down)(void *ctx, core_link link, const char *why);
};

struct links_settings {
    uv_loop_t *loop;
    const struct identity *identity;
    const char *proxy; /* of all links dialled; NULL: none */
    const struct link_events *events;
    void *ctx;
};
int links_open(const struct links_settings *settings, struct links **links);
/* Ends all links after what is queued (at most 1 s), then reports; no event comes any more. */
void links_close(struct links *links, void (*on_closed)(void *ctx), void *ctx);

/* core_io's dial, send and close. */
void links_dial(struct links *links, core_link link, const char *address);
/* -EMSGSIZE; -ENOTCONN before it is up; -ENOBUFS: reads too slowly, on_down follows. */
int links_send(struct links *links, core_link link, const uint8_t *frame, size_t bytes);
void links_end(struct links *links, core_link link, const char *why);

/* Takes a connection that was accepted, from inside its on_up. */
void links_take(struct links *links, struct tls_stream *stream, const struct certificate *peer);
/* Bytes that wait to be sent, on all links. */
size_t links_queued(const struct links *links);

#endif
