#include "overlay/answers.h"

#include "overlay/core_internal.h"

#include <stdlib.h>
#include <string.h>

void answers_fini(struct answers *answers)
{
    while (answers->count > 0)
        record_signed_fini(&answers->answer[--answers->count].wire);
}

static void copy(ProtobufCBinaryData *to, const ProtobufCBinaryData *from)
{
    to->len = from->len;
    to->data = core_alloc(from->len + 1);
    if (from->len)
        memcpy(to->data, from->data, from->len);
}

/* That of its older one, a new one, or that of a shorter name. NULL: what is there is as good. */
static struct answer *find_place(struct answers *answers, const struct directory_answer *told)
{
    struct answer *shortest = NULL;
    size_t length = strlen(told->name);

    for (int i = 0; i < answers->count; i++) {
        struct answer *answer = &answers->answer[i];
        if (answer->name_length == length &&
            memcmp(answer->node, told->node, OVERLAY_NODE_ID_BYTES) == 0)
            return answer->sequence < told->sequence ? answer : NULL;
        if (!shortest || answer->name_length < shortest->name_length)
            shortest = answer;
    }
    if (answers->count < ANSWERS_MAX)
        return &answers->answer[answers->count++];
    return shortest->name_length < length ? shortest : NULL;
}

void answers_put(struct answers *answers, const struct directory_answer *told)
{
    struct answer *answer = find_place(answers, told);

    if (!answer)
        return;
    record_signed_fini(&answer->wire);
    memcpy(answer->node, told->node, OVERLAY_NODE_ID_BYTES);
    answer->sequence = told->sequence;
    answer->name_length = strlen(told->name);
    answer->is_withdrawn = told->is_withdrawn;
    sallyport__signed_record__init(&answer->wire);
    copy(&answer->wire.record, &told->record);
    copy(&answer->wire.signature, &told->signature);
}

static bool is_same(const ProtobufCBinaryData *a, const ProtobufCBinaryData *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

bool answers_hold(const struct answers *answers, const Sallyport__SignedRecord *wire)
{
    for (int i = 0; i < answers->count; i++) {
        const Sallyport__SignedRecord *held = &answers->answer[i].wire;
        if (is_same(&held->record, &wire->record) && is_same(&held->signature, &wire->signature))
            return true;
    }
    return false;
}

int answers_choose(const struct answers *answers, const Sallyport__SignedRecord **list, int max)
{
    size_t longest = 0;
    int count = 0;

    for (int i = 0; i < answers->count; i++)
        if (!answers->answer[i].is_withdrawn && answers->answer[i].name_length > longest)
            longest = answers->answer[i].name_length;
    for (int i = 0; i < answers->count && count < max; i++)
        if (!answers->answer[i].is_withdrawn && answers->answer[i].name_length == longest)
            list[count++] = &answers->answer[i].wire;
    return count;
}
