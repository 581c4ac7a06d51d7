/* The call's one state machine:
 *
 *              route found, B is called         B rings
 *     NEW ───────────────▶ CALLING ───────────────▶ RINGING
 *      │                      │ B answers              │ B answers
 *      │ service, no B        ├──────────▶ UP ◀────────┤
 *      ├──────────────────────┼──────────▶ │           │
 *      ▼                      ▼            ▼           ▼
 *   ENDING ◀──────── either end hangs up, an error, a timeout
 *
 * ENDING lasts until the media has stopped; then the call frees itself. */
#include "gateway/call_note.h"

#include "conf/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

static const bool allowed[][5] = {
    /* from \ to             NEW    CALLING RINGING UP     ENDING */
    [CALL_STATE_NEW] = {false, true, false, true, true},
    [CALL_STATE_CALLING] = {false, false, true, true, true},
    [CALL_STATE_RINGING] = {false, false, false, true, true},
    [CALL_STATE_UP] = {false, false, false, false, true},
    [CALL_STATE_ENDING] = {false, false, false, false, false},
};

const char *call_state_name(enum call_state state)
{
    static const char *const names[] = {"new", "calling", "ringing", "up", "ending"};
    return names[state];
}

/* The only place where a call changes its state. false: not allowed now, nothing changed. */
static bool set_state(struct call *call, enum call_state state, const char *why)
{
    if (!allowed[call->state][state])
        return false;
    log_debug(LOG_GATEWAY, call->id, "%s -> %s: %s", call_state_name(call->state),
              call_state_name(state), why);
    call->state = state;
    return true;
}

static void end_with(struct call *call, enum call_reason reason, const char *text)
{
    struct call_cause cause = call_cause(reason, text);
    call_end(call, &cause);
}

/* ---- birth ------------------------------------------------------------------------------------
 */

static void on_no_answer(uv_timer_t *timer)
{
    end_with(timer->data, CALL_NO_ANSWER, "No answer");
}

void call_make_id(char id[CALL_ID_LEN + 1])
{
    uint8_t bytes[CALL_ID_LEN / 2];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        abort(); /* cannot happen for 8 bytes once the kernel has booted */
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(id + 2 * i, 3, "%02x", bytes[i]);
}

static struct call *new_call(struct gateway *gateway, const char *id)
{
    struct call *call = calloc(1, sizeof *call);
    if (!call)
        return NULL;
    call->gateway = gateway;
    call->ended_by = -1;
    if (id)
        snprintf(call->id, sizeof call->id, "%s", id);
    else
        call_make_id(call->id);
    for (int side = 0; side < 2; side++) {
        call->legs[side].call = call;
        call->legs[side].side = (enum media_side)side;
    }
    uv_update_time(gateway->uv);
    call->created_ms = uv_now(gateway->uv);
    call->created_s = time(NULL);
    uv_timer_init(gateway->uv, &call->timer);
    call->timer.data = call;
    /* A little more than the phones' own ring timeout, which gives the better cause. */
    uint64_t limit_ms = ((uint64_t)gateway->conf->sip.ring_timeout_s + 5) * 1000;
    uv_timer_start(&call->timer, on_no_answer, limit_ms, 0);
    TAILQ_INSERT_TAIL(&gateway->calls, call, link);
    gateway->call_count++;
    gateway->calls_total++;
    return call;
}

/* ---- finding B --------------------------------------------------------------------------------
 */

/* What a failed start means to the caller. */
static struct call_cause start_failure(int err, const struct route_result *route)
{
    switch (err) {
    case -ENOENT:
        return call_cause(CALL_NOT_FOUND, "No such number");
    case -ENOTCONN:
        if (route->target == CONF_TO_PHONE)
            return call_cause(CALL_UNAVAILABLE, "Phone is not registered");
        return call_cause(CALL_NO_SUPERNODE, "No supernode reachable");
    case -EINVAL:
        return call_cause(CALL_NOT_FOUND, "Not an overlay address");
    case -EADDRINUSE:
        return call_cause(CALL_CONGESTION, "No RTP port free");
    default:
        return call_cause(CALL_FAILURE, "Call could not be started");
    }
}

static void start_b(struct call *call, const struct route_result *route,
                    const struct leg_caller *caller)
{
    struct gateway *gateway = call->gateway;
    struct leg *b = &call->legs[MEDIA_B];
    int err = 0;
    if (route->target == CONF_TO_SERVICE) {
        leg_echo_start(b);
        call_leg_answered(b);
        return;
    }
    if (route->target == CONF_TO_PHONE)
        err = leg_sip_start(b, route->to, caller, &gateway->conf->media.codecs);
    else
        err = leg_peer_start(b, route->to, caller, &gateway->conf->media.peer_codecs);
    if (err) {
        struct call_cause cause = start_failure(err, route);
        call_note(call, JOURNAL_CALL, "failed", "%s cannot be called: %s", route->to, cause.text);
        call_end(call, &cause);
        return;
    }
    set_state(call, CALL_STATE_CALLING, route->route);
}

