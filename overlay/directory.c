#include "overlay/directory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <uthash.h>

struct entry {
    LIST_ENTRY(entry) next;
    struct owner *owner;
    uint64_t sequence;
    int64_t expires_s;
    bool is_withdrawn;
    uint64_t told[DIRECTORY_TOLD];
    uint8_t serial[CERTIFICATE_SERIAL_BYTES]; /* of its certificate */
    uint8_t signature[IDENTITY_SIGNATURE_BYTES];
    size_t bytes;
    uint8_t *record;
};

struct name {
    LIST_HEAD(, entry) entries;
    UT_hash_handle hh;
    char name[];
};

/* How many records a node has here. */
struct owner {
    uint8_t node[OVERLAY_NODE_ID_BYTES];
    unsigned count;
    UT_hash_handle hh;
};

struct directory {
    struct name *names;
    struct owner *owners;
    unsigned count, withdrawn;
    struct name *walked, *swept; /* the next ones of a walk, of a sweep; NULL: the first */
};

static void *allocate(size_t bytes)
{
    void *memory = calloc(1, bytes);

    if (!memory)
        abort();
    return memory;
}

struct directory *directory_new(void)
{
    return allocate(sizeof(struct directory));
}

static void entry_free(struct directory *directory, struct entry *entry)
{
    struct owner *owner = entry->owner;

    LIST_REMOVE(entry, next);
    directory->count--;
    directory->withdrawn -= entry->is_withdrawn;
    if (--owner->count == 0) {
        HASH_DEL(directory->owners, owner);
        free(owner);
    }
    free(entry->record);
    free(entry);
}

static void name_free_if_empty(struct directory *directory, struct name *name)
{
    if (!LIST_EMPTY(&name->entries))
        return;
    if (directory->walked == name)
        directory->walked = name->hh.next;
    if (directory->swept == name)
        directory->swept = name->hh.next;
    HASH_DEL(directory->names, name);
    free(name);
}

/* Frees the entries that are over at `now_s`, and the name when none is left. */
static void name_expire(struct directory *directory, struct name *name, int64_t now_s)
{
    for (struct entry *entry = LIST_FIRST(&name->entries), *after; entry; entry = after) {
        after = LIST_NEXT(entry, next);
        if (entry->expires_s <= now_s)
            entry_free(directory, entry);
    }
    name_free_if_empty(directory, name);
}

void directory_revoke(struct directory *directory, const struct identity *identity)
{
    struct name *name, *next_name;

    HASH_ITER(hh, directory->names, name, next_name)
    {
        for (struct entry *entry = LIST_FIRST(&name->entries), *after; entry; entry = after) {
            after = LIST_NEXT(entry, next);
            if (identity_is_revoked(identity, entry->serial))
                entry_free(directory, entry);
        }
        name_free_if_empty(directory, name);
    }
}

void directory_expire(struct directory *directory, int64_t now_s)
{
    struct name *name, *after;

    HASH_ITER(hh, directory->names, name, after)
    name_expire(directory, name, now_s);
}

void directory_free(struct directory *directory)
{
    directory_expire(directory, INT64_MAX);
    free(directory);
}

static struct entry *entry_find(struct name *name, const uint8_t *node)
{
    struct entry *entry;

    LIST_FOREACH(entry, &name->entries, next)
    if (memcmp(entry->owner->node, node, OVERLAY_NODE_ID_BYTES) == 0)
        return entry;
    return NULL;
}

static struct entry *entry_new(struct directory *directory, const struct record *record)
{
    const uint8_t *node = record->certificate.node;
    struct owner *owner;
    struct name *name;

