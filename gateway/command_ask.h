/* gateway/command_ask.h: what `status`, `calls`, `nodes` and `why` share: their options, and asking
 * a running node by its JSON API. */
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

/* A command that takes no more than the options, and tells what one page says. */
struct command_page {
    const char *name, *path, *help;
    void (*tell)(const json_t *json);
};
int command_ask_page(const struct command_page *page, int argc, char **argv);

/* What stands there; "-" and 0 when there is no such text or number. */
const char *command_text(const json_t *object, const char *key);
long long command_number(const json_t *object, const char *key);

#endif
