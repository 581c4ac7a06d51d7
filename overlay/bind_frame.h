/* overlay/bind_frame.h: the first frame each way on a connection that carries media: what it wants
 * to be bound to, and whether it was.
 *
 * They have the 32-bit framing of links; what follows them is RFC 4571 (stream.h). What is in them
 * is told by relay_frame.h and path_frame.h. Pure.
 */
#ifndef OVERLAY_BIND_FRAME_H
#define OVERLAY_BIND_FRAME_H

#include <stddef.h>
#include <stdint.h>

#define BIND_LENGTH_BYTES 4
#define BIND_FRAME_MAX 2560
#define BIND_REASON_MAX 96

/* Puts the first frame together. Zero-initialise. */
struct bind_first {
    size_t have;
    uint8_t buffer[BIND_LENGTH_BYTES + BIND_FRAME_MAX];
};
/* Takes bytes from *data (both move on, never past the frame). 1: *frame is whole; 0: more is
 * needed; -EMSGSIZE: too long to be one. */
int bind_first_take(struct bind_first *first, const uint8_t **data, size_t *bytes,
                    const uint8_t **frame, size_t *frame_bytes);

/* Writes the length before a frame of so many bytes; returns the length of both. */
size_t bind_frame_length(uint8_t *out, size_t frame_bytes);
/* Copies what the other side gives as its reason, as far as it fits and can be printed. */
void bind_reason_copy(char out[BIND_REASON_MAX], const char *text);

#endif