static void route_call(struct call *call, const struct route_query *query,
                       const struct leg_caller *caller)
{
    struct route_result route = {.route = ""};
    int err = route_find(call->gateway->conf, query, &route);
    if (err) {
        call_note(call, JOURNAL_ROUTE, "none", "no phone, route or number prefix matches %s",
                  query->dialled);
        log_info(LOG_GATEWAY, call->id, "%s calls %s: nothing by that name", call->legs[0].name,
                 query->dialled);
        snprintf(call->legs[MEDIA_B].name, LEG_NAME_MAX, "%s", query->dialled);
        end_with(call, CALL_NOT_FOUND, "No such number");
        return;
    }
    log_info(LOG_GATEWAY, call->id, "%s calls %s: %s (%s)", call->legs[0].name, query->dialled,
             route.to, route.route);
    call_note_route(call, query, &route);
    start_b(call, &route, caller);
}

/* ---- A comes ----------------------------------------------------------------------------------
 */

static bool is_numeric(const char *host)
{
    return host[0] == '[' || strspn(host, "0123456789.") == strlen(host);
}

/* A request for a host that is neither us nor an address names a site. */
static const char *foreign_site(const struct gateway *gateway, const char *host)
{
    if (!*host || is_numeric(host) || strcasecmp(host, gateway->conf->sip.domain) == 0 ||
        strcasecmp(host, "localhost") == 0)
        return NULL;
    if (gateway->overlay && strcasecmp(host, overlay_site(gateway->overlay)) == 0)
        return NULL;
    return host;
}

static bool has_common_codec(const struct codec_list *offered, const struct codec_list *ours)
{
    for (int i = 0; i < offered->count; i++)
        if (codec_list_has(ours, offered->codec[i]))
            return true;
    return false;
}

void call_from_phone(struct gateway *gateway, struct sip_call *sip, const struct sip_invite *invite)
{
    struct call *call = gateway->is_stopping ? NULL : new_call(gateway, NULL);
    if (!call) {
        struct call_cause cause = call_cause(CALL_CONGESTION, "Gateway is stopping");
        sip_call_reject(sip, &cause);
        return;
    }
    leg_sip_take(&call->legs[MEDIA_A], sip, invite);
    if (invite->codecs.count > 0 &&
        !has_common_codec(&invite->codecs, &gateway->conf->media.codecs)) {
        end_with(call, CALL_NOT_ACCEPTABLE, "No common codec");
        return;
    }
    const char *site = foreign_site(gateway, invite->host);
    struct route_query query = {.dialled = invite->dialled, .site = site};
    struct leg_caller caller = {.user = invite->from_user, .name = invite->from_name};
    route_call(call, &query, &caller);
}

void call_from_peer(struct gateway *gateway, struct overlay_call *peer,
                    const struct overlay_offer *offer)
{
    struct call *call = gateway->is_stopping ? NULL : new_call(gateway, offer->call_id);
    if (!call) {
        struct call_cause cause = call_cause(CALL_CONGESTION, "Gateway is stopping");
        overlay_call_end(peer, &cause);
        return;
    }
    leg_peer_take(&call->legs[MEDIA_A], peer, offer);
    if (!has_common_codec(&offer->codecs, &gateway->conf->media.peer_codecs)) {
        end_with(call, CALL_NOT_ACCEPTABLE, "No common codec");
        return;
    }
    if (gateway->client) {
        struct leg *b = &call->legs[MEDIA_B];
        log_info(LOG_GATEWAY, call->id, "%s calls", call->legs[MEDIA_A].name);
        if (gateway->client->echo)
            leg_echo_start(b);
        else
            leg_file_start(b, gateway->client->play, gateway->client->record);
        call_leg_answered(b);
        return;
    }
    struct route_query query = {.dialled = offer->dialled, .from_overlay = true};
    struct leg_caller caller = {
        .user = offer->caller, .name = offer->caller_name, .site = offer->caller_site};
    route_call(call, &query, &caller);
}

struct call *call_from_here(struct gateway *gateway, const char *to)
{
    const struct gateway_client *client = gateway->client;
    struct call *call = new_call(gateway, NULL);
    if (!call)
        return NULL;
    struct leg *a = &call->legs[MEDIA_A];
    leg_file_start(a, client->play, client->record);
    snprintf(a->name, sizeof a->name, "%s", client->user);
    struct route_result route = {.target = CONF_TO_OVERLAY, .route = "command line"};
    snprintf(route.to, sizeof route.to, "%s", to);
    struct leg_caller caller = {.user = client->user, .name = ""};
    start_b(call, &route, &caller);
    return call;
}

/* ---- what legs report --------------------------------------------------------------------------
 */

