/* A route's expression and destination. */
#include "conf/build.h"

#include "conf/suggest.h"
#include "conf/values.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GROUPS_MAX 9
/* glibc unrolls x{n,m}: without a bound on what comes out, nested ones take all memory. */
#define UNROLLED_MAX 16384

static const char *const services[] = {"echo"};
#define SERVICES ((int)(sizeof services / sizeof services[0]))

static const struct {
    const char *name;
    enum conf_target target;
} targets[] = {
    {"phone", CONF_TO_PHONE}, {"overlay", CONF_TO_OVERLAY}, {"service", CONF_TO_SERVICE}};
#define TARGETS ((int)(sizeof targets / sizeof targets[0]))

struct route_case {
    struct build *build;
    const struct section *section;
    struct conf_route *route;
};

static void complain(const struct route_case *it, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void complain(const struct route_case *it, const char *key, const char *fmt, ...)
{
    char *what;
    va_list args;

    va_start(args, fmt);
    int written = vasprintf(&what, fmt, args);
    va_end(args);
    if (written < 0)
        return;
    messages_error(&it->build->outline->messages, it->section->source, build_line(it->section, key),
                   "route \"%s\"%s%s%s", it->route->name, build_has(it->section, key) ? ": " : "",
                   build_has(it->section, key) ? key : "", what);
    free(what);
}

/* ---- match -------------------------------------------------------------------------------------
 */

/* How long the expression could get: its bytes times the upper ends of all {n,m}, as if nested. */
static bool is_unrolled_too_long(const char *pattern)
{
    long bytes = (long)strlen(pattern);

    for (const char *brace = strchr(pattern, '{'); brace; brace = strchr(brace + 1, '{')) {
        const char *number = brace + 1 + strcspn(brace + 1, ",}");
        long lower = strtol(brace + 1, NULL, 10);
        long upper = *number == ',' ? strtol(number + 1, NULL, 10) : lower;
        long times = upper > lower ? upper : lower;
        if (times > UNROLLED_MAX)
            return true;
        bytes *= times > 1 ? times : 1;
        if (bytes > UNROLLED_MAX)
            return true;
    }
    return false;
}

/* \1 inside an expression is a GNU extension that can take forever to match. */
static bool has_back_reference(const char *pattern)
{
    for (; *pattern; pattern++) {
        if (*pattern != '\\' || !pattern[1])
            continue;
        pattern++;
        if (*pattern >= '1' && *pattern <= '9')
            return true;
    }
    return false;
}

static int check_match(const struct route_case *it)
{
    char why[128], shown[VALUE_SHOWN_MAX];
    const char *text = it->route->match_text;

    value_shown(shown, text);
    if (is_unrolled_too_long(text)) {
        complain(it, "match", " \"%s\" repeats too often; use smaller numbers in { }", shown);
        return -1;
    }
    if (has_back_reference(text)) {
        complain(it, "match", " \"%s\" refers to its own groups; use \\1 in \"to\" only", shown);
        return -1;
    }
    int error = regcomp(&it->route->match, text, REG_EXTENDED);
    if (error) {
        regerror(error, &it->route->match, why, sizeof why);
        memset(&it->route->match, 0, sizeof it->route->match);
        complain(it, "match",
                 " \"%s\" is no regular expression: %s; write for example \"^8([0-9]+)$\"", shown,
                 why);
        return -1;
    }
    return 0;
}

/* ---- to ----------------------------------------------------------------------------------------
 */

/* Each \N in `to` must be a group of the match. *has_groups: it holds at least one. */
static int check_groups(const struct route_case *it, bool match_is_good, bool *has_groups)
{
    char shown[VALUE_SHOWN_MAX];
    const char *to = value_shown(shown, it->route->to);
    int groups = match_is_good ? (int)it->route->match.re_nsub : GROUPS_MAX;

    *has_groups = false;
    for (const char *c = strchr(it->route->to, '\\'); c; c = strchr(c + 2, '\\')) {
        *has_groups = true;
        if (c[1] < '1' || c[1] > '9') {
            complain(it, "to",
                     " \"%s\" has a backslash without a group; write \\1 to \\9 (in double quotes "
                     "\"\\\\1\")",
                     to);
            return -1;
        }
        if (c[1] - '0' > groups) {
            complain(it, "to", " \"%s\" uses \\%c, but match has %d group%s; add ( ) to match", to,
                     c[1], groups, groups == 1 ? "" : "s");
            return -1;
        }
    }
    return 0;
}

static int split_target(const struct route_case *it)
{
    const char *names[TARGETS];
    char shown[VALUE_SHOWN_MAX], word[32], remedy[SUGGEST_TEXT_MAX];
    char *to = it->route->to, *colon = strchr(to, ':');

    for (int i = 0; i < TARGETS; i++)
        names[i] = targets[i].name;
    if (!colon || colon[1] == '\0') {
        complain(it, "to",
                 " \"%s\" is not KIND:NAME; write for example \"phone:201\" or "
                 "\"overlay:\\\\1@paris\"",
                 value_shown(shown, to));
        return -1;
    }
    size_t length = (size_t)(colon - to) < sizeof word ? (size_t)(colon - to) : sizeof word - 1;
    memcpy(word, to, length);
    word[length] = '\0';
    for (int i = 0; i < TARGETS; i++) {
        if (strcmp(word, targets[i].name) != 0)
            continue;
        it->route->target = targets[i].target;
        memmove(to, colon + 1, strlen(colon + 1) + 1);
        return 0;
    }
    complain(it, "to", " names unknown kind \"%s\"; %s", value_shown(shown, word),
             suggest_remedy(remedy, word, names, TARGETS));
    return -1;
}

static void check_phone(const struct route_case *it)
{
    const struct conf *conf = &it->build->loaded->conf;
    const char *names[SUGGEST_NAMES_MAX], *nearest;
    char shown[VALUE_SHOWN_MAX];
    int count = 0;

    for (int i = 0; i < conf->phone_count; i++) /* not sorted yet */
        if (strcmp(conf->phones[i].id, it->route->to) == 0)
            return;
    for (; count < conf->phone_count && count < SUGGEST_NAMES_MAX; count++)
        names[count] = conf->phones[count].id;
    nearest = suggest_nearest(it->route->to, names, count);
    value_shown(shown, it->route->to);
    if (nearest)
        complain(it, "to", ": there is no phone \"%s\"; did you mean \"%s\"?", shown, nearest);
    else
        complain(it, "to", ": there is no phone \"%s\"; add phone \"%s\" { ... }", shown, shown);
}

static void check_service(const struct route_case *it)
{
    char shown[VALUE_SHOWN_MAX], remedy[SUGGEST_TEXT_MAX];

    for (int i = 0; i < SERVICES; i++)
        if (strcmp(it->route->to, services[i]) == 0)
            return;
    complain(it, "to", " names unknown service \"%s\"; %s", value_shown(shown, it->route->to),
             suggest_remedy(remedy, it->route->to, services, SERVICES));
}

static void check_overlay(const struct route_case *it)
{
    const char *to = it->route->to, *at = strchr(to, '@');
    const struct section *realm = build_section(it->build, SECTION_REALM);
    bool is_name = at && at != to && at[1] != '\0' && !strchr(at + 1, '@');
    bool is_number = !at && (to[0] == '+' || to[0] == '\\');
    char shown[VALUE_SHOWN_MAX];

    if (!is_name && !is_number)
        complain(it, "to",
                 " \"overlay:%s\" is neither USER@SITE nor a number with +; write for "
                 "example \"overlay:\\\\1@paris\"",
                 value_shown(shown, to));
    else if (!realm || !build_has(realm, "enrolment"))
        complain(it, "to", " \"overlay:%s\" needs a realm; add realm { enrolment = \"FILE\" }",
                 value_shown(shown, to));
}

void route_check(struct build *build, int index)
{
    const struct route_case it = {build, build->routes[index], &build->loaded->conf.routes[index]};
    bool match_is_good = false, has_groups = false;

    if (!build_has(it.section, "match"))
        complain(&it, "match", " has no match; add for example match = \"^8([0-9]+)$\"");
    else if (it.route->match_text)
        match_is_good = check_match(&it) == 0;

    if (!build_has(it.section, "to"))
        complain(&it, "to", " has no destination; add for example to = \"phone:201\"");
    if (!it.route->to || check_groups(&it, match_is_good, &has_groups) < 0 || split_target(&it) < 0)
        return;
    if (it.route->target == CONF_TO_OVERLAY)
        check_overlay(&it);
    else if (it.route->target == CONF_TO_PHONE && !has_groups)
        check_phone(&it);
    else if (it.route->target == CONF_TO_SERVICE && !has_groups)
        check_service(&it);
}
