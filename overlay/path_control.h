/* overlay/path_control.h: what the control thread knows about paths; private to path_control.c,
 * path_offer.c, path_ticket.c and path_hosts.c. */
#ifndef OVERLAY_PATH_CONTROL_H
#define OVERLAY_PATH_CONTROL_H

#include "overlay/bind_wait.h"
#include "overlay/path_worker.h"

#include "conf/log.h"

#define PATHS_HOSTS_MAX 12
#define PATHS_OWN_MAX (PATHS_HOSTS_MAX + PATH_STUN_KEPT_MAX) /* of a worker */

/* An SSRC that we gave to a far end. */
struct path_ssrc {
    uint32_t ssrc;
    bool has_call, is_listened;
    UT_hash_handle hh;
};

struct paths {
    struct paths_settings settings;
    struct path_worker *workers;
    int worker_count, running;
    uint8_t instance[PATH_INSTANCE_BYTES]; /* ours */
    struct path *by_id;                    /* those that are not ended */
    unsigned alive;                        /* also the ended ones that their worker still has */
    struct path_ssrc *ssrcs;
    uv_timer_t sweep;
    bool is_closing;
    void (*on_closed)(void *ctx);
    void *on_closed_ctx;

    /* this machine (path_hosts.c), looked at again when older than a few seconds */
    struct sockaddr_storage hosts[PATHS_HOSTS_MAX];
    int host_count;
    uint64_t hosts_ms;
    bool is_loopback;             /* it has no other address than loopback */
    struct sockaddr_storage *own; /* hosts and mapped addresses x workers, with ports */
    int own_count;
    /* What each worker's kept servers have answered last: PATH_STUN_KEPT_MAX of each, and family 0
     * of `server` for a free place. */
    struct path_stun_result *seen;
    unsigned asked; /* lists of servers so far */

    char open_address[CANDIDATE_HOST_MAX]; /* where the far end may dial us; "": nowhere */
    struct bind_waits *waits; /* dialled by others; which path they belong to is not known yet */

    uint64_t implausible; /* candidates refused */
    struct log_limit complaint;
};

struct paths_birth {
    uint8_t id[PATH_ID_BYTES];
    uint8_t key[PATH_KEY_BYTES];
    const uint8_t *peer;
    int worker;
    bool is_hidden; /* the peer may not know our addresses yet */
};
struct path *paths_make(struct paths *paths, const struct paths_birth *birth);
struct path *paths_find(const struct paths *paths, const uint8_t id[PATH_ID_BYTES]);
/* A path to this node that one more call should use; NULL: make one on this worker. */
struct path *paths_find_shared(const struct paths *paths, const uint8_t *peer, int worker);
/* May there be one more to this node? */
bool paths_has_room(const struct paths *paths, const uint8_t *peer);
/* Gives the path one more call. */
int paths_take_ssrc(struct paths *paths, struct path *path, uint32_t *ssrc);

/* path_ticket.c: chooses up to `max` relays and signs a ticket for each: path->control.relays;
 * those that the far end has named are left out (`theirs` NULL: it has named none). */
void paths_take_relays(struct path *path, int max, const struct candidate_path *theirs);

/* path_hosts.c: looks at this machine again, unless it was done just now. */
void paths_refresh_hosts(struct paths *paths);
/* May relays be dialled at loopback addresses? */
bool paths_is_loopback_realm(const struct paths *paths);
/* Adds the addresses of the path's worker as candidates. */
void paths_add_own(const struct path *path, struct candidate_path *ours);

/* path_accept.c */
int paths_open_door(struct paths *paths);
/* Our TCP candidate, if there is one. */
void paths_add_tcp(const struct paths *paths, struct candidate_path *ours);
/* Is that where we listen ourselves? */
bool paths_is_own_door(const struct paths *paths, const char *host);

/* path_trickle.c: the addresses of this machine have changed, as far as this path is concerned. */
void paths_tell_addresses(struct path *path);
/* path_offer.c: the far end can be reached there, too, it says. */
void paths_hear_address(struct path *path, const struct sockaddr_storage *address);

#endif
