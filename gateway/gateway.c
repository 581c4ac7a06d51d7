/* Starts the parts, hands their events to the calls, stops the parts. */
#include "gateway/gateway.h"

#include "gateway/admin.h"
#include "gateway/call_note.h"

#include "conf/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define ATTACH_MS 5000

/* ---- media's workers, as the overlay may use them ----------------------------------------------
 */

static int workers_count(void *ctx)
{
    return media_worker_count(ctx);
}

static int workers_pick(void *ctx)
{
    return media_worker_pick(ctx);
}

static uv_loop_t *workers_loop(void *ctx, int worker)
{
    return media_worker_loop(ctx, worker);
}

static int workers_post(void *ctx, int worker, void (*fn)(void *arg), void *arg)
{
    return media_post(ctx, worker, fn, arg);
}

/* ---- events of the parts ------------------------------------------------------------------------
 */

static void on_attached(void *ctx, const char *supernode)
{
    struct gateway *gateway = ctx;
    if (gateway->is_stopping)
        return; /* too late: no call may start */
    log_info(LOG_GATEWAY, NULL, "%s is attached to %s", overlay_site(gateway->overlay), supernode);
    if (gateway->client && gateway->client->on_attached)
        gateway->client->on_attached(gateway->client->ctx);
}

static void on_detached(void *ctx, const char *why)
{
    (void)ctx;
    log_warn(LOG_GATEWAY, NULL, "no supernode: %s; calls inside the site go on", why);
}

static void on_offer(void *ctx, struct overlay_call *call, const struct overlay_offer *offer)
{
    call_from_peer(ctx, call, offer);
}

static const struct overlay_events overlay_events = {on_attached, on_detached, on_offer};

static void on_invite(void *ctx, struct sip_call *call, const struct sip_invite *invite)
{
    call_from_phone(ctx, call, invite);
}

static void on_registration(void *ctx, const char *phone, int contacts)
{
    struct gateway *gateway = ctx;
    if (contacts)
        history_drop_registration(&gateway->history, phone);
    if (contacts)
        log_debug(LOG_GATEWAY, NULL, "phone %s is registered (%d %s)", phone, contacts,
                  contacts == 1 ? "contact" : "contacts");
    else
        log_debug(LOG_GATEWAY, NULL, "phone %s is gone", phone);
}

static void on_refused(void *ctx, const struct sip_refused *refused)
{
    struct gateway *gateway = ctx;
    if (refused->is_registration)
        history_add_registration(&gateway->history, refused, uv_now(gateway->uv));
    else
        history_add_refused(&gateway->history, refused, uv_now(gateway->uv));
}

static const struct sip_events sip_events = {
    .on_invite = on_invite,
    .on_registration = on_registration,
    .on_refused = on_refused,
};

/* ---- start
 * ---------------------------------------------------------------------------------------- */

static void on_not_attached(uv_timer_t *timer)
{
    struct gateway *gateway = timer->data;
    struct overlay_status status;
    if (!gateway->overlay || overlay_is_attached(gateway->overlay))
        return;
    overlay_status(gateway->overlay, &status);
    log_warn(LOG_GATEWAY, NULL, "no supernode yet: %s; trying on, calls inside the site go on",
             *status.last_error ? status.last_error : "no answer");
}

static void on_signal(uv_signal_t *handle, int number)
{
    log_info(LOG_GATEWAY, NULL, "%s: stopping", number == SIGINT ? "interrupted" : "terminated");
    gateway_stop(handle->data);
}

static void open_signals(struct gateway *gateway)
{
    static const int numbers[] = {SIGINT, SIGTERM};
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < 2; i++) {
        uv_signal_init(gateway->uv, &gateway->signals[i]);
        gateway->signals[i].data = gateway;
        uv_signal_start(&gateway->signals[i], on_signal, numbers[i]);
    }
}

static int open_overlay(struct gateway *gateway)
{
    gateway->workers = (struct overlay_workers){
        .ctx = gateway->media,
        .count = workers_count,
        .pick = workers_pick,
        .loop = workers_loop,
        .post = workers_post,
    };
    char why[256] = "";
    int err = overlay_open(gateway->uv, gateway->conf, &gateway->workers, &overlay_events, gateway,
                           &gateway->overlay, why, sizeof why);
    if (err)
        log_error(LOG_GATEWAY, NULL, "overlay: %s", *why ? why : strerror(-err));
    return err;
}

/* The folder of bindings and learnt supernodes, made when it is not there. */
static int make_state_dir(const char *path)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return 0;
    int err = -errno;
    log_error(LOG_GATEWAY, NULL, "state_dir: %s cannot be made: %s", path, strerror(-err));
    return err;
}

static int open_parts(struct gateway *gateway)
{
    const struct conf *conf = gateway->conf;
    int err = gateway->client ? 0 : make_state_dir(conf->state_dir);
    if (err)
        return err;
    err = media_open(gateway->uv, &conf->media, &gateway->media);
    if (err) {
        log_error(LOG_GATEWAY, NULL, "media workers cannot start: %s", strerror(-err));
        return err;
    }
    if (conf->realm.enrolment && (err = open_overlay(gateway)) != 0)
        return err;
    if (conf->sip.listen_count > 0 && !gateway->client) {
        err = sip_open(gateway->uv, loop_root(gateway->loop), conf, &sip_events, gateway,
                       &gateway->sip);
        if (err)
            return err; /* said why */
    }
    if (conf->admin.listen.ss_family && !gateway->client)
        err = admin_open(gateway, &gateway->admin);
    return err;
}

