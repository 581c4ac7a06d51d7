/* overlay/path.h: paths: how media gets from one of our workers to another node.
 *
 * A path is shared by all calls between the two nodes on that worker. On the control thread it is
 * offered, accepted and held; on its worker it sends checks, chooses and carries packets. Its ways:
 *
 *   UDP    one dual-stack socket per worker, for all paths
 *   TCP    TLS connections that one end dials to the other, which says that it can be dialled
 *   RELAY  a relay in between, reached by TLS connections or by UDP
 *
 * STUN Binding (RFC 8489) with MESSAGE-INTEGRITY-SHA256 under the path's key is the check on all of
 * them; a way is used once it is proved. The best proved way is used: UDP before TCP before RELAY.
 * Over TLS, packets are RFC 4571 frames on two connections (bundle.h). Packets that come in are
 * given to the listener of their SSRC whatever way they took: SRTP proves them.
 */
#ifndef OVERLAY_PATH_H
#define OVERLAY_PATH_H

#include "overlay/core.h"

struct paths;

/* The best relays for a path now, best first: core_take_relays with the core as ctx. */
typedef int (*paths_relays)(void *ctx, struct core_relay *out, int max);

/* A server that is asked for our address (path_stun.h). */
#define PATH_STUN_SERVERS_MAX 12
#define PATH_STUN_KEPT_MAX 4
struct path_stun_server {
    struct sockaddr_storage address; /* normalised */
    bool is_kept; /* asked by every worker and again and again; else once, by the first worker */
};
enum path_stun_outcome { PATH_STUN_ANSWERED, PATH_STUN_SILENT, PATH_STUN_UNREACHABLE };
struct path_stun_result {
    int worker;
    struct path_stun_server server;
    enum path_stun_outcome outcome; /* unreachable: this machine has no way to such an address */
    struct sockaddr_storage mapped; /* when answered: our address as the server sees it */
    uint32_t round_trip_us;
};

struct paths_settings {
    const struct identity *identity;
    const struct conf_overlay *conf;
    const struct overlay_workers *workers;
    uv_loop_t *control;
    paths_relays take_relays; /* NULL: there are none */
    void *take_relays_ctx;
    /* Control thread: the way of a path is known or changed; told again after each offer, accept or
     * learn of a path that has one, so that a new call hears it. */
    void (*on_way)(void *ctx, void *path, const char *text);
    /* Control thread: something that a person may want to know afterwards, for the journals of the
     * calls on this path. `event` is one of a few words ("proved", "lost", "moved", …). */
    void (*on_note)(void *ctx, void *path, const char *event, const char *text);
    /* Control thread: the way that carried calls has died; there may be more that is wrong. */
    void (*on_lost)(void *ctx);
    void *on_way_ctx; /* of these three */
    /* Control thread: a server has answered, or not (paths_ask). NULL: nobody wants to know. */
    void (*on_stun)(void *ctx, const struct path_stun_result *result);
    /* Control thread: what paths_expect was told of has come in. */
    void (*on_knock)(void *ctx, const uint8_t knock[12]);
    void *on_stun_ctx; /* of both */
};
/* Binds the sockets: -EADDRINUSE, -EACCES, …; `settings->conf` and `workers` must outlive the
 * paths. */
int paths_open(const struct paths_settings *settings, struct paths **paths);
/* Ends all paths. Calls must have been released; it waits for ports that are still held
 * (paths_unlisten), then reports: within about 1 s after the last, and while the workers still run.
 */
void paths_close(struct paths *paths, void (*on_closed)(void *ctx), void *ctx);
unsigned paths_count(const struct paths *paths);

/* The machine's addresses or routes have changed: what was seen from outside is forgotten, all ways
 * are doubted and proved anew. */
void paths_on_network_change(struct paths *paths);
/* From now on the workers ask these servers, all of them at once: at most PATH_STUN_SERVERS_MAX, of
 * which PATH_STUN_KEPT_MAX are kept. */
void paths_ask(struct paths *paths, const struct path_stun_server *servers, int count);
/* on_knock is wanted when a STUN indication with this transaction id reaches the first worker. */
void paths_expect(struct paths *paths, const uint8_t knock[12]);
/* The addresses of this machine that peers are told, with the port of the first worker; returns how
 * many. 0: no UDP. */
int paths_hosts(struct paths *paths, struct sockaddr_storage *out, int max);
/* The address that the first worker's socket has for peers outside, as far as one is known: mapped,
 * else a host's. 0, or -ENOENT. */
int paths_outside(struct paths *paths, struct sockaddr_storage *out);

/* core_io's four functions, with `struct paths *` as ctx (see core.h). Each offer and accept that
 * returns 0 is one call more, until its paths_release. Offer: -ELOOP for a call to ourselves.
 * Accept: -EINVAL for what is no Path, or one of another node or key; -ENOENT for an unknown one
 * without a key; -ENOBUFS when this node has too many. */
int paths_offer(struct paths *paths, const struct certificate *peer, struct core_path *ours,
                void **path, uint32_t *ssrc_in);
int paths_accept(struct paths *paths, const struct certificate *peer,
                 const struct core_path *theirs, struct core_path *ours, void **path,
                 uint32_t *ssrc_in);
int paths_learn(struct paths *paths, void *path, const struct core_path *theirs);
/* The call is accepted: from now on the far end may know our addresses. `ours` says them when it
 * could not know them before, else it is empty. */
int paths_show(struct paths *paths, void *path, struct core_path *ours);
bool paths_is_warm(const void *path); /* calls before this one have proved a way */
void paths_release(struct paths *paths, void *path, uint32_t ssrc_in);

/* Some nodes are revoked now, perhaps we are: paths between such are not kept for later calls.
 * Their calls are over. */
void paths_revoke(struct paths *paths);

/* Direct TCP. A node that others can dial says where ("host:port", copied); NULL, as at first: none
 * is offered. */
void paths_set_open(struct paths *paths, const char *address);
/* Takes a connection that was accepted with TLS_ALPN_PATH (and frees it in the end). May be called
 * from inside the stream's on_up. */
struct tls_stream;
void paths_take(struct paths *paths, struct tls_stream *stream, const struct certificate *peer);

/* overlay_port of a path (worker, send, port) and its listening; see overlay.h. */
int paths_worker(const void *path);
int paths_send(void *path, const uint8_t *packet, size_t bytes); /* worker */
void paths_listen(void *path, uint32_t ssrc_in,
                  void (*receive)(void *receiver, uint8_t *packet, size_t bytes), void *receiver);
/* Holds the path until on_closed was called. */
void paths_unlisten(void *path, uint32_t ssrc_in, void (*on_closed)(void *ctx), void *ctx);
/* A port taken by the gateway keeps its path alive beyond the call; unlisten drops this hold. */
void paths_hold(void *path);

#endif
