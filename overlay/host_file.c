#include "overlay/host_file.h"

#include "overlay/identity_file.h"
#include "overlay/tls_address.h"

#include "conf/log.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* A native client shares the folder of a node that it may neither read nor write: no reason to
 * complain. */
static bool is_worth_a_line(int error)
{
    return error != -ENOENT && error != -EACCES && error != -EROFS;
}

void host_file_read(const char *path, void (*each)(void *ctx, const char *address), void *ctx)
{
    struct tls_address address;
    char *text, *next = NULL, why[300];
    size_t bytes;
    int count = 0, error = identity_file_read(path, &text, &bytes, why, sizeof why);

    if (error < 0) {
        if (is_worth_a_line(error))
            log_warn(LOG_OVERLAY, NULL, "the supernodes known before are not read: %s", why);
        return;
    }
    for (char *line = strtok_r(text, "\r\n", &next); line && count < HOST_FILE_MAX;
         line = strtok_r(NULL, "\r\n", &next)) {
        if (tls_address_parse(line, &address) < 0)
            continue;
        count++;
        each(ctx, line);
    }
    free(text);
}

struct job {
    uv_work_t work;
    char *path, *text;
    void (*done)(void *ctx);
    void *ctx;
    int error;
    char why[300];
};

static void job_free(struct job *job)
{
    free(job->path);
    free(job->text);
    free(job);
}

static void on_work(uv_work_t *work)
{
    struct job *job = work->data;
    const struct identity_file_content content = {job->text, strlen(job->text), 0600};

    job->error = identity_file_replace(job->path, &content, job->why, sizeof job->why);
}

static void on_done(uv_work_t *work, int status)
{
    struct job *job = work->data;

    if (status == 0 && job->error < 0 && is_worth_a_line(job->error))
        log_warn(LOG_OVERLAY, NULL, "the supernodes known are not kept: %s", job->why);
    job->done(job->ctx);
    job_free(job);
}

int host_file_write(uv_loop_t *loop, const char *path, char *text, void (*done)(void *ctx),
                    void *ctx)
{
    struct job *job = calloc(1, sizeof *job);

    if (!job) {
        free(text);
        return -ENOMEM;
    }
    job->work.data = job;
    job->path = strdup(path);
    job->text = text;
    job->done = done;
    job->ctx = ctx;
    if (job->path && uv_queue_work(loop, &job->work, on_work, on_done) == 0)
        return 0;
    job_free(job);
    return -ENOMEM;
}
