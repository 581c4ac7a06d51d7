/* What the commands share that ask a running node by its JSON API. */
#include "gateway/command_ask.h"

#include "gateway/command.h"

#include "conf/conf.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPLY_MAX (4 << 20)

static const char common_help[] =
    "  -c, --config FILE   take the address from these settings (admin.listen)\n"
    "  -a, --admin IP:PORT ask there (default: 127.0.0.1:8088)\n"
    "      --json          print what the node answers\n\n"
    "Exit status 0: it answered; 1: it did not.\n\n"
    "examples: sallyport status -c /etc/sallyport/sallyport.conf\n"
    "          sallyport calls --json | jq '.ended[0]'\n"
    "          sallyport nodes --json | jq '.nodes[].address'\n"
    "          sallyport why 3fa9\n";

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

json_t *command_ask(const char *address, const char *page)
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

/* ---- options ----------------------------------------------------------------------------------
 */

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

void command_print_json(const json_t *json)
{
    json_dumpf(json, stdout, JSON_INDENT(2));
    printf("\n");
}

int command_ask_options(int argc, char **argv, const char *help, struct command_ask *ask)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"admin", required_argument, NULL, 'a'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct sockaddr_storage parsed;
    int option;
    *ask = (struct command_ask){.address = "127.0.0.1:8088"};
    while ((option = getopt_long(argc, argv, "c:a:h", options, NULL)) != -1)
        switch (option) {
        case 'c':
            if (!address_from(optarg, ask->address))
                return COMMAND_FAILED;
            break;
        case 'a':
            if (address_parse(optarg, &parsed) != 0)
                return command_misuse(argv[0], "--admin takes IP:PORT, not '%s'", optarg);
            address_format(&parsed, ask->address);
            break;
        case 'j':
            ask->is_json = true;
            break;
        case 'h':
            command_help(help);
            return command_help(common_help);
        default:
            return command_bad_option(argv[0]);
        }
    return -1;
}

/* ---- pages ------------------------------------------------------------------------------------
 */

const char *command_text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : "-";
}

long long command_number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

int command_ask_page(const struct command_page *page, int argc, char **argv)
{
    struct command_ask ask;
    int status = command_ask_options(argc, argv, page->help, &ask);
    if (status >= 0)
        return status;
    if (optind < argc)
        return command_misuse(page->name, "'%s' is one word too many", argv[optind]);
    json_t *json = command_ask(ask.address, page->path);
    if (!json)
        return COMMAND_FAILED;
    if (ask.is_json)
        command_print_json(json);
    else
        page->tell(json);
    json_decref(json);
    return 0;
}
