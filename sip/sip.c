/* Starting, stopping, and what the gateway may ask. */
#include "sip/call.h"
#include "sip/core.h"
#include "sip/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sofia-sip/nta_tag.h>
#include <sofia-sip/su.h>
#include <sofia-sip/su_tag.h>

#define SWEEP_MS 1000

uint64_t sip_now_ms(void)
{
    return uv_hrtime() / 1000000;
}

void sip_timer_start(struct sip *sip, uv_timer_t *timer, uv_timer_cb cb, uint64_t ms)
{
    uv_update_time(sip->loop);
    uv_timer_start(timer, cb, ms, 0);
    uv_async_send(&sip->wake);
}

static void on_wake(uv_async_t *wake)
{
    sip_event_deliver(wake->data);
}

static void on_expired(void *ctx, const char *phone)
{
    event_post_gone(ctx, phone, "it did not register again");
}

/* nta answers or drops what it cannot parse by itself; it only counts. */
static void watch_malformed(struct sip *sip)
{
    usize_t bad = 0;
    uint64_t count;

    nta_agent_get_stats(sip->agent.nta, NTATAG_S_BAD_MESSAGE_REF(bad), TAG_END());
    if (bad <= sip->parse_errors)
        return;
    sip->counters.malformed += bad - sip->parse_errors;
    sip->parse_errors = bad;
    if (log_limit(&sip->malformed_limit, sip_now_ms(), &count))
        log_warn(LOG_SIP, NULL, "malformed messages refused (%llu so far)",
                 (unsigned long long)sip->counters.malformed);
}

static void on_sweep(uv_timer_t *timer)
{
    struct sip *sip = timer->data;

    registrar_expire(sip->registrar, sip_now_ms(), on_expired, sip);
    watch_malformed(sip);
}

static void on_binding_saved(void *ctx, const char *phone, const struct binding *b)
{
    struct sip *sip = ctx;
    uint64_t now = sip_now_ms();

    if (sip->store)
        store_save(sip->store, phone, b, b->expires_ms > now ? b->expires_ms - now : 0);
}

static void on_binding_removed(void *ctx, const char *phone, const struct binding *b)
{
    struct sip *sip = ctx;

    if (sip->store)
        store_remove(sip->store, phone, b->contact);
}

/* A phone that is no longer in the settings is forgotten. */
static void on_binding_loaded(void *ctx, const char *id, struct binding *b)
{
    struct sip *sip = ctx;
    const struct conf_phone *phone = conf_phone_find(sip->conf, id);

    b->expires_ms += sip_now_ms();
    if (phone)
        registrar_bind(sip->registrar, id, b, phone->max_contacts);
}

static const struct registrar_sink sink = {on_binding_saved, on_binding_removed};

static int parts_open(struct sip *sip)
{
    int err = auth_init(&sip->auth, sip->conf);

    if (err)
        return err;
    sip->registrar = registrar_new(&sink, sip);
    if (!sip->registrar)
        return -ENOMEM;
    err = agent_open(sip);
    if (!err)
        err = stream_open(sip, &sip->stream);
    if (!err && sip->conf->sip.registrations)
        err = store_open(sip->conf->sip.registrations, on_binding_loaded, sip, &sip->store);
    return err;
}

static void parts_close(struct sip *sip)
{
    store_close(sip->store);
    sip->store = NULL;
    agent_close(sip);
    registrar_free(sip->registrar);
    auth_fini(&sip->auth);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct sip *sip = handle->data;

    sip->handles--;
    sip_closing_step(sip);
}

static void handles_open(struct sip *sip)
{
    uv_async_init(sip->loop, &sip->wake, on_wake);
    uv_timer_init(sip->loop, &sip->sweep);
    sip->wake.data = sip->sweep.data = sip;
    uv_timer_start(&sip->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
}

int sip_open(uv_loop_t *loop, struct su_root_t *root, const struct conf *conf,
             const struct sip_events *events, void *ctx, struct sip **out)
{
    struct sip *sip = calloc(1, sizeof *sip);
    int err;

    if (!sip)
        return -ENOMEM;
    sip->loop = loop;
    sip->root = root;
    sip->conf = conf;
    sip->events = events;
    sip->ctx = ctx;
    TAILQ_INIT(&sip->queue);
    LIST_INIT(&sip->calls);
    handles_open(sip);
    err = parts_open(sip);
    if (err) {
        sip_close(sip, NULL, NULL);
        return err;
    }
    *out = sip;
    return 0;
}

/* First the calls and the connections go, then the agent (its last BYEs are sent by then), then the
 * two handles of our own. */
void sip_closing_step(struct sip *sip)
{
    if (!sip->closing || sip->handles || !LIST_EMPTY(&sip->calls))
        return;
    if (sip->stream) {
        struct stream *stream = sip->stream;

        sip->stream = NULL;
        sip->handles++;
        stream_close(stream);
        return;
    }
    if (!sip->parts_closed) {
        sip->parts_closed = true;
        parts_close(sip);
        sip->handles += 2;
        uv_close((uv_handle_t *)&sip->wake, on_handle_closed);
        uv_close((uv_handle_t *)&sip->sweep, on_handle_closed);
        return;
    }
    event_clear(sip);
    if (sip->on_closed)
        sip->on_closed(sip->on_closed_ctx);
    free(sip);
}

void sip_close(struct sip *sip, void (*on_closed)(void *ctx), void *ctx)
{
    struct call_cause cause = call_cause(CALL_NORMAL, "Shutting down");
    struct sip_call *call, *next;

    sip->closing = true;
    sip->on_closed = on_closed;
    sip->on_closed_ctx = ctx;
    sip->handles++; /* so that nothing is closed before this loop is through */
    for (call = LIST_FIRST(&sip->calls); call; call = next) {
        next = LIST_NEXT(call, entry);
        if (call->state != CALL_STATE_GONE)
            sip_call_close(call, &cause);
    }
    sip->handles--;
    sip_closing_step(sip);
}

/* ---- state ---- */

struct each_binding {
    void (*each)(void *ctx, const struct sip_binding *binding);
    void *ctx;
};

static void on_each(void *ctx, const char *phone, const struct binding *b)
{
    const struct each_binding *to = ctx;
    uint64_t now = sip_now_ms();
    struct sip_binding binding = {
        .phone = phone,
        .contact = b->contact,
        .user_agent = b->user_agent,
        .source = b->flow.remote,
        .transport = b->flow.transport,
        .expires_s = b->expires_ms > now ? (int)((b->expires_ms - now) / 1000) : 0,
    };

    to->each(to->ctx, &binding);
}

void sip_each_binding(struct sip *sip, void (*each)(void *ctx, const struct sip_binding *binding),
                      void *ctx)
{
    registrar_each(sip->registrar, on_each, &(struct each_binding){each, ctx});
}

void sip_counters(const struct sip *sip, struct sip_counters *counters)
{
    *counters = sip->counters;
    counters->bindings = registrar_total(sip->registrar);
    counters->connections = sip->stream ? stream_count(sip->stream) : 0;
}
