/* This machine: the addresses at which its workers can be reached, from inside and from outside. */
#include "overlay/path_control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HOSTS_AGE_MS 3000

static struct path_stun_result *seen_by(const struct paths *paths, int worker)
{
    return &paths->seen[worker * PATH_STUN_KEPT_MAX];
}

static bool is_mapped(const struct path_stun_result *seen)
{
    return seen->server.address.ss_family != 0 && seen->outcome == PATH_STUN_ANSWERED;
}

static void list_own(struct paths *paths)
{
    paths->own_count = 0;
    for (int w = 0; w < paths->worker_count; w++) {
        const struct path_stun_result *seen = seen_by(paths, w);

        if (!paths->workers[w].socket)
            continue;
        for (int i = 0; i < paths->host_count; i++) {
            struct sockaddr_storage *own = &paths->own[paths->own_count++];
            *own = paths->hosts[i];
            address_set_port(own, path_socket_port(paths->workers[w].socket));
        }
        for (int i = 0; i < PATH_STUN_KEPT_MAX; i++)
            if (is_mapped(&seen[i]))
                paths->own[paths->own_count++] = seen[i].mapped;
    }
}

void paths_refresh_hosts(struct paths *paths)
{
    uint64_t now_ms = uv_now(paths->settings.control);

    if (paths->hosts_ms && now_ms < paths->hosts_ms + HOSTS_AGE_MS)
        return;
    paths->hosts_ms = now_ms ? now_ms : 1;
    /* the port only has to be one: candidates get that of their worker */
    paths->host_count = path_socket_hosts(1, paths->hosts, PATHS_HOSTS_MAX);
    paths->is_loopback = paths->host_count == 0 || candidate_is_loopback(&paths->hosts[0]);
    list_own(paths);
}

static bool is_loopback_text(const char *text)
{
    struct sockaddr_storage address;

    return address_parse(text, &address) == 0 && candidate_is_loopback(&address);
}

/* A realm whose supernodes are named by loopback addresses lives on this machine. */
bool paths_is_loopback_realm(const struct paths *paths)
{
    const struct paths_settings *settings = &paths->settings;

    if (paths->is_loopback)
        return true;
    for (int i = 0; i < identity_supernode_count(settings->identity); i++)
        if (is_loopback_text(identity_supernode(settings->identity, i)))
            return true;
    for (int i = 0; i < settings->conf->supernode_count; i++)
        if (is_loopback_text(settings->conf->supernodes[i]))
            return true;
    return false;
}

static void add(struct candidate_path *ours, const struct sockaddr_storage *address)
{
    for (int i = 0; i < ours->count; i++)
        if (ours->candidates[i].kind == CANDIDATE_UDP &&
            address_equal(&ours->candidates[i].address, address))
            return;
    if (ours->count == CANDIDATES_MAX)
        return;
    struct candidate *candidate = &ours->candidates[ours->count++];
    candidate->kind = CANDIDATE_UDP;
    candidate->address = *address;
}

void paths_add_own(const struct path *path, struct candidate_path *ours)
{
    const struct paths *paths = path->paths;
    const struct path_stun_result *seen = seen_by(paths, path->worker->index);
    const struct candidate_policy policy = {.is_loopback_allowed = paths->is_loopback};

    if (!path->worker->socket || paths->settings.conf->relay_only)
        return;
    for (int i = 0; i < paths->host_count; i++) {
        struct sockaddr_storage host = paths->hosts[i];
        address_set_port(&host, path_socket_port(path->worker->socket));
        add(ours, &host);
    }
    for (int i = 0; i < PATH_STUN_KEPT_MAX; i++)
        if (is_mapped(&seen[i]) && candidate_is_plausible(&seen[i].mapped, &policy))
            add(ours, &seen[i].mapped);
}

int paths_hosts(struct paths *paths, struct sockaddr_storage *out, int max)
{
    int count = 0;

    paths_refresh_hosts(paths);
    if (!paths->workers[0].socket)
        return 0;
    for (; count < paths->host_count && count < max; count++) {
        out[count] = paths->hosts[count];
        address_set_port(&out[count], path_socket_port(paths->workers[0].socket));
    }
    return count;
}

int paths_outside(struct paths *paths, struct sockaddr_storage *out)
{
    const struct path_stun_result *seen = seen_by(paths, 0);

    for (int i = 0; i < PATH_STUN_KEPT_MAX; i++) {
        if (is_mapped(&seen[i])) {
            *out = seen[i].mapped;
            return 0;
        }
    }
    return paths_hosts(paths, out, 1) == 1 ? 0 : -ENOENT;
}

/* ---- servers that see us from outside ----------------------------------------------------------
 */

struct ask {
    struct path_letter letter;
    struct path_worker *worker;
    struct path_stun_list list;
};

