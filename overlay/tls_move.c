/* A TLS connection moves to another loop, with all bytes that came and all that wait. */
#include "overlay/tls_stream.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int tls_stream_unread(struct tls_stream *stream, const uint8_t *data, size_t bytes)
{
    uint8_t *copy = malloc(bytes ? bytes : 1);

    if (!copy)
        return -ENOMEM;
    memcpy(copy, data, bytes);
    free(stream->unread);
    stream->unread = bytes ? copy : NULL;
    stream->unread_bytes = bytes;
    if (!bytes)
        free(copy);
    return 0;
}

int tls_stream_detach(struct tls_stream *stream)
{
    uv_os_fd_t fd;

    if (stream->state != TLS_UP || uv_fileno((uv_handle_t *)stream->tcp, &fd) < 0)
        return -EINVAL;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        return -errno;
    int error = tls_wire_reclaim(stream);
    if (error < 0) {
        close(copy);
        return error;
    }
    stream->fd = copy;
    /* The handles stay behind on the old loop and know the stream no more. */
    stream->tcp->data = NULL;
    stream->timer->data = NULL;
    uv_close((uv_handle_t *)stream->tcp, tls_on_handle_closed);
    uv_close((uv_handle_t *)stream->timer, tls_on_handle_closed);
    stream->tcp = NULL;
    stream->timer = NULL;
    stream->handles = 0;
    tls_set_state(stream, TLS_DETACHED);
    return 0;
}

int tls_stream_resume(struct tls_stream *stream, uv_loop_t *loop,
                      const struct tls_stream_events *events, void *ctx)
{
    assert(stream->state == TLS_DETACHED);

    uv_tcp_t *tcp = malloc(sizeof *tcp);
    if (!tcp)
        return -ENOMEM;
    uv_tcp_init(loop, tcp);
    tcp->data = NULL;
    int error = uv_tcp_open(tcp, stream->fd);
    if (error < 0 || !tls_make_timer(stream, loop)) {
        if (error == 0)
            stream->fd = -1; /* the handle closes it */
        uv_close((uv_handle_t *)tcp, tls_on_handle_closed);
        return error < 0 ? error : -ENOMEM;
    }
    stream->fd = -1;
    stream->events = events;
    stream->ctx = ctx;
    tls_set_state(stream, TLS_UP);
    error = tls_wire_start(stream, tcp);
    if (error < 0)
        tls_fail(stream, "%s", uv_strerror(error));
    else
        tls_soon(stream);
    return 0;
}
