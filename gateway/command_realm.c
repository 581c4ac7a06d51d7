#include "gateway/command.h"

#include "overlay/overlay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: sallyport realm new     [--realm DIR] [--name NAME] [--days N]\n"
    "       sallyport realm enrol   [--realm DIR] --site NAME [--number +PREFIX]… [--role ROLE]…\n"
    "                               [--supernode HOST:PORT]… [--days N] --out FILE\n"
    "       sallyport realm revoke  [--realm DIR] FILE\n"
    "       sallyport realm publish [--realm DIR] -e FILE\n"
    "       sallyport realm show    FILE [--revocation FILE]\n\n"
    "Works offline, on the operator's own machine, but for publish; the realm's key never leaves\n"
    "its folder.\n\n"
    "new     makes a realm: root.pem and root.key in DIR\n"
    "enrol   makes one enrolment file for one node: key, certificate, root, first supernodes.\n"
    "        Copy it to the node and name it in its settings: realm { enrolment = \"FILE\" }\n"
    "revoke  adds the node of an enrolment file (or of its certificate in DIR/issued) to\n"
    "        DIR/revoked.pem, signed by the root; publish it then\n"
    "publish attaches to a supernode as the node of an enrolment file, any that is not revoked, "
    "and\n"
    "        hands DIR/revoked.pem in. Within seconds all nodes have it and keep it: those in it\n"
    "        lose their links and calls and cannot come back. A node that is switched off hears "
    "of\n"
    "        it when it returns. Exit status 1 when no supernode has it after 10 s\n"
    "show    says in words what an enrolment file grants\n\n"
    "  -r, --realm DIR        folder of the realm (default: realm)\n"
    "      --name NAME        name in the root certificate (default: sallyport)\n"
    "  -s, --site NAME        the site that the node serves: users are called USER@NAME\n"
    "  -n, --number +PREFIX   a number prefix that the node serves; may be given several times\n"
    "      --role ROLE        gateway, supernode, relay or client; several times (default: "
    "gateway)\n"
    "      --supernode H:P    where the node finds a supernode; several times\n"
    "      --days N           life of the certificate (default: root 3650, node 365)\n"
    "  -o, --out FILE         the enrolment file to write\n"
    "  -e, --enrolment FILE   publish as this node; not one that runs elsewhere: it would be "
    "pushed\n"
    "                         off its supernode for a moment\n"
    "  -c, --config FILE      publish with these settings instead (proxy, supernodes)\n"
    "      --revocation FILE  also check against this revocation list\n\n"
    "examples:\n"
    "  sallyport realm new --realm realm --name example\n"
    "  sallyport realm enrol --realm realm --site hub --role supernode --role relay --out "
    "hub.enrol\n"
    "  sallyport realm enrol --realm realm --site paris --number +331234 \\\n"
    "                        --supernode hub.example:443 --out paris.enrol\n"
    "  sallyport realm show paris.enrol\n"
    "  sallyport realm revoke --realm realm paris.enrol\n"
    "  sallyport realm publish --realm realm -e operator.enrol\n";

struct realm_options {
    const char *realm, *name, *out, *revocation, *enrolment_file, *config;
    int days;
    struct overlay_enrolment enrolment;
};

static int add(const char **list, int *count, const char *value)
{
    if (*count == CONF_LISTS_MAX)
        return command_misuse("realm", "at most %d of '%s' and its like", CONF_LISTS_MAX, value);
    list[(*count)++] = value;
    return 0;
}

static int add_role(unsigned *roles, const char *name)
{
    static const struct {
        const char *name;
        unsigned role;
    } known[] = {{"gateway", CONF_ROLE_GATEWAY},
                 {"supernode", CONF_ROLE_SUPERNODE},
                 {"relay", CONF_ROLE_RELAY},
                 {"client", CONF_ROLE_CLIENT}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i].name) == 0) {
            *roles |= known[i].role;
            return 0;
        }
    return command_misuse(
        "realm", "there is no role '%s'; there are gateway, supernode, relay, client", name);
}

static int take_days(const char *text, int *days)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (*end || value < 1 || value > 36500)
        return command_misuse("realm", "--days takes a number from 1 to 36500, not '%s'", text);
    *days = (int)value;
    return 0;
}

enum { OPTION_NAME = 256, OPTION_ROLE, OPTION_SUPERNODE, OPTION_DAYS, OPTION_REVOCATION };

static int take_option(int option, struct realm_options *out)
{
    struct overlay_enrolment *enrolment = &out->enrolment;
    switch (option) {
    case 'r':
        out->realm = optarg;
        return 0;
    case 's':
        enrolment->site = optarg;
        return 0;
    case 'o':
        out->out = optarg;
        return 0;
    case 'e':
        out->enrolment_file = optarg;
        return 0;
    case 'c':
        out->config = optarg;
        return 0;
    case 'n':
        return add(enrolment->numbers, &enrolment->number_count, optarg);
    case OPTION_NAME:
        out->name = optarg;
        return 0;
    case OPTION_ROLE:
        return add_role(&enrolment->roles, optarg);
    case OPTION_SUPERNODE:
        return add(enrolment->supernodes, &enrolment->supernode_count, optarg);
    case OPTION_DAYS:
        return take_days(optarg, &out->days);
    case OPTION_REVOCATION:
        out->revocation = optarg;
        return 0;
    default:
        return command_bad_option("realm");
    }
}

