/* overlay/member.h: what supernodes say of themselves and of those that are down: signed, verified.
 *
 * Private to the core. Pure: identity, trust and time are given.
 */
#ifndef OVERLAY_MEMBER_H
#define OVERLAY_MEMBER_H

#include "overlay/overlay.pb-c.h"
#include "overlay/trust.h"

#define MEMBER_LIFETIME_MAX_S 3600
/* How far a signer's clock may be ahead of ours. */
#define MEMBER_CLOCK_S 120
#define MEMBER_BYTES_MAX 4096

/* A supernode's statement of itself; verified when it comes from statement_verify. */
struct statement {
    struct certificate certificate;
    char address[ADDRESS_TEXT_MAX];
    uint64_t sequence, instance;
    int64_t issued_s;
    uint32_t lifetime_s;
    unsigned version;
    unsigned seats, clients, willing, records;
    bool is_invited, is_leaving;
};

/* Serialises and signs with our identity, whose certificate is put in. Release with
 * statement_signed_fini. */
void statement_sign(const struct identity *identity, const struct statement *statement,
                    Sallyport__SignedMember *out);
void statement_signed_fini(Sallyport__SignedMember *out);
/* Checks all of it: form, certificate, role, signature, time. -EINVAL or -EACCES with why. */
int statement_verify(struct trust *trust, const Sallyport__SignedMember *wire, int64_t now_s,
                     struct statement *statement, char *why, size_t why_bytes);

/* "`node`, as of its statement `sequence`, does not answer me": by whoever signs it. */
struct accusation {
    uint8_t node[OVERLAY_NODE_ID_BYTES];
    uint64_t sequence;
    uint8_t accuser[OVERLAY_NODE_ID_BYTES];
    uint8_t signature[IDENTITY_SIGNATURE_BYTES];
};
/* Fills in accuser and signature. */
void accusation_sign(const struct identity *identity, struct accusation *accusation);
/* Did the owner of this key (Ed25519) sign it? */
bool accusation_is_signed(const struct accusation *accusation, const uint8_t public_key[32]);
/* False when a field has a wrong length. */
bool accusation_decode(struct accusation *accusation, const Sallyport__Down *wire);
/* Points into `accusation`. */
void accusation_encode(Sallyport__Down *wire, const struct accusation *accusation);

#endif
