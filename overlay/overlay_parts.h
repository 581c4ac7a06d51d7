/* overlay/overlay_parts.h: the overlay of a node from the inside. Private to overlay*.c.
 *
 *   overlay.c        opened and closed: the core, links, the door, paths and the relay put together
 *   overlay_io.c     the core's hands, and what comes in for it
 *   overlay_hosts.c  the host cache, kept on disk
 *   overlay_revoked.c  the revocation list, kept on disk, and obeyed by paths and the relay
 *   overlay_dialback.c  supernode side of finding that out
 *   overlay_reach.c  how well others can reach us
 *   overlay_state.c  the gateway's calls and questions, handed on
 */
#ifndef OVERLAY_OVERLAY_PARTS_H
#define OVERLAY_OVERLAY_PARTS_H

#include "overlay/core.h"
#include "overlay/link.h"
#include "overlay/listen.h"
#include "overlay/net_watch.h"
#include "overlay/path.h"
#include "overlay/relay.h"
#include "overlay/udp_port.h"

struct overlay {
    uv_loop_t *loop;
    const struct conf *conf;
    const struct overlay_workers *workers;
    const struct overlay_events *events;
    void *ctx;
    struct identity *identity;
    struct core *core;
    struct links *links;
    struct listener *listener; /* NULL: we do not listen */
    struct paths *paths;
    struct udp_port *udp_port;   /* NULL: we serve nobody, or not by UDP */
    struct relay *relay;         /* NULL: we do not relay */
    int dial_backs;              /* under way */
    struct net_watch *net_watch; /* NULL: the kernel does not tell */
    struct overlay_reach *reach; /* overlay_reach.c */
    uint64_t refused;            /* by a listener that is closed */
    char address[ADDRESS_TEXT_MAX];
    uv_timer_t wake, leave, keep;
    uv_timer_t pace; /* at a steady pace, when others may come: is the loop late? */
    uint64_t paced_ms;
    char *hosts; /* as they were written last; NULL: never */
    uv_async_t deliver;
    uint64_t leave_since_ms;
    bool is_closing;
    int open; /* parts not closed yet, and one until closing has begun with all */
    void (*on_closed)(void *ctx);
    void *closed_ctx;
};

/* overlay.c: one of what is counted by `open` is done. */
void overlay_let_go(void *overlay);

/* overlay_hosts.c */
void overlay_hosts_load(struct overlay *overlay);
/* Saves them now and then, from now on. */
void overlay_hosts_keep(struct overlay *overlay);
void overlay_hosts_save(struct overlay *overlay);

/* overlay_revoked.c: takes the list that was kept, when it is newer. -EINVAL with the reason when
 * we are in it. */
int overlay_revoked_load(struct overlay *overlay, char *why, size_t why_bytes);
void overlay_on_revoked(void *ctx); /* core_io's */

/* overlay_reach.c: asks supernodes where they see us, from now on. */
int overlay_reach_open(struct overlay *overlay, unsigned roles);
void overlay_reach_close(struct overlay *overlay);
/* The network has changed: all is learnt anew at once. */
void overlay_reach_again(struct overlay *overlay);
/* The way of a call has died: our NAT may have another address for us by now. */
void overlay_reach_doubt(struct overlay *overlay);
void overlay_on_knock(void *ctx, const uint8_t knock[12]);
void overlay_on_dialed_back(void *ctx, const struct core_dialed_back *result);
void overlay_on_stun(void *ctx, const struct path_stun_result *result);

/* overlay_dialback.c: core_io's. */
void overlay_dial_back(void *ctx, const struct core_dial_back_to *to,
                       const struct core_dial_back *ask);

/* overlay_io.c */
uint64_t overlay_now_ms(void);
/* Begins to look whether the loop is late. */
void overlay_pace(struct overlay *overlay);
void overlay_fill_io(struct overlay *overlay, struct core_io *io);
void overlay_on_deliver(uv_async_t *async);
extern const struct link_events overlay_link_events;
void overlay_on_stream(void *ctx, struct tls_stream *stream, const struct certificate *peer,
                       const char *alpn);
void overlay_on_load(void *ctx, unsigned load);
int overlay_take_relays(void *ctx, struct core_relay *out, int max);
void overlay_on_network_change(void *ctx);
void overlay_on_way(void *ctx, void *path, const char *text);
void overlay_on_path_lost(void *ctx);
void overlay_on_path_note(void *ctx, void *path, const char *event, const char *text);

#endif
