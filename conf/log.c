#include "conf/log.h"

#include "conf/log_line.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define COMPLAINT_EVERY_MS 60000

static atomic_int levels[LOG_FOLDERS] = {
    [LOG_GATEWAY] = LOG_INFO, [LOG_SIP] = LOG_INFO,  [LOG_OVERLAY] = LOG_INFO,
    [LOG_MEDIA] = LOG_INFO,   [LOG_CONF] = LOG_INFO,
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool to_journal;

static void find_journal(void)
{
    to_journal = log_line_to_journal(getenv("JOURNAL_STREAM"), STDERR_FILENO);
}

void log_set_level(enum log_folder folder, enum log_level level)
{
    atomic_store_explicit(&levels[folder], (int)level, memory_order_relaxed);
}

bool log_is_on(enum log_folder folder, enum log_level level)
{
    return (int)level <= atomic_load_explicit(&levels[folder], memory_order_relaxed);
}

void log_write(enum log_folder folder, enum log_level level, const char *call_id, const char *fmt,
               ...)
{
    if (!log_is_on(folder, level))
        return;

    int saved_errno = errno;
    char message[LOG_LINE_MAX], text[LOG_LINE_MAX];
    va_list args;

    va_start(args, fmt);
    vsnprintf(message, sizeof message, fmt, args);
    va_end(args);

    pthread_once(&once, find_journal);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const struct log_line line = {folder, level, call_id, message};
    size_t length = log_line_format(text, &line, to_journal ? NULL : &now);

    /* A log that cannot be written must not stop a call: what is left of the line is lost. */
    while (write(STDERR_FILENO, text, length) < 0 && errno == EINTR)
        ;
    errno = saved_errno;
}

bool log_limit(struct log_limit *limit, uint64_t now_ms, uint64_t *count)
{
    if (now_ms < limit->next_ms) {
        limit->held++;
        return false;
    }
    *count = limit->held + 1;
    limit->held = 0;
    limit->next_ms = now_ms + COMPLAINT_EVERY_MS;
    return true;
}
