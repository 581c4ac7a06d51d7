/* gateway/gateway.h: the daemon: one process that is a node.
 *
 * Starts media, overlay, sip and admin in this order from one `struct conf`, owns the calls, and
 * stops everything in the reverse order. The native client (`sallyport call`) is the same thing
 * without SIP, with a `struct gateway_client` that says what its one leg plays and records.
 *
 * Thread: control.
 */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include "gateway/call.h"
#include "gateway/history.h"
#include "gateway/loop.h"

struct admin;

/* The native client's side of a call. */
struct gateway_client {
    const char *user;          /* our caller name */
    const char *play, *record; /* WAV files or NULL */
    bool echo;                 /* answer with an echo instead of files */
    bool hang_up_after_play;
    void (*on_attached)(void *ctx);
    void (*on_call_up)(void *ctx, struct call *call);
    void (*on_call_end)(void *ctx, const struct call_summary *summary);
    void (*on_stop)(void *ctx); /* its handles are to be closed */
    void *ctx;
};

struct gateway {
    const struct conf *conf;
    const struct gateway_client *client; /* NULL: a daemon */
    struct loop *loop;
    uv_loop_t *uv;
    struct media *media;
    struct overlay_workers workers; /* media's, as the overlay uses them */
    struct overlay *overlay;
    struct sip *sip;
    struct admin *admin;
    uv_signal_t signals[2];
    uv_timer_t attach_timer; /* says so when no supernode was reached at the start */
    bool is_stopping;
    bool has_stopped_parts;
    uint64_t started_ms;
    TAILQ_HEAD(call_list, call) calls;
    unsigned call_count;
    uint64_t calls_total;
    struct history history;
};

/* Starts all parts. 0, or a negative errno after logging why. */
int gateway_open(struct gateway *gateway, const struct conf *conf,
                 const struct gateway_client *client);
/* Runs until gateway_stop, SIGINT or SIGTERM; everything is closed when it returns. */
int gateway_run(struct gateway *gateway);
void gateway_stop(struct gateway *gateway);

/* A call has freed its media: keeps its summary and forgets it. */
void gateway_call_gone(struct gateway *gateway, struct call *call);

#endif
