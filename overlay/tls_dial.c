#include "overlay/tls_dial.h"

#include "overlay/tls_address.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"

#define RACERS_MAX 3
#define NEXT_AFTER_MS 250

/* One connection being made; freed with its handle or handed over. */
struct racer {
    uv_connect_t request;
    uv_tcp_t *tcp; /* NULL: none, or handed over or closed */
    struct tls_race *race;
};

struct tls_race {
    uv_timer_t next;
    uv_getaddrinfo_t resolve;
    struct racer racers[RACERS_MAX];
    struct sockaddr_storage to[RACERS_MAX];
    int count, started, failed;
    int pending; /* what libuv still holds of this struct: requests and the timer */
    bool is_over, is_resolving;
    bool (*may_dial)(const struct sockaddr_storage *to);
    char why[160];
    tls_race_done done;
    void *ctx;
};

static void start_next(struct tls_race *race);

static void let_go(struct tls_race *race)
{
    if (--race->pending == 0)
        free(race);
}

static void on_timer_closed(uv_handle_t *timer)
{
    let_go(timer->data);
}

static void on_tcp_closed(uv_handle_t *tcp)
{
    free(tcp);
}

/* Closes what is left of the race; the memory goes when libuv has let go of all of it. */
static void finish(struct tls_race *race)
{
    race->is_over = true;
    for (int i = 0; i < race->started; i++) {
        if (race->racers[i].tcp)
            uv_close((uv_handle_t *)race->racers[i].tcp, on_tcp_closed);
        race->racers[i].tcp = NULL;
    }
    uv_cancel((uv_req_t *)&race->resolve);
    uv_close((uv_handle_t *)&race->next, on_timer_closed);
}

static void report(struct tls_race *race, uv_tcp_t *tcp)
{
    tls_race_done done = race->done;
    void *ctx = race->ctx;
    char why[sizeof race->why];

    memcpy(why, race->why, sizeof why);
    finish(race);
    done(ctx, tcp, tcp ? NULL : why);
}

static void lose(struct tls_race *race, struct racer *racer, int status)
{
    snprintf(race->why, sizeof race->why, "%s", uv_strerror(status));
    if (racer->tcp)
        uv_close((uv_handle_t *)racer->tcp, on_tcp_closed);
    racer->tcp = NULL;
    race->failed++;
}

static void on_connect(uv_connect_t *request, int status)
{
    struct racer *racer = request->data;
    struct tls_race *race = racer->race;

    if (!race->is_over && status == 0) {
        uv_tcp_t *tcp = racer->tcp;
        racer->tcp = NULL;
        tcp->data = NULL;
        report(race, tcp);
    } else if (!race->is_over) {
        lose(race, racer, status);
        if (race->started < race->count)
            start_next(race);
        else if (race->failed == race->count)
            report(race, NULL);
    }
    let_go(race);
}

static int start(struct racer *racer, uv_loop_t *loop, const struct sockaddr_storage *to)
{
    uv_tcp_t *tcp = malloc(sizeof *tcp);

    if (!tcp)
        return UV_ENOMEM;
    int error = uv_tcp_init(loop, tcp);
    if (error < 0) {
        free(tcp);
        return error;
    }
    racer->tcp = tcp;
    racer->request.data = racer;
    return uv_tcp_connect(&racer->request, tcp, (const struct sockaddr *)to, on_connect);
}

static void on_next(uv_timer_t *timer)
{
    struct tls_race *race = timer->data;

    if (race->failed == race->count)
        report(race, NULL);
    else
        start_next(race);
}

/* Starts the next racer that can be started; reports from the loop when none could. */
static void start_next(struct tls_race *race)
{
    while (race->started < race->count) {
        struct racer *racer = &race->racers[race->started];
        racer->race = race;
        int error = start(racer, race->next.loop, &race->to[race->started++]);
        if (error == 0) {
            race->pending++;
            break;
        }
        lose(race, racer, error);
    }
    if (race->failed == race->count)
        uv_timer_start(&race->next, on_next, 0, 0);
    else if (race->started < race->count)
        uv_timer_start(&race->next, on_next, NEXT_AFTER_MS, 0);
    else
        uv_timer_stop(&race->next);
}

/* The n-th address of a family; NULL when there are fewer. */
static const struct addrinfo *nth(const struct addrinfo *found, int family, int n)
{
    for (; found; found = found->ai_next)
        if (found->ai_family == family && n-- == 0)
            return found;
    return NULL;
}

static void add(struct tls_race *race, const struct addrinfo *found)
{
    struct sockaddr_storage *to = &race->to[race->count];

    if (found->ai_addrlen > sizeof *to)
        return;
    memcpy(to, found->ai_addr, found->ai_addrlen);
    if (!race->may_dial || race->may_dial(to))
        race->count++;
}

/* Families take turns, beginning with the one that the resolver (RFC 6724) put first. */
static void choose(struct tls_race *race, const struct addrinfo *found)
{
    int first = found->ai_family, other = first == AF_INET ? AF_INET6 : AF_INET;

    for (int n = 0; n < RACERS_MAX; n++) {
        const struct addrinfo *turn[2] = {nth(found, first, n), nth(found, other, n)};
        for (int i = 0; i < 2 && race->count < RACERS_MAX; i++)
            if (turn[i])
                add(race, turn[i]);
    }
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct tls_race *race = request->data;

    race->is_resolving = false;
    if (!race->is_over) {
        if (status == 0 && found)
            choose(race, found);
        if (race->count == 0) {
            snprintf(race->why, sizeof race->why, "the name does not resolve: %s",
                     status < 0 ? uv_strerror(status)
                     : found    ? "to no address that may be dialled"
                                : "no address");
            report(race, NULL);
        } else {
            start_next(race);
        }
    }
    uv_freeaddrinfo(found);
    let_go(race);
}

static int resolve(struct tls_race *race, uv_loop_t *loop, const char *text)
{
    static const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct tls_address address;

    /* A number needs no resolver, whose threads may all wait for a dead name server. */
    if (address_parse(text, &race->to[0]) == 0) {
        race->count = 1;
        start_next(race);
        return 0;
    }
    if (tls_address_parse(text, &address) < 0)
        return -EINVAL;
    race->resolve.data = race;
    int error =
        uv_getaddrinfo(loop, &race->resolve, on_resolved, address.host, address.port, &hints);
    if (error == 0)
        race->pending++;
    race->is_resolving = error == 0;
    return error;
}

bool tls_race_is_resolving(const struct tls_race *race)
{
    return race->is_resolving;
}

int tls_race_start(uv_loop_t *loop, const struct tls_race_to *to, tls_race_done done, void *ctx,
                   struct tls_race **race)
{
    struct tls_race *made = calloc(1, sizeof *made);

    if (!made)
        return -ENOMEM;
    made->done = done;
    made->ctx = ctx;
    made->pending = 1;
    uv_timer_init(loop, &made->next);
    made->next.data = made;
    made->may_dial = to->may_dial;
    int error = resolve(made, loop, to->address);
    if (error < 0) {
        finish(made);
        return error;
    }
    *race = made;
    return 0;
}

void tls_race_cancel(struct tls_race *race)
{
    finish(race);
}
