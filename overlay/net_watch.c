/* Changes of addresses and default routes. */
#include "overlay/net_watch.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SETTLE_MS 50
#define READS_MAX 64

struct net_watch {
    int fd;
    uv_poll_t poll;
    uv_timer_t settle;
    uint64_t digest; /* of what was there when last looked */
    void (*on_change)(void *ctx);
    void *ctx;
    int open;
    void (*on_closed)(void *ctx);
    void *closed_ctx;
};

/* ---- what is there ----------------------------------------------------------------------------
 */

/* FNV-1a; summed over the items, so that their order does not matter. */
static uint64_t digest_of(const void *data, size_t bytes)
{
    const uint8_t *at = data;
    uint64_t digest = 0xcbf29ce484222325u;

    for (size_t i = 0; i < bytes; i++)
        digest = (digest ^ at[i]) * 0x100000001b3u;
    return digest;
}

static uint64_t digest_addresses(void)
{
    uv_interface_address_t *interfaces;
    uint64_t sum = 0;
    int count;

    if (uv_interface_addresses(&interfaces, &count) < 0)
        return 0;
    for (int i = 0; i < count; i++) {
        const uv_interface_address_t *at = &interfaces[i];

        if (at->is_internal || (at->address.address4.sin_family == AF_INET6 &&
                                IN6_IS_ADDR_LINKLOCAL(&at->address.address6.sin6_addr)))
            continue; /* of no use to a peer */
        sum += at->address.address4.sin_family == AF_INET
                   ? digest_of(&at->address.address4.sin_addr, 4)
                   : digest_of(&at->address.address6.sin6_addr, 16);
    }
    uv_free_interface_addresses(interfaces, count);
    return sum;
}

static uint64_t digest_ipv4_default(const char *line)
{
    char interface[33], gateway[33];
    unsigned destination, mask;

    /* interface, destination, gateway, flags, two counts, metric, mask */
    if (sscanf(line, "%32s %x %32s %*s %*s %*s %*s %x", interface, &destination, gateway, &mask) !=
            4 ||
        destination != 0 || mask != 0)
        return 0;
    return digest_of(interface, strlen(interface)) ^ digest_of(gateway, strlen(gateway));
}

static uint64_t digest_ipv6_default(const char *line)
{
    char destination[33], gateway[33], interface[33];
    unsigned length;

    /* destination, length, source, length, gateway, metric, two counts, flags, interface; the
     * kernel lists a refusing one on lo as well */
    if (sscanf(line, "%32s %x %*s %*s %32s %*s %*s %*s %*s %32s", destination, &length, gateway,
               interface) != 4 ||
        length != 0 || strcmp(interface, "lo") == 0)
        return 0;
    return digest_of(interface, strlen(interface)) ^ digest_of(gateway, strlen(gateway));
}

/* Counts and metrics may change without meaning anything: only the defaults' gateways count. */
static uint64_t digest_routes(const char *path, uint64_t (*digest)(const char *line))
{
    FILE *file = fopen(path, "re");
    char line[512];
    uint64_t sum = 0;

    if (!file)
        return 0;
    while (fgets(line, sizeof line, file))
        sum += digest(line);
    fclose(file);
    return sum;
}

static uint64_t look(void)
{
    return digest_addresses() + digest_routes("/proc/net/route", digest_ipv4_default) +
           digest_routes("/proc/net/ipv6_route", digest_ipv6_default);
}

/* ---- hints ------------------------------------------------------------------------------------
 */

static void on_settled(uv_timer_t *timer)
{
    struct net_watch *watch = timer->data;
    uint64_t digest = look();

    if (digest == watch->digest)
        return;
    watch->digest = digest;
    watch->on_change(watch->ctx);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct net_watch *watch = poll->data;
    char buffer[8192];

    (void)status;
    (void)events;
    /* ENOBUFS: some were lost; those that follow are read on */
    for (int i = 0; i < READS_MAX; i++)
        if (recv(watch->fd, buffer, sizeof buffer, MSG_DONTWAIT) < 0 && errno != ENOBUFS)
            break;
    if (!uv_is_active((uv_handle_t *)&watch->settle))
        uv_timer_start(&watch->settle, on_settled, SETTLE_MS, 0);
}

/* ---- life -------------------------------------------------------------------------------------
 */

static int open_socket(void)
{
    const struct sockaddr_nl groups = {.nl_family = AF_NETLINK,
                                       .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR |
                                                    RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE |
                                                    RTMGRP_IPV6_ROUTE};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);

    if (fd >= 0 && bind(fd, (const struct sockaddr *)&groups, sizeof groups) == 0)
        return fd;
    int err = -errno;
    if (fd >= 0)
        close(fd);
    return err;
}

int net_watch_open(uv_loop_t *loop, void (*on_change)(void *ctx), void *ctx, struct net_watch **out)
{
    struct net_watch *watch = calloc(1, sizeof *watch);
    int err = watch ? open_socket() : -ENOMEM;

    if (err < 0) {
        free(watch);
        return err;
    }
    watch->fd = err;
    watch->on_change = on_change;
    watch->ctx = ctx;
    if ((err = uv_poll_init(loop, &watch->poll, watch->fd)) < 0) {
        close(watch->fd);
        free(watch);
        return err;
    }
    uv_timer_init(loop, &watch->settle);
    watch->poll.data = watch->settle.data = watch;
    uv_poll_start(&watch->poll, UV_READABLE, on_readable);
    watch->digest = look();
    *out = watch;
    return 0;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct net_watch *watch = handle->data;

    if (--watch->open > 0)
        return;
    void (*on_closed)(void *) = watch->on_closed;
    void *closed_ctx = watch->closed_ctx;
    close(watch->fd);
    free(watch);
    if (on_closed)
        on_closed(closed_ctx);
}

void net_watch_close(struct net_watch *watch, void (*on_closed)(void *ctx), void *ctx)
{
    watch->on_closed = on_closed;
    watch->closed_ctx = ctx;
    watch->open = 2;
    uv_close((uv_handle_t *)&watch->poll, on_handle_closed);
    uv_close((uv_handle_t *)&watch->settle, on_handle_closed);
}
