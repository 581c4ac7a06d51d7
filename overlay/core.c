#include "overlay/call.h"
#include "overlay/core_internal.h"
#include "overlay/event.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPIRE_EVERY_MS 30000
#define SWEEP_EVERY_MS 1000 /* some names at a time */
#define LEAVE_MS 400        /* of ours, for our clients to attach elsewhere */
/* What one link may say; beyond it frames are dropped. A gateway that makes hundreds of calls a
 * second stays far below. */
#define CLIENT_FRAMES_PER_S 10000
#define CLIENT_FRAMES_BURST 20000
#define FELLOW_FRAMES_PER_S 100000
#define FELLOW_FRAMES_BURST 200000

/* ---- small tools ------------------------------------------------------------------------------
 */

void *core_alloc(size_t bytes)
{
    void *memory = calloc(1, bytes);

    if (!memory)
        abort();
    return memory;
}

uint64_t core_now(const struct core *core)
{
    return core->io.now_ms(core->io.ctx);
}

uint64_t core_random(struct core *core, uint64_t below)
{
    uint64_t number;

    core->io.random(core->io.ctx, &number, sizeof number);
    return below ? number % below : 0;
}

/* The I/O side is told only when the soonest deadline changed. */
static void wake(struct core *core)
{
    uint64_t next_ms = core_timers_next(&core->timers);

    if (next_ms == core->wake_ms || next_ms == UINT64_MAX)
        return;
    core->wake_ms = next_ms;
    core->io.wake(core->io.ctx, next_ms);
}

void core_timer_set(struct core *core, struct core_timer *timer, uint64_t at_ms)
{
    core_timers_set(&core->timers, timer, at_ms);
    wake(core);
}

void core_timer_stop(struct core *core, struct core_timer *timer)
{
    core_timers_stop(&core->timers, timer);
}

unsigned core_common_version(const struct core *core, unsigned theirs)
{
    return theirs < core->version ? theirs : core->version;
}

uint64_t core_next_sequence(struct core *core)
{
    uint64_t by_clock = (uint64_t)core->io.time_s(core->io.ctx) << 20;

    core->sequence = core->sequence + 1 > by_clock ? core->sequence + 1 : by_clock;
    return core->sequence;
}

void core_complain(struct core *core, enum complaint cause, const char *format, ...)
{
    char text[256];
    uint64_t count;
    va_list arguments;

    if (!log_limit(&core->complaints[cause], core_now(core), &count))
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    log_warn(LOG_OVERLAY, NULL, "%s (%llu like it)", text, (unsigned long long)count);
}

/* ---- life -------------------------------------------------------------------------------------
 */

static void expire(void *owner)
{
    struct core *core = owner;

    uint64_t now_ms = core_now(core);

    if (now_ms >= core->expired_ms + EXPIRE_EVERY_MS) {
        core->expired_ms = now_ms;
        directory_expire(core->directory, core->io.time_s(core->io.ctx));
    }
    registry_sweep(core);
    core_timer_set(core, &core->expire_timer,
                   now_ms + (core->members ? SWEEP_EVERY_MS : EXPIRE_EVERY_MS));
}

static void learn_first_hosts(struct core *core, const struct core_settings *settings)
{
    struct home home;

    for (int i = 0; i < settings->supernode_count; i++) {
        home = (struct home){.has_node = false};
        snprintf(home.address, sizeof home.address, "%s", settings->supernodes[i]);
        host_learn(core, &home, true);
    }
    for (int i = 0; i < identity_supernode_count(core->identity); i++) {
        home = (struct home){.has_node = false};
        snprintf(home.address, sizeof home.address, "%s", identity_supernode(core->identity, i));
        host_learn(core, &home, true);
    }
}

