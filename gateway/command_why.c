/* `why`: the journal of one call, told as a story, and what is to be made of it.
 *
 * With --json it prints what the node answers to GET /calls/ID/journal:
 *
 *   id          of the call: 16 hex digits, the same at both ends and on each log line
 *   state       "new", "calling", "ringing", "up", "ending"; "ended"; "refused": its INVITE was not
 *               let in
 *   time_s      when it began, seconds since 1970
 *   from, to    who called whom
 *   reason      why it ended (as in `calls`); "" while it goes on
 *   path        how its media travels or travelled; "" inside the site
 *   diagnosis   one sentence: what was wrong and what to do, or how a good call travelled
 *   journal     entries: [{at_ms: since the call began, part: "call" | "sip" | "route" | "overlay"
 * | "path" | "media", event: a short word, text}], in order; left_out: how many more there were,
 * after the first left_out_after
 */
#include "gateway/command.h"
#include "gateway/command_ask.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <uv.h>

/* How soon the figures of a call in progress are there once the node has been asked for them. */
#define FIGURES_MS 100

static const char why_help[] =
    "usage: sallyport why [CALL] [-c FILE | --admin IP:PORT] [--json]\n\n"
    "Tells what happened to a call, step by step: who it came from, where its number led, how the\n"
    "far site was found, which way the sound took and when it changed, and why it ended. The last\n"
    "line says what to make of it.\n\n"
    "  CALL                its id or the beginning of it, as `sallyport calls` and the log show "
    "it;\n"
    "                      'last' (also when left out): the one that began last, ended or not\n\n";

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : "";
}

static void tell_entries(const json_t *journal)
{
    size_t i;
    json_t *entry;
    long long left_out = json_integer_value(json_object_get(journal, "left_out"));
    long long after = json_integer_value(json_object_get(journal, "left_out_after"));
    json_array_foreach(json_object_get(journal, "entries"), i, entry)
    {
        if (left_out > 0 && (long long)i == after)
            printf("            … %lld more steps are left out …\n", left_out);
        printf("  %8.3f  %-7s  %s\n",
               (double)json_integer_value(json_object_get(entry, "at_ms")) / 1000,
               text(entry, "part"), text(entry, "text"));
    }
}

static void tell(const json_t *call)
{
    char when[40] = "";
    time_t time_s = (time_t)json_integer_value(json_object_get(call, "time_s"));
    struct tm tm;
    strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", localtime_r(&time_s, &tm));
    printf("call %s: %s to %s, %s, %s%s%s\n", text(call, "id"), text(call, "from"),
           *text(call, "to") ? text(call, "to") : "?", when, text(call, "state"),
           *text(call, "reason") ? ": " : "", text(call, "reason"));
    tell_entries(json_object_get(call, "journal"));
    printf("%s\n", text(call, "diagnosis"));
}

static bool is_id(const char *id)
{
    return strcmp(id, "last") == 0 ||
           (*id && strlen(id) <= CALL_ID_LEN && strspn(id, "0123456789abcdef") == strlen(id));
}

/* Of a call in progress the second answer knows the figures that the first one asked for. */
static json_t *ask_twice(const char *address, const char *page)
{
    json_t *first = command_ask(address, page);
    const char *state = text(first, "state");
    if (!first || !*state || strcmp(state, "ended") == 0 || strcmp(state, "refused") == 0)
        return first;
    json_decref(first);
    uv_sleep(FIGURES_MS);
    return command_ask(address, page);
}

int command_why(int argc, char **argv)
{
    struct command_ask ask;
    char page[64];
    int status = command_ask_options(argc, argv, why_help, &ask);
    if (status >= 0)
        return status;
    const char *id = optind < argc ? argv[optind] : "last";
    if (optind + 1 < argc)
        return command_misuse("why", "'%s' is one word too many", argv[optind + 1]);
    if (!is_id(id))
        return command_misuse("why", "'%.40s' is no id of a call", id);
    snprintf(page, sizeof page, "/calls/%s/journal", id);
    json_t *json = ask_twice(ask.address, page);
    if (!json)
        return COMMAND_FAILED;
    bool has_failed = json_is_string(json_object_get(json, "error"));
    if (has_failed)
        fprintf(stderr, "%s\n", text(json, "error"));
    else if (ask.is_json)
        command_print_json(json);
    else
        tell(json);
    json_decref(json);
    return has_failed ? COMMAND_FAILED : 0;
}
