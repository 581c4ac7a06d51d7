/* The native client: a node whose one call plays and records files, or echoes. */
#include "gateway/command.h"

#include "gateway/gateway.h"

#include "conf/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ATTACH_MS 15000

static const char help[] =
    "usage: sallyport call -e FILE USER@SITE [--play IN.wav] [--record OUT.wav] [--seconds N]\n"
    "       sallyport call -e FILE --answer [--echo | --play IN.wav | --record OUT.wav]\n\n"
    "Calls a user of a site, or a number (+49…), as a node without any SIP phone; or, with\n"
    "--answer, waits for calls and answers them. Any node can be called and can call this way.\n\n"
    "  -e, --enrolment FILE  who this node is (sallyport realm enrol); not the enrolment of a "
    "node\n"
    "                        that runs elsewhere: one pushes the other off its supernode\n"
    "  -c, --config FILE     settings instead, when more than the enrolment must be said\n"
    "                        (proxy, media between nodes, log levels)\n"
    "      --as USER         our own name for the other side's display (default: sallyport)\n"
    "      --play FILE       WAV file to play, any rate; the call ends when it has been played\n"
    "      --record FILE     WAV file to write what is heard to (16 kHz, mono)\n"
    "      --seconds N       end the call N seconds after the answer\n"
    "      --answer          wait for calls until interrupted; with --play or --record for one "
    "call\n"
    "      --echo            with --answer: send back what is heard\n"
    "  -v, --verbose         log more\n\n"
    "Exit status 0: there was a call and it ended well; 1: there was none (the reason is "
    "printed).\n\n"
    "examples:\n"
    "  sallyport call -e me.enrol 201@berlin --play in.wav --record out.wav --seconds 20\n"
    "  sallyport call -e echo.enrol --answer --echo\n";

struct client {
    struct gateway gateway;
    struct gateway_client side;
    const char *enrolment, *config, *to;
    bool answer;
    int seconds;
    uv_timer_t timer;
    bool has_timer;
    struct call *call;
    bool is_once;
    bool has_called;
    int status;
};

/* ---- the course of the call ---------------------------------------------------------------------
 */

static void on_stop(void *ctx)
{
    struct client *client = ctx;
    if (client->has_timer)
        uv_close((uv_handle_t *)&client->timer, NULL);
    client->has_timer = false;
}

static void on_not_attached(uv_timer_t *timer)
{
    struct client *client = timer->data;
    struct overlay_status status;
    overlay_status(client->gateway.overlay, &status);
    fprintf(stderr, "no supernode could be reached in %d s: %s\n", ATTACH_MS / 1000,
            *status.last_error ? status.last_error : "no answer");
    gateway_stop(&client->gateway);
}

static void on_seconds_over(uv_timer_t *timer)
{
    struct client *client = timer->data;
    struct call_cause cause = call_cause(CALL_NORMAL, "Time is up");
    if (client->call)
        call_end(client->call, &cause);
}

static void on_attached(void *ctx)
{
    struct client *client = ctx;
    uv_timer_stop(&client->timer);
    if (client->answer) {
        printf("waiting for calls to anyone@%s\n", overlay_site(client->gateway.overlay));
        fflush(stdout);
        return;
    }
    if (client->has_called)
        return;
    client->has_called = true;
    call_from_here(&client->gateway, client->to);
}

static void on_call_up(void *ctx, struct call *call)
{
    struct client *client = ctx;
    client->call = call;
    printf("%s and %s are talking (call %s)\n", call->legs[0].name, call->legs[1].name, call->id);
    fflush(stdout);
    if (client->seconds && client->has_timer)
        uv_timer_start(&client->timer, on_seconds_over, (uint64_t)client->seconds * 1000, 0);
}

static void print_summary(const struct call_summary *summary)
{
    int peer = strchr(summary->from, '@') ? MEDIA_A : MEDIA_B;
    const struct media_stats *stats = &summary->stats[peer];
    printf("%s: %s%s%s", peer == MEDIA_A ? summary->from : summary->to,
           call_reason_name(summary->cause.reason), *summary->cause.text ? ", " : "",
           summary->cause.text);
    if (summary->ring_ms || summary->talk_ms)
        printf("; answered after %llu ms, talked %.1f s by %s, %s; heard %llu packets, "
               "%llu lost, %llu late",
               (unsigned long long)summary->ring_ms, (double)summary->talk_ms / 1000,
               *summary->path ? summary->path : "no path", summary->codecs[peer],
               (unsigned long long)stats->packets_in, (unsigned long long)stats->lost,
               (unsigned long long)stats->late);
    printf("\n");
    fflush(stdout);
}

static void on_call_end(void *ctx, const struct call_summary *summary)
{
    struct client *client = ctx;
    client->call = NULL;
    print_summary(summary);
    if (summary->talk_ms > 0)
        client->status = 0;
    if (client->has_timer)
        uv_timer_stop(&client->timer);
    if (client->is_once)
        gateway_stop(&client->gateway);
}

/* ---- options
 * -------------------------------------------------------------------------------------- */

enum { OPTION_AS = 256, OPTION_PLAY, OPTION_RECORD, OPTION_SECONDS, OPTION_ANSWER, OPTION_ECHO };

static int take_seconds(const char *text, int *seconds)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (*end || value < 1 || value > 86400)
        return command_misuse("call", "--seconds takes 1 to 86400, not '%s'", text);
    *seconds = (int)value;
    return 0;
}

