/* RelayBind and RelayBound. */
#include "overlay/relay_frame.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "overlay/overlay.pb-c.h"

size_t relay_bind_encode(const uint8_t tunnel[CANDIDATE_TUNNEL_BYTES], uint8_t *out)
{
    Sallyport__RelayBind bind = SALLYPORT__RELAY_BIND__INIT;

    bind.tunnel.len = CANDIDATE_TUNNEL_BYTES;
    bind.tunnel.data = (uint8_t *)tunnel;
    return bind_frame_length(out, sallyport__relay_bind__pack(&bind, out + BIND_LENGTH_BYTES));
}

size_t relay_bound_encode(const char *refused, uint8_t *out)
{
    Sallyport__RelayBound bound = SALLYPORT__RELAY_BOUND__INIT;

    assert(strlen(refused) < BIND_REASON_MAX);
    bound.refused = (char *)refused;
    return bind_frame_length(out, sallyport__relay_bound__pack(&bound, out + BIND_LENGTH_BYTES));
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

    if (!bound)
        return -EBADMSG;
    bind_reason_copy(refused, bound->refused);
    sallyport__relay_bound__free_unpacked(bound, NULL);
    return 0;
}
