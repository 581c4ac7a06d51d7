/* overlay/signed.h: serialised messages under a label and a signature.
 *
 * Ed25519 over the label, its NUL, and the bytes: what was signed as one kind of message is none of
 * another kind. Private to the core. Pure.
 */
#ifndef OVERLAY_SIGNED_H
#define OVERLAY_SIGNED_H

#include "overlay/identity.h"

#include <protobuf-c/protobuf-c.h>

/* Serialises `message` into memory of its own and signs it. Release with signed_fini. */
void signed_make(const struct identity *identity, const char *label,
                 const ProtobufCMessage *message, ProtobufCBinaryData *data,
                 ProtobufCBinaryData *signature);
void signed_fini(ProtobufCBinaryData *data, ProtobufCBinaryData *signature);
/* Did the owner of this certificate sign it? */
bool signed_is_by(const struct certificate *signer, const char *label,
                  const ProtobufCBinaryData *data, const ProtobufCBinaryData *signature);

#endif
