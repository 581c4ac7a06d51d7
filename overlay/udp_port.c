/* The open UDP port: steering, the STUN Binding service, and what goes to the relay. */
#include "overlay/udp_port.h"

#include "overlay/channel.h"
#include "overlay/path_post.h"
#include "overlay/path_socket.h"
#include "overlay/stun.h"

#include "conf/log.h"

#include <errno.h>
#include <linux/filter.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>

enum figure { ANSWERED, TOO_SHORT, MALFORMED, UNHANDLED, FIGURES };

struct port_worker {
    struct udp_port *port;
    int index;
    struct path_socket *socket;  /* opened on the control thread, then the worker's */
    struct path_post *to_worker; /* control thread */
    struct path_letter start, stop;
    atomic_ullong figure[FIGURES]; /* written by the worker only */

    /* worker */
    uv_loop_t *loop;
    uv_poll_t poll;
    struct path_post *to_control;
    udp_port_on_packet on_packet;
    void *on_packet_ctx;
    struct log_limit complaint;
};

struct udp_port {
    struct udp_port_settings settings;
    struct port_worker *workers;
    int worker_count, running;
    void (*on_closed)(void *ctx);
    void *on_closed_ctx;
};

uint16_t udp_port_number(const struct udp_port *port)
{
    return path_socket_port(port->workers[0].socket);
}

/* ---- packets, on a worker ---------------------------------------------------------------------
 */

static void count(struct port_worker *worker, enum figure figure)
{
    atomic_fetch_add_explicit(&worker->figure[figure], 1, memory_order_relaxed);
}

static void complain(struct port_worker *worker, const struct sockaddr_storage *source)
{
    char text[ADDRESS_TEXT_MAX];
    uint64_t held;

    count(worker, MALFORMED);
    if (log_limit(&worker->complaint, uv_now(worker->loop), &held))
        log_info(LOG_OVERLAY, NULL,
                 "UDP port: from %s came what is neither STUN nor of a relay: dropped (%llu like "
                 "it)",
                 address_format(source, text), (unsigned long long)held);
}

static void answer(struct port_worker *worker, const struct sockaddr_storage *source,
                   const struct stun_message *request, size_t request_bytes)
{
    uint8_t response[STUN_MESSAGE_MAX];
    size_t bytes = stun_encode_plain_response(response, request->transaction, source,
                                              request->has_fingerprint);

    if (bytes > request_bytes) {
        count(worker, TOO_SHORT);
        return;
    }
    count(worker, ANSWERED);
    udp_port_send(worker->port, worker->index, source, response, bytes);
}

static bool is_plain_request(const struct stun_message *message)
{
    return message->type == STUN_BINDING_REQUEST && message->username[0] == '\0' &&
           message->integrity_at == 0 && message->unknown_required == 0;
}

static void on_packet(void *ctx, const struct sockaddr_storage *from, uint8_t *data, size_t bytes)
{
    struct port_worker *worker = ctx;
    struct sockaddr_storage source = *from;
    struct stun_message message;
    bool is_channel = bytes > 0 && channel_is_first(data[0]);

    address_normalise(&source);
    if (!is_channel) {
        if (stun_decode(data, bytes, &message) < 0) {
            complain(worker, &source);
            return;
        }
        if (is_plain_request(&message)) {
            answer(worker, &source, &message, bytes);
            return;
        }
    }
    if (worker->on_packet)
        worker->on_packet(worker->on_packet_ctx, worker->index, &source, data, bytes);
    else
        count(worker, UNHANDLED);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct port_worker *worker = poll->data;

    (void)events;
    if (status == 0)
        path_socket_receive(worker->socket, on_packet, worker);
}

void udp_port_handle(struct udp_port *port, int worker, udp_port_on_packet handler, void *ctx)
{
    port->workers[worker].on_packet = handler;
    port->workers[worker].on_packet_ctx = ctx;
}

int udp_port_send(struct udp_port *port, int worker, const struct sockaddr_storage *to,
                  const uint8_t *data, size_t bytes)
{
    struct path_socket *socket = port->workers[worker].socket;
    struct sockaddr_storage wire;

    path_socket_address(socket, to, &wire);
    return path_socket_send(socket, &wire, data, bytes);
}

void udp_port_figures(const struct udp_port *port, struct udp_port_figures *figures)
{
    unsigned long long sum[FIGURES] = {0};

    for (int w = 0; w < port->worker_count; w++)
        for (int f = 0; f < FIGURES; f++)
            sum[f] += atomic_load_explicit(&port->workers[w].figure[f], memory_order_relaxed);
    *figures = (struct udp_port_figures){.answered = sum[ANSWERED],
                                         .too_short = sum[TOO_SHORT],
                                         .malformed = sum[MALFORMED],
                                         .unhandled = sum[UNHANDLED]};
}

/* ---- life on a worker -------------------------------------------------------------------------
 */

