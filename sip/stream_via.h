/* sip/stream_via.h: the Via work of a stateless edge (RFC 3261, 16.11 and 18.2; RFC 3581) on the
 * text of a whole message. Pure. */
#ifndef SIP_STREAM_VIA_H
#define SIP_STREAM_VIA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VIA_TEXT_MAX 192

bool via_is_response(const char *message, size_t bytes);
/* A key that is the same for a request, its CANCEL and its ACK: of the branch of the topmost Via,
 * or of all of that Via when it has none. 0 when there is no Via. */
uint64_t via_key(const char *message, size_t bytes);
/* All three write the changed message to `out` and return its length; -EBADMSG when there is no
 * Via, -ENOBUFS when it does not fit. */
int via_push(const char *message, size_t bytes, const char *via, char *out, size_t size);
int via_pop(const char *message, size_t bytes, char *out, size_t size);
/* Adds ";received=...;rport=..." of the source to the topmost Via; an empty rport is filled in. */
int via_mark(const char *message, size_t bytes, const char *received, unsigned rport, char *out,
             size_t size);

#endif
