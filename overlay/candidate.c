/* Candidates: decoded, judged, encoded. */
#include "overlay/candidate.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "overlay/overlay.pb-c.h"

/* ---- the wire ---------------------------------------------------------------------------------
 */

static int take_host(const Sallyport__Candidate *from, struct candidate *candidate)
{
    if (from->address[0] == '\0' || strlen(from->address) >= sizeof candidate->host)
        return -EINVAL;
    strcpy(candidate->host, from->address);
    return 0;
}

static int take_candidate(const Sallyport__Candidate *from, struct candidate *candidate)
{
    memset(candidate, 0, sizeof *candidate);
    switch (from->kind) {
    case SALLYPORT__CANDIDATE__KIND__UDP:
        candidate->kind = CANDIDATE_UDP;
        if (strlen(from->address) >= ADDRESS_TEXT_MAX)
            return -EINVAL;
        if (address_parse(from->address, &candidate->address) < 0)
            return -EINVAL;
        address_normalise(&candidate->address);
        return 0;
    case SALLYPORT__CANDIDATE__KIND__RELAY:
        candidate->kind = CANDIDATE_RELAY;
        if (from->tunnel.len != CANDIDATE_TUNNEL_BYTES || from->ticket.len > CANDIDATE_TICKET_MAX)
            return -EINVAL;
        memcpy(candidate->tunnel, from->tunnel.data, CANDIDATE_TUNNEL_BYTES);
        candidate->is_reserve = from->reserve;
        candidate->ticket_bytes = from->ticket.len;
        if (from->ticket.len > 0)
            memcpy(candidate->ticket, from->ticket.data, from->ticket.len);
        return take_host(from, candidate);
    case SALLYPORT__CANDIDATE__KIND__TCP:
        candidate->kind = CANDIDATE_TCP;
        return take_host(from, candidate);
    default:
        return -EINVAL;
    }
}

int candidate_path_decode(const struct core_path *data, struct candidate_path *path)
{
    Sallyport__Path *wire = sallyport__path__unpack(NULL, data->bytes, data->data);
    int err = -EINVAL;

    memset(path, 0, sizeof *path);
    if (!wire || wire->id.len != PATH_ID_BYTES)
        goto out;
    if (wire->key.len != 0 && wire->key.len != PATH_KEY_BYTES)
        goto out;
    memcpy(path->id, wire->id.data, PATH_ID_BYTES);
    path->has_key = wire->key.len == PATH_KEY_BYTES;
    if (path->has_key)
        memcpy(path->key, wire->key.data, PATH_KEY_BYTES);
    if (wire->instance.len == PATH_INSTANCE_BYTES)
        memcpy(path->instance, wire->instance.data, PATH_INSTANCE_BYTES);
    for (size_t i = 0; i < wire->n_candidates; i++) {
        if (path->count < CANDIDATES_MAX &&
            take_candidate(wire->candidates[i], &path->candidates[path->count]) == 0)
            path->count++;
        else
            path->ignored++;
    }
    err = 0;
out:
    if (wire)
        sallyport__path__free_unpacked(wire, NULL);
    return err;
}

int candidate_path_encode(const struct candidate_path *path, struct core_path *data)
{
    static const Sallyport__Candidate__Kind kinds[] = {
        [CANDIDATE_UDP] = SALLYPORT__CANDIDATE__KIND__UDP,
        [CANDIDATE_RELAY] = SALLYPORT__CANDIDATE__KIND__RELAY,
        [CANDIDATE_TCP] = SALLYPORT__CANDIDATE__KIND__TCP,
    };
    Sallyport__Candidate wires[CANDIDATES_MAX], *list[CANDIDATES_MAX];
    char text[CANDIDATES_MAX][ADDRESS_TEXT_MAX];
    Sallyport__Path wire = SALLYPORT__PATH__INIT;

    for (int i = 0; i < path->count; i++) {
        const struct candidate *from = &path->candidates[i];

        sallyport__candidate__init(&wires[i]);
        list[i] = &wires[i];
        wires[i].kind = kinds[from->kind];
        wires[i].address = (char *)from->host;
        if (from->kind == CANDIDATE_UDP)
            wires[i].address = (char *)address_format(&from->address, text[i]);
        if (from->kind == CANDIDATE_RELAY) {
            wires[i].tunnel.len = CANDIDATE_TUNNEL_BYTES;
            wires[i].tunnel.data = (uint8_t *)from->tunnel;
            wires[i].reserve = from->is_reserve;
            wires[i].ticket.len = from->ticket_bytes;
            wires[i].ticket.data = (uint8_t *)from->ticket;
        }
    }
    wire.id.len = PATH_ID_BYTES;
    wire.id.data = (uint8_t *)path->id;
    if (path->has_key) {
        wire.key.len = PATH_KEY_BYTES;
        wire.key.data = (uint8_t *)path->key;
    }
    wire.instance.len = PATH_INSTANCE_BYTES;
    wire.instance.data = (uint8_t *)path->instance;
    wire.n_candidates = (size_t)path->count;
    wire.candidates = list;
    if (sallyport__path__get_packed_size(&wire) > sizeof data->data)
        return -ENOSPC;
    data->bytes = sallyport__path__pack(&wire, data->data);
    return 0;
}

