#include "conf/scan.h"

#include "conf/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ENVIRONMENT_NAME_MAX 128

void scan_init(struct scan *scan, struct source *source, struct messages *messages)
{
    *scan = (struct scan){.source = source, .messages = messages, .line = 1};
    if (source->bytes >= 3 && memcmp(source->text, "\xef\xbb\xbf", 3) == 0)
        scan_blank(scan, 0, 3);
}

void scan_blank(struct scan *scan, size_t start, size_t end)
{
    for (size_t i = start; i < end; i++)
        if (scan->source->text[i] != '\n')
            scan->source->text[i] = ' ';
}

char *scan_text(const struct scan *scan, const struct scan_token *token)
{
    size_t quote = token->kind == SCAN_STRING ? 1 : 0;

    return strndup(scan->source->text + token->start + quote,
                   token->end - token->start - 2 * quote);
}

static int complain(struct scan *scan, int line, const char *what)
{
    messages_error(scan->messages, scan->source, line, "%s", what);
    return -EINVAL;
}

static void skip_line_comment(struct scan *scan)
{
    /* every text ends with a newline */
    const char *newline =
        memchr(scan->source->text + scan->at, '\n', scan->source->bytes - scan->at);
    size_t end = (size_t)(newline - scan->source->text);

    scan_blank(scan, scan->at, end);
    scan->at = end;
}

static int skip_block_comment(struct scan *scan)
{
    const char *text = scan->source->text;
    int begun = scan->line;
    size_t start = scan->at;

    for (size_t i = start + 2; i + 1 < scan->source->bytes; i++) {
        if (text[i] == '\n')
            scan->line++;
        if (text[i] == '*' && text[i + 1] == '/') {
            scan_blank(scan, start, i + 2);
            scan->at = i + 2;
            return 0;
        }
    }
    return complain(scan, begun, "the comment that begins here has no end; add */");
}

/* Goes over blanks and comments. */
static int skip_blank(struct scan *scan)
{
    const char *text = scan->source->text;
    int ret = 0;

    while (ret == 0 && scan->at < scan->source->bytes) {
        char c = text[scan->at], next = text[scan->at + 1];
        if (c == '\n')
            scan->line++;
        if (c == '\n' || c == ' ' || c == '\t' || c == '\r')
            scan->at++;
        else if (c == '#' || (c == '/' && next == '/'))
            skip_line_comment(scan);
        else if (c == '/' && next == '*')
            ret = skip_block_comment(scan);
        else
            break;
    }
    return ret;
}

/* Checks "${NAME}" or "${NAME:-text}" at `at`; 0 and the length of it. */
static int check_variable(struct scan *scan, size_t at, size_t *length)
{
    const char *start = scan->source->text + at + 2;
    char name[ENVIRONMENT_NAME_MAX];
    size_t bytes = strcspn(start, "}\"\\\n");
    size_t name_bytes = strcspn(start, ":}\"\\\n");

    if (start[bytes] != '}')
        return complain(scan, scan->line, "${ without } in a string; write ${NAME}");
    if (name_bytes == 0 || name_bytes >= sizeof name ||
        (start[name_bytes] == ':' && start[name_bytes + 1] != '-'))
        return complain(scan, scan->line,
                        "${…} needs the name of an environment variable; write ${NAME} or "
                        "${NAME:-text}");
    memcpy(name, start, name_bytes);
    name[name_bytes] = '\0';
    for (const char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '_')
            return complain(scan, scan->line,
                            "${…} needs the name of an environment variable; use letters, digits "
                            "and _ only");
    if (start[name_bytes] == '}' && !getenv(name)) {
        messages_error(scan->messages, scan->source, scan->line,
                       "environment variable %s is not set; set it or write ${%s:-text}", name,
                       name);
        return -EINVAL;
    }
    *length = 2 + bytes + 1;
    return 0;
}

/* How many bytes the escape or character at `at` has in a string of this quote; 0: complained. */
static size_t string_step(struct scan *scan, size_t at, char quote)
{
    const char *text = scan->source->text;
    size_t length = 0;

    if (text[at] == '\n') {
        complain(scan, scan->line,
                 "the string is not closed; end it on the line that it begins on");
        return 0;
    }
    if (text[at] == '\\' && (text[at + 1] == '\\' || text[at + 1] == quote))
        return 2;
    if (text[at] == '\\' && quote == '"') {
        complain(scan, scan->line, "lone \\ in a string; write \\\\ for a backslash");
        return 0;
    }
    if (text[at] == '$' && text[at + 1] == '{' && quote == '"')
        return check_variable(scan, at, &length) == 0 ? length : 0;
    length = text_character(text + at);
    if (length == 0)
        complain(scan, scan->line,
                 "the string has a byte that is no printable UTF-8 text; remove it");
    return length;
}

static int scan_string(struct scan *scan, struct scan_token *token)
{
    const char *text = scan->source->text;
    char quote = text[scan->at];
    size_t at = scan->at + 1;

    while (text[at] != quote) {
        size_t step = string_step(scan, at, quote);
        if (step == 0)
            return -EINVAL;
        at += step;
    }
    token->kind = SCAN_STRING;
    scan->at = at + 1;
    return 0;
}

static int is_word_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
}

static int scan_sign(struct scan *scan, struct scan_token *token)
{
    static const struct {
        const char *sign;
        enum scan_kind kind;
    } signs[] = {{"{", SCAN_OPEN},
                 {"}", SCAN_CLOSE},
                 {"=", SCAN_EQUAL},
                 {",", SCAN_COMMA},
                 {"+=", SCAN_APPEND}};

    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        size_t length = strlen(signs[i].sign);
        if (strncmp(scan->source->text + scan->at, signs[i].sign, length) == 0) {
            token->kind = signs[i].kind;
            scan->at += length;
            return 0;
        }
    }
    return complain(scan, scan->line, "unexpected character; put the value into double quotes");
}

int scan_next(struct scan *scan, struct scan_token *token)
{
    const char *text = scan->source->text;
    int ret = skip_blank(scan);

    if (ret < 0)
        return ret;
    *token = (struct scan_token){.kind = SCAN_END, .start = scan->at, .line = scan->line};
    if (scan->at < scan->source->bytes) {
        if (text[scan->at] == '"' || text[scan->at] == '\'') {
            ret = scan_string(scan, token);
        } else if (is_word_character(text[scan->at])) {
            token->kind = SCAN_WORD;
            while (is_word_character(text[scan->at]))
                scan->at++;
        } else {
            ret = scan_sign(scan, token);
        }
    }
    token->end = scan->at;
    return ret;
}
