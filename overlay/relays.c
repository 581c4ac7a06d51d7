#include "overlay/relays.h"

#include "overlay/core_internal.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_PAUSE_MS 200 /* several often come at once */
#define PAUSE_MS 2000
#define LOAD_STEP 10 /* per cent: a smaller change is not worth telling */
#define LOAD_MAX 100
/* Of one link; a relay that comes and goes, or a supernode with many of them, stays far below. */
#define TELLINGS_PER_S 2
#define TELLINGS_BURST 20
#define CLIENTS_FEW 1000
#define MEASURED_KEPT_MS (15 * 60 * 1000)
#define FNV_START 14695981039346656037u /* of FNV-1a */
#define UNKNOWN_US 1000000              /* more than any round trip that is worth taking */

/* ---- what is told -----------------------------------------------------------------------------
 */

static bool same_node(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, OVERLAY_NODE_ID_BYTES) == 0;
}

static uint64_t fnv(uint64_t hash, const void *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ ((const uint8_t *)data)[i]) * 1099511628211u;
    return hash;
}

static uint64_t digest(const struct relay_entry *const *entries, int count)
{
    uint64_t hash = fnv(FNV_START, &count, sizeof count);

    for (int i = 0; i < count; i++) {
        hash = fnv(hash, entries[i]->node, sizeof entries[i]->node);
        hash = fnv(hash, entries[i]->address, strlen(entries[i]->address) + 1);
        hash = fnv(hash, &entries[i]->load, sizeof entries[i]->load);
    }
    return hash;
}

/* Unless it has heard just that. */
static void send_list(struct peer *peer, const struct relay_entry *const *entries, int count)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Relays relays = SALLYPORT__RELAYS__INIT;
    Sallyport__Relay wire[RELAYS_TOLD_MAX], *list[RELAYS_TOLD_MAX];
    uint64_t now_told = digest(entries, count);

    if (peer->told_digest == now_told || (peer->told_digest == 0 && count == 0))
        return;
    peer->told_digest = now_told;
    for (int i = 0; i < count; i++) {
        sallyport__relay__init(&wire[i]);
        wire[i].node.data = (uint8_t *)entries[i]->node;
        wire[i].node.len = OVERLAY_NODE_ID_BYTES;
        wire[i].address = (char *)entries[i]->address;
        wire[i].load = entries[i]->load;
        list[i] = &wire[i];
    }
    relays.relays = list;
    relays.n_relays = (size_t)count;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_RELAYS;
    envelope.relays = &relays;
    peer_send(peer, &envelope);
}

/* Which of two equally busy ones comes first: another one for each listener, so that a realm's
 * relays are all used, but always the same one, so that a list changes only for a reason. */
static uint64_t lot(const struct relay_entry *entry, const uint8_t *listener)
{
    return fnv(fnv(FNV_START, entry->node, OVERLAY_NODE_ID_BYTES), listener, OVERLAY_NODE_ID_BYTES);
}

struct place {
    const struct relay_entry *entry;
    unsigned load_step;
    uint64_t lot;
};

static int compare(const void *left, const void *right)
{
    const struct place *a = left, *b = right;

    if (a->load_step != b->load_step)
        return a->load_step < b->load_step ? -1 : 1;
    return a->lot < b->lot ? -1 : a->lot > b->lot;
}

/* The least busy ones of the first `count` that are known. */
static void tell(struct core *core, struct peer *peer, int count)
{
    struct place places[RELAYS_KNOWN_MAX];
    const struct relay_entry *list[RELAYS_TOLD_MAX];
    int told = 0;

    for (int i = 0; i < count; i++) {
        const struct relay_entry *entry = &core->relays.known[i];
        places[i] = (struct place){entry, entry->load / LOAD_STEP, lot(entry, peer->node)};
    }
    qsort(places, (size_t)count, sizeof places[0], compare);
    while (told < count && told < RELAYS_TOLD_MAX) {
        list[told] = places[told].entry;
        told++;
    }
    send_list(peer, list, told);
}

