/* How well others can reach us: whom to ask, the answers, and what is made of them. */
#include "overlay/overlay_parts.h"

#include "overlay/reach.h"
#include "overlay/stun.h"
#include "overlay/tls_address.h"

#include "conf/log.h"

#include <errno.h>
#include <netdb.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 1000       /* how soon another home or standby is asked, too */
#define AGAIN_MS 300000    /* how long what was learnt is trusted */
#define DIAL_BACK_MS 60000 /* sooner nobody dials back again */
#define DOUBT_MS 2000      /* between two questions because a call's way has died */
#define NOBODY_MS 10000    /* until somebody is there to ask */
#define KEPT_NAMES 2
#define MEASURED_NAMES 8
#define NAMES_MAX (KEPT_NAMES + MEASURED_NAMES)

struct name {
    char text[ADDRESS_TEXT_MAX];
    bool is_kept;
    struct sockaddr_storage address[2]; /* IPv4, IPv6; family 0: none */
};

/* Names on their way to addresses, then to the workers. */
struct asking {
    struct overlay *overlay;
    struct name name[NAMES_MAX];
    int count;
    int waiting; /* for the resolver, and one until all have been given to it */
};

struct resolving {
    uv_getaddrinfo_t request; /* its data: this */
    struct asking *asking;
    struct name *name;
    uint16_t port;
};

struct overlay_reach {
    uv_timer_t timer;
    struct name asked[NAMES_MAX]; /* last, with their addresses once they are known */
    int asked_count;
    struct asking *asking; /* the newest; NULL: done */
    uint64_t again_ms;
    uint64_t doubted_ms;
    uint64_t dial_back_ms; /* not asked before */
    uint8_t knock[STUN_TRANSACTION_BYTES];
    bool has_knocked;
    struct reach_facts facts;
    struct reach_verdict verdict;
    enum overlay_class told;
    bool is_told_blocked;
};

/* ---- whom to ask ------------------------------------------------------------------------------
 */

struct choice {
    const struct overlay *overlay;
    char self[2 * OVERLAY_NODE_ID_BYTES + 1];
    struct name name[NAMES_MAX];
    int count, kept;
};

static void choose(struct choice *choice, const char *address, bool is_kept)
{
    for (int i = 0; i < choice->count; i++)
        if (strcmp(choice->name[i].text, address) == 0)
            return;
    if (choice->count == NAMES_MAX || strlen(address) >= ADDRESS_TEXT_MAX)
        return;
    if (is_kept && choice->kept == KEPT_NAMES)
        return;
    choice->kept += is_kept;
    choice->name[choice->count].is_kept = is_kept;
    strcpy(choice->name[choice->count++].text, address);
}

static void choose_supernode(void *ctx, const struct overlay_supernode *supernode)
{
    struct choice *choice = ctx;

    if (strcmp(supernode->node, choice->self) != 0)
        choose(choice, supernode->address, true);
}

static void choose_host(void *ctx, const char *address)
{
    choose(ctx, address, true);
}

static void choose_relay(void *ctx, const struct core_relay *relay)
{
    if (!relay->is_self)
        choose(ctx, relay->address, false);
}

/* Home and standby, or others when one is missing; then the relays, for their distance. */
static void choose_all(struct overlay *overlay, struct choice *choice)
{
    struct overlay_status status;

    memset(choice, 0, sizeof *choice);
    core_status(overlay->core, &status);
    memcpy(choice->self, status.node, sizeof choice->self);
    core_each_supernode(overlay->core, choose_supernode, choice);
    if (choice->kept < KEPT_NAMES)
        core_each_host(overlay->core, choose_host, choice);
    core_each_relay(overlay->core, choose_relay, choice);
}

static bool is_as_asked(const struct overlay_reach *reach, const struct choice *choice)
{
    if (choice->count != reach->asked_count)
        return false;
    for (int i = 0; i < choice->count; i++) {
        bool is_there = false;
        for (int k = 0; k < reach->asked_count; k++)
            is_there |= strcmp(reach->asked[k].text, choice->name[i].text) == 0 &&
                        reach->asked[k].is_kept == choice->name[i].is_kept;
        if (!is_there)
            return false;
    }
    return true;
}

/* ---- what is made of it -----------------------------------------------------------------------
 */