static void on_ask(struct path_letter *letter)
{
    struct ask *ask = (struct ask *)letter;

    if (ask->worker->stun)
        path_stun_ask(ask->worker->stun, &ask->list);
    free(ask);
}

/* What is no longer asked does not count any more. */
static void forget_others(struct paths *paths, const struct path_stun_server *servers, int count)
{
    for (int i = 0; i < paths->worker_count * PATH_STUN_KEPT_MAX; i++) {
        bool is_asked = false;

        for (int k = 0; k < count; k++)
            is_asked |= servers[k].is_kept &&
                        address_equal(&servers[k].address, &paths->seen[i].server.address);
        if (!is_asked)
            paths->seen[i] = (struct path_stun_result){0};
    }
}

void paths_ask(struct paths *paths, const struct path_stun_server *servers, int count)
{
    forget_others(paths, servers, count);
    paths->asked++;
    for (int w = 0; w < paths->worker_count; w++) {
        struct path_worker *worker = &paths->workers[w];
        struct ask *ask;

        if (!worker->socket)
            continue;
        ask = path_letter_new(sizeof *ask, on_ask);
        ask->worker = worker;
        ask->list.number = paths->asked;
        for (int i = 0; i < count && ask->list.count < PATH_STUN_SERVERS_MAX; i++)
            if (w == 0 || servers[i].is_kept)
                ask->list.server[ask->list.count++] = servers[i];
        path_post_send(worker->to_worker, &ask->letter);
    }
}

/* The calls on this worker (-1: on any) learn where we can be reached now. */
static void tell_all(struct paths *paths, int worker)
{
    struct path *path, *next;

    HASH_ITER(control.hh, paths->by_id, path, next)
    if (worker < 0 || path->worker->index == worker)
        paths_tell_addresses(path);
}

struct change {
    struct path_letter letter;
    struct path_worker *worker;
};

static void on_change(struct path_letter *letter)
{
    struct path_worker *worker = ((struct change *)letter)->worker;
    struct path *path, *next;

    HASH_ITER(live.hh, worker->live, path, next)
    path_live_on_network_change(path);
    free(letter);
}

void paths_on_network_change(struct paths *paths)
{
    forget_others(paths, NULL, 0);
    paths->asked++; /* answers that are still under way are of yesterday */
    paths->hosts_ms = 0;
    paths_refresh_hosts(paths);
    for (int w = 0; w < paths->worker_count; w++) {
        struct change *change = path_letter_new(sizeof *change, on_change);

        change->worker = &paths->workers[w];
        path_post_send(change->worker->to_worker, &change->letter);
    }
    tell_all(paths, -1);
}

static void keep_seen(struct paths *paths, const struct path_stun_result *result)
{
    struct path_stun_result *seen = seen_by(paths, result->worker), *place = NULL;

    for (int i = 0; i < PATH_STUN_KEPT_MAX; i++) {
        if (address_equal(&seen[i].server.address, &result->server.address)) {
            place = &seen[i];
            break;
        }
        if (!place && seen[i].server.address.ss_family == 0)
            place = &seen[i];
    }
    if (!place)
        return;
    bool is_new =
        is_mapped(result) && !(is_mapped(place) && address_equal(&place->mapped, &result->mapped));
    *place = *result;
    list_own(paths);
    if (is_new)
        tell_all(paths, result->worker);
}

void paths_on_stun(struct path_letter *letter)
{
    struct path_stun_told *told = (struct path_stun_told *)letter;
    const struct paths_settings *settings = &told->paths->settings;

    if (told->number == told->paths->asked && !told->paths->is_closing) {
        if (told->result.server.is_kept)
            keep_seen(told->paths, &told->result);
        if (settings->on_stun)
            settings->on_stun(settings->on_stun_ctx, &told->result);
    }
    free(told);
}

struct expect {
    struct path_letter letter;
    struct path_worker *worker;
    uint8_t knock[STUN_TRANSACTION_BYTES];
};

static void on_expect(struct path_letter *letter)
{
    struct expect *expect = (struct expect *)letter;

    if (expect->worker->stun)
        path_stun_expect(expect->worker->stun, expect->knock);
    free(expect);
}

void paths_expect(struct paths *paths, const uint8_t knock[STUN_TRANSACTION_BYTES])
{
    struct expect *expect = path_letter_new(sizeof *expect, on_expect);

    expect->worker = &paths->workers[0];
    memcpy(expect->knock, knock, sizeof expect->knock);
    path_post_send(expect->worker->to_worker, &expect->letter);
}

void paths_on_knock(struct path_letter *letter)
{
    struct path_stun_knocked *knocked = (struct path_stun_knocked *)letter;
    const struct paths_settings *settings = &knocked->paths->settings;

    if (settings->on_knock && !knocked->paths->is_closing)
        settings->on_knock(settings->on_stun_ctx, knocked->knock);
    free(knocked);
}
