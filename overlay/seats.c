#include "overlay/seats.h"

#include "overlay/core_internal.h"

#include <stdlib.h>
#include <string.h>

#define LOOK_MS 1000
#define LOST_PERCENT 30     /* of the supernodes, that may go at once */
#define KEPT_FOR_CALLS 16   /* one of so many seats is for nodes with calls */
#define INVITED_MS 5000     /* for one that was invited to appear, before the next one is */
#define UP_MS 30000         /* before that nobody knows whether a node stays */
#define PLENTY_MS 600000    /* not needed for so long: we retire */
#define FIRST_LOOK_MS 10000 /* until then a supernode may not know its realm */

/* ---- what there is ----------------------------------------------------------------------------
 */

static int compare_seats(const void *left, const void *right)
{
    unsigned a = *(const unsigned *)left, b = *(const unsigned *)right;

    return a < b ? 1 : a > b ? -1 : 0;
}

struct realm_seats seats_judge(unsigned *each, unsigned supernodes, unsigned clients)
{
    struct realm_seats realm = {.supernodes = supernodes, .clients = clients};

    qsort(each, supernodes, sizeof *each, compare_seats);
    for (unsigned i = 0; i < supernodes; i++)
        realm.seats += each[i];
    realm.reserve = realm.seats;
    for (unsigned i = 0; i < (supernodes * LOST_PERCENT + 99) / 100; i++)
        realm.reserve -= each[i];
    realm.is_short = realm.reserve < clients || supernodes < HOLDERS;
    return realm;
}

struct realm_seats seats_of_realm(const struct core *core, const struct member *except)
{
    const struct members *members = core->members;
    unsigned *each = core_alloc((size_t)(members->live_count + 1) * sizeof *each);
    unsigned supernodes = 0, clients = 0;

    for (int i = 0; i < members->live_count; i++) {
        const struct member *member = members->live[i];
        clients += member->is_self ? core->client_count : member->clients;
        if (member == except || member->is_leaving)
            continue;
        each[supernodes++] = member->seats;
    }
    struct realm_seats realm = seats_judge(each, supernodes, clients);
    free(each);
    return realm;
}

bool seats_are_free(const struct core *core, unsigned calls)
{
    unsigned kept = calls > 0 ? 0 : core->seats / KEPT_FOR_CALLS;

    return core->client_count + kept < core->seats;
}

void seats_set_willing(struct core *core, struct peer *client, bool is_willing)
{
    core->seats_state.willing += (unsigned)is_willing - (unsigned)client->is_willing;
    client->is_willing = is_willing;
}

/* ---- inviting (supernode side) ----------------------------------------------------------------
 */

/* Of those that have somebody to invite the first one in the ring does, so that few are invited at
 * the same time. */
static bool is_our_turn(const struct core *core)
{
    for (int i = 0; i < core->members->live_count; i++) {
        const struct member *member = core->members->live[i];
        if (member->is_self)
            return core->seats_state.willing > 0;
        if (member->willing > 0 && !member->is_leaving)
            return false;
    }
    return false;
}

static void invite(struct core *core)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Invite body = SALLYPORT__INVITE__INIT;
    struct peer *chosen = NULL;
    uint64_t count = 0;

    for (struct peer *client = core->clients; client; client = client->hh_node.next)
        if (client->is_willing && core_random(core, ++count) == 0)
            chosen = client;
    if (!chosen)
        return;
    log_info(LOG_OVERLAY, NULL, "the realm needs one more supernode: %s (%s) is invited",
             chosen->site, chosen->address);
    seats_set_willing(core, chosen, false); /* unless it says so again */
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_INVITE;
    envelope.invite = &body;
    peer_send(chosen, &envelope);
    core->seats_state.invited_ms = core_now(core);
    gossip_say(core, false);
}

/* Of those that were invited the last one in the ring goes first. */
static bool are_we_to_go(const struct core *core)
{
    struct realm_seats realm = seats_of_realm(core, core->members->self);

    if (!core->is_invited || realm.is_short || realm.reserve < realm.clients + realm.clients / 2)
        return false;
    for (int i = core->members->live_count - 1; i >= 0; i--) {
        const struct member *member = core->members->live[i];
        if (member->is_self)
            return true;
        if (member->is_invited && !member->is_leaving)
            return false;
    }
    return false;
}

