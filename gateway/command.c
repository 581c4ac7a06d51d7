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

int command_config(int argc, char **argv, const char *help, struct conf **conf)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'}, {0}};
    const char *path = NULL;
    int option;
    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1)
        switch (option) {
        case 'c':
            path = optarg;
            break;
        case 'h':
            return command_help(help);
        default:
            return command_bad_option(argv[0]);
        }
    if (!path || optind < argc)
        return command_misuse(argv[0], "give the settings as -c FILE and nothing else");
    *conf = command_load(path);
    return *conf ? -1 : COMMAND_FAILED;
}
