#include "conf/messages.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *compose(const struct source *source, int line, const char *warning, const char *what)
{
    char *text;
    int written = line > 0 ? asprintf(&text, "%s:%d: %s%s\n", source->path, line, warning, what)
                           : asprintf(&text, "%s: %s%s\n", source->path, warning, what);

    return written < 0 ? NULL : text;
}

static void add(struct messages *messages, struct message message)
{
    size_t bytes = ((size_t)messages->count + 1) * sizeof message;
    struct message *list = message.text ? realloc(messages->list, bytes) : NULL;

    if (!list) {
        free(message.text);
        return;
    }
    message.sequence = messages->count;
    messages->list = list;
    messages->list[messages->count++] = message;
}

static void write_message(struct messages *messages, const struct source *source, int line,
                          const char *warning, char *what)
{
    if (what && messages->count < MESSAGES_MAX)
        add(messages, (struct message){.ordinal = source->ordinal,
                                       .line = line,
                                       .text = compose(source, line, warning, what)});
    free(what);
}

void messages_error(struct messages *messages, const struct source *source, int line,
                    const char *fmt, ...)
{
    char *what;
    va_list args;

    va_start(args, fmt);
    int written = vasprintf(&what, fmt, args);
    va_end(args);
    messages->errors++;
    write_message(messages, source, line, "", written < 0 ? NULL : what);
}

void messages_warn(struct messages *messages, const struct source *source, int line,
                   const char *fmt, ...)
{
    char *what;
    va_list args;

    va_start(args, fmt);
    int written = vasprintf(&what, fmt, args);
    va_end(args);
    write_message(messages, source, line, "warning: ", written < 0 ? NULL : what);
}

static int by_place(const void *left, const void *right)
{
    const struct message *a = left, *b = right;

    if (a->ordinal != b->ordinal)
        return a->ordinal - b->ordinal;
    if (a->line != b->line)
        return a->line - b->line;
    return a->sequence - b->sequence;
}

void messages_finish(struct messages *messages, struct conf_errors *errors)
{
    size_t bytes = 1;

    if (messages->count > 0)
        qsort(messages->list, (size_t)messages->count, sizeof *messages->list, by_place);
    for (int i = 0; i < messages->count; i++)
        bytes += strlen(messages->list[i].text);

    char *end = errors->text = malloc(bytes);
    errors->count = end ? messages->count : 0;
    if (end)
        *end = '\0';
    for (int i = 0; i < messages->count; i++) {
        if (end)
            end = stpcpy(end, messages->list[i].text);
        free(messages->list[i].text);
    }
    free(messages->list);
    *messages = (struct messages){0};
}