static void on_start(struct path_letter *letter)
{
    struct port_worker *worker =
        (struct port_worker *)((char *)letter - offsetof(struct port_worker, start));
    const struct overlay_workers *workers = worker->port->settings.workers;

    worker->loop = workers->loop(workers->ctx, worker->index);
    worker->to_control = path_post_open(worker->loop, workers, PATH_POST_CONTROL);
    worker->poll.data = worker;
    int err = uv_poll_init(worker->loop, &worker->poll, path_socket_fd(worker->socket));
    if (err == 0)
        err = uv_poll_start(&worker->poll, UV_READABLE, on_readable);
    if (err < 0)
        log_error(LOG_OVERLAY, NULL, "worker %d cannot read the open UDP port: %s", worker->index,
                  uv_strerror(err));
}

static void on_stopped(struct path_letter *letter);

static void on_poll_closed(uv_handle_t *handle)
{
    struct port_worker *worker = handle->data;
    struct path_post *to_control = worker->to_control;

    path_socket_close(worker->socket);
    worker->stop.run = on_stopped;
    path_post_send(to_control, &worker->stop);
    path_post_close(to_control); /* the worker itself may be gone by now */
}

static void on_stop(struct path_letter *letter)
{
    struct port_worker *worker =
        (struct port_worker *)((char *)letter - offsetof(struct port_worker, stop));

    uv_close((uv_handle_t *)&worker->poll, on_poll_closed);
}

/* ---- life on the control thread ---------------------------------------------------------------
 */

/* The program of udp_port.h's table. A packet too short for it goes to the first socket: a load
 * beyond the end gives 0. Sockets are numbered in the order in which they were bound. */
static int steer(int fd, int worker_count)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x40, 0, 2),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 3),
        BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 8),
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, (unsigned)worker_count),
        BPF_STMT(BPF_RET | BPF_A, 0),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};

    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) < 0
               ? -errno
               : 0;
}

static int open_sockets(struct udp_port *port, int worker_count)
{
    struct sockaddr_storage address = *port->settings.address;

    for (; port->worker_count < worker_count; port->worker_count++) {
        struct port_worker *worker = &port->workers[port->worker_count];
        int err = path_socket_open_shared(&address, &worker->socket);

        if (err < 0)
            return err;
        worker->port = port;
        worker->index = port->worker_count;
        address_set_port(&address, path_socket_port(worker->socket)); /* for 0: any, for all */
    }
    return steer(path_socket_fd(port->workers[0].socket), worker_count);
}

static void free_port(struct udp_port *port)
{
    free(port->workers);
    free(port);
}

static void start(struct port_worker *worker)
{
    const struct udp_port_settings *settings = &worker->port->settings;

    worker->to_worker = path_post_open(settings->control, settings->workers, worker->index);
    worker->start.run = on_start;
    path_post_send(worker->to_worker, &worker->start);
}

int udp_port_open(const struct udp_port_settings *settings, struct udp_port **out)
{
    int worker_count = settings->workers->count(settings->workers->ctx), err;
    struct udp_port *port = calloc(1, sizeof *port);

    if (!port || !(port->workers = calloc((size_t)worker_count, sizeof *port->workers))) {
        free(port);
        return -ENOMEM;
    }
    port->settings = *settings;
    err = open_sockets(port, worker_count);
    port->settings.address = NULL; /* was the opener's */
    if (err < 0) {
        for (int i = 0; i < port->worker_count; i++)
            path_socket_close(port->workers[i].socket);
        free_port(port);
        return err;
    }
    port->running = worker_count;
    for (int i = 0; i < worker_count; i++)
        start(&port->workers[i]);
    *out = port;
    return 0;
}

static void on_stopped(struct path_letter *letter)
{
    struct port_worker *worker =
        (struct port_worker *)((char *)letter - offsetof(struct port_worker, stop));
    struct udp_port *port = worker->port;
    struct udp_port_figures f;

    if (--port->running > 0)
        return;
    void (*on_closed)(void *) = port->on_closed;
    void *closed_ctx = port->on_closed_ctx;
    udp_port_figures(port, &f);
    log_debug(LOG_OVERLAY, NULL,
              "UDP port: %llu answered, dropped: %llu too short to be answered, %llu malformed, "
              "%llu for a relay",
              (unsigned long long)f.answered, (unsigned long long)f.too_short,
              (unsigned long long)f.malformed, (unsigned long long)f.unhandled);
    free_port(port);
    if (on_closed)
        on_closed(closed_ctx);
}

void udp_port_close(struct udp_port *port, void (*on_closed)(void *ctx), void *ctx)
{
    port->on_closed = on_closed;
    port->on_closed_ctx = ctx;
    for (int i = 0; i < port->worker_count; i++) {
        struct port_worker *worker = &port->workers[i];

        worker->stop.run = on_stop;
        path_post_send(worker->to_worker, &worker->stop);
        path_post_close(worker->to_worker);
    }
}