static void tell_own(struct core *core, struct peer *upstream)
{
    struct relay_entry self = {.load = core->relays.load};
    const struct relay_entry *list[] = {&self};

    memcpy(self.node, core->self->node, sizeof self.node);
    strcpy(self.address, core->address);
    send_list(upstream, list, core->relays.is_offered);
}

/* ---- what is known (supernode side) -----------------------------------------------------------
 */

static void add(struct core *core, const struct relay_entry *entry)
{
    struct relays *relays = &core->relays;

    if (relays->known_count == RELAYS_KNOWN_MAX)
        return;
    for (int i = 0; i < relays->known_count; i++)
        if (same_node(relays->known[i].node, entry->node))
            return; /* attached to us and to a fellow: we know better */
    relays->known[relays->known_count++] = *entry;
}

static void add_told(struct core *core, const struct peer *peer)
{
    for (int i = 0; peer->told && i < peer->told->count; i++)
        add(core, &peer->told->entry[i]);
}

static void gather(struct core *core)
{
    struct relays *relays = &core->relays;
    const struct peer *peer;

    relays->known_count = 0;
    if (relays->is_offered) {
        struct relay_entry self = {.load = relays->load};
        memcpy(self.node, core->self->node, sizeof self.node);
        strcpy(self.address, core->address);
        add(core, &self);
    }
    for (peer = core->clients; peer; peer = peer->hh_node.next)
        add_told(core, peer);
    relays->own_count = relays->known_count;
    for (peer = core->fellows; peer; peer = peer->hh_node.next)
        add_told(core, peer);
}

static void tell_all(void *owner)
{
    struct core *core = owner;

    core->relays.told_ms = core_now(core);
    core->relays.told_load = core->relays.load;
    if (!core->is_supernode) {
        for (int i = 0; i < core->upstream_count; i++)
            tell_own(core, core->upstream[i]);
        return;
    }
    gather(core);
    for (struct peer *peer = core->fellows; peer; peer = peer->hh_node.next)
        tell(core, peer, core->relays.own_count);
    for (struct peer *peer = core->clients; peer; peer = peer->hh_node.next)
        tell(core, peer, core->relays.known_count);
}

/* Something changed: all are told, soon; the more there are, the more rarely. */
static void changed(struct core *core)
{
    uint64_t soon_ms = core_now(core) + FIRST_PAUSE_MS,
             next_ms = core->relays.told_ms + PAUSE_MS + core->client_count;

    if (core->relays.timer.place)
        return;
    core_timer_set(core, &core->relays.timer, next_ms > soon_ms ? next_ms : soon_ms);
}

/* ---- what is heard ----------------------------------------------------------------------------
 */

static bool take(struct relay_entry *entry, const Sallyport__Relay *wire)
{
    if (wire->node.len != OVERLAY_NODE_ID_BYTES || !home_address_is_valid(wire->address))
        return false;
    memcpy(entry->node, wire->node.data, OVERLAY_NODE_ID_BYTES);
    strcpy(entry->address, wire->address);
    entry->load = wire->load < LOAD_MAX ? wire->load : LOAD_MAX;
    return true;
}

static bool is_news(const struct relay_list *before, const struct relay_list *after)
{
    if (!before || before->count != after->count)
        return !before ? after->count > 0 : true;
    for (int i = 0; i < after->count; i++) {
        const struct relay_entry *a = &before->entry[i], *b = &after->entry[i];
        if (!same_node(a->node, b->node) || strcmp(a->address, b->address) != 0 ||
            a->load != b->load)
            return true;
    }
    return false;
}

static void keep(struct core *core, struct peer *peer, const struct relay_list *list)
{
    bool is_changed = is_news(peer->told, list);

    if (!is_changed)
        return;
    size_t bytes = offsetof(struct relay_list, entry) + list->count * sizeof list->entry[0];
    free(peer->told);
    peer->told = core_alloc(bytes);
    memcpy(peer->told, list, bytes);
    if (peer->role != &role_upstream && peer->role != &role_dialled)
        changed(core);
}

