/* overlay/relay_frame.h: RelayBind and RelayBound, the first frames on a connection to a relay
 * (bind_frame.h). Pure.
 */
#ifndef OVERLAY_RELAY_FRAME_H
#define OVERLAY_RELAY_FRAME_H

#include "overlay/bind_frame.h"
#include "overlay/candidate.h"

/* Write a whole frame with its length into `out` (BIND_LENGTH_BYTES + BIND_FRAME_MAX) and return
 * how long it is. */
size_t relay_bind_encode(const uint8_t tunnel[CANDIDATE_TUNNEL_BYTES], uint8_t *out);
size_t relay_bound_encode(const char *refused, uint8_t *out);
/* -EBADMSG. `refused` ("": bound) has BIND_REASON_MAX bytes and only printable characters. */
int relay_bind_decode(const uint8_t *frame, size_t bytes, uint8_t tunnel[CANDIDATE_TUNNEL_BYTES]);
int relay_bound_decode(const uint8_t *frame, size_t bytes, char *refused);

#endif
