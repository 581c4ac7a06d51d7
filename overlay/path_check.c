/* Checks: proving a way by STUN, keeping it proved, and answering those of the far end.
 *
 * A request carries the path's id as USERNAME and is signed with the sender's key of that path. Its
 * transaction id starts with a number that only grows, so a recorded request is worth nothing
 * later. Whatever is not signed gets no answer at all: nobody can use us to reach third parties.
 */
#include "overlay/path_worker.h"

#include <sodium.h>
#include <string.h>

#define HURRY_MS 10000
#define FIRST_RETRY_MS 100
#define RETRY_MS 500
#define KEEP_MS 2000  /* the way that carries calls */
#define IDLE_MS 15000 /* the others; shorter than any sane NAT forgets */
#define LOST_AFTER                                                                 \
    4 /* unanswered checks: with KEEP_MS and RETRY_MS a dead way is left after 4 s \
       */
#define NUMBER_BYTES 6
#define NUMBERS_KEPT 64

void path_way_init(struct path_way *way, const struct path_way_ops *ops, struct path *path)
{
    way->ops = ops;
    way->path = path;
    way->due_ms = PATH_NEVER;
}

static void forget(struct path_worker *worker, struct path_probe *probe)
{
    if (probe->is_out)
        HASH_DEL(worker->probes, probe);
    probe->is_out = false;
}

void path_way_fini(struct path_way *way)
{
    for (int i = 0; i < PATH_PROBES; i++)
        forget(way->path->worker, &way->probe[i]);
}

void path_check_hurry(struct path_way *way, uint64_t now_ms)
{
    if (!way->is_proved) {
        way->unanswered = 0;
        way->hurry_until_ms = now_ms + HURRY_MS;
    }
    way->due_ms = now_ms;
    path_live_wake(way->path);
}

/* ---- ours -------------------------------------------------------------------------------------
 */

static uint64_t wait_after_check(const struct path_way *way, uint64_t now_ms)
{
    uint64_t wait_ms;

    if (way->is_proved)
        return RETRY_MS;
    if (now_ms >= way->hurry_until_ms)
        return IDLE_MS;
    wait_ms = (uint64_t)FIRST_RETRY_MS << (way->unanswered < 4 ? way->unanswered - 1 : 3);
    return wait_ms < RETRY_MS ? wait_ms : RETRY_MS;
}

static struct path_probe *next_probe(struct path_way *way, uint64_t now_ms)
{
    struct path_probe *probe = &way->probe[way->next_probe++ % PATH_PROBES];
    struct path_worker *worker = way->path->worker;
    uint64_t number = ++way->path->live.check_number;

    forget(worker, probe);
    for (int i = NUMBER_BYTES - 1; i >= 0; i--, number >>= 8)
        probe->transaction[i] = (uint8_t)number;
    randombytes_buf(probe->transaction + NUMBER_BYTES, STUN_TRANSACTION_BYTES - NUMBER_BYTES);
    probe->way = way;
    probe->sent_ms = now_ms;
    probe->is_out = true;
    HASH_ADD(hh, worker->probes, transaction, STUN_TRANSACTION_BYTES, probe);
    return probe;
}

/* What ended this way has probably ended the others of its kind, too: they are proved again, which
 * takes one round trip, before one of them is trusted. */
static void lose(const struct path_way *lost, uint64_t now_ms)
{
    struct path *path = lost->path;
    struct path_way *way;

    TAILQ_FOREACH(way, &path->live.ways, next)
    {
        if (way->ops != lost->ops)
            continue;
        way->is_proved = false;
        path_check_hurry(way, now_ms);
    }
    path_live_choose(path);
}

void path_check_send(struct path_way *way, uint64_t now_ms)
{
    struct path *path = way->path;
    uint8_t message[STUN_MESSAGE_MAX];

    if (way->is_proved && way->unanswered >= LOST_AFTER)
        lose(way, now_ms);
    struct path_probe *probe = next_probe(way, now_ms);
    size_t bytes = stun_encode_request(message, probe->transaction, path->username, path->send_key);
    way->ops->send(way, message, bytes); /* one that fails is one that is not answered */
    way->unanswered++;
    way->due_ms = now_ms + wait_after_check(way, now_ms);
    path->worker->figures.checks_sent++;
}

