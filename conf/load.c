#include "conf/build.h"
#include "conf/suggest.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* libconfuse's lexer has global state: one load at a time. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void report_unreadable(struct outline *outline, const char *path, int error)
{
    const struct source source = {.path = (char *)path};

    if (error == -EINVAL)
        messages_error(&outline->messages, &source, 0, "is no regular file; name a file");
    else if (error == -EFBIG)
        messages_error(&outline->messages, &source, 0, "is too big; use files of up to 1 MiB");
    else
        messages_error(&outline->messages, &source, 0,
                       "cannot be read: %s; check the path and its permissions", strerror(-error));
}

static int compare_phones(const void *a, const void *b)
{
    const struct conf_phone *left = a, *right = b;
    return strcmp(left->id, right->id);
}

static int build_conf(struct outline *outline, struct loaded **loaded)
{
    struct build build = {.outline = outline, .loaded = fill_new()};

    if (!build.loaded)
        return -ENOMEM;
    int ret = fill_from_outline(&build);
    if (ret == 0)
        check_all(&build);
    if (ret == 0 && outline->messages.errors > 0)
        ret = -EINVAL;
    free(build.phones);
    free(build.routes);
    if (ret == 0 && build.loaded->conf.phone_count > 0)
        qsort(build.loaded->conf.phones, (size_t)build.loaded->conf.phone_count,
              sizeof(struct conf_phone), compare_phones);
    if (ret < 0)
        fill_free(build.loaded);
    else
        *loaded = build.loaded;
    return ret;
}

int conf_load(const char *path, struct conf **conf, struct conf_errors *errors)
{
    struct outline *outline = calloc(1, sizeof *outline);
    struct loaded *loaded = NULL;

    *errors = (struct conf_errors){0};
    if (!outline)
        return -ENOMEM;

    pthread_mutex_lock(&lock);
    int ret = outline_read(outline, path);
    if (ret < 0 && outline->source_count == 0)
        report_unreadable(outline, path, ret);
    if (ret == 0)
        ret = build_conf(outline, &loaded);
    messages_finish(&outline->messages, errors);
    outline_fini(outline);
    pthread_mutex_unlock(&lock);

    free(outline);
    if (ret == 0)
        *conf = &loaded->conf;
    return ret;
}

void conf_errors_fini(struct conf_errors *errors)
{
    free(errors->text);
    *errors = (struct conf_errors){0};
}

const struct conf_phone *conf_phone_find(const struct conf *conf, const char *id)
{
    const struct conf_phone key = {.id = (char *)id};

    if (conf->phone_count == 0)
        return NULL;
    return bsearch(&key, conf->phones, (size_t)conf->phone_count, sizeof key, compare_phones);
}
