/* Route: from a client to the home of its addressee, by one fellow at most, and the failure back.
 *
 * A message that leaves for a fellow is kept as a passage for 5 s: should the fellow not have the
 * addressee, the next of the named homes is tried, and in the end the client is told.
 */
#include "overlay/core_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HOPS_MAX 3
#define SEALED_BYTES_MAX 32768
#define PASSAGE_MS 5000
#define PASSAGES_MAX 8192
#define PASSAGE_BYTES_MAX (64u << 20)
/* Links to supernodes that only a `via` named. */
#define DIALS_PER_S 5
#define DIALS_BURST 20

struct passage {
    TAILQ_ENTRY(passage) next;
    UT_hash_handle hh;
    uint8_t id[ROUTE_ID_BYTES];        /* on the way to the fellow: ours */
    uint8_t client_id[ROUTE_ID_BYTES]; /* as the client sent it */
    core_link client;
    core_link fellow; /* asked now */
    bool is_sent;     /* else the link to it is being made */
    bool some_unreachable;
    int next_via;
    struct homes via;
    uint64_t end_ms;
    size_t bytes;
    Sallyport__Route route; /* `to`, `sealed` and `key` point into data */
    uint8_t data[];
};
TAILQ_HEAD(passage_queue, passage);

struct forward {
    struct passage *by_id;
    struct passage_queue queue; /* oldest first */
    size_t bytes;
    struct bucket dials;
    struct core_timer timer;
};

static void send_failed(struct core *core, core_link to, const uint8_t id[ROUTE_ID_BYTES],
                        Sallyport__RouteFailed__Why why)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__RouteFailed failed = SALLYPORT__ROUTE_FAILED__INIT;
    struct peer *peer = peer_find(core, to);

    if (!peer)
        return;
    failed.id.data = (uint8_t *)id;
    failed.id.len = ROUTE_ID_BYTES;
    failed.why = why;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_ROUTE_FAILED;
    envelope.route_failed = &failed;
    peer_send(peer, &envelope);
}

/* ---- passages ---------------------------------------------------------------------------------
 */

static void passage_free(struct core *core, struct passage *passage)
{
    struct forward *forward = core->forward;

    TAILQ_REMOVE(&forward->queue, passage, next);
    HASH_DELETE(hh, forward->by_id, passage);
    forward->bytes -= passage->bytes;
    free(passage);
}

static void on_timer(void *owner)
{
    struct core *core = owner;
    struct passage *passage;

    while ((passage = TAILQ_FIRST(&core->forward->queue)) && passage->end_ms <= core_now(core))
        passage_free(core, passage);
    if (passage)
        core_timer_set(core, &core->forward->timer, passage->end_ms);
}

static uint8_t *put(uint8_t *at, ProtobufCBinaryData *to, const ProtobufCBinaryData *from)
{
    to->len = from->len;
    to->data = at;
    if (from->len)
        memcpy(at, from->data, from->len);
    return at + from->len;
}

/* Those that are known to be down come last. */
static void sort_via(struct core *core, struct homes *via)
{
    struct homes sorted = {.count = 0};

    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < via->count; i++) {
            const struct member *member =
                via->home[i].has_node ? members_find(core, via->home[i].node) : NULL;
            if ((member && member->is_down) == (pass == 1))
                sorted.home[sorted.count++] = via->home[i];
        }
    *via = sorted;
}

static struct passage *passage_new(struct core *core, struct peer *client,
                                   const Sallyport__Route *route)
{
    struct forward *forward = core->forward;
    size_t bytes = route->to.len + route->sealed.len + route->key.len;
    struct passage *passage = core_alloc(sizeof *passage + bytes);

    passage->bytes = sizeof *passage + bytes;
    core->io.random(core->io.ctx, passage->id, sizeof passage->id);
    memcpy(passage->client_id, route->id.data, ROUTE_ID_BYTES);
    passage->client = client->link;
    homes_decode(&passage->via, route->via, route->n_via);
    sort_via(core, &passage->via);
    passage->end_ms = core_now(core) + PASSAGE_MS;
    sallyport__route__init(&passage->route);
    passage->route.id.data = passage->id;
    passage->route.id.len = ROUTE_ID_BYTES;
    uint8_t *at = put(passage->data, &passage->route.to, &route->to);
    at = put(at, &passage->route.sealed, &route->sealed);
    put(at, &passage->route.key, &route->key);
    passage->route.hops = route->hops + 1;

    HASH_ADD(hh, forward->by_id, id, ROUTE_ID_BYTES, passage);
    TAILQ_INSERT_TAIL(&forward->queue, passage, next);
    forward->bytes += passage->bytes;
    while (HASH_COUNT(forward->by_id) > PASSAGES_MAX || forward->bytes > PASSAGE_BYTES_MAX)
        passage_free(core, TAILQ_FIRST(&forward->queue));
    if (!forward->timer.place)
        core_timer_set(core, &forward->timer, passage->end_ms);
    return passage;
}

/* ---- the next home ----------------------------------------------------------------------------
 */

static int passage_send(struct passage *passage, struct peer *fellow)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;

    envelope.body_case = SALLYPORT__ENVELOPE__BODY_ROUTE;
    envelope.route = &passage->route;
    passage->fellow = fellow->link;
    passage->is_sent = true;
    return peer_send(fellow, &envelope);
}

