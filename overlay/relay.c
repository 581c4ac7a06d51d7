/* The relay on the control thread: who may bind, and to which worker the connection goes. */
#include "overlay/relay.h"

#include "overlay/bind_wait.h"
#include "overlay/relay_admit.h"
#include "overlay/relay_tunnel.h"

#include "conf/log.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TUNNEL_KBIT_S 2000
#define IDLE_S 60
#define TUNNELS_MAX 2048
#define LOAD_MS 1000
#define TUNNELS_PER_SIGNER 512

struct relay {
    struct relay_settings settings;
    struct relay_worker *workers;
    int worker_count;
    struct bind_waits *waits;
    struct relay_admission admission;
    atomic_uint tunnel_count;
    uv_timer_t load_timer;
    atomic_uint load; /* per cent */
    uint64_t bytes;   /* forwarded, when the load was looked at last */
    int open;         /* workers that are not closed yet, the waits and the timer */
    void (*on_closed)(void *ctx);
    void *on_closed_ctx;
};

const struct relay_settings *relay_get_settings(const struct relay *relay)
{
    return &relay->settings;
}

unsigned relay_tunnel_count(const struct relay *relay)
{
    return atomic_load_explicit(&relay->tunnel_count, memory_order_relaxed);
}

int relay_worker_count(const struct relay *relay)
{
    return relay->worker_count;
}

unsigned relay_busy_ends(const struct relay *relay)
{
    unsigned sum = 0;

    for (int i = 0; i < relay->worker_count; i++)
        sum += atomic_load_explicit(&relay->workers[i].busy_ends, memory_order_relaxed);
    return sum;
}

unsigned relay_load(const struct relay *relay)
{
    return atomic_load_explicit(&relay->load, memory_order_relaxed);
}

uint64_t relay_figure(const struct relay *relay, enum relay_figure figure)
{
    uint64_t sum = 0;

    for (int i = 0; i < relay->worker_count; i++)
        sum += atomic_load_explicit(&relay->workers[i].figure[figure], memory_order_relaxed);
    return sum;
}

uint64_t relay_refused(const struct relay *relay, enum ticket_fault fault)
{
    return relay->admission.refused[fault];
}

static void let_go(void *ctx)
{
    struct relay *relay = ctx;

    if (--relay->open > 0)
        return;
    void (*on_closed)(void *) = relay->on_closed;
    void *closed_ctx = relay->on_closed_ctx;
    relay_admission_fini(&relay->admission);
    free(relay->workers);
    free(relay);
    if (on_closed)
        on_closed(closed_ctx);
}

/* ---- binding ----------------------------------------------------------------------------------
 */

/* Both ends of a tunnel must land on one worker; what names it is a hash. */
static struct relay_worker *worker_of(struct relay *relay, const uint8_t *tunnel)
{
    uint32_t number;

    memcpy(&number, tunnel, sizeof number);
    return &relay->workers[number % (uint32_t)relay->worker_count];
}

static void on_frame(void *ctx, struct bind_wait *wait, const uint8_t *frame, size_t bytes)
{
    struct relay *relay = ctx;
    struct relay_bind bind;
    struct relay_binder binder = {.bind = &bind,
                                  .bearer = bind_wait_peer(wait),
                                  .now_ms = uv_now(relay->settings.loop),
                                  .now_s = time(NULL)};
    struct relay_admitted admitted;
    enum ticket_fault fault = TICKET_MALFORMED;

    if (relay_bind_decode(frame, bytes, &bind) == 0)
        fault = relay_admit(&relay->admission, &binder, &admitted);
    else
        relay->admission.refused[fault]++;
    if (fault != TICKET_GOOD) {
        bind_wait_refuse(wait, ticket_fault_text(fault));
        return;
    }
    struct tls_stream *stream = bind_wait_take(wait);
    if (!stream) {
        relay_admission_end(&relay->admission, admitted.tunnel, 1);
        return;
    }
    struct relay_arrival *arrival = path_letter_new(sizeof *arrival, relay_worker_arrive);
    arrival->worker = worker_of(relay, admitted.tunnel);
    arrival->stream = stream;
    memcpy(arrival->tunnel, admitted.tunnel, sizeof arrival->tunnel);
    arrival->is_higher = admitted.is_higher;
    memcpy(arrival->serial, admitted.serial, sizeof arrival->serial);
    path_post_send(arrival->worker->to_worker, &arrival->letter);
}

void relay_take(struct relay *relay, struct tls_stream *stream, const struct certificate *peer)
{
    bind_waits_add(relay->waits, stream, peer);
}

void relay_revoke(struct relay *relay)
{
    trust_flush(&relay->admission.trust);
    for (int i = 0; i < relay->worker_count; i++) {
        struct relay_revoked *letter = path_letter_new(sizeof *letter, relay_worker_revoke);
        letter->worker = &relay->workers[i];
        path_post_send(letter->worker->to_worker, &letter->letter);
    }
}

/* ---- load -------------------------------------------------------------------------------------
 */

