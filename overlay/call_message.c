/* Numbers, acknowledgements, repetition and order of what is said in a call. */
#include "overlay/call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define OUT_MAX 32
#define REPEAT_FIRST_MS 300
#define REPEAT_MAX_MS 10000
/* Set-up that is not acknowledged for so long: nobody is there. */
#define SETUP_SILENCE_MS 8000
#define ROUTE_MEMORY_MS 5000
#define ROUTES_MAX 16384
#define REFRESH_ATTEMPT 2 /* after 600 ms: the far end may have moved from where nobody says so */

/* ---- where Routes went ------------------------------------------------------------------------
 */

void call_route_forget(struct core *core, struct call_route *route)
{
    LIST_REMOVE(route, of_call);
    TAILQ_REMOVE(&core->calls->route_queue, route, next);
    HASH_DELETE(hh, core->calls->routes, route);
    free(route);
}

static void remember(struct overlay_call *call, struct call_route *route)
{
    struct core *core = call->core;
    struct call_table *table = core->calls;
    struct call_route *oldest;

    while ((oldest = TAILQ_FIRST(&table->route_queue)) &&
           (oldest->end_ms <= core_now(core) || HASH_COUNT(table->routes) >= ROUTES_MAX))
        call_route_forget(core, oldest);
    route->call = call;
    route->end_ms = core_now(core) + ROUTE_MEMORY_MS;
    LIST_INSERT_HEAD(&call->routes, route, of_call);
    TAILQ_INSERT_TAIL(&table->route_queue, route, next);
    HASH_ADD(hh, table->routes, id, ROUTE_ID_BYTES, route);
}

/* ---- sending ----------------------------------------------------------------------------------
 */

static struct call_letter make_letter(const struct overlay_call *call, const uint8_t *message,
                                      size_t bytes)
{
    return (struct call_letter){
        .to = call->far,
        .key = call->has_far_key ? call->far_public : NULL,
        .homes = &call->homes,
        .message = message,
        .bytes = bytes,
        .heard_by = call->heard_by,
    };
}

static int send_out(struct overlay_call *call, struct call_out *out, core_link *upstream)
{
    struct call_letter letter = make_letter(call, out->data, out->bytes);
    struct call_route *route = core_alloc(sizeof *route);

    letter.way = out->way++;
    int error = call_letter_send(call->core, &letter, route->id, &route->upstream);
    route->number = out->number;
    if (upstream)
        *upstream = route->upstream;
    if (error)
        free(route);
    else
        remember(call, route);
    return error;
}

/* A supernode that died must be noticed now, not by the next keepalive. */
static void probe(struct overlay_call *call)
{
    for (int i = 0; i < call->core->upstream_count; i++)
        peer_probe_if_quiet(call->core->upstream[i]);
}

/* After 0, 300, 600, 1200 ms … */
static uint64_t pause_after(int attempt)
{
    int doublings = attempt < 1 ? 0 : attempt < 7 ? attempt - 1 : 6;
    uint64_t pause_ms = (uint64_t)REPEAT_FIRST_MS << doublings;

    return pause_ms < REPEAT_MAX_MS ? pause_ms : REPEAT_MAX_MS;
}

/* Two supernodes at either end make four ways: one is taken at first, two by each repetition, so
 * that all have been tried after 600 ms. */
static void transmit(struct overlay_call *call, struct call_out *out)
{
    core_link upstream = 0;
    int error = send_out(call, out, &upstream);

    call_note_sent(call, out, error, upstream);
    if (out->attempt > 0 && (call->core->upstream_count > 1 || call->homes.count > 1))
        (void)send_out(call, out, NULL);
    out->next_ms = core_now(call->core) + pause_after(out->attempt);
    out->attempt++;
    probe(call);
}

static void set_repeat_timer(struct overlay_call *call)
{
    uint64_t next_ms = UINT64_MAX;
    struct call_out *out;

    TAILQ_FOREACH(out, &call->out, next)
    if (out->next_ms < next_ms)
        next_ms = out->next_ms;
    if (next_ms == UINT64_MAX || call->state == STATE_LOOKING) /* for where to send it */
        core_timer_stop(call->core, &call->repeat_timer);
    else
        core_timer_set(call->core, &call->repeat_timer, next_ms);
}

static uint8_t *pack(struct overlay_call *call, Sallyport__CallMessage *message, size_t room_before,
                     size_t *bytes)
{
    message->call.data = call->name.call;
    message->call.len = CALL_ID_BYTES;
    message->sent_s = call->core->io.time_s(call->core->io.ctx);
    uint8_t *data = core_alloc(room_before + sallyport__call_message__get_packed_size(message));
    *bytes = sallyport__call_message__pack(message, data + room_before);
    return data;
}

