/* overlay/directory.h: the records that a supernode keeps.
 *
 * A bounded table: name -> records of several nodes. The highest sequence per node and name wins; a
 * withdrawn record stays as a mark until it expires, so that an older one cannot come back. Pure:
 * the time is given, and only verified records are put in.
 */
#ifndef OVERLAY_DIRECTORY_H
#define OVERLAY_DIRECTORY_H

#include "overlay/record.h"

#define DIRECTORY_ANSWERS_MAX 16
#define DIRECTORY_NODE_RECORDS_MAX 64
#define DIRECTORY_RECORDS_MAX 200000

struct directory;
struct directory *directory_new(void);
void directory_free(struct directory *directory);

/* Keeps a verified record. 0; -EALREADY: this very sequence is here; -ESTALE: a higher one is here
 * (*held says which); -ENOSPC: this node, or all, have too many. */
int directory_put(struct directory *directory, const struct record *record,
                  const Sallyport__SignedRecord *wire, uint64_t *held);

/* Is this very record here (and so need not be verified)? `name` is folded. */
bool directory_holds(const struct directory *directory, const char *name,
                     const Sallyport__SignedRecord *wire);

/* One answer; the bytes are good until the directory changes. */
struct directory_answer {
    ProtobufCBinaryData record, signature;
    const char *name;
    const uint8_t *node;
    uint64_t sequence;
    bool is_withdrawn;
    uint64_t
        *told; /* DIRECTORY_TOLD numbers of the owner's, 0 at first: to whom it was handed on */
};
#define DIRECTORY_TOLD 3
/* Where that is kept for one record; NULL: it is not here. */
uint64_t *directory_told(const struct directory *directory, const char *name,
                         const uint8_t node[OVERLAY_NODE_ID_BYTES]);
/* All records of the site `asked`, or of the longest prefix of the number `asked` (folded). */
int directory_find(const struct directory *directory, const char *asked, int64_t now_s,
                   struct directory_answer answers[DIRECTORY_ANSWERS_MAX]);

/* Those that were withdrawn, of the site or of any beginning of the number: who holds something
 * older is wrong. */
int directory_find_withdrawn(const struct directory *directory, const char *asked, int64_t now_s,
                             struct directory_answer answers[DIRECTORY_ANSWERS_MAX]);

/* All that are valid at `now_s`, until `each` says false. */
void directory_each(const struct directory *directory, int64_t now_s,
                    bool (*each)(void *ctx, const struct directory_answer *answer), void *ctx);

/* The same in steps, withdrawn ones too: goes on where the last step ended, for at most so many
 * names or until `each` says false (with the records of that name). True: that was the end. */
bool directory_walk(struct directory *directory, int64_t now_s, int names,
                    bool (*each)(void *ctx, const struct directory_answer *answer), void *ctx);
/* From the beginning next time. */
void directory_walk_anew(struct directory *directory);
/* Forgets what nobody is to find here any more, of the next so many names. */
void directory_sweep(struct directory *directory, int names,
                     bool (*is_kept)(void *ctx, const char *name, const uint8_t *node), void *ctx);

/* Drops all records of revoked certificates. */
void directory_revoke(struct directory *directory, const struct identity *identity);
void directory_expire(struct directory *directory, int64_t now_s);
/* Was the name (or a prefix of the number) served lately, though now withdrawn or out of date? */
bool directory_was_served(const struct directory *directory, const char *asked);
/* Without those withdrawn. */
unsigned directory_count(const struct directory *directory);

#endif
