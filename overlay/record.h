/* overlay/record.h: directory records: who serves a name, made, signed and verified.
 *
 * Private to the core. Pure: identity, trust and time are given.
 */
#ifndef OVERLAY_RECORD_H
#define OVERLAY_RECORD_H

#include "overlay/homes.h"
#include "overlay/trust.h"

#define RECORD_LIFETIME_MAX_S 3600
/* How far a signer's clock may be ahead of ours. */
#define RECORD_CLOCK_S 120
#define RECORD_BYTES_MAX 4096

/* A record with its certificate; verified when it comes from record_verify. */
struct record {
    char name[OVERLAY_NAME_MAX]; /* lower case */
    struct certificate certificate;
    struct homes homes;
    uint64_t sequence;
    int64_t issued_s;
    uint32_t lifetime_s;
    uint32_t priority, weight;
    bool is_withdrawn;
};

/* Is it a site's name or "+" and digits? At most OVERLAY_NAME_MAX with the NUL. */
bool record_name_is_valid(const char *name);
bool record_name_is_number(const char *name);
/* Lower case, for looking up and comparing; -EINVAL when it is no valid name. */
int record_name_fold(const char *name, char folded[OVERLAY_NAME_MAX]);
/* Does a record of `name` answer the question `asked` (equal, or a prefix of a number)? */
bool record_name_answers(const char *name, const char *asked);

/* Serialises and signs with our identity; the certificate in `record` is not looked at: ours is put
 * in. Release with record_signed_fini. */
void record_sign(const struct identity *identity, const struct record *record,
                 Sallyport__SignedRecord *out);
void record_signed_fini(Sallyport__SignedRecord *out);

/* Checks all of it: form, certificate, signature, grant, role, time. -EINVAL or -EACCES with why.
 */
int record_verify(struct trust *trust, const Sallyport__SignedRecord *wire, int64_t now_s,
                  struct record *record, char *why, size_t why_bytes);

#endif
