/* The way over UDP: one address of the far end, through the worker's socket. */
#include "overlay/path_worker.h"

#include <stdio.h>
#include <stdlib.h>

struct udp_way {
    struct path_way way;            /* first */
    struct sockaddr_storage remote; /* normalised */
    struct sockaddr_storage wire;   /* as the socket takes it */
};

static int udp_send(struct path_way *way, const uint8_t *packet, size_t bytes)
{
    struct udp_way *udp = (struct udp_way *)way;

    return path_socket_send(way->path->worker->socket, &udp->wire, packet, bytes);
}

static void udp_describe(const struct path_way *way, char *text, size_t bytes)
{
    char address[ADDRESS_TEXT_MAX];

    snprintf(text, bytes, "udp %s",
             address_format(&((const struct udp_way *)way)->remote, address));
}

static void udp_close(struct path_way *way)
{
    path_way_fini(way);
    free(way);
}

static const struct path_way_ops udp_ops = {
    .rank = PATH_RANK_UDP,
    .send = udp_send,
    .describe = udp_describe,
    .close = udp_close,
};

struct path_way *path_udp_find(const struct path *path, const struct sockaddr_storage *remote)
{
    struct path_way *way;

    if (!remote)
        return NULL;
    TAILQ_FOREACH(way, &path->live.ways, next)
    if (way->ops == &udp_ops && address_equal(&((struct udp_way *)way)->remote, remote))
        return way;
    return NULL;
}

/* Room for one more: there is, or the oldest that never answered goes. */
static bool make_room(struct path *path, bool may_evict)
{
    struct path_way *way, *worst = NULL;
    int count = 0;

    TAILQ_FOREACH(way, &path->live.ways, next)
    {
        if (way->ops != &udp_ops)
            continue;
        count++;
        if (!worst && !way->is_proved && way != path->live.current)
            worst = way;
    }
    if (count < PATH_UDP_MAX)
        return true;
    if (!may_evict || !worst)
        return false;
    path_live_remove_way(path, worst);
    return true;
}

struct path_way *path_udp_add(struct path *path, const struct sockaddr_storage *remote,
                              bool is_seen)
{
    struct path_way *found = path_udp_find(path, remote);
    struct udp_way *udp;

    if (found)
        return found;
    if (!path->worker->socket || path->worker->is_hidden || !make_room(path, is_seen) ||
        !(udp = calloc(1, sizeof *udp)))
        return NULL;
    udp->remote = *remote;
    path_socket_address(path->worker->socket, remote, &udp->wire);
    path_way_init(&udp->way, &udp_ops, path);
    udp->way.is_up = true;
    path_live_add_way(path, &udp->way);
    path_check_hurry(&udp->way, uv_now(path->worker->loop));
    return &udp->way;
}
