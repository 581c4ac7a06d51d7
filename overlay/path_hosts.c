/* This machine: the addresses at which its workers can be reached. */
#include "overlay/path_control.h"

#define HOSTS_AGE_MS 3000

void paths_refresh_hosts(struct paths *paths)
{
    uint64_t now_ms = uv_now(paths->settings.control);

    if (paths->hosts_ms && now_ms < paths->hosts_ms + HOSTS_AGE_MS)
        return;
    paths->hosts_ms = now_ms ? now_ms : 1;
    /* the port only has to be one: candidates get that of their worker */
    paths->host_count = path_socket_hosts(1, paths->hosts, PATHS_HOSTS_MAX);
    paths->is_loopback = paths->host_count == 0 || candidate_is_loopback(&paths->hosts[0]);
    paths->own_count = 0;
    for (int w = 0; w < paths->worker_count; w++) {
        if (!paths->workers[w].socket)
            continue;
        for (int i = 0; i < paths->host_count; i++) {
            struct sockaddr_storage *own = &paths->own[paths->own_count++];
            *own = paths->hosts[i];
            address_set_port(own, path_socket_port(paths->workers[w].socket));
        }
    }
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

void paths_add_own(const struct path *path, struct candidate_path *ours)
{
    const struct paths *paths = path->paths;

    if (!path->worker->socket)
        return;
    for (int i = 0; i < paths->host_count && ours->count < CANDIDATES_MAX; i++) {
        struct candidate *candidate = &ours->candidates[ours->count++];
        candidate->kind = CANDIDATE_UDP;
        candidate->address = paths->hosts[i];
        address_set_port(&candidate->address, path_socket_port(path->worker->socket));
    }
}
