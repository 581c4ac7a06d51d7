/* overlay/frame.h: frames on a link: a 32-bit big-endian length, then so many bytes
 * (overlay.proto).
 *
 * Pure. A reader is fed whatever TLS brings and gives whole frames; a frame that came in one piece
 * is not copied. Memory is taken as bytes come, not as a length promises. Private to link.c and
 * tests.
 */
#ifndef OVERLAY_FRAME_H
#define OVERLAY_FRAME_H

#include <stddef.h>
#include <stdint.h>

#define FRAME_MAX 65536
#define FRAME_HEAD_BYTES 4

/* Zero-initialise. */
struct frame_reader {
    uint8_t head[FRAME_HEAD_BYTES];
    size_t head_bytes;
    uint8_t *body; /* of the frame that is not whole yet */
    size_t body_bytes, body_room;
};

/* Takes bytes from *data (both move on). 1: a frame is whole; it is good until the next call with
 * this reader and as long as the data is. 0: all was taken and more is needed. -EMSGSIZE: a length
 * above FRAME_MAX, after which there is no way on; -ENOMEM. */
int frame_take(struct frame_reader *reader, const uint8_t **data, size_t *bytes,
               const uint8_t **frame, size_t *frame_bytes);
void frame_reader_fini(struct frame_reader *reader);

/* Writes the length that goes before a frame. */
void frame_head(uint8_t head[FRAME_HEAD_BYTES], size_t bytes);

#endif
