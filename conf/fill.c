#include "conf/build.h"

#include "conf/tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- defaults ----------------------------------------------------------------------------------
 */

static void fill_default(const struct setting *setting, char *base)
{
    const char *texts[CONF_LISTS_MAX];
    char copy[128], *rest = copy, *word;
    struct messages none = {0};
    struct value value = {.setting = setting, .texts = texts, .label = "", .messages = &none};

    if (!setting->fallback)
        return;
    snprintf(copy, sizeof copy, "%s", setting->fallback);
    while ((word = strsep(&rest, setting->list ? " " : "")))
        texts[value.count++] = word;
    setting->parse(&value, base + setting->offset);
}

static void fill_defaults(enum section_id id, void *base)
{
    for (int i = 0; i < section_kinds[id].count; i++)
        fill_default(&section_kinds[id].settings[i], base);
}

/* Serving is always, when `supernode` or, without that, `roles` says so: then both do. Where they
 * contradict each other both are left for check.c. */
static void complete_serving(const struct section *section, struct conf_overlay *overlay)
{
    bool is_given = section && build_has(section, "supernode");

    if (!is_given && (overlay->roles & CONF_ROLE_SUPERNODE))
        overlay->serve = CONF_SERVE_ALWAYS;
    if (overlay->serve == CONF_SERVE_ALWAYS)
        overlay->roles |= CONF_ROLE_SUPERNODE;
    if (overlay->serve == CONF_SERVE_AUTO)
        overlay->roles &= ~(unsigned)CONF_ROLE_SUPERNODE;
}

/* Defaults that depend on other settings. */
static int complete(struct build *build, struct conf *conf)
{
    const struct section *sip = build ? build_section(build, SECTION_SIP) : NULL;

    if (!conf->sip.registrations && asprintf(&conf->sip.registrations, "%s/registrations.db",
                                             conf->state_dir ? conf->state_dir : ".") < 0)
        return -ENOMEM;
    if (sip && !build_has(sip, "listen")) {
        conf->sip.listen[0].transport = CONF_UDP;
        conf->sip.listen[1].transport = CONF_TCP;
        for (int i = 0; i < 2; i++)
            address_parse("0.0.0.0:5060", &conf->sip.listen[i].address);
        conf->sip.listen_count = 2;
    }
    complete_serving(build ? build_section(build, SECTION_OVERLAY) : NULL, &conf->overlay);
    return 0;
}

struct loaded *fill_new(void)
{
    struct loaded *loaded = calloc(1, sizeof *loaded);

    if (!loaded)
        return NULL;
    for (int id = SECTION_TOP; id < SECTIONS; id++)
        if (!section_kinds[id].titled)
            fill_defaults((enum section_id)id, &loaded->conf);
    return loaded;
}

struct conf *conf_default(void)
{
    struct loaded *loaded = fill_new();

    if (loaded && complete(NULL, &loaded->conf) < 0) {
        fill_free(loaded);
        return NULL;
    }
    return loaded ? &loaded->conf : NULL;
}

/* ---- from the files ----------------------------------------------------------------------------
 */

static void fill_setting(struct build *build, const struct section *section, int index, void *base)
{
    const struct setting *setting = &section_kinds[section->id].settings[index];
    int count = tree_value_count(section->tree, setting);
    const char **texts = calloc((size_t)count + 1, sizeof *texts);
    char label[96] = "";

    if (section->title)
        snprintf(label, sizeof label, "%s \"%s\": ", section_kinds[section->id].name,
                 section->title);
    else if (section->id != SECTION_TOP)
        snprintf(label, sizeof label, "%s: ", section_kinds[section->id].name);

    for (int i = 0; texts && i < count; i++)
        texts[i] = tree_value(section->tree, setting, i);
    struct value value = {.setting = setting,
                          .texts = texts,
                          .count = count,
                          .label = label,
                          .source = section->source,
                          .line = section->key_line[index],
                          .messages = &build->outline->messages};
    if (texts && (count > 0 || setting->may_be_empty))
        setting->parse(&value, (char *)base + setting->offset);
    free(texts);
}

