#include "overlay/link.h"

#include "overlay/frame.h"

#include "conf/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <uthash.h>

#define ACCEPTED 0x80000000u

struct link {
    struct links *links;
    core_link number;
    struct tls_stream *stream; /* NULL: it could not even be dialled */
    struct frame_reader reader;
    bool is_ended;               /* out of the table: no event any more */
    const char *why;             /* it is to be told down, from the loop */
    char name[ADDRESS_TEXT_MAX]; /* dialled, or where it came from: for logs */
    UT_hash_handle hh;
};

struct links {
    uv_loop_t *loop;
    const struct identity *identity;
    const char *proxy;
    struct tls_sessions *sessions;
    const struct link_events *events;
    void *ctx;
    struct link *table; /* by number */
    core_link next_number;
    uv_timer_t *soon; /* tells links down */
    int open;         /* links not freed yet, and `soon` */
    void (*on_closed)(void *ctx);
    void *closed_ctx;
};

static void let_go(struct links *links)
{
    if (--links->open > 0 || !links->on_closed)
        return;
    void (*on_closed)(void *ctx) = links->on_closed;
    void *ctx = links->closed_ctx;
    tls_sessions_free(links->sessions);
    free(links);
    on_closed(ctx);
}

static struct link *find(const struct links *links, core_link number)
{
    struct link *link;

    HASH_FIND(hh, links->table, &number, sizeof number, link);
    return link;
}

static struct link *add(struct links *links, core_link number)
{
    struct link *link = calloc(1, sizeof *link);

    if (!link)
        return NULL;
    link->links = links;
    link->number = number;
    links->open++;
    HASH_ADD(hh, links->table, number, sizeof link->number, link);
    return link;
}

static void free_link(void *ctx)
{
    struct link *link = ctx;
    struct links *links = link->links;

    frame_reader_fini(&link->reader);
    free(link);
    let_go(links);
}

/* Out of the table at once; the memory stays as long as the stream has last words to send. */
static void end(struct link *link)
{
    HASH_DEL(link->links->table, link);
    link->is_ended = true;
    if (link->stream)
        tls_stream_close_then(link->stream, free_link, link);
    else
        free_link(link);
}

static void tell_down(struct link *link, const char *why)
{
    struct links *links = link->links;
    core_link number = link->number;
    char words[200];

    snprintf(words, sizeof words, "%s", why);
    log_debug(LOG_OVERLAY, NULL, "link %s: down: %s", link->name, words);
    end(link);
    links->events->on_down(links->ctx, number, words);
}

/* Tells those down that could not be told where it was found out. */
static void on_soon(uv_timer_t *timer)
{
    struct links *links = timer->data;

    for (struct link *link = links->table; link;) {
        if (link->why) {
            tell_down(link, link->why);
            link = links->table; /* what came next may be gone too */
        } else {
            link = link->hh.next;
        }
    }
}

static void fail_soon(struct link *link, const char *why)
{
    link->why = why;
    uv_timer_start(link->links->soon, on_soon, 0, 0);
}

static void on_up(void *ctx, struct tls_stream *stream, const struct certificate *peer,
                  const char *alpn)
{
    struct link *link = ctx;
    struct links *links = link->links;

    (void)alpn; /* the dialler's stream insists on the one that it asked for */
    log_debug(LOG_OVERLAY, NULL, "link %s: up with %s", link->name, peer->site);
    links->events->on_up(links->ctx, link->number, false, peer, tls_stream_peer_address(stream));
}

static void on_data(void *ctx, struct tls_stream *stream, const uint8_t *data, size_t bytes)
{
    struct link *link = ctx;
    struct links *links = link->links;
    const uint8_t *frame;
    size_t frame_bytes;
    int got = 0;

    (void)stream;
    while (!link->is_ended && !link->why) {
        got = frame_take(&link->reader, &data, &bytes, &frame, &frame_bytes);
        if (got <= 0)
            break;
        links->events->on_frame(links->ctx, link->number, frame, frame_bytes);
    }
    if (got < 0)
        tell_down(link, got == -EMSGSIZE ? "it sent a frame that is too long" : "out of memory");
}

