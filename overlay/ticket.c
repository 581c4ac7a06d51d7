#include "overlay/ticket.h"

#include "overlay/overlay.pb-c.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

#define PREFIX "sallyport ticket" /* with its NUL */
#define INNER_MAX (TICKET_BYTES_MAX - IDENTITY_SIGNATURE_BYTES)

/* What is signed: the prefix and the serialised Ticket. */
struct signed_bytes {
    size_t bytes;
    uint8_t data[sizeof PREFIX + TICKET_BYTES_MAX];
};

static void set(struct signed_bytes *out, const uint8_t *inner, size_t bytes)
{
    memcpy(out->data, PREFIX, sizeof PREFIX);
    memcpy(out->data + sizeof PREFIX, inner, bytes);
    out->bytes = sizeof PREFIX + bytes;
}

static ProtobufCBinaryData binary(const uint8_t *data, size_t bytes)
{
    return (ProtobufCBinaryData){bytes, (uint8_t *)data};
}

size_t ticket_sign(const struct identity *identity, const struct ticket *ticket, uint8_t *out)
{
    Sallyport__Ticket inner = SALLYPORT__TICKET__INIT;
    Sallyport__SignedTicket outer = SALLYPORT__SIGNED_TICKET__INIT;
    uint8_t packed[INNER_MAX], signature[IDENTITY_SIGNATURE_BYTES];
    struct signed_bytes text;

    inner.tunnel = binary(ticket->tunnel, sizeof ticket->tunnel);
    inner.relay = binary(ticket->relay, sizeof ticket->relay);
    inner.signer = binary(identity_certificate(identity)->node, OVERLAY_NODE_ID_BYTES);
    inner.peer = binary(ticket->peer, sizeof ticket->peer);
    inner.issued_s = ticket->issued_s;
    inner.lifetime_s = ticket->lifetime_s;
    assert(sallyport__ticket__get_packed_size(&inner) <= sizeof packed);
    size_t bytes = sallyport__ticket__pack(&inner, packed);
    set(&text, packed, bytes);
    identity_sign(identity, text.data, text.bytes, signature);
    outer.ticket = binary(packed, bytes);
    outer.signature = binary(signature, sizeof signature);
    assert(sallyport__signed_ticket__get_packed_size(&outer) <= TICKET_BYTES_MAX);
    return sallyport__signed_ticket__pack(&outer, out);
}

static bool take(uint8_t *out, size_t bytes, const ProtobufCBinaryData *from)
{
    if (from->len != bytes)
        return false;
    memcpy(out, from->data, bytes);
    return true;
}

static int decode_inner(const ProtobufCBinaryData *data, struct ticket *ticket)
{
    Sallyport__Ticket *wire = sallyport__ticket__unpack(NULL, data->len, data->data);
    bool is_good = wire && take(ticket->tunnel, sizeof ticket->tunnel, &wire->tunnel) &&
                   take(ticket->relay, sizeof ticket->relay, &wire->relay) &&
                   take(ticket->signer, sizeof ticket->signer, &wire->signer) &&
                   take(ticket->peer, sizeof ticket->peer, &wire->peer);

    if (is_good) {
        ticket->issued_s = wire->issued_s;
        ticket->lifetime_s = wire->lifetime_s;
        is_good = memcmp(ticket->signer, ticket->peer, sizeof ticket->peer) != 0;
    }
    if (wire)
        sallyport__ticket__free_unpacked(wire, NULL);
    return is_good ? 0 : -EBADMSG;
}

/* Both layers; `text` (NULL: not wanted) gets what is signed. */
static int decode(const uint8_t *data, size_t bytes, struct ticket *ticket,
                  struct signed_bytes *text, uint8_t signature[IDENTITY_SIGNATURE_BYTES])
{
    Sallyport__SignedTicket *wire;
    int err = -EBADMSG;

    if (bytes == 0 || bytes > TICKET_BYTES_MAX ||
        !(wire = sallyport__signed_ticket__unpack(NULL, bytes, data)))
        return -EBADMSG;
    if (take(signature, IDENTITY_SIGNATURE_BYTES, &wire->signature) &&
        (err = decode_inner(&wire->ticket, ticket)) == 0)
        set(text, wire->ticket.data, wire->ticket.len);
    sallyport__signed_ticket__free_unpacked(wire, NULL);
    return err;
}

