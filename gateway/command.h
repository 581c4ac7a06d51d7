/* gateway/command.h: the subcommands of the one binary.
 *
 * Each takes the arguments after its name (argv[0] is the name) and returns the exit status: 0
 * done, 1 failed (said why on stderr), 2 used wrongly (said how on stderr). `--help` of each prints
 * its own page on stdout and returns 0.
 */
#ifndef GATEWAY_COMMAND_H
#define GATEWAY_COMMAND_H

#include <getopt.h>

#define COMMAND_FAILED 1
#define COMMAND_USAGE 2

int command_run(int argc, char **argv);
int command_check(int argc, char **argv);
int command_realm(int argc, char **argv);
int command_call(int argc, char **argv);
int command_status(int argc, char **argv);
int command_calls(int argc, char **argv);
int command_nodes(int argc, char **argv);
int command_why(int argc, char **argv);

/* `sallyport realm publish` (command_publish.c), as the node of an enrolment file or of settings.
 */
int command_realm_publish(const char *realm, const char *enrolment, const char *config);

/* Prints a help page on stdout; returns 0. */
int command_help(const char *text);
/* "sallyport run: WHAT; try 'sallyport run --help'" on stderr; returns COMMAND_USAGE. */
int command_misuse(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* What getopt_long returned '?' or ':' for has been said by getopt itself. */
int command_bad_option(const char *command);

struct conf;
/* For commands whose only argument is `-c FILE`: reads it and loads the settings into *conf.
 * Returns -1 to go on, else the exit status to end with (help was printed, or what is wrong was
 * said). */
int command_config(int argc, char **argv, const char *help, struct conf **conf);
/* Loads settings; prints every message on stderr. NULL: failed. */
struct conf *command_load(const char *path);

#endif
