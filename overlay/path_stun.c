/* Asking servers where we are seen. */
#include "overlay/path_stun.h"

#include "overlay/path_worker.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define ROUND_MS 3000
#define FIRST_RETRY_MS 100
#define REQUESTS_MAX 5
#define KEEP_MIN_MS 20000
#define KEEP_SPREAD_MS 5000
#define SILENT_RETRY_MS 30000
#define NUMBER_AT (STUN_TRANSACTION_BYTES - 1) /* which request of a round it is */

struct slot {
    struct path_stun_server server;
    struct sockaddr_storage wire;
    uint8_t transaction[STUN_TRANSACTION_BYTES];
    uint64_t start_ms, due_ms;
    unsigned sent; /* requests of this round; 0: none is running */
    uint64_t sent_us[REQUESTS_MAX];
};

struct path_stun {
    struct path_worker *worker;
    uv_timer_t timer;
    struct slot slot[PATH_STUN_SERVERS_MAX];
    int count;
    unsigned number; /* of the list */
    bool is_expecting;
    uint8_t knock[STUN_TRANSACTION_BYTES];
};

/* ---- rounds -----------------------------------------------------------------------------------
 */

static void finish(struct path_stun *stun, struct slot *slot, struct path_stun_result *result)
{
    struct path_worker *worker = stun->worker;
    struct path_stun_told *told = path_letter_new(sizeof *told, paths_on_stun);
    uint64_t now_ms = uv_now(worker->loop);

    slot->sent = 0;
    if (!slot->server.is_kept)
        slot->due_ms = PATH_NEVER;
    else if (result->outcome == PATH_STUN_ANSWERED)
        slot->due_ms = now_ms + KEEP_MIN_MS + randombytes_uniform(KEEP_SPREAD_MS);
    else
        slot->due_ms = now_ms + SILENT_RETRY_MS;
    result->worker = worker->index;
    result->server = slot->server;
    told->paths = worker->paths;
    told->number = stun->number;
    told->result = *result;
    path_post_send(worker->to_control, &told->letter);
}

/* Is there no way to it at all, as to IPv6 on a machine that has none? */
static bool is_unreachable(int err)
{
    return err == -ENETUNREACH || err == -EHOSTUNREACH || err == -EADDRNOTAVAIL ||
           err == -EAFNOSUPPORT;
}

static void ask(struct path_stun *stun, struct slot *slot, uint64_t now_ms)
{
    uint8_t request[STUN_MESSAGE_MAX];

    if (slot->sent == 0) {
        randombytes_buf(slot->transaction, sizeof slot->transaction);
        slot->start_ms = now_ms;
    }
    slot->transaction[NUMBER_AT] = (uint8_t)slot->sent;
    slot->sent_us[slot->sent] = uv_hrtime() / 1000;
    size_t bytes = stun_encode_plain_request(request, slot->transaction);
    if (is_unreachable(path_socket_send(stun->worker->socket, &slot->wire, request, bytes))) {
        struct path_stun_result result = {.outcome = PATH_STUN_UNREACHABLE};
        finish(stun, slot, &result);
        return;
    }
    slot->due_ms = now_ms + (FIRST_RETRY_MS << slot->sent++);
    if (slot->sent == REQUESTS_MAX || slot->due_ms > slot->start_ms + ROUND_MS)
        slot->due_ms = slot->start_ms + ROUND_MS;
}

static void on_timer(uv_timer_t *timer)
{
    struct path_stun *stun = timer->data;
    uint64_t now_ms = uv_now(timer->loop), next_ms = PATH_NEVER;

    for (int i = 0; i < stun->count; i++) {
        struct slot *slot = &stun->slot[i];

        if (now_ms >= slot->due_ms) {
            if (slot->sent > 0 && now_ms >= slot->start_ms + ROUND_MS) {
                struct path_stun_result result = {.outcome = PATH_STUN_SILENT};
                finish(stun, slot, &result);
            } else {
                ask(stun, slot, now_ms);
            }
        }
        next_ms = slot->due_ms < next_ms ? slot->due_ms : next_ms;
    }
    if (next_ms != PATH_NEVER)
        uv_timer_start(timer, on_timer, next_ms > now_ms ? next_ms - now_ms : 0, 0);
}

