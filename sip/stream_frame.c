#include "sip/stream_frame.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define START_LINE_MAX 4096

void framer_drop(struct framer *f, size_t length)
{
    memmove(f->bytes, f->bytes + length, f->used - length);
    f->used -= length;
    f->scanned = 0;
}

bool framer_skip(struct framer *f)
{
    size_t skip = 0;
    bool ping = f->used >= 4 && !memcmp(f->bytes, "\r\n\r\n", 4);

    while (skip < f->used && (f->bytes[skip] == '\r' || f->bytes[skip] == '\n'))
        skip++;
    if (skip)
        framer_drop(f, skip);
    return ping;
}

/* Looks for the empty line; the length of the headers with it, or 0. */
static size_t headers_length(struct framer *f)
{
    size_t at = f->scanned > 3 ? f->scanned - 3 : 0;

    for (; at + 1 < f->used; at++) {
        if (f->bytes[at] != '\n')
            continue;
        if (f->bytes[at + 1] == '\n')
            return at + 2;
        if (at + 2 < f->used && f->bytes[at + 1] == '\r' && f->bytes[at + 2] == '\n')
            return at + 3;
    }
    f->scanned = f->used;
    return 0;
}

static int check_start_line(const struct framer *f)
{
    const char *end = memchr(f->bytes, '\n', f->used);
    size_t length = end ? (size_t)(end - f->bytes) : f->used;

    if (!end)
        return length > START_LINE_MAX ? -EBADMSG : 0;
    /* A fold here would become part of the Via that is put in between. */
    if (length + 1 < f->used && (end[1] == ' ' || end[1] == '\t'))
        return -EBADMSG;
    while (length && f->bytes[length - 1] == '\r')
        length--;
    /* "INVITE sip:x SIP/2.0" or "SIP/2.0 200 OK": a web browser ends here. */
    if (length >= 8 && !strncasecmp(f->bytes, "SIP/2.0 ", 8))
        return 0;
    return length > 8 && !strncasecmp(f->bytes + length - 8, " SIP/2.0", 8) ? 0 : -EBADMSG;
}

static bool has_bad_bytes(const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (bytes[i] == '\0' || (bytes[i] == '\r' && (i + 1 == length || bytes[i + 1] != '\n')))
            return true;
    return false;
}

static bool is_length_name(const char *line, size_t length)
{
    while (length && (line[length - 1] == ' ' || line[length - 1] == '\t'))
        length--;
    return (length == 14 && !strncasecmp(line, "Content-Length", 14)) ||
           (length == 1 && (*line == 'l' || *line == 'L'));
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* One to five digits between white space (which may hold a fold). -1 else. */
static long parse_length(const char *at, const char *end)
{
    long value = 0;
    int digits = 0;

    while (at < end && is_space(*at))
        at++;
    while (end > at && is_space(end[-1]))
        end--;
    for (; at < end; at++, digits++) {
        if (*at < '0' || *at > '9' || digits == 5)
            return -1;
        value = value * 10 + (*at - '0');
    }
    return digits ? value : -1;
}

/* The end of a header that starts at `at`, with its folds. */
static const char *header_end(const char *at, const char *end)
{
    do {
        at = memchr(at, '\n', (size_t)(end - at));
        at = at ? at + 1 : end;
    } while (at < end && (*at == ' ' || *at == '\t'));
    return at;
}

/* The Content-Length of the headers; 0 when there is none, -1 when it is not sane. */
static long body_length(const char *bytes, size_t length)
{
    const char *end = bytes + length, *at = header_end(bytes, end), *next, *colon;
    long value = 0;
    bool found = false;

    for (; at < end; at = next) {
        next = header_end(at, end);
        colon = memchr(at, ':', (size_t)(next - at));
        if (!colon || !is_length_name(at, (size_t)(colon - at)))
            continue;
        if (found || (value = parse_length(colon + 1, next)) < 0)
            return -1;
        found = true;
    }
    return value;
}

int framer_next(struct framer *f, size_t *length)
{
    size_t headers;
    long body;
    int err = f->used ? check_start_line(f) : 0;

    if (err)
        return err;
    headers = headers_length(f);
    if (!headers)
        return f->used == sizeof f->bytes ? -EMSGSIZE : 0;
    if (has_bad_bytes(f->bytes, headers))
        return -EBADMSG;
    body = body_length(f->bytes, headers);
    if (body < 0)
        return -EBADMSG;
    if (headers + (size_t)body > sizeof f->bytes)
        return -EMSGSIZE;
    if (headers + (size_t)body > f->used)
        return 0;
    *length = headers + (size_t)body;
    return 1;
}
