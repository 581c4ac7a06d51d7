/* Dial-back: a node asks a supernode whether it can be reached from outside, and is told. */
#include "overlay/core_internal.h"

#include <errno.h>
#include <string.h>

#define EVERY_MS 60000 /* of one link */

/* ---- the asker --------------------------------------------------------------------------------
 */

/* Somebody outside: home or standby, for a supernode another supernode. */
static struct peer *choose(struct core *core)
{
    for (int i = 0; i < core->upstream_count; i++)
        if (!core->upstream[i]->other)
            return core->upstream[i];
    return core->fellows;
}

int core_dial_back(struct core *core, const struct core_dial_back *ask)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__DialBack wire = SALLYPORT__DIAL_BACK__INIT;
    struct peer *peer = choose(core);

    if (!peer)
        return -ENOTCONN;
    wire.request = ++core->dial_back_request;
    wire.tcp_port = ask->tcp_port;
    wire.udp_port = ask->udp_port;
    wire.knock.data = (uint8_t *)ask->knock;
    wire.knock.len = sizeof ask->knock;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_DIAL_BACK;
    envelope.dial_back = &wire;
    return peer_send(peer, &envelope);
}

void dialback_on_dialed_back(struct core *core, struct peer *peer,
                             const Sallyport__Envelope *envelope)
{
    const Sallyport__DialedBack *wire = envelope->dialed_back;
    struct core_dialed_back result = {
        .is_refused = wire->refused, .tcp = wire->tcp, .udp = wire->udp};

    (void)peer;
    if (wire->request != core->dial_back_request || !core->io.dialed_back)
        return;
    snprintf(result.why, sizeof result.why, "%s", wire->why);
    core->io.dialed_back(core->io.ctx, &result);
}

/* ---- the asked --------------------------------------------------------------------------------
 */

static void tell(struct peer *peer, uint32_t request, const struct core_dialed_back *result)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__DialedBack wire = SALLYPORT__DIALED_BACK__INIT;

    wire.request = request;
    wire.refused = result->is_refused;
    wire.tcp = result->tcp;
    wire.udp = result->udp;
    wire.why = (char *)result->why;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_DIALED_BACK;
    envelope.dialed_back = &wire;
    peer_send(peer, &envelope);
}

void core_dialed_back(struct core *core, core_link link, uint32_t request,
                      const struct core_dialed_back *result)
{
    struct peer *peer = peer_find(core, link);

    if (peer && peer->is_ready)
        tell(peer, request, result);
}

static bool is_too_soon(struct core *core, struct peer *peer)
{
    uint64_t now_ms = core_now(core);

    if (peer->dial_back_ms && now_ms < peer->dial_back_ms + EVERY_MS)
        return true;
    peer->dial_back_ms = now_ms ? now_ms : 1;
    return false;
}

/* Only to the address that the link itself comes from: nobody can have us knock at the doors of
 * others. */
void dialback_on_dial_back(struct core *core, struct peer *peer,
                           const Sallyport__Envelope *envelope)
{
    const Sallyport__DialBack *wire = envelope->dial_back;
    struct core_dialed_back refusal = {.is_refused = true};
    struct core_dial_back ask = {.tcp_port = (uint16_t)wire->tcp_port,
                                 .udp_port = (uint16_t)wire->udp_port};

    if (wire->tcp_port == 0 || wire->tcp_port > UINT16_MAX || wire->udp_port > UINT16_MAX ||
        wire->knock.len != sizeof ask.knock) {
        core->malformed++;
        return;
    }
    memcpy(ask.knock, wire->knock.data, sizeof ask.knock);
    if (!core->io.dial_back || peer->seen.ss_family == 0)
        strcpy(refusal.why, "it cannot dial back");
    else if (is_too_soon(core, peer))
        strcpy(refusal.why, "asked twice within a minute");
    else {
        struct core_dial_back_to to = {
            .link = peer->link, .request = wire->request, .address = peer->seen};
        memcpy(to.node, peer->node, sizeof to.node);
        core->io.dial_back(core->io.ctx, &to, &ask);
        return;
    }
    tell(peer, wire->request, &refusal);
}
