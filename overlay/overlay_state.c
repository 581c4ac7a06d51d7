/* What the gateway asks of the overlay, handed on to the part that knows. */
#include "overlay/overlay_parts.h"

#include <errno.h>
#include <string.h>

int overlay_call_new(struct overlay *overlay, const struct overlay_call_request *request,
                     const struct overlay_call_events *events, void *ctx,
                     struct overlay_call **call)
{
    return overlay->is_closing ? -ENOTCONN
                               : core_call_new(overlay->core, request, events, ctx, call);
}

int overlay_call_port(struct overlay_call *call, struct overlay_port *port)
{
    void *path;
    int error = core_call_media(call, &path, port);

    if (error < 0)
        return error;
    port->worker = paths_worker(path);
    port->send = paths_send;
    port->port = path;
    paths_hold(path);
    return 0;
}

void overlay_port_listen(struct overlay_port *port,
                         void (*receive)(void *receiver, uint8_t *packet, size_t bytes),
                         void *receiver)
{
    paths_listen(port->port, port->ssrc_in, receive, receiver);
}

void overlay_port_close(struct overlay_port *port, void (*on_closed)(void *ctx), void *ctx)
{
    paths_unlisten(port->port, port->ssrc_in, on_closed, ctx);
}

bool overlay_is_attached(const struct overlay *overlay)
{
    return overlay->core && core_is_attached(overlay->core);
}

const char *overlay_site(const struct overlay *overlay)
{
    return identity_certificate(overlay->identity)->site;
}

void overlay_status(const struct overlay *overlay, struct overlay_status *status)
{
    memset(status, 0, sizeof *status);
    if (!overlay->core)
        return;
    core_status(overlay->core, status);
    status->paths = paths_count(overlay->paths);
    status->tunnels = overlay->relay ? relay_tunnel_count(overlay->relay) : 0;
    status->refused = overlay->listener ? listener_refused(overlay->listener) : overlay->refused;
}

static void add_refused(struct overlay_relaying *relaying, const char *why, uint64_t count)
{
    relaying->refused[relaying->refused_count].why = why;
    relaying->refused[relaying->refused_count++].count = count;
}

bool overlay_relaying(const struct overlay *overlay, struct overlay_relaying *relaying)
{
    static const char *const faults[TICKET_FAULTS] = {
        [TICKET_MALFORMED] = "malformed", [TICKET_ELSEWHERE] = "elsewhere",
        [TICKET_STRANGER] = "stranger",   [TICKET_TIMES] = "expired",
        [TICKET_FORGED] = "forged",       [TICKET_TOO_OFTEN] = "too_often",
        [TICKET_NO_ROOM] = "no_room"};
    const struct relay *relay = overlay->relay;

    memset(relaying, 0, sizeof *relaying);
    if (!relay)
        return false;
    relaying->tunnels = relay_tunnel_count(relay);
    relaying->load = relay_load(relay);
    relaying->packets = relay_figure(relay, RELAY_PACKETS);
    relaying->bytes = relay_figure(relay, RELAY_BYTES);
    relaying->over_cap = relay_figure(relay, RELAY_OVER_CAP);
    relaying->missing = relay_figure(relay, RELAY_MISSING);
    relaying->late = relay_figure(relay, RELAY_LATE);
    relaying->unknown = relay_figure(relay, RELAY_UNKNOWN);
    for (int i = TICKET_GOOD + 1; i < TICKET_FAULTS; i++)
        add_refused(relaying, faults[i], relay_refused(relay, (enum ticket_fault)i));
    add_refused(relaying, "udp_malformed", relay_figure(relay, RELAY_BINDS_MALFORMED));
    add_refused(relaying, "udp_forged", relay_figure(relay, RELAY_BINDS_FORGED));
    add_refused(relaying, "udp_replayed", relay_figure(relay, RELAY_BINDS_REPLAYED));
    return true;
}

void overlay_each_supernode(const struct overlay *overlay,
                            void (*each)(void *ctx, const struct overlay_supernode *supernode),
                            void *ctx)
{
    if (overlay->core)
        core_each_supernode(overlay->core, each, ctx);
}

void overlay_each_node(const struct overlay *overlay,
                       void (*each)(void *ctx, const struct overlay_node *node), void *ctx)
{
    if (overlay->core)
        core_each_node(overlay->core, each, ctx);
}

void overlay_realm_state(const struct overlay *overlay, struct overlay_realm *realm)
{
    memset(realm, 0, sizeof *realm);
    realm->serving = "no: closing";
    if (overlay->core)
        core_realm_state(overlay->core, realm);
}
