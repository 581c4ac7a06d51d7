#include "gateway/command.h"

#include "gateway/gateway.h"

#include "conf/log.h"

#include <stdlib.h>

static const char help[] =
    "usage: sallyport run -c FILE\n\n"
    "Runs a node until SIGINT or SIGTERM. What it is (gateway for phones, supernode, relay)\n"
    "is said by its settings; every setting is explained in sallyport.conf.sample.\n"
    "The log goes to stderr, in journald's form when journald is reading.\n\n"
    "  -c, --config FILE   the settings\n";

static void set_log_levels(const struct conf *conf)
{
    for (int folder = 0; folder < LOG_FOLDERS; folder++)
        log_set_level((enum log_folder)folder, (enum log_level)conf->log_level[folder]);
}

static int run_node(const struct conf *conf)
{
    struct gateway *gateway = calloc(1, sizeof *gateway);
    if (!gateway)
        return COMMAND_FAILED;
    int err = gateway_open(gateway, conf, NULL);
    if (!err) {
        log_info(LOG_GATEWAY, NULL, "running with %s", conf->file);
        err = gateway_run(gateway);
    }
    free(gateway);
    return err ? COMMAND_FAILED : 0;
}

int command_run(int argc, char **argv)
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
            return command_bad_option("run");
        }
    if (!path || optind < argc)
        return command_misuse("run", "give the settings as -c FILE and nothing else");
    struct conf *conf = command_load(path);
    if (!conf)
        return COMMAND_FAILED;
    set_log_levels(conf);
    int status = run_node(conf);
    conf_free(conf);
    return status;
}
