#include "sip/agent.h"

#include "sip/core.h"
#include "sip/request.h"
#include "sip/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sofia-sip/msg_addr.h>
#include <sofia-sip/nta_stateless.h>
#include <sofia-sip/nta_tport.h>
#include <sofia-sip/sip_tag.h>
#include <sofia-sip/su_log.h>
#include <sofia-sip/tport.h>
#include <sofia-sip/tport_tag.h>
#include <sofia-sip/url.h>

/* Anything that would be sent without a route of ours ends here instead of at a resolver. */
#define BLACK_HOLE "sip:127.0.0.1:9;transport=udp"
/* Sockets are added one by one. */
#define NO_URL ((url_string_t *)-1)
#define MESSAGE_MAX 16384
#define PROCEEDING_MAX 5000
#define RECEIVE_BUFFER (4u << 20) /* for all phones at once after a power cut */

const char *agent_host(const struct sockaddr_storage *address, char text[HOST_MAX])
{
    char ip[INET6_ADDRSTRLEN] = "";

    if (address->ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)address)->sin6_addr, ip, sizeof ip);
        snprintf(text, HOST_MAX, "[%s]", ip);
    } else {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, ip, sizeof ip);
        snprintf(text, HOST_MAX, "%s", ip);
    }
    return text;
}

const char *agent_route(const struct flow *flow, char *text)
{
    char host[HOST_MAX];

    if (flow->transport == CONF_TCP)
        snprintf(text, ROUTE_MAX, "sip:127.0.0.1:%u;transport=udp", flow->connection);
    else
        snprintf(text, ROUTE_MAX, "sip:%s:%u;transport=udp", agent_host(&flow->remote, host),
                 address_port(&flow->remote));
    return text;
}

void agent_contact(const struct flow *flow, const char *user, char *text, size_t size)
{
    char host[HOST_MAX];

    snprintf(text, size, "<sip:%s@%s:%u%s>", user, agent_host(&flow->local, host),
             address_port(&flow->local), flow->transport == CONF_TCP ? ";transport=tcp" : "");
}

bool agent_is_target(const url_t *url)
{
    return url && (url->url_type == url_sip || url->url_type == url_sips) && url->url_host &&
           url->url_host[0];
}

static int socket_add(struct sip *sip, const struct sockaddr_storage *local, bool any_port)
{
    struct agent *a = &sip->agent;
    struct agent_socket *s = &a->sockets[a->count];
    char url[ROUTE_MAX], host[HOST_MAX], port[8] = "*", text[ADDRESS_TEXT_MAX];
    tport_t *tport;

    if (a->count == AGENT_SOCKETS_MAX)
        return -E2BIG;
    if (!any_port)
        snprintf(port, sizeof port, "%u", address_port(local));
    snprintf(url, sizeof url, "sip:%s:%s;transport=udp", agent_host(local, host), port);
    snprintf(s->ident, sizeof s->ident, "s%d", a->count);
    if (nta_agent_add_tport(a->nta, URL_STRING_MAKE(url), TPTAG_IDENT(s->ident),
                            TPTAG_STUN_SERVER(0), TPTAG_UDP_RMEM(RECEIVE_BUFFER), TAG_END()) < 0) {
        int err = errno ? errno : EADDRINUSE;

        log_error(LOG_SIP, NULL, "cannot bind udp:%s: %s%s", address_format(local, text),
                  strerror(err), err == EADDRINUSE ? "; see who has it: ss -lnup" : "");
        return -err;
    }
    for (tport = tport_primaries(nta_agent_tports(a->nta)); tport; tport = tport_next(tport)) {
        if (!tport_ident(tport) || strcmp(tport_ident(tport), s->ident))
            continue;
        s->tport = tport;
        s->local = *local;
        address_set_port(&s->local, (uint16_t)atoi(tport_name(tport)->tpn_port));
        a->count++;
        return 0;
    }
    return -EIO;
}

static bool is_wildcard(const struct sockaddr_storage *address)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;

    return address->ss_family == AF_INET6 ? IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr)
                                          : v4->sin_addr.s_addr == 0;
}

/* One socket per local address of the family: then a socket tells where a phone talks to. */
static int wildcard_add(struct sip *sip, const struct sockaddr_storage *listen)
{
    uv_interface_address_t *list;
    int count, bound = 0, err = uv_interface_addresses(&list, &count);

    if (err)
        return err;
    for (int i = 0; !err && i < count; i++) {
        struct sockaddr_storage local = {0};

        if (list[i].address.address4.sin_family != listen->ss_family)
            continue;
        if (listen->ss_family == AF_INET6) {
            if (IN6_IS_ADDR_LINKLOCAL(&list[i].address.address6.sin6_addr))
                continue;
            memcpy(&local, &list[i].address.address6, sizeof list[i].address.address6);
        } else {
            memcpy(&local, &list[i].address.address4, sizeof list[i].address.address4);
        }
        address_set_port(&local, address_port(listen));
        err = socket_add(sip, &local, false);
        bound += !err;
    }
    uv_free_interface_addresses(list, count);
    return err ? err : bound ? 0 : -EADDRNOTAVAIL;
}