void call_leg_ringing(struct leg *leg)
{
    struct call *call = leg->call;
    struct leg *a = &call->legs[MEDIA_A];
    if (leg->side != MEDIA_B || !set_state(call, CALL_STATE_RINGING, "ringing"))
        return;
    uv_update_time(call->gateway->uv);
    call->ringing_ms = uv_now(call->gateway->uv);
    log_info(LOG_GATEWAY, call->id, "%s rings after %u ms", leg->name,
             (unsigned)(call->ringing_ms - call->created_ms));
    call_note(call, JOURNAL_CALL, "ringing", "%s rings", leg->name);
    if (a->ops->ring)
        a->ops->ring(a);
}

void call_leg_media(struct leg *leg)
{
    struct call *call = leg->call;
    struct leg *a = &call->legs[MEDIA_A];
    if (call->state == CALL_STATE_ENDING)
        return;
    if (leg->side == MEDIA_B && leg->is_early && call->state != CALL_STATE_UP && a->ops->progress) {
        int err = a->ops->progress(a, leg->media.codec);
        call_note(call, JOURNAL_CALL, "early-media",
                  err ? "%s lets hear something, %s cannot take it"
                      : "%s lets %s hear something already",
                  leg->name, a->name);
        if (err)
            log_info(LOG_GATEWAY, call->id, "no early media towards %s: %s", a->name,
                     strerror(-err));
        if (err && a->ops->ring)
            a->ops->ring(a); /* better than nothing: B may never say that it rings */
    }
    call_media_apply(call);
    call_media_mirror(leg);
}

static void log_up(const struct call *call)
{
    const struct leg *a = &call->legs[MEDIA_A], *b = &call->legs[MEDIA_B];
    log_info(LOG_GATEWAY, call->id, "%s answers %s after %u ms", b->name, a->name,
             (unsigned)(call->answered_ms - call->created_ms));
}

void call_leg_answered(struct leg *leg)
{
    struct call *call = leg->call;
    struct leg *a = &call->legs[MEDIA_A];
    if (leg->side != MEDIA_B || !set_state(call, CALL_STATE_UP, "answered"))
        return;
    uv_timer_stop(&call->timer);
    uv_update_time(call->gateway->uv);
    call->answered_ms = uv_now(call->gateway->uv);
    int err = a->ops->answer(a, leg->media.codec);
    if (err) {
        end_with(call, err == -ENOTSUP ? CALL_NOT_ACCEPTABLE : CALL_CONGESTION,
                 err == -ENOTSUP ? "No common codec" : "No media");
        return;
    }
    log_up(call);
    call_note(call, JOURNAL_CALL, "answered", "%s answers %s", leg->name, a->name);
    call_media_apply(call);
    call_media_mirror(leg); /* it may have answered on hold */
    if (call->state != CALL_STATE_UP)
        return; /* its media could not be joined */
    if (call->gateway->client && call->gateway->client->on_call_up)
        call->gateway->client->on_call_up(call->gateway->client->ctx, call);
}

void call_leg_digit(struct leg *leg, char digit, int duration_ms)
{
    struct leg *other = call_other_leg(leg);
    if (leg->call->bridge && other->has_media)
        media_bridge_send_digit(leg->call->bridge, other->side, digit, duration_ms);
}

void call_leg_path(struct leg *leg, const char *path)
{
    if (strcmp(leg->path, path) == 0)
        return; /* told again because another call has begun on it */
    if (!*leg->path && !leg->call->has_noted_way)
        call_note(leg->call, JOURNAL_PATH, "way", "media with %s goes by %s", leg->name, path);
    snprintf(leg->path, sizeof leg->path, "%s", path);
    log_info(LOG_GATEWAY, leg->call->id, "media with %s goes by %s", leg->name, path);
}

void call_leg_ended(struct leg *leg, const struct call_cause *cause)
{
    call_note_hung_up(leg, cause);
    call_end(leg->call, cause);
}

/* ---- the end ----------------------------------------------------------------------------------
 */

void call_end(struct call *call, const struct call_cause *cause)
{
    if (!set_state(call, CALL_STATE_ENDING, call_reason_name(cause->reason)))
        return;
    uv_timer_stop(&call->timer);
    uv_update_time(call->gateway->uv);
    call->ended_ms = uv_now(call->gateway->uv);
    call->cause = *cause;
    call_note_end(call);
    for (int side = 0; side < 2; side++) {
        struct leg *leg = &call->legs[side];
        if (!leg->is_signalling)
            continue;
        leg->is_signalling = false;
        leg->ops->end(leg, &call->cause);
    }
    call_media_stop(call);
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void call_media_stopped(struct call *call)
{
    for (int side = 0; side < 2; side++) {
        struct leg *leg = &call->legs[side];
        if (leg->ops && leg->ops->release)
            leg->ops->release(leg);
    }
    gateway_call_gone(call->gateway, call);
    uv_close((uv_handle_t *)&call->timer, on_timer_closed);
}
