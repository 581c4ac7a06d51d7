/* Supernode side of a dial-back: one TLS connection and one STUN indication to a node that asks
 * whether it can be reached. */
#include "overlay/overlay_parts.h"

#include "overlay/stun.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define OPEN_MAX 64
#define TIMEOUT_MS 3000

struct dialling {
    struct overlay *overlay;
    struct core_dial_back_to to;
    struct core_dial_back ask;
    struct tls_stream *stream;
};

/* From a socket of its own, which the asker has never sent to: what a NAT or firewall lets in then,
 * it lets in from anybody. */
static bool knock(const struct dialling *dialling)
{
    struct sockaddr_storage address = dialling->to.address;
    uint8_t message[STUN_MESSAGE_MAX];
    int fd;

    if (dialling->ask.udp_port == 0)
        return false;
    address_set_port(&address, dialling->ask.udp_port);
    fd = socket(address.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    size_t bytes = stun_encode_plain_indication(message, dialling->ask.knock);
    ssize_t sent =
        sendto(fd, message, bytes, 0, (const struct sockaddr *)&address, address_length(&address));
    close(fd);
    return sent == (ssize_t)bytes;
}

static void on_closed(void *ctx)
{
    struct dialling *dialling = ctx;
    struct overlay *overlay = dialling->overlay;

    overlay->dial_backs--;
    free(dialling);
    overlay_let_go(overlay);
}

static void finish(struct dialling *dialling, bool is_there, const char *why)
{
    struct overlay *overlay = dialling->overlay;
    struct core_dialed_back result = {.tcp = is_there, .udp = knock(dialling)};

    snprintf(result.why, sizeof result.why, "%s", why);
    if (overlay->core)
        core_dialed_back(overlay->core, dialling->to.link, dialling->to.request, &result);
    tls_stream_close_then(dialling->stream, on_closed, dialling);
}

static void on_up(void *ctx, struct tls_stream *stream, const struct certificate *peer,
                  const char *alpn)
{
    struct dialling *dialling = ctx;
    bool is_asker = memcmp(peer->node, dialling->to.node, OVERLAY_NODE_ID_BYTES) == 0;

    (void)stream;
    (void)alpn;
    finish(dialling, is_asker, is_asker ? "" : "another node answers there");
}

static void on_data(void *ctx, struct tls_stream *stream, const uint8_t *data, size_t bytes)
{
    (void)ctx;
    (void)stream;
    (void)data;
    (void)bytes;
}

static void on_down(void *ctx, struct tls_stream *stream, const char *why)
{
    (void)stream;
    finish(ctx, false, why);
}

static const struct tls_stream_events events = {
    .on_up = on_up, .on_data = on_data, .on_down = on_down};

void overlay_dial_back(void *ctx, const struct core_dial_back_to *to,
                       const struct core_dial_back *ask)
{
    struct overlay *overlay = ctx;
    struct core_dialed_back busy = {.is_refused = true, .why = "it is busy"};
    struct sockaddr_storage address = to->address;
    char text[ADDRESS_TEXT_MAX];
    struct dialling *dialling;

    address_set_port(&address, ask->tcp_port);
    const struct tls_dial dial = {.identity = overlay->identity,
                                  .address = address_format(&address, text),
                                  .alpn = TLS_ALPN_PATH,
                                  .timeout_ms = TIMEOUT_MS};
    dialling = overlay->dial_backs < OPEN_MAX ? calloc(1, sizeof *dialling) : NULL;
    if (dialling)
        *dialling = (struct dialling){.overlay = overlay, .to = *to, .ask = *ask};
    if (!dialling ||
        tls_stream_dial(overlay->loop, &dial, &events, dialling, &dialling->stream) < 0) {
        free(dialling);
        core_dialed_back(overlay->core, to->link, to->request, &busy);
        return;
    }
    overlay->dial_backs++;
    overlay->open++;
    knock(dialling); /* twice, now and with the result: one may be lost */
}
