/* conf/build.h: the steps from an outline to a conf.
 *
 * Private to conf/ and its tests. A `struct build` is one load: fill.c makes the fields, route.c
 * and check.c judge how they fit together. Each step reports all that it finds.
 */
#ifndef CONF_BUILD_H
#define CONF_BUILD_H

#include "conf/conf.h"
#include "conf/outline.h"

/* What conf_load hands out: the public part, and what it points at. */
struct loaded {
    struct conf conf; /* first: the public pointer is the pointer to free */
    char **files;     /* the names in conf_place */
    int file_count;
};

struct build {
    struct outline *outline;
    struct loaded *loaded;
    const struct section **phones, **routes; /* of conf.phones and conf.routes, by index */
};

/* A conf with every default, or NULL when out of memory. */
struct loaded *fill_new(void);
void fill_free(struct loaded *loaded);
/* Fields from the files' values. 0 or -ENOMEM. */
int fill_from_outline(struct build *build);

/* Compiles and checks one route of the conf; a route that is wrong keeps no compiled expression. */
void route_check(struct build *build, int index);
/* Everything else that concerns more than one setting. */
void check_all(struct build *build);

/* The untitled section of that kind, or NULL; where a setting of it stands, else where it begins.
 */
const struct section *build_section(const struct build *build, enum section_id id);
int build_line(const struct section *section, const char *key);
bool build_has(const struct section *section, const char *key);

#endif
