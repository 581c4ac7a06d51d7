/* overlay/identity_file.h: small files: read with a limit, written whole or not at all.
 *
 * Private to identity*.c, realm*.c and host_file.c. Any thread; blocks. `why` names file, reason
 * and remedy.
 */
#ifndef OVERLAY_IDENTITY_FILE_H
#define OVERLAY_IDENTITY_FILE_H

#include <stddef.h>
#include <sys/types.h>

#define IDENTITY_FILE_MAX (1024 * 1024) /* a revocation list of some ten thousand entries */

/* Reads a whole file; *data ends with a NUL and is freed by the caller. */
int identity_file_read(const char *path, char **data, size_t *bytes, char *why, size_t why_bytes);
/* Warns in the log when others may read a file with a key in it. */
void identity_file_check_mode(const char *path);

struct identity_file_content {
    const char *data;
    size_t bytes;
    mode_t mode;
};
/* Writes a new file; -EEXIST when there is one. */
int identity_file_create(const char *path, const struct identity_file_content *content, char *why,
                         size_t why_bytes);
/* Writes a file anew, whole or not at all. */
int identity_file_replace(const char *path, const struct identity_file_content *content, char *why,
                          size_t why_bytes);

#endif