int call_send(struct overlay_call *call, Sallyport__CallMessage *message)
{
    size_t bytes;

    if (call->out_count >= OUT_MAX)
        return -ENOBUFS;
    message->number = ++call->last_number;
    struct call_out *out = (struct call_out *)pack(call, message, sizeof *out, &bytes);
    out->number = message->number;
    out->kind = (int)message->body_case;
    out->bytes = bytes;
    out->first_ms = core_now(call->core);
    TAILQ_INSERT_TAIL(&call->out, out, next);
    call->out_count++;
    transmit(call, out);
    set_repeat_timer(call);
    return 0;
}

/* Not kept for repetition. */
static void send_once(struct overlay_call *call, Sallyport__CallMessage *message, bool is_wide)
{
    size_t bytes;
    uint8_t *data = pack(call, message, 0, &bytes);
    struct call_letter letter = make_letter(call, data, bytes);

    if (is_wide)
        call_letter_send_wide(call->core, &letter);
    else
        call_letter_send(call->core, &letter, NULL, NULL);
    free(data);
    probe(call);
}

void call_send_ack(struct overlay_call *call, uint32_t number)
{
    Sallyport__CallMessage message = SALLYPORT__CALL_MESSAGE__INIT;
    Sallyport__Ack ack = SALLYPORT__ACK__INIT;

    ack.number = number;
    message.body_case = SALLYPORT__CALL_MESSAGE__BODY_ACK;
    message.ack = &ack;
    /* What comes again was acknowledged in vain; and the first one is waited for most. */
    send_once(call, &message, number <= 1 || number == call->acked);
    call->acked = number;
}

void call_take_back(struct overlay_call *call)
{
    struct call_cause cause = call_cause(CALL_CANCELLED, NULL);
    Sallyport__CallMessage message = SALLYPORT__CALL_MESSAGE__INIT;
    Sallyport__End end;

    if (call->out_count == 0)
        return;
    call_cause_encode(&end, &cause);
    message.body_case = SALLYPORT__CALL_MESSAGE__BODY_END;
    message.end = &end;
    message.number = call->last_number + 1;
    send_once(call, &message, true);
    call_drop_out(call);
}

static void out_free(struct overlay_call *call, struct call_out *out)
{
    TAILQ_REMOVE(&call->out, out, next);
    call->out_count--;
    free(out);
}

void call_drop_out(struct overlay_call *call)
{
    while (!TAILQ_EMPTY(&call->out))
        out_free(call, TAILQ_FIRST(&call->out));
    core_timer_stop(call->core, &call->repeat_timer);
}

static bool is_setup(int kind)
{
    return kind != SALLYPORT__CALL_MESSAGE__BODY_UPDATE &&
           kind != SALLYPORT__CALL_MESSAGE__BODY_INFO && kind != SALLYPORT__CALL_MESSAGE__BODY_END;
}

static void on_repeat(void *owner)
{
    struct overlay_call *call = owner;
    uint64_t now_ms = core_now(call->core);
    struct call_out *out;

    TAILQ_FOREACH(out, &call->out, next)
    {
        if (is_setup(out->kind) && now_ms >= out->first_ms + SETUP_SILENCE_MS) {
            struct call_cause cause = call_cause(CALL_TIMEOUT, "the far node does not answer");
            call_finish(call, &cause);
            return;
        }
        if (out->next_ms > now_ms)
            continue;
        if (out->attempt >= REFRESH_ATTEMPT)
            call_refresh_homes(call);
        transmit(call, out);
    }
    set_repeat_timer(call);
}

void call_message_init(struct overlay_call *call)
{
    TAILQ_INIT(&call->out);
    LIST_INIT(&call->routes);
    core_timer_init(&call->repeat_timer, on_repeat, call);
}

void call_send_again(struct overlay_call *call)
{
    struct call_out *out;

    if (call->state == STATE_LOOKING)
        return;
    TAILQ_FOREACH(out, &call->out, next)
    transmit(call, out);
    set_repeat_timer(call);
}

void call_send_by_all_ways(struct overlay_call *call)
{
    struct call_out *out;

    TAILQ_FOREACH(out, &call->out, next)
    {
        out->way = 0;
        out->attempt = 1;
        transmit(call, out);
        transmit(call, out);
    }
    set_repeat_timer(call);
}

/* ---- receiving --------------------------------------------------------------------------------
 */

static void on_ack(struct overlay_call *call, uint32_t number)
{
    struct call_out *out;

    if (number > call->last_number)
        return;
    while ((out = TAILQ_FIRST(&call->out)) && out->number <= number) {
        bool is_end = out->kind == SALLYPORT__CALL_MESSAGE__BODY_END;
        out_free(call, out);
        if (is_end) {
            call_forget(call);
            return;
        }
    }
    set_repeat_timer(call);
    if (number > 0)
        call_offer_arrived(call);
}

