#include "overlay/signed.h"

#include <stdlib.h>
#include <string.h>

static void *allocate(size_t bytes)
{
    void *memory = malloc(bytes);

    if (!memory)
        abort();
    return memory;
}

/* What the signature covers; the caller frees. */
static uint8_t *covered(const char *label, const ProtobufCBinaryData *data, size_t *bytes)
{
    size_t label_bytes = strlen(label) + 1;
    uint8_t *all = allocate(label_bytes + data->len);

    memcpy(all, label, label_bytes);
    if (data->len)
        memcpy(all + label_bytes, data->data, data->len);
    *bytes = label_bytes + data->len;
    return all;
}

void signed_make(const struct identity *identity, const char *label,
                 const ProtobufCMessage *message, ProtobufCBinaryData *data,
                 ProtobufCBinaryData *signature)
{
    size_t bytes;

    data->data = allocate(protobuf_c_message_get_packed_size(message));
    data->len = protobuf_c_message_pack(message, data->data);
    signature->data = allocate(IDENTITY_SIGNATURE_BYTES);
    signature->len = IDENTITY_SIGNATURE_BYTES;
    uint8_t *all = covered(label, data, &bytes);
    identity_sign(identity, all, bytes, signature->data);
    free(all);
}

void signed_fini(ProtobufCBinaryData *data, ProtobufCBinaryData *signature)
{
    free(data->data);
    free(signature->data);
    *data = *signature = (ProtobufCBinaryData){0, NULL};
}

bool signed_is_by(const struct certificate *signer, const char *label,
                  const ProtobufCBinaryData *data, const ProtobufCBinaryData *signature)
{
    size_t bytes;

    if (signature->len != IDENTITY_SIGNATURE_BYTES)
        return false;
    uint8_t *all = covered(label, data, &bytes);
    bool is_good = certificate_check(signer, all, bytes, signature->data);
    free(all);
    return is_good;
}
