/* A phone's secret: from the setting itself, a file or the environment. It is never printed, and a
 * message names the file or variable, not what is in it. */
#include "conf/settings.h"
#include "conf/text.h"
#include "conf/values.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SECRET_BYTES_MAX 255

/* Takes the secret over when it can be one; it came from `where`, a phrase such as "the file". */
static void take(const struct value *value, void *field, char *secret, const char *where)
{
    char **to = field;
    const char *at = secret;
    size_t length = 1;

    while (*at && (length = text_character(at)) > 0)
        at += length;

    if (*to)
        value_error(value, "is a second secret; give only one of secret, secret_file and "
                           "secret_env");
    else if (secret[0] == '\0')
        value_error(value, "is empty%s; give the phone a secret", where);
    else if (length == 0)
        value_error(value, "has a byte that is no printable UTF-8 text%s; remove it", where);
    else if (strlen(secret) > SECRET_BYTES_MAX)
        value_error(value, "is too long%s; allowed are %d bytes", where, SECRET_BYTES_MAX);
    else {
        *to = secret;
        return;
    }
    explicit_bzero(secret, strlen(secret));
    free(secret);
}

void value_secret(const struct value *value, void *field)
{
    char *secret = strdup(value->texts[0]);

    if (secret)
        take(value, field, secret, "");
}

/* Takes the end of the line off, and returns the new length: editors and `echo` end a file with a
 * newline. */
static size_t cut_line_end(char *text, size_t bytes)
{
    if (bytes > 0 && text[bytes - 1] == '\n')
        text[--bytes] = '\0';
    if (bytes > 0 && text[bytes - 1] == '\r')
        text[--bytes] = '\0';
    return bytes;
}

void value_secret_file(const struct value *value, void *field)
{
    char *path = NULL, *secret = NULL, shown[VALUE_SHOWN_MAX];
    size_t bytes = 0;
    mode_t mode = 0;

    value_path(value, &path);
    if (!path)
        return;
    int ret = source_slurp(path, SECRET_BYTES_MAX + 2, &secret, &bytes, &mode);
    value_shown(shown, path);
    if (ret == -EFBIG)
        value_error(value, "\"%s\" is too long for a secret; allowed are %d bytes", shown,
                    SECRET_BYTES_MAX);
    else if (ret == -EINVAL)
        value_error(value, "\"%s\" is no regular file; put the secret into a file of its own",
                    shown);
    else if (ret < 0)
        value_error(value, "\"%s\" cannot be read: %s; check the path and its permissions", shown,
                    strerror(-ret));
    free(path);
    if (ret < 0)
        return;

    if (mode & S_IROTH)
        messages_warn(value->messages, value->source, value->line,
                      "%s%s \"%s\" can be read by everyone; run chmod o-rwx on it", value->label,
                      value->setting->key, shown);
    bytes = cut_line_end(secret, bytes);
    if (strlen(secret) < bytes) {
        value_error(value, "\"%s\" holds a NUL byte; write the secret as text", shown);
        explicit_bzero(secret, bytes);
        free(secret);
        return;
    }
    take(value, field, secret, " in its file");
}

void value_secret_env(const struct value *value, void *field)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    const char *name = value->texts[0], *text = getenv(name);

    if (!text) {
        /* what does not look like a variable may be a secret that stands in the wrong place */
        if (name[strspn(name, letters)] == '\0' && strlen(name) < 64)
            value_error(value, "names \"%s\", which is not set; set this environment variable",
                        name);
        else
            value_error(value, "names an environment variable that is not set; set it");
        return;
    }
    char *secret = strdup(text);
    if (secret)
        take(value, field, secret, " in the environment");
}
