/* What we say about a path to the far end, and what we make of what it says. */
#include "overlay/path_control.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define NAMED_MAX 512

/* ---- ours -------------------------------------------------------------------------------------
 */

/* The far end's tickets are shown together with its certificate. */
static void keep_certificate(struct path *path, const struct certificate *peer)
{
    uint8_t *der;

    memcpy(path->control.serial, peer->serial, sizeof path->control.serial);
    if (path->control.peer_der_bytes == peer->der_bytes &&
        memcmp(path->control.peer_der, peer->der, peer->der_bytes) == 0)
        return;
    if (!(der = malloc(peer->der_bytes)))
        return;
    memcpy(der, peer->der, peer->der_bytes);
    free(path->control.peer_der);
    path->control.peer_der = der;
    path->control.peer_der_bytes = peer->der_bytes;
}

/* ---- what the worker is told ------------------------------------------------------------------
 */

struct news {
    struct path_letter letter;
    struct path *path;
    bool is_hidden;    /* the peer may not know our addresses yet */
    bool is_restarted; /* the peer has: what was proved was proved to another process */
    char ours[NAMED_MAX], theirs[NAMED_MAX]; /* candidates that were named, for the journals */
    int count;
    struct candidate candidates[CANDIDATES_MAX + PATH_OWN_RELAYS];
    size_t signer_bytes; /* of the peer's tickets */
    uint8_t signer[IDENTITY_DER_MAX];
};

static void on_news(struct path_letter *letter)
{
    struct news *news = (struct news *)letter;
    struct path *path = news->path;
    uint64_t now_ms = uv_now(path->worker->loop);

    path->live.wanted_until_ms = now_ms + PATH_WANTED_MS;
    path->live.is_hidden = news->is_hidden;
    if (news->is_restarted) {
        path->live.seen_number = path->live.seen_mask = 0;
        path_live_distrust(path);
    }
    for (int i = 0; i < news->count; i++) {
        const struct candidate *candidate = &news->candidates[i];

        if (candidate->kind == CANDIDATE_RELAY) {
            path_relay_add(path, candidate, news->signer, news->signer_bytes);
        } else if (candidate->kind == CANDIDATE_TCP) {
            path_tcp_add(path, candidate);
        } else {
            struct path_way *way = path_udp_add(path, &candidate->address, false);
            if (way && !way->is_proved)
                path_check_hurry(way, now_ms);
        }
    }
    if (path->live.current)
        path_check_hurry(path->live.current, now_ms);
    if (news->theirs[0])
        path_live_note(path, "told", "the far end can be reached at: %s", news->theirs);
    if (news->ours[0])
        path_live_note(path, "named", "we can be reached at: %s", news->ours);
    path_choice_report(path);
    free(news);
}

static struct news *news_new(struct path *path)
{
    struct news *news = path_letter_new(sizeof *news, on_news);

    news->path = path;
    news->is_hidden = !path->control.is_shown;
    news->signer_bytes = path->control.peer_der_bytes;
    if (news->signer_bytes > 0)
        memcpy(news->signer, path->control.peer_der, news->signer_bytes);
    return news;
}

static void add_own_relays(struct news *news)
{
    for (int i = 0; i < news->path->control.relay_count; i++)
        news->candidates[news->count++] = news->path->control.relays[i];
}

static int describe(struct news *news, bool with_key, struct core_path *out)
{
    const struct path *path = news->path;
    struct candidate_path ours = {.has_key = with_key};

    memcpy(ours.id, path->id, PATH_ID_BYTES);
    memcpy(ours.key, path->key, PATH_KEY_BYTES);
    memcpy(ours.instance, path->paths->instance, PATH_INSTANCE_BYTES);
    if (path->control.is_shown) {
        paths_add_tcp(path->paths, &ours);
        paths_add_own(path, &ours);
    }
    if (ours.count > CANDIDATES_MAX - path->control.relay_count)
        ours.count = CANDIDATES_MAX - path->control.relay_count;
    for (int i = 0; i < path->control.relay_count; i++)
        ours.candidates[ours.count++] = path->control.relays[i];
    candidate_list_text(ours.candidates, ours.count, news->ours, sizeof news->ours);
    return candidate_path_encode(&ours, out);
}

/* Does the peer speak as another process than before? */
static bool note_instance(struct path *path, const struct candidate_path *theirs)
{
    static const uint8_t unknown[PATH_INSTANCE_BYTES];
    uint8_t *known = path->control.peer_instance;
    bool was_known = memcmp(known, unknown, PATH_INSTANCE_BYTES) != 0;
    bool is_other = memcmp(known, theirs->instance, PATH_INSTANCE_BYTES) != 0;

    memcpy(known, theirs->instance, PATH_INSTANCE_BYTES);
    return was_known && is_other;
}