int core_new(const struct core_settings *settings, const struct core_io *io, struct core **out)
{
    if (settings->address && !home_address_is_valid(settings->address))
        return -EINVAL;

    struct core *core = core_alloc(sizeof *core);
    core->io = *io;
    core->identity = settings->identity;
    core->self = identity_certificate(settings->identity);
    trust_init(&core->trust, core->identity);
    core->version = settings->version ? settings->version : PROTOCOL_VERSION;
    core->roles = settings->roles;
    core->sequence = settings->sequence;
    core->priority = settings->priority;
    core->weight = settings->weight ? settings->weight : 1;
    if (settings->address)
        strcpy(core->address, settings->address);
    bool is_supernode = (core->roles & CONF_ROLE_SUPERNODE) && core->address[0];
    core->seats = settings->seats ? settings->seats : CORE_SEATS;
    core->wake_ms = UINT64_MAX;
    core->directory = directory_new();
    STAILQ_INIT(&core->local);
    event_open(core);
    call_open(core);
    forward_open(core);
    if ((core->roles & CONF_ROLE_SUPERNODE) && !is_supernode)
        log_warn(LOG_OVERLAY, NULL, "supernode role without a listen address: not served");

    core_timer_init(&core->expire_timer, expire, core);
    core_timer_set(core, &core->expire_timer, core_now(core) + EXPIRE_EVERY_MS);
    learn_first_hosts(core, settings);
    revocation_open(core);
    relays_open(core);
    publish_open(core);
    attach_open(core);
    seats_open(core, settings);
    if (is_supernode)
        serving_open(core);
    *out = core;
    return 0;
}

static void close_links(struct core *core)
{
    struct peer *peer, *after;

    for (peer = core->peers; peer; peer = peer->hh.next) {
        if (peer->other)
            continue;
        if (peer->is_ready)
            serve_goodbye(peer, "closing");
        core->io.close(core->io.ctx, peer->link, "closing");
    }
    HASH_ITER(hh, core->peers, peer, after)
    {
        if (peer->role == &role_client)
            HASH_DELETE(hh_node, core->clients, peer);
        if (peer->role == &role_fellow)
            HASH_DELETE(hh_node, core->fellows, peer);
        peer_forget(peer);
    }
}

void core_free(struct core *core)
{
    call_close(core);
    event_close(core);
    query_close(core);
    forward_close(core);
    gossip_farewell(core);
    close_links(core);
    members_close(core);
    found_cache_fini(&core->found_cache);
    local_drop(core);
    hosts_close(core);
    relays_close(core);
    directory_free(core->directory);
    trust_fini(&core->trust);
    core_timers_fini(&core->timers);
    free(core);
}

/* They have a moment to say what they have to say by another supernode. */
static void leave_clients(struct core *core)
{
    gossip_farewell(core);
    for (struct peer *client = core->clients; client; client = client->hh_node.next)
        if (!client->other)
            serve_move(client, LEAVE_MS, "closing");
}

void core_leave(struct core *core)
{
    core->is_leaving = true;
    publish_withdraw(core);
    call_end_all(core);
    leave_clients(core);
}

/* ---- input ------------------------------------------------------------------------------------
 */

void core_on_link_up(struct core *core, core_link link, bool is_accepted,
                     const struct certificate *certificate,
                     const struct sockaddr_storage *peer_address)
{
    struct peer *peer = is_accepted ? peer_new(core, link, &role_accepted) : peer_find(core, link);

    if (!peer || peer->is_up)
        return;
    peer->is_up = true;
    peer->heard_ms = core_now(core);
    memcpy(peer->node, certificate->node, OVERLAY_NODE_ID_BYTES);
    snprintf(peer->site, sizeof peer->site, "%s", certificate->site);
    peer->roles_granted = certificate->roles;
    memcpy(peer->serial, certificate->serial, sizeof peer->serial);
    if (peer_address) {
        peer->seen = *peer_address;
        address_normalise(&peer->seen);
    }
    if (is_accepted && peer_address)
        address_format(peer_address, peer->address);
    if (revocation_refuses(peer))
        return;
    if (is_accepted)
        serve_accepted(core, peer);
    else
        attach_connected(core, peer);
}

static bool rate_is_kept(struct core *core, struct peer *peer)
{
    if (peer->role == &role_fellow || peer->other)
        return bucket_take(&peer->frames, core_now(core), FELLOW_FRAMES_PER_S, FELLOW_FRAMES_BURST);
    return bucket_take(&peer->frames, core_now(core), CLIENT_FRAMES_PER_S, CLIENT_FRAMES_BURST);
}