/* Each node, phone and call costs descriptors, and the usual limit of 1024 is for programs that use
 * select(), which we do not. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_warn(LOG_GATEWAY, NULL, "the limit of open files cannot be raised: %s",
                 strerror(errno));
}

int gateway_open(struct gateway *gateway, const struct conf *conf,
                 const struct gateway_client *client)
{
    *gateway = (struct gateway){.conf = conf, .client = client};
    TAILQ_INIT(&gateway->calls);
    raise_descriptor_limit();
    int err = loop_open(&gateway->loop);
    if (err) {
        log_error(LOG_GATEWAY, NULL, "event loop: %s", strerror(-err));
        return err;
    }
    gateway->uv = loop_uv(gateway->loop);
    gateway->started_ms = uv_now(gateway->uv);
    open_signals(gateway);
    uv_timer_init(gateway->uv, &gateway->attach_timer);
    gateway->attach_timer.data = gateway;
    uv_timer_start(&gateway->attach_timer, on_not_attached, ATTACH_MS, 0);
    err = open_parts(gateway);
    if (err) {
        gateway_stop(gateway);
        gateway_run(gateway);
    }
    return err;
}

/* ---- stop: calls, sip, overlay, admin, media, loop
 * -------------------------------------------------- */

static void on_media_closed(void *ctx)
{
    struct gateway *gateway = ctx;
    gateway->media = NULL;
    for (int i = 0; i < 2; i++)
        uv_close((uv_handle_t *)&gateway->signals[i], NULL);
    uv_close((uv_handle_t *)&gateway->attach_timer, NULL);
    loop_stop(gateway->loop);
}

static void on_overlay_closed(void *ctx)
{
    struct gateway *gateway = ctx;
    if (gateway->admin)
        admin_close(gateway->admin);
    gateway->admin = NULL;
    if (gateway->media)
        media_close(gateway->media, on_media_closed, gateway);
    else
        on_media_closed(gateway);
}

static void on_sip_closed(void *ctx)
{
    struct gateway *gateway = ctx;
    struct overlay *overlay = gateway->overlay;
    gateway->overlay = NULL;
    if (overlay)
        overlay_close(overlay, on_overlay_closed, gateway);
    else
        on_overlay_closed(gateway);
}

/* A part that closes is half gone already: nobody, such as the admin API, may ask it any more. */
static void stop_parts(struct gateway *gateway)
{
    if (gateway->call_count > 0 || gateway->has_stopped_parts)
        return;
    gateway->has_stopped_parts = true;
    struct sip *sip = gateway->sip;
    gateway->sip = NULL;
    if (sip)
        sip_close(sip, on_sip_closed, gateway);
    else
        on_sip_closed(gateway);
}

void gateway_stop(struct gateway *gateway)
{
    if (gateway->is_stopping)
        return;
    gateway->is_stopping = true;
    if (gateway->client && gateway->client->on_stop)
        gateway->client->on_stop(gateway->client->ctx);
    struct call *call = TAILQ_FIRST(&gateway->calls), *next;
    for (; call; call = next) {
        next = TAILQ_NEXT(call, link);
        struct call_cause cause = call_cause(CALL_NORMAL, "Gateway is stopping");
        call_end(call, &cause);
    }
    stop_parts(gateway);
}

int gateway_run(struct gateway *gateway)
{
    loop_run(gateway->loop);
    loop_close(gateway->loop);
    gateway->loop = NULL;
    history_fini(&gateway->history);
    return 0;
}

/* ---- what is kept of a call
 * -------------------------------------------------------------------------- */

static void log_end(const struct call *call, const struct call_summary *summary)
{
    const struct media_stats *stats = summary->stats;
    log_info(LOG_GATEWAY, call->id, "ended: %s%s%s", call_reason_name(summary->cause.reason),
             *summary->cause.text ? ", " : "", summary->cause.text);
    if (!call->answered_ms)
        return;
    for (int side = 0; side < 2; side++)
        log_info(LOG_GATEWAY, call->id,
                 "%s (%s): %llu packets in, %llu out, %llu lost, %llu late, %llu rejected",
                 side == 0 ? summary->from : summary->to, summary->codecs[side],
                 (unsigned long long)stats[side].packets_in,
                 (unsigned long long)stats[side].packets_out, (unsigned long long)stats[side].lost,
                 (unsigned long long)stats[side].late, (unsigned long long)stats[side].rejected);
}

void gateway_call_gone(struct gateway *gateway, struct call *call)
{
    char diagnosis[DIAGNOSIS_MAX];
    call_note_figures(call);
    call_diagnose(call, diagnosis);
    const struct call_summary *summary = history_add(&gateway->history, call, diagnosis);
    log_end(call, summary);
    TAILQ_REMOVE(&gateway->calls, call, link);
    gateway->call_count--;
    if (gateway->client && gateway->client->on_call_end)
        gateway->client->on_call_end(gateway->client->ctx, summary);
    if (gateway->is_stopping)
        stop_parts(gateway);
}
