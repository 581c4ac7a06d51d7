#include "overlay/relay_admit.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

/* Of one signer: a gateway that comes back with hundreds of calls, two connections of either end
 * for each, stays below. */
#define BINDS_PER_S 50
#define BINDS_BURST 2000
#define SIGNERS_MAX 8192

struct relay_signer {
    uint8_t node[OVERLAY_NODE_ID_BYTES];
    struct bucket binds;
    unsigned tunnels;
    UT_hash_handle hh;
};

struct relay_seat {
    uint8_t tunnel[TICKET_TUNNEL_BYTES];
    struct relay_signer *signer;
    unsigned connections; /* admitted, and not told as ended yet */
    UT_hash_handle hh;
};

/* Those that have no tunnel now; what they would be refused for is forgotten with them, so only
 * when there are too many. */
static void forget_idle_signers(struct relay_admission *admission)
{
    struct relay_signer *signer, *next;

    HASH_ITER(hh, admission->signers, signer, next)
    {
        if (signer->tunnels > 0)
            continue;
        HASH_DEL(admission->signers, signer);
        free(signer);
    }
}

static struct relay_signer *signer_of(struct relay_admission *admission, const uint8_t *node)
{
    struct relay_signer *signer;

    HASH_FIND(hh, admission->signers, node, OVERLAY_NODE_ID_BYTES, signer);
    if (signer)
        return signer;
    if (HASH_COUNT(admission->signers) >= SIGNERS_MAX)
        forget_idle_signers(admission);
    if (HASH_COUNT(admission->signers) >= SIGNERS_MAX || !(signer = calloc(1, sizeof *signer)))
        return NULL;
    memcpy(signer->node, node, OVERLAY_NODE_ID_BYTES);
    HASH_ADD(hh, admission->signers, node, OVERLAY_NODE_ID_BYTES, signer);
    return signer;
}

static enum ticket_fault take_seat(struct relay_admission *admission, struct relay_signer *signer,
                                   const uint8_t *tunnel)
{
    struct relay_seat *seat;

    HASH_FIND(hh, admission->seats, tunnel, TICKET_TUNNEL_BYTES, seat);
    if (seat) {
        seat->connections++;
        return TICKET_GOOD;
    }
    if (HASH_COUNT(admission->seats) >= admission->tunnels_max ||
        signer->tunnels >= admission->tunnels_per_signer || !(seat = calloc(1, sizeof *seat)))
        return TICKET_NO_ROOM;
    memcpy(seat->tunnel, tunnel, TICKET_TUNNEL_BYTES);
    seat->signer = signer;
    seat->connections = 1;
    signer->tunnels++;
    HASH_ADD(hh, admission->seats, tunnel, TICKET_TUNNEL_BYTES, seat);
    return TICKET_GOOD;
}

static enum ticket_fault judge(struct relay_admission *admission, const struct relay_binder *binder,
                               struct relay_admitted *out)
{
    const struct relay_bind *bind = binder->bind;
    struct ticket_trial trial = {.data = bind->ticket,
                                 .bytes = bind->ticket_bytes,
                                 .certificate = bind->certificate,
                                 .certificate_bytes = bind->certificate_bytes,
                                 .bearer = binder->bearer,
                                 .relay = admission->node,
                                 .now_s = binder->now_s,
                                 .trust = &admission->trust};
    struct ticket ticket;
    enum ticket_fault fault = ticket_check(&trial, &ticket);
    struct relay_signer *signer;

    if (identity_is_revoked(admission->trust.identity, binder->bearer->serial))
        return TICKET_FORGED; /* since its handshake */
    if (fault != TICKET_GOOD)
        return fault;
    if (!(signer = signer_of(admission, ticket.signer)))
        return TICKET_NO_ROOM;
    if (!bucket_take(&signer->binds, binder->now_ms, BINDS_PER_S, BINDS_BURST))
        return TICKET_TOO_OFTEN;
    ticket_tunnel_key(&ticket, out->tunnel);
    memcpy(out->serial, binder->bearer->serial, sizeof out->serial);
    out->is_higher = ticket_is_higher(&ticket, binder->bearer->node);
    return take_seat(admission, signer, out->tunnel);
}

enum ticket_fault relay_admit(struct relay_admission *admission, const struct relay_binder *binder,
                              struct relay_admitted *out)
{
    enum ticket_fault fault = judge(admission, binder, out);

    admission->refused[fault] += fault != TICKET_GOOD;
    return fault;
}

static void forget_seat(struct relay_admission *admission, struct relay_seat *seat)
{
    seat->signer->tunnels--;
    HASH_DEL(admission->seats, seat);
    free(seat);
}

void relay_admission_end(struct relay_admission *admission,
                         const uint8_t tunnel[TICKET_TUNNEL_BYTES], unsigned connections)
{
    struct relay_seat *seat;

    HASH_FIND(hh, admission->seats, tunnel, TICKET_TUNNEL_BYTES, seat);
    if (!seat)
        return;
    seat->connections -= connections < seat->connections ? connections : seat->connections;
    if (seat->connections == 0) /* else others are on their way to a tunnel made anew */
        forget_seat(admission, seat);
}

unsigned relay_admission_tunnels(const struct relay_admission *admission)
{
    return HASH_COUNT(admission->seats);
}

void relay_admission_fini(struct relay_admission *admission)
{
    struct relay_seat *seat, *next;

    HASH_ITER(hh, admission->seats, seat, next)
    forget_seat(admission, seat);
    forget_idle_signers(admission);
    trust_fini(&admission->trust);
}