/* ---- theirs -----------------------------------------------------------------------------------
 */

static void complain(struct paths *paths, const char *what)
{
    uint64_t count;

    paths->implausible++;
    if (log_limit(&paths->complaint, uv_now(paths->settings.control), &count))
        log_warn(LOG_OVERLAY, NULL, "a peer named %s as its address: not tried (%llu so far)", what,
                 (unsigned long long)paths->implausible);
}

static bool is_a_relay(const struct sockaddr_storage *address, const struct path *path,
                       const struct candidate_path *theirs)
{
    struct sockaddr_storage relay;

    for (int i = 0; i < path->control.relay_count; i++)
        if (address_parse(path->control.relays[i].host, &relay) == 0 &&
            address_equal(address, &relay))
            return true;
    for (int i = 0; i < theirs->count; i++)
        if (theirs->candidates[i].kind == CANDIDATE_RELAY &&
            address_parse(theirs->candidates[i].host, &relay) == 0 &&
            address_equal(address, &relay))
            return true;
    return false;
}

static bool is_relay_host(const char *host, const struct path *path,
                          const struct candidate_path *theirs)
{
    struct sockaddr_storage address;

    if (address_parse(host, &address) == 0) {
        address_normalise(&address);
        return is_a_relay(&address, path, theirs);
    }
    for (int i = 0; i < path->control.relay_count; i++)
        if (strcasecmp(host, path->control.relays[i].host) == 0)
            return true;
    for (int i = 0; i < theirs->count; i++)
        if (theirs->candidates[i].kind == CANDIDATE_RELAY &&
            strcasecmp(host, theirs->candidates[i].host) == 0)
            return true;
    return false;
}

/* Those of their candidates that may be tried. */
static void judge(struct path *path, const struct candidate_path *theirs, struct news *news)
{
    struct paths *paths = path->paths;
    struct candidate_policy udp = {path->is_loopback_allowed, paths->own, paths->own_count};
    struct candidate_policy relay = {.is_loopback_allowed = paths_is_loopback_realm(paths)};
    char text[ADDRESS_TEXT_MAX];

    for (int i = 0; i < theirs->count; i++) {
        const struct candidate *candidate = &theirs->candidates[i];

        if (candidate->kind == CANDIDATE_UDP) {
            if (!candidate_is_plausible(&candidate->address, &udp) ||
                is_a_relay(&candidate->address, path, theirs)) {
                complain(paths, address_format(&candidate->address, text));
                continue;
            }
        } else if (candidate->kind == CANDIDATE_TCP) {
            if (paths->settings.conf->relay_only)
                continue;
            if (!candidate_host_is_plausible(candidate->host, &relay) ||
                paths_is_own_door(paths, candidate->host) ||
                is_relay_host(candidate->host, path, theirs)) {
                complain(paths, "an impossible TCP address");
                continue;
            }
        } else if (!candidate_host_is_plausible(candidate->host, &relay)) {
            complain(paths, "an impossible relay");
            continue;
        }
        news->candidates[news->count++] = *candidate;
    }
    paths->implausible += theirs->ignored;
    candidate_list_text(theirs->candidates, theirs->count, news->theirs, sizeof news->theirs);
}

/* ---- who may know our addresses ----------------------------------------------------------------
 *
 * A call attempt must not tell a stranger where we are (Le Blond 2011). As long as the caller's
 * site is not trusted and the call not accepted, it is told of our relay only, and nothing is sent
 * to what it has named, relays included: its own would see us.
 */

static bool is_trusted(const struct paths *paths, const char *site)
{
    const struct conf_overlay *conf = paths->settings.conf;

    for (int i = 0; i < conf->trust_count; i++)
        if (strcmp(conf->trust[i], "*") == 0 || strcasecmp(conf->trust[i], site) == 0)
            return true;
    return false;
}

static void hold(struct path *path, const struct candidate_path *theirs)
{
    struct candidate_path *held = malloc(sizeof *held);

    if (!held)
        return;
    *held = *theirs;
    free(path->control.held);
    path->control.held = held;
}

static void take_held(struct path *path, struct news *news)
{
    if (path->control.held)
        judge(path, path->control.held, news);
    free(path->control.held);
    path->control.held = NULL;
}

int paths_show(struct paths *paths, void *handle, struct core_path *ours)
{
    struct path *path = handle;

    ours->bytes = 0;
    if (path->control.is_shown)
        return 0;
    path->control.is_shown = true;
    paths_refresh_hosts(paths);
    struct news *news = news_new(path);
    take_held(path, news);
    int err = describe(news, false, ours);
    path_post_send(path->worker->to_worker, &news->letter);
    return err;
}

/* ---- the three steps --------------------------------------------------------------------------
 */

