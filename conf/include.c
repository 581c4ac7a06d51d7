#include "conf/include.h"

#include "conf/values.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PATTERN_BYTES_MAX 1024
#define WILDCARDS_MAX 8

static int complain(struct include *include, const char *path, const char *what)
{
    char shown[VALUE_SHOWN_MAX];

    messages_error(include->messages, include->source, include->line, "include \"%s\" %s",
                   value_shown(shown, path), what);
    return -EINVAL;
}

/* glob(3) descends once for each wildcard in a folder's name: their number is bounded. */
static int count_wildcards(const char *pattern)
{
    int count = 0;

    for (; *pattern; pattern++)
        if (strchr("*?[", *pattern))
            count++;
    return count;
}

int include_find(struct include *include, const char *pattern)
{
    int wildcards = count_wildcards(pattern);

    if (include->source->depth >= SOURCE_DEPTH_MAX)
        return complain(include, pattern, "is nested too deep; include it from a file further up");
    if (pattern[0] == '\0' || strlen(pattern) > PATTERN_BYTES_MAX)
        return complain(include, pattern, "names no file; give a path of up to 1024 bytes");
    if (strchr(pattern, '\\') || strstr(pattern, "${"))
        return complain(include, pattern, "is no plain path; write it without \\ and ${");
    if (wildcards > WILDCARDS_MAX)
        return complain(include, pattern, "has too many wildcards; use up to 8");

    char *path = source_relative(include->source, pattern);
    if (!path)
        return -ENOMEM;
    int ret = glob(path, 0, NULL, &include->found);
    free(path);
    include->has_found = 1;
    if (ret == 0 || (ret == GLOB_NOMATCH && wildcards > 0))
        return 0;
    if (ret == GLOB_NOMATCH)
        return complain(include, pattern, "names no file that is there; check the path");
    return complain(include, pattern, "cannot be searched; check the path and its permissions");
}

int include_judge(struct include *include, const char *path, int error)
{
    switch (error) {
    case 0:
        return 0;
    case -EINPROGRESS: /* what is wrong inside was said there */
        return -EINVAL;
    case -ELOOP:
        return complain(include, path, "leads back to itself; remove one of the includes");
    case -EMFILE:
        return complain(include, path, "is one file too many; use up to 256");
    case -EFBIG:
        return complain(include, path, "is too big; use files of up to 1 MiB");
    case -EINVAL:
        return complain(include, path, "is no regular file; name files only");
    default:
        messages_error(include->messages, include->source, include->line,
                       "include \"%s\" cannot be read: %s; check the path and its permissions",
                       path, strerror(-error));
        return -EINVAL;
    }
}

void include_free(struct include *include)
{
    if (include->has_found)
        globfree(&include->found);
}
