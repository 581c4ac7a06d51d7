/* The overlay of a node, put together and taken apart: the core, links, the door, paths and the
 * relay. */
#include "overlay/overlay_parts.h"

#include "overlay/advertise.h"

#include "conf/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define DESCRIPTORS_SPARE 400 /* for all else than seats */

/* How long what core_leave has sent may take to reach the kernel, and what it leads to at once to
 * be sent. */
#define LEAVE_MAX_MS 500
#define LEAVE_MIN_MS 50
#define LEAVE_STEP_MS 10

/* ---- opening -------------------------------------------------------------------------- */

static unsigned roles_in_force(const struct overlay *overlay)
{
    unsigned configured = overlay->conf->overlay.roles;
    unsigned roles = configured & identity_certificate(overlay->identity)->roles;
    const unsigned serving = CONF_ROLE_SUPERNODE | CONF_ROLE_RELAY;

    if (configured & serving & ~roles)
        log_warn(LOG_OVERLAY, NULL,
                 "overlay.roles names supernode or relay, but the certificate of %s does not grant "
                 "it: left out; enrol the node with that role",
                 overlay_site(overlay));
    if ((roles & serving) && !overlay->listener) {
        log_warn(LOG_OVERLAY, NULL,
                 "overlay.roles names supernode or relay, but overlay.listen is not set: left out");
        roles &= ~serving;
    }
    return roles;
}

static int open_listener(struct overlay *overlay, char *why, size_t why_bytes)
{
    const struct listener_settings settings = {
        .loop = overlay->loop,
        .identity = overlay->identity,
        .address = &overlay->conf->overlay.listen,
        .on_stream = overlay_on_stream,
        .ctx = overlay,
    };
    char text[ADDRESS_TEXT_MAX];

    if (settings.address->ss_family == 0)
        return 0;
    int error = listener_open(&settings, &overlay->listener);
    if (error < 0) {
        snprintf(why, why_bytes, "cannot listen on %s: %s%s",
                 address_format(settings.address, text), strerror(-error),
                 error == -EACCES ? " (ports below 1024 need CAP_NET_BIND_SERVICE)" : "");
        return error;
    }
    log_info(LOG_OVERLAY, NULL, "listening on %s",
             address_format(listener_address(overlay->listener), text));
    error = advertise_choose(&overlay->conf->overlay, listener_address(overlay->listener),
                             overlay->address);
    if (error < 0)
        snprintf(why, why_bytes, "overlay.advertise \"%.80s\" is not host:port",
                 overlay->conf->overlay.advertise);
    return error;
}

/* When the realm needs one more supernode, and invites us. */
static bool may_serve(const struct overlay *overlay)
{
    return overlay->conf->overlay.serve == CONF_SERVE_AUTO && overlay->listener &&
           identity_certificate(overlay->identity)->roles & CONF_ROLE_SUPERNODE;
}

/* Same number as the TCP door: whoever reaches one knows where the other is. */
static int open_udp_port(struct overlay *overlay, unsigned roles, char *why, size_t why_bytes)
{
    struct udp_port_settings settings = {.control = overlay->loop, .workers = overlay->workers};
    char text[ADDRESS_TEXT_MAX];

    if (!((roles & (CONF_ROLE_SUPERNODE | CONF_ROLE_RELAY)) || may_serve(overlay)) ||
        !overlay->conf->overlay.udp)
        return 0;
    settings.address = listener_address(overlay->listener);
    int error = udp_port_open(&settings, &overlay->udp_port);
    if (error < 0)
        snprintf(
            why, why_bytes,
            "cannot open UDP %s: %s (a supernode or relay uses the number of overlay.listen for "
            "UDP, too)",
            address_format(settings.address, text), strerror(-error));
    return error;
}

/* A seat that there is no descriptor for is none: better to say so than to stop accepting. */
static unsigned choose_seats(const struct conf_overlay *conf, unsigned roles)
{
    unsigned wanted = conf->seats                     ? (unsigned)conf->seats
                      : (roles & CONF_ROLE_SUPERNODE) ? CORE_SEATS
                                                      : CORE_SEATS_INVITED;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted + DESCRIPTORS_SPARE)
        return wanted;
    unsigned files = (unsigned)limit.rlim_cur;
    unsigned seats = files > 2 * DESCRIPTORS_SPARE ? files - DESCRIPTORS_SPARE : files / 2;
    if (roles & CONF_ROLE_SUPERNODE)
        log_info(LOG_OVERLAY, NULL,
                 "this process may open %u files (LimitNOFILE, ulimit -n): seats for %u nodes "
                 "instead of %u",
                 files, seats, wanted);
    return seats;
}

