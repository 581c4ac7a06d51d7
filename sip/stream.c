/* Listeners, limits and deadlines of the TCP front; stream.h tells the whole idea. */
#include "sip/stream.h"

#include "sip/stream_connection.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

#define BACKLOG 128
#define SWEEP_MS 1000
#define FIRST_MESSAGE_MS 30000
#define UNFINISHED_MS 10000
#define DESCRIPTORS_SPARE 256 /* for RTP, files and the rest */

void stream_settle(struct stream *s)
{
    struct sip *sip = s->sip;

    if (!s->closing || s->open_handles)
        return;
    free(s);
    sip->handles--;
    sip_closing_step(sip);
}

static void on_sweep(uv_timer_t *timer)
{
    struct stream *s = timer->data;
    uint64_t now = sip_now_ms();
    uint64_t idle_ms = (uint64_t)s->sip->conf->sip.max_expires_s * 1000 + 60000;
    struct connection *c, *next;

    HASH_ITER(hh, s->connections, c, next)
    {
        if (!c->spoke && now - c->since_ms > FIRST_MESSAGE_MS)
            stream_connection_close(c, "silent");
        else if (c->partial_ms && now - c->partial_ms > UNFINISHED_MS)
            stream_connection_refuse(c, "unfinished message");
        else if (now - c->since_ms > idle_ms)
            stream_connection_close(c, "idle");
    }
}

/* ---- the whole ---- */

static struct connection *connection_find(const struct stream *s, uint16_t port)
{
    struct connection *c;

    HASH_FIND(hh, s->connections, &port, sizeof port, c);
    return c;
}

int stream_flow(struct stream *s, uint16_t port, struct flow *flow)
{
    struct connection *c = connection_find(s, port);

    if (!c)
        return -ENOENT;
    *flow = c->flow;
    return 0;
}

bool stream_is_open(const struct stream *s, uint16_t port)
{
    return connection_find(s, port) != NULL;
}

unsigned stream_count(const struct stream *s)
{
    return HASH_COUNT(s->connections);
}

/* Two descriptors per connection must fit below the limit, or accepting would spin at EMFILE. */
static unsigned connections_max(const struct conf_sip *settings)
{
    struct rlimit limit;
    unsigned max = (unsigned)settings->max_connections, fit;

    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == RLIM_INFINITY)
        return max;
    fit = limit.rlim_cur > 2 * DESCRIPTORS_SPARE
              ? (unsigned)((limit.rlim_cur - DESCRIPTORS_SPARE) / 2)
              : (unsigned)limit.rlim_cur / 4;
    if (max <= fit)
        return max;
    log_warn(LOG_SIP, NULL,
             "max_connections %u needs more descriptors than this process may open: %u are taken",
             max, fit);
    return fit;
}

static void on_connect(uv_stream_t *listener, int status)
{
    if (status == 0)
        stream_connection_accept(((struct listener *)listener->data)->stream, listener);
}

static int listen_on(struct stream *s, const struct conf_listen *listen)
{
    struct listener *l = &s->listeners[s->listener_count];
    char text[ADDRESS_TEXT_MAX];
    int err;

    uv_tcp_init(s->sip->loop, &l->tcp);
    s->listener_count++;
    s->open_handles++;
    l->stream = s;
    l->tcp.data = l;
    err = uv_tcp_bind(&l->tcp, (const struct sockaddr *)&listen->address,
                      listen->address.ss_family == AF_INET6 ? UV_TCP_IPV6ONLY : 0);
    if (!err)
        err = uv_listen((uv_stream_t *)&l->tcp, BACKLOG, on_connect);
    if (err)
        log_error(LOG_SIP, NULL, "cannot listen on tcp:%s: %s",
                  address_format(&listen->address, text), uv_strerror(err));
    return err;
}

int stream_open(struct sip *sip, struct stream **out)
{
    const struct conf_sip *settings = &sip->conf->sip;
    struct stream *s;
    int err = 0;

    *out = NULL;
    if (sip->agent.stream < 0)
        return 0;
    s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->sip = sip;
    s->nta = sip->agent.sockets[sip->agent.stream].local;
    s->max = connections_max(settings);
    TAILQ_INIT(&s->ready);
    uv_idle_init(sip->loop, &s->pump);
    uv_timer_init(sip->loop, &s->sweep);
    s->pump.data = s->sweep.data = s;
    s->open_handles = 2;
    uv_timer_start(&s->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    *out = s; /* on failure sip_close closes what is open */
    for (int i = 0; i < settings->listen_count && !err; i++)
        if (settings->listen[i].transport == CONF_TCP)
            err = listen_on(s, &settings->listen[i]);
    return err;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct stream *s = handle->data;

    s->open_handles--;
    stream_settle(s);
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct listener *l = handle->data;

    l->stream->open_handles--;
    stream_settle(l->stream);
}

void stream_close(struct stream *s)
{
    struct connection *c, *next;

    s->closing = true;
    for (int i = 0; i < s->listener_count; i++)
        uv_close((uv_handle_t *)&s->listeners[i].tcp, on_listener_closed);
    HASH_ITER(hh, s->connections, c, next)
    stream_connection_close(c, "shutting down");
    uv_close((uv_handle_t *)&s->pump, on_handle_closed);
    uv_close((uv_handle_t *)&s->sweep, on_handle_closed);
}
