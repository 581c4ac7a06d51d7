/* Values that are one text: words, paths, numbers, durations, switches, levels. */
#include "conf/values.h"

#include "conf/duration.h"
#include "conf/log.h"
#include "conf/log_line.h"
#include "conf/settings.h"
#include "conf/suggest.h"
#include "conf/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define TEXT_BYTES_MAX 255

const char *value_shown(char *out, const char *text)
{
    size_t used = text_escape(out, VALUE_SHOWN_MAX - 3, text);

    /* cut: dots after the last whole character */
    if (used + 4 >= VALUE_SHOWN_MAX - 3 && strlen(text) > used)
        memcpy(out + used, "...", 4);
    return out;
}

void value_error(const struct value *value, const char *fmt, ...)
{
    char *what;
    va_list args;

    va_start(args, fmt);
    int written = vasprintf(&what, fmt, args);
    va_end(args);
    if (written < 0)
        return;
    messages_error(value->messages, value->source, value->line, "%s%s %s", value->label,
                   value->setting->key, what);
    free(what);
}

static void replace(char **field, char *text)
{
    free(*field);
    *field = text;
}

/* One line of text that is neither empty nor endless. */
static int check_text(const struct value *value)
{
    const char *text = value->texts[0];

    if (text[0] == '\0')
        value_error(value, "is empty; give a value or leave the setting out");
    else if (strlen(text) > TEXT_BYTES_MAX)
        value_error(value, "is too long; allowed are %d bytes", TEXT_BYTES_MAX);
    else
        for (size_t length = 1; *text; text += length)
            if ((length = text_character(text)) == 0) {
                value_error(value, "has a byte that is no printable UTF-8 text; remove it");
                return -EINVAL;
            }
    return *text ? -EINVAL : text == value->texts[0] ? -EINVAL : 0;
}

void value_text(const struct value *value, void *field)
{
    if (check_text(value) == 0)
        replace(field, strdup(value->texts[0]));
}

void value_domain(const struct value *value, void *field)
{
    char shown[VALUE_SHOWN_MAX];

    if (check_text(value) < 0)
        return;
    for (const char *c = value->texts[0]; *c; c++) {
        if (isalnum((unsigned char)*c) || (c > value->texts[0] && strchr(".-:[]", *c)) || *c == '[')
            continue;
        value_error(value, "\"%s\" is no host name; write for example \"berlin.example\"",
                    value_shown(shown, value->texts[0]));
        return;
    }
    replace(field, strdup(value->texts[0]));
}

void value_path(const struct value *value, void *field)
{
    if (check_text(value) == 0)
        replace(field, value->source ? source_relative(value->source, value->texts[0])
                                     : strdup(value->texts[0]));
}

void value_file(const struct value *value, void *field)
{
    char *path = NULL, shown[VALUE_SHOWN_MAX];

    value_path(value, &path);
    if (!path)
        return;
    if (access(path, R_OK) < 0) {
        value_error(value, "\"%s\" cannot be read: %s; check the path and its permissions",
                    value_shown(shown, path), strerror(errno));
        free(path);
        return;
    }
    replace(field, path);
}

void value_duration(const struct value *value, void *field)
{
    static const char remedy[] = "write a number and s, m, h or d, for example \"30s\" or \"5m\"";
    const struct setting *setting = value->setting;
    char shown[VALUE_SHOWN_MAX], least[DURATION_TEXT_MAX], most[DURATION_TEXT_MAX];
    int seconds = 0, ret = duration_parse(value->texts[0], &seconds);

    value_shown(shown, value->texts[0]);
    if (ret == -EDOM)
        value_error(value, "\"%s\" has no unit; %s", shown, remedy);
    else if (ret == -ENOTSUP)
        value_error(value, "\"%s\" has an unknown unit; %s", shown, remedy);
    else if (ret == -EINVAL)
        value_error(value, "\"%s\" is no duration; %s", shown, remedy);
    else if (ret == -ERANGE || seconds < setting->min || seconds > setting->max)
        value_error(value, "\"%s\" is out of range; allowed are %s to %s", shown,
                    duration_format((int)setting->min, least),
                    duration_format((int)setting->max, most));
    else
        *(int *)field = seconds;
}

void value_duration_or_never(const struct value *value, void *field)
{
    if (strcasecmp(value->texts[0], "never") == 0)
        *(int *)field = 0;
    else
        value_duration(value, field);
}

/* A whole number in the setting's limits; 0, or -EINVAL with a message. */
static int parse_number(const struct value *value, long min, long max, long *number)
{
    char shown[VALUE_SHOWN_MAX], *end;
    const char *text = value->texts[0];

    errno = 0;
    long parsed = strtol(text, &end, 10);
    if (end == text || *end || isspace((unsigned char)*text)) {
        value_error(value, "\"%s\" is no whole number; allowed are %ld to %ld",
                    value_shown(shown, text), min, max);
        return -EINVAL;
    }
    if (errno == ERANGE || parsed < min || parsed > max) {
        value_error(value, "\"%s\" is out of range; allowed are %ld to %ld",
                    value_shown(shown, text), min, max);
        return -EINVAL;
    }
    *number = parsed;
    return 0;
}

void value_int(const struct value *value, void *field)
{
    long number;

    if (parse_number(value, value->setting->min, value->setting->max, &number) == 0)
        *(int *)field = (int)number;
}

void value_port(const struct value *value, void *field)
{
    long number = 0;

    if (strcasecmp(value->texts[0], "any") == 0 || parse_number(value, 1, UINT16_MAX, &number) == 0)
        *(uint16_t *)field = (uint16_t)number;
}

void value_bool(const struct value *value, void *field)
{
    static const char *const yes[] = {"true", "yes", "on"}, *const no[] = {"false", "no", "off"};
    char shown[VALUE_SHOWN_MAX];

    for (int i = 0; i < 3; i++) {
        bool is_yes = strcasecmp(value->texts[0], yes[i]) == 0;
        if (is_yes || strcasecmp(value->texts[0], no[i]) == 0) {
            *(bool *)field = is_yes;
            return;
        }
    }
    value_error(value, "\"%s\" is neither true nor false; write true or false",
                value_shown(shown, value->texts[0]));
}

void value_level(const struct value *value, void *field)
{
    const char *names[LOG_DEBUG + 1];
    char shown[VALUE_SHOWN_MAX], remedy[SUGGEST_TEXT_MAX];

    for (int level = LOG_ERROR; level <= LOG_DEBUG; level++) {
        names[level] = log_level_name((enum log_level)level);
        if (strcasecmp(value->texts[0], names[level]) == 0) {
            *(int *)field = level;
            return;
        }
    }
    value_error(value, "\"%s\" is no level; %s", value_shown(shown, value->texts[0]),
                suggest_remedy(remedy, value->texts[0], names, LOG_DEBUG + 1));
}

void value_levels_all(const struct value *value, void *field)
{
    int level = -1, *levels = field;

    value_level(value, &level);
    for (int i = 0; level >= 0 && i < LOG_FOLDERS; i++)
        levels[i] = level;
}