void call_drop_early(struct overlay_call *call)
{
    for (int i = 0; i < CALL_EARLY_MAX; i++) {
        if (call->early[i])
            sallyport__call_message__free_unpacked(call->early[i], NULL);
        call->early[i] = NULL;
    }
}

static void process_in_order(struct overlay_call *call, const Sallyport__CallMessage *message)
{
    call->far_number++;
    call_on_body(call, message);
    while (call->state != STATE_CLOSING) {
        int place = (int)((call->far_number + 1) % CALL_EARLY_MAX);
        Sallyport__CallMessage *next = call->early[place];
        if (!next || next->number != call->far_number + 1)
            break;
        call->early[place] = NULL;
        call->far_number++;
        call_on_body(call, next);
        sallyport__call_message__free_unpacked(next, NULL);
    }
    call_send_ack(call, call->far_number);
}

/* Takes the message out of `opened`'s hands when it must wait. */
static void keep_early(struct overlay_call *call, struct call_opened *opened)
{
    Sallyport__CallMessage *message = opened->message;
    int place = (int)(message->number % CALL_EARLY_MAX);

    if (message->number > call->far_number + CALL_EARLY_MAX || call->early[place])
        return;
    call->early[place] = message;
    opened->message = NULL;
}

static void receive(struct overlay_call *call, struct call_opened *opened)
{
    const Sallyport__CallMessage *message = opened->message;

    call->heard_by = opened->by;
    if (message->body_case == SALLYPORT__CALL_MESSAGE__BODY_ACK) {
        on_ack(call, message->ack->number);
    } else if (message->body_case == SALLYPORT__CALL_MESSAGE__BODY_END) {
        /* The last word: what is missing before it no longer matters. */
        struct call_cause cause = call_cause_decode(message->end);
        call_send_ack(call, message->number);
        call_finished(call, &cause);
    } else if (call->state == STATE_CLOSING || message->number <= call->far_number) {
        call_send_ack(call, call->far_number);
    } else if (message->number == call->far_number + 1) {
        process_in_order(call, message);
    } else {
        keep_early(call, opened);
    }
}

/* Sealed to our certificate: an offer, or what a caller says before it knows our fresh key. */
static void on_certified(struct core *core, struct call_opened *opened)
{
    struct certificate *signer = core_alloc(sizeof *signer);
    struct call_name name;
    char why[96];

    int error =
        trust_verify(&core->trust, opened->outer->certificate.data, opened->outer->certificate.len,
                     core->io.time_s(core->io.ctx), signer, why, sizeof why);
    if (error || !call_letter_is_from(core, opened->outer, signer)) {
        core_complain(core, COMPLAINT_LETTER, "a call message was refused: %s",
                      error ? why : "wrong signature");
        core->malformed++;
        free(signer);
        return;
    }
    memcpy(name.caller, signer->node, OVERLAY_NODE_ID_BYTES);
    memcpy(name.call, opened->message->call.data, CALL_ID_BYTES);
    struct overlay_call *call = call_find(core, &name);
    if (call)
        receive(call, opened);
    else
        call_on_stranger(core, &name, opened, signer);
    free(signer);
}

void call_on_route(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope)
{
    const Sallyport__Route *route = envelope->route;
    struct call_opened opened;

    if (route->to.len != OVERLAY_NODE_ID_BYTES ||
        memcmp(route->to.data, core->self->node, OVERLAY_NODE_ID_BYTES) != 0) {
        core->malformed++;
        return;
    }
    int error = call_letter_open(core, route, &opened);
    if (error == -ENOENT) /* of a call that is over */
        return;
    if (error) {
        core->malformed++;
        return;
    }
    opened.by = peer->link;
    if (!opened.call)
        on_certified(core, &opened);
    else if (opened.call->far && call_letter_is_from(core, opened.outer, opened.call->far) &&
             memcmp(opened.message->call.data, opened.call->name.call, CALL_ID_BYTES) == 0)
        receive(opened.call, &opened);
    else
        core->malformed++;
    call_opened_fini(&opened);
}

/* ---- a Route failed ---------------------------------------------------------------------------
 */

void call_on_route_failed(struct core *core, struct peer *peer, const Sallyport__Envelope *envelope)
{
    const Sallyport__RouteFailed *failed = envelope->route_failed;
    struct call_route *route = NULL;

    if (failed->id.len == ROUTE_ID_BYTES)
        HASH_FIND(hh, core->calls->routes, failed->id.data, ROUTE_ID_BYTES, route);
    if (!route || route->upstream != peer->link)
        return;
    struct overlay_call *call = route->call;
    uint32_t number = route->number;
    call_route_forget(core, route);
    call_note_undelivered(call, peer, failed->why);
    if (failed->why == SALLYPORT__ROUTE_FAILED__WHY__BUSY || number == 0)
        return; /* repeated in its time */
    if (call->state == STATE_OFFERING)
        call_offer_failed(call, peer->link);
    else
        call_refresh_homes(call);
}
