/* Bytes of a phone in and out: framed, one message per turn towards nta, and back. */
#include "sip/stream_connection.h"
#include "sip/stream_via.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRITE_QUEUE_MAX (256u * 1024)
#define DATAGRAM_MAX 65536

struct pending_write {
    uv_write_t request;
    char bytes[];
};

/* One message at a time is on the bench; all run on one thread. */
static char bench[2][DATAGRAM_MAX];

static void on_connection_closed(uv_handle_t *handle)
{
    struct connection *c = handle->data;
    struct stream *s = c->stream;

    if (--c->open_handles)
        return;
    free(c);
    s->open_handles--;
    stream_settle(s);
}

static void on_gone(void *ctx, const char *phone)
{
    event_post_gone(ctx, phone, "its connection closed");
}

void stream_connection_close(struct connection *c, const char *why)
{
    struct stream *s = c->stream;
    char text[ADDRESS_TEXT_MAX];

    if (c->closing)
        return;
    c->closing = true;
    log_debug(LOG_SIP, NULL, "tcp:%s closed: %s", address_format(&c->flow.remote, text), why);
    if (c->is_ready)
        TAILQ_REMOVE(&s->ready, c, ready);
    if (c->flow.connection) {
        HASH_DEL(s->connections, c);
        if (!s->closing)
            registrar_drop_connection(s->sip->registrar, c->flow.connection, on_gone, s->sip);
    }
    uv_close((uv_handle_t *)&c->tcp, on_connection_closed);
    uv_close((uv_handle_t *)&c->udp, on_connection_closed);
}

void stream_connection_refuse(struct connection *c, const char *why)
{
    char text[ADDRESS_TEXT_MAX];
    uint64_t count;

    c->stream->sip->counters.malformed++;
    if (log_limit(&c->stream->limit, sip_now_ms(), &count))
        log_warn(LOG_SIP, NULL, "tcp:%s closed: %s (%llu such)",
                 address_format(&c->flow.remote, text), why, (unsigned long long)count);
    stream_connection_close(c, why);
}

/* ---- from nta to the phone ---- */

static void on_written(uv_write_t *request, int status)
{
    struct connection *c = request->handle->data;

    free(request);
    if (status < 0 && status != UV_ECANCELED)
        stream_connection_close(c, uv_strerror(status));
}

static void connection_write(struct connection *c, const char *bytes, size_t count)
{
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)count);
    struct pending_write *pending;
    int sent = uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);

    if (sent < 0)
        sent = 0; /* the queue will tell, unless it only is full */
    if ((size_t)sent == count)
        return;
    if (c->tcp.write_queue_size + count > WRITE_QUEUE_MAX) {
        stream_connection_close(c, "the phone does not read");
        return;
    }
    count -= (size_t)sent;
    pending = malloc(sizeof *pending + count);
    if (!pending) {
        stream_connection_close(c, "out of memory");
        return;
    }
    memcpy(pending->bytes, bytes + sent, count);
    buf = uv_buf_init(pending->bytes, (unsigned)count);
    if (uv_write(&pending->request, (uv_stream_t *)&c->tcp, &buf, 1, on_written)) {
        free(pending);
        stream_connection_close(c, "cannot write");
    }
}

/* Whether this very request went out lately: nta repeats over UDP what TCP has delivered. */
static bool is_repeated(struct connection *c, const char *bytes, size_t count)
{
    uint64_t key = 14695981039346656037u;

    for (size_t i = 0; i < count; i++)
        key = (key ^ (unsigned char)bytes[i]) * 1099511628211u;
    for (int i = 0; i < STREAM_RECENT_MAX; i++)
        if (c->recent[i] == key)
            return true;
    c->recent[c->recent_at] = key;
    c->recent_at = (c->recent_at + 1) % STREAM_RECENT_MAX;
    return false;
}

