#include "sip/stream_via.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* The topmost Via: its header from `line` to `line_end`, its first value from `value` to `end`. */
struct via {
    const char *line, *line_end, *value, *end;
};

static const char *next_line(const char *at, const char *end)
{
    at = memchr(at, '\n', (size_t)(end - at));
    return at ? at + 1 : end;
}

static bool is_via_name(const char *at, const char *colon)
{
    while (colon > at && (colon[-1] == ' ' || colon[-1] == '\t'))
        colon--;
    return (colon - at == 3 && !strncasecmp(at, "Via", 3)) ||
           (colon - at == 1 && (*at == 'v' || *at == 'V'));
}

/* The first value ends at a comma outside of quotes, or with the header. */
static const char *value_end(const char *at, const char *end)
{
    bool quoted = false;

    for (; at < end; at++) {
        if (*at == '\\' && quoted && at + 1 < end)
            at++;
        else if (*at == '"')
            quoted = !quoted;
        else if (*at == ',' && !quoted)
            break;
    }
    return at;
}

static bool find(const char *message, size_t bytes, struct via *via)
{
    const char *end = message + bytes, *at = next_line(message, end), *colon;

    while (at < end && *at != '\r' && *at != '\n') {
        via->line = at;
        do
            at = next_line(at, end);
        while (at < end && (*at == ' ' || *at == '\t'));
        via->line_end = at;
        colon = memchr(via->line, ':', (size_t)(at - via->line));
        if (!colon || !is_via_name(via->line, colon))
            continue;
        via->value = colon + 1;
        via->end = value_end(via->value, via->line_end);
        return true;
    }
    return false;
}

bool via_is_response(const char *message, size_t bytes)
{
    return bytes >= 8 && !strncasecmp(message, "SIP/2.0 ", 8);
}

/* Finds ";name" in the value; the position after the name, or NULL. */
static const char *find_param(const struct via *via, const char *name)
{
    size_t length = strlen(name);

    for (const char *at = via->value; at < via->end; at++) {
        const char *word = at + 1;

        if (*at != ';')
            continue;
        while (word < via->end && (*word == ' ' || *word == '\t'))
            word++;
        if ((size_t)(via->end - word) >= length && !strncasecmp(word, name, length) &&
            (word + length == via->end || strchr("=; \t\r\n", word[length])))
            return word + length;
    }
    return NULL;
}

uint64_t via_key(const char *message, size_t bytes)
{
    struct via via;
    const char *at, *end;
    uint64_t key = 14695981039346656037u; /* FNV-1a */

    if (!find(message, bytes, &via))
        return 0;
    at = find_param(&via, "branch");
    end = at;
    while (end && end < via.end && *end != ';' && *end != '\r' && *end != '\n')
        end++;
    if (!at) {
        at = via.value;
        end = via.end;
    }
    for (; at < end; at++)
        key = (key ^ (unsigned char)*at) * 1099511628211u;
    return key ? key : 1;
}

/* Writes the message with [from, to) replaced by `text`. */
static int replace(const char *message, size_t bytes, const char *from, const char *to,
                   const char *text, char *out, size_t size)
{
    size_t head = (size_t)(from - message), tail = (size_t)(message + bytes - to);
    size_t length = strlen(text);

    if (head + length + tail > size)
        return -ENOBUFS;
    memcpy(out, message, head);
    memcpy(out + head, text, length);
    memcpy(out + head + length, to, tail);
    return (int)(head + length + tail);
}

int via_push(const char *message, size_t bytes, const char *value, char *out, size_t size)
{
    const char *at = next_line(message, message + bytes);
    char line[VIA_TEXT_MAX + 8];

    snprintf(line, sizeof line, "Via: %s\r\n", value);
    return replace(message, bytes, at, at, line, out, size);
}

int via_pop(const char *message, size_t bytes, char *out, size_t size)
{
    struct via via;

    if (!find(message, bytes, &via))
        return -EBADMSG;
    if (via.end < via.line_end) /* more values follow the comma */
        return replace(message, bytes, via.value, via.end + 1, "", out, size);
    return replace(message, bytes, via.line, via.line_end, "", out, size);
}

int via_mark(const char *message, size_t bytes, const char *received, unsigned rport, char *out,
             size_t size)
{
    struct via via;
    const char *at, *end;
    char text[VIA_TEXT_MAX];

    if (!find(message, bytes, &via))
        return -EBADMSG;
    at = find_param(&via, "rport");
    if (at && (at == via.end || *at != '=')) {
        snprintf(text, sizeof text, "=%u;received=%s", rport, received);
        return replace(message, bytes, at, at, text, out, size);
    }
    snprintf(text, sizeof text, ";received=%s", received);
    end = via.end;
    while (end > via.value && strchr(" \t\r\n", end[-1]))
        end--;
    return replace(message, bytes, end, end, text, out, size);
}
