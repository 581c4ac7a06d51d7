/* `status` and `calls`: ask a running node by its JSON API and tell in words. */
#include "gateway/command.h"

#include "conf/conf.h"

#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REPLY_MAX (4 << 20)

static const char status_help[] =
    "usage: sallyport status [-c FILE | --admin IP:PORT] [--json]\n\n"
    "Shows a running node: its supernodes, the phones registered there, counters. The node must\n"
    "have admin { listen = … } in its settings.\n\n";
static const char calls_help[] =
    "usage: sallyport calls [-c FILE | --admin IP:PORT] [--json]\n\n"
    "Shows the calls in progress and the last ones that ended: who, why, by which path, how it\n"
    "sounded (packets lost and late on each side).\n\n";
static const char common_help[] =
    "  -c, --config FILE   take the address from these settings (admin.listen)\n"
    "  -a, --admin IP:PORT ask there (default: 127.0.0.1:8088)\n"
    "      --json          print what the node answers\n\n"
    "Exit status 0: it answered; 1: it did not.\n\n"
    "examples: sallyport status -c /etc/sallyport/sallyport.conf\n"
    "          sallyport calls --json | jq '.ended[0]'\n";

/* ---- asking
 * ----------------------------------------------------------------------------------------- */

struct reply {
    char *data;
    size_t bytes;
};

static size_t on_data(char *data, size_t size, size_t count, void *ctx)
{
    struct reply *reply = ctx;
    size_t bytes = size * count;
    if (reply->bytes + bytes > REPLY_MAX)
        return 0;
    char *grown = realloc(reply->data, reply->bytes + bytes);
    if (!grown)
        return 0;
    memcpy(grown + reply->bytes, data, bytes);
    reply->data = grown;
    reply->bytes += bytes;
    return bytes;
}

/* GETs a page of the node at `address`; NULL after saying why. */
static json_t *ask(const char *address, const char *page)
{
    char url[160], why[CURL_ERROR_SIZE] = "";
    struct reply reply = {0};
    json_t *json = NULL;
    snprintf(url, sizeof url, "http://%s%s", address, page);
    CURL *curl = curl_easy_init();
    if (!curl)
        return NULL;
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 5000L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &reply);
    if (curl_easy_perform(curl) == CURLE_OK)
        json = json_loadb(reply.data ? reply.data : "", reply.bytes, 0, NULL);
    curl_easy_cleanup(curl);
    free(reply.data);
    if (!json)
        fprintf(stderr,
                "no node answers on %s: %s; is it running, and is its admin.listen this one?\n",
                address, *why ? why : "not a JSON reply");
    return json;
}

/* ---- telling
 * ---------------------------------------------------------------------------------------- */

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : "-";
}

static long long number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static void tell_overlay(const json_t *overlay)
{
    size_t i;
    json_t *supernode;
    if (!json_is_object(overlay)) {
        printf("overlay    none: calls stay inside the site\n");
        return;
    }
    time_t expires_s = (time_t)number(overlay, "certificate_expires_at_s");
    struct tm tm;
    char until[16];
    strftime(until, sizeof until, "%Y-%m-%d", gmtime_r(&expires_s, &tm));
    printf("site       %s, node %s, enrolled until %s\n", text(overlay, "site"),
           text(overlay, "node"), until);
    if (!json_is_true(json_object_get(overlay, "attached")))
        printf("supernode  NONE: %s\n", text(overlay, "last_error"));
    json_array_foreach(json_object_get(overlay, "supernodes"), i, supernode) printf(
        "supernode  %-21s %s, round trip %.1f ms, attached %.0f s\n", text(supernode, "address"),
        text(supernode, "kind"), (double)number(supernode, "round_trip_us") / 1000,
        (double)number(supernode, "since_ms") / 1000);
    const json_t *reachability = json_object_get(overlay, "reachability");
    printf("reachable  %s: %s\n", text(reachability, "class"), text(reachability, "reason"));
    if (json_is_true(json_object_get(reachability, "udp_blocked")))
        printf("WARNING    no UDP: media goes over TCP, and is late whenever packets are lost; let "
               "UDP out of the firewall\n");
    if (number(overlay, "clients") || number(overlay, "tunnels"))
        printf("serving    %lld nodes, %lld records, %lld relay tunnels\n",
               number(overlay, "clients"), number(overlay, "records"), number(overlay, "tunnels"));
    printf("refused    %lld connections, %lld malformed frames\n", number(overlay, "refused"),
           number(overlay, "malformed"));
}