void path_stun_ask(struct path_stun *stun, const struct path_stun_list *list)
{
    uint64_t now_ms = uv_now(stun->worker->loop);

    memset(stun->slot, 0, sizeof stun->slot);
    stun->count = list->count;
    stun->number = list->number;
    for (int i = 0; i < list->count; i++) {
        struct slot *slot = &stun->slot[i];

        slot->server = list->server[i];
        slot->due_ms = now_ms;
        path_socket_address(stun->worker->socket, &slot->server.address, &slot->wire);
    }
    uv_timer_start(&stun->timer, on_timer, 0, 0);
}

/* ---- answers ----------------------------------------------------------------------------------
 */

static bool take_knock(struct path_stun *stun, const uint8_t *transaction)
{
    struct path_stun_knocked *knocked;

    if (!stun->is_expecting || memcmp(stun->knock, transaction, sizeof stun->knock) != 0)
        return false;
    stun->is_expecting = false;
    knocked = path_letter_new(sizeof *knocked, paths_on_knock);
    knocked->paths = stun->worker->paths;
    memcpy(knocked->knock, transaction, sizeof knocked->knock);
    path_post_send(stun->worker->to_control, &knocked->letter);
    return true;
}

static struct slot *find_slot(struct path_stun *stun, const uint8_t *transaction)
{
    for (int i = 0; i < stun->count; i++)
        if (stun->slot[i].sent > 0 && transaction[NUMBER_AT] < stun->slot[i].sent &&
            memcmp(stun->slot[i].transaction, transaction, NUMBER_AT) == 0)
            return &stun->slot[i];
    return NULL;
}

bool path_stun_receive(struct path_stun *stun, const struct sockaddr_storage *source,
                       const uint8_t *data, size_t bytes)
{
    struct path_stun_result result = {.outcome = PATH_STUN_ANSWERED};
    struct stun_message message;
    struct slot *slot;

    if (bytes < STUN_HEADER_BYTES)
        return false;
    if (data[0] == STUN_BINDING_INDICATION >> 8 && data[1] == (STUN_BINDING_INDICATION & 0xff))
        return stun_decode(data, bytes, &message) == 0 && take_knock(stun, message.transaction);
    slot = find_slot(stun, data + 8);
    if (!slot)
        return false;
    if (stun_decode(data, bytes, &message) < 0 || message.type != STUN_BINDING_RESPONSE ||
        message.mapped.ss_family == 0 || !address_equal(source, &slot->server.address)) {
        stun->worker->figures.check_malformed++;
        return true;
    }
    result.mapped = message.mapped;
    address_normalise(&result.mapped);
    result.round_trip_us =
        (uint32_t)(uv_hrtime() / 1000 - slot->sent_us[message.transaction[NUMBER_AT]]);
    finish(stun, slot, &result);
    uv_timer_start(&stun->timer, on_timer, 0, 0);
    return true;
}

void path_stun_expect(struct path_stun *stun, const uint8_t knock[STUN_TRANSACTION_BYTES])
{
    memcpy(stun->knock, knock, sizeof stun->knock);
    stun->is_expecting = true;
}

/* ---- life -------------------------------------------------------------------------------------
 */

struct path_stun *path_stun_open(struct path_worker *worker)
{
    struct path_stun *stun = worker->socket ? calloc(1, sizeof *stun) : NULL;

    if (!stun)
        return NULL;
    stun->worker = worker;
    uv_timer_init(worker->loop, &stun->timer);
    stun->timer.data = stun;
    return stun;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct path_stun *stun = handle->data;
    struct path_worker *worker = stun->worker;

    free(stun);
    path_worker_leave(worker);
}

void path_stun_close(struct path_stun *stun)
{
    if (!stun)
        return;
    stun->worker->lingering++;
    uv_close((uv_handle_t *)&stun->timer, on_timer_closed);
}
