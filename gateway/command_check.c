#include "gateway/command.h"

#include "overlay/overlay.h"

#include "conf/conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: sallyport check -c FILE\n\n"
    "Reads the settings as 'run' does, and the enrolment and secrets that they name, and says\n"
    "what is wrong (file, line, remedy) or, in a few lines, what the node would be.\n"
    "Starts nothing and touches nothing. Exit status 0: a node would start with it.\n\n"
    "  -c, --config FILE   the settings\n\n"
    "example: sallyport check -c /etc/sallyport/sallyport.conf\n";

#define LISTED 10 /* names of phones and routes */

static const char *list_end(int count)
{
    return count == 0 ? "" : count > LISTED ? " …)" : ")";
}

static void print_sip(const struct conf *conf)
{
    char text[ADDRESS_TEXT_MAX];
    if (conf->sip.listen_count == 0) {
        printf("phones: none (no section sip)\n");
        return;
    }
    printf("phones listen on:");
    for (int i = 0; i < conf->sip.listen_count; i++)
        printf(" %s:%s", conf->sip.listen[i].transport == CONF_UDP ? "udp" : "tcp",
               address_format(&conf->sip.listen[i].address, text));
    printf(", domain %s\nphones: %d", conf->sip.domain, conf->phone_count);
    for (int i = 0; i < conf->phone_count && i < LISTED; i++)
        printf("%s%s", i ? " " : " (", conf->phones[i].id);
    printf("%s\nroutes: %d", list_end(conf->phone_count), conf->route_count);
    for (int i = 0; i < conf->route_count && i < LISTED; i++)
        printf("%s%s", i ? " " : " (", conf->routes[i].name);
    printf("%s\nsound: UDP ports %u-%u, codecs", list_end(conf->route_count), conf->media.port_min,
           conf->media.port_max);
    for (int i = 0; i < conf->media.codecs.count; i++)
        printf(" %s", codec_name(conf->media.codecs.codec[i]));
    printf("\n");
}

/* In the words of overlay_enrolment_check. */
static bool is_granted(const char *grants, const char *role)
{
    const char *roles = strstr(grants, "\nroles:"), *found = roles ? strstr(roles, role) : NULL;
    return found && found < strchrnul(roles + 1, '\n');
}

static void print_serving(const struct conf_overlay *overlay, const char *grants)
{
    static const int always_seats = 20000, invited_seats = 2000;
    bool is_always = overlay->serve == CONF_SERVE_ALWAYS;
    int seats = overlay->seats ? overlay->seats : is_always ? always_seats : invited_seats;
    if (overlay->serve == CONF_SERVE_NEVER)
        printf("as supernode: never\n");
    else if (!is_granted(grants, " supernode"))
        printf("as supernode: never (its certificate does not grant the role supernode)\n");
    else if (overlay->listen.ss_family == 0)
        printf("as supernode: never (no overlay.listen)\n");
    else
        printf("as supernode: %s, up to %d nodes\n",
               is_always ? "always" : "when the realm needs one more and others can reach it",
               seats);
}

static int check(const struct conf *conf)
{
    char text[ADDRESS_TEXT_MAX], why[256];
    if (conf->realm.enrolment) {
        char *grants = NULL;
        int err = overlay_enrolment_check(conf->realm.enrolment, conf->realm.revocation, &grants,
                                          why, sizeof why);
        if (err) {
            fprintf(stderr, "%s\n", why);
            return COMMAND_FAILED;
        }
        printf("%s", grants);
        print_serving(&conf->overlay, grants);
        free(grants);
    } else {
        printf("overlay: none (no realm.enrolment): calls stay inside the site\n");
    }
    if (conf->overlay.listen.ss_family)
        printf("other nodes reach it on: %s\n", address_format(&conf->overlay.listen, text));
    print_sip(conf);
    if (conf->admin.listen.ss_family)
        printf("status is told on: %s\n", address_format(&conf->admin.listen, text));
    else
        printf("status: not told (no admin.listen)\n");
    printf("%s is good\n", conf->file);
    return 0;
}

int command_check(int argc, char **argv)
{
    struct conf *conf;
    int status = command_config(argc, argv, help, &conf);
    if (status >= 0)
        return status;
    status = check(conf);
    conf_free(conf);
    return status;
}