static int open_core(struct overlay *overlay, unsigned roles)
{
    struct core_io io;
    struct core_settings settings = {
        .identity = overlay->identity,
        .roles = roles,
        .address = overlay->listener ? overlay->address : NULL,
        .supernode_count = overlay->conf->overlay.supernode_count,
        .seats = choose_seats(&overlay->conf->overlay, roles),
        .may_serve = may_serve(overlay),
        .priority = (unsigned)overlay->conf->overlay.priority,
        .weight = (unsigned)overlay->conf->overlay.weight,
    };
    uv_timeval64_t now;

    if (uv_gettimeofday(&now) == 0)
        settings.sequence = (uint64_t)now.tv_sec << 20 | (uint64_t)now.tv_usec;
    for (int i = 0; i < settings.supernode_count; i++)
        settings.supernodes[i] = overlay->conf->overlay.supernodes[i];
    overlay_fill_io(overlay, &io);
    return core_new(&settings, &io, &overlay->core);
}

static void watch_network(struct overlay *overlay)
{
    int error =
        net_watch_open(overlay->loop, overlay_on_network_change, overlay, &overlay->net_watch);

    if (error < 0)
        log_warn(LOG_OVERLAY, NULL,
                 "changes of this machine's addresses are noticed late: the kernel does not tell "
                 "them (%s)",
                 strerror(-error));
}

static int open_parts(struct overlay *overlay, unsigned roles)
{
    const struct links_settings links = {
        .loop = overlay->loop,
        .identity = overlay->identity,
        .proxy = overlay->conf->overlay.proxy,
        .events = &overlay_link_events,
        .ctx = overlay,
    };
    const struct paths_settings paths = {
        .identity = overlay->identity,
        .conf = &overlay->conf->overlay,
        .workers = overlay->workers,
        .control = overlay->loop,
        .take_relays = overlay_take_relays,
        .take_relays_ctx = overlay,
        .on_way = overlay_on_way,
        .on_note = overlay_on_path_note,
        .on_lost = overlay_on_path_lost,
        .on_way_ctx = overlay,
        .on_stun = overlay_on_stun,
        .on_knock = overlay_on_knock,
        .on_stun_ctx = overlay,
    };
    const struct relay_settings relay = {
        .loop = overlay->loop,
        .workers = overlay->workers,
        .identity = overlay->identity,
        .udp_port = overlay->udp_port,
        .relay_kbit_s = (unsigned)overlay->conf->overlay.relay_kbit,
        .on_load = overlay_on_load,
        .ctx = overlay,
    };

    int error = links_open(&links, &overlay->links);
    if (error == 0)
        error = paths_open(&paths, &overlay->paths);
    if (error == 0 && (roles & CONF_ROLE_RELAY))
        error = relay_open(&relay, &overlay->relay);
    if (error == 0)
        error = open_core(overlay, roles);
    if (error == 0)
        overlay_hosts_load(overlay);
    if (error == 0)
        error = overlay_reach_open(overlay, roles);
    if (error == 0)
        watch_network(overlay);
    if (error == 0 && overlay->listener)
        overlay_pace(overlay);
    return error;
}

static void open_handles(struct overlay *overlay)
{
    uv_timer_init(overlay->loop, &overlay->wake);
    uv_timer_init(overlay->loop, &overlay->leave);
    uv_timer_init(overlay->loop, &overlay->keep);
    uv_timer_init(overlay->loop, &overlay->pace);
    uv_async_init(overlay->loop, &overlay->deliver, overlay_on_deliver);
    overlay->wake.data = overlay->leave.data = overlay->keep.data = overlay;
    overlay->pace.data = overlay;
    overlay->deliver.data = overlay;
}

/* ---- closing -------------------------------------------------------------------------- */

void overlay_let_go(void *ctx)
{
    struct overlay *overlay = ctx;

    if (--overlay->open > 0)
        return;
    void (*on_closed)(void *) = overlay->on_closed;
    void *closed_ctx = overlay->closed_ctx;
    identity_free(overlay->identity);
    free(overlay->hosts);
    free(overlay);
    if (on_closed)
        on_closed(closed_ctx);
}

static void on_handle_closed(uv_handle_t *handle)
{
    overlay_let_go(handle->data);
}

static void close_udp_port(struct overlay *overlay)
{
    if (!overlay->udp_port)
        return;
    overlay->open++;
    udp_port_close(overlay->udp_port, overlay_let_go, overlay);
    overlay->udp_port = NULL;
}

