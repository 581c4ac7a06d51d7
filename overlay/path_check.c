/* Checks: proving a way by STUN, keeping it proved, and answering those of the far end.
 *
 * A request carries the path's id as USERNAME and is signed with the sender's key of that path. Its
 * transaction id starts with a number that only grows, so a recorded request is worth nothing
 * later. Whatever is not signed gets no answer at all: nobody can use us to reach third parties.
 */
#include "overlay/path_worker.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define HURRY_MS 10000
#define FIRST_RETRY_MS 100
#define TRIGGER_US 100000
#define RETRY_MS 500
#define RETRY_BUSY_MS 100 /* of a proved way, while a call is up or set up */
#define KEEP_MS 2000      /* those that carry calls, or stand by for them */
#define BETTER_MS 1500    /* those that would be better than what carries calls */
#define IDLE_MS 15000     /* the others; shorter than any sane NAT forgets */
/* A proved way is lost after so many unanswered checks that took so long together. */
#define LOST_CHECKS 4
#define LOST_IDLE_MS 4000
#define LOST_BUSY_MS 400
#define LOST_TOGETHER_MS 300 /* others of its kind that were silent so long are lost with it */
#define DISTRUST_MAX 7       /* answers in a row until a way that was lost often is proved again */
#define FORGIVEN_MS 60000
#define NUMBER_BYTES 6
#define NUMBERS_KEPT 64

