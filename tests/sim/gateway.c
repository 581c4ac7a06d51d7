/* The gateway of a simulated node: follows its plan, counts what it hears. */
#include "tests/sim/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_attached(void *ctx, const char *supernode)
{
    struct sim_node *node = ctx;

    (void)supernode;
    sim_check(node->world, !node->is_told_attached);
    node->is_told_attached = true;
    node->world->attached_count++;
    node->attached++;
}

static void on_detached(void *ctx, const char *why)
{
    struct sim_node *node = ctx;

    sim_check(node->world, node->is_told_attached);
    node->is_told_attached = false;
    node->world->attached_count--;
    node->detached++;
    snprintf(node->why, sizeof node->why, "%s", why);
}

/* ---- what is heard ----------------------------------------------------------------------------
 */

static void on_ringing(void *ctx)
{
    struct sim_call *call = ctx;

    sim_check(call->node->world, call->call && call->is_outgoing);
    call->rings++;
    call->rang_ms = call->node->world->now_ms;
}

static void on_media(void *ctx, const struct overlay_media *media)
{
    struct sim_call *call = ctx;

    sim_check(call->node->world, call->call);
    call->medias++;
    call->codec = media->codec;
    call->direction = media->direction;
    call->is_early = media->is_early;
}

static void on_answer(void *ctx)
{
    struct sim_call *call = ctx;
    struct overlay_port port;
    void *path;

    sim_check(call->node->world, call->call && call->is_outgoing && call->medias > 0);
    sim_check(call->node->world, core_call_media(call->call, &path, &port) == 0);
    call->answers++;
    call->answered_ms = call->node->world->now_ms;
}

static void on_digit(void *ctx, char digit, int duration_ms)
{
    struct sim_call *call = ctx;
    size_t length = strlen(call->digits);

    sim_check(call->node->world, call->call && duration_ms >= 40);
    if (length + 1 < sizeof call->digits)
        call->digits[length] = digit;
}

static void on_end(void *ctx, const struct call_cause *cause)
{
    struct sim_call *call = ctx;

    sim_check(call->node->world, call->call);
    call->ends++;
    call->call = NULL;
    call->cause = *cause;
    call->ended_ms = call->node->world->now_ms;
}

static const struct overlay_call_events call_events = {
    .on_ringing = on_ringing,
    .on_media = on_media,
    .on_answer = on_answer,
    .on_digit = on_digit,
    .on_end = on_end,
};

/* ---- what is done -----------------------------------------------------------------------------
 */

static bool is_alive(const struct sim_call *call)
{
    return call->call && call->node->core && call->epoch == call->node->epoch;
}

/* What was planned for this time may come too late. */
static bool is_its_turn(struct sim_call *call)
{
    call->planned--;
    return is_alive(call);
}

static struct sim_call *call_new(struct sim_node *node)
{
    struct sim_call *call = calloc(1, sizeof *call);

    if (!call)
        abort();
    call->node = node;
    call->epoch = node->epoch;
    call->start_ms = node->world->now_ms;
    call->plan = node->plan;
    return call;
}

/* Its id is known. */
static void add(struct sim_call *call)
{
    struct world *world = call->node->world;
    struct sim_call **by_id = call->is_outgoing ? &world->outgoing : &world->incoming, *other;

    STAILQ_INSERT_TAIL(&world->calls, call, next);
    STAILQ_INSERT_TAIL(&call->node->calls, call, of_node);
    HASH_FIND_STR(*by_id, call->id, other);
    if (!other) /* of two gateways with the same offer, the first */
        HASH_ADD_STR(*by_id, id, call);
}

static void act_accept(void *arg)
{
    struct sim_call *call = arg;

    if (is_its_turn(call))
        overlay_call_accept(call->call, &call_events, call);
}

static void act_ring(void *arg)
{
    struct sim_call *call = arg;

    if (is_its_turn(call))
        overlay_call_ring(call->call);
}

static struct overlay_media chosen(const struct sim_call *call)
{
    return (struct overlay_media){
        .codec = call->codec, .direction = MEDIA_SENDRECV, .ptime_ms = 20};
}

static void act_progress(void *arg)
{
    struct sim_call *call = arg;
    struct overlay_media media = chosen(call);

    if (is_its_turn(call))
        overlay_call_progress(call->call, &media);
}

