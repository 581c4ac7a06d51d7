#include "overlay/state_file.h"

#include "overlay/identity_file.h"

#include "conf/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct job {
    uv_work_t work;
    char *path, *what, *text;
    void (*done)(void *ctx);
    void *ctx;
    int error;
    char why[300];
};

bool state_file_is_worth_a_line(int error)
{
    return error != -ENOENT && error != -EACCES && error != -EROFS;
}

static void job_free(struct job *job)
{
    free(job->path);
    free(job->what);
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

    if (status == 0 && job->error < 0 && state_file_is_worth_a_line(job->error))
        log_warn(LOG_OVERLAY, NULL, "%s will not be known at the next start: %s", job->what,
                 job->why);
    job->done(job->ctx);
    job_free(job);
}

int state_file_write(uv_loop_t *loop, const struct state_file *file, void (*done)(void *ctx),
                     void *ctx)
{
    struct job *job = calloc(1, sizeof *job);

    if (!job) {
        free(file->text);
        return -ENOMEM;
    }
    job->work.data = job;
    job->path = strdup(file->path);
    job->what = strdup(file->what);
    job->text = file->text;
    job->done = done;
    job->ctx = ctx;
    if (job->path && job->what && uv_queue_work(loop, &job->work, on_work, on_done) == 0)
        return 0;
    job_free(job);
    return -ENOMEM;
}
