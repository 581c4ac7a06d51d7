/* conf/log_line.h: how one line of the log looks, apart from where it is written.
 *
 * Private to conf/ and its tests. Any thread; no state.
 */
#ifndef CONF_LOG_LINE_H
#define CONF_LOG_LINE_H

#include "conf/log.h"

#include <stddef.h>
#include <time.h>

/* Well below PIPE_BUF, so that lines of several threads never mix in a pipe. */
#define LOG_LINE_MAX 2048

struct log_line {
    enum log_folder folder;
    enum log_level level;
    const char *call_id; /* NULL: none */
    const char *message; /* as the caller wrote it; control characters are escaped */
};

/* Writes the line with its newline into `out` (LOG_LINE_MAX bytes) and returns its length. With
 * `now` NULL in journald's form, else with the local time in front. */
size_t log_line_format(char *out, const struct log_line *line, const struct timespec *now);

/* Whether JOURNAL_STREAM ("device:inode") as given names this file descriptor. It is inherited by
 * every child of a service, also by those whose stderr goes elsewhere (systemd.exec(5)). */
bool log_line_to_journal(const char *journal_stream, int fd);

/* Names as written in the log and in settings. */
const char *log_folder_name(enum log_folder folder);
const char *log_level_name(enum log_level level);

#endif