void path_way_init(struct path_way *way, const struct path_way_ops *ops, struct path *path)
{
    way->ops = ops;
    way->path = path;
    way->due_ms = PATH_NEVER;
    way->answers_wanted = 1;
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

void path_way_doubt(struct path_way *way, uint64_t now_ms)
{
    if (way->ops->doubt)
        way->ops->doubt(way, now_ms);
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

/* The far end has just checked it: where that came through, ours may, too (RFC 8445 section
 * 7.3.1.4). Two ends that trigger each other must not outrun their answers. */
static void trigger(struct path_way *way, uint64_t now_ms)
{
    const struct path_probe *last = &way->probe[(way->next_probe + PATH_PROBES - 1) % PATH_PROBES];

    way->hurry_until_ms = now_ms + HURRY_MS;
    if (way->unanswered > 0 && uv_hrtime() / 1000 < last->sent_us + TRIGGER_US)
        return;
    way->due_ms = now_ms;
    path_live_wake(way->path);
}

/* ---- ours -------------------------------------------------------------------------------------
 */

static bool is_busy(const struct path *path)
{
    return path_live_is_wanted(path, uv_now(path->worker->loop));
}

static uint64_t wait_unanswered_ms(const struct path_way *way, uint64_t now_ms)
{
    const struct path_way *current = way->path->live.current;
    uint64_t wait_ms;

    if (way->is_proved)
        return is_busy(way->path) ? RETRY_BUSY_MS : RETRY_MS;
    if (now_ms < way->hurry_until_ms) {
        wait_ms = (uint64_t)FIRST_RETRY_MS << (way->unanswered < 4 ? way->unanswered - 1 : 3);
        return wait_ms < RETRY_MS ? wait_ms : RETRY_MS;
    }
    if (path_live_is_active(way->path) && (!current || way->ops->rank > current->ops->rank))
        return BETTER_MS;
    return IDLE_MS;
}

static uint64_t wait_answered_ms(const struct path_way *way)
{
    const struct path *path = way->path;

    if (!way->is_proved)
        return RETRY_BUSY_MS;
    if (path_live_is_active(path) &&
        (way == path->live.current || way == path_choice_standby(path)))
        return KEEP_MS;
    return IDLE_MS;
}

static void next_transaction(struct path *path, uint8_t transaction[STUN_TRANSACTION_BYTES])
{
    uint64_t number = ++path->live.check_number;

    for (int i = NUMBER_BYTES - 1; i >= 0; i--, number >>= 8)
        transaction[i] = (uint8_t)number;
    randombytes_buf(transaction + NUMBER_BYTES, STUN_TRANSACTION_BYTES - NUMBER_BYTES);
}

static struct path_probe *next_probe(struct path_way *way)
{
    struct path_probe *probe = &way->probe[way->next_probe++ % PATH_PROBES];
    struct path_worker *worker = way->path->worker;

    forget(worker, probe);
    next_transaction(way->path, probe->transaction);
    probe->way = way;
    probe->sent_us = uv_hrtime() / 1000;
    probe->is_out = true;
    HASH_ADD(hh, worker->probes, transaction, STUN_TRANSACTION_BYTES, probe);
    return probe;
}

void path_check_disprove(struct path_way *way, uint64_t now_ms)
{
    way->is_proved = false;
    way->deaf_ms = 0;
    path_check_hurry(way, now_ms);
}

/* What ended a UDP way has probably ended the others, too: those that are silent are proved again,
 * which takes one round trip, before one of them is trusted. */
static void lose_others(const struct path_way *lost, uint64_t now_ms)
{
    struct path_way *way;

    if (lost->ops->rank != PATH_RANK_UDP)
        return;
    TAILQ_FOREACH(way, &lost->path->live.ways, next)
    if (way != lost && way->ops->rank == PATH_RANK_UDP && way->is_proved &&
        now_ms >= way->heard_ms + LOST_TOGETHER_MS)
        path_check_disprove(way, now_ms);
}

struct lost_letter {
    struct path_letter letter;
    struct paths *paths;
};

/* How many answers in a row prove it. */
static unsigned distrust(const struct path_way *way)
{
    unsigned wanted = 1 + 2 * way->losses;

    return wanted < DISTRUST_MAX ? wanted : DISTRUST_MAX;
}

static void on_lost_letter(struct path_letter *letter)
{
    paths_on_lost(((struct lost_letter *)letter)->paths);
    free(letter);
}

/* Calls went there: what has happened to it may have happened to our links, too. */
static void report_lost(const struct path *path)
{
    struct lost_letter *lost = path_letter_new(sizeof *lost, on_lost_letter);

    lost->paths = path->paths;
    path_post_send(path->worker->to_control, &lost->letter);
}

void path_check_lose(struct path_way *way, uint64_t now_ms, const char *why)
{
    char text[PATH_WAY_TEXT_MAX];

    path_live_note(way->path, "lost", "%s: %s", path_way_text(way, text), why);
    if (way == way->path->live.current && path_live_is_active(way->path))
        report_lost(way->path);
    if (way->lost_ms && now_ms >= way->lost_ms + FORGIVEN_MS)
        way->losses = 0;
    way->losses++;
    way->lost_ms = now_ms;
    way->answers_wanted = distrust(way);
    path_check_disprove(way, now_ms);
    lose_others(way, now_ms);
    path_way_doubt(way, now_ms);
    path_choice_make(way->path, why);
}

static bool is_overdue(const struct path_way *way, uint64_t now_ms)
{
    uint64_t limit_ms = is_busy(way->path) ? LOST_BUSY_MS : LOST_IDLE_MS,
             trips_ms = 3 * (uint64_t)way->round_trip_us / 1000;

    return way->is_proved && way->unanswered >= LOST_CHECKS &&
           now_ms >= way->asked_ms + (limit_ms > trips_ms ? limit_ms : trips_ms);
}

/* The share of checks that are lost; each counts for an eighth. */
static void count_check(struct path_way *way, bool is_lost)
{
    way->loss_permille = way->loss_permille * 7 / 8 + (is_lost ? 125 : 0);
}

static unsigned flags_of(const struct path_way *way)
{
    const struct path *path = way->path;

    return path->is_leading && way == path->live.current ? STUN_PATH_NOMINATED : 0;
}

void path_check_send(struct path_way *way, uint64_t now_ms)
{
    struct path *path = way->path;
    uint8_t message[STUN_MESSAGE_MAX];

    if (is_overdue(way, now_ms))
        path_check_lose(way, now_ms, "checks get no answer");
    struct stun_check check = {STUN_BINDING_REQUEST, next_probe(way)->transaction,
                               path->username,       flags_of(way),
                               path->send_key,       NULL};
    size_t bytes = stun_encode_check(message, &check);
    way->ops->send(way, message, bytes); /* one that fails is one that is not answered */
    path_choice_guess(path, way);
    if (way->unanswered++ == 0)
        way->asked_ms = now_ms;
    else if (!way->is_proved)
        way->answers_wanted = distrust(way);
    else if (now_ms >= way->asked_ms + RETRY_BUSY_MS + way->round_trip_us / 1000)
        count_check(way, true); /* sooner, the one before may still be answered */
    way->due_ms = now_ms + wait_unanswered_ms(way, now_ms);
    path->worker->figures.checks_sent++;
}

static void send_beat(struct path_way *way, unsigned flags, const struct sockaddr_storage *mapped)
{
    struct path *path = way->path;
    uint8_t transaction[STUN_TRANSACTION_BYTES], message[STUN_MESSAGE_MAX];
    struct stun_check check = {STUN_BINDING_INDICATION, transaction, path->username, flags,
                               path->send_key,          mapped};

    next_transaction(path, transaction);
    way->ops->send(way, message, stun_encode_check(message, &check));
}

void path_check_beat(struct path_way *way, unsigned flags)
{
    send_beat(way, flags, NULL);
}

void path_check_tell(struct path_way *way, const struct sockaddr_storage *address)
{
    send_beat(way, 0, address);
}

static void prove(struct path_way *way)
{
    char text[PATH_WAY_TEXT_MAX];

    way->is_proved = true;
    path_live_note(way->path, "proved", "%s works, round trip %.1f ms", path_way_text(way, text),
                   way->round_trip_us / 1000.0);
    path_choice_make(way->path, "it works and is better");
}

static void take_answer(struct path_way *way, const struct path_probe *probe)
{
    uint64_t now_ms = uv_now(way->path->worker->loop);
    uint32_t round_trip_us = (uint32_t)(uv_hrtime() / 1000 - probe->sent_us);

    way->round_trip_us =
        way->round_trip_us ? (way->round_trip_us * 7 + round_trip_us) / 8 : round_trip_us;
    way->unanswered = 0;
    way->deaf_ms = 0;
    way->heard_ms = now_ms;
    count_check(way, false);
    bool is_enough = way->answers_wanted <= 1 || --way->answers_wanted == 0;
    way->due_ms = now_ms + wait_answered_ms(way);
    if (!way->is_proved && is_enough)
        prove(way);
    path_live_wake(way->path);
}

static void on_response(struct path_worker *worker, struct path_way *way,
                        const struct sockaddr_storage *source, const uint8_t *data,
                        const struct stun_message *message)
{
    struct path_probe *probe;

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
    take_answer(way, probe);
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

/* The path that a request or beat is of, if it is good: signed, new, and from where it may come. */
static struct path *admit(struct path_worker *worker, const struct path_way *way,
                          const struct sockaddr_storage *source, const uint8_t *data,
                          const struct stun_message *message)
{
    struct path *path = find_path(worker, message->username);

    if (!path || (way && way->path != path)) {
        worker->figures.check_unknown++;
        return NULL;
    }
    if (!stun_verify(data, message, path->receive_key, sizeof path->receive_key)) {
        worker->figures.check_forged++;
        return NULL;
    }
    if (!is_new(path, message->transaction)) {
        worker->figures.check_replayed++;
        return NULL;
    }
    struct candidate_policy policy = {.is_loopback_allowed = path->is_loopback_allowed};
    if (!way && !candidate_is_plausible(source, &policy)) {
        worker->figures.implausible++;
        return NULL;
    }
    if (!way && path->live.is_hidden) {
        worker->figures.check_hidden++;
        return NULL;
    }
    return path;
}

static void on_request(struct path_worker *worker, struct path_way *way,
                       const struct sockaddr_storage *source, const uint8_t *data,
                       const struct stun_message *message)
{
    struct path *path = admit(worker, way, source, data, message);

    if (!path)
        return;
    answer(path, way, source, message);
    /* Where a check came from, one can go: perhaps an address that nobody knew of. */
    if (!way)
        way = path_udp_add(path, source, true);
    if (!way)
        return;
    if (!way->is_proved)
        trigger(way, uv_now(worker->loop));
    if (message->path_flags & STUN_PATH_NOMINATED)
        path_choice_follow(path, way);
}

static void on_indication(struct path_worker *worker, struct path_way *way,
                          const struct sockaddr_storage *source, const uint8_t *data,
                          const struct stun_message *message)
{
    struct path *path = admit(worker, way, source, data, message);

    if (!path)
        return;
    path_watch_beat(path, way ? way : path_udp_find(path, source), message->path_flags);
    if (message->mapped.ss_family)
        path_trickle_hear(path, &message->mapped);
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
    else if (message.type == STUN_BINDING_INDICATION)
        on_indication(worker, way, source, data, &message);
    else if (message.type == STUN_BINDING_RESPONSE)
        on_response(worker, way, source, data, &message);
    else
        worker->figures.check_malformed++;
}
