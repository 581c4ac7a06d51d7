/* The settings file, as bytes. Each input is main.conf in a private folder beside a few files that
 * it can name. Paths in the input cannot leave that folder: slashes are kept where they make a
 * comment only, and the environment, whose variables could hold a path, is empty but for one word.
 */
#include "conf/conf.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_SECRET "zq-secret-of-the-file"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[] = "/tmp/fuzz-conf-XXXXXX", main_path[64];

static const struct {
    const char *name, *text;
} companions[] = {
    {"main.conf", ""},
    {"secret", FILE_SECRET "\n"},
    {"empty", ""},
    {"loop.conf", "include \"main.conf\"\n"},
    {"phones.conf", "phone \"301\" { secret_file = \"secret\" }\ninclude \"routes.conf\"\n"},
    {"routes.conf", "route \"r\" { match = \"^3..$\"  to = \"phone:301\" }\n"},
};

#define COMPANIONS (sizeof companions / sizeof companions[0])

static void path_of(char *path, size_t bytes, size_t companion)
{
    snprintf(path, bytes, "%s/%s", folder, companions[companion].name);
}

static void write_file(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "w");

    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file) != 0)
        abort();
}

static void remove_folder(void)
{
    char path[64];

    for (size_t i = 0; i < COMPANIONS; i++) {
        path_of(path, sizeof path, i);
        unlink(path);
    }
    rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    char path[64];

    (void)argc;
    (void)argv;
    if (!mkdtemp(folder))
        abort();
    atexit(remove_folder);
    for (size_t i = 0; i < COMPANIONS; i++) {
        path_of(path, sizeof path, i);
        write_file(path, companions[i].text, strlen(companions[i].text));
    }
    path_of(main_path, sizeof main_path, 0);
    clearenv();
    setenv("WORD", "word", 1);
    setenv("PATH", "/usr/bin:/bin", 1); /* to find the symboliser; as a path it leads nowhere */
    return 0;
}

static int is_blank(int c)
{
    return c == ' ' || c == '\n' || c == '\t';
}

/* Whether the slash at `i` may stay: in " // ", " / *" or "* / ", where it cannot lead anywhere. */
static int is_comment_slash(const uint8_t *data, size_t size, size_t i)
{
    int before = i > 0 ? data[i - 1] : '\n', after = i + 1 < size ? data[i + 1] : '\n';
    int before2 = i > 1 ? data[i - 2] : '\n';

    return (is_blank(before) && (after == '/' || after == '*')) ||
           (before == '/' && is_blank(before2)) || (before == '*' && is_blank(after));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conf *conf = NULL;
    struct conf_errors errors;
    char *text = malloc(size + 1);

    if (!text)
        return 0;
    for (size_t i = 0; i < size; i++)
        text[i] = (char)(data[i] == '/' && !is_comment_slash(data, size, i) ? '_' : data[i]);
    write_file(main_path, text, size);

    int ret = conf_load(main_path, &conf, &errors);
    assert((ret == 0) == (conf != NULL));
    assert(ret == 0 || errors.count > 0);
    assert(errors.count == 0 || strncmp(errors.text, folder, strlen(folder)) == 0);
    /* what our scanner accepts, libconfuse must be able to read */
    assert(!errors.text || memmem(text, size, "cannot", 6) ||
           !strstr(errors.text, ": cannot be understood"));
    if (errors.text && !memmem(text, size, "zq-", 3))
        assert(!strstr(errors.text, FILE_SECRET));
    if (conf)
        conf_free(conf);
    conf_errors_fini(&errors);
    free(text);
    return 0;
}
