/* gateway/command_ask.h: what `status`, `calls` and `why` share: their options, and asking a
 * running node by its JSON API. */
#ifndef GATEWAY_COMMAND_ASK_H
#define GATEWAY_COMMAND_ASK_H

#include "conf/conf.h"

#include <jansson.h>

struct command_ask {
    char address[ADDRESS_TEXT_MAX]; /* of the node's admin API */
    bool is_json;
};

/* Reads -c, --admin, --json and --help; what is left begins at argv[optind]. Returns -1 to go on,
 * else the exit status to end with (help was printed, or what is wrong was said). */
int command_ask_options(int argc, char **argv, const char *help, struct command_ask *ask);
/* GETs a page of the node at `address`; NULL after saying why. */
json_t *command_ask(const char *address, const char *page);
void command_print_json(const json_t *json);

#endif