static void sofia_log(void *ctx, char const *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
static void sofia_log(void *ctx, char const *fmt, va_list ap)
{
    char line[512];

    (void)ctx;
    if (!log_is_on(LOG_SIP, LOG_DEBUG))
        return;
    vsnprintf(line, sizeof line, fmt, ap);
    line[strcspn(line, "\r\n")] = '\0';
    log_debug(LOG_SIP, NULL, "sofia: %s", line);
}

static int sockets_open(struct sip *sip)
{
    const struct conf_sip *settings = &sip->conf->sip;
    struct sockaddr_storage loopback = {0};
    bool tcp = false;
    int err = 0;

    for (int i = 0; i < settings->listen_count && !err; i++) {
        const struct conf_listen *listen = &settings->listen[i];

        if (listen->transport == CONF_TCP)
            tcp = true;
        else if (is_wildcard(&listen->address))
            err = wildcard_add(sip, &listen->address);
        else
            err = socket_add(sip, &listen->address, false);
    }
    if (!err && tcp) {
        ((struct sockaddr_in *)&loopback)->sin_family = AF_INET;
        ((struct sockaddr_in *)&loopback)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        err = socket_add(sip, &loopback, true);
        sip->agent.stream = sip->agent.count - 1;
    }
    return err;
}

int agent_open(struct sip *sip)
{
    struct agent *a = &sip->agent;
    /* Ours, the ring timeout, comes first and tells why. */
    unsigned timer_c_ms = (unsigned)sip->conf->sip.ring_timeout_s * 1000 + 60000;
    int err;

    su_log_redirect(NULL, sofia_log, NULL);
    a->count = 0;
    a->stream = -1;
    a->nta = nta_agent_create(
        (su_root_t *)sip->root, NO_URL, request_on_message, (nta_agent_magic_t *)sip,
        NTATAG_MAXSIZE(MESSAGE_MAX), NTATAG_UDP_MTU(65535), NTATAG_UA(0), NTATAG_SERVER_RPORT(2),
        NTATAG_CLIENT_RPORT(1), NTATAG_DEFAULT_PROXY(BLACK_HOLE),
        NTATAG_MAX_PROCEEDING(PROCEEDING_MAX), NTATAG_USE_NAPTR(0), NTATAG_USE_SRV(0),
        NTATAG_CANCEL_487(0), NTATAG_TIMER_C(timer_c_ms), TPTAG_STUN_SERVER(0), TAG_END());
    if (!a->nta) {
        log_error(LOG_SIP, NULL, "cannot start the SIP agent");
        return -ENOMEM;
    }
    err = sockets_open(sip);
    if (err)
        agent_close(sip);
    return err;
}

void agent_close(struct sip *sip)
{
    if (sip->agent.nta)
        nta_agent_destroy(sip->agent.nta);
    sip->agent.nta = NULL;
    sip->agent.count = 0;
}

int agent_flow(struct sip *sip, msg_t *msg, struct flow *flow)
{
    const struct agent *a = &sip->agent;
    const tport_t *tport = tport_delivered_by(nta_agent_tports(a->nta), msg);
    const su_sockaddr_t *from = msg_addr(msg);

    for (int i = 0; i < a->count; i++) {
        if (a->sockets[i].tport != tport)
            continue;
        if (i == a->stream)
            return sip->stream ? stream_flow(sip->stream, ntohs(from->su_port), flow) : -ENOENT;
        memset(flow, 0, sizeof *flow);
        flow->transport = CONF_UDP;
        flow->local = a->sockets[i].local;
        memcpy(&flow->remote, from,
               from->su_family == AF_INET6 ? sizeof from->su_sin6 : sizeof from->su_sin);
        address_normalise(&flow->remote);
        return 0;
    }
    return -ENOENT;
}

tport_t *agent_tport(struct sip *sip, const struct flow *flow)
{
    const struct agent *a = &sip->agent;

    if (flow->transport == CONF_TCP)
        return a->stream >= 0 && sip->stream && stream_is_open(sip->stream, flow->connection)
                   ? a->sockets[a->stream].tport
                   : NULL;
    for (int i = 0; i < a->count; i++)
        if (i != a->stream && address_equal(&a->sockets[i].local, &flow->local))
            return a->sockets[i].tport;
    return NULL;
}
