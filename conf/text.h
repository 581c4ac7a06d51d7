/* conf/text.h: making text from strangers fit for one line of a log or a phone's display.
 *
 * Private to conf/ and its tests. Any thread; no state.
 */
#ifndef CONF_TEXT_H
#define CONF_TEXT_H

#include <stddef.h>

/* Bytes of the printable UTF-8 character that `text` (ended by NUL) starts with; 0 when it starts
 * with a control character (C0, DEL, C1), an invalid sequence (RFC 3629, section 4) or its end. */
size_t text_character(const char *text);

/* Copies `text` into `out` (`bytes` > 0, always ended by NUL). What is not printable is written as
 * \xHH; whole characters only, so a cut leaves valid UTF-8. Returns the length written. */
size_t text_escape(char *out, size_t bytes, const char *text);

#endif