static void judge(struct overlay *overlay)
{
    struct overlay_reach *reach = overlay->reach;
    struct reach_verdict *verdict = &reach->verdict;

    reach->facts.host_count = paths_hosts(overlay->paths, reach->facts.host, REACH_HOSTS_MAX);
    reach_judge(&reach->facts, verdict);
    paths_set_open(overlay->paths, verdict->takes_tcp ? overlay->address : NULL);
    if (overlay->core)
        core_relay_offer(overlay->core, reach->facts.tcp != REACH_NOT_DIALED);
    if (overlay->core && reach->facts.tcp != REACH_NOT_TRIED)
        core_reachable(overlay->core, reach->facts.tcp == REACH_DIALED);
    if (verdict->class == OVERLAY_CLASS_UNKNOWN)
        return;
    if (verdict->is_udp_blocked && !reach->is_told_blocked)
        log_warn(LOG_OVERLAY, NULL, "reachability %s: %s", reach_class_name(verdict->class),
                 verdict->reason);
    else if (verdict->class != reach->told)
        log_info(LOG_OVERLAY, NULL, "reachability %s: %s", reach_class_name(verdict->class),
                 verdict->reason);
    reach->told = verdict->class;
    reach->is_told_blocked = verdict->is_udp_blocked;
}

/* ---- dial-back --------------------------------------------------------------------------------
 */

static void dial_back(struct overlay *overlay)
{
    struct overlay_reach *reach = overlay->reach;
    struct core_dial_back ask = {.udp_port = 0};
    struct sockaddr_storage outside;
    struct tls_address own;

    if (!reach->facts.listens || reach->facts.is_hidden ||
        reach->verdict.class == OVERLAY_CLASS_UNKNOWN || overlay_now_ms() < reach->dial_back_ms ||
        tls_address_parse(overlay->address, &own) < 0)
        return;
    ask.tcp_port = (uint16_t)atoi(own.port);
    if (paths_outside(overlay->paths, &outside) == 0)
        ask.udp_port = address_port(&outside);
    randombytes_buf(ask.knock, sizeof ask.knock);
    memcpy(reach->knock, ask.knock, sizeof reach->knock);
    reach->has_knocked = false;
    paths_expect(overlay->paths, ask.knock);
    bool is_asked = core_dial_back(overlay->core, &ask) == 0;
    reach->dial_back_ms = overlay_now_ms() + (is_asked ? AGAIN_MS : NOBODY_MS);
}

void overlay_on_knock(void *ctx, const uint8_t knock[STUN_TRANSACTION_BYTES])
{
    struct overlay *overlay = ctx;
    struct overlay_reach *reach = overlay->reach;

    if (!reach || memcmp(knock, reach->knock, sizeof reach->knock) != 0)
        return;
    reach->has_knocked = true;
    reach->facts.udp = REACH_DIALED;
    judge(overlay);
}

void overlay_on_dialed_back(void *ctx, const struct core_dialed_back *result)
{
    struct overlay *overlay = ctx;
    struct overlay_reach *reach = overlay->reach;

    if (!reach)
        return;
    if (result->is_refused) { /* what was learnt before still counts */
        log_debug(LOG_OVERLAY, NULL, "no dial-back: %s", result->why);
        reach->dial_back_ms = overlay_now_ms() + DIAL_BACK_MS;
        return;
    }
    reach->facts.tcp = result->tcp ? REACH_DIALED : REACH_NOT_DIALED;
    reach->facts.udp = reach->has_knocked ? REACH_DIALED : REACH_NOT_DIALED;
    memcpy(reach->facts.dialed_why, result->why, sizeof reach->facts.dialed_why);
    judge(overlay);
}

/* ---- answers ----------------------------------------------------------------------------------
 */

static struct reach_server *find_server(struct overlay_reach *reach, const char *name)
{
    for (int i = 0; i < reach->facts.server_count; i++)
        if (strcmp(reach->facts.server[i].name, name) == 0)
            return &reach->facts.server[i];
    return NULL;
}

static struct name *name_of(struct overlay_reach *reach, const struct sockaddr_storage *address)
{
    for (int i = 0; i < reach->asked_count; i++)
        for (int f = 0; f < 2; f++)
            if (address_equal(&reach->asked[i].address[f], address))
                return &reach->asked[i];
    return NULL;
}

