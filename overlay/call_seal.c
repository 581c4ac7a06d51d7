/* Letters between the two ends of a call: signed by the sender, sealed to the recipient. */
#include "overlay/call.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static const char signature_label[] = "sallyport call"; /* its NUL is signed too */

void call_fresh_key(struct core *core, uint8_t public_key[32], uint8_t secret_key[32])
{
    core->io.random(core->io.ctx, secret_key, 32);
    crypto_scalarmult_base(public_key, secret_key);
}

int call_agree(struct overlay_call *call)
{
    struct identity_agreement agreement = {
        .secret_key = call->our_secret,
        .public_key = call->far_public,
        .call = call->name.call,
        .caller_node = call->name.caller,
        .callee_node = call->is_outgoing ? call->far->node : call->core->self->node,
        .caller_key = call->is_outgoing ? call->our_public : call->far_public,
        .callee_key = call->is_outgoing ? call->far_public : call->our_public,
    };
    int error = identity_agree(&agreement, &call->keys);

    call->has_keys = error == 0;
    return error;
}

/* Label, recipient, message: what the signature covers. The caller frees. */
static uint8_t *signed_bytes(const uint8_t *recipient, const uint8_t *message, size_t bytes,
                             size_t *total)
{
    uint8_t *data = core_alloc(sizeof signature_label + OVERLAY_NODE_ID_BYTES + bytes);

    memcpy(data, signature_label, sizeof signature_label);
    memcpy(data + sizeof signature_label, recipient, OVERLAY_NODE_ID_BYTES);
    if (bytes)
        memcpy(data + sizeof signature_label + OVERLAY_NODE_ID_BYTES, message, bytes);
    *total = sizeof signature_label + OVERLAY_NODE_ID_BYTES + bytes;
    return data;
}

/* ---- sending ----------------------------------------------------------------------------------
 */

static uint8_t *pack_signed(struct core *core, const struct call_letter *letter, size_t *bytes)
{
    Sallyport__SignedCall outer = SALLYPORT__SIGNED_CALL__INIT;
    uint8_t signature[IDENTITY_SIGNATURE_BYTES];
    size_t total;
    uint8_t *data = signed_bytes(letter->to->node, letter->message, letter->bytes, &total);

    identity_sign(core->identity, data, total, signature);
    free(data);
    outer.message.data = (uint8_t *)letter->message;
    outer.message.len = letter->bytes;
    outer.signature.data = signature;
    outer.signature.len = sizeof signature;
    if (!letter->key) {
        outer.certificate.data = (uint8_t *)core->self->der;
        outer.certificate.len = core->self->der_bytes;
    }
    data = core_alloc(sallyport__signed_call__get_packed_size(&outer));
    *bytes = sallyport__signed_call__pack(&outer, data);
    return data;
}

/* Home, standby, home, …; and of the far end's homes first, second, second, first: one dead
 * supernode, whosever it is, costs one repetition, and one at each end two (from the second on two
 * ways are taken at once). What something of the far end has come by is taken for the home. */
static struct peer *choose_way(const struct core *core, const struct call_letter *letter)
{
    bool is_standby = core->upstream_count > 1 && core->upstream[1]->link == letter->heard_by;

    return attach_upstream(core, letter->way + is_standby);
}

static int send_route(struct core *core, const struct call_letter *letter, Sallyport__Route *route,
                      core_link *upstream)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    struct peer *peer = choose_way(core, letter);
    struct homes_wire via;

    if (!peer)
        return -ENOTCONN;
    homes_encode(&via, letter->homes, (letter->way + 1) / 2);
    route->via = via.list;
    route->n_via = via.count;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_ROUTE;
    envelope.route = route;
    if (upstream)
        *upstream = peer->link;
    return peer_send(peer, &envelope);
}

