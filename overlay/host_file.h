/* overlay/host_file.h: the host cache on disk: the supernodes that we know, for the next start.
 *
 * A text file, one "host:port" on each line: with it a node finds the realm again when all
 * supernodes of its enrolment file are gone. Reading blocks (once, at the start), writing is done
 * by libuv's threads. Private to overlay*.c and tests. Thread: that of the loop.
 */
#ifndef OVERLAY_HOST_FILE_H
#define OVERLAY_HOST_FILE_H

#include <uv.h>

#define HOST_FILE_MAX 200 /* addresses */

/* Gives each address; what is none is left out. A missing file is an empty one. */
void host_file_read(const char *path, void (*each)(void *ctx, const char *address), void *ctx);
/* Writes `text` anew and reports; failures are logged. `text` (malloc'ed) is freed by this. 0, or
 * -ENOMEM, when nothing will be done or reported. */
int host_file_write(uv_loop_t *loop, const char *path, char *text, void (*done)(void *ctx),
                    void *ctx);

#endif