    HASH_FIND(hh, directory->owners, node, OVERLAY_NODE_ID_BYTES, owner);
    if (directory->count >= DIRECTORY_RECORDS_MAX ||
        (owner && owner->count >= DIRECTORY_NODE_RECORDS_MAX))
        return NULL;
    if (!owner) {
        owner = allocate(sizeof *owner);
        memcpy(owner->node, node, OVERLAY_NODE_ID_BYTES);
        HASH_ADD(hh, directory->owners, node, OVERLAY_NODE_ID_BYTES, owner);
    }
    HASH_FIND_STR(directory->names, record->name, name);
    if (!name) {
        name = allocate(sizeof *name + strlen(record->name) + 1);
        strcpy(name->name, record->name);
        HASH_ADD_STR(directory->names, name, name);
    }

    struct entry *entry = allocate(sizeof *entry);
    entry->owner = owner;
    owner->count++;
    directory->count++;
    LIST_INSERT_HEAD(&name->entries, entry, next);
    return entry;
}

int directory_put(struct directory *directory, const struct record *record,
                  const Sallyport__SignedRecord *wire, uint64_t *held)
{
    struct name *name;
    struct entry *entry = NULL;

    HASH_FIND_STR(directory->names, record->name, name);
    if (name)
        entry = entry_find(name, record->certificate.node);
    if (entry && entry->sequence >= record->sequence) {
        *held = entry->sequence;
        return entry->sequence == record->sequence ? -EALREADY : -ESTALE;
    }
    if (!entry)
        entry = entry_new(directory, record);
    if (!entry)
        return -ENOSPC;

    directory->withdrawn += (unsigned)record->is_withdrawn - (unsigned)entry->is_withdrawn;
    entry->is_withdrawn = record->is_withdrawn;
    entry->sequence = record->sequence;
    memcpy(entry->serial, record->certificate.serial, sizeof entry->serial);
    entry->expires_s = record->issued_s + record->lifetime_s;
    if (entry->expires_s > record->certificate.not_after_s)
        entry->expires_s = record->certificate.not_after_s;
    memcpy(entry->signature, wire->signature.data, IDENTITY_SIGNATURE_BYTES);
    free(entry->record);
    entry->bytes = wire->record.len;
    entry->record = allocate(wire->record.len);
    memcpy(entry->record, wire->record.data, wire->record.len);
    return 0;
}

static void answer_fill(struct directory_answer *answer, const char *name,
                        const struct entry *entry)
{
    *answer = (struct directory_answer){
        .record = {.data = entry->record, .len = entry->bytes},
        .signature = {.data = (uint8_t *)entry->signature, .len = IDENTITY_SIGNATURE_BYTES},
        .name = name,
        .node = entry->owner->node,
        .sequence = entry->sequence,
        .is_withdrawn = entry->is_withdrawn,
        .told = (uint64_t *)entry->told,
    };
}

static int name_answers(const struct directory *directory, const char *key, int64_t now_s,
                        bool is_withdrawn, struct directory_answer *answers, int max)
{
    struct name *name;
    struct entry *entry;
    int count = 0;

    HASH_FIND_STR(directory->names, key, name);
    if (!name)
        return 0;
    LIST_FOREACH(entry, &name->entries, next)
    {
        if (entry->is_withdrawn != is_withdrawn || entry->expires_s <= now_s || count == max)
            continue;
        answer_fill(&answers[count++], name->name, entry);
    }
    return count;
}

int directory_find(const struct directory *directory, const char *asked, int64_t now_s,
                   struct directory_answer answers[DIRECTORY_ANSWERS_MAX])
{
    char key[OVERLAY_NAME_MAX];
    size_t length = strlen(asked);

    if (asked[0] != '+')
        return name_answers(directory, asked, now_s, false, answers, DIRECTORY_ANSWERS_MAX);
    if (length >= sizeof key)
        return 0;
    strcpy(key, asked);
    for (; length > 1; length--) {
        key[length] = '\0';
        int count = name_answers(directory, key, now_s, false, answers, DIRECTORY_ANSWERS_MAX);
        if (count > 0)
            return count;
    }
    return 0;
}