void relays_on_hello(struct core *core, struct peer *peer, const Sallyport__Hello *hello)
{
    struct relay_list list = {.count = 1};

    if (!hello->relay || !(peer->roles_granted & CONF_ROLE_RELAY) ||
        !home_address_is_valid(hello->address))
        return;
    memcpy(list.entry[0].node, peer->node, OVERLAY_NODE_ID_BYTES);
    strcpy(list.entry[0].address, hello->address);
    keep(core, peer, &list);
}

void relays_on_relays(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope)
{
    const Sallyport__Relays *relays = envelope->relays;
    struct relay_list list = {.count = 0};
    bool is_client = peer->role == &role_client;
    size_t most = is_client ? 1 : RELAYS_TOLD_MAX;

    if (!peer->other &&
        !bucket_take(&peer->tellings, core_now(core), TELLINGS_PER_S, TELLINGS_BURST)) {
        core->malformed++;
        return;
    }
    for (size_t i = 0; i < relays->n_relays && i < most; i++) {
        struct relay_entry *entry = &list.entry[list.count];
        if (!take(entry, relays->relays[i])) {
            core->malformed++;
            continue;
        }
        /* A client speaks for itself alone, and only as far as it was granted. */
        if (is_client &&
            (!same_node(entry->node, peer->node) || !(peer->roles_granted & CONF_ROLE_RELAY)))
            core->malformed++;
        else
            list.count++;
    }
    keep(core, peer, &list);
}

void relays_on_ready(struct core *core, struct peer *peer)
{
    /* What is to be told to all soon, a newcomer hears at once, as long as it is quickly found. */
    if (core->is_supernode && core->relays.timer.place && core->client_count < CLIENTS_FEW)
        gather(core);
    if (peer->role == &role_fellow)
        tell(core, peer, core->relays.own_count);
    else if (peer->role == &role_client)
        tell(core, peer, core->relays.known_count);
    else if (core->relays.load > 0 && !peer->other)
        tell_own(core, peer);
}

void relays_on_gone(struct core *core, struct peer *peer)
{
    bool was_told = peer->told && peer->told->count > 0;

    free(peer->told);
    peer->told = NULL;
    if (was_told && core->is_supernode)
        changed(core);
}

void relays_open(struct core *core)
{
    struct relays *relays = &core->relays;

    core_timer_init(&relays->timer, tell_all, core);
    relays->is_offered = (core->roles & CONF_ROLE_RELAY) && core->address[0];
}

void relays_serving(struct core *core)
{
    struct relays *relays = &core->relays;

    if (!relays->known)
        relays->known = core_alloc(RELAYS_KNOWN_MAX * sizeof *relays->known);
    gather(core);
}

void relays_close(struct core *core)
{
    free(core->relays.known);
    free(core->relays.measured);
}

void core_relay_offer(struct core *core, bool is_offered)
{
    struct relays *relays = &core->relays;

    is_offered = is_offered && (core->roles & CONF_ROLE_RELAY) && core->address[0];
    if (relays->is_offered == is_offered)
        return;
    relays->is_offered = is_offered;
    changed(core);
}

void core_relay_load(struct core *core, unsigned load)
{
    struct relays *relays = &core->relays;

    relays->load = load < LOAD_MAX ? load : LOAD_MAX;
    unsigned step = relays->load / LOAD_STEP, told_step = relays->told_load / LOAD_STEP;
    if (relays->is_offered && step != told_step)
        changed(core);
}

/* ---- choice (node side) -----------------------------------------------------------------------
 */

void core_relay_measured(struct core *core, const char *address, uint32_t round_trip_us)
{
    struct relays *relays = &core->relays;
    int place = 0;

    if (strlen(address) >= ADDRESS_TEXT_MAX)
        return;
    if (!relays->measured)
        relays->measured = core_alloc(RELAYS_MEASURED_MAX * sizeof *relays->measured);
    for (int i = 0; i < RELAYS_MEASURED_MAX; i++) {
        if (strcmp(relays->measured[i].address, address) == 0) {
            place = i;
            break;
        }
        if (relays->measured[i].at_ms < relays->measured[place].at_ms)
            place = i;
    }
    strcpy(relays->measured[place].address, address);
    relays->measured[place].round_trip_us = round_trip_us;
    relays->measured[place].at_ms = core_now(core);
}

