#include "conf/log_line.h"

#include "conf/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char *const folder_names[LOG_FOLDERS] = {
    [LOG_GATEWAY] = "gateway", [LOG_SIP] = "sip",   [LOG_OVERLAY] = "overlay",
    [LOG_MEDIA] = "media",     [LOG_CONF] = "conf",
};

/* The priorities of syslog.h, whose macros would clash with our names. */
static const struct {
    const char *name;
    int priority;
} levels[] = {
    [LOG_ERROR] = {"error", 3},
    [LOG_WARN] = {"warn", 4},
    [LOG_INFO] = {"info", 6},
    [LOG_DEBUG] = {"debug", 7},
};

const char *log_folder_name(enum log_folder folder)
{
    return folder_names[folder];
}

const char *log_level_name(enum log_level level)
{
    return levels[level].name;
}

bool log_line_to_journal(const char *journal_stream, int fd)
{
    uintmax_t device, inode;
    char end;
    struct stat file;

    return journal_stream && sscanf(journal_stream, "%ju:%ju%c", &device, &inode, &end) == 2 &&
           fstat(fd, &file) == 0 && file.st_dev == device && file.st_ino == inode;
}

static int write_stamp(char *out, size_t bytes, enum log_level level, const struct timespec *now)
{
    struct tm local;

    if (!now || !localtime_r(&now->tv_sec, &local))
        return snprintf(out, bytes, "<%d>", levels[level].priority);
    return snprintf(out, bytes, "%02d:%02d:%02d.%03d ", local.tm_hour, local.tm_min, local.tm_sec,
                    (int)(now->tv_nsec / 1000000));
}

size_t log_line_format(char *out, const struct log_line *line, const struct timespec *now)
{
    size_t used = (size_t)write_stamp(out, LOG_LINE_MAX, line->level, now);

    used += (size_t)snprintf(out + used, LOG_LINE_MAX - used, "%-5s %-7s ",
                             levels[line->level].name, folder_names[line->folder]);
    if (line->call_id) {
        char id[64];
        text_escape(id, sizeof id, line->call_id);
        used += (size_t)snprintf(out + used, LOG_LINE_MAX - used, "[%s] ", id);
    }
    /* one byte is kept for the newline */
    used += text_escape(out + used, LOG_LINE_MAX - used - 1, line->message);
    out[used++] = '\n';
    out[used] = '\0';
    return used;
}