int directory_find_withdrawn(const struct directory *directory, const char *asked, int64_t now_s,
                             struct directory_answer answers[DIRECTORY_ANSWERS_MAX])
{
    char key[OVERLAY_NAME_MAX];
    size_t length = strlen(asked);
    int count = 0;

    if (length >= sizeof key)
        return 0;
    strcpy(key, asked);
    do {
        key[length] = '\0';
        count += name_answers(directory, key, now_s, true, &answers[count],
                              DIRECTORY_ANSWERS_MAX - count);
    } while (asked[0] == '+' && --length > 1);
    return count;
}

bool directory_was_served(const struct directory *directory, const char *asked)
{
    char key[OVERLAY_NAME_MAX];
    size_t length = strlen(asked);
    struct name *name;

    if (length >= sizeof key)
        return false;
    strcpy(key, asked);
    do {
        key[length] = '\0';
        HASH_FIND_STR(directory->names, key, name);
        if (name)
            return true;
    } while (asked[0] == '+' && --length > 1);
    return false;
}

void directory_each(const struct directory *directory, int64_t now_s,
                    bool (*each)(void *ctx, const struct directory_answer *answer), void *ctx)
{
    struct directory_answer answer;
    struct entry *entry;

    for (struct name *name = directory->names; name; name = name->hh.next) {
        LIST_FOREACH(entry, &name->entries, next)
        {
            if (entry->expires_s <= now_s)
                continue;
            answer_fill(&answer, name->name, entry);
            if (!each(ctx, &answer))
                return;
        }
    }
}

bool directory_walk(struct directory *directory, int64_t now_s, int names,
                    bool (*each)(void *ctx, const struct directory_answer *answer), void *ctx)
{
    struct name *name = directory->walked ? directory->walked : directory->names;
    struct directory_answer answer;
    struct entry *entry;
    bool goes_on = true;

    for (; name && goes_on && names > 0; names--, name = name->hh.next) {
        LIST_FOREACH(entry, &name->entries, next)
        {
            if (entry->expires_s <= now_s)
                continue;
            answer_fill(&answer, name->name, entry);
            goes_on &= each(ctx, &answer);
        }
    }
    directory->walked = name;
    return name == NULL;
}

void directory_walk_anew(struct directory *directory)
{
    directory->walked = NULL;
}

void directory_sweep(struct directory *directory, int names,
                     bool (*is_kept)(void *ctx, const char *name, const uint8_t *node), void *ctx)
{
    struct name *name = directory->swept ? directory->swept : directory->names, *after;

    for (; name && names > 0; names--, name = after) {
        after = name->hh.next;
        for (struct entry *entry = LIST_FIRST(&name->entries), *next; entry; entry = next) {
            next = LIST_NEXT(entry, next);
            if (!is_kept(ctx, name->name, entry->owner->node))
                entry_free(directory, entry);
        }
        name_free_if_empty(directory, name);
    }
    directory->swept = name;
}

bool directory_holds(const struct directory *directory, const char *key,
                     const Sallyport__SignedRecord *wire)
{
    struct name *name;
    struct entry *entry;

    HASH_FIND_STR(directory->names, key, name);
    if (!name || wire->signature.len != IDENTITY_SIGNATURE_BYTES)
        return false;
    LIST_FOREACH(entry, &name->entries, next)
    if (entry->bytes == wire->record.len &&
        memcmp(entry->signature, wire->signature.data, IDENTITY_SIGNATURE_BYTES) == 0 &&
        memcmp(entry->record, wire->record.data, entry->bytes) == 0)
        return true;
    return false;
}

uint64_t *directory_told(const struct directory *directory, const char *key,
                         const uint8_t node[OVERLAY_NODE_ID_BYTES])
{
    struct name *name;
    struct entry *entry = NULL;

    HASH_FIND_STR(directory->names, key, name);
    if (name)
        entry = entry_find(name, node);
    return entry ? entry->told : NULL;
}

unsigned directory_count(const struct directory *directory)
{
    return directory->count - directory->withdrawn;
}
