/* Supernode side of links: seats, welcome, clients. */
#include "overlay/core_internal.h"

#include <stdio.h>
#include <string.h>

#define REPLACED "replaced by a newer connection of this node (is its enrolment in use twice?)"

static void send_goodbye(struct peer *peer, Sallyport__Goodbye *goodbye)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    struct host_list list;

    host_list_fill(peer->core, &list, peer);
    goodbye->supernodes = list.list;
    goodbye->n_supernodes = list.count;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_GOODBYE;
    envelope.goodbye = goodbye;
    peer_send(peer, &envelope);
}

void serve_goodbye(struct peer *peer, const char *reason)
{
    Sallyport__Goodbye goodbye = SALLYPORT__GOODBYE__INIT;

    goodbye.reason = (char *)reason;
    send_goodbye(peer, &goodbye);
}

void serve_move(struct peer *client, unsigned grace_ms, const char *reason)
{
    Sallyport__Goodbye goodbye = SALLYPORT__GOODBYE__INIT;

    goodbye.reason = (char *)reason;
    goodbye.grace_ms = grace_ms;
    send_goodbye(client, &goodbye);
}

void serve_refuse(struct peer *peer, const char *reason)
{
    core_complain(peer->core, COMPLAINT_LINK, "%s (%s) was refused: %s", peer->site, peer->address,
                  reason);
    serve_goodbye(peer, reason);
    peer_close(peer, reason);
}

/* Not now, but others have room. */
static void redirect(struct peer *peer, const char *reason)
{
    Sallyport__Goodbye goodbye = SALLYPORT__GOODBYE__INIT;

    core_complain(peer->core, COMPLAINT_LINK, "%s (%s) was sent elsewhere: %s", peer->site,
                  peer->address, reason);
    goodbye.reason = (char *)reason;
    goodbye.full = true;
    send_goodbye(peer, &goodbye);
    peer_close(peer, reason);
}

void serve_accepted(struct core *core, struct peer *peer)
{
    if (!core->is_supernode)
        serve_refuse(peer, "not a supernode");
    else if (core->is_leaving)
        serve_refuse(peer, "closing");
}

#define NEWS_SOON_MS 2000
#define NEWS_STEP_MS 200
#define NEWS_AT_ONCE 20

static void on_news(void *owner)
{
    struct core *core = owner;
    int told = 0;

    for (struct peer *client = core->clients; client; client = client->hh_node.next) {
        if (client->other || client->news_ms > core->news_ms)
            continue;
        if (told++ == NEWS_AT_ONCE) {
            core_timer_set(core, &core->news_timer, core_now(core) + NEWS_STEP_MS);
            return;
        }
        serve_welcome(core, client);
    }
}

void serve_news(struct core *core)
{
    core->news_ms = core_now(core);
    if (!core->news_timer.place)
        core_timer_set(core, &core->news_timer,
                       core_now(core) + NEWS_SOON_MS + core_random(core, NEWS_SOON_MS));
}

void serve_open(struct core *core)
{
    core_timer_init(&core->news_timer, on_news, core);
}

void serve_welcome(struct core *core, struct peer *peer)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Welcome welcome = SALLYPORT__WELCOME__INIT;
    Sallyport__SignedMember member;
    struct host_list list;

    host_list_fill(core, &list, peer);
    welcome.version = core->version;
    welcome.your_address = peer->address;
    welcome.supernodes = list.list;
    welcome.n_supernodes = list.count;
    welcome.seats = core->seats;
    welcome.clients = core->client_count;
    welcome.time_s = core->io.time_s(core->io.ctx);
    welcome.address = core->address;
    if (peer->roles_granted & CONF_ROLE_SUPERNODE && peer->role == &role_accepted)
        welcome.member = gossip_own(core, &member);
    welcome.revocation = identity_list(core->identity).number;
    peer->news_ms = core_now(core);
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_WELCOME;
    envelope.welcome = &welcome;
    peer_send(peer, &envelope);
}

/* Others hear of it when it is worth telling. */
static void load_changed(struct core *core)
{
    unsigned told = core->members->self ? core->members->self->clients : 0;
    unsigned difference =
        told > core->client_count ? told - core->client_count : core->client_count - told;

    if (difference > 0 && (difference >= core->seats / 20 || core->client_count >= core->seats))
        gossip_say(core, false);
}

