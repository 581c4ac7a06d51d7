/* overlay/relay_frame.h: the first frame each way on a relay connection: RelayBind and RelayBound.
 *
 * They have the 32-bit framing of links; what follows them is RFC 4571 (stream.h). Pure.
 */
#ifndef OVERLAY_RELAY_FRAME_H
#define OVERLAY_RELAY_FRAME_H

#include "overlay/candidate.h"

#define RELAY_FRAME_MAX 256
#define RELAY_REASON_MAX 96

/* Puts the first frame together. Zero-initialise. */
struct relay_first {
    size_t have;
    uint8_t buffer[4 + RELAY_FRAME_MAX];
};
/* Takes bytes from *data (both move on, never past the frame). 1: *frame is whole; 0: more is
 * needed; -EMSGSIZE: too long to be one. */
int relay_first_take(struct relay_first *first, const uint8_t **data, size_t *bytes,
                     const uint8_t **frame, size_t *frame_bytes);

/* Write a whole frame with its length into `out` (4 + RELAY_FRAME_MAX) and return how long it is.
 */
size_t relay_bind_encode(const uint8_t tunnel[CANDIDATE_TUNNEL_BYTES], uint8_t *out);
size_t relay_bound_encode(const char *refused, uint8_t *out);
/* -EBADMSG. `refused` ("": bound) has RELAY_REASON_MAX bytes and only printable characters. */
int relay_bind_decode(const uint8_t *frame, size_t bytes, uint8_t tunnel[CANDIDATE_TUNNEL_BYTES]);
int relay_bound_decode(const uint8_t *frame, size_t bytes, char *refused);

#endif