void core_dispatch(struct core *core, struct peer *peer, const uint8_t *frame, size_t bytes)
{
    peer->heard_ms = core_now(core);
    if (bytes > FRAME_BYTES_MAX || !rate_is_kept(core, peer)) {
        core->malformed++;
        return;
    }

    Sallyport__Envelope *envelope = sallyport__envelope__unpack(NULL, bytes, frame);
    if (!envelope) {
        core->malformed++;
        return;
    }
    unsigned body = (unsigned)envelope->body_case;
    core_handler handler = body < BODIES ? peer->role->handle[body] : NULL;
    if (handler) {
        handler(core, peer, envelope);
    } else if (body != SALLYPORT__ENVELOPE__BODY__NOT_SET) {
        core->malformed++;
        log_debug(LOG_OVERLAY, NULL, "%s at %s sent a body (%u) that is not accepted",
                  peer->role->name, peer->address, body);
    }
    sallyport__envelope__free_unpacked(envelope, NULL);
}

void core_on_frame(struct core *core, core_link link, const uint8_t *frame, size_t bytes)
{
    struct peer *peer = peer_find(core, link);

    if (peer && peer->is_up && !peer->other)
        core_dispatch(core, peer, frame, bytes);
}

void core_on_link_down(struct core *core, core_link link, const char *why)
{
    struct peer *peer = peer_find(core, link);

    if (peer && !peer->other)
        peer_drop(peer, why);
}

void core_tick(struct core *core)
{
    uint64_t now_ms = core_now(core);
    struct core_timer *timer;

    core->wake_ms = UINT64_MAX;
    while ((timer = core_timers_pop(&core->timers, now_ms)))
        timer->fire(timer->owner);
    wake(core);
}

void core_deliver(struct core *core)
{
    local_deliver(core);
    event_deliver(core);
}

void core_on_late(struct core *core, unsigned late_ms)
{
    /* soon noticed, slowly forgotten */
    core->late_ms -= core->late_ms / 8;
    if (late_ms > core->late_ms)
        core->late_ms = late_ms;
}

bool core_sheds(struct core *core, unsigned late_ms)
{
    if (core->late_ms < late_ms)
        return false;
    core->shed++;
    return true;
}

void core_probe(struct core *core)
{
    struct peer *peer;

    for (int i = 0; i < core->upstream_count; i++)
        peer_probe_in_trouble(core->upstream[i]);
    for (peer = core->fellows; peer; peer = peer->hh_node.next)
        if (peer->is_dialled)
            peer_probe_in_trouble(peer);
}

void core_on_network_change(struct core *core)
{
    core_probe(core);
    for (int i = 0; i < core->host_count; i++) {
        core->hosts[i]->next_ms = 0;
        core->hosts[i]->failures = 0;
    }
    attach_wake(core);
}

/* ---- state ------------------------------------------------------------------------------------
 */

static void format_node(const uint8_t node[OVERLAY_NODE_ID_BYTES], char *text)
{
    for (int i = 0; i < OVERLAY_NODE_ID_BYTES; i++)
        sprintf(text + 2 * i, "%02x", node[i]);
}

bool core_is_attached(const struct core *core)
{
    return core->upstream_count > 0;
}

void core_status(const struct core *core, struct overlay_status *status)
{
    format_node(core->self->node, status->node);
    status->site = core->self->site;
    status->roles = core->roles;
    status->expires_s = core->self->not_after_s;
    status->clients = core->client_count;
    status->records = directory_count(core->directory);
    status->malformed = core->malformed;
    status->shed = core->shed;
    status->revocation = identity_list(core->identity).number;
    snprintf(status->last_error, sizeof status->last_error, "%s",
             core_is_attached(core) ? "" : core->last_error);
}

static void describe(const struct core *core, const struct peer *peer,
                     struct overlay_supernode *supernode)
{
    *supernode = (struct overlay_supernode){
        .site = peer->site,
        .is_home = core->upstream_count > 0 && core->upstream[0] == peer,
        .is_fellow = peer->role == &role_fellow,
        .round_trip_us = peer->round_trip_us,
        .revocation = peer->revocation.held,
        .since_ms = core_now(core) - peer->since_ms,
    };
    snprintf(supernode->address, sizeof supernode->address, "%s", peer->address);
    format_node(peer->node, supernode->node);
}

void core_each_supernode(const struct core *core,
                         void (*each)(void *ctx, const struct overlay_supernode *supernode),
                         void *ctx)
{
    struct overlay_supernode supernode;

    for (int i = 0; i < core->upstream_count; i++) {
        describe(core, core->upstream[i], &supernode);
        each(ctx, &supernode);
    }
    for (const struct peer *peer = core->fellows; peer; peer = peer->hh_node.next) {
        describe(core, peer, &supernode);
        each(ctx, &supernode);
    }
}