int paths_offer(struct paths *paths, const struct certificate *peer, struct core_path *ours,
                void **out, uint32_t *ssrc_in)
{
    const struct overlay_workers *workers = paths->settings.workers;
    struct paths_birth birth = {.peer = peer->node, .worker = workers->pick(workers->ctx)};
    struct path *path;
    int err;

    if (memcmp(peer->node, identity_certificate(paths->settings.identity)->node,
               sizeof peer->node) == 0)
        return -ELOOP;
    paths_refresh_hosts(paths);
    path = paths_find_shared(paths, peer->node, birth.worker);
    if (!path) {
        randombytes_buf(birth.id, sizeof birth.id);
        randombytes_buf(birth.key, sizeof birth.key);
        if (!(path = paths_make(paths, &birth)))
            return -ENOMEM;
    }
    if ((err = paths_take_ssrc(paths, path, ssrc_in)) < 0)
        return err;

    keep_certificate(path, peer);
    paths_take_relays(path, PATH_OWN_RELAYS, NULL);
    path->control.is_shown = true; /* by our own call */
    struct news *news = news_new(path);
    take_held(path, news);
    add_own_relays(news);
    err = describe(news, true, ours);
    path_post_send(path->worker->to_worker, &news->letter);
    if (err < 0)
        paths_release(paths, path, *ssrc_in);
    else
        *out = path;
    return err;
}

/* The path that an offer means: one that we know, or one to be made as the caller says. */
static int accept_path(struct paths *paths, const struct certificate *peer,
                       const struct candidate_path *theirs, struct path **out)
{
    const struct overlay_workers *workers = paths->settings.workers;
    struct paths_birth birth = {.peer = peer->node, .is_hidden = !is_trusted(paths, peer->site)};
    struct path *path = paths_find(paths, theirs->id);

    if (path) {
        bool is_same =
            memcmp(path->peer, peer->node, sizeof path->peer) == 0 &&
            (!theirs->has_key || sodium_memcmp(path->key, theirs->key, sizeof path->key) == 0);
        *out = path;
        return is_same ? 0 : -EINVAL;
    }
    if (!theirs->has_key)
        return -ENOENT;
    if (!paths_has_room(paths, peer->node))
        return -ENOBUFS;
    birth.worker = workers->pick(workers->ctx);
    memcpy(birth.id, theirs->id, sizeof birth.id);
    memcpy(birth.key, theirs->key, sizeof birth.key);
    *out = paths_make(paths, &birth);
    return *out ? 0 : -ENOMEM;
}

int paths_accept(struct paths *paths, const struct certificate *peer, const struct core_path *data,
                 struct core_path *ours, void **out, uint32_t *ssrc_in)
{
    struct candidate_path theirs;
    struct path *path;
    int err;

    if ((err = candidate_path_decode(data, &theirs)) < 0)
        return err;
    if (memcmp(peer->node, identity_certificate(paths->settings.identity)->node,
               sizeof peer->node) == 0)
        return -ELOOP;
    paths_refresh_hosts(paths);
    if ((err = accept_path(paths, peer, &theirs, &path)) < 0)
        return err;
    if ((err = paths_take_ssrc(paths, path, ssrc_in)) < 0)
        return err;

    keep_certificate(path, peer);
    paths_take_relays(path, 1, path->control.is_shown ? &theirs : NULL);
    struct news *news = news_new(path);
    news->is_restarted = note_instance(path, &theirs);
    if (path->control.is_shown)
        judge(path, &theirs, news);
    else
        hold(path, &theirs);
    add_own_relays(news);
    err = describe(news, false, ours);
    path_post_send(path->worker->to_worker, &news->letter);
    if (err < 0)
        paths_release(paths, path, *ssrc_in);
    else
        *out = path;
    return err;
}

int paths_learn(struct paths *paths, void *handle, const struct core_path *data)
{
    struct path *path = handle;
    struct candidate_path theirs;
    int err = candidate_path_decode(data, &theirs);

    if (err < 0)
        return err;
    if (memcmp(theirs.id, path->id, PATH_ID_BYTES) != 0)
        return -EINVAL;
    paths_refresh_hosts(paths);

    struct news *news = news_new(path);
    news->is_restarted = note_instance(path, &theirs);
    judge(path, &theirs, news);
    path_post_send(path->worker->to_worker, &news->letter);
    return 0;
}

void paths_hear_address(struct path *path, const struct sockaddr_storage *address)
{
    struct candidate_path theirs = {.count = 1};
    struct news *news = news_new(path);

    theirs.candidates[0].kind = CANDIDATE_UDP;
    theirs.candidates[0].address = *address;
    paths_refresh_hosts(path->paths);
    judge(path, &theirs, news);
    path_post_send(path->worker->to_worker, &news->letter);
}
