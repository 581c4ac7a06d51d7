/* overlay/state_file.h: writing small text files of the state folder without holding up the loop.
 *
 * Done by libuv's threads, whole or not at all. Private to overlay*.c, host_file.c and tests.
 * Thread: that of the loop.
 */
#ifndef OVERLAY_STATE_FILE_H
#define OVERLAY_STATE_FILE_H

#include <stdbool.h>
#include <uv.h>

struct state_file {
    const char *path, *what; /* copied; `what` is said in the log, "the supernodes known" */
    char *text;              /* malloc'ed; freed by state_file_write */
};
/* Writes the file anew and reports; failures are logged. 0, or -ENOMEM, when nothing will be done
 * or reported. */
int state_file_write(uv_loop_t *loop, const struct state_file *file, void (*done)(void *ctx),
                     void *ctx);
/* A native client shares the folder of a node that it may neither read nor write, and at first
 * there is no file: false for these. */
bool state_file_is_worth_a_line(int error);

#endif