static void on_response(struct path_worker *worker, struct path_way *way,
                        const struct sockaddr_storage *source, const uint8_t *data,
                        const struct stun_message *message)
{
    struct path_probe *probe;
    uint64_t now_ms = uv_now(worker->loop);

    HASH_FIND(hh, worker->probes, message->transaction, STUN_TRANSACTION_BYTES, probe);
    /* an answer must come back the way that the question went (RFC 8445 section 7.2.5.2.1) */
    if (!probe || (way ? way : path_udp_find(probe->way->path, source)) != probe->way) {
        worker->figures.check_unknown++;
        return;
    }
    way = probe->way;
    if (!stun_verify(data, message, way->path->receive_key, sizeof way->path->receive_key)) {
        worker->figures.check_forged++;
        return;
    }
    forget(worker, probe);
    worker->figures.checks_answered++;
    way->round_trip_ms = (uint32_t)(now_ms - probe->sent_ms);
    way->unanswered = 0;
    if (!way->is_proved) {
        way->is_proved = true;
        path_live_choose(way->path);
    }
    bool carries = way == way->path->live.current && way->path->live.listeners > 0;
    way->due_ms = now_ms + (carries ? KEEP_MS : IDLE_MS);
    path_live_wake(way->path);
}

/* ---- theirs -----------------------------------------------------------------------------------
 */

/* Is this number new? Remembers it (as RFC 4303 appendix A2 does for packets). */
static bool is_new(struct path *path, const uint8_t *transaction)
{
    uint64_t number = 0;

    for (int i = 0; i < NUMBER_BYTES; i++)
        number = number << 8 | transaction[i];
    if (number > path->live.seen_number) {
        uint64_t ahead = number - path->live.seen_number;
        path->live.seen_mask = ahead < NUMBERS_KEPT ? path->live.seen_mask << ahead : 0;
        path->live.seen_mask |= 1;
        path->live.seen_number = number;
        return true;
    }
    uint64_t behind = path->live.seen_number - number;
    if (behind >= NUMBERS_KEPT || path->live.seen_mask & UINT64_C(1) << behind)
        return false;
    path->live.seen_mask |= UINT64_C(1) << behind;
    return true;
}

static struct path *find_path(struct path_worker *worker, const char *username)
{
    uint8_t id[PATH_ID_BYTES];
    size_t id_bytes;
    struct path *path = NULL;

    if (sodium_hex2bin(id, sizeof id, username, strlen(username), NULL, &id_bytes, NULL) == 0 &&
        id_bytes == sizeof id)
        HASH_FIND(live.hh, worker->live, id, sizeof id, path);
    return path;
}

static void answer(struct path *path, struct path_way *way, const struct sockaddr_storage *source,
                   const struct stun_message *message)
{
    static const struct sockaddr_storage nowhere = {.ss_family = AF_INET};
    struct sockaddr_storage wire;
    uint8_t response[STUN_MESSAGE_MAX];
    size_t bytes = stun_encode_response(response, message->transaction, source ? source : &nowhere,
                                        path->send_key);

    if (way) {
        way->ops->send(way, response, bytes);
        return;
    }
    path_socket_address(path->worker->socket, source, &wire);
    path_socket_send(path->worker->socket, &wire, response, bytes);
}

static void on_request(struct path_worker *worker, struct path_way *way,
                       const struct sockaddr_storage *source, const uint8_t *data,
                       const struct stun_message *message)
{
    struct path *path = find_path(worker, message->username);

    if (!path || (way && way->path != path)) {
        worker->figures.check_unknown++;
        return;
    }
    if (!stun_verify(data, message, path->receive_key, sizeof path->receive_key)) {
        worker->figures.check_forged++;
        return;
    }
    if (!is_new(path, message->transaction)) {
        worker->figures.check_replayed++;
        return;
    }
    struct candidate_policy policy = {.is_loopback_allowed = path->is_loopback_allowed};
    if (!way && !candidate_is_plausible(source, &policy)) {
        worker->figures.implausible++;
        return;
    }
    answer(path, way, source, message);
    /* Where a check came from, one can go: perhaps an address that nobody knew of. */
    if (!way)
        way = path_udp_add(path, source, true);
    if (way && !way->is_proved)
        path_check_hurry(way, uv_now(worker->loop));
}

void path_check_receive(struct path_worker *worker, struct path_way *way,
                        const struct sockaddr_storage *source, const uint8_t *data, size_t bytes)
{
    struct stun_message message;

    if (stun_decode(data, bytes, &message) < 0 || message.integrity_at == 0 ||
        !message.has_fingerprint || message.unknown_required > 0)
        worker->figures.check_malformed++;
    else if (message.type == STUN_BINDING_REQUEST)
        on_request(worker, way, source, data, &message);
    else if (message.type == STUN_BINDING_RESPONSE)
        on_response(worker, way, source, data, &message);
    else
        worker->figures.check_malformed++;
}
