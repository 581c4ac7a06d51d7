#include "overlay/member.h"

#include "overlay/homes.h"
#include "overlay/signed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char member_label[] = "sallyport member";
static const char down_label[] = "sallyport down"; /* its NUL is signed too */

/* ---- statements -------------------------------------------------------------------------------
 */

void statement_sign(const struct identity *identity, const struct statement *statement,
                    Sallyport__SignedMember *out)
{
    const struct certificate *self = identity_certificate(identity);
    Sallyport__Member wire = SALLYPORT__MEMBER__INIT;

    wire.certificate.data = (uint8_t *)self->der;
    wire.certificate.len = self->der_bytes;
    wire.address = (char *)statement->address;
    wire.sequence = statement->sequence;
    wire.instance = statement->instance;
    wire.issued_s = statement->issued_s;
    wire.lifetime_s = statement->lifetime_s;
    wire.version = statement->version;
    wire.seats = statement->seats;
    wire.clients = statement->clients;
    wire.willing = statement->willing;
    wire.records = statement->records;
    wire.invited = statement->is_invited;
    wire.leaving = statement->is_leaving;

    sallyport__signed_member__init(out);
    signed_make(identity, member_label, &wire.base, &out->member, &out->signature);
}

void statement_signed_fini(Sallyport__SignedMember *out)
{
    signed_fini(&out->member, &out->signature);
}

static int refuse(char *why, size_t why_bytes, int error, const char *text)
{
    snprintf(why, why_bytes, "%s", text);
    return error;
}

static int check_form(const Sallyport__Member *member, int64_t now_s, char *why, size_t why_bytes)
{
    if (!home_address_is_valid(member->address))
        return refuse(why, why_bytes, -EINVAL, "malformed");
    if (member->lifetime_s == 0 || member->lifetime_s > MEMBER_LIFETIME_MAX_S)
        return refuse(why, why_bytes, -EACCES, "lifetime out of range");
    if (member->issued_s < 0 || member->issued_s > now_s + MEMBER_CLOCK_S)
        return refuse(why, why_bytes, -EACCES, "issued in the future: its node's clock is ahead");
    if (member->issued_s + member->lifetime_s <= now_s)
        return refuse(why, why_bytes, -EACCES, "expired");
    /* a far higher sequence would leave no room above it */
    if (member->sequence > UINT64_MAX / 2)
        return refuse(why, why_bytes, -EACCES, "sequence out of range");
    return 0;
}

static void take_over(struct statement *statement, const Sallyport__Member *member)
{
    strcpy(statement->address, member->address);
    statement->sequence = member->sequence;
    statement->instance = member->instance;
    statement->issued_s = member->issued_s;
    statement->lifetime_s = member->lifetime_s;
    statement->version = member->version;
    statement->seats = member->seats;
    statement->clients = member->clients;
    statement->willing = member->willing;
    statement->records = member->records;
    statement->is_invited = member->invited;
    statement->is_leaving = member->leaving;
}

static int check(struct trust *trust, const Sallyport__SignedMember *wire,
                 const Sallyport__Member *member, int64_t now_s, struct certificate *signer,
                 char *why, size_t why_bytes)
{
    int error = check_form(member, now_s, why, why_bytes);

    if (!error)
        error = trust_verify(trust, member->certificate.data, member->certificate.len, now_s,
                             signer, why, why_bytes);
    if (error)
        return error;
    if (!(signer->roles & CONF_ROLE_SUPERNODE))
        return refuse(why, why_bytes, -EACCES, "role supernode not granted");
    if (!signed_is_by(signer, member_label, &wire->member, &wire->signature))
        return refuse(why, why_bytes, -EACCES, "wrong signature");
    return 0;
}

int statement_verify(struct trust *trust, const Sallyport__SignedMember *wire, int64_t now_s,
                     struct statement *statement, char *why, size_t why_bytes)
{
    if (wire->signature.len != IDENTITY_SIGNATURE_BYTES || wire->member.len == 0 ||
        wire->member.len > MEMBER_BYTES_MAX)
        return refuse(why, why_bytes, -EINVAL, "malformed");
    Sallyport__Member *member =
        sallyport__member__unpack(NULL, wire->member.len, wire->member.data);
    if (!member)
        return refuse(why, why_bytes, -EINVAL, "malformed");
    int error = check(trust, wire, member, now_s, &statement->certificate, why, why_bytes);
    if (!error)
        take_over(statement, member);
    sallyport__member__free_unpacked(member, NULL);
    return error;
}

/* ---- accusations ------------------------------------------------------------------------------
 */

#define DOWN_BYTES (sizeof down_label + OVERLAY_NODE_ID_BYTES + 8)

static void down_bytes(const struct accusation *accusation, uint8_t data[DOWN_BYTES])
{
    memcpy(data, down_label, sizeof down_label);
    memcpy(data + sizeof down_label, accusation->node, OVERLAY_NODE_ID_BYTES);
    for (int i = 0; i < 8; i++)
        data[sizeof down_label + OVERLAY_NODE_ID_BYTES + (size_t)i] =
            (uint8_t)(accusation->sequence >> (56 - 8 * i));
}

void accusation_sign(const struct identity *identity, struct accusation *accusation)
{
    uint8_t data[DOWN_BYTES];

    memcpy(accusation->accuser, identity_certificate(identity)->node, OVERLAY_NODE_ID_BYTES);
    down_bytes(accusation, data);
    identity_sign(identity, data, sizeof data, accusation->signature);
}

bool accusation_is_signed(const struct accusation *accusation, const uint8_t public_key[32])
{
    uint8_t data[DOWN_BYTES];

    down_bytes(accusation, data);
    return identity_check(public_key, data, sizeof data, accusation->signature);
}

bool accusation_decode(struct accusation *accusation, const Sallyport__Down *wire)
{
    if (wire->node.len != OVERLAY_NODE_ID_BYTES || wire->accuser.len != OVERLAY_NODE_ID_BYTES ||
        wire->signature.len != IDENTITY_SIGNATURE_BYTES)
        return false;
    memcpy(accusation->node, wire->node.data, OVERLAY_NODE_ID_BYTES);
    memcpy(accusation->accuser, wire->accuser.data, OVERLAY_NODE_ID_BYTES);
    memcpy(accusation->signature, wire->signature.data, IDENTITY_SIGNATURE_BYTES);
    accusation->sequence = wire->sequence;
    return true;
}

void accusation_encode(Sallyport__Down *wire, const struct accusation *accusation)
{
    sallyport__down__init(wire);
    wire->node.data = (uint8_t *)accusation->node;
    wire->node.len = OVERLAY_NODE_ID_BYTES;
    wire->sequence = accusation->sequence;
    wire->accuser.data = (uint8_t *)accusation->accuser;
    wire->accuser.len = OVERLAY_NODE_ID_BYTES;
    wire->signature.data = (uint8_t *)accusation->signature;
    wire->signature.len = IDENTITY_SIGNATURE_BYTES;
}
