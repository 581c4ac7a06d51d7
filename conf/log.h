/* conf/log.h: the log of a node.
 *
 * One line per event, to stderr. Under journald (JOURNAL_STREAM set) each line starts with the
 * <priority> that journald understands and has no time of its own; else it starts with local time.
 * A line that belongs to a call carries the call's id, so one `grep` shows the whole call:
 *
 *     17:26:01.123 info  sip     [8c1f0a2b77d0e914] 201 calls 202 (opus pcma pcmu)
 *
 * Any thread may log; a line is written by one write(2). Levels are set per folder. Secrets are
 * never passed to these functions. Repeated complaints about hostile input must be limited by the
 * caller with log_limit.
 */
#ifndef CONF_LOG_H
#define CONF_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_folder { LOG_GATEWAY, LOG_SIP, LOG_OVERLAY, LOG_MEDIA, LOG_CONF, LOG_FOLDERS };
enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Sets the highest level that is written for one folder (default LOG_INFO). */
void log_set_level(enum log_folder folder, enum log_level level);
bool log_is_on(enum log_folder folder, enum log_level level);

/* Writes one line. `call_id` is NULL when the line belongs to no call. */
void log_write(enum log_folder folder, enum log_level level, const char *call_id, const char *fmt,
               ...) __attribute__((format(printf, 4, 5)));

#define log_error(folder, call_id, ...) log_write(folder, LOG_ERROR, call_id, __VA_ARGS__)
#define log_warn(folder, call_id, ...) log_write(folder, LOG_WARN, call_id, __VA_ARGS__)
#define log_info(folder, call_id, ...) log_write(folder, LOG_INFO, call_id, __VA_ARGS__)
#define log_debug(folder, call_id, ...)                         \
    do {                                                        \
        if (log_is_on(folder, LOG_DEBUG))                       \
            log_write(folder, LOG_DEBUG, call_id, __VA_ARGS__); \
    } while (0)

/* One complaint per cause and minute. Zero-initialise one per cause; log_limit returns true when a
 * line may be written now, and then stores in *count how many events it stands for. */
struct log_limit {
    uint64_t next_ms;
    uint64_t held;
};
bool log_limit(struct log_limit *limit, uint64_t now_ms, uint64_t *count);

#endif