/* It had its hands in the UDP port until now. */
static void on_relay_closed(void *ctx)
{
    close_udp_port(ctx);
    overlay_let_go(ctx);
}

static void close_listener(struct overlay *overlay)
{
    if (!overlay->listener)
        return;
    overlay->refused = listener_refused(overlay->listener);
    overlay->open++;
    listener_close(overlay->listener, overlay_let_go, overlay);
    overlay->listener = NULL;
}

/* Everything that is open, in the order that lets each part still use what it needs. */
static void close_parts(struct overlay *overlay)
{
    overlay_reach_close(overlay);
    if (overlay->net_watch) {
        overlay->open++;
        net_watch_close(overlay->net_watch, overlay_let_go, overlay);
    }
    if (overlay->core)
        core_free(overlay->core);
    overlay->core = NULL;
    close_listener(overlay);
    if (overlay->links) {
        overlay->open++;
        links_close(overlay->links, overlay_let_go, overlay);
    }
    if (overlay->relay) {
        overlay->open++;
        relay_close(overlay->relay, on_relay_closed, overlay);
    } else {
        close_udp_port(overlay);
    }
    if (overlay->paths) {
        overlay->open++;
        paths_close(overlay->paths, overlay_let_go, overlay);
    }
    overlay->open += 5;
    uv_close((uv_handle_t *)&overlay->wake, on_handle_closed);
    uv_close((uv_handle_t *)&overlay->leave, on_handle_closed);
    uv_close((uv_handle_t *)&overlay->keep, on_handle_closed);
    uv_close((uv_handle_t *)&overlay->pace, on_handle_closed);
    uv_close((uv_handle_t *)&overlay->deliver, on_handle_closed);
    overlay_let_go(overlay); /* all have been asked */
}

static bool is_relaying(const struct overlay *overlay)
{
    return overlay->relay && relay_tunnel_count(overlay->relay) > 0;
}

static void on_leave(uv_timer_t *timer)
{
    struct overlay *overlay = timer->data;
    uint64_t since_ms = overlay_now_ms() - overlay->leave_since_ms;

    if (since_ms < (is_relaying(overlay) ? RELAY_LEAVE_MS : LEAVE_MIN_MS) ||
        (since_ms < LEAVE_MAX_MS && links_queued(overlay->links) > 0))
        return;
    close_parts(overlay);
}

void overlay_close(struct overlay *overlay, void (*on_closed)(void *ctx), void *ctx)
{
    overlay->on_closed = on_closed;
    overlay->closed_ctx = ctx;
    overlay->is_closing = true;
    overlay->leave_since_ms = overlay_now_ms();
    close_listener(overlay);
    overlay_hosts_save(overlay);
    core_leave(overlay->core);
    if (overlay->relay)
        relay_leave(overlay->relay);
    uv_timer_start(&overlay->leave, on_leave, LEAVE_STEP_MS, LEAVE_STEP_MS);
}

int overlay_open(uv_loop_t *loop, const struct conf *conf, const struct overlay_workers *workers,
                 const struct overlay_events *events, void *ctx, struct overlay **overlay,
                 char *why, size_t why_bytes)
{
    struct overlay *made;
    int error;

    if (!conf->realm.enrolment) {
        snprintf(why, why_bytes, "realm.enrolment is not set: there is no realm to join");
        return -EINVAL;
    }
    made = calloc(1, sizeof *made);
    if (!made)
        return -ENOMEM;
    made->open = 1;
    made->loop = loop;
    made->conf = conf;
    made->workers = workers;
    made->events = events;
    made->ctx = ctx;
    error = identity_load(conf->realm.enrolment, conf->realm.revocation, &made->identity, why,
                          why_bytes);
    if (error == 0)
        error = overlay_revoked_load(made, why, why_bytes);
    if (error < 0) {
        identity_free(made->identity);
        free(made);
        return -EINVAL;
    }
    open_handles(made);
    snprintf(why, why_bytes, "cannot join the realm");
    error = open_listener(made, why, why_bytes);
    if (error == 0) {
        unsigned roles = roles_in_force(made);
        error = open_udp_port(made, roles, why, why_bytes);
        if (error == 0 && (error = open_parts(made, roles)) < 0)
            snprintf(why, why_bytes, "cannot join the realm: %s", strerror(-error));
    }
    if (error < 0) {
        close_parts(made); /* frees it from the loop */
        return error;
    }
    *overlay = made;
    return 0;
}
