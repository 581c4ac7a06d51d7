/* conf/outline.h: which sections and settings the files hold, where, and which do not belong there.
 *
 * Private to conf/ and its tests. outline_read walks the main file and, where they stand, the files
 * that it includes. Unknown and doubled names are reported, all of them, and blanked in the text,
 * so that libconfuse, which parses each file after the walk, only meets names that it knows.
 *
 *   file    = { include STRING | NAME = value | NAME [title] { { NAME = value } } }
 *   value   = text | { text, text … }
 *
 * Any thread that holds conf_load's lock.
 */
#ifndef CONF_OUTLINE_H
#define CONF_OUTLINE_H

#include "conf/messages.h"
#include "conf/settings.h"

#include <uthash.h>

struct cfg_t;

/* One section as given; also one for the top level of each file. */
struct section {
    enum section_id id;
    char *title; /* NULL: untitled */
    const struct source *source;
    int line;
    int key_line[SETTINGS_MAX]; /* where each setting stands; 0: not given */
    struct cfg_t *tree;         /* its values */
    char *name;                 /* of the hash: "phone 201" */
    UT_hash_handle hh;
};

struct outline {
    struct source *sources[SOURCE_COUNT_MAX];
    struct cfg_t *trees[SOURCE_COUNT_MAX]; /* of each source */
    int source_count;
    struct section **sections; /* in the order of the text */
    int section_count;
    struct section *by_name; /* uthash of the sections other than SECTION_TOP */
    struct messages messages;
};

/* 0 when all files could be read to their ends (there may still be messages), -EINVAL when not,
 * -ENOENT, -EACCES, … when the main file could not be read. `outline` is zero-initialised; free
 * what it holds with outline_fini in each case. */
int outline_read(struct outline *outline, const char *path);
void outline_fini(struct outline *outline);

#endif