int call_letter_send(struct core *core, const struct call_letter *letter,
                     uint8_t id[ROUTE_ID_BYTES], core_link *upstream)
{
    Sallyport__Route route = SALLYPORT__ROUTE__INIT;
    uint8_t own_id[ROUTE_ID_BYTES], seal_key[32];
    size_t bytes;

    if (!letter->key && certificate_seal_key(letter->to, seal_key) < 0)
        return -EINVAL;
    if (core->upstream_count == 0)
        return -ENOTCONN;
    uint8_t *data = pack_signed(core, letter, &bytes);
    uint8_t *sealed = core_alloc(bytes + IDENTITY_SEAL_BYTES);
    identity_seal(letter->key ? letter->key : seal_key, data, bytes, sealed);

    core->io.random(core->io.ctx, own_id, sizeof own_id);
    if (id)
        memcpy(id, own_id, sizeof own_id);
    route.id.data = own_id;
    route.id.len = sizeof own_id;
    route.to.data = (uint8_t *)letter->to->node;
    route.to.len = OVERLAY_NODE_ID_BYTES;
    route.sealed.data = sealed;
    route.sealed.len = bytes + IDENTITY_SEAL_BYTES;
    route.key.data = (uint8_t *)letter->key;
    route.key.len = letter->key ? KEY_HINT_BYTES : 0;
    int error = send_route(core, letter, &route, upstream);
    free(sealed);
    free(data);
    return error;
}

void call_letter_send_wide(struct core *core, const struct call_letter *letter)
{
    struct call_letter copy = *letter;

    copy.way = 0;
    call_letter_send(core, &copy, NULL, NULL);
    copy.way = 2; /* the same upstream, the second home */
    if (letter->homes->count > 1)
        call_letter_send(core, &copy, NULL, NULL);
}

/* ---- receiving --------------------------------------------------------------------------------
 */

static int unseal(struct core *core, const Sallyport__Route *route, struct call_opened *opened,
                  uint8_t *plain)
{
    if (route->key.len == 0)
        return identity_unseal(core->identity, route->sealed.data, route->sealed.len, plain);
    if (route->key.len != KEY_HINT_BYTES)
        return -EINVAL;
    opened->call = call_find_key(core, route->key.data);
    if (!opened->call)
        return -ENOENT;
    return identity_unseal_with(opened->call->our_public, opened->call->our_secret,
                                route->sealed.data, route->sealed.len, plain);
}

static bool is_sound(const Sallyport__CallMessage *message)
{
    if (message->call.len != CALL_ID_BYTES)
        return false;
    bool is_ack = message->body_case == SALLYPORT__CALL_MESSAGE__BODY_ACK;
    return is_ack == (message->number == 0);
}

int call_letter_open(struct core *core, const Sallyport__Route *route, struct call_opened *opened)
{
    *opened = (struct call_opened){.call = NULL};
    if (route->sealed.len <= IDENTITY_SEAL_BYTES)
        return -EINVAL;

    size_t bytes = route->sealed.len - IDENTITY_SEAL_BYTES;
    uint8_t *plain = core_alloc(bytes);
    int error = unseal(core, route, opened, plain);
    if (!error)
        opened->outer = sallyport__signed_call__unpack(NULL, bytes, plain);
    free(plain);
    if (error)
        return error;
    if (opened->outer)
        opened->message = sallyport__call_message__unpack(NULL, opened->outer->message.len,
                                                          opened->outer->message.data);
    if (!opened->message || !is_sound(opened->message)) {
        call_opened_fini(opened);
        return -EINVAL;
    }
    return 0;
}

void call_opened_fini(struct call_opened *opened)
{
    if (opened->outer)
        sallyport__signed_call__free_unpacked(opened->outer, NULL);
    if (opened->message)
        sallyport__call_message__free_unpacked(opened->message, NULL);
    opened->outer = NULL;
    opened->message = NULL;
}

bool call_letter_is_from(struct core *core, const Sallyport__SignedCall *outer,
                         const struct certificate *signer)
{
    size_t total;

    if (outer->signature.len != IDENTITY_SIGNATURE_BYTES)
        return false;
    uint8_t *data = signed_bytes(core->self->node, outer->message.data, outer->message.len, &total);
    bool good = certificate_check(signer, data, total, outer->signature.data);
    free(data);
    return good;
}