struct peer *client_find(const struct core *core, const uint8_t node[OVERLAY_NODE_ID_BYTES])
{
    struct peer *client;

    HASH_FIND(hh_node, core->clients, node, OVERLAY_NODE_ID_BYTES, client);
    return client;
}

static void accept_client(struct core *core, struct peer *peer, const Sallyport__Hello *hello)
{
    struct peer *older = client_find(core, peer->node);

    if (older && older->other) {
        serve_refuse(peer, "that is this node itself");
        return;
    }
    if (core->is_retiring) {
        redirect(peer, "this supernode retires");
        return;
    }
    if (!older && hello->calls == 0 && core_sheds(core, LATE_NEWCOMERS_MS)) {
        redirect(peer, "it is overloaded");
        return;
    }
    if (!older && !seats_are_free(core, hello->calls)) {
        redirect(peer, "no seat is free");
        return;
    }
    if (older) {
        serve_goodbye(older, REPLACED);
        peer_close(older, REPLACED);
    }
    peer->version = core_common_version(core, hello->version);
    serve_welcome(core, peer);
    peer_ready(peer, &role_client);
    HASH_ADD_KEYPTR(hh_node, core->clients, peer->node, OVERLAY_NODE_ID_BYTES, peer);
    core->client_count++;
    load_changed(core);
    relays_on_hello(core, peer, hello);
    relays_on_ready(core, peer);
    log_debug(LOG_OVERLAY, NULL, "serving %s (%s)", peer->site, peer->address);
}

static void on_hello(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope)
{
    revocation_greeted(peer, envelope->hello->revocation);
    if (!core->is_supernode || core->is_leaving)
        serve_accepted(core, peer); /* since the link came in */
    else if (envelope->hello->version < 1)
        serve_refuse(peer, "no common version of the protocol");
    else if (envelope->hello->supernode)
        fellow_accept(core, peer, envelope->hello);
    else if (!(peer->roles_granted &
               (CONF_ROLE_GATEWAY | CONF_ROLE_CLIENT | CONF_ROLE_RELAY | CONF_ROLE_SUPERNODE)))
        serve_refuse(peer, "its certificate grants no role");
    else
        accept_client(core, peer, envelope->hello);
}

static void on_client_gone(struct core *core, struct peer *peer, const char *why)
{
    HASH_DELETE(hh_node, core->clients, peer);
    if (peer->other)
        return;
    core->client_count--;
    seats_set_willing(core, peer, false);
    load_changed(core);
    log_debug(LOG_OVERLAY, NULL, "%s (%s) is gone: %s", peer->site, peer->address, why);
}

static void on_goodbye(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope)
{
    (void)core;
    (void)envelope;
    peer_close(peer, "it says goodbye");
}

const struct role role_accepted = {
    .name = "stranger",
    .handle =
        {
            [SALLYPORT__ENVELOPE__BODY_HELLO] = on_hello,
            [SALLYPORT__ENVELOPE__BODY_GOODBYE] = on_goodbye,
        },
};

const struct role role_client = {
    .name = "client",
    .handle =
        {
            [SALLYPORT__ENVELOPE__BODY_PING] = peer_on_ping,
            [SALLYPORT__ENVELOPE__BODY_PONG] = peer_on_pong,
            [SALLYPORT__ENVELOPE__BODY_GOODBYE] = on_goodbye,
            [SALLYPORT__ENVELOPE__BODY_PUBLISH] = registry_on_publish,
            [SALLYPORT__ENVELOPE__BODY_LOOKUP] = query_on_lookup,
            [SALLYPORT__ENVELOPE__BODY_ROUTE] = forward_on_route_of_client,
            [SALLYPORT__ENVELOPE__BODY_RELAYS] = relays_on_relays,
            [SALLYPORT__ENVELOPE__BODY_DIAL_BACK] = dialback_on_dial_back,
            [SALLYPORT__ENVELOPE__BODY_WILLING] = seats_on_willing,
            [SALLYPORT__ENVELOPE__BODY_REVOCATION] = revocation_on_revocation,
        },
    .on_gone = on_client_gone,
};