const char *candidate_list_text(const struct candidate *list, int count, char *text, size_t bytes)
{
    static const char *const kinds[] = {
        [CANDIDATE_UDP] = "udp", [CANDIDATE_RELAY] = "relay", [CANDIDATE_TCP] = "tcp"};
    char address[ADDRESS_TEXT_MAX];
    size_t used = 0;

    snprintf(text, bytes, "none");
    for (int i = 0; i < count && used < bytes; i++) {
        const char *where = list[i].kind == CANDIDATE_UDP
                                ? address_format(&list[i].address, address)
                                : list[i].host;
        used += (size_t)snprintf(text + used, bytes - used, "%s%s %s", used ? ", " : "",
                                 kinds[list[i].kind], where);
    }
    return text;
}

/* ---- judgement --------------------------------------------------------------------------------
 */

static bool v4_is_plausible(const uint8_t *ip, bool is_loopback_allowed)
{
    if (ip[0] == 127)
        return is_loopback_allowed;
    /* 0/8 is "this network", 169.254/16 link-local, from 224 on multicast, reserved, broadcast */
    return ip[0] != 0 && ip[0] < 224 && !(ip[0] == 169 && ip[1] == 254);
}

static bool v6_is_plausible(const struct in6_addr *ip, bool is_loopback_allowed)
{
    static const uint8_t nat64[12] = {0, 0x64, 0xff, 0x9b};
    const uint8_t *byte = ip->s6_addr;

    if (IN6_IS_ADDR_LOOPBACK(ip))
        return is_loopback_allowed;
    if (IN6_IS_ADDR_UNSPECIFIED(ip) || IN6_IS_ADDR_MULTICAST(ip) || IN6_IS_ADDR_LINKLOCAL(ip) ||
        IN6_IS_ADDR_SITELOCAL(ip) || IN6_IS_ADDR_V4COMPAT(ip))
        return false;
    if (memcmp(byte, nat64, sizeof nat64) == 0)
        return v4_is_plausible(byte + 12, false);
    if (byte[0] == 0x20 && byte[1] == 0x02) /* 6to4 */
        return v4_is_plausible(byte + 2, false);
    return true;
}

bool candidate_is_plausible(const struct sockaddr_storage *address,
                            const struct candidate_policy *policy)
{
    struct sockaddr_storage plain = *address;
    bool is_plausible = false;

    address_normalise(&plain);
    if (address_port(&plain) == 0)
        return false;
    if (plain.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&plain;
        is_plausible = v4_is_plausible((const uint8_t *)&v4->sin_addr, policy->is_loopback_allowed);
    } else if (plain.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&plain;
        is_plausible =
            v6->sin6_scope_id == 0 && v6_is_plausible(&v6->sin6_addr, policy->is_loopback_allowed);
    }
    for (int i = 0; i < policy->own_count && is_plausible; i++)
        is_plausible = !address_equal(&plain, &policy->own[i]);
    return is_plausible;
}

bool candidate_is_loopback(const struct sockaddr_storage *address)
{
    struct sockaddr_storage plain = *address;

    address_normalise(&plain);
    if (plain.ss_family == AF_INET)
        return *(const uint8_t *)&((const struct sockaddr_in *)&plain)->sin_addr == 127;
    return plain.ss_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)&plain)->sin6_addr);
}

bool candidate_host_is_plausible(const char *host, const struct candidate_policy *policy)
{
    struct sockaddr_storage address;
    const char *colon = strrchr(host, ':');

    if (!colon || colon == host || atoi(colon + 1) <= 0 || atoi(colon + 1) > UINT16_MAX)
        return false;
    if (strlen(host) < ADDRESS_TEXT_MAX && address_parse(host, &address) == 0)
        return candidate_is_plausible(&address, policy);

    /* A name: letters, digits, dots and hyphens only, so "[::1%lo]" or "127.1" in disguise is none.
     */
    size_t length = (size_t)(colon - host);
    if (strspn(host, "0123456789.xX") >= length || memcmp(host, "0x", 2) == 0)
        return false;
    if (strncasecmp(host, "localhost", 9) == 0 && (length == 9 || host[9] == '.'))
        return policy->is_loopback_allowed;
    return strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") >=
           length;
}

int candidate_pick_hosts(const struct sockaddr_storage *all, int count,
                         struct sockaddr_storage *out, int max)
{
    int picked = 0;

    for (int pass = 0; pass < 2 && picked == 0; pass++) {
        struct candidate_policy policy = {.is_loopback_allowed = pass == 1};

        for (int i = 0; i < count && picked < max; i++)
            if (candidate_is_plausible(&all[i], &policy))
                out[picked++] = all[i];
    }
    return picked;
}