static void send_to_phone(struct connection *c, const char *bytes, size_t count)
{
    char via[VIA_TEXT_MAX], host[HOST_MAX];
    int length;

    if (via_is_response(bytes, count)) {
        length = via_pop(bytes, count, bench[1], sizeof bench[1]);
    } else {
        if (is_repeated(c, bytes, count))
            return;
        snprintf(via, sizeof via, "SIP/2.0/TCP %s:%u;branch=z9hG4bK%016llx",
                 agent_host(&c->flow.local, host), address_port(&c->flow.local),
                 (unsigned long long)via_key(bytes, count));
        length = via_push(bytes, count, via, bench[1], sizeof bench[1]);
    }
    if (length > 0)
        connection_write(c, bench[1], (size_t)length);
}

static void on_udp_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(bench[0], sizeof bench[0]);
}

static void on_udp(uv_udp_t *udp, ssize_t count, const uv_buf_t *buf, const struct sockaddr *from,
                   unsigned flags)
{
    struct connection *c = udp->data;

    if (count > 0 && from && !(flags & UV_UDP_PARTIAL) && !c->closing)
        send_to_phone(c, buf->base, (size_t)count);
}

/* ---- from the phone to nta ---- */

static void hand_over(struct connection *c, const char *message, size_t bytes)
{
    char via[VIA_TEXT_MAX], host[HOST_MAX];
    int length;
    uv_buf_t buf;

    if (via_is_response(message, bytes)) {
        length = via_pop(message, bytes, bench[0], sizeof bench[0]);
    } else {
        struct sockaddr_storage *remote = &c->flow.remote;
        const char *ip = agent_host(remote, host);

        length = via_mark(message, bytes, ip, address_port(remote), bench[1], sizeof bench[1]);
        snprintf(via, sizeof via, "SIP/2.0/UDP 127.0.0.1:%u;branch=z9hG4bK%016llx",
                 c->flow.connection, (unsigned long long)via_key(message, bytes));
        if (length > 0)
            length = via_push(bench[1], (size_t)length, via, bench[0], sizeof bench[0]);
    }
    if (length <= 0) {
        stream_connection_refuse(c, "a message without Via");
        return;
    }
    buf = uv_buf_init(bench[0], (unsigned)length);
    uv_udp_try_send(&c->udp, &buf, 1, NULL);
}

static void on_tcp_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct connection *c = handle->data;

    (void)suggested;
    *buf = uv_buf_init(c->framer.bytes + c->framer.used,
                       (unsigned)(sizeof c->framer.bytes - c->framer.used));
}

static void on_read(uv_stream_t *tcp, ssize_t count, const uv_buf_t *buf);
static void on_pump(uv_idle_t *pump);

/* Looks for a whole message; with one the connection waits its turn and is not read. */
static void look(struct connection *c)
{
    static const char pong[] = "\r\n";
    struct stream *s = c->stream;
    size_t length;
    int found;

    if (framer_skip(&c->framer))
        connection_write(c, pong, 2);
    if (c->closing)
        return;
    found = framer_next(&c->framer, &length);
    if (found < 0) {
        stream_connection_refuse(c, found == -EMSGSIZE ? "message too large" : "not SIP");
    } else if (found) {
        TAILQ_INSERT_TAIL(&s->ready, c, ready);
        c->is_ready = true;
        c->partial_ms = 0;
        uv_read_stop((uv_stream_t *)&c->tcp);
        uv_idle_start(&s->pump, on_pump);
    } else {
        if (!c->framer.used)
            c->partial_ms = 0;
        else if (!c->partial_ms)
            c->partial_ms = sip_now_ms();
        uv_read_start((uv_stream_t *)&c->tcp, on_tcp_alloc, on_read);
    }
}

static void on_read(uv_stream_t *tcp, ssize_t count, const uv_buf_t *buf)
{
    struct connection *c = tcp->data;

    (void)buf;
    if (count < 0) {
        stream_connection_close(c, uv_strerror((int)count));
        return;
    }
    c->framer.used += (size_t)count;
    if (count)
        look(c);
}