static void tell_status(const json_t *status)
{
    size_t i;
    json_t *binding, *sip = json_object_get(status, "sip");
    printf("sallyport  %s, up %.0f s, %lld calls now, %lld in all\n", text(status, "version"),
           (double)number(status, "up_ms") / 1000, number(status, "calls"),
           number(status, "calls_total"));
    tell_overlay(json_object_get(status, "overlay"));
    if (!json_is_object(sip))
        return;
    json_array_foreach(json_object_get(sip, "bindings"), i, binding)
        printf("phone      %-8s %s/%s for %lld s, %s\n", text(binding, "phone"),
               text(binding, "transport"), text(binding, "source"), number(binding, "expires_s"),
               text(binding, "user_agent"));
    if (json_array_size(json_object_get(sip, "bindings")) == 0)
        printf("phone      none is registered\n");
    printf("SIP        %lld requests, %lld malformed, %lld failed log-ins\n",
           number(sip, "requests"), number(sip, "malformed"), number(sip, "auth_failures"));
}

static void tell_leg(const json_t *leg)
{
    printf("    %-20s %-6s %6lld in %6lld out, %lld lost, %lld late, jitter %.1f ms, "
           "first voice %lld ms\n",
           text(leg, "name"), text(leg, "codec"), number(leg, "packets_in"),
           number(leg, "packets_out"), number(leg, "lost"), number(leg, "late"),
           (double)number(leg, "jitter_us") / 1000, number(leg, "first_voice_ms"));
}

static void tell_ended(const json_t *call)
{
    char when[32] = "";
    time_t time_s = (time_t)number(call, "time_s");
    struct tm tm;
    size_t i;
    json_t *leg;
    strftime(when, sizeof when, "%H:%M:%S", localtime_r(&time_s, &tm));
    const json_t *legs = json_object_get(call, "legs");
    printf("%s %s  %s -> %s: %s", when, text(call, "id"), text(json_array_get(legs, 0), "name"),
           text(json_array_get(legs, 1), "name"), text(call, "reason"));
    if (number(call, "talk_ms") == 0) {
        printf(" (%s)\n", text(call, "text"));
        return;
    }
    printf(", answered after %lld ms, talked %.1f s, %s%s\n", number(call, "answer_ms"),
           (double)number(call, "talk_ms") / 1000,
           json_is_string(json_object_get(call, "path")) ? "by " : "inside the site",
           json_is_string(json_object_get(call, "path")) ? text(call, "path") : "");
    json_array_foreach(legs, i, leg) tell_leg(leg);
}

static void tell_calls(const json_t *calls)
{
    size_t i;
    json_t *call, *live = json_object_get(calls, "live"), *ended = json_object_get(calls, "ended");
    printf("%zu calls in progress\n", json_array_size(live));
    json_array_foreach(live, i, call) printf(
        "%s  %s -> %s: %s, %.0f s, %s\n", text(call, "id"), text(call, "from"), text(call, "to"),
        text(call, "state"), (double)number(call, "talk_ms") / 1000, text(call, "path"));
    printf("the last %zu that ended\n", json_array_size(ended));
    json_array_foreach(ended, i, call) tell_ended(call);
}

/* ---- the two commands
 * --------------------------------------------------------------------------------- */

struct page {
    const char *name, *path, *help;
    void (*tell)(const json_t *json);
};

/* Where the node of these settings listens; false after saying why. */
static bool address_from(const char *config, char address[ADDRESS_TEXT_MAX])
{
    struct conf *conf = command_load(config);
    if (!conf)
        return false;
    bool has = conf->admin.listen.ss_family != 0;
    if (has)
        address_format(&conf->admin.listen, address);
    else
        fprintf(stderr, "%s has no admin { listen = … }: the node cannot be asked\n", config);
    conf_free(conf);
    return has;
}

static int show(const struct page *page, const char *address, bool is_json)
{
    json_t *json = ask(address, page->path);
    if (!json)
        return COMMAND_FAILED;
    if (is_json) {
        json_dumpf(json, stdout, JSON_INDENT(2));
        printf("\n");
    } else {
        page->tell(json);
    }
    json_decref(json);
    return 0;
}

static int run_page(const struct page *page, int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"admin", required_argument, NULL, 'a'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    char address[ADDRESS_TEXT_MAX] = "127.0.0.1:8088";
    struct sockaddr_storage parsed;
    bool is_json = false;
    int option;
    while ((option = getopt_long(argc, argv, "c:a:h", options, NULL)) != -1)
        switch (option) {
        case 'c':
            if (!address_from(optarg, address))
                return COMMAND_FAILED;
            break;
        case 'a':
            if (address_parse(optarg, &parsed) != 0)
                return command_misuse(page->name, "--admin takes IP:PORT, not '%s'", optarg);
            address_format(&parsed, address);
            break;
        case 'j':
            is_json = true;
            break;
        case 'h':
            command_help(page->help);
            return command_help(common_help);
        default:
            return command_bad_option(page->name);
        }
    if (optind < argc)
        return command_misuse(page->name, "'%s' is one word too many", argv[optind]);
    return show(page, address, is_json);
}

int command_status(int argc, char **argv)
{
    static const struct page page = {"status", "/status", status_help, tell_status};
    return run_page(&page, argc, argv);
}

int command_calls(int argc, char **argv)
{
    static const struct page page = {"calls", "/calls", calls_help, tell_calls};
    return run_page(&page, argc, argv);
}
