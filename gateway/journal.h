/* gateway/journal.h: what happened to a call and when, for `sallyport why`.
 *
 * A list of lines for people, bounded: of a call that has more to tell than 200 lines the first and
 * the last 100 stay, those between are counted. A line costs one allocation of about 40 bytes and
 * its text, at most 48 kB per call in all; a usual call has 20-40 lines, 4-5 kB. Nothing here is
 * done per packet. Pure, on whatever thread owns it.
 *
 * No secrets come in here: no digits pressed, passwords or keys.
 */
#ifndef GATEWAY_JOURNAL_H
#define GATEWAY_JOURNAL_H

#include <stdint.h>
#include <sys/queue.h>

#define JOURNAL_HEAD 100
#define JOURNAL_TAIL 100
#define JOURNAL_TEXT_MAX 200

enum journal_part {
    JOURNAL_CALL,    /* the call's own steps */
    JOURNAL_SIP,     /* what a phone said */
    JOURNAL_ROUTE,   /* where the number led */
    JOURNAL_OVERLAY, /* signalling between nodes */
    JOURNAL_PATH,    /* how media gets to the other node */
    JOURNAL_MEDIA,   /* the sound */
    JOURNAL_PARTS
};

struct journal_entry {
    TAILQ_ENTRY(journal_entry) next;
    uint32_t at_ms; /* since the call began; never less than that of the line before */
    uint8_t part;
    char event[15]; /* a short word: "invite", "moved", … */
    char text[];    /* printable UTF-8, at most JOURNAL_TEXT_MAX bytes with its NUL */
};
TAILQ_HEAD(journal_list, journal_entry);

/* All zeros: an empty one. */
struct journal {
    struct journal_list entries;
    struct journal_entry *hinge; /* the last of the first ones; NULL: not so many yet */
    unsigned count;
    unsigned left_out; /* between `hinge` and the next */
};

void journal_fini(struct journal *journal);
/* Everything goes over to `to`, whatever that was; `from` is empty then. */
void journal_move(struct journal *to, struct journal *from);
/* What is not printable becomes '?', what is too long is cut off. */
void journal_add(struct journal *journal, uint32_t at_ms, enum journal_part part, const char *event,
                 const char *text);
const char *journal_part_name(enum journal_part part);

#endif