/* One message per turn: as fast as nta reads. */
static void on_pump(uv_idle_t *pump)
{
    struct stream *s = pump->data;
    struct connection *c = TAILQ_FIRST(&s->ready);
    size_t length;

    if (c) {
        TAILQ_REMOVE(&s->ready, c, ready);
        c->is_ready = false;
        c->spoke = true;
        c->since_ms = sip_now_ms();
        if (framer_next(&c->framer, &length) > 0) {
            hand_over(c, c->framer.bytes, length);
            framer_drop(&c->framer, length);
        }
        if (!c->closing)
            look(c);
    }
    if (TAILQ_EMPTY(&s->ready))
        uv_idle_stop(pump);
}

/* ---- opening ---- */

static unsigned count_from(const struct stream *s, const struct sockaddr_storage *remote)
{
    struct sockaddr_storage a = *remote, b;
    const struct connection *c;
    unsigned count = 0;

    address_set_port(&a, 0);
    for (c = s->connections; c; c = c->hh.next) {
        b = c->flow.remote;
        address_set_port(&b, 0);
        count += address_equal(&a, &b);
    }
    return count;
}

/* Binds and connects the loopback socket; its port becomes the connection's name. */
static int open_loopback(struct connection *c)
{
    struct sockaddr_storage local = {0};
    int length = sizeof local, err;

    ((struct sockaddr_in *)&local)->sin_family = AF_INET;
    ((struct sockaddr_in *)&local)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    err = uv_udp_bind(&c->udp, (struct sockaddr *)&local, 0);
    if (!err)
        err = uv_udp_connect(&c->udp, (struct sockaddr *)&c->stream->nta);
    if (!err)
        err = uv_udp_getsockname(&c->udp, (struct sockaddr *)&local, &length);
    if (!err)
        err = uv_udp_recv_start(&c->udp, on_udp_alloc, on_udp);
    if (!err)
        c->flow.connection = address_port(&local);
    return err;
}

static int open_connection(struct connection *c, uv_stream_t *listener)
{
    int length = sizeof c->flow.remote;
    int err = uv_accept(listener, (uv_stream_t *)&c->tcp);

    if (!err)
        err = uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&c->flow.remote, &length);
    length = sizeof c->flow.local;
    if (!err)
        err = uv_tcp_getsockname(&c->tcp, (struct sockaddr *)&c->flow.local, &length);
    if (err)
        return err;
    address_normalise(&c->flow.remote);
    address_normalise(&c->flow.local);
    if (count_from(c->stream, &c->flow.remote) >=
            (unsigned)c->stream->sip->conf->sip.max_connections_per_address ||
        stream_count(c->stream) >= c->stream->max)
        return UV_EMFILE;
    uv_tcp_nodelay(&c->tcp, 1);
    uv_tcp_keepalive(&c->tcp, 1, 60);
    return open_loopback(c);
}

void stream_connection_accept(struct stream *s, uv_stream_t *listener)
{
    struct connection *c = calloc(1, sizeof *c);
    int err;

    if (!c)
        return;
    c->stream = s;
    c->flow.transport = CONF_TCP;
    c->since_ms = sip_now_ms();
    uv_tcp_init(s->sip->loop, &c->tcp);
    uv_udp_init(s->sip->loop, &c->udp);
    c->tcp.data = c->udp.data = c;
    c->open_handles = 2;
    s->open_handles++;
    err = open_connection(c, listener);
    if (!err) {
        HASH_ADD(hh, s->connections, flow.connection, sizeof c->flow.connection, c);
        err = uv_read_start((uv_stream_t *)&c->tcp, on_tcp_alloc, on_read);
    }
    if (err == UV_EMFILE)
        stream_connection_refuse(c, "too many connections");
    else if (err)
        stream_connection_close(c, uv_strerror(err));
}
