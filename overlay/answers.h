/* overlay/answers.h: what has been found so far for one look-up of a client: of each node's names
 * the newest record, withdrawn ones too, because whatever is older is wrong.
 *
 * Private to query.c and tests.
 */
#ifndef OVERLAY_ANSWERS_H
#define OVERLAY_ANSWERS_H

#include "overlay/directory.h"

#define ANSWERS_MAX (2 * DIRECTORY_ANSWERS_MAX)

struct answer {
    uint8_t node[OVERLAY_NODE_ID_BYTES];
    uint64_t sequence;
    size_t name_length;
    bool is_withdrawn;
    Sallyport__SignedRecord wire; /* own copy */
};

/* Zeroed: empty. */
struct answers {
    struct answer answer[ANSWERS_MAX];
    int count;
};

void answers_fini(struct answers *answers);
/* Copies one that was verified, unless a newer one of its node and name is here, or, when all
 * places are taken, those of longer names. */
void answers_put(struct answers *answers, const struct directory_answer *told);
/* Is this very record here (and so need not be verified)? */
bool answers_hold(const struct answers *answers, const Sallyport__SignedRecord *wire);
/* Those with the longest name of which somebody is there; returns how many, at most `max`. */
int answers_choose(const struct answers *answers, const Sallyport__SignedRecord **list, int max);

#endif
