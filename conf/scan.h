/* conf/scan.h: words, strings and signs of a file of settings, each with its line.
 *
 * Private to conf/ and its tests. libconfuse turns the text into values, but it stops at the first
 * unknown name, counts lines wrongly after comments, ends an unclosed string at some later quote
 * and drops lone backslashes and unknown signs without a word. So this scanner goes over the text
 * first: it accepts only what libconfuse will read in the same way, and blanks comments (keeping
 * newlines).
 *
 *   word    letters, digits and _ . - only
 *   "…"     on one line; \\ and \" are the only escapes; ${NAME} and ${NAME:-text} are replaced by
 *           the environment, and NAME must be set when there is no text
 *   '…'     on one line; \\ and \' are escapes, every other backslash stands for itself
 *   # … and // … to the end of the line, and slash-star comments
 *
 * Messages never quote the text: it may be part of a secret.
 */
#ifndef CONF_SCAN_H
#define CONF_SCAN_H

#include "conf/messages.h"

enum scan_kind {
    SCAN_END,
    SCAN_WORD,
    SCAN_STRING,
    SCAN_OPEN,
    SCAN_CLOSE,
    SCAN_EQUAL,
    SCAN_APPEND, /* += */
    SCAN_COMMA
};

struct scan_token {
    enum scan_kind kind;
    size_t start, end; /* bytes of the text, with the quotes */
    int line;
};

struct scan {
    struct source *source;
    struct messages *messages;
    size_t at;
    int line;
};

void scan_init(struct scan *scan, struct source *source, struct messages *messages);
/* 0, or -EINVAL with a message. */
int scan_next(struct scan *scan, struct scan_token *token);
/* A heap copy of the token without its quotes, escapes as they were written. */
char *scan_text(const struct scan *scan, const struct scan_token *token);
/* Overwrites bytes start..end with spaces; newlines stay. */
void scan_blank(struct scan *scan, size_t start, size_t end);

#endif
