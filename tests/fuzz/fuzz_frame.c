/* Bytes of a link, cut anyhow: frames, and the Envelope in each. The first byte says how it is cut.
 */
#include "overlay/frame.h"
#include "overlay/overlay.pb-c.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* What was understood can be said again, and means the same. (Fields of number 0, which protobuf-c
 * takes in one spelling only, may make the second one unreadable.) */
static void check_envelope(const uint8_t *frame, size_t bytes)
{
    Sallyport__Envelope *envelope = sallyport__envelope__unpack(NULL, bytes, frame);

    if (!envelope)
        return;
    size_t packed_bytes = sallyport__envelope__get_packed_size(envelope);
    uint8_t *packed = malloc(packed_bytes ? packed_bytes : 1);
    if (!packed || sallyport__envelope__pack(envelope, packed) != packed_bytes)
        abort();
    Sallyport__Envelope *again = sallyport__envelope__unpack(NULL, packed_bytes, packed);
    if (again && again->body_case != envelope->body_case)
        abort();
    if (again)
        sallyport__envelope__free_unpacked(again, NULL);
    sallyport__envelope__free_unpacked(envelope, NULL);
    free(packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct frame_reader reader = {0};
    int got = 0;

    if (bytes == 0)
        return 0;
    size_t step = data[0] ? data[0] : 4096;
    data++, bytes--;
    while (bytes > 0 && got >= 0) {
        size_t left = bytes < step ? bytes : step, length;
        uint8_t *piece = malloc(left);
        if (!piece)
            abort();
        memcpy(piece, data, left);
        data += left, bytes -= left;
        const uint8_t *at = piece, *frame;
        while ((got = frame_take(&reader, &at, &left, &frame, &length)) == 1) {
            if (length > FRAME_MAX)
                abort();
            check_envelope(frame, length);
        }
        free(piece);
    }
    frame_reader_fini(&reader);
    return 0;
}
