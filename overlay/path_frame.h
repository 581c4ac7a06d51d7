/* overlay/path_frame.h: PathBind and PathBound, the first frames on a direct TCP connection of a
 * path (bind_frame.h). Pure.
 */
#ifndef OVERLAY_PATH_FRAME_H
#define OVERLAY_PATH_FRAME_H

#include "overlay/bind_frame.h"
#include "overlay/candidate.h"

/* Write a whole frame with its length into `out` (BIND_LENGTH_BYTES + BIND_FRAME_MAX) and return
 * how long it is. */
size_t path_bind_encode(const uint8_t id[PATH_ID_BYTES], uint8_t *out);
size_t path_bound_encode(const char *refused, uint8_t *out);
/* -EBADMSG. `refused` ("": bound) has BIND_REASON_MAX bytes and only printable characters. */
int path_bind_decode(const uint8_t *frame, size_t bytes, uint8_t id[PATH_ID_BYTES]);
int path_bound_decode(const uint8_t *frame, size_t bytes, char *refused);

#endif
