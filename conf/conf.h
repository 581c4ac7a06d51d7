/* conf/conf.h: the settings of a node, and the few words that all folders share.
 *
 * Settings come from one file in libconfuse syntax (conf/sallyport.conf.sample documents every
 * one). conf_load reads it, checks it as a whole and hands out one immutable `struct conf`. A wrong
 * file never yields a conf: it yields messages, each naming file, line, what is wrong and what to
 * write instead; all semantic errors are collected, a syntax error ends the reading at that place.
 *
 * Secrets are read from the file or environment variable that the setting names; they are never
 * printed. Paths in the file are relative to the folder that the file stands in.
 *
 * The shared words are `enum codec` (what media can carry and SDP and offers name) and
 * `struct call_cause` (why a call ended). They live here because sip/, overlay/ and media/ must
 * not include each other.
 *
 * Thread: conf_load and conf_free anywhere; a loaded conf is read-only and may be read anywhere.
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* ---- shared words ---------------------------------------------------------------------------- */

enum codec { CODEC_PCMU, CODEC_PCMA, CODEC_G722, CODEC_OPUS, CODEC_COUNT };
#define CODECS_MAX 8

/* Lower-case name as written in settings and logs ("pcmu", "g722", "opus"). */
const char *codec_name(enum codec codec);
/* Finds a codec by its name in any case; -ENOENT when there is none of that name. */
int codec_find(const char *name, enum codec *codec);

/* An ordered list of codecs, best first, no codec twice. */
struct codec_list {
    enum codec codec[CODECS_MAX];
    int count;
};
bool codec_list_has(const struct codec_list *list, enum codec codec);

enum media_direction {
    MEDIA_INACTIVE = 0,
    MEDIA_SENDONLY = 1,
    MEDIA_RECVONLY = 2,
    MEDIA_SENDRECV = 3
};

/* Why a call ended, in words; only sip/ knows status codes. */
enum call_reason {
    CALL_NORMAL,          /* somebody hung up after the call was up */
    CALL_CANCELLED,       /* the caller gave up before the answer */
    CALL_BUSY,            /* 486 */
    CALL_BUSY_EVERYWHERE, /* 600 */
    CALL_DECLINED,        /* 603 */
    CALL_NO_ANSWER,       /* rang, nobody answered: 480 (Q.850 19) */
    CALL_NOT_FOUND,       /* no such number, user or site: 404 */
    CALL_UNAVAILABLE,     /* known, but not reachable now: 480 (Q.850 20) */
    CALL_NOT_ACCEPTABLE,  /* no common codec: 488 */
    CALL_FORBIDDEN,       /* policy: 403 */
    CALL_NO_SUPERNODE,    /* our own overlay link is down: 503 */
    CALL_CONGESTION,      /* out of ports, memory or seats: 503 */
    CALL_TIMEOUT,         /* no reply at all: 408 */
    CALL_MEDIA_TIMEOUT,   /* no media for too long: BYE with Q.850 41 */
    CALL_BAD_REQUEST,     /* malformed or unsupported: 400 */
    CALL_FAILURE,         /* anything else: 500 */
    CALL_REASONS
};

/* A cause as it crosses the whole call unchanged. `sip_status` is what a phone really answered
 * (300-699, 0 when no phone was involved) and `q850` its Q.850 cause (0: none); both are opaque
 * outside sip/. `text` is a short English phrase for the phone's display. */
struct call_cause {
    enum call_reason reason;
    uint16_t sip_status;
    uint8_t q850;
    char text[96];
};
struct call_cause call_cause(enum call_reason reason, const char *text);
const char *call_reason_name(enum call_reason reason);

/* Call ids are 16 lower-case hex digits, made by the node where the call starts, the same at both
 * ends, and on each log line of the call. */
#define CALL_ID_LEN 16

/* ---- settings -------------------------------------------------------------------------------- */

#define CONF_LISTS_MAX 16

/* Where a setting was written, for errors found later than parsing. `file` lives as long as conf.
 */
struct conf_place {
    const char *file;
    int line;
};

enum conf_transport { CONF_UDP, CONF_TCP };

struct conf_listen {
    enum conf_transport transport;
    struct sockaddr_storage address; /* IPv4 or IPv6, with port */
};

struct conf_realm {
    char *enrolment;  /* path; NULL: no overlay, calls stay inside the site */
    char *revocation; /* path of the revocation list; NULL: none */
};

enum conf_role {
    CONF_ROLE_GATEWAY = 1,
    CONF_ROLE_SUPERNODE = 2,
    CONF_ROLE_RELAY = 4,
    CONF_ROLE_CLIENT = 8
};

/* Whether a node serves others as their supernode. */
enum conf_serve {
    CONF_SERVE_AUTO,   /* when the realm needs one more and invites it */
    CONF_SERVE_ALWAYS, /* as long as it runs; then `roles` has CONF_ROLE_SUPERNODE, else not */
    CONF_SERVE_NEVER
};

