/* conf/messages.h: what is wrong with the settings, collected and put into the order of the files.
 *
 * Private to conf/ and its tests. One message is "FILE:LINE: what; remedy"; a warning has the word
 * "warning: " after the place and does not fail the load. No message holds a secret: callers pass
 * names and values of settings, never the text around them.
 */
#ifndef CONF_MESSAGES_H
#define CONF_MESSAGES_H

#include "conf/conf.h"
#include "conf/source.h"

#define MESSAGES_MAX 500

struct message {
    int ordinal, line, sequence;
    char *text;
};

struct messages {
    struct message *list;
    int count;
    int errors; /* those that are no warnings, counted on beyond MESSAGES_MAX */
};

/* `line` 0: the message is about the file as a whole. */
void messages_error(struct messages *messages, const struct source *source, int line,
                    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void messages_warn(struct messages *messages, const struct source *source, int line,
                   const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Moves the messages, sorted by file and line, into `errors`; `messages` is empty afterwards. */
void messages_finish(struct messages *messages, struct conf_errors *errors);

#endif