static void on_down(void *ctx, struct tls_stream *stream, const char *why)
{
    struct link *link = ctx;

    (void)stream;
    tell_down(link, link->why ? link->why : why);
}

static const struct tls_stream_events stream_events = {
    .on_up = on_up,
    .on_data = on_data,
    .on_down = on_down,
};

int links_open(const struct links_settings *settings, struct links **links)
{
    struct links *made = calloc(1, sizeof *made);

    if (!made)
        return -ENOMEM;
    made->soon = malloc(sizeof *made->soon);
    made->sessions = tls_sessions_new(settings->identity);
    if (!made->soon || !made->sessions) {
        free(made->soon);
        tls_sessions_free(made->sessions);
        free(made);
        return -ENOMEM;
    }
    made->loop = settings->loop;
    made->identity = settings->identity;
    made->proxy = settings->proxy;
    made->events = settings->events;
    made->ctx = settings->ctx;
    made->open = 1;
    uv_timer_init(made->loop, made->soon);
    made->soon->data = made;
    *links = made;
    return 0;
}

static void on_timer_closed(uv_handle_t *timer)
{
    struct links *links = timer->data;

    free(timer);
    let_go(links);
}

void links_close(struct links *links, void (*on_closed)(void *ctx), void *ctx)
{
    struct link *link, *next;

    links->on_closed = on_closed;
    links->closed_ctx = ctx;
    HASH_ITER(hh, links->table, link, next)
    end(link);
    uv_close((uv_handle_t *)links->soon, on_timer_closed);
}

void links_dial(struct links *links, core_link number, const char *address)
{
    struct link *link = add(links, number);
    const struct tls_dial dial = {
        .identity = links->identity,
        .address = address,
        .proxy = links->proxy,
        .alpn = TLS_ALPN_LINK,
        .sessions = links->sessions,
    };

    if (!link)
        return; /* as if the dial were never answered; the core gives up by itself */
    snprintf(link->name, sizeof link->name, "%s", address);
    int error = tls_stream_dial(links->loop, &dial, &stream_events, link, &link->stream);
    if (error == -EINVAL)
        fail_soon(link, "its address, or that of the proxy, is not host:port");
    else if (error < 0)
        fail_soon(link, strerror(-error));
}

int links_send(struct links *links, core_link number, const uint8_t *frame, size_t bytes)
{
    static uint8_t whole[FRAME_HEAD_BYTES + FRAME_MAX]; /* head and body in one TLS record */
    struct link *link = find(links, number);

    if (bytes > FRAME_MAX)
        return -EMSGSIZE;
    if (!link || !link->stream || link->why)
        return -ENOTCONN;
    frame_head(whole, bytes);
    memcpy(whole + FRAME_HEAD_BYTES, frame, bytes);
    int error = tls_stream_send(link->stream, whole, FRAME_HEAD_BYTES + bytes);
    if (error == -ENOBUFS)
        fail_soon(link, "it reads too slowly");
    return error;
}

void links_end(struct links *links, core_link number, const char *why)
{
    struct link *link = find(links, number);

    if (!link)
        return;
    log_debug(LOG_OVERLAY, NULL, "link %s: closed: %s", link->name, why);
    end(link);
}

static core_link choose_number(struct links *links)
{
    core_link number;

    do
        number = ACCEPTED | links->next_number++;
    while (find(links, number));
    return number;
}

void links_take(struct links *links, struct tls_stream *stream, const struct certificate *peer)
{
    struct link *link = add(links, choose_number(links));

    if (!link) {
        tls_stream_close(stream);
        return;
    }
    link->stream = stream;
    address_format(tls_stream_peer_address(stream), link->name);
    tls_stream_hand(stream, &stream_events, link);
    links->events->on_up(links->ctx, link->number, true, peer, tls_stream_peer_address(stream));
}

size_t links_queued(const struct links *links)
{
    size_t queued = 0;

    for (const struct link *link = links->table; link; link = link->hh.next)
        if (link->stream)
            queued += tls_stream_queued(link->stream);
    return queued;
}
