/* The first frame of a connection that carries media. */
#include "overlay/bind_frame.h"

#include <errno.h>
#include <string.h>

static void fill(struct bind_first *first, size_t want, const uint8_t **data, size_t *bytes)
{
    size_t take = want > first->have ? want - first->have : 0;

    if (take > *bytes)
        take = *bytes;
    memcpy(first->buffer + first->have, *data, take);
    first->have += take;
    *data += take;
    *bytes -= take;
}

int bind_first_take(struct bind_first *first, const uint8_t **data, size_t *bytes,
                    const uint8_t **frame, size_t *frame_bytes)
{
    const uint8_t *at = first->buffer;
    size_t length;

    if (*bytes > 0)
        fill(first, BIND_LENGTH_BYTES, data, bytes);
    if (first->have < BIND_LENGTH_BYTES)
        return 0;
    length = (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
    if (length > BIND_FRAME_MAX)
        return -EMSGSIZE;
    if (*bytes > 0)
        fill(first, BIND_LENGTH_BYTES + length, data, bytes);
    if (first->have < BIND_LENGTH_BYTES + length)
        return 0;
    *frame = at + BIND_LENGTH_BYTES;
    *frame_bytes = length;
    return 1;
}

size_t bind_frame_length(uint8_t *out, size_t frame_bytes)
{
    for (int i = 0; i < BIND_LENGTH_BYTES; i++)
        out[i] = (uint8_t)(frame_bytes >> (24 - 8 * i));
    return BIND_LENGTH_BYTES + frame_bytes;
}

void bind_reason_copy(char out[BIND_REASON_MAX], const char *text)
{
    size_t i = 0;

    for (; text[i] && i < BIND_REASON_MAX - 1; i++)
        out[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    out[i] = '\0';
}
