/* overlay/overlay.h: the network of nodes: who is where, and how calls and media get there.
 *
 * A `struct overlay` is this node's membership in one realm. It keeps an outgoing TLS connection to
 * two supernodes (home and standby), publishes the names that its certificate grants, and, when the
 * settings give it the role, serves other nodes as their supernode and relay. Everything it knows
 * of identity comes from one enrolment file (certificate, key, root, first supernodes).
 *
 * A `struct overlay_call` is one call to or from another node, signalled end to end sealed over
 * those connections. Its media travels on a *path*: one per pair of nodes and worker, over UDP when
 * the addresses can reach each other, else through a relay, by UDP or over outgoing TCP.
 *
 *   outgoing: overlay_call_new -> on_media? -> on_ringing? -> on_answer | on_end
 *   incoming: on_offer -> overlay_call_accept -> ring? -> progress? -> answer | end
 *   both, when up: overlay_call_update <-> on_media; digits; overlay_call_end | on_end
 *
 * Media keys are known with the callee's first reply, so early media needs no more. The gateway
 * gives keys, SSRCs and the path's `send` to media/, and has media/'s receive function called for
 * packets that come in. Packets on a path are RTP, RTCP (both SRTP-protected: this folder cannot
 * read them) and STUN, told apart as in RFC 7983; a node chooses the SSRC that its peer sends with,
 * so an SSRC names the call on the receiving worker.
 *
 * Threads: control thread, except where "worker" is said. Events are never delivered from inside a
 * call into this folder.
 */
#ifndef OVERLAY_OVERLAY_H
#define OVERLAY_OVERLAY_H

#include "conf/conf.h"

#include <limits.h>
#include <uv.h>

struct overlay;
struct overlay_call;

#define OVERLAY_NODE_ID_BYTES 20
#define OVERLAY_NAME_MAX 64 /* site names, number prefixes and user parts, with their NUL */
#define OVERLAY_KEY_BYTES 28

/* The media workers as this folder may use them; filled by the gateway from media/. */
struct overlay_workers {
    void *ctx;
    int (*count)(void *ctx);
    int (*pick)(void *ctx); /* the least loaded */
    uv_loop_t *(*loop)(void *ctx, int worker);
    /* runs fn(arg) on a worker, or on the control thread with worker -1; -ENOBUFS when full */
    int (*post)(void *ctx, int worker, void (*fn)(void *arg), void *arg);
};

struct overlay_offer;
struct overlay_events {
    /* The first supernode is attached, or the last one is gone (then `why` says it in words). */
    void (*on_attached)(void *ctx, const char *supernode);
    void (*on_detached)(void *ctx, const char *why);
    /* Somebody calls. The gateway calls overlay_call_accept or overlay_call_end, now or later. */
    void (*on_offer)(void *ctx, struct overlay_call *call, const struct overlay_offer *offer);
};

/* Joins the realm of settings->realm.enrolment. Supernodes that do not answer are no error: it
 * keeps trying. -EINVAL with a message in `why` for an enrolment that cannot be used, -EADDRINUSE
 * when the listen address is taken. `conf` and `workers` must outlive it. */
int overlay_open(uv_loop_t *loop, const struct conf *conf, const struct overlay_workers *workers,
                 const struct overlay_events *events, void *ctx, struct overlay **overlay,
                 char *why, size_t why_bytes);
/* Withdraws the names, ends calls, says goodbye, closes (at most about 1 s), reports. */
void overlay_close(struct overlay *overlay, void (*on_closed)(void *ctx), void *ctx);

bool overlay_is_attached(const struct overlay *overlay);
/* Our own site name, as granted by our certificate. */
const char *overlay_site(const struct overlay *overlay);

/* ---- calls ------------------------------------------------------------------------------------
 */

struct overlay_offer {              /* strings live during on_offer only */
    const char *call_id;            /* CALL_ID_LEN hex digits, as the caller's node made it */
    const char *caller;             /* user part */
    const char *caller_site;        /* proved by its certificate */
    const char *caller_name;        /* may be "" */
    const char *dialled;            /* user part, or a number with '+' */
    struct codec_list codecs;       /* best first; unknown ones left out; never empty */
    enum media_direction direction; /* seen from us */
};

/* What is agreed about the media of a call; seen from us. */
struct overlay_media {
    enum codec codec;
    enum media_direction direction;
    int ptime_ms;
    bool is_early; /* in on_media: it came with Progress, the call is not answered yet */
};

