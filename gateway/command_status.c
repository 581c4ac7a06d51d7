/* `status` and `calls`: ask a running node by its JSON API and tell in words. */
#include "gateway/command.h"
#include "gateway/command_ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char status_help[] =
    "usage: sallyport status [-c FILE | --admin IP:PORT] [--json]\n\n"
    "Shows a running node: its supernodes, the phones registered there, counters. The node must\n"
    "have admin { listen = … } in its settings.\n\n";
static const char calls_help[] =
    "usage: sallyport calls [-c FILE | --admin IP:PORT] [--json]\n\n"
    "Shows the calls in progress and the last ones that ended: who, why, by which path, how it\n"
    "sounded (packets lost and late on each side), and INVITEs that were refused. The id in each\n"
    "line is what `sallyport why` takes.\n\n";

/* ---- telling
 * ---------------------------------------------------------------------------------------- */

static void tell_relaying(const json_t *relaying)
{
    const char *why;
    json_t *count;
    if (json_is_null(relaying))
        return;
    printf("relaying   %lld tunnels, load %lld %%, %lld packets",
           command_number(relaying, "tunnels"), command_number(relaying, "load_percent"),
           command_number(relaying, "packets"));
    if (command_number(relaying, "over_cap"))
        printf(", %lld dropped over the cap", command_number(relaying, "over_cap"));
    json_object_foreach(json_object_get(relaying, "refused"), why,
                        count) if (json_integer_value(count) > 0)
        printf(", %lld binds refused: %s", (long long)json_integer_value(count), why);
    printf("\n");
}

static void tell_overlay(const json_t *overlay)
{
    size_t i;
    json_t *supernode;
    if (!json_is_object(overlay)) {
        printf("overlay    none: calls stay inside the site\n");
        return;
    }
    time_t expires_s = (time_t)command_number(overlay, "certificate_expires_at_s");
    struct tm tm;
    char until[16];
    strftime(until, sizeof until, "%Y-%m-%d", gmtime_r(&expires_s, &tm));
    printf("site       %s, node %s, enrolled until %s\n", command_text(overlay, "site"),
           command_text(overlay, "node"), until);
    if (command_number(overlay, "revocation_list"))
        printf("revoked    those in list number %lld\n",
               command_number(overlay, "revocation_list"));
    if (!json_is_true(json_object_get(overlay, "attached")))
        printf("supernode  NONE: %s\n", command_text(overlay, "last_error"));
    json_array_foreach(json_object_get(overlay, "supernodes"), i, supernode)
        printf("supernode  %-21s %s, round trip %.1f ms, attached %.0f s\n",
               command_text(supernode, "address"), command_text(supernode, "kind"),
               (double)command_number(supernode, "round_trip_us") / 1000,
               (double)command_number(supernode, "since_ms") / 1000);
    const json_t *reachability = json_object_get(overlay, "reachability");
    printf("reachable  %s: %s\n", command_text(reachability, "class"),
           command_text(reachability, "reason"));
    if (json_is_true(json_object_get(reachability, "udp_blocked")))
        printf("WARNING    no UDP: media goes over TCP, and is late whenever packets are lost; let "
               "UDP out of the firewall\n");
    if (command_number(overlay, "clients") || command_number(overlay, "tunnels"))
        printf("serving    %lld nodes, %lld records, %lld relay tunnels\n",
               command_number(overlay, "clients"), command_number(overlay, "records"),
               command_number(overlay, "tunnels"));
    tell_relaying(json_object_get(overlay, "relaying"));
    printf("refused    %lld connections, %lld malformed frames, %lld requests for overload\n",
           command_number(overlay, "refused"), command_number(overlay, "malformed"),
           command_number(overlay, "shed"));
}