/* A link to a supernode that we have none to, or know only from this message. */
static bool passage_dial(struct core *core, struct passage *passage, const struct home *home)
{
    struct member *member = home->has_node ? members_find(core, home->node) : NULL;
    struct host *host;

    passage->is_sent = false;
    if (member && member->is_down)
        return false; /* all know that */
    if (member) {
        struct peer *peer = pulse_dial(core, member);
        passage->fellow = peer ? peer->link : 0;
        return peer != NULL;
    }
    host = host_learn(core, home, false);
    if (!host || host->is_self)
        return false;
    if (!host->peer) {
        if (host->next_ms > core_now(core) ||
            !bucket_take(&core->forward->dials, core_now(core), DIALS_PER_S, DIALS_BURST))
            return false;
        attach_dial(core, host);
    }
    if (host->peer->role == &role_fellow)
        return passage_send(passage, host->peer) == 0;
    passage->fellow = host->peer->link;
    passage->is_sent = false;
    return true;
}

/* Sends to the next home that can be reached, or fails back. */
static void passage_step(struct core *core, struct passage *passage)
{
    while (passage->next_via < passage->via.count) {
        const struct home *home = &passage->via.home[passage->next_via++];
        struct peer *fellow = home->has_node ? fellow_find(core, home->node) : NULL;

        if (home->has_node && memcmp(home->node, core->self->node, OVERLAY_NODE_ID_BYTES) == 0)
            continue; /* it is not attached to us, or we were not here */
        if (fellow ? passage_send(passage, fellow) == 0 : passage_dial(core, passage, home))
            return;
        passage->some_unreachable = true;
    }
    send_failed(core, passage->client, passage->client_id,
                passage->some_unreachable ? SALLYPORT__ROUTE_FAILED__WHY__NO_LINK
                                          : SALLYPORT__ROUTE_FAILED__WHY__NOT_ATTACHED);
    passage_free(core, passage);
}

/* ---- frames -----------------------------------------------------------------------------------
 */

static bool is_sound(struct core *core, const Sallyport__Route *route)
{
    if (route->id.len == ROUTE_ID_BYTES && route->to.len == OVERLAY_NODE_ID_BYTES &&
        route->sealed.len > 0 && route->sealed.len <= SEALED_BYTES_MAX &&
        (route->key.len == 0 || route->key.len == KEY_HINT_BYTES) && route->n_via <= HOMES_MAX &&
        route->hops < HOPS_MAX)
        return true;
    core->malformed++;
    return false;
}

/* 0, -ENOENT: not our client, -ENOBUFS: it reads too slowly. */
static int send_to_client(struct core *core, const Sallyport__Route *route)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Route last = *route;
    struct peer *client = client_find(core, route->to.data);

    if (!client)
        return -ENOENT;
    last.hops = route->hops + 1;
    last.n_via = 0;
    last.via = NULL;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_ROUTE;
    envelope.route = &last;
    return peer_send(client, &envelope) == 0 ? 0 : -ENOBUFS;
}

void forward_on_route_of_client(struct core *core, struct peer *peer,
                                const Sallyport__Envelope *envelope)
{
    const Sallyport__Route *route = envelope->route;

    if (!is_sound(core, route))
        return;
    int result = send_to_client(core, route);
    if (result == -ENOBUFS)
        send_failed(core, peer->link, route->id.data, SALLYPORT__ROUTE_FAILED__WHY__BUSY);
    else if (result == -ENOENT)
        passage_step(core, passage_new(core, peer, route));
}

void forward_on_route_of_fellow(struct core *core, struct peer *peer,
                                const Sallyport__Envelope *envelope)
{
    const Sallyport__Route *route = envelope->route;

    if (!is_sound(core, route))
        return;
    int result = send_to_client(core, route);
    if (result)
        send_failed(core, peer->link, route->id.data,
                    result == -ENOBUFS ? SALLYPORT__ROUTE_FAILED__WHY__BUSY
                                       : SALLYPORT__ROUTE_FAILED__WHY__NOT_ATTACHED);
}

void forward_on_route_failed(struct core *core, struct peer *peer,
                             const Sallyport__Envelope *envelope)
{
    const Sallyport__RouteFailed *failed = envelope->route_failed;
    struct passage *passage;

    if (failed->id.len != ROUTE_ID_BYTES) {
        core->malformed++;
        return;
    }
    HASH_FIND(hh, core->forward->by_id, failed->id.data, ROUTE_ID_BYTES, passage);
    if (!passage || passage->fellow != peer->link)
        return;
    if (failed->why != SALLYPORT__ROUTE_FAILED__WHY__NOT_ATTACHED)
        passage->some_unreachable = true;
    passage_step(core, passage);
}

void forward_on_fellow_ready(struct core *core, core_link dialled, struct peer *peer)
{
    struct passage *passage, *after;

    for (passage = TAILQ_FIRST(&core->forward->queue); passage; passage = after) {
        after = TAILQ_NEXT(passage, next);
        if (passage->fellow == dialled && !passage->is_sent)
            passage_send(passage, peer);
    }
}

void forward_on_fellow_gone(struct core *core, core_link link)
{
    struct passage *passage, *after;

    for (passage = TAILQ_FIRST(&core->forward->queue); passage; passage = after) {
        after = TAILQ_NEXT(passage, next);
        if (passage->fellow == link) {
            passage->fellow = 0;
            passage->some_unreachable = true;
            passage_step(core, passage);
        }
    }
}

void forward_open(struct core *core)
{
    core->forward = core_alloc(sizeof *core->forward);
    TAILQ_INIT(&core->forward->queue);
    core_timer_init(&core->forward->timer, on_timer, core);
}

unsigned forward_count(const struct core *core)
{
    return HASH_COUNT(core->forward->by_id);
}

void forward_close(struct core *core)
{
    while (!TAILQ_EMPTY(&core->forward->queue))
        passage_free(core, TAILQ_FIRST(&core->forward->queue));
    core_timer_stop(core, &core->forward->timer);
    free(core->forward);
}
