/* RelayBind and RelayBound. */
#include "overlay/relay_frame.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "overlay/overlay.pb-c.h"

#define LENGTH_BYTES 4

static void fill(struct relay_first *first, size_t want, const uint8_t **data, size_t *bytes)
{
    size_t take = want > first->have ? want - first->have : 0;

    if (take > *bytes)
        take = *bytes;
    memcpy(first->buffer + first->have, *data, take);
    first->have += take;
    *data += take;
    *bytes -= take;
}

int relay_first_take(struct relay_first *first, const uint8_t **data, size_t *bytes,
                     const uint8_t **frame, size_t *frame_bytes)
{
    const uint8_t *at = first->buffer;
    size_t length;

    if (*bytes > 0)
        fill(first, LENGTH_BYTES, data, bytes);
    if (first->have < LENGTH_BYTES)
        return 0;
    length = (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
    if (length > RELAY_FRAME_MAX)
        return -EMSGSIZE;
    if (*bytes > 0)
        fill(first, LENGTH_BYTES + length, data, bytes);
    if (first->have < LENGTH_BYTES + length)
        return 0;
    *frame = at + LENGTH_BYTES;
    *frame_bytes = length;
    return 1;
}

static size_t with_length(uint8_t *out, size_t bytes)
{
    for (int i = 0; i < LENGTH_BYTES; i++)
        out[i] = (uint8_t)(bytes >> (24 - 8 * i));
    return LENGTH_BYTES + bytes;
}

size_t relay_bind_encode(const uint8_t tunnel[CANDIDATE_TUNNEL_BYTES], uint8_t *out)
{
    Sallyport__RelayBind bind = SALLYPORT__RELAY_BIND__INIT;

    bind.tunnel.len = CANDIDATE_TUNNEL_BYTES;
    bind.tunnel.data = (uint8_t *)tunnel;
    return with_length(out, sallyport__relay_bind__pack(&bind, out + LENGTH_BYTES));
}

size_t relay_bound_encode(const char *refused, uint8_t *out)
{
    Sallyport__RelayBound bound = SALLYPORT__RELAY_BOUND__INIT;

    assert(strlen(refused) < RELAY_REASON_MAX);
    bound.refused = (char *)refused;
    return with_length(out, sallyport__relay_bound__pack(&bound, out + LENGTH_BYTES));
}

int relay_bind_decode(const uint8_t *frame, size_t bytes, uint8_t tunnel[CANDIDATE_TUNNEL_BYTES])
{
    Sallyport__RelayBind *bind = sallyport__relay_bind__unpack(NULL, bytes, frame);
    int err = -EBADMSG;

    if (bind && bind->tunnel.len == CANDIDATE_TUNNEL_BYTES) {
        memcpy(tunnel, bind->tunnel.data, CANDIDATE_TUNNEL_BYTES);
        err = 0;
    }
    if (bind)
        sallyport__relay_bind__free_unpacked(bind, NULL);
    return err;
}

int relay_bound_decode(const uint8_t *frame, size_t bytes, char *refused)
{
    Sallyport__RelayBound *bound = sallyport__relay_bound__unpack(NULL, bytes, frame);
    size_t i = 0;

    if (!bound)
        return -EBADMSG;
    for (; bound->refused[i] && i < RELAY_REASON_MAX - 1; i++)
        refused[i] = bound->refused[i] >= ' ' && bound->refused[i] <= '~' ? bound->refused[i] : '?';
    refused[i] = '\0';
    sallyport__relay_bound__free_unpacked(bound, NULL);
    return 0;
}
