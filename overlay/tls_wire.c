/* The libuv side of a TLS connection. */
#include "overlay/tls_stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#define READ_BYTES 65536
#define USER_TIMEOUT_MS 10000
#define KEEPALIVE_S 30

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    /* libuv reads into it and gives it to on_read at once: one per thread is enough. */
    static _Thread_local char bytes[READ_BYTES];

    (void)handle;
    (void)suggested;
    *buffer = uv_buf_init(bytes, sizeof bytes);
}

/* The proxy's answer, and what already came through the tunnel behind it. */
static size_t read_proxy(struct tls_stream *stream, const uint8_t *data, size_t bytes)
{
    char why[TLS_WHY_MAX];
    size_t taken;
    int error = proxy_answer_take(&stream->tunnel->answer, data, bytes, &taken, why, sizeof why);

    if (error == -EAGAIN)
        return taken;
    if (error < 0) {
        tls_fail(stream, "%s", why);
        return taken;
    }
    free(stream->tunnel);
    stream->tunnel = NULL;
    tls_set_state(stream, TLS_HANDSHAKE);
    if (tls_crypt_start(stream) < 0)
        tls_fail(stream, "out of memory");
    else if (taken == bytes)
        tls_crypt_go(stream);
    return taken;
}

static void on_end(struct tls_stream *stream, ssize_t status)
{
    uv_read_stop((uv_stream_t *)stream->tcp);
    stream->is_eof = true;
    if (stream->state == TLS_CLOSING)
        tls_soon(stream);
    else if (status != UV_EOF)
        tls_fail(stream, "%s", uv_strerror((int)status));
    else if (stream->state == TLS_UP)
        tls_fail(stream, "closed by the other side");
    else
        tls_fail(stream, "closed by the other side during the handshake");
}

static void on_read(uv_stream_t *handle, ssize_t got, const uv_buf_t *buffer)
{
    struct tls_stream *stream = handle->data;
    const uint8_t *data = (const uint8_t *)buffer->base;

    if (!stream || got == 0)
        return;
    if (got < 0) {
        on_end(stream, got);
        return;
    }
    size_t bytes = (size_t)got;
    if (stream->state == TLS_PROXY) {
        size_t taken = read_proxy(stream, data, bytes);
        data += taken;
        bytes -= taken;
    }
    if (bytes > 0 && (stream->state == TLS_HANDSHAKE || stream->state == TLS_UP)) {
        tls_crypt_take(stream, data, bytes);
        tls_crypt_go(stream);
    }
}

static void set_options(uv_tcp_t *tcp)
{
    unsigned timeout_ms = USER_TIMEOUT_MS;
    uv_os_fd_t fd;

    uv_tcp_nodelay(tcp, 1);
    uv_tcp_keepalive(tcp, 1, KEEPALIVE_S);
    if (uv_fileno((uv_handle_t *)tcp, &fd) == 0)
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
}

int tls_wire_start(struct tls_stream *stream, uv_tcp_t *tcp)
{
    int length = sizeof stream->peer;

    stream->tcp = tcp;
    stream->handles++;
    tcp->data = stream;
    set_options(tcp);
    if (uv_tcp_getpeername(tcp, (struct sockaddr *)&stream->peer, &length) < 0)
        return -ENOTCONN;
    address_normalise(&stream->peer);
    return uv_read_start((uv_stream_t *)tcp, on_alloc, on_read);
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
    (void)status;
    free(request);
}

void tls_wire_shutdown(struct tls_stream *stream)
{
    uv_shutdown_t *request = malloc(sizeof *request);

    if (request && uv_shutdown(request, (uv_stream_t *)stream->tcp, on_shutdown) < 0)
        free(request);
}

static void on_written(uv_write_t *request, int status)
{
    struct tls_write *write = (struct tls_write *)request;
    struct tls_stream *stream = request->handle->data;
    uv_tcp_t *tcp = (uv_tcp_t *)request->handle;

    free(write);
    if (!stream || status == UV_ECANCELED)
        return;
    stream->writing = NULL;
    if (status < 0) {
        if (stream->state < TLS_DOWN)
            tls_fail(stream, "%s", uv_strerror(status));
        return;
    }
    tls_wire_flush(stream);
    if (!stream->writing && tls_is_live(stream, tcp) && stream->state == TLS_UP &&
        stream->events->on_drain)
        stream->events->on_drain(stream->ctx, stream);
}

static int write_later(struct tls_stream *stream, const char *data, size_t bytes)
{
    struct tls_write *write = malloc(sizeof *write + bytes);

    if (!write)
        return UV_ENOMEM;
    write->bytes = bytes;
    memcpy(write->data, data, bytes);
    uv_buf_t buffer = uv_buf_init((char *)write->data, (unsigned)bytes);
    int error = uv_write(&write->request, (uv_stream_t *)stream->tcp, &buffer, 1, on_written);
    if (error < 0)
        free(write);
    else
        stream->writing = write;
    return error;
}

void tls_wire_flush(struct tls_stream *stream)
{
    char *data;

    if (!stream->tcp || !stream->out || stream->writing)
        return;
    long pending = BIO_get_mem_data(stream->out, &data);
    if (pending <= 0)
        return;
    uv_buf_t buffer = uv_buf_init(data, (unsigned)pending);
    int put = uv_try_write((uv_stream_t *)stream->tcp, &buffer, 1);
    int error = put < 0 && put != UV_EAGAIN ? put : 0;
    size_t done = put > 0 ? (size_t)put : 0;
    if (error == 0 && done < (size_t)pending)
        error = write_later(stream, data + done, (size_t)pending - done);
    stream->handed += (size_t)pending;
    (void)BIO_reset(stream->out);
    tls_crypt_trim(stream);
    if (error < 0 && stream->state < TLS_DOWN)
        tls_fail(stream, "%s", uv_strerror(error));
}

int tls_wire_reclaim(struct tls_stream *stream)
{
    char *data, *behind = NULL;
    long pending = BIO_get_mem_data(stream->out, &data);
    size_t left = uv_stream_get_write_queue_size((uv_stream_t *)stream->tcp);

    if (!stream->writing)
        return 0;
    if (pending > 0) {
        behind = malloc((size_t)pending);
        if (!behind)
            return -ENOMEM;
        memcpy(behind, data, (size_t)pending);
    }
    (void)BIO_reset(stream->out);
    const struct tls_write *write = stream->writing;
    bool is_kept =
        BIO_write(stream->out, write->data + write->bytes - left, (int)left) == (int)left;
    if (behind)
        is_kept = is_kept && BIO_write(stream->out, behind, (int)pending) == (int)pending;
    free(behind);
    stream->handed -= left;
    stream->writing = NULL;
    return is_kept ? 0 : -ENOMEM;
}
