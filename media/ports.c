/* The phones' sockets on the control thread: bound here, so that an SDP answer can name the port
 * at once, then handed to a worker. */
#include "media/socket.h"

#include <errno.h>
#include <netinet/ip.h>
#include <stdlib.h>
#include <unistd.h>

/* Expedited forwarding (RFC 4594, section 4.1), in the upper six bits of the octet. */
#define DSCP_EF (46 << 2)

static int bind_one(const struct sockaddr_storage *address, uint16_t port)
{
    struct sockaddr_storage local = *address;
    int tos = DSCP_EF, error;
    address_set_port(&local, port);
    int fd = socket(local.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (bind(fd, (const struct sockaddr *)&local, address_length(&local)) < 0) {
        error = -errno;
        close(fd);
        return error;
    }
    /* Marking is a wish; a kernel that refuses it still carries voice. */
    if (local.ss_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof tos);
    else
        (void)setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof tos);
    return fd;
}

static int bind_pair(struct media_rtp *rtp, const struct sockaddr_storage *address, uint16_t port)
{
    int first = bind_one(address, port);
    if (first < 0)
        return first;
    int second = bind_one(address, (uint16_t)(port + 1));
    if (second < 0) {
        close(first);
        return second;
    }
    rtp->fd[SOCKET_RTP] = first;
    rtp->fd[SOCKET_RTCP] = second;
    rtp->port = port;
    return 0;
}

int media_rtp_open(struct media *media, const struct sockaddr_storage *address,
                   struct media_rtp **opened)
{
    if (address->ss_family != AF_INET && address->ss_family != AF_INET6)
        return -EINVAL;
    unsigned first = (media->settings.port_min + 1u) & ~1u;
    unsigned last = media->settings.port_max;
    if (last < first + 1)
        return -EADDRINUSE;
    unsigned pairs = (last - first + 1) / 2;
    struct media_rtp *rtp = calloc(1, sizeof *rtp);
    if (!rtp)
        return -ENOMEM;
    int error = -EADDRINUSE;
    /* Round and round: a port that was just freed rests longest, so packets of its last call do
     * not reach the next. */
    for (unsigned tries = 0; tries < pairs && error == -EADDRINUSE; tries++) {
        unsigned pair = media->next_port++ % pairs;
        error = bind_pair(rtp, address, (uint16_t)(first + 2 * pair));
    }
    if (error) {
        free(rtp);
        return error;
    }
    *opened = rtp;
    return 0;
}

uint16_t media_rtp_port(const struct media_rtp *rtp)
{
    return rtp->port;
}

void media_rtp_close(struct media_rtp *rtp)
{
    socket_close(rtp);
}
