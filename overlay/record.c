#include "overlay/record.h"

#include "overlay/signed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char record_label[] = "sallyport record";

bool record_name_is_number(const char *name)
{
    return name[0] == '+' && name[1] && strspn(name + 1, "0123456789") == strlen(name + 1);
}

bool record_name_is_valid(const char *name)
{
    size_t length = strlen(name);

    if (length == 0 || length >= OVERLAY_NAME_MAX)
        return false;
    if (name[0] == '+')
        return record_name_is_number(name);
    return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
           length;
}

int record_name_fold(const char *name, char folded[OVERLAY_NAME_MAX])
{
    if (!record_name_is_valid(name))
        return -EINVAL;
    for (size_t i = 0; i == 0 || name[i - 1]; i++)
        folded[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + 'a' - 'A') : name[i];
    return 0;
}

bool record_name_answers(const char *name, const char *asked)
{
    if (name[0] == '+')
        return strncmp(name, asked, strlen(name)) == 0;
    return strcmp(name, asked) == 0;
}

void record_sign(const struct identity *identity, const struct record *record,
                 Sallyport__SignedRecord *out)
{
    const struct certificate *self = identity_certificate(identity);
    Sallyport__Record wire = SALLYPORT__RECORD__INIT;
    struct homes_wire homes;

    homes_encode(&homes, &record->homes, 0);
    wire.name = (char *)record->name;
    wire.certificate.data = (uint8_t *)self->der;
    wire.certificate.len = self->der_bytes;
    wire.homes = homes.list;
    wire.n_homes = homes.count;
    wire.sequence = record->sequence;
    wire.issued_s = record->issued_s;
    wire.lifetime_s = record->lifetime_s;
    wire.priority = record->priority;
    wire.weight = record->weight;
    wire.withdrawn = record->is_withdrawn;

    sallyport__signed_record__init(out);
    signed_make(identity, record_label, &wire.base, &out->record, &out->signature);
}

void record_signed_fini(Sallyport__SignedRecord *out)
{
    signed_fini(&out->record, &out->signature);
}

/* What is judged, by whom, when, and where the reason goes. */
struct trial {
    struct trust *trust;
    const Sallyport__SignedRecord *wire;
    const Sallyport__Record *record; /* unpacked from `wire` */
    int64_t now_s;
    char *why;
    size_t why_bytes;
};

static int refuse(const struct trial *trial, int error, const char *text)
{
    snprintf(trial->why, trial->why_bytes, "%s", text);
    return error;
}

static int check_times(const struct trial *trial)
{
    const Sallyport__Record *record = trial->record;

    if (record->lifetime_s == 0 || record->lifetime_s > RECORD_LIFETIME_MAX_S)
        return refuse(trial, -EACCES, "lifetime out of range");
    if (record->issued_s < 0 || record->issued_s > trial->now_s + RECORD_CLOCK_S)
        return refuse(trial, -EACCES, "issued in the future: its node's clock is ahead");
    if (record->issued_s + record->lifetime_s <= trial->now_s)
        return refuse(trial, -EACCES, "expired");
    return 0;
}

static int check(const struct trial *trial, struct certificate *signer)
{
    const ProtobufCBinaryData *der = &trial->record->certificate;
    int error = check_times(trial);

    if (!error)
        error = trust_verify(trial->trust, der->data, der->len, trial->now_s, signer, trial->why,
                             trial->why_bytes);
    if (error)
        return error;
    if (!signed_is_by(signer, record_label, &trial->wire->record, &trial->wire->signature))
        return refuse(trial, -EACCES, "wrong signature");
    if (!(signer->roles & (CONF_ROLE_GATEWAY | CONF_ROLE_CLIENT)))
        return refuse(trial, -EACCES, "role gateway or client not granted");
    if (!certificate_grants(signer, trial->record->name))
        return refuse(trial, -EACCES, "name not granted");
    return 0;
}

static void take_over(struct record *record, const Sallyport__Record *unpacked)
{
    homes_decode(&record->homes, unpacked->homes, unpacked->n_homes);
    record->sequence = unpacked->sequence;
    record->issued_s = unpacked->issued_s;
    record->lifetime_s = unpacked->lifetime_s;
    record->priority = unpacked->priority;
    record->weight = unpacked->weight;
    record->is_withdrawn = unpacked->withdrawn;
}

int record_verify(struct trust *trust, const Sallyport__SignedRecord *wire, int64_t now_s,
                  struct record *record, char *why, size_t why_bytes)
{
    struct trial trial = {trust, wire, NULL, now_s, why, why_bytes};

    if (wire->signature.len != IDENTITY_SIGNATURE_BYTES || wire->record.len == 0 ||
        wire->record.len > RECORD_BYTES_MAX)
        return refuse(&trial, -EINVAL, "malformed");
    Sallyport__Record *unpacked =
        sallyport__record__unpack(NULL, wire->record.len, wire->record.data);
    if (!unpacked)
        return refuse(&trial, -EINVAL, "malformed");

    trial.record = unpacked;
    int error = record_name_fold(unpacked->name, record->name)
                    ? refuse(&trial, -EINVAL, "malformed")
                    : check(&trial, &record->certificate);
    if (!error)
        take_over(record, unpacked);
    sallyport__record__free_unpacked(unpacked, NULL);
    return error;
}