static void fill_section(struct build *build, const struct section *section, void *base)
{
    for (int i = 0; i < section_kinds[section->id].count; i++)
        if (section->key_line[i] > 0)
            fill_setting(build, section, i, base);
}

static struct conf_place place_of(const struct build *build, const struct section *section)
{
    return (struct conf_place){build->loaded->files[section->source->ordinal], section->line};
}

static void fill_phone(struct build *build, const struct section *section)
{
    struct conf *conf = &build->loaded->conf;
    struct conf_phone *phone = &conf->phones[conf->phone_count];

    build->phones[conf->phone_count++] = section;
    phone->id = strdup(section->title);
    phone->place = place_of(build, section);
    fill_defaults(SECTION_PHONE, phone);
    fill_section(build, section, phone);
}

static void fill_route(struct build *build, const struct section *section)
{
    struct conf *conf = &build->loaded->conf;
    struct conf_route *route = &conf->routes[conf->route_count];

    build->routes[conf->route_count++] = section;
    route->name = strdup(section->title);
    route->place = place_of(build, section);
    fill_section(build, section, route);
}

static int allocate(struct build *build)
{
    const struct outline *outline = build->outline;
    struct loaded *loaded = build->loaded;
    size_t room = (size_t)outline->section_count + 1;

    loaded->conf.file = strdup(outline->sources[0]->path);
    loaded->files = calloc((size_t)outline->source_count, sizeof *loaded->files);
    loaded->conf.phones = calloc(room, sizeof *loaded->conf.phones);
    loaded->conf.routes = calloc(room, sizeof *loaded->conf.routes);
    build->phones = calloc(room, sizeof(struct section *));
    build->routes = calloc(room, sizeof(struct section *));
    if (!loaded->conf.file || !loaded->files || !loaded->conf.phones || !loaded->conf.routes ||
        !build->phones || !build->routes)
        return -ENOMEM;
    for (int i = 0; i < outline->source_count; i++)
        loaded->files[loaded->file_count++] = strdup(outline->sources[i]->path);
    return 0;
}

int fill_from_outline(struct build *build)
{
    int ret = allocate(build);

    for (int i = 0; ret == 0 && i < build->outline->section_count; i++) {
        const struct section *section = build->outline->sections[i];
        if (section->id == SECTION_PHONE)
            fill_phone(build, section);
        else if (section->id == SECTION_ROUTE)
            fill_route(build, section);
        else
            fill_section(build, section, &build->loaded->conf);
    }
    return ret < 0 ? ret : complete(build, &build->loaded->conf);
}

/* ---- the end -----------------------------------------------------------------------------------
 */

static void free_phone(struct conf_phone *phone)
{
    if (phone->secret)
        explicit_bzero(phone->secret, strlen(phone->secret));
    free(phone->id);
    free(phone->name);
    free(phone->secret);
}

static void free_route(struct conf_route *route)
{
    /* regcomp is only called with a match_text, and a failed one leaves nothing */
    if (route->match.buffer)
        regfree(&route->match);
    free(route->name);
    free(route->match_text);
    free(route->to);
}

void fill_free(struct loaded *loaded)
{
    if (!loaded)
        return;
    struct conf *conf = &loaded->conf;

    for (int i = 0; i < conf->phone_count; i++)
        free_phone(&conf->phones[i]);
    for (int i = 0; i < conf->route_count; i++)
        free_route(&conf->routes[i]);
    for (int i = 0; i < conf->overlay.supernode_count; i++)
        free(conf->overlay.supernodes[i]);
    for (int i = 0; i < conf->overlay.trust_count; i++)
        free(conf->overlay.trust[i]);
    for (int i = 0; i < loaded->file_count; i++)
        free(loaded->files[i]);
    char *const strings[] = {conf->file,
                             conf->state_dir,
                             conf->realm.enrolment,
                             conf->realm.revocation,
                             conf->overlay.advertise,
                             conf->overlay.proxy,
                             conf->sip.domain,
                             conf->sip.registrations};
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++)
        free(strings[i]);
    free(conf->phones);
    free(conf->routes);
    free(loaded->files);
    free(loaded);
}

void conf_free(struct conf *conf)
{
    fill_free((struct loaded *)conf);
}
