/* overlay/tls_dial.h: a TCP connection to "host:port": resolved, raced over up to three addresses.
 *
 * Happy eyeballs in small (RFC 8305): families take turns, the next address is tried when the one
 * before has failed or has not answered for 250 ms; the first that connects is taken, the others
 * are closed. Private to tls*.c. Thread: that of the loop.
 */
#ifndef OVERLAY_TLS_DIAL_H
#define OVERLAY_TLS_DIAL_H

#include <stdbool.h>
#include <uv.h>

struct tls_race;

/* `done` is called once, from the loop: with a connected handle (malloc'ed, the receiver's from now
 * on, data NULL), or with NULL and `why`. */
typedef void (*tls_race_done)(void *ctx, uv_tcp_t *tcp, const char *why);

struct tls_race_to {
    const char *address;
    bool (*may_dial)(const struct sockaddr_storage *to); /* as in struct tls_dial */
};
/* -EINVAL when the address is not host:port. */
int tls_race_start(uv_loop_t *loop, const struct tls_race_to *to, tls_race_done done, void *ctx,
                   struct tls_race **race);
/* The name has not been resolved yet. */
bool tls_race_is_resolving(const struct tls_race *race);
/* Gives up; `done` will not be called. Not to be called after `done` was. */
void tls_race_cancel(struct tls_race *race);

#endif