struct overlay_call_events {
    void (*on_ringing)(void *ctx);
    /* early media, hold, resume, other codec: what is agreed from now on */
    void (*on_media)(void *ctx, const struct overlay_media *media);
    /* on_media came just before */
    void (*on_answer)(void *ctx);
    void (*on_digit)(void *ctx, char digit, int duration_ms);
    /* The path that the call's media takes, in words ("udp 192.0.2.1:4000", "relay tcp
     * 203.0.113.5:443"), when it is first known and when it changes. */
    void (*on_path)(void *ctx, const char *path);
    /* Something for the call's journal, in the order in which it happened: `part` is "overlay"
     * (signalling) or "path", `event` a short word, `text` a few plain words; no secrets in it. Of
     * a path that several calls share each of them hears it. */
    void (*on_note)(void *ctx, const char *part, const char *event, const char *text);
    /* Last event; the pointer is dead afterwards. */
    void (*on_end)(void *ctx, const struct call_cause *cause);
};

struct overlay_call_request {
    const char *call_id;
    const char *to;           /* "user@site" or a number that starts with '+' */
    const char *caller;       /* user part */
    const char *caller_name;  /* may be "" */
    struct codec_list codecs; /* best first */
    enum media_direction direction;
};
/* Looks the callee up and offers the call. -EINVAL for a `to` that is no address, -ENOTCONN when no
 * supernode is attached (then no event comes). Unknown names end with CALL_NOT_FOUND, far sites
 * that are offline with CALL_UNAVAILABLE within 2 s. */
int overlay_call_new(struct overlay *overlay, const struct overlay_call_request *request,
                     const struct overlay_call_events *events, void *ctx,
                     struct overlay_call **call);

/* Takes an offered call into the gateway's hands. */
void overlay_call_accept(struct overlay_call *call, const struct overlay_call_events *events,
                         void *ctx);
void overlay_call_ring(struct overlay_call *call);
/* Early media and answer, with the codec chosen from the offer. */
int overlay_call_progress(struct overlay_call *call, const struct overlay_media *media);
int overlay_call_answer(struct overlay_call *call, const struct overlay_media *media);
/* Hold, resume, other codec, when the call is up. */
int overlay_call_update(struct overlay_call *call, const struct overlay_media *media);
int overlay_call_digit(struct overlay_call *call, char digit, int duration_ms);
/* Ends from any state; no event comes any more and the pointer is dead. The far end is told
 * `cause`. */
void overlay_call_end(struct overlay_call *call, const struct call_cause *cause);

/* ---- media of a call --------------------------------------------------------------------------
 */

/* What media/ needs for the PEER leg of this call. */
struct overlay_port {
    int worker; /* the bridge must live on this worker */
    uint32_t ssrc_in, ssrc_out;
    uint8_t key_in[OVERLAY_KEY_BYTES], key_out[OVERLAY_KEY_BYTES];
    int (*send)(void *port, const uint8_t *packet,
                size_t bytes); /* worker; -ENOTCONN: no path yet */
    void *port;
};

/* Worker of the call's path: known from on_offer (incoming) or the first of on_ringing, on_media
 * (outgoing); -EAGAIN before. Keys likewise. The port is good until overlay_port_close has
 * reported. */
int overlay_call_port(struct overlay_call *call, struct overlay_port *port);
/* From now on packets with our ssrc_in go to receive(receiver, packet, bytes) on the worker; the
 * bytes may be changed. */
void overlay_port_listen(struct overlay_port *port,
                         void (*receive)(void *receiver, uint8_t *packet, size_t bytes),
                         void *receiver);
/* No packet goes to the receiver after on_closed; to be called before (or after) the call has
 * ended, once for each overlay_call_port that returned 0. */
void overlay_port_close(struct overlay_port *port, void (*on_closed)(void *ctx), void *ctx);

/* ---- state, for `sallyport status` ------------------------------------------------------------
 */

/* How well others can reach us (reach.h tells what the classes mean); worse ones first. */
enum overlay_class {
    OVERLAY_CLASS_UNKNOWN,
    OVERLAY_CLASS_TCP,
    OVERLAY_CLASS_UDP_HARD,
    OVERLAY_CLASS_UDP_EASY,
    OVERLAY_CLASS_OPEN
};
#define OVERLAY_MAPPED_MAX 4
struct overlay_reachability {
    const char *class;   /* "open", "udp-easy", "udp-hard", "tcp", "unknown" */
    char reason[256];    /* in words */
    bool is_udp_blocked; /* although the settings want UDP */
    struct {
        char server[ADDRESS_TEXT_MAX];  /* who sees us … */
        char address[ADDRESS_TEXT_MAX]; /* … there */
    } mapped[OVERLAY_MAPPED_MAX];
    int mapped_count;
};
void overlay_reachability(const struct overlay *overlay, struct overlay_reachability *reachability);