static int fail(const char *why)
{
    fprintf(stderr, "sallyport realm: %s\n", why);
    return COMMAND_FAILED;
}

static int make_realm(const struct realm_options *options)
{
    char why[256];
    int days = options->days ? options->days : 3650;
    if (overlay_realm_new(options->realm, options->name, days, why, sizeof why) != 0)
        return fail(why);
    printf("Realm '%s' is in %s. Keep %s/root.key to yourself: who has it can enrol nodes.\n"
           "Next: sallyport realm enrol --realm %s --site NAME --supernode HOST:443 --out "
           "NAME.enrol\n",
           options->name, options->realm, options->realm, options->realm);
    return 0;
}

static int enrol(struct realm_options *options)
{
    char why[256];
    if (!options->enrolment.site || !options->out)
        return command_misuse("realm", "enrol needs --site NAME and --out FILE");
    if (!options->enrolment.roles)
        options->enrolment.roles = CONF_ROLE_GATEWAY;
    options->enrolment.days = options->days ? options->days : 365;
    if (overlay_realm_enrol(options->realm, &options->enrolment, options->out, why, sizeof why) !=
        0)
        return fail(why);
    printf("%s enrols a node of site '%s' for %d days. It holds the node's key: hand it over "
           "safely.\n",
           options->out, options->enrolment.site, options->enrolment.days);
    if (!options->enrolment.supernode_count && !(options->enrolment.roles & CONF_ROLE_SUPERNODE))
        printf("It names no supernode (--supernode HOST:PORT): the node must know one by its "
               "settings, overlay { supernodes = { … } }.\n");
    return 0;
}

static int revoke_node(const struct realm_options *options, const char *file)
{
    struct overlay_realm_list list;
    char why[PATH_MAX + 128];
    if (!file)
        return command_misuse("realm", "revoke needs the enrolment FILE of the node");
    if (overlay_realm_revoke(options->realm, file, why, sizeof why) != 0 ||
        overlay_realm_list(options->realm, &list, why, sizeof why) != 0)
        return fail(why);
    printf("Revoked: %s has number %llu and %d %s.\n", list.path, (unsigned long long)list.number,
           list.count, list.count == 1 ? "certificate" : "certificates");
    if (list.fits)
        printf("Next: sallyport realm publish --realm %s -e FILE\n", options->realm);
    else
        printf(
            "That is more than fits into one message between nodes: it cannot be published. "
            "Give the file to each node, realm { revocation = \"FILE\" }, and start it again.\n");
    return 0;
}

static int publish(const struct realm_options *options)
{
    if (!options->enrolment_file == !options->config)
        return command_misuse("realm", "publish needs either -e ENROLMENT or -c FILE");
    return command_realm_publish(options->realm, options->enrolment_file, options->config);
}

static int show(const struct realm_options *options, const char *file)
{
    char why[256], *text = NULL;
    if (!file)
        return command_misuse("realm", "show needs an enrolment FILE");
    if (overlay_enrolment_check(file, options->revocation, &text, why, sizeof why) != 0)
        return fail(why);
    fputs(text, stdout);
    free(text);
    return 0;
}

int command_realm(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"realm", required_argument, NULL, 'r'},
        {"site", required_argument, NULL, 's'},
        {"number", required_argument, NULL, 'n'},
        {"out", required_argument, NULL, 'o'},
        {"enrolment", required_argument, NULL, 'e'},
        {"config", required_argument, NULL, 'c'},
        {"name", required_argument, NULL, OPTION_NAME},
        {"role", required_argument, NULL, OPTION_ROLE},
        {"supernode", required_argument, NULL, OPTION_SUPERNODE},
        {"days", required_argument, NULL, OPTION_DAYS},
        {"revocation", required_argument, NULL, OPTION_REVOCATION},
        {"help", no_argument, NULL, 'h'},
        {0}};
    struct realm_options options = {.realm = "realm", .name = "sallyport"};
    int option, err;
    while ((option = getopt_long(argc, argv, "r:s:n:o:e:c:h", long_options, NULL)) != -1) {
        if (option == 'h')
            return command_help(help);
        if ((err = take_option(option, &options)) != 0)
            return err;
    }
    const char *verb = optind < argc ? argv[optind] : "";
    const char *file = optind + 1 < argc ? argv[optind + 1] : NULL;
    bool takes_file = strcmp(verb, "revoke") == 0 || strcmp(verb, "show") == 0;
    if (optind + 1 + takes_file < argc)
        return command_misuse("realm", "'%s' is one word too many", argv[optind + 1 + takes_file]);
    if (strcmp(verb, "new") == 0)
        return make_realm(&options);
    if (strcmp(verb, "enrol") == 0)
        return enrol(&options);
    if (strcmp(verb, "revoke") == 0)
        return revoke_node(&options, file);
    if (strcmp(verb, "publish") == 0)
        return publish(&options);
    if (strcmp(verb, "show") == 0)
        return show(&options, file);
    return command_misuse("realm", "say what to do: new, enrol, revoke, publish or show");
}
