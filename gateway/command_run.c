#include "gateway/command.h"

#include "gateway/gateway.h"

#include "conf/log.h"

#include <stdlib.h>

static const char help[] =
    "usage: sallyport run -c FILE\n\n"
    "Runs a node until SIGINT or SIGTERM. What it is (gateway for phones, supernode, relay)\n"
    "is said by its settings; every setting is explained in sallyport.conf.sample.\n"
    "The log goes to stderr, in journald's form when journald is reading.\n\n"
    "  -c, --config FILE   the settings\n\n"
    "Exit status 0: it was asked to stop; 1: it could not start (the log says why).\n\n"
    "example: sallyport run -c /etc/sallyport/sallyport.conf\n";

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
    struct conf *conf;
    int status = command_config(argc, argv, help, &conf);
    if (status >= 0)
        return status;
    set_log_levels(conf);
    status = run_node(conf);
    conf_free(conf);
    return status;
}
