/* conf/source.h: one file of settings in memory.
 *
 * Private to conf/ and its tests. A `struct source` is a file as read: the main file, or one that
 * an include named. Reading is bounded (size, count, depth) and takes regular files only, so that
 * no setting makes the node wait for a pipe or read a device. The sources live as long as the conf,
 * since every conf_place points at their paths; their text only as long as the load.
 */
#ifndef CONF_SOURCE_H
#define CONF_SOURCE_H

#include <stddef.h>
#include <sys/types.h>

#define SOURCE_BYTES_MAX (1024 * 1024)
#define SOURCE_DEPTH_MAX 8
#define SOURCE_COUNT_MAX 256

struct source {
    char *path;
    int ordinal; /* in the order of reading; the main file is 0 */
    int depth;   /* of includes */
    const struct source *includer;
    dev_t device;
    ino_t inode;
    char *text; /* NUL-terminated, ends with a newline */
    size_t bytes;
};

/* 0, or -ENOENT, -EACCES, -EFBIG, -EINVAL (no regular file), … without any message. */
int source_read(const char *path, const struct source *includer, struct source **source);
/* Forgets the text, which may hold secrets. */
void source_forget_text(struct source *source);
void source_free(struct source *source);
/* Whether this file is being read further up already. */
int source_is_loop(const struct source *source);

/* Reads at most `max` bytes of a regular file; *text is NUL-terminated and the caller's to free.
 * -EFBIG when there is more. *mode (may be NULL) takes its permission bits. */
int source_slurp(const char *path, size_t max, char **text, size_t *bytes, mode_t *mode);

/* `path` as it stands, or when it is relative, relative to the folder of `source`. Heap; NULL when
 * out of memory. */
char *source_relative(const struct source *source, const char *path);

#endif
