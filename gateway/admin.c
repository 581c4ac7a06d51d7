#include "gateway/admin.h"

#include "gateway/gateway.h"
#include "gateway/report.h"

#include "conf/log.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTIONS_MAX 32
#define IDLE_S 10

struct admin {
    struct gateway *gateway;
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    uv_timer_t timer;
    int open_handles;
};

static const struct {
    const char *path;
    json_t *(*report)(struct gateway *gateway);
} pages[] = {
    {"/status", report_status},
    {"/calls", report_calls},
    {"/nodes", report_nodes},
};

static enum MHD_Result reply(struct MHD_Connection *connection, unsigned status, json_t *body)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    if (!text)
        return MHD_NO;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        free(text);
        return MHD_NO;
    }
    MHD_add_response_header(response, "Content-Type", "application/json");
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

/* "/calls/ID/journal" */
static bool is_journal(const char *url, char id[CALL_ID_LEN + 1])
{
    static const char before[] = "/calls/", after[] = "/journal";
    if (strncmp(url, before, sizeof before - 1) != 0)
        return false;
    url += sizeof before - 1;
    size_t length = strcspn(url, "/");
    if (length == 0 || length > CALL_ID_LEN || strcmp(url + length, after) != 0)
        return false;
    memcpy(id, url, length);
    id[length] = '\0';
    return true;
}

static enum MHD_Result reply_journal(struct admin *admin, struct MHD_Connection *connection,
                                     const char *id)
{
    int error;
    json_t *body = report_journal(admin->gateway, id, &error);
    return reply(connection,
                 error == 0         ? MHD_HTTP_OK
                 : error == -ENOENT ? MHD_HTTP_NOT_FOUND
                                    : MHD_HTTP_CONFLICT,
                 body);
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_bytes, void **state)
{
    struct admin *admin = ctx;
    char id[CALL_ID_LEN + 1];
    static int seen; /* the first call of a request only announces its headers */
    (void)version;
    (void)data;
    if (!*state) {
        *state = &seen;
        return MHD_YES;
    }
    if (*data_bytes) { /* no page takes a body */
        *data_bytes = 0;
        return MHD_YES;
    }
    if (strcmp(method, "GET") != 0)
        return reply(connection, MHD_HTTP_METHOD_NOT_ALLOWED,
                     json_pack("{s:s}", "error", "only GET is understood"));
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        if (strcmp(url, pages[i].path) == 0)
            return reply(connection, MHD_HTTP_OK, pages[i].report(admin->gateway));
    if (is_journal(url, id))
        return reply_journal(admin, connection, id);
    return reply(
        connection, MHD_HTTP_NOT_FOUND,
        json_pack("{s:s}", "error",
                  "no such page; there are /status, /calls, /nodes and /calls/ID/journal"));
}

/* ---- in the loop
 * ---------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer);

static void run(struct admin *admin)
{
    MHD_UNSIGNED_LONG_LONG wait_ms;
    MHD_run(admin->daemon);
    if (MHD_get_timeout(admin->daemon, &wait_ms) == MHD_YES)
        uv_timer_start(&admin->timer, on_timer, wait_ms, 0);
}

static void on_timer(uv_timer_t *timer)
{
    run(timer->data);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    run(poll->data);
}

int admin_open(struct gateway *gateway, struct admin **out)
{
    const struct sockaddr_storage *address = &gateway->conf->admin.listen;
    char text[ADDRESS_TEXT_MAX];
    struct admin *admin = calloc(1, sizeof *admin);
    if (!admin)
        return -ENOMEM;
    admin->gateway = gateway;
    unsigned flags = MHD_USE_EPOLL | (address->ss_family == AF_INET6 ? MHD_USE_IPv6 : 0);
    admin->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, admin, MHD_OPTION_SOCK_ADDR,
                                     address, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
                                     MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S, MHD_OPTION_END);
    if (!admin->daemon) {
        int err = errno ? -errno : -EADDRINUSE;
        log_error(LOG_GATEWAY, NULL, "admin.listen: %s cannot be bound: %s",
                  address_format(address, text), strerror(-err));
        free(admin);
        return err;
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(admin->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    uv_poll_init(gateway->uv, &admin->poll, info->epoll_fd);
    uv_timer_init(gateway->uv, &admin->timer);
    admin->open_handles = 2;
    admin->poll.data = admin->timer.data = admin;
    uv_poll_start(&admin->poll, UV_READABLE, on_poll);
    log_info(LOG_GATEWAY, NULL, "admin API on http://%s", address_format(address, text));
    *out = admin;
    return 0;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct admin *admin = handle->data;
    if (--admin->open_handles > 0)
        return;
    MHD_stop_daemon(admin->daemon);
    free(admin);
}

void admin_close(struct admin *admin)
{
    uv_close((uv_handle_t *)&admin->poll, on_handle_closed);
    uv_close((uv_handle_t *)&admin->timer, on_handle_closed);
}
