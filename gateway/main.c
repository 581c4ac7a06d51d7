/* sallyport: the one binary. Finds the subcommand and hands over. */
#include "gateway/command.h"
#include "gateway/version.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} commands[] = {
    {"run", command_run, "run a node: gateway, supernode, relay, as its settings say"},
    {"check", command_check, "check a settings file and what it names, without starting"},
    {"realm", command_realm, "make a realm, enrol nodes, revoke them"},
    {"call", command_call, "call, or answer, as a node without any SIP phone"},
    {"status", command_status, "show a running node: supernodes, phones, counters"},
    {"calls", command_calls, "show calls in progress and the last ones that ended"},
    {"nodes", command_nodes, "show the realm as a running node sees it: its supernodes, seats"},
    {"why", command_why, "tell what happened to a call, and what to make of it"},
};
#define COMMANDS (sizeof commands / sizeof *commands)

static void usage(FILE *out)
{
    fprintf(out, "Sallyport joins phones and PBXs of different sites through any NAT or firewall,\n"
                 "with outgoing connections only.\n\n"
                 "usage: sallyport COMMAND [OPTIONS]\n\n");
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].summary);
    fprintf(out,
            "\n'sallyport COMMAND --help' tells all about one of them; 'sallyport --version' the "
            "version.\nExit status of all: 0 done, 1 failed and said why, 2 used wrongly.\n");
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        usage(stderr);
        return COMMAND_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        usage(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("sallyport %s\n", SALLYPORT_VERSION);
        return 0;
    }
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    fprintf(stderr, "sallyport: there is no command '%s'; try 'sallyport --help'\n", argv[1]);
    return COMMAND_USAGE;
}
