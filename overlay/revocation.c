/* The realm's revocation list between nodes: taken, applied, handed on.
 *
 * Each side says with its Hello or Welcome which list it holds; whoever holds a newer one sends it.
 * A list that is new here goes to all links whose other end is not known to hold it: that ends by
 * itself when all have it. Large lists go to some links at a time, so that a supernode with many
 * clients does not queue all of it at once. */
#include "overlay/call.h"
#include "overlay/core_internal.h"

#include <errno.h>
#include <stdio.h>

#define REVOKED "its certificate was revoked"
#define WE_ARE_REVOKED \
    "our certificate was revoked: enrol this node again with `sallyport realm enrol`"
/* What is queued for all links at once, and after which pause more. */
#define SPREAD_BYTES (4 * 1024 * 1024)
#define SPREAD_PAUSE_MS 10
/* Judging one costs a parse and a signature. */
#define LISTS_PER_S 1
#define LISTS_BURST 5
/* How long a revoked node lets those alone who refuse it. */
#define QUIET_MS 300000
#define QUIET_FAILURES 9 /* from then on by itself */

/* ---- handing on -------------------------------------------------------------------------------
 */

void revocation_greeted(struct peer *peer, uint64_t number)
{
    peer->revocation.told = peer->revocation.held = number;
}

static bool is_owed(const struct peer *peer, uint64_t number)
{
    return peer->is_ready && !peer->other && peer->revocation.told < number;
}

static void send_list(struct peer *peer, const struct identity_list *list)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Revocation revocation = SALLYPORT__REVOCATION__INIT;

    revocation.list.data = (uint8_t *)list->der;
    revocation.list.len = list->bytes;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_REVOCATION;
    envelope.revocation = &revocation;
    peer->revocation.told = list->number;
    if (peer_send(peer, &envelope) == -EMSGSIZE)
        core_complain(peer->core, COMPLAINT_LIST,
                      "the revocation list (number %llu) is too large to be handed on: give its "
                      "file to each node, realm { revocation = … }",
                      (unsigned long long)list->number);
}

/* False: there is more to do. */
static bool spread_some(struct core *core)
{
    struct identity_list list = identity_list(core->identity);
    size_t bytes = 0;

    for (struct peer *peer = core->peers; peer; peer = peer->hh.next) {
        if (!is_owed(peer, list.number))
            continue;
        if (bytes > SPREAD_BYTES)
            return false;
        send_list(peer, &list);
        bytes += list.bytes;
    }
    return true;
}

static void on_spread(void *owner)
{
    struct core *core = owner;

    if (!spread_some(core))
        core_timer_set(core, &core->revocation_timer, core_now(core) + SPREAD_PAUSE_MS);
}

void revocation_open(struct core *core)
{
    core_timer_init(&core->revocation_timer, on_spread, core);
}

void revocation_on_ready(struct peer *peer)
{
    struct identity_list list = identity_list(peer->core->identity);

    if (is_owed(peer, list.number))
        send_list(peer, &list);
}

/* ---- applying ---------------------------------------------------------------------------------
 */

static bool we_are_revoked(const struct core *core)
{
    return identity_is_revoked(core->identity, core->self->serial);
}

bool revocation_refuses(struct peer *peer)
{
    /* Those that we dial may know better: a newer list in which we are no more. */
    if (!peer->is_dialled && we_are_revoked(peer->core)) {
        peer_close(peer, WE_ARE_REVOKED);
    } else if (identity_is_revoked(peer->core->identity, peer->serial)) {
        core_complain(peer->core, COMPLAINT_LINK, "%s (%s) was refused: " REVOKED, peer->site,
                      peer->address);
        peer_close(peer, REVOKED);
    } else {
        return false;
    }
    return true;
}

/* It is told the list too: an honest node then knows why, and keeps quiet. */
static void part_with(struct peer *peer, const struct identity_list *list, const char *why)
{
    if (is_owed(peer, list->number))
        send_list(peer, list);
    if (peer->is_ready)
        serve_goodbye(peer, REVOKED);
    peer_close(peer, why);
}

/* One with whom we may not be linked; looked for anew after each close, which may close others. */
static struct peer *find_unwanted(const struct core *core, bool is_any)
{
    struct peer *peer = core->peers;

    while (peer && (peer->other || !(is_any || (peer->is_up && identity_is_revoked(core->identity,
                                                                                   peer->serial)))))
        peer = peer->hh.next;
    return peer;
}

static void keep_quiet(struct core *core)
{
    for (int i = 0; i < core->host_count; i++) {
        core->hosts[i]->failures = QUIET_FAILURES;
        core->hosts[i]->was_good = false;
        core->hosts[i]->next_ms = core_now(core) + QUIET_MS + core_random(core, QUIET_MS);
    }
}

static void apply(struct core *core)
{
    struct identity_list list = identity_list(core->identity);
    bool is_ours = we_are_revoked(core);
    struct peer *peer;

    log_info(LOG_OVERLAY, NULL, "revocation list number %llu is in force: %zu certificate(s)",
             (unsigned long long)list.number, list.count);
    if (is_ours)
        log_error(LOG_OVERLAY, NULL, "%s", WE_ARE_REVOKED);
    trust_flush(&core->trust);
    directory_revoke(core->directory, core->identity);
    found_cache_fini(&core->found_cache);
    members_revoke(core);
    call_end_revoked(core);
    if (core->io.revoked)
        core->io.revoked(core->io.ctx);
    while ((peer = find_unwanted(core, is_ours)))
        part_with(peer, &list, is_ours ? WE_ARE_REVOKED : REVOKED);
    if (is_ours)
        keep_quiet(core);
    on_spread(core);
}

/* ---- hearing ----------------------------------------------------------------------------------
 */

static void answer(struct peer *peer, const char *refused)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__RevocationHeld held = SALLYPORT__REVOCATION_HELD__INIT;

    held.number = identity_list(peer->core->identity).number;
    held.refused = (char *)refused;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_REVOCATION_HELD;
    envelope.revocation_held = &held;
    peer_send(peer, &envelope);
}

static int judge(struct peer *peer, const ProtobufCBinaryData *list, char *why, size_t why_bytes)
{
    struct core *core = peer->core;

    if (bucket_take(&peer->revocation.lists, core_now(core), LISTS_PER_S, LISTS_BURST))
        return identity_revoke(core->identity, list->data, list->len, why, why_bytes);
    snprintf(why, why_bytes, "too many lists");
    return -EBUSY;
}

void revocation_on_revocation(struct core *core, struct peer *peer,
                              const Sallyport__Envelope *envelope)
{
    char why[160] = "";
    int error = judge(peer, &envelope->revocation->list, why, sizeof why);
    bool is_held = error == 0 || error == -EALREADY;

    if (is_held) {
        revocation_greeted(peer, identity_list(core->identity).number);
    } else {
        core->malformed++;
        core_complain(core, COMPLAINT_LIST, "a revocation list from %s (%s) was refused: it %s",
                      peer->site, peer->address, why);
    }
    if (peer->role == &role_client)
        answer(peer, is_held ? "" : why);
    if (error == 0)
        apply(core);
}

void revocation_on_held(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope)
{
    const Sallyport__RevocationHeld *held = envelope->revocation_held;

    (void)core;
    if (held->number > peer->revocation.held)
        peer->revocation.held = held->number;
    if (held->refused[0])
        log_warn(LOG_OVERLAY, NULL, "%s refuses our revocation list: it %.150s", peer->address,
                 held->refused);
}
