/* Two ends of a TLS connection on loopback, and what happened to each. */
#ifndef TESTS_TLS_FIXTURE_H
#define TESTS_TLS_FIXTURE_H

#include "overlay/tls.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

struct tls_end {
    struct tls_stream *stream;
    const struct identity *identity;
    bool is_up, is_down, is_closed;
    int drains;
    char site[OVERLAY_NAME_MAX], alpn[32], why[200];
    size_t bytes;         /* that came */
    uint8_t data[300000]; /* the first of them */
    void (*on_up)(struct tls_end *end);
};

struct tls_fixture {
    uv_loop_t loop;
    uv_tcp_t listener;
    char address[ADDRESS_TEXT_MAX];
    struct tls_sessions *sessions; /* of the client; NULL: each dial is its first */
    struct tls_end client, server;
};

static inline void fixture_on_up(void *ctx, struct tls_stream *stream,
                                 const struct certificate *peer, const char *alpn)
{
    struct tls_end *end = ctx;

    (void)stream;
    end->is_up = true;
    snprintf(end->site, sizeof end->site, "%s", peer->site);
    snprintf(end->alpn, sizeof end->alpn, "%s", alpn);
    if (end->on_up)
        end->on_up(end);
}

static inline void fixture_on_data(void *ctx, struct tls_stream *stream, const uint8_t *data,
                                   size_t bytes)
{
    struct tls_end *end = ctx;
    size_t room = end->bytes < sizeof end->data ? sizeof end->data - end->bytes : 0;

    (void)stream;
    memcpy(end->data + end->bytes, data, bytes < room ? bytes : room);
    end->bytes += bytes;
}

static inline void fixture_on_closed(void *ctx)
{
    ((struct tls_end *)ctx)->is_closed = true;
}

static inline void fixture_on_down(void *ctx, struct tls_stream *stream, const char *why)
{
    struct tls_end *end = ctx;

    end->is_down = true;
    snprintf(end->why, sizeof end->why, "%s", why);
    end->stream = NULL;
    tls_stream_close_then(stream, fixture_on_closed, end);
}

static inline void fixture_on_drain(void *ctx, struct tls_stream *stream)
{
    (void)stream;
    ((struct tls_end *)ctx)->drains++;
}

static const struct tls_stream_events fixture_events = {fixture_on_up, fixture_on_data,
                                                        fixture_on_down, fixture_on_drain};

static inline void fixture_on_connection(uv_stream_t *listener, int status)
{
    struct tls_fixture *fixture = listener->data;

    if (status < 0 || tls_stream_accept(listener, fixture->server.identity, &fixture_events,
                                        &fixture->server, &fixture->server.stream) < 0)
        abort();
}

/* A listener on a free port of loopback. */
static inline void fixture_open(struct tls_fixture *fixture, const struct identity *client,
                                const struct identity *server)
{
    struct sockaddr_storage address;
    int length = sizeof address;

    memset(fixture, 0, sizeof *fixture);
    fixture->client.identity = client;
    fixture->server.identity = server;
    uv_loop_init(&fixture->loop);
    uv_tcp_init(&fixture->loop, &fixture->listener);
    fixture->listener.data = fixture;
    for (int port = 50000; port < 50400; port++) {
        uv_ip4_addr("127.0.0.1", port, (struct sockaddr_in *)&address);
        if (uv_tcp_bind(&fixture->listener, (struct sockaddr *)&address, 0) == 0 &&
            uv_listen((uv_stream_t *)&fixture->listener, 16, fixture_on_connection) == 0)
            break;
        uv_close((uv_handle_t *)&fixture->listener, NULL);
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
        uv_tcp_init(&fixture->loop, &fixture->listener);
        fixture->listener.data = fixture;
    }
    if (uv_tcp_getsockname(&fixture->listener, (struct sockaddr *)&address, &length) < 0)
        abort();
    address_format(&address, fixture->address);
}

static inline int fixture_dial(struct tls_fixture *fixture, const char *proxy, const char *alpn)
{
    struct tls_dial dial = {.identity = fixture->client.identity,
                            .address = fixture->address,
                            .proxy = proxy,
                            .alpn = alpn,
                            .sessions = fixture->sessions,
                            .timeout_ms = 3000};

    return tls_stream_dial(&fixture->loop, &dial, &fixture_events, &fixture->client,
                           &fixture->client.stream);
}

static inline void fixture_tick(uv_timer_t *timer)
{
    (void)timer;
}

/* Runs the loop until *flag is set; false after 5 s. */
static inline bool fixture_run(struct tls_fixture *fixture, const bool *flag)
{
    uint64_t end = uv_hrtime() + 5000000000ull;
    uv_timer_t tick;

    uv_timer_init(&fixture->loop, &tick);
    uv_timer_start(&tick, fixture_tick, 20, 20);
    while (!*flag && uv_hrtime() < end)
        uv_run(&fixture->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&tick, NULL);
    uv_run(&fixture->loop, UV_RUN_NOWAIT);
    return *flag;
}

static inline void fixture_close(struct tls_fixture *fixture)
{
    struct tls_end *ends[] = {&fixture->client, &fixture->server};

    for (int i = 0; i < 2; i++)
        if (ends[i]->stream)
            tls_stream_close_then(ends[i]->stream, fixture_on_closed, ends[i]);
    uv_close((uv_handle_t *)&fixture->listener, NULL);
    uv_run(&fixture->loop, UV_RUN_DEFAULT); /* ends when no handle is left */
    if (uv_loop_close(&fixture->loop) < 0)
        abort();
}

#endif
