/* RelayBind and RelayBound. */
#include "overlay/relay_frame.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "overlay/overlay.pb-c.h"

#define LOAD_MAX 100

size_t relay_bind_encode(const struct relay_bind *bind, uint8_t *out)
{
    Sallyport__RelayBind wire = SALLYPORT__RELAY_BIND__INIT;

    wire.ticket.len = bind->ticket_bytes;
    wire.ticket.data = (uint8_t *)bind->ticket;
    wire.certificate.len = bind->certificate_bytes;
    wire.certificate.data = (uint8_t *)bind->certificate;
    assert(sallyport__relay_bind__get_packed_size(&wire) <= BIND_FRAME_MAX);
    return bind_frame_length(out, sallyport__relay_bind__pack(&wire, out + BIND_LENGTH_BYTES));
}

size_t relay_bound_encode(const struct relay_bound *bound, uint8_t *out)
{
    Sallyport__RelayBound wire = SALLYPORT__RELAY_BOUND__INIT;

    wire.refused = (char *)bound->refused;
    wire.load = bound->load;
    wire.udp_port = bound->udp_port;
    if (bound->udp_port) {
        wire.channel = bound->channel;
        wire.key.len = sizeof bound->key;
        wire.key.data = (uint8_t *)bound->key;
    }
    return bind_frame_length(out, sallyport__relay_bound__pack(&wire, out + BIND_LENGTH_BYTES));
}

size_t relay_refused_encode(const char *refused, uint8_t *out)
{
    struct relay_bound bound = {.load = 0};

    bind_reason_copy(bound.refused, refused);
    return relay_bound_encode(&bound, out);
}

static bool take(const ProtobufCBinaryData *from, uint8_t *out, size_t room, size_t *bytes)
{
    if (from->len > room)
        return false;
    *bytes = from->len;
    if (from->len > 0)
        memcpy(out, from->data, from->len);
    return true;
}

int relay_bind_decode(const uint8_t *frame, size_t bytes, struct relay_bind *bind)
{
    Sallyport__RelayBind *wire = sallyport__relay_bind__unpack(NULL, bytes, frame);
    bool is_good = wire &&
                   take(&wire->ticket, bind->ticket, sizeof bind->ticket, &bind->ticket_bytes) &&
                   take(&wire->certificate, bind->certificate, sizeof bind->certificate,
                        &bind->certificate_bytes) &&
                   bind->ticket_bytes > 0;

    if (wire)
        sallyport__relay_bind__free_unpacked(wire, NULL);
    return is_good ? 0 : -EBADMSG;
}

int relay_bound_decode(const uint8_t *frame, size_t bytes, struct relay_bound *bound)
{
    Sallyport__RelayBound *wire = sallyport__relay_bound__unpack(NULL, bytes, frame);

    if (!wire)
        return -EBADMSG;
    memset(bound, 0, sizeof *bound);
    bind_reason_copy(bound->refused, wire->refused);
    bound->load = wire->load < LOAD_MAX ? wire->load : LOAD_MAX;
    if (wire->udp_port > 0 && wire->udp_port <= UINT16_MAX && wire->key.len == RELAY_KEY_BYTES &&
        wire->channel >> 28 == 4) { /* RFC 7983's range */
        bound->udp_port = (uint16_t)wire->udp_port;
        bound->channel = wire->channel;
        memcpy(bound->key, wire->key.data, sizeof bound->key);
    }
    sallyport__relay_bound__free_unpacked(wire, NULL);
    return 0;
}