static uint32_t round_trip_us(const struct core *core, const struct relay_entry *entry)
{
    const struct relays *relays = &core->relays;

    for (int i = 0; relays->measured && i < RELAYS_MEASURED_MAX; i++)
        if (strcmp(relays->measured[i].address, entry->address) == 0 &&
            relays->measured[i].round_trip_us > 0 &&
            core_now(core) < relays->measured[i].at_ms + MEASURED_KEPT_MS)
            return relays->measured[i].round_trip_us;
    for (int i = 0; i < core->upstream_count; i++)
        if (same_node(core->upstream[i]->node, entry->node))
            return core->upstream[i]->round_trip_us + 1; /* it was measured, in whole ms */
    return 0;
}

static bool is_told_before(const struct core *core, int upstream, const uint8_t *node)
{
    for (int i = 0; i < upstream; i++) {
        const struct relay_list *told = core->upstream[i]->told;
        for (int k = 0; told && k < told->count; k++)
            if (same_node(told->entry[k].node, node))
                return true;
    }
    return false;
}

void core_each_relay(const struct core *core,
                     void (*each)(void *ctx, const struct core_relay *relay), void *ctx)
{
    for (int i = 0; i < core->upstream_count; i++) {
        const struct relay_list *told = core->upstream[i]->told;
        for (int k = 0; told && k < told->count; k++) {
            const struct relay_entry *entry = &told->entry[k];
            struct core_relay relay = {.load = entry->load,
                                       .round_trip_us = round_trip_us(core, entry),
                                       .is_self = same_node(entry->node, core->self->node)};
            if (is_told_before(core, i, entry->node))
                continue;
            memcpy(relay.node, entry->node, sizeof relay.node);
            strcpy(relay.address, entry->address);
            each(ctx, &relay);
        }
    }
}

struct choice {
    const struct core *core;
    struct core_relay *out;
    uint64_t cost[CORE_RELAYS_MAX];
    int max, count;
};

/* A busy relay counts as one that is further away: 25 ms when it is half full, 100 ms when it is
 * full. One that nobody measured comes after those; this node itself is the last resort, since it
 * may not reach itself by the address that others use. */
static uint64_t cost_of(const struct core *core, const struct core_relay *relay)
{
    struct relay_entry entry = {.load = relay->load};
    uint64_t us = relay->round_trip_us ? relay->round_trip_us : UNKNOWN_US;

    memcpy(entry.node, relay->node, sizeof entry.node);
    if (relay->is_self)
        us = 2 * UNKNOWN_US;
    /* equals by lot, so that nodes spread */
    return (us + (uint64_t)relay->load * relay->load * 10) << 16 |
           (lot(&entry, core->self->node) & 0xffff);
}

static void consider(void *ctx, const struct core_relay *relay)
{
    struct choice *choice = ctx;
    uint64_t cost = cost_of(choice->core, relay);
    int at = choice->count;

    while (at > 0 && choice->cost[at - 1] > cost)
        at--;
    if (at == choice->max)
        return;
    if (choice->count < choice->max)
        choice->count++;
    for (int i = choice->count - 1; i > at; i--) {
        choice->cost[i] = choice->cost[i - 1];
        choice->out[i] = choice->out[i - 1];
    }
    choice->cost[at] = cost;
    choice->out[at] = *relay;
}

int core_take_relays(const struct core *core, struct core_relay *out, int max)
{
    struct choice choice = {.core = core, .out = out};

    choice.max = max < CORE_RELAYS_MAX ? max : CORE_RELAYS_MAX;
    core_each_relay(core, consider, &choice);
    return choice.count;
}