void overlay_on_stun(void *ctx, const struct path_stun_result *result)
{
    static const enum reach_answer answers[] = {[PATH_STUN_ANSWERED] = REACH_ANSWERED,
                                                [PATH_STUN_SILENT] = REACH_SILENT,
                                                [PATH_STUN_UNREACHABLE] = REACH_UNREACHABLE};
    struct overlay *overlay = ctx;
    struct overlay_reach *reach = overlay->reach;
    char text[ADDRESS_TEXT_MAX];

    if (!reach || result->worker != 0)
        return;
    struct name *name = name_of(reach, &result->server.address);
    struct reach_server *server = find_server(reach, address_format(&result->server.address, text));
    if (name && overlay->core && result->outcome != PATH_STUN_UNREACHABLE)
        core_relay_measured(overlay->core, name->text,
                            result->outcome == PATH_STUN_ANSWERED ? result->round_trip_us : 0);
    if (!server)
        return;
    server->answer = answers[result->outcome];
    server->mapped = result->mapped;
    judge(overlay);
}

/* ---- asking -----------------------------------------------------------------------------------
 */

/* Those that were asked before keep their answers until new ones come. */
static void add_server(struct reach_facts *facts, struct overlay_reach *reach, const char *text)
{
    const struct reach_server *before = find_server(reach, text);
    struct reach_server *server = &facts->server[facts->server_count];

    if (facts->server_count == REACH_SERVERS_MAX)
        return;
    facts->server_count++;
    *server = before ? *before : (struct reach_server){.answer = REACH_WAITING};
    snprintf(server->name, sizeof server->name, "%s", text);
}

static void ask_workers(struct overlay *overlay, const struct asking *asking)
{
    struct overlay_reach *reach = overlay->reach;
    struct path_stun_server servers[PATH_STUN_SERVERS_MAX];
    struct reach_facts facts = reach->facts;
    int count = 0;

    facts.server_count = 0;
    for (int i = 0; i < asking->count; i++) {
        const struct name *name = &asking->name[i];
        bool is_known = false;

        for (int f = 0; f < 2 && count < PATH_STUN_SERVERS_MAX; f++) {
            char text[ADDRESS_TEXT_MAX];

            if (name->address[f].ss_family == 0 || (is_known && !name->is_kept))
                continue;
            is_known = true;
            servers[count].address = name->address[f];
            servers[count++].is_kept = name->is_kept;
            if (name->is_kept)
                add_server(&facts, reach, address_format(&name->address[f], text));
        }
        if (!is_known && name->is_kept) {
            add_server(&facts, reach, name->text);
            facts.server[facts.server_count - 1].answer = REACH_UNREACHABLE;
        }
    }
    reach->facts = facts;
    memcpy(reach->asked, asking->name, sizeof reach->asked);
    reach->asked_count = asking->count;
    paths_ask(overlay->paths, servers, count);
    judge(overlay);
}

static void one_is_known(struct asking *asking)
{
    struct overlay *overlay = asking->overlay;

    if (--asking->waiting > 0)
        return;
    if (overlay->reach && overlay->reach->asking == asking) {
        overlay->reach->asking = NULL;
        ask_workers(overlay, asking);
    }
    free(asking);
    overlay_let_go(overlay);
}

static void keep_address(struct name *name, const struct sockaddr *found, uint16_t port)
{
    struct sockaddr_storage address = {.ss_family = 0};

    if (found->sa_family != AF_INET && found->sa_family != AF_INET6)
        return;
    memcpy(&address, found,
           found->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
    address_normalise(&address);
    address_set_port(&address, port);
    struct sockaddr_storage *place = &name->address[address.ss_family == AF_INET6];
    if (place->ss_family == 0)
        *place = address;
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct resolving *resolving = request->data;
    struct asking *asking = resolving->asking;

    for (struct addrinfo *at = status == 0 ? found : NULL; at; at = at->ai_next)
        keep_address(resolving->name, at->ai_addr, resolving->port);
    uv_freeaddrinfo(found);
    free(resolving);
    one_is_known(asking);
}

static void resolve(struct asking *asking, struct name *name)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM};
    struct sockaddr_storage address;
    struct tls_address parts;
    struct resolving *resolving;

    if (address_parse(name->text, &address) == 0) {
        keep_address(name, (struct sockaddr *)&address, address_port(&address));
        return;
    }
    if (tls_address_parse(name->text, &parts) < 0 || !(resolving = calloc(1, sizeof *resolving)))
        return;
    resolving->request.data = resolving;
    resolving->asking = asking;
    resolving->name = name;
    resolving->port = (uint16_t)atoi(parts.port);
    asking->waiting++;
    if (uv_getaddrinfo(asking->overlay->loop, &resolving->request, on_resolved, parts.host, NULL,
                       &hints) < 0) {
        asking->waiting--;
        free(resolving);
    }
}

