#include "gateway/journal.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void journal_fini(struct journal *journal)
{
    struct journal_entry *entry;

    while ((entry = TAILQ_FIRST(&journal->entries))) {
        TAILQ_REMOVE(&journal->entries, entry, next);
        free(entry);
    }
    *journal = (struct journal){.count = 0};
}

void journal_move(struct journal *to, struct journal *from)
{
    *to = *from;
    TAILQ_INIT(&to->entries);
    TAILQ_CONCAT(&to->entries, &from->entries, next);
    *from = (struct journal){.count = 0};
}

const char *journal_part_name(enum journal_part part)
{
    static const char *const names[JOURNAL_PARTS] = {"call",    "sip",  "route",
                                                     "overlay", "path", "media"};
    return names[part];
}

/* ---- text -------------------------------------------------------------------------------------
 */

/* Bytes of the well-formed UTF-8 character at `p` (RFC 3629); 0: it is none, or a control one. */
static size_t character(const unsigned char *p)
{
    static const struct {
        unsigned char mask, lead, second_min, second_max;
        size_t bytes;
    } shapes[] = {
        {0xff, 0xe0, 0xa0, 0xbf, 3}, {0xff, 0xed, 0x80, 0x9f, 3}, {0xf0, 0xe0, 0x80, 0xbf, 3},
        {0xff, 0xf0, 0x90, 0xbf, 4}, {0xff, 0xf4, 0x80, 0x8f, 4}, {0xfc, 0xf0, 0x80, 0xbf, 4},
        {0xe0, 0xc0, 0x80, 0xbf, 2},
    };

    if (p[0] < 0x80)
        return p[0] >= 0x20 && p[0] != 0x7f;
    if (p[0] < 0xc2 || (p[0] == 0xc2 && p[1] < 0xa0)) /* overlong; C1 controls */
        return 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        if ((p[0] & shapes[i].mask) != shapes[i].lead)
            continue;
        if (p[1] < shapes[i].second_min || p[1] > shapes[i].second_max)
            return 0;
        for (size_t j = 2; j < shapes[i].bytes; j++)
            if ((p[j] & 0xc0) != 0x80)
                return 0;
        return shapes[i].bytes;
    }
    return 0;
}

/* Copies what is printable; returns the length. */
static size_t clean(const char *text, char out[JOURNAL_TEXT_MAX])
{
    size_t used = 0;

    while (*text) {
        size_t bytes = character((const unsigned char *)text);
        size_t wanted = bytes ? bytes : 1;
        if (used + wanted >= JOURNAL_TEXT_MAX)
            break;
        memcpy(out + used, bytes ? text : "?", wanted);
        used += wanted;
        text += wanted;
    }
    out[used] = '\0';
    return used;
}

/* ---- adding -----------------------------------------------------------------------------------
 */

static uint32_t last_ms(const struct journal *journal)
{
    if (TAILQ_EMPTY(&journal->entries))
        return 0;
    return TAILQ_LAST(&journal->entries, journal_list)->at_ms;
}

/* Makes room by the oldest line after the first ones. */
static void leave_out(struct journal *journal)
{
    struct journal_entry *oldest = TAILQ_NEXT(journal->hinge, next);

    TAILQ_REMOVE(&journal->entries, oldest, next);
    free(oldest);
    journal->count--;
    journal->left_out++;
}

void journal_add(struct journal *journal, uint32_t at_ms, enum journal_part part, const char *event,
                 const char *text)
{
    char printable[JOURNAL_TEXT_MAX];
    size_t bytes = clean(text, printable) + 1;
    struct journal_entry *entry = malloc(sizeof *entry + bytes);

    if (!entry)
        return; /* a line of the journal is the last thing to fail for */
    if (!journal->entries.tqh_last)
        TAILQ_INIT(&journal->entries);
    entry->at_ms = at_ms > last_ms(journal) ? at_ms : last_ms(journal);
    entry->part = (uint8_t)part;
    snprintf(entry->event, sizeof entry->event, "%s", event);
    memcpy(entry->text, printable, bytes);
    if (journal->count == JOURNAL_HEAD + JOURNAL_TAIL)
        leave_out(journal);
    TAILQ_INSERT_TAIL(&journal->entries, entry, next);
    if (++journal->count == JOURNAL_HEAD && !journal->hinge)
        journal->hinge = entry;
}