static void tell_status(const json_t *status)
{
    size_t i;
    json_t *binding, *sip = json_object_get(status, "sip");
    printf("sallyport  %s, up %.0f s, %lld calls now, %lld in all\n",
           command_text(status, "version"), (double)command_number(status, "up_ms") / 1000,
           command_number(status, "calls"), command_number(status, "calls_total"));
    tell_overlay(json_object_get(status, "overlay"));
    if (!json_is_object(sip))
        return;
    json_array_foreach(json_object_get(sip, "bindings"), i, binding)
        printf("phone      %-8s %s/%s for %lld s, %s\n", command_text(binding, "phone"),
               command_text(binding, "transport"), command_text(binding, "source"),
               command_number(binding, "expires_s"), command_text(binding, "user_agent"));
    if (json_array_size(json_object_get(sip, "bindings")) == 0)
        printf("phone      none is registered\n");
    printf("SIP        %lld requests, %lld malformed, %lld failed log-ins\n",
           command_number(sip, "requests"), command_number(sip, "malformed"),
           command_number(sip, "auth_failures"));
}

static void tell_leg(const json_t *leg)
{
    printf("    %-20s %-6s %6lld in %6lld out, %lld lost, %lld late, jitter %.1f ms, "
           "first voice %lld ms\n",
           command_text(leg, "name"), command_text(leg, "codec"), command_number(leg, "packets_in"),
           command_number(leg, "packets_out"), command_number(leg, "lost"),
           command_number(leg, "late"), (double)command_number(leg, "jitter_us") / 1000,
           command_number(leg, "first_voice_ms"));
}

static const char *clock_of(const json_t *call, char when[32])
{
    time_t time_s = (time_t)command_number(call, "time_s");
    struct tm tm;
    when[0] = '\0';
    strftime(when, 32, "%H:%M:%S", localtime_r(&time_s, &tm));
    return when;
}

static void tell_ended(const json_t *call)
{
    char when[32];
    size_t i;
    json_t *leg;
    const json_t *legs = json_object_get(call, "legs");
    printf("%s %s  %s -> %s: %s", clock_of(call, when), command_text(call, "id"),
           command_text(json_array_get(legs, 0), "name"),
           command_text(json_array_get(legs, 1), "name"), command_text(call, "reason"));
    if (command_number(call, "talk_ms") == 0) {
        printf(" (%s)\n", command_text(call, "text"));
        return;
    }
    printf(", answered after %lld ms, talked %.1f s, %s%s\n", command_number(call, "answer_ms"),
           (double)command_number(call, "talk_ms") / 1000,
           json_is_string(json_object_get(call, "path")) ? "by " : "inside the site",
           json_is_string(json_object_get(call, "path")) ? command_text(call, "path") : "");
    json_array_foreach(legs, i, leg) tell_leg(leg);
}

static void tell_refused(const json_t *invite)
{
    char when[32];
    printf("%s %s  %s -> %s: from %s, %lld times, answered %lld\n", clock_of(invite, when),
           command_text(invite, "id"), command_text(invite, "from"), command_text(invite, "to"),
           command_text(invite, "source"), command_number(invite, "times"),
           command_number(invite, "sip_status"));
}

static void tell_calls(const json_t *calls)
{
    size_t i;
    const json_t *refused = json_object_get(calls, "refused");
    json_t *call, *live = json_object_get(calls, "live"), *ended = json_object_get(calls, "ended");
    printf("%zu calls in progress\n", json_array_size(live));
    json_array_foreach(live, i, call)
        printf("%s  %s -> %s: %s, %.0f s, %s\n", command_text(call, "id"),
               command_text(call, "from"), command_text(call, "to"), command_text(call, "state"),
               (double)command_number(call, "talk_ms") / 1000, command_text(call, "path"));
    printf("the last %zu that ended\n", json_array_size(ended));
    json_array_foreach(ended, i, call) tell_ended(call);
    if (json_array_size(refused) > 0)
        printf("INVITEs that were refused\n");
    json_array_foreach(refused, i, call) tell_refused(call);
    if (json_array_size(live) + json_array_size(ended) + json_array_size(refused) > 0)
        printf("\n`sallyport why ID` tells more about one of them\n");
}

/* ---- the two commands
 * --------------------------------------------------------------------------------- */

int command_status(int argc, char **argv)
{
    static const struct command_page page = {"status", "/status", status_help, tell_status};
    return command_ask_page(&page, argc, argv);
}

int command_calls(int argc, char **argv)
{
    static const struct command_page page = {"calls", "/calls", calls_help, tell_calls};
    return command_ask_page(&page, argc, argv);
}
