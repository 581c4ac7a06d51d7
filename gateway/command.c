#include "gateway/command.h"

#include "conf/conf.h"

#include <stdarg.h>
#include <stdio.h>

int command_help(const char *text)
{
    fputs(text, stdout);
    return 0;
}

int command_misuse(const char *command, const char *fmt, ...)
{
    va_list args;
    fprintf(stderr, "sallyport %s: ", command);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fprintf(stderr, "; try 'sallyport %s --help'\n", command);
    return COMMAND_USAGE;
}

int command_bad_option(const char *command)
{
    fprintf(stderr, "try 'sallyport %s --help'\n", command);
    return COMMAND_USAGE;
}

struct conf *command_load(const char *path)
{
    struct conf *conf = NULL;
    struct conf_errors errors = {0};
    int err = conf_load(path, &conf, &errors);
    if (errors.text)
        fputs(errors.text, stderr);
    if (err)
        fprintf(stderr, "sallyport: %s was not used (%d %s)\n", path, errors.count,
                errors.count == 1 ? "error" : "errors");
    conf_errors_fini(&errors);
    return err ? NULL : conf;
}