static void on_look(void *owner)
{
    struct core *core = owner;
    struct seats *seats = &core->seats_state;
    uint64_t now_ms = core_now(core);

    if (!core->members || core->is_leaving)
        return;
    core_timer_set(core, &seats->timer, now_ms + LOOK_MS);
    if (core->is_retiring)
        return;
    if (now_ms >= seats->invited_ms + INVITED_MS && seats_of_realm(core, NULL).is_short &&
        is_our_turn(core))
        invite(core);
    if (!are_we_to_go(core))
        seats->plenty_ms = 0;
    else if (seats->plenty_ms == 0)
        seats->plenty_ms = now_ms;
    else if (now_ms >= seats->plenty_ms + seats->plenty_for_ms)
        serving_retire(core, "the realm has had seats enough without us for a while");
}

void seats_on_willing(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope)
{
    bool is_willing =
        envelope->willing->willing && peer->roles_granted & CONF_ROLE_SUPERNODE && !peer->other;

    if (peer->is_willing == is_willing)
        return;
    seats_set_willing(core, peer, is_willing);
    gossip_say(core, false);
}

/* ---- being invited (node side) ----------------------------------------------------------------
 */

static bool is_willing(const struct core *core)
{
    return core->seats_state.may_serve && core->seats_state.is_reachable && !core->is_supernode &&
           !core->is_leaving && core_now(core) >= core->born_ms + UP_MS;
}

static void tell(struct core *core, struct peer *upstream)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Willing willing = SALLYPORT__WILLING__INIT;

    if (upstream->other || upstream->version < 2)
        return;
    willing.willing = is_willing(core);
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_WILLING;
    envelope.willing = &willing;
    peer_send(upstream, &envelope);
}

static void tell_all(void *owner)
{
    struct core *core = owner;

    for (int i = 0; i < core->upstream_count; i++)
        tell(core, core->upstream[i]);
}

void seats_on_attached(struct core *core, struct peer *upstream)
{
    if (is_willing(core))
        tell(core, upstream);
}

void core_reachable(struct core *core, bool is_reachable)
{
    struct seats *seats = &core->seats_state;

    if (seats->is_reachable == is_reachable)
        return;
    seats->is_reachable = is_reachable;
    if (seats->may_serve && core_now(core) >= core->born_ms + UP_MS)
        tell_all(core);
    if (!is_reachable && core->is_invited && !core->is_retiring)
        serving_retire(core, "others cannot reach us any more");
}

void seats_on_invite(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope)
{
    (void)envelope;
    if (core->is_supernode)
        return;
    if (!is_willing(core)) {
        tell(core, peer);
        return;
    }
    log_info(LOG_OVERLAY, NULL, "%s (%s) invites us to serve as a supernode: we do", peer->address,
             peer->site);
    serving_begin(core);
}

const char *seats_serving_text(const struct core *core)
{
    const struct seats *seats = &core->seats_state;

    if (core->is_retiring)
        return "retiring: its clients are moved to others";
    if (core->is_invited)
        return "invited: as long as the realm needs it";
    if (core->is_supernode)
        return "always";
    if (!(core->self->roles & CONF_ROLE_SUPERNODE))
        return "no: the certificate does not grant the role supernode";
    if (!core->address[0])
        return "no: overlay.listen is not set";
    if (!seats->may_serve)
        return "no: overlay.supernode is \"never\"";
    if (!seats->is_reachable)
        return "no: nobody outside was seen to reach this node";
    if (core_now(core) < core->born_ms + UP_MS)
        return "not yet: it has just started";
    return "willing: when the realm needs one more";
}

/* ---- life -------------------------------------------------------------------------------------
 */

void seats_open(struct core *core, const struct core_settings *settings)
{
    struct seats *seats = &core->seats_state;

    core_timer_init(&seats->timer, on_look, core);
    core_timer_init(&seats->willing_timer, tell_all, core);
    seats->may_serve =
        settings->may_serve && core->address[0] && core->self->roles & CONF_ROLE_SUPERNODE;
    seats->invited_seats = settings->seats ? settings->seats : CORE_SEATS_INVITED;
    seats->plenty_for_ms = settings->plenty_for_ms ? settings->plenty_for_ms : PLENTY_MS;
    core->born_ms = core_now(core);
    if (seats->may_serve)
        core_timer_set(core, &seats->willing_timer, core->born_ms + UP_MS);
}

void seats_watch(struct core *core)
{
    core_timer_set(core, &core->seats_state.timer, core_now(core) + FIRST_LOOK_MS);
}
