/* overlay/listen.h: the door: TCP connections accepted, their TLS handshakes watched.
 *
 * Strangers cost little: at most 1024 connections are at the door at once, 64 of one address, 5 s
 * each. Nor does a crowd of members: no more handshakes begin than leave time for the links that
 * are up (door.h). Whoever comes meanwhile waits for his turn, 512 at most and no longer than a
 * second; the others are reset at once, before any byte is read, and come again when their back-off
 * says so. Who is refused is counted, and logged with the reason within limits. Private to
 * overlay.c and tests. Thread: that of the loop.
 */
#ifndef OVERLAY_LISTEN_H
#define OVERLAY_LISTEN_H

#include "overlay/tls.h"

struct listener;

struct listener_settings {
    uv_loop_t *loop;
    const struct identity *identity;
    const struct sockaddr_storage *address; /* "[::]:443" takes IPv4 as well */
    /* A member of the realm is in. The receiver takes the stream over from inside: tls_stream_hand
     * or _detach, or closes it. */
    void (*on_stream)(void *ctx, struct tls_stream *stream, const struct certificate *peer,
                      const char *alpn);
    void *ctx;
};
/* -EADDRINUSE, -EACCES (ports below 1024), … */
int listener_open(const struct listener_settings *settings, struct listener **listener);
void listener_close(struct listener *listener, void (*on_closed)(void *ctx), void *ctx);
/* Where it listens, with the port that was chosen for 0. */
const struct sockaddr_storage *listener_address(const struct listener *listener);
/* Connections refused since the start. */
uint64_t listener_refused(const struct listener *listener);

#endif
