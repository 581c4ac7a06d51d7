/* Which calls there are, whose they are, and which offers were seen. */
#include "overlay/call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CALLS_MAX 20000
/* Of one node, at once and per second. A gateway at full load stays below. */
#define CALLER_CALLS_MAX 5000
#define CALLER_OFFERS_PER_S 500
#define CALLER_OFFERS_BURST 1000
#define CALLERS_MAX 10000
/* An offer is refused by its time after 60 s; until then, either way, by this. */
#define RECENT_MS 150000
#define RECENTS_MAX 200000

struct caller {
    uint8_t node[OVERLAY_NODE_ID_BYTES];
    unsigned calls;
    struct bucket offers;
    UT_hash_handle hh;
};

struct recent {
    struct call_name name;
    uint64_t end_ms;
    TAILQ_ENTRY(recent) next;
    UT_hash_handle hh;
};

void call_id_text(const uint8_t id[CALL_ID_BYTES], char text[CALL_ID_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";

    for (int i = 0; i < CALL_ID_BYTES; i++) {
        text[2 * i] = digits[id[i] >> 4];
        text[2 * i + 1] = digits[id[i] & 15];
    }
    text[CALL_ID_LEN] = '\0';
}

struct overlay_call *call_find(struct core *core, const struct call_name *name)
{
    struct overlay_call *call;

    HASH_FIND(hh, core->calls->by_name, name, sizeof *name, call);
    return call;
}

struct overlay_call *call_find_key(struct core *core, const uint8_t hint[KEY_HINT_BYTES])
{
    struct overlay_call *call;

    HASH_FIND(hh_key, core->calls->by_key, hint, KEY_HINT_BYTES, call);
    return call;
}

struct overlay_call *call_add(struct core *core, const struct call_name *name,
                              enum call_state state)
{
    if (HASH_COUNT(core->calls->by_name) >= CALLS_MAX || call_find(core, name))
        return NULL;

    struct overlay_call *call = core_alloc(sizeof *call);
    call->core = core;
    call->name = *name;
    call_id_text(name->call, call->id);
    call->state = state;
    call->is_held = true;
    TAILQ_INIT(&call->waiting_events);
    call_message_init(call);
    call_fresh_key(core, call->our_public, call->our_secret);
    HASH_ADD(hh, core->calls->by_name, name, sizeof call->name, call);
    HASH_ADD(hh_key, core->calls->by_key, our_public, KEY_HINT_BYTES, call);
    return call;
}

void call_free(struct overlay_call *call)
{
    struct core *core = call->core;

    HASH_DELETE(hh, core->calls->by_name, call);
    HASH_DELETE(hh_key, core->calls->by_key, call);
    event_forget(call);
    call_drop_out(call);
    call_drop_early(call);
    while (!LIST_EMPTY(&call->routes))
        call_route_forget(core, LIST_FIRST(&call->routes));
    core_timer_stop(core, &call->state_timer);
    lookup_stop(&call->refresh);
    call_errand_free(call);
    if (call->has_path && core->io.path_release)
        core->io.path_release(core->io.ctx, call->path, call->ssrc_in);
    if (call->caller)
        caller_leave(call->caller);
    explicit_bzero(&call->keys, sizeof call->keys);
    explicit_bzero(call->our_secret, sizeof call->our_secret);
    free(call->our_path);
    free(call->far);
    free(call);
}

/* ---- replayed offers --------------------------------------------------------------------------
 */

static void recent_free(struct call_table *table, struct recent *recent)
{
    TAILQ_REMOVE(&table->recent_queue, recent, next);
    HASH_DELETE(hh, table->recents, recent);
    free(recent);
}

bool recent_find(struct core *core, const struct call_name *name)
{
    struct recent *recent;

    HASH_FIND(hh, core->calls->recents, name, sizeof *name, recent);
    return recent && recent->end_ms > core_now(core);
}

bool recent_add(struct core *core, const struct call_name *name)
{
    struct call_table *table = core->calls;
    struct recent *recent;

    while ((recent = TAILQ_FIRST(&table->recent_queue)) &&
           (recent->end_ms <= core_now(core) || HASH_COUNT(table->recents) >= RECENTS_MAX))
        recent_free(table, recent);
    HASH_FIND(hh, table->recents, name, sizeof *name, recent);
    if (recent)
        return false;
    recent = core_alloc(sizeof *recent);
    recent->name = *name;
    recent->end_ms = core_now(core) + RECENT_MS;
    TAILQ_INSERT_TAIL(&table->recent_queue, recent, next);
    HASH_ADD(hh, table->recents, name, sizeof recent->name, recent);
    return true;
}

void recent_close(struct core *core)
{
    while (!TAILQ_EMPTY(&core->calls->recent_queue))
        recent_free(core->calls, TAILQ_FIRST(&core->calls->recent_queue));
}

/* ---- limits per calling node -------------------------------------------------------------------
 */

/* Those without calls whose rate is as good as new are forgotten when the table is full. */
static void callers_tidy(struct core *core)
{
    struct caller *caller, *after;

    HASH_ITER(hh, core->calls->callers, caller, after)
    {
        if (caller->calls > 0 || caller->offers.full_us > 1000 * core_now(core))
            continue;
        HASH_DELETE(hh, core->calls->callers, caller);
        free(caller);
    }
}

int caller_admit(struct core *core, const uint8_t node[OVERLAY_NODE_ID_BYTES], struct caller **out)
{
    struct call_table *table = core->calls;
    struct caller *caller;

    HASH_FIND(hh, table->callers, node, OVERLAY_NODE_ID_BYTES, caller);
    if (!caller) {
        if (HASH_COUNT(table->callers) >= CALLERS_MAX)
            callers_tidy(core);
        if (HASH_COUNT(table->callers) >= CALLERS_MAX)
            return -EDQUOT;
        caller = core_alloc(sizeof *caller);
        memcpy(caller->node, node, OVERLAY_NODE_ID_BYTES);
        HASH_ADD(hh, table->callers, node, OVERLAY_NODE_ID_BYTES, caller);
    }
    if (caller->calls >= CALLER_CALLS_MAX)
        return -EDQUOT;
    if (!bucket_take(&caller->offers, core_now(core), CALLER_OFFERS_PER_S, CALLER_OFFERS_BURST))
        return -EBUSY;
    *out = caller;
    return 0;
}

void caller_take(struct caller *caller)
{
    caller->calls++;
}

void caller_leave(struct caller *caller)
{
    caller->calls--;
}

void caller_close(struct core *core)
{
    struct caller *caller, *after;

    HASH_ITER(hh, core->calls->callers, caller, after)
    {
        HASH_DELETE(hh, core->calls->callers, caller);
        free(caller);
    }
}
