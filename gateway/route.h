/* gateway/route.h: where a dialled number leads. Pure: settings in, target out.
 *
 * In this order: a phone of exactly that name; the routes of the settings, first match wins; a
 * number with '+' goes to the overlay by its prefix; and, when the request named another host than
 * us, that host is taken for a site: user@site.
 */
#ifndef GATEWAY_ROUTE_H
#define GATEWAY_ROUTE_H

#include "conf/conf.h"

#define ROUTE_TO_MAX 160

struct route_query {
    const char *dialled; /* user part */
    const char *site;    /* the request named this foreign host; NULL: it named us */
    bool from_overlay;   /* a call that came by the overlay never goes back to it */
};

struct route_result {
    enum conf_target target;
    char to[ROUTE_TO_MAX]; /* phone id, "user@site" or "+number", or service name */
    const char *route;     /* name of the route that matched, or what else decided */
};

/* 0; -ENOENT when nothing matches; -E2BIG when the rewritten number is too long. */
int route_find(const struct conf *conf, const struct route_query *query,
               struct route_result *result);

#endif
