#include "conf/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_all(int fd, char *buffer, size_t max, size_t *bytes)
{
    size_t used = 0;

    while (used < max) {
        ssize_t got = read(fd, buffer + used, max - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        used += (size_t)got;
    }
    *bytes = used;
    return 0;
}

/* O_NONBLOCK: opening a FIFO must not wait for its writer. */
static int open_regular(const char *path, struct stat *file)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0)
        return -errno;
    if (fstat(fd, file) < 0 || !S_ISREG(file->st_mode)) {
        close(fd);
        return -EINVAL;
    }
    return fd;
}

static int slurp(const char *path, size_t max, char **text, size_t *bytes, struct stat *file)
{
    int fd = open_regular(path, file);
    if (fd < 0)
        return fd;

    int ret = -ENOMEM;
    size_t size = file->st_size > 0 ? (size_t)file->st_size : 0;
    size_t room = size > max ? max + 1 : size + 1;
    /* room for the newline and the NUL that source_read and its callers rely on */
    char *buffer = malloc(room + 2);
    if (buffer)
        ret = read_all(fd, buffer, room, bytes);
    close(fd);
    if (ret == 0 && *bytes > max)
        ret = -EFBIG;
    if (ret < 0) {
        free(buffer);
        return ret;
    }
    buffer[*bytes] = '\0';
    *text = buffer;
    return 0;
}

int source_slurp(const char *path, size_t max, char **text, size_t *bytes, mode_t *mode)
{
    struct stat file;
    int ret = slurp(path, max, text, bytes, &file);

    if (ret == 0 && mode)
        *mode = file.st_mode & 07777;
    return ret;
}

int source_read(const char *path, const struct source *includer, struct source **source)
{
    struct stat file;
    struct source *made = calloc(1, sizeof *made);

    if (!made)
        return -ENOMEM;
    made->path = strdup(path);
    int ret =
        made->path ? slurp(path, SOURCE_BYTES_MAX, &made->text, &made->bytes, &file) : -ENOMEM;
    if (ret < 0) {
        source_free(made);
        return ret;
    }
    made->text[made->bytes++] = '\n';
    made->text[made->bytes] = '\0';
    made->device = file.st_dev;
    made->inode = file.st_ino;
    made->includer = includer;
    made->depth = includer ? includer->depth + 1 : 0;
    *source = made;
    return 0;
}

void source_forget_text(struct source *source)
{
    if (source->text)
        explicit_bzero(source->text, source->bytes);
    free(source->text);
    source->text = NULL;
    source->bytes = 0;
}

void source_free(struct source *source)
{
    if (!source)
        return;
    source_forget_text(source);
    free(source->path);
    free(source);
}

int source_is_loop(const struct source *source)
{
    for (const struct source *up = source->includer; up; up = up->includer)
        if (up->device == source->device && up->inode == source->inode)
            return 1;
    return 0;
}

char *source_relative(const struct source *source, const char *path)
{
    const char *slash = strrchr(source->path, '/');
    char *joined;

    if (path[0] == '/' || !slash)
        return strdup(path);
    if (asprintf(&joined, "%.*s/%s", (int)(slash - source->path), source->path, path) < 0)
        return NULL;
    return joined;
}