static int take_option(int option, struct client *client)
{
    switch (option) {
    case 'e':
        client->enrolment = optarg;
        return 0;
    case 'c':
        client->config = optarg;
        return 0;
    case 'v':
        for (int folder = 0; folder < LOG_FOLDERS; folder++)
            log_set_level((enum log_folder)folder, LOG_DEBUG);
        return 0;
    case OPTION_AS:
        client->side.user = optarg;
        return 0;
    case OPTION_PLAY:
        client->side.play = optarg;
        return 0;
    case OPTION_RECORD:
        client->side.record = optarg;
        return 0;
    case OPTION_SECONDS:
        return take_seconds(optarg, &client->seconds);
    case OPTION_ANSWER:
        client->answer = true;
        return 0;
    case OPTION_ECHO:
        client->side.echo = true;
        return 0;
    default:
        return command_bad_option("call");
    }
}

static int check_options(const struct client *client)
{
    if (!client->enrolment == !client->config)
        return command_misuse("call", "say who we are: either -e ENROLMENT or -c FILE");
    if (client->answer ? client->to != NULL : client->to == NULL)
        return command_misuse("call", "name whom to call (USER@SITE or +NUMBER), or --answer");
    if (client->to && client->to[0] != '+' && !strchr(client->to, '@'))
        return command_misuse("call", "'%s' is neither USER@SITE nor +NUMBER", client->to);
    if (client->side.echo && (!client->answer || client->side.play || client->side.record))
        return command_misuse("call", "--echo goes with --answer and without files");
    return 0;
}

/* Looked at before anyone's phone rings. */
static int check_files(const struct client *client)
{
    const char *play = client->side.play, *record = client->side.record;
    char head[12] = "";
    FILE *file = play ? fopen(play, "rb") : NULL;
    if (play && !file) {
        fprintf(stderr, "sallyport call: %s cannot be read: %s\n", play, strerror(errno));
        return COMMAND_FAILED;
    }
    size_t bytes = file ? fread(head, 1, sizeof head, file) : 0;
    if (file)
        fclose(file);
    if (play && (bytes < sizeof head || memcmp(head, "RIFF", 4) || memcmp(head + 8, "WAVE", 4))) {
        fprintf(stderr, "sallyport call: %s is no WAV file\n", play);
        return COMMAND_FAILED;
    }
    file = record ? fopen(record, "ab") : NULL;
    if (record && !file) {
        fprintf(stderr, "sallyport call: %s cannot be written: %s\n", record, strerror(errno));
        return COMMAND_FAILED;
    }
    if (file)
        fclose(file);
    return 0;
}

static struct conf *client_conf(const struct client *client)
{
    struct conf *conf = client->config ? command_load(client->config) : conf_default();
    if (!conf)
        return NULL;
    if (client->enrolment) {
        free(conf->realm.enrolment);
        conf->realm.enrolment = strdup(client->enrolment);
    }
    /* Who only calls does not publish the enrolment's names: they would draw the site's calls. */
    conf->overlay.roles = client->answer ? CONF_ROLE_CLIENT | CONF_ROLE_GATEWAY : 0;
    conf->overlay.serve = CONF_SERVE_NEVER;
    return conf;
}

static int run_client(struct client *client, const struct conf *conf)
{
    client->status = COMMAND_FAILED;
    client->is_once = !client->answer || client->side.play || client->side.record;
    client->side.hang_up_after_play = client->side.play && !client->seconds;
    client->side.on_attached = on_attached;
    client->side.on_call_up = on_call_up;
    client->side.on_call_end = on_call_end;
    client->side.on_stop = on_stop;
    client->side.ctx = client;
    if (gateway_open(&client->gateway, conf, &client->side) != 0)
        return COMMAND_FAILED;
    uv_timer_init(client->gateway.uv, &client->timer);
    client->timer.data = client;
    client->has_timer = true;
    if (!client->answer)
        uv_timer_start(&client->timer, on_not_attached, ATTACH_MS, 0);
    gateway_run(&client->gateway);
    return client->answer && !client->is_once ? 0 : client->status;
}

int command_call(int argc, char **argv)
{
    static const struct option options[] = {{"enrolment", required_argument, NULL, 'e'},
                                            {"config", required_argument, NULL, 'c'},
                                            {"verbose", no_argument, NULL, 'v'},
                                            {"as", required_argument, NULL, OPTION_AS},
                                            {"play", required_argument, NULL, OPTION_PLAY},
                                            {"record", required_argument, NULL, OPTION_RECORD},
                                            {"seconds", required_argument, NULL, OPTION_SECONDS},
                                            {"answer", no_argument, NULL, OPTION_ANSWER},
                                            {"echo", no_argument, NULL, OPTION_ECHO},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct client *client = calloc(1, sizeof *client);
    if (!client)
        return COMMAND_FAILED;
    client->side.user = "sallyport";
    int option, status = 0;
    while (!status && (option = getopt_long(argc, argv, "e:c:vh", options, NULL)) != -1) {
        if (option == 'h') {
            free(client);
            return command_help(help);
        }
        status = take_option(option, client);
    }
    if (optind < argc)
        client->to = argv[optind];
    if (!status && optind + 1 < argc)
        status = command_misuse("call", "'%s' is one word too many", argv[optind + 1]);
    if (!status)
        status = check_options(client);
    if (!status)
        status = check_files(client);
    struct conf *conf = status ? NULL : client_conf(client);
    if (!status)
        status = conf ? run_client(client, conf) : COMMAND_FAILED;
    conf_free(conf);
    free(client);
    return status;
}
