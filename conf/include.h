/* conf/include.h: which files an include names, and what to say when one cannot be read.
 *
 * Private to conf/ and its tests.
 */
#ifndef CONF_INCLUDE_H
#define CONF_INCLUDE_H

#include "conf/messages.h"

#include <glob.h>

struct include {
    const struct source *source; /* the file that has the include, at `line` */
    int line;
    struct messages *messages;
    glob_t found;
    int has_found;
};

/* Finds the files of a pattern (glob(7), relative to the file's folder), sorted by name. A pattern
 * with wildcards may match nothing, a plain path must exist. 0, or -EINVAL with a message. */
int include_find(struct include *include, const char *pattern);

/* Turns the error of reading `path` into a message: 0 when the walk goes on, or -EINVAL. */
int include_judge(struct include *include, const char *path, int error);

void include_free(struct include *include);

#endif
