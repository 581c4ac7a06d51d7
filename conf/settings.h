/* conf/settings.h: the table of every section and setting: names, types, limits, defaults.
 *
 * Private to conf/ and its tests. Everything else is driven by this table: what libconfuse accepts,
 * what is suggested for a misspelt name, the defaults, and the test that looks for each setting in
 * the sample file.
 */
#ifndef CONF_SETTINGS_H
#define CONF_SETTINGS_H

#include "conf/values.h"

#include <stdbool.h>
#include <stddef.h>

enum section_id {
    SECTION_TOP, /* outside of any section */
    SECTION_REALM,
    SECTION_OVERLAY,
    SECTION_SIP,
    SECTION_MEDIA,
    SECTION_ADMIN,
    SECTION_LOG,
    SECTION_PHONE,
    SECTION_ROUTE,
    SECTIONS
};

#define SETTINGS_MAX 16 /* in one section */

struct setting {
    const char *key;
    value_parse *parse;
    size_t offset;        /* of the field, in struct conf, or in conf_phone or conf_route */
    long min, max;        /* of a number, or a duration in seconds */
    const char *fallback; /* the default as text, list items with a blank between; NULL: none */
    bool list;            /* { "a", "b" }; a single text is a list of one */
    bool may_be_empty;    /* { } is allowed */
};

struct section_kind {
    const char *name;
    bool titled; /* phone "201" { … } */
    int count;
    const struct setting *settings;
};

extern const struct section_kind section_kinds[SECTIONS];

/* Finds a section other than SECTION_TOP by name; -ENOENT. */
int section_find(const char *name, enum section_id *id);
/* Index of a setting in its section, or -ENOENT. */
int setting_find(enum section_id id, const char *key);
/* Names of the settings of a section, or of all sections; returns how many. */
int setting_names(enum section_id id, const char *names[SETTINGS_MAX]);
int section_names(const char *names[SECTIONS]);

#endif