struct conf_overlay {
    struct sockaddr_storage listen;   /* ss_family 0: do not listen */
    char *advertise;                  /* "host:port" told to others; NULL: the listen address */
    char *supernodes[CONF_LISTS_MAX]; /* "host:port", in addition to the enrolment's */
    int supernode_count;
    char *proxy;    /* "host:port" of an HTTP CONNECT proxy; NULL: none */
    unsigned roles; /* of enum conf_role */
    enum conf_serve serve;
    int seats;                   /* nodes that it holds as supernode; 0: default, as it serves */
    int priority, weight;        /* among the gateways of our site: lower first; share of equals */
    bool udp;                    /* try UDP for media between nodes */
    uint16_t udp_port;           /* of worker 0, +1 per worker; 0: any */
    bool relay_only;             /* never show own addresses to peers */
    char *trust[CONF_LISTS_MAX]; /* sites that see our addresses before we answer; "*": all */
    int trust_count;
    int relay_kbit;  /* what all relay tunnels together may carry, kbit/s; 0: no limit */
    int keep_path_s; /* how long a path stays warm after its last call */
};

/* Challenges shown to phones; the better one first. */
enum conf_digest { CONF_DIGEST_SHA256 = 1, CONF_DIGEST_MD5 = 2 };

struct conf_sip {
    struct conf_listen listen[CONF_LISTS_MAX];
    int listen_count;    /* 0: no SIP */
    char *domain;        /* realm of the digest and host of our URIs */
    char *registrations; /* path of the SQLite file */
    int min_expires_s, max_expires_s;
    unsigned digest; /* of enum conf_digest; never 0 */
    int ring_timeout_s;
    int max_connections; /* TCP, in all */
    int max_connections_per_address;
};

struct conf_media {
    uint16_t port_min, port_max;
    int workers;                     /* 0: one per core */
    struct sockaddr_storage address; /* put into SDP; family 0: the address the phone talks to */
    struct codec_list codecs;        /* towards phones */
    struct codec_list peer_codecs;   /* between nodes */
    int timeout_s;                   /* a call with no media for so long is ended; 0: never */
};

struct conf_admin {
    struct sockaddr_storage listen; /* ss_family 0: off */
};

struct conf_phone {
    char *id;     /* the user part: what others dial, and the digest user name */
    char *name;   /* display name; NULL: none */
    char *secret; /* never printed */
    int max_contacts;
    struct conf_place place;
};

enum conf_target { CONF_TO_PHONE, CONF_TO_OVERLAY, CONF_TO_SERVICE };

struct conf_route {
    char *name;
    char *match_text;
    regex_t match; /* POSIX extended, compiled */
    enum conf_target target;
    char *to; /* after the "phone:", "overlay:" or "service:"; may hold \1 .. \9 */
    struct conf_place place;
};

struct conf {
    char *file;
    char *state_dir; /* where bindings and the host cache are kept */
    struct conf_realm realm;
    struct conf_overlay overlay;
    struct conf_sip sip;
    struct conf_media media;
    struct conf_admin admin;
    int log_level[8];          /* enum log_level by enum log_folder */
    struct conf_phone *phones; /* sorted by id */
    int phone_count;
    struct conf_route *routes; /* in the order of the file: the first match wins */
    int route_count;
};

/* Messages of a failed (or warned) load, one per line of `text`, each "FILE:LINE: what; remedy"; a
 * warning has "warning: " after the place.
 * The caller frees with conf_errors_fini. */
struct conf_errors {
    char *text;
    int count;
};
void conf_errors_fini(struct conf_errors *errors);

/* Reads and checks `path`. 0 and *conf (free with conf_free), or -EINVAL / -ENOENT / -EACCES with
 * at least one message in *errors. */
int conf_load(const char *path, struct conf **conf, struct conf_errors *errors);
void conf_free(struct conf *conf);

/* A conf with every default and no phones or routes: what the native client runs with. */
struct conf *conf_default(void);

const struct conf_phone *conf_phone_find(const struct conf *conf, const char *id);

/* ---- addresses, as written in settings and logs ---------------------------------------------- */

/* Enough for "[ipv6%scope]:port" and its NUL. */
#define ADDRESS_TEXT_MAX 80

/* "192.0.2.1:5060" or "[2001:db8::1]:5060"; numeric only. -EINVAL on anything else. */
int address_parse(const char *text, struct sockaddr_storage *address);
/* Writes "ip:port" into `text` (ADDRESS_TEXT_MAX bytes) and returns it. */
const char *address_format(const struct sockaddr_storage *address, char *text);
/* Same family, address and port; ::ffff:a.b.c.d equals a.b.c.d. */
bool address_equal(const struct sockaddr_storage *a, const struct sockaddr_storage *b);
uint16_t address_port(const struct sockaddr_storage *address);
void address_set_port(struct sockaddr_storage *address, uint16_t port);
socklen_t address_length(const struct sockaddr_storage *address);
/* Turns ::ffff:a.b.c.d into a.b.c.d; leaves the rest. */
void address_normalise(struct sockaddr_storage *address);

#endif
