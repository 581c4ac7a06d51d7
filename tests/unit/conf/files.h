/* tests/unit/conf/files.h: a private folder with files of settings, which the test stands in. */
#ifndef TESTS_UNIT_CONF_FILES_H
#define TESTS_UNIT_CONF_FILES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/conf.h"

/* Makes the folder and goes there. */
static inline int files_enter(void **state)
{
    char folder[] = "/tmp/sallyport-conf-XXXXXX";

    if (!mkdtemp(folder) || chdir(folder) < 0)
        return -1;
    *state = strdup(folder);
    return 0;
}

static inline int files_leave(void **state)
{
    char command[128];

    snprintf(command, sizeof command, "rm -rf '%s'", (char *)*state);
    int ret = chdir("/") < 0 || system(command) != 0;
    free(*state);
    return ret;
}

static inline void files_write_bytes(const char *path, const void *bytes, size_t length)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static inline void files_write(const char *path, const char *text)
{
    files_write_bytes(path, text, strlen(text));
}

/* Loads text that must be good, without a warning. */
static inline struct conf *files_load(const char *text)
{
    struct conf *conf = NULL;
    struct conf_errors errors;

    files_write("good.conf", text);
    int ret = conf_load("good.conf", &conf, &errors);
    if (ret < 0 || errors.count > 0)
        print_error("%s", errors.text);
    assert_int_equal(ret, 0);
    assert_int_equal(errors.count, 0);
    conf_errors_fini(&errors);
    return conf;
}

#endif
