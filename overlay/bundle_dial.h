/* overlay/bundle_dial.h: keeps a bundle full from the side that dials.
 *
 * Dials as many connections as a bundle holds, at once; sends the first frame on each and waits for
 * its answer (bind_frame.h); one that is bound joins the bundle. One that is lost is dialled again,
 * later and later as long as it fails. When in doubt, a fresh one is dialled besides: what it
 * replaces goes only when it is bound. Thread: that of the bundle.
 */
#ifndef OVERLAY_BUNDLE_DIAL_H
#define OVERLAY_BUNDLE_DIAL_H

#include "overlay/bind_frame.h"
#include "overlay/bundle.h"

struct bundle_dial;

struct bundle_dial_events {
    const char *alpn;
    /* Why this is not whom we wanted; NULL: it is. */
    const char *(*refuse)(void *ctx, const struct certificate *peer);
    /* Writes the first frame (BIND_LENGTH_BYTES + BIND_FRAME_MAX), returns its length. */
    size_t (*ask)(void *ctx, uint8_t *out);
    /* The answer: fills `refused` ("": bound). -EBADMSG: that is none. */
    int (*answered)(void *ctx, const uint8_t *frame, size_t bytes, char refused[BIND_REASON_MAX]);
    /* One was bound and is in the bundle now; before what came with its answer. */
    void (*on_bound)(void *ctx);
    /* bundle_dial_tick is to be called soon. `why` in words when the last one under way has failed
     * or was refused, else NULL. */
    void (*on_change)(void *ctx, const char *why);
};

struct bundle_attempt {
    struct bundle_dial *dial;
    struct tls_stream *stream; /* NULL: none */
    bool is_binding;           /* else dialling */
    uint64_t since_ms;
    uint64_t deadline_ms; /* of the answer */
    struct bind_first first;
};

struct bundle_dial {
    struct bundle *bundle;
    const struct bundle_dial_events *events;
    void *ctx;
    const struct identity *identity;
    const char *address, *proxy;
    bool (*may_dial)(const struct sockaddr_storage *to);
    struct bundle_attempt attempts[BUNDLE_STREAMS];
    unsigned failures; /* in a row */
    uint64_t next_ms;  /* not before that */
    uint64_t bound_ms; /* the last one that was */
    uint64_t doubt_ms; /* of the last one; 0: never */
    bool is_fresh_wanted;
};

/* The strings must outlive it; proxy NULL: none. */
struct bundle_dial_settings {
    struct bundle *bundle;
    const struct identity *identity;
    const char *address, *proxy;
    bool (*may_dial)(const struct sockaddr_storage *to); /* as in struct tls_dial */
    const struct bundle_dial_events *events;
    void *ctx;
};
void bundle_dial_init(struct bundle_dial *dial, const struct bundle_dial_settings *settings);
/* Ends what is being dialled; the bundle stays. */
void bundle_dial_fini(struct bundle_dial *dial);
/* Dials what is missing, if it is wanted; gives up what takes too long. Returns when it wants to be
 * called again (uv_now), UINT64_MAX: not by time. */
uint64_t bundle_dial_tick(struct bundle_dial *dial, bool is_wanted, uint64_t now_ms);
/* The bundle has lost one. bundle_dial_tick is to be called soon. */
void bundle_dial_lost(struct bundle_dial *dial, uint64_t now_ms);
/* Nothing comes although it should: a fresh one with the next tick, at most one every second. False
 * when that is too soon. */
bool bundle_dial_doubt(struct bundle_dial *dial, uint64_t now_ms);
/* There is new reason to believe that it works: no waiting any more. */
void bundle_dial_hurry(struct bundle_dial *dial);

#endif
