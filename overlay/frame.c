#include "overlay/frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_STEP 4096

void frame_head(uint8_t head[FRAME_HEAD_BYTES], size_t bytes)
{
    for (int i = 0; i < FRAME_HEAD_BYTES; i++)
        head[i] = (uint8_t)(bytes >> (8 * (FRAME_HEAD_BYTES - 1 - i)));
}

static size_t length_of(const struct frame_reader *reader)
{
    size_t length = 0;

    for (int i = 0; i < FRAME_HEAD_BYTES; i++)
        length = length << 8 | reader->head[i];
    return length;
}

static void take_head(struct frame_reader *reader, const uint8_t **data, size_t *bytes)
{
    while (reader->head_bytes<FRAME_HEAD_BYTES && * bytes> 0) {
        reader->head[reader->head_bytes++] = *(*data)++;
        (*bytes)--;
    }
}

static int keep(struct frame_reader *reader, const uint8_t *data, size_t bytes)
{
    size_t wanted = reader->body_bytes + bytes;

    if (wanted > reader->body_room) {
        size_t room = (wanted + ROOM_STEP - 1) / ROOM_STEP * ROOM_STEP;
        uint8_t *body = realloc(reader->body, room);
        if (!body)
            return -ENOMEM;
        reader->body = body;
        reader->body_room = room;
    }
    memcpy(reader->body + reader->body_bytes, data, bytes);
    reader->body_bytes = wanted;
    return 0;
}

int frame_take(struct frame_reader *reader, const uint8_t **data, size_t *bytes,
               const uint8_t **frame, size_t *frame_bytes)
{
    /* The one before was given out whole: an idle link holds no memory for frames. */
    if (reader->head_bytes == 0 && reader->body)
        frame_reader_fini(reader);

    take_head(reader, data, bytes);
    if (reader->head_bytes < FRAME_HEAD_BYTES)
        return 0;
    size_t length = length_of(reader), missing = length - reader->body_bytes;
    if (length > FRAME_MAX)
        return -EMSGSIZE;

    if (reader->body_bytes == 0 && *bytes >= length) {
        *frame = *data;
    } else {
        size_t part = *bytes < missing ? *bytes : missing;
        if (part > 0 && keep(reader, *data, part) < 0)
            return -ENOMEM;
        *data += part;
        *bytes -= part;
        if (part < missing)
            return 0;
        *frame = reader->body;
        missing = 0;
    }
    *data += missing;
    *bytes -= missing;
    *frame_bytes = length;
    reader->head_bytes = 0;
    reader->body_bytes = 0;
    return 1;
}

void frame_reader_fini(struct frame_reader *reader)
{
    free(reader->body);
    memset(reader, 0, sizeof *reader);
}