static void ask(struct overlay *overlay, const struct choice *choice)
{
    struct asking *asking = calloc(1, sizeof *asking);

    if (!asking)
        return;
    asking->overlay = overlay;
    asking->count = choice->count;
    memcpy(asking->name, choice->name, sizeof asking->name);
    asking->waiting = 1;
    overlay->open++;
    overlay->reach->asking = asking;
    overlay->reach->again_ms = overlay_now_ms() + AGAIN_MS;
    for (int i = 0; i < asking->count; i++)
        resolve(asking, &asking->name[i]);
    one_is_known(asking);
}

static void on_look(uv_timer_t *timer)
{
    struct overlay *overlay = timer->data;
    struct choice choice;

    dial_back(overlay);
    choose_all(overlay, &choice);
    if (overlay->reach->asking ||
        (is_as_asked(overlay->reach, &choice) && overlay_now_ms() < overlay->reach->again_ms))
        return;
    ask(overlay, &choice);
}

void overlay_reach_again(struct overlay *overlay)
{
    struct overlay_reach *reach = overlay->reach;

    if (!reach)
        return;
    reach->again_ms = reach->dial_back_ms = 0;
    on_look(&reach->timer);
}

void overlay_reach_doubt(struct overlay *overlay)
{
    struct overlay_reach *reach = overlay->reach;

    if (!reach || overlay_now_ms() < reach->doubted_ms + DOUBT_MS)
        return;
    reach->doubted_ms = overlay_now_ms();
    reach->again_ms = 0;
    on_look(&reach->timer);
}

/* ---- for the gateway --------------------------------------------------------------------------
 */

void overlay_reachability(const struct overlay *overlay, struct overlay_reachability *out)
{
    const struct overlay_reach *reach = overlay->reach;

    memset(out, 0, sizeof *out);
    out->class = reach_class_name(reach ? reach->verdict.class : OVERLAY_CLASS_UNKNOWN);
    if (!reach)
        return;
    strcpy(out->reason, reach->verdict.reason);
    out->is_udp_blocked = reach->verdict.is_udp_blocked;
    for (int i = 0; i < reach->facts.server_count; i++) {
        const struct reach_server *server = &reach->facts.server[i];

        if (server->answer != REACH_ANSWERED || out->mapped_count == OVERLAY_MAPPED_MAX)
            continue;
        strcpy(out->mapped[out->mapped_count].server, server->name);
        address_format(&server->mapped, out->mapped[out->mapped_count++].address);
    }
}

/* ---- life -------------------------------------------------------------------------------------
 */

int overlay_reach_open(struct overlay *overlay, unsigned roles)
{
    const struct conf_overlay *conf = &overlay->conf->overlay;
    struct overlay_reach *reach = calloc(1, sizeof *reach);

    if (!reach)
        return -ENOMEM;
    overlay->reach = reach;
    reach->facts.is_udp_off = !conf->udp;
    reach->facts.is_hidden = conf->relay_only;
    reach->facts.proxy = conf->proxy;
    if (conf->proxy && strrchr(conf->proxy, '@'))
        reach->facts.proxy = strrchr(conf->proxy, '@') + 1; /* without its password */
    reach->facts.listens = overlay->listener != NULL;
    reach->facts.serves = roles & (CONF_ROLE_SUPERNODE | CONF_ROLE_RELAY);
    uv_timer_init(overlay->loop, &reach->timer);
    reach->timer.data = overlay;
    uv_timer_start(&reach->timer, on_look, LOOK_MS / 4, LOOK_MS);
    return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct overlay *overlay = handle->data;

    free((char *)handle - offsetof(struct overlay_reach, timer));
    overlay_let_go(overlay);
}

void overlay_reach_close(struct overlay *overlay)
{
    if (!overlay->reach)
        return;
    overlay->open++;
    uv_close((uv_handle_t *)&overlay->reach->timer, on_timer_closed);
    overlay->reach = NULL;
}