struct overlay_supernode {
    char address[ADDRESS_TEXT_MAX];
    char node[2 * OVERLAY_NODE_ID_BYTES + 1];
    const char *site;
    bool is_home; /* else standby, or a fellow supernode */
    bool is_fellow;
    uint32_t round_trip_us;
    uint64_t revocation; /* number of the revocation list that it says to hold */
    uint64_t since_ms;   /* how long it has been attached */
};
struct overlay_status {
    char node[2 * OVERLAY_NODE_ID_BYTES + 1];
    const char *site;
    unsigned roles;       /* enum conf_role in force */
    int64_t expires_s;    /* of our certificate, seconds since 1970 */
    unsigned clients;     /* that we hold as supernode */
    unsigned records;     /* that we keep */
    unsigned tunnels;     /* that we relay */
    unsigned paths;       /* that we have */
    uint64_t refused;     /* TLS handshakes refused since start */
    uint64_t malformed;   /* frames dropped since start */
    uint64_t shed;        /* requests refused for overload since start */
    uint64_t revocation;  /* number of the revocation list in force; 0: none */
    char last_error[128]; /* why the last attempt to attach failed; "" when attached */
};
void overlay_status(const struct overlay *overlay, struct overlay_status *status);
/* What we do as a relay, since the start. */
struct overlay_relaying {
    unsigned tunnels;                          /* now */
    unsigned load;                             /* per cent of what we may carry */
    uint64_t packets, bytes;                   /* forwarded */
    uint64_t over_cap, missing, late, unknown; /* dropped: beyond the cap or share, no other end,
                                                  too old, of no channel that is bound there */
    struct {
        const char *why; /* one word */
        uint64_t count;
    } refused[12]; /* binds, of connections and of channels */
    int refused_count;
};
/* False: we are no relay. */
bool overlay_relaying(const struct overlay *overlay, struct overlay_relaying *relaying);
void overlay_each_supernode(const struct overlay *overlay,
                            void (*each)(void *ctx, const struct overlay_supernode *supernode),
                            void *ctx);

/* A supernode of the realm, as this node sees it. */
struct overlay_node {
    char address[ADDRESS_TEXT_MAX];
    char node[2 * OVERLAY_NODE_ID_BYTES + 1]; /* "": not known */
    char site[OVERLAY_NAME_MAX];              /* "": not known */
    bool is_self, is_home, is_standby;
    bool is_linked;          /* we hold a connection to it */
    bool is_down;            /* was known, does not answer */
    bool is_leaving;         /* moves its clients away */
    bool is_invited;         /* serves while the realm needs it */
    unsigned version;        /* of the protocol; 0: not known */
    unsigned seats, clients; /* 0 seats: not known */
    unsigned records;        /* of the directory that it keeps; as it said last */
    unsigned share;         /* per mille of all names that it keeps, by the membership as we see it;
                               0 when we are no supernode */
    uint32_t round_trip_us; /* 0: not known */
    uint64_t heard_ms;      /* how long ago it said something of itself; UINT64_MAX: never */
};
void overlay_each_node(const struct overlay *overlay,
                       void (*each)(void *ctx, const struct overlay_node *node), void *ctx);
/* What the network needs, as this node sees it. */
struct overlay_realm {
    unsigned supernodes;     /* that live */
    unsigned seats, clients; /* of all of them */
    unsigned reserve;        /* seats that would be left if the 30 % with the most went at once */
    bool is_short;           /* reserve < clients: nodes are invited */
    const char *serving; /* of ourselves, in words: "always", "invited", "willing: …", "no: its
                            certificate does not grant the role supernode", … */
    uint64_t revocation; /* number of the newest revocation list; 0: none */
};
void overlay_realm_state(const struct overlay *overlay, struct overlay_realm *realm);

/* ---- realms, offline (`sallyport realm …`) -----------------------------------------------------
 */

/* Makes a realm in folder `dir`: root.pem (certificate), root.key (0600). -EEXIST when there is
 * one. */
int overlay_realm_new(const char *dir, const char *name, int days, char *why, size_t why_bytes);

struct overlay_enrolment {
    const char *site;
    const char *numbers[CONF_LISTS_MAX]; /* "+4930123" */
    int number_count;
    unsigned roles;                         /* enum conf_role */
    const char *supernodes[CONF_LISTS_MAX]; /* "host:port" */
    int supernode_count;
    int days;
};
/* Signs a fresh key and writes one enrolment file (0600): plain PEM that `openssl x509 -text`
 * reads. */
int overlay_realm_enrol(const char *dir, const struct overlay_enrolment *enrolment,
                        const char *path, char *why, size_t why_bytes);
/* Adds the certificate of an enrolment file (or PEM certificate) to the realm's revocation list
 * (revoked.pem). */
int overlay_realm_revoke(const char *dir, const char *certificate_path, char *why,
                         size_t why_bytes);
/* What is in the realm's revocation list, without judging it. */
struct overlay_realm_list {
    char path[PATH_MAX];
    uint64_t number; /* grows with each change; 0: it has none */
    int count;       /* of certificates */
    bool fits;       /* it is small enough to be handed from node to node */
};
int overlay_realm_list(const char *dir, struct overlay_realm_list *list, char *why,
                       size_t why_bytes);
/* Checks an enrolment file as `sallyport check` does; *text (caller frees) tells in words what it
 * grants. */
int overlay_enrolment_check(const char *path, const char *revocation, char **text, char *why,
                            size_t why_bytes);

#endif