int ticket_decode(const uint8_t *data, size_t bytes, struct ticket *ticket)
{
    struct signed_bytes text;
    uint8_t signature[IDENTITY_SIGNATURE_BYTES];

    return decode(data, bytes, ticket, &text, signature);
}

const char *ticket_fault_text(enum ticket_fault fault)
{
    static const char *const texts[TICKET_FAULTS] = {
        [TICKET_GOOD] = "",
        [TICKET_MALFORMED] = "malformed",
        [TICKET_ELSEWHERE] = "the ticket is for another relay",
        [TICKET_STRANGER] = "the ticket is for others",
        [TICKET_TIMES] = "the ticket has expired, or one of the clocks is wrong",
        [TICKET_FORGED] = "the ticket is not signed by one of its ends",
        [TICKET_TOO_OFTEN] = "too many binds",
        [TICKET_NO_ROOM] = "too many tunnels",
    };

    return texts[fault];
}

static bool is_in_time(const struct ticket *ticket, int64_t now_s)
{
    if (ticket->lifetime_s == 0 || ticket->lifetime_s > TICKET_LIFETIME_MAX_S)
        return false;
    if (ticket->issued_s < 0 || ticket->issued_s > now_s + TICKET_CLOCK_S)
        return false;
    return now_s - ticket->issued_s < (int64_t)ticket->lifetime_s + TICKET_CLOCK_S;
}

static bool is_node(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, OVERLAY_NODE_ID_BYTES) == 0;
}

/* The signer's certificate: the bearer's own was verified by the handshake just now. */
static bool find_signer(const struct ticket_trial *trial, const struct ticket *ticket,
                        struct certificate *signer)
{
    char why[128];

    if (is_node(ticket->signer, trial->bearer->node))
        *signer = *trial->bearer;
    else if (trust_verify(trial->trust, trial->certificate, trial->certificate_bytes, trial->now_s,
                          signer, why, sizeof why) < 0)
        return false;
    return is_node(signer->node, ticket->signer) &&
           (signer->roles & (CONF_ROLE_GATEWAY | CONF_ROLE_CLIENT));
}

enum ticket_fault ticket_check(const struct ticket_trial *trial, struct ticket *ticket)
{
    struct signed_bytes text;
    uint8_t signature[IDENTITY_SIGNATURE_BYTES];
    struct certificate signer;

    if (decode(trial->data, trial->bytes, ticket, &text, signature) < 0)
        return TICKET_MALFORMED;
    if (!is_node(ticket->relay, trial->relay))
        return TICKET_ELSEWHERE;
    if (!is_node(ticket->signer, trial->bearer->node) &&
        !is_node(ticket->peer, trial->bearer->node))
        return TICKET_STRANGER;
    if (!is_in_time(ticket, trial->now_s))
        return TICKET_TIMES;
    if (!find_signer(trial, ticket, &signer) ||
        !certificate_check(&signer, text.data, text.bytes, signature))
        return TICKET_FORGED;
    return TICKET_GOOD;
}

bool ticket_is_higher(const struct ticket *ticket, const uint8_t node[OVERLAY_NODE_ID_BYTES])
{
    const uint8_t *other = is_node(ticket->signer, node) ? ticket->peer : ticket->signer;

    return memcmp(node, other, OVERLAY_NODE_ID_BYTES) > 0;
}

void ticket_tunnel_key(const struct ticket *ticket, uint8_t key[TICKET_TUNNEL_BYTES])
{
    bool signer_is_higher = ticket_is_higher(ticket, ticket->signer);
    crypto_generichash_state state;

    crypto_generichash_init(&state, NULL, 0, TICKET_TUNNEL_BYTES);
    crypto_generichash_update(&state, ticket->tunnel, sizeof ticket->tunnel);
    crypto_generichash_update(&state, signer_is_higher ? ticket->peer : ticket->signer,
                              OVERLAY_NODE_ID_BYTES);
    crypto_generichash_update(&state, signer_is_higher ? ticket->signer : ticket->peer,
                              OVERLAY_NODE_ID_BYTES);
    crypto_generichash_final(&state, key, TICKET_TUNNEL_BYTES);
}
