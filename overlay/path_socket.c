/* A UDP socket of a worker. */
#include "overlay/path_socket.h"

#include "overlay/candidate.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH 32
#define BATCHES_MAX 4
#define PACKET_MAX 2048
#define INTERFACES_MAX 64
#define KERNEL_BUFFER_BYTES \
    (1 << 20) /* 5,000 packets: a worker that is busy for 100 ms loses none */

struct path_socket {
    int fd;
    bool is_dual;
    uint16_t port;
    struct mmsghdr message[BATCH];
    struct iovec vector[BATCH];
    struct sockaddr_storage from[BATCH];
    uint8_t packet[BATCH][PACKET_MAX];
};

static int bind_to(struct path_socket *opened, const struct sockaddr_storage *address,
                   bool is_shared)
{
    bool is_v6 = address->ss_family == AF_INET6;
    int fd = socket(address->ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int no = 0, yes = 1;
    struct sockaddr_storage bound;
    socklen_t length = sizeof bound;

    if (fd < 0)
        return -errno;
    if ((is_v6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no) < 0) ||
        (is_shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes) < 0) ||
        bind(fd, (const struct sockaddr *)address, address_length(address)) < 0 ||
        getsockname(fd, (struct sockaddr *)&bound, &length) < 0) {
        int err = -errno;
        close(fd);
        return err;
    }
    opened->fd = fd;
    opened->is_dual = is_v6;
    opened->port = address_port(&bound);
    return 0;
}

static int bind_to_any(struct path_socket *opened, uint16_t port)
{
    struct sockaddr_storage any = {.ss_family = AF_INET6};
    int err;

    address_set_port(&any, port);
    err = bind_to(opened, &any, false);
    if (err != -EAFNOSUPPORT && err != -EADDRNOTAVAIL)
        return err;
    any = (struct sockaddr_storage){.ss_family = AF_INET};
    address_set_port(&any, port);
    return bind_to(opened, &any, false);
}

/* Wishes: a socket without them works too. */
static void set_options(const struct path_socket *socket)
{
    int buffer = KERNEL_BUFFER_BYTES, expedited = IPTOS_DSCP_EF;

    setsockopt(socket->fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    setsockopt(socket->fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    setsockopt(socket->fd, IPPROTO_IP, IP_TOS, &expedited, sizeof expedited);
    if (socket->is_dual)
        setsockopt(socket->fd, IPPROTO_IPV6, IPV6_TCLASS, &expedited, sizeof expedited);
}

/* `address` NULL: any, with `port`. */
static int open_socket(const struct sockaddr_storage *address, uint16_t port,
                       struct path_socket **out)
{
    struct path_socket *opened = calloc(1, sizeof *opened);
    int err;

    if (!opened)
        return -ENOMEM;
    err = address ? bind_to(opened, address, true) : bind_to_any(opened, port);
    if (err < 0) {
        free(opened);
        return err;
    }
    set_options(opened);
    for (int i = 0; i < BATCH; i++) {
        opened->vector[i] = (struct iovec){opened->packet[i], PACKET_MAX};
        opened->message[i].msg_hdr = (struct msghdr){
            .msg_name = &opened->from[i], .msg_iov = &opened->vector[i], .msg_iovlen = 1};
    }
    *out = opened;
    return 0;
}

int path_socket_open(uint16_t port, struct path_socket **out)
{
    return open_socket(NULL, port, out);
}

int path_socket_open_shared(const struct sockaddr_storage *address, struct path_socket **out)
{
    return open_socket(address, 0, out);
}

void path_socket_close(struct path_socket *socket)
{
    if (!socket)
        return;
    close(socket->fd);
    free(socket);
}

int path_socket_fd(const struct path_socket *socket)
{
    return socket->fd;
}

uint16_t path_socket_port(const struct path_socket *socket)
{
    return socket->port;
}

int path_socket_send(struct path_socket *socket, const struct sockaddr_storage *to,
                     const uint8_t *data, size_t bytes)
{
    ssize_t sent = sendto(socket->fd, data, bytes, MSG_DONTWAIT, (const struct sockaddr *)to,
                          address_length(to));

    return sent < 0 ? -errno : 0;
}

void path_socket_address(const struct path_socket *socket, const struct sockaddr_storage *address,
                         struct sockaddr_storage *wire)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
    struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_port = v4->sin_port};

    *wire = *address;
    if (!socket->is_dual || address->ss_family != AF_INET)
        return;
    mapped.sin6_addr.s6_addr[10] = mapped.sin6_addr.s6_addr[11] = 0xff;
    memcpy(&mapped.sin6_addr.s6_addr[12], &v4->sin_addr, 4);
    memset(wire, 0, sizeof *wire);
    memcpy(wire, &mapped, sizeof mapped);
}

void path_socket_receive(struct path_socket *socket, path_socket_on_packet on_packet, void *ctx)
{
    for (int batch = 0; batch < BATCHES_MAX; batch++) {
        for (int i = 0; i < BATCH; i++)
            socket->message[i].msg_hdr.msg_namelen = sizeof socket->from[i];

        int count = recvmmsg(socket->fd, socket->message, BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; i < count; i++) {
            if (socket->message[i].msg_hdr.msg_flags & MSG_TRUNC)
                continue; /* longer than anything of ours */
            on_packet(ctx, &socket->from[i], socket->packet[i], socket->message[i].msg_len);
        }
        if (count < BATCH)
            return;
    }
}

int path_socket_hosts(uint16_t port, struct sockaddr_storage *out, int max)
{
    struct sockaddr_storage all[INTERFACES_MAX];
    uv_interface_address_t *interfaces;
    int interface_count, count = 0;

    if (uv_interface_addresses(&interfaces, &interface_count) < 0)
        return 0;
    for (int i = 0; i < interface_count && count < INTERFACES_MAX; i++) {
        const uv_interface_address_t *interface = &interfaces[i];

        memset(&all[count], 0, sizeof all[count]);
        if (interface->address.address4.sin_family == AF_INET)
            memcpy(&all[count], &interface->address.address4, sizeof interface->address.address4);
        else
            memcpy(&all[count], &interface->address.address6, sizeof interface->address.address6);
        address_set_port(&all[count++], port);
    }
    uv_free_interface_addresses(interfaces, interface_count);
    return candidate_pick_hosts(all, count, out, max);
}
