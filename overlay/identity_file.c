#include "overlay/identity_file.h"

#include "conf/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int complain(int error, const char *path, char *why, size_t why_bytes)
{
    switch (error) {
    case -ENOENT:
        snprintf(why, why_bytes, "%s: no such file; check the path", path);
        break;
    case -EACCES:
        snprintf(why, why_bytes,
                 "%s: permission denied; the user that runs sallyport must be able to read it",
                 path);
        break;
    case -EISDIR:
        snprintf(why, why_bytes, "%s: is a folder, not a file", path);
        break;
    case -EFBIG:
        snprintf(why, why_bytes, "%s: is larger than %d bytes; this is no such file", path,
                 IDENTITY_FILE_MAX);
        break;
    case -EEXIST:
        snprintf(why, why_bytes, "%s: exists already; remove it first or choose another name",
                 path);
        break;
    default:
        snprintf(why, why_bytes, "%s: %s", path, strerror(-error));
        break;
    }
    return error;
}

static int read_all(int fd, char **data, size_t *bytes)
{
    struct stat about;
    char *buffer;
    size_t used = 0;

    if (fstat(fd, &about) < 0)
        return -errno;
    if (S_ISDIR(about.st_mode))
        return -EISDIR;
    buffer = malloc(IDENTITY_FILE_MAX + 1);
    if (!buffer)
        return -ENOMEM;
    for (;;) {
        ssize_t got = read(fd, buffer + used, IDENTITY_FILE_MAX + 1 - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 || used + (size_t)got > IDENTITY_FILE_MAX) {
            int error = got < 0 ? -errno : -EFBIG;
            free(buffer);
            return error;
        }
        if (got == 0)
            break;
        used += (size_t)got;
    }
    buffer[used] = '\0';
    char *fitted = realloc(buffer, used + 1);
    *data = fitted ? fitted : buffer;
    *bytes = used;
    return 0;
}

int identity_file_read(const char *path, char **data, size_t *bytes, char *why, size_t why_bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return complain(-errno, path, why, why_bytes);
    int error = read_all(fd, data, bytes);
    close(fd);
    return error < 0 ? complain(error, path, why, why_bytes) : 0;
}

void identity_file_check_mode(const char *path)
{
    struct stat about;

    if (stat(path, &about) == 0 && (about.st_mode & (S_IRWXG | S_IRWXO)))
        log_warn(LOG_OVERLAY, NULL,
                 "%s holds a private key, but others may read it (mode %03o): chmod 600 it", path,
                 (unsigned)(about.st_mode & 0777));
}

static int write_all(int fd, const struct identity_file_content *content)
{
    const char *data = content->data;
    size_t left = content->bytes;

    while (left > 0) {
        ssize_t put = write(fd, data, left);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -errno;
        data += put;
        left -= (size_t)put;
    }
    return fsync(fd) < 0 && errno != EINVAL && errno != EROFS ? -errno : 0;
}

static int write_new(const char *path, const struct identity_file_content *content)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, content->mode);

    if (fd < 0)
        return -errno;
    int error = write_all(fd, content);
    if (close(fd) < 0 && error == 0)
        error = -errno;
    if (error < 0)
        unlink(path);
    return error;
}

int identity_file_create(const char *path, const struct identity_file_content *content, char *why,
                         size_t why_bytes)
{
    int error = write_new(path, content);

    return error < 0 ? complain(error, path, why, why_bytes) : 0;
}

int identity_file_replace(const char *path, const struct identity_file_content *content, char *why,
                          size_t why_bytes)
{
    char temporary[PATH_MAX];

    if (snprintf(temporary, sizeof temporary, "%s.new", path) >= (int)sizeof temporary)
        return complain(-ENAMETOOLONG, path, why, why_bytes);
    unlink(temporary); /* left by one that was cut off */
    int error = write_new(temporary, content);
    if (error == 0 && rename(temporary, path) < 0) {
        error = -errno;
        unlink(temporary);
    }
    return error < 0 ? complain(error, path, why, why_bytes) : 0;
}
