/* sip/stream_frame.h: cuts the bytes of a stream into SIP messages (RFC 3261, 18.3 and 7.5). Pure.
 *
 * Strict, since all that passes goes to a parser that must be able to trust the frame: a start line
 * with "SIP/2.0" in it and no fold after it, no NUL, no CR without LF, at most one Content-Length,
 * of digits alone. There is no way back into step after an error: the connection has to be closed.
 */
#ifndef SIP_STREAM_FRAME_H
#define SIP_STREAM_FRAME_H

#include <stdbool.h>
#include <stddef.h>

#define FRAME_BYTES_MAX                                                      \
    15872 /* with a Via of ours it still fits into the 16 KiB that nta takes \
           */

struct framer {
    size_t used;    /* bytes in the buffer */
    size_t scanned; /* of which no end of headers was found up to here */
    char bytes[FRAME_BYTES_MAX];
};

/* Skips empty lines before a message. True when among them was a ping (RFC 5626, 4.4.1). */
bool framer_skip(struct framer *framer);
/* 1: the first *length bytes of the buffer are a message; 0: more bytes are needed; -EBADMSG or
 * -EMSGSIZE: close. Call framer_skip before. */
int framer_next(struct framer *framer, size_t *length);
/* Removes the first bytes. */
void framer_drop(struct framer *framer, size_t length);

#endif