static void on_load_timer(uv_timer_t *timer)
{
    struct relay *relay = timer->data;
    const struct relay_settings *settings = &relay->settings;
    uint64_t bytes = relay_figure(relay, RELAY_BYTES), more = bytes - relay->bytes, load;

    relay->bytes = bytes;
    load = relay_admission_tunnels(&relay->admission) * 100ull / relay->admission.tunnels_max;
    if (settings->relay_kbit_s > 0) {
        uint64_t share = more * 8 * 100 / LOAD_MS / settings->relay_kbit_s;
        load = share > load ? share : load;
    }
    load = load < 100 ? load : 100;
    if (load == relay_load(relay))
        return;
    atomic_store_explicit(&relay->load, (unsigned)load, memory_order_relaxed);
    if (settings->on_load)
        settings->on_load(settings->ctx, (unsigned)load);
}

/* ---- life -------------------------------------------------------------------------------------
 */

static void start_worker(struct relay *relay, int index)
{
    const struct relay_settings *settings = &relay->settings;
    struct relay_worker *worker = &relay->workers[index];
    unsigned kbit_s = settings->tunnel_kbit_s ? settings->tunnel_kbit_s : TUNNEL_KBIT_S;

    worker->relay = relay;
    worker->index = index;
    worker->bytes_s = (uint64_t)kbit_s * 1000 / 8;
    worker->idle_ms = (settings->idle_s ? settings->idle_s : IDLE_S) * UINT64_C(1000);
    worker->tunnel_count = &relay->tunnel_count;
    worker->to_worker = path_post_open(settings->loop, settings->workers, index);
    worker->start.run = relay_worker_start;
    path_post_send(worker->to_worker, &worker->start);
}

int relay_open(const struct relay_settings *settings, struct relay **out)
{
    int count = settings->workers->count(settings->workers->ctx);
    struct relay *relay = calloc(1, sizeof *relay);
    struct bind_waits_settings waits = {.loop = settings->loop,
                                        .what = "relay",
                                        .on_frame = on_frame,
                                        .refusal = relay_refused_encode,
                                        .ctx = relay};

    if (!relay || !(relay->workers = calloc((size_t)count, sizeof *relay->workers)) ||
        bind_waits_open(&waits, &relay->waits) < 0) {
        if (relay)
            free(relay->workers);
        free(relay);
        return -ENOMEM;
    }
    relay->settings = *settings;
    relay->worker_count = count;
    relay->admission.node = identity_certificate(settings->identity)->node;
    relay->admission.tunnels_max = settings->tunnels_max ? settings->tunnels_max : TUNNELS_MAX;
    relay->admission.tunnels_per_signer = TUNNELS_PER_SIGNER;
    trust_init(&relay->admission.trust, settings->identity);
    for (int i = 0; i < count; i++)
        start_worker(relay, i);
    uv_timer_init(settings->loop, &relay->load_timer);
    relay->load_timer.data = relay;
    uv_timer_start(&relay->load_timer, on_load_timer, LOAD_MS, LOAD_MS);
    *out = relay;
    return 0;
}

void relay_on_gone(struct path_letter *letter)
{
    struct relay_gone *gone = (struct relay_gone *)letter;

    relay_admission_end(&gone->relay->admission, gone->tunnel, gone->connections);
    free(gone);
}

void relay_on_stopped(struct path_letter *letter)
{
    struct relay_worker *worker =
        (struct relay_worker *)((char *)letter - offsetof(struct relay_worker, stop));

    let_go(worker->relay);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct relay *relay = handle->data;

    log_debug(LOG_OVERLAY, NULL,
              "relay: %llu packets, dropped: %llu over the cap, %llu without another end, %llu "
              "late, %llu of unknown channels",
              (unsigned long long)relay_figure(relay, RELAY_PACKETS),
              (unsigned long long)relay_figure(relay, RELAY_OVER_CAP),
              (unsigned long long)relay_figure(relay, RELAY_MISSING),
              (unsigned long long)relay_figure(relay, RELAY_LATE),
              (unsigned long long)relay_figure(relay, RELAY_UNKNOWN));
    let_go(relay);
}

void relay_leave(struct relay *relay)
{
    for (int i = 0; i < relay->worker_count; i++) {
        struct relay_worker *worker = &relay->workers[i];
        worker->leave.run = relay_worker_leave;
        path_post_send(worker->to_worker, &worker->leave);
    }
}

void relay_close(struct relay *relay, void (*on_closed)(void *ctx), void *ctx)
{
    relay->on_closed = on_closed;
    relay->on_closed_ctx = ctx;
    relay->open = relay->worker_count + 2;
    uv_close((uv_handle_t *)&relay->load_timer, on_timer_closed);
    for (int i = 0; i < relay->worker_count; i++) {
        struct relay_worker *worker = &relay->workers[i];
        worker->stop.run = relay_worker_stop;
        path_post_send(worker->to_worker, &worker->stop);
        path_post_close(worker->to_worker);
    }
    bind_waits_close(relay->waits, let_go, relay);
}
