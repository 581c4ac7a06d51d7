#include "gateway/route.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define GROUPS 10

/* Copies `to` with \1 … \9 replaced by what the groups matched in `dialled`. */
static int rewrite(const char *to, const char *dialled, const regmatch_t *groups, char *out)
{
    size_t used = 0;
    for (const char *p = to; *p; p++) {
        const char *piece = p;
        size_t length = 1;
        if (*p == '\\' && p[1] >= '0' && p[1] <= '9') {
            const regmatch_t *group = &groups[*++p - '0'];
            piece = group->rm_so < 0 ? "" : dialled + group->rm_so;
            length = group->rm_so < 0 ? 0 : (size_t)(group->rm_eo - group->rm_so);
        }
        if (used + length >= ROUTE_TO_MAX)
            return -E2BIG;
        memcpy(out + used, piece, length);
        used += length;
    }
    out[used] = '\0';
    return 0;
}

static int set(struct route_result *result, enum conf_target target, const char *to,
               const char *route)
{
    if (strlen(to) >= ROUTE_TO_MAX)
        return -E2BIG;
    strcpy(result->to, to);
    result->target = target;
    result->route = route;
    return 0;
}

int route_find(const struct conf *conf, const struct route_query *query,
               struct route_result *result)
{
    if (strlen(query->dialled) >= ROUTE_TO_MAX) /* also bounds what regexec may cost */
        return -E2BIG;
    if (query->site) {
        if (query->from_overlay || !conf->realm.enrolment)
            return -ENOENT;
        int n = snprintf(result->to, sizeof result->to, "%s@%s", query->dialled, query->site);
        result->target = CONF_TO_OVERLAY;
        result->route = "dialled site";
        return n < (int)sizeof result->to ? 0 : -E2BIG;
    }
    if (conf_phone_find(conf, query->dialled))
        return set(result, CONF_TO_PHONE, query->dialled, "phone");

    for (int i = 0; i < conf->route_count; i++) {
        const struct conf_route *route = &conf->routes[i];
        regmatch_t groups[GROUPS];
        if (query->from_overlay && route->target == CONF_TO_OVERLAY)
            continue;
        if (regexec(&route->match, query->dialled, GROUPS, groups, 0) != 0)
            continue;
        result->target = route->target;
        result->route = route->name;
        return rewrite(route->to, query->dialled, groups, result->to);
    }
    if (query->dialled[0] == '+' && conf->realm.enrolment && !query->from_overlay)
        return set(result, CONF_TO_OVERLAY, query->dialled, "number");
    return -ENOENT;
}
