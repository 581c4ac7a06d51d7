/* overlay/candidate.h: candidates: what a `Path` of the wire says, and which addresses may be
 * tried.
 *
 * Everything here comes from a peer and is judged before it is used. A peer that names addresses
 * must not be able to make us knock at the doors of others: only a few candidates are taken, and no
 * address that cannot be a peer's, in whatever spelling. Pure: no sockets.
 */
#ifndef OVERLAY_CANDIDATE_H
#define OVERLAY_CANDIDATE_H

#include "overlay/core.h"

#define CANDIDATES_MAX 16
#define CANDIDATE_HOST_MAX 264 /* "host.example:443" */
#define CANDIDATE_TUNNEL_BYTES 16
#define PATH_ID_BYTES 8
#define PATH_KEY_BYTES 32
#define PATH_INSTANCE_BYTES 8

#define CANDIDATE_TICKET_MAX 256

enum candidate_kind { CANDIDATE_UDP, CANDIDATE_RELAY, CANDIDATE_TCP };

struct candidate {
    enum candidate_kind kind;
    struct sockaddr_storage address; /* UDP; normalised */
    char host[CANDIDATE_HOST_MAX];   /* RELAY, TCP: where to dial */
    /* RELAY */
    uint8_t tunnel[CANDIDATE_TUNNEL_BYTES];
    size_t ticket_bytes;
    uint8_t ticket[CANDIDATE_TICKET_MAX]; /* as the relay wants to see it */
    bool is_own;                          /* signed by us; never from the wire */
    bool is_reserve;                      /* for when another relay is in trouble */
};

struct candidate_path {
    uint8_t id[PATH_ID_BYTES];
    bool has_key;
    uint8_t key[PATH_KEY_BYTES];
    uint8_t instance[PATH_INSTANCE_BYTES]; /* zeros: not told */
    struct candidate candidates[CANDIDATES_MAX];
    int count;
    unsigned ignored; /* malformed, of an unknown kind, or too many */
};

/* `Path` of overlay.proto. -EINVAL for what is none; -ENOSPC when it does not fit. */
int candidate_path_decode(const struct core_path *data, struct candidate_path *path);
int candidate_path_encode(const struct candidate_path *path, struct core_path *data);

/* "udp 192.0.2.1:4000, relay hub.example:443" into `text`, "none" when there is none; what does not
 * fit is left out. Returns `text`. */
const char *candidate_list_text(const struct candidate *list, int count, char *text, size_t bytes);

struct candidate_policy {
    bool is_loopback_allowed; /* we offered loopback ourselves: there is no other address here */
    const struct sockaddr_storage *own; /* never these: our sockets, our relay */
    int own_count;
};
/* May a check go there? No to port 0, unspecified, loopback, multicast, broadcast, link-local and
 * reserved ones, also inside IPv6 forms that carry an IPv4 address. */
bool candidate_is_plausible(const struct sockaddr_storage *address,
                            const struct candidate_policy *policy);
bool candidate_is_loopback(const struct sockaddr_storage *address);
/* May "host:port" be dialled? A numeric host must be plausible. */
bool candidate_host_is_plausible(const char *host, const struct candidate_policy *policy);

/* Which of this machine's addresses are offered: the plausible ones; loopback only when there is no
 * other. Writes at most `max` to `out`, returns how many. */
int candidate_pick_hosts(const struct sockaddr_storage *all, int count,
                         struct sockaddr_storage *out, int max);

#endif