static void act_answer(void *arg)
{
    struct sim_call *call = arg;
    struct overlay_media media = chosen(call);

    if (is_its_turn(call) && overlay_call_answer(call->call, &media) == 0)
        call->answered_ms = call->node->world->now_ms;
}

static void act_end(void *arg)
{
    struct sim_call *call = arg;

    if (is_its_turn(call))
        sim_call_end(call, call->plan.reason);
}

static void plan(struct sim_call *call, uint64_t ms, void (*act)(void *arg))
{
    if (ms == SIM_NEVER)
        return;
    call->planned++;
    world_at(call->node->world, ms, act, call);
}

static void on_offer(void *ctx, struct overlay_call *from, const struct overlay_offer *offer)
{
    struct sim_node *node = ctx;
    struct sim_call *call = call_new(node);

    call->call = from;
    call->offers = 1;
    call->codec = offer->codecs.codec[0];
    call->direction = offer->direction;
    snprintf(call->id, sizeof call->id, "%s", offer->call_id);
    snprintf(call->caller, sizeof call->caller, "%s", offer->caller);
    snprintf(call->caller_site, sizeof call->caller_site, "%s", offer->caller_site);
    snprintf(call->dialled, sizeof call->dialled, "%s", offer->dialled);
    add(call);
    if (call->plan.accept_ms == 0)
        overlay_call_accept(call->call, &call_events, call);
    else
        plan(call, call->plan.accept_ms, act_accept);
    plan(call, call->plan.ring_ms, act_ring);
    plan(call, call->plan.progress_ms, act_progress);
    plan(call, call->plan.answer_ms, act_answer);
    plan(call, call->plan.end_ms, act_end);
}

const struct overlay_events sim_gateway = {
    .on_attached = on_attached,
    .on_detached = on_detached,
    .on_offer = on_offer,
};

/* ---- calls ------------------------------------------------------------------------------------
 */

struct sim_call *sim_call_new(struct sim_node *node, const char *to, int *error)
{
    struct sim_call *call = call_new(node);
    struct overlay_call_request request = {
        .call_id = call->id,
        .to = to,
        .caller = "201",
        .caller_name = "Reception",
        .codecs = {.codec = {CODEC_OPUS, CODEC_PCMA}, .count = 2},
        .direction = MEDIA_SENDRECV,
    };

    snprintf(call->id, sizeof call->id, "%016llx",
             (unsigned long long)(node->world->seed << 32 | ++node->world->call_count));
    call->is_outgoing = true;
    *error = core_call_new(node->core, &request, &call_events, call, &call->call);
    if (*error < 0) {
        free(call);
        return NULL;
    }
    add(call);
    return call;
}

void sim_call_end(struct sim_call *call, enum call_reason reason)
{
    struct call_cause cause = call_cause(reason, NULL);
    struct overlay_call *dead = call->call;

    call->call = NULL; /* any event from now on is one too many */
    call->is_ended_here = true;
    call->ended_ms = call->node->world->now_ms;
    overlay_call_end(dead, &cause);
}

struct sim_call *sim_call_far(struct world *world, const struct sim_call *call)
{
    struct sim_call *other;

    HASH_FIND_STR(call->is_outgoing ? world->incoming : world->outgoing, call->id, other);
    return other;
}

void calls_forget(struct sim_node *node)
{
    struct sim_call *call;

    STAILQ_FOREACH(call, &node->calls, of_node)
    call->call = NULL;
}

static void call_free(struct world *world, struct sim_call *call)
{
    STAILQ_REMOVE(&call->node->calls, call, sim_call, of_node);
    if (call->hh.tbl && call->is_outgoing)
        HASH_DEL(world->outgoing, call);
    else if (call->hh.tbl)
        HASH_DEL(world->incoming, call);
    free(call);
}

void world_forget_calls(struct world *world)
{
    struct sim_calls kept = STAILQ_HEAD_INITIALIZER(kept);
    struct sim_call *call;

    while ((call = STAILQ_FIRST(&world->calls))) {
        STAILQ_REMOVE_HEAD(&world->calls, next);
        if (call->call || call->planned)
            STAILQ_INSERT_TAIL(&kept, call, next);
        else
            call_free(world, call);
    }
    STAILQ_CONCAT(&world->calls, &kept);
}

void calls_free(struct world *world)
{
    struct sim_call *call;

    while ((call = STAILQ_FIRST(&world->calls))) {
        STAILQ_REMOVE_HEAD(&world->calls, next);
        call_free(world, call);
    }
}
