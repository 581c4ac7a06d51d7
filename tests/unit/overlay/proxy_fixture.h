/* A tiny HTTP CONNECT proxy on the test's own loop. It wants user "anna" with password "secret". */
#ifndef TESTS_PROXY_FIXTURE_H
#define TESTS_PROXY_FIXTURE_H

#include "conf/conf.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

struct fixture_proxy {
    uv_tcp_t listener;
    int connections, tunnels, refused;
    struct fixture_tunnel *first;
};

struct fixture_tunnel {
    uv_tcp_t near, far;
    struct fixture_proxy *proxy;
    struct fixture_tunnel *next;
    uv_connect_t connect;
    bool is_open, is_closing;
    int handles;
    char head[2048];
    size_t used;
};

struct fixture_proxy_write {
    uv_write_t request;
    char bytes[];
};

static inline void fixture_proxy_written(uv_write_t *request, int status)
{
    (void)status;
    free(request);
}

static inline void fixture_proxy_write(uv_tcp_t *to, const char *bytes, size_t count)
{
    struct fixture_proxy_write *write = malloc(sizeof *write + count);
    uv_buf_t buffer = uv_buf_init(write->bytes, (unsigned)count);

    memcpy(write->bytes, bytes, count);
    if (uv_write(&write->request, (uv_stream_t *)to, &buffer, 1, fixture_proxy_written) < 0)
        free(write);
}

static inline void fixture_tunnel_gone(uv_handle_t *handle)
{
    struct fixture_tunnel *tunnel = handle->data;

    if (--tunnel->handles == 0) {
        struct fixture_tunnel **at = &tunnel->proxy->first;
        while (*at != tunnel)
            at = &(*at)->next;
        *at = tunnel->next;
        free(tunnel);
    }
}

static inline void fixture_tunnel_close(struct fixture_tunnel *tunnel)
{
    if (tunnel->is_closing)
        return;
    tunnel->is_closing = true;
    uv_close((uv_handle_t *)&tunnel->near, fixture_tunnel_gone);
    uv_close((uv_handle_t *)&tunnel->far, fixture_tunnel_gone);
}

static inline void fixture_proxy_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    static char bytes[65536];

    (void)handle, (void)suggested;
    *buffer = uv_buf_init(bytes, sizeof bytes);
}

static inline void fixture_proxy_read(uv_stream_t *from, ssize_t got, const uv_buf_t *buffer);

static inline void fixture_proxy_connected(uv_connect_t *request, int status)
{
    struct fixture_tunnel *tunnel = request->data;
    static const char yes[] = "HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n";
    static const char no[] = "HTTP/1.1 503 Service Unavailable\r\n\r\n";

    if (tunnel->is_closing)
        return;
    if (status < 0) {
        fixture_proxy_write(&tunnel->near, no, sizeof no - 1);
        return;
    }
    tunnel->is_open = true;
    tunnel->proxy->tunnels++;
    fixture_proxy_write(&tunnel->near, yes, sizeof yes - 1);
    uv_read_start((uv_stream_t *)&tunnel->far, fixture_proxy_alloc, fixture_proxy_read);
}

static inline void fixture_proxy_ask(struct fixture_tunnel *tunnel)
{
    static const char denied[] = "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
    struct sockaddr_storage to;
    char target[100];

    /* base64 of "anna:secret" */
    if (!strstr(tunnel->head, "Proxy-Authorization: Basic YW5uYTpzZWNyZXQ=\r\n")) {
        tunnel->proxy->refused++;
        fixture_proxy_write(&tunnel->near, denied, sizeof denied - 1);
    } else if (sscanf(tunnel->head, "CONNECT %99s HTTP/1.1", target) != 1 ||
               address_parse(target, &to) < 0 ||
               uv_tcp_connect(&tunnel->connect, &tunnel->far, (struct sockaddr *)&to,
                              fixture_proxy_connected) < 0) {
        fixture_tunnel_close(tunnel);
    }
}

static inline void fixture_proxy_read(uv_stream_t *from, ssize_t got, const uv_buf_t *buffer)
{
    struct fixture_tunnel *tunnel = from->data;
    bool is_near = from == (uv_stream_t *)&tunnel->near;

    if (got < 0) {
        fixture_tunnel_close(tunnel);
    } else if (tunnel->is_open) {
        fixture_proxy_write(is_near ? &tunnel->far : &tunnel->near, buffer->base, (size_t)got);
    } else if (tunnel->used + (size_t)got < sizeof tunnel->head) {
        memcpy(tunnel->head + tunnel->used, buffer->base, (size_t)got);
        tunnel->used += (size_t)got;
        if (strstr(tunnel->head, "\r\n\r\n"))
            fixture_proxy_ask(tunnel);
    }
}

static inline void fixture_proxy_connection(uv_stream_t *listener, int status)
{
    struct fixture_proxy *proxy = listener->data;
    struct fixture_tunnel *tunnel = calloc(1, sizeof *tunnel);

    if (status < 0 || !tunnel)
        abort();
    proxy->connections++;
    tunnel->proxy = proxy;
    tunnel->next = proxy->first;
    proxy->first = tunnel;
    tunnel->handles = 2;
    tunnel->connect.data = tunnel;
    uv_tcp_init(listener->loop, &tunnel->near);
    uv_tcp_init(listener->loop, &tunnel->far);
    tunnel->near.data = tunnel->far.data = tunnel;
    uv_accept(listener, (uv_stream_t *)&tunnel->near);
    uv_read_start((uv_stream_t *)&tunnel->near, fixture_proxy_alloc, fixture_proxy_read);
}

/* Listens on a port of loopback from `port` on; the one that was free is returned. */
static inline int fixture_proxy_open(struct fixture_proxy *proxy, uv_loop_t *loop, int port)
{
    struct sockaddr_in at;

    memset(proxy, 0, sizeof *proxy);
    for (;; port++) {
        uv_tcp_init(loop, &proxy->listener);
        proxy->listener.data = proxy;
        uv_ip4_addr("127.0.0.1", port, &at);
        if (uv_tcp_bind(&proxy->listener, (struct sockaddr *)&at, 0) == 0 &&
            uv_listen((uv_stream_t *)&proxy->listener, 16, fixture_proxy_connection) == 0)
            return port;
        uv_close((uv_handle_t *)&proxy->listener, NULL);
        uv_run(loop, UV_RUN_NOWAIT);
    }
}

static inline void fixture_proxy_close(struct fixture_proxy *proxy)
{
    for (struct fixture_tunnel *tunnel = proxy->first; tunnel; tunnel = tunnel->next)
        fixture_tunnel_close(tunnel);
    uv_close((uv_handle_t *)&proxy->listener, NULL);
}

#endif
