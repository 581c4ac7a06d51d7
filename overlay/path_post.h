/* overlay/path_post.h: letters between the control thread and the media workers.
 *
 * A worker's inbox may be full; a letter must come all the same and in order. A post belongs to the
 * thread that writes (its loop) and delivers to one other thread; what the inbox does not take
 * waits here and is tried again by a timer. A letter is embedded in whatever it carries and is the
 * receiver's as soon as it runs.
 */
#ifndef OVERLAY_PATH_POST_H
#define OVERLAY_PATH_POST_H

#include "overlay/overlay.h"

#include <sys/queue.h>

#define PATH_POST_CONTROL (-1)

struct path_letter {
    STAILQ_ENTRY(path_letter) next;
    void (*run)(struct path_letter *letter); /* on the receiving thread */
};

struct path_post;

/* `loop` is the writer's; `to` a worker or PATH_POST_CONTROL. `workers` must outlive the post.
 * Never NULL (see path_letter_new). */
struct path_post *path_post_open(uv_loop_t *loop, const struct overlay_workers *workers, int to);
void path_post_send(struct path_post *post, struct path_letter *letter);
/* No letter may be sent any more; frees itself when all have gone. */
void path_post_close(struct path_post *post);

/* A zeroed letter with what it carries (`bytes` in all, the letter first); never NULL: without a
 * few bytes of memory nothing could be closed in order either, so it ends the process. */
void *path_letter_new(size_t bytes, void (*run)(struct path_letter *letter));

#endif
