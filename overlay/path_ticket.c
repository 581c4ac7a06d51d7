/* The relays that we bring to a path, with a ticket for each. */
#include "overlay/path_control.h"
#include "overlay/ticket.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static_assert(TICKET_BYTES_MAX <= CANDIDATE_TICKET_MAX, "a ticket fits into a candidate");
static_assert(TICKET_TUNNEL_BYTES == CANDIDATE_TUNNEL_BYTES, "tunnels are named alike");

/* The same tunnel each time, whichever end asks for it: a relay that is chosen again has it still,
 * and when both ends choose the same relay, they share it. */
static void name_tunnel(const struct path *path, const uint8_t *relay_node, uint8_t *tunnel)
{
    crypto_generichash(tunnel, CANDIDATE_TUNNEL_BYTES, relay_node, OVERLAY_NODE_ID_BYTES, path->key,
                       sizeof path->key);
}

static void fill(const struct path *path, const struct core_relay *relay,
                 struct candidate *candidate)
{
    struct ticket ticket = {.issued_s = time(NULL), .lifetime_s = TICKET_LIFETIME_MAX_S};

    memset(candidate, 0, sizeof *candidate);
    candidate->kind = CANDIDATE_RELAY;
    candidate->is_own = true;
    snprintf(candidate->host, sizeof candidate->host, "%s", relay->address);
    name_tunnel(path, relay->node, candidate->tunnel);
    memcpy(ticket.tunnel, candidate->tunnel, sizeof ticket.tunnel);
    memcpy(ticket.relay, relay->node, sizeof ticket.relay);
    memcpy(ticket.peer, path->peer, sizeof ticket.peer);
    candidate->ticket_bytes =
        ticket_sign(path->paths->settings.identity, &ticket, candidate->ticket);
}

static bool is_among(const struct candidate_path *theirs, const struct candidate *candidate)
{
    for (int i = 0; theirs && i < theirs->count; i++)
        if (theirs->candidates[i].kind == CANDIDATE_RELAY &&
            memcmp(theirs->candidates[i].tunnel, candidate->tunnel, sizeof candidate->tunnel) == 0)
            return true;
    return false;
}

void paths_take_relays(struct path *path, int max, const struct candidate_path *theirs)
{
    const struct paths_settings *settings = &path->paths->settings;
    struct core_relay relays[PATH_OWN_RELAYS];
    int count = 0;

    path->control.relay_count = 0;
    if (settings->take_relays)
        count = settings->take_relays(settings->take_relays_ctx, relays, max);
    struct candidate_policy policy = {.is_loopback_allowed = paths_is_loopback_realm(path->paths)};
    for (int i = 0; i < count; i++) {
        struct candidate *candidate = &path->control.relays[path->control.relay_count];

        if (!candidate_host_is_plausible(relays[i].address, &policy))
            continue; /* it has told its supernode nonsense */
        if (relays[i].is_self && (settings->conf->relay_only || !path->control.is_shown))
            continue; /* it would tell where we are */
        fill(path, &relays[i], candidate);
        candidate->is_reserve = path->control.relay_count >= PATH_READY_RELAYS;
        if (!is_among(theirs, candidate))
            path->control.relay_count++;
    }
}
