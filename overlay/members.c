#include "overlay/core_internal.h"
#include "overlay/spread.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* Accusations of a member that lives, which it may make at once; then one a second. */
#define WRONG_BURST 100
#define WRONG_PER_S 1
/* An accusation that was answered so soon was wrong; later, it was not for nothing. */
#define WRONG_WITHIN_MS 10000
/* Statements of one member; each costs all others something. */
#define SAID_PER_S 2
#define SAID_BURST 200
#define SEQUENCE_MAX (UINT64_MAX / 2)

/* ---- the ring ---------------------------------------------------------------------------------
 */

static int compare_node(const struct member *a, const uint8_t *node)
{
    return memcmp(a->node, node, OVERLAY_NODE_ID_BYTES);
}

/* Where `node` stands in the ring, or should stand. */
static int find_place(const struct members *members, const uint8_t *node)
{
    int low = 0, high = members->live_count;

    while (low < high) {
        int middle = (low + high) / 2;
        if (compare_node(members->live[middle], node) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void ring_add(struct core *core, struct member *member)
{
    struct members *members = core->members;
    int place = find_place(members, member->node);

    if (members->live_count == members->room) {
        members->room = members->room ? 2 * members->room : 16;
        members->live = realloc(members->live, (size_t)members->room * sizeof *members->live);
        if (!members->live)
            abort();
    }
    memmove(&members->live[place + 1], &members->live[place],
            (size_t)(members->live_count - place) * sizeof *members->live);
    members->live[place] = member;
    members->live_count++;
    member->unlinked_ms = core_now(core);
    serve_news(core);
    pulse_soon(core);
    spread_members_changed(core);
}

static void ring_remove(struct core *core, struct member *member)
{
    struct members *members = core->members;
    int place = find_place(members, member->node);

    if (place == members->live_count || members->live[place] != member)
        return;
    members->live_count--;
    memmove(&members->live[place], &members->live[place + 1],
            (size_t)(members->live_count - place) * sizeof *members->live);
    pulse_soon(core);
    spread_members_changed(core);
}

struct member *members_next(const struct core *core, int distance)
{
    const struct members *members = core->members;

    if (distance >= members->live_count)
        return NULL;
    int place = find_place(members, core->self->node);
    return members->live[(place + distance) % members->live_count];
}

int members_ring(const struct core *core, struct member *out[RING_LINKS_MAX])
{
    struct member *member;
    int count = 0;

    for (int distance = 1; count < RING_LINKS_MAX && (member = members_next(core, distance));
         distance = distance < RING_NEXT    ? distance + 1
                    : distance == RING_NEXT ? 4
                                            : 2 * distance)
        out[count++] = member;
    return count;
}

/* ---- the table --------------------------------------------------------------------------------
 */

struct member *members_find(const struct core *core, const uint8_t node[OVERLAY_NODE_ID_BYTES])
{
    struct member *member = NULL;

    if (core->members)
        HASH_FIND(hh, core->members->table, node, OVERLAY_NODE_ID_BYTES, member);
    return member;
}

struct member *members_find_address(const struct core *core, const char *address)
{
    for (int i = 0; core->members && i < core->members->live_count; i++)
        if (strcmp(core->members->live[i]->address, address) == 0)
            return core->members->live[i];
    return NULL;
}

static void forget_wire(struct core *core, struct member *member)
{
    if (member->data)
        HASH_DELETE(hh_signature, core->members->by_signature, member);
    free(member->data);
    member->data = NULL;
}

static void member_free(struct core *core, struct member *member)
{
    ring_remove(core, member);
    if (member->dialling)
        member->dialling->member = NULL;
    HASH_DELETE(hh, core->members->table, member);
    forget_wire(core, member);
    free(member);
}

static struct member *member_new(struct core *core, const struct statement *statement)
{
    struct members *members = core->members;

    if (HASH_COUNT(members->table) >= MEMBERS_MAX)
        members_expire(core);
    if (HASH_COUNT(members->table) >= MEMBERS_MAX)
        return NULL;
    struct member *member = core_alloc(sizeof *member);
    memcpy(member->node, statement->certificate.node, sizeof member->node);
    memcpy(member->public_key, statement->certificate.public_key, sizeof member->public_key);
    member->hash = members_hash(member->node, sizeof member->node);
    member->is_self = memcmp(member->node, core->self->node, sizeof member->node) == 0;
    if (member->is_self)
        members->self = member;
    HASH_ADD(hh, members->table, node, OVERLAY_NODE_ID_BYTES, member);
    return member;
}

static void keep_wire(struct core *core, struct member *member, const Sallyport__SignedMember *wire)
{
    forget_wire(core, member);
    member->bytes = wire->member.len;
    member->data = malloc(member->bytes);
    if (!member->data)
        abort();
    memcpy(member->data, wire->member.data, member->bytes);
    memcpy(member->signature, wire->signature.data, sizeof member->signature);
    HASH_ADD(hh_signature, core->members->by_signature, signature, sizeof member->signature,
             member);
}

/* It lives although somebody said that it does not. */
static void refuted(struct core *core, struct member *member)
{
    struct member *accuser = members_find(core, member->down.accuser);
    bool was_wrong = core_now(core) < member->down_ms + WRONG_WITHIN_MS;

    if (accuser && accuser->is_self)
        member->wrongly = was_wrong ? member->wrongly + 1 : 0;
    else if (accuser && accuser != member && was_wrong)
        (void)bucket_take(&accuser->wrong, core_now(core), WRONG_PER_S, WRONG_BURST);
    log_info(LOG_OVERLAY, NULL, "supernode %s (%s) lives", member->address, member->site);
}

static void fill(struct core *core, struct member *member, const struct statement *statement)
{
    bool was_new = member->heard_ms == 0;

    if (strcmp(member->address, statement->address) != 0)
        member->failures = 0;
    strcpy(member->address, statement->address);
    /* its certificate may be a new one */
    memcpy(member->serial, statement->certificate.serial, sizeof member->serial);
    snprintf(member->site, sizeof member->site, "%s", statement->certificate.site);
    member->sequence = statement->sequence;
    member->version = statement->version;
    member->seats = statement->seats;
    member->clients = statement->clients;
    member->willing = statement->willing;
    member->records = statement->records;
    member->is_invited = statement->is_invited;
    member->heard_ms = core_now(core);
    member->until_ms = member->heard_ms + 1000 * (uint64_t)statement->lifetime_s;
    if (member->instance != statement->instance && !was_new)
        spread_members_changed(core);
    member->instance = statement->instance;
    if (member->is_leaving != statement->is_leaving) {
        member->is_leaving = statement->is_leaving;
        if (!was_new)
            spread_members_changed(core);
    }
}

/* Is it what we know already? Then it need not be verified. */
static bool is_known(struct core *core, const Sallyport__SignedMember *wire)
{
    struct member *member = NULL;

    if (wire->signature.len == sizeof member->signature)
        HASH_FIND(hh_signature, core->members->by_signature, wire->signature.data,
                  sizeof member->signature, member);
    return member && member->bytes == wire->member.len &&
           memcmp(member->data, wire->member.data, member->bytes) == 0;
}

int members_take(struct core *core, const Sallyport__SignedMember *wire, char *why,
                 size_t why_bytes)
{
    struct statement *statement;
    int error;

    if (is_known(core, wire))
        return 0;
    statement = core_alloc(sizeof *statement);
    error = statement_verify(&core->trust, wire, core->io.time_s(core->io.ctx), statement, why,
                             why_bytes);
    struct member *member = error ? NULL : members_find(core, statement->certificate.node);
    if (error || (member && member->sequence >= statement->sequence)) {
        free(statement);
        return error;
    }
    bool is_own = memcmp(statement->certificate.node, core->self->node, sizeof member->node) == 0;
    if (is_own && statement->instance != core->members->instance) {
        /* an earlier life of ours, whose clock was ahead */
        if (core->sequence < statement->sequence)
            core->sequence = statement->sequence;
        gossip_say(core, false);
        free(statement);
        return 0;
    }
    if (member && !is_own && !bucket_take(&member->said, core_now(core), SAID_PER_S, SAID_BURST)) {
        snprintf(why, why_bytes, "%.60s says too much", member->site);
        free(statement);
        return -EBUSY;
    }
    if (!member)
        member = member_new(core, statement);
    if (!member) {
        snprintf(why, why_bytes, "there are too many supernodes");
        free(statement);
        return -ENOSPC;
    }
    bool was_out = member->is_down || member->heard_ms == 0;
    if (member->is_down)
        refuted(core, member);
    member->is_down = false;
    fill(core, member, statement);
    keep_wire(core, member, wire);
    if (was_out)
        ring_add(core, member);
    member->is_news = true;
    free(statement);
    return 1;
}

int members_accuse(struct core *core, const struct accusation *accusation)
{
    struct member *member = members_find(core, accusation->node);
    struct member *accuser = members_find(core, accusation->accuser);

    if (!member || !accuser || member->is_down || accusation->sequence < member->sequence ||
        (accuser != member &&
         accuser->wrong.full_us > 1000 * core_now(core) + (WRONG_BURST - 1) * 1000000ull))
        return 0;
    if (accusation->sequence > SEQUENCE_MAX ||
        !accusation_is_signed(accusation, accuser->public_key))
        return -EACCES;
    if (member->is_self) {
        (void)bucket_take(&accuser->wrong, core_now(core), WRONG_PER_S, WRONG_BURST);
        gossip_say(core, true);
        return 0;
    }
    log_info(LOG_OVERLAY, NULL, "supernode %s (%s) is down: %s%s", member->address, member->site,
             accuser == member ? "it says goodbye" : "it does not answer ",
             accuser == member  ? ""
             : accuser->is_self ? "us"
                                : accuser->address);
    member->is_down = true;
    member->down = *accusation;
    member->down_ms = core_now(core);
    member->is_news = false;
    member->is_down_news = true;
    ring_remove(core, member);
    return 1;
}

void members_revoke(struct core *core)
{
    struct member *member, *after;

    if (!core->members)
        return;
    HASH_ITER(hh, core->members->table, member, after)
    if (!member->is_self && identity_is_revoked(core->identity, member->serial))
        member_free(core, member);
}

void members_expire(struct core *core)
{
    struct member *member, *after;

    HASH_ITER(hh, core->members->table, member, after)
    if (!member->is_self && member->until_ms <= core_now(core))
        member_free(core, member);
}

/* ---- who holds what ---------------------------------------------------------------------------
 */

uint64_t members_hash(const void *data, size_t bytes)
{
    static const uint8_t zero[crypto_shorthash_KEYBYTES];
    uint8_t hash[crypto_shorthash_BYTES];
    uint64_t number = 0;

    crypto_shorthash(hash, data, bytes, zero);
    for (int i = 7; i >= 0; i--)
        number = number << 8 | hash[i];
    return number;
}

/* The last step of splitmix64. */
static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static int rank(const struct members *members, uint64_t key, bool with_leaving,
                struct member *out[HOLDERS])
{
    uint64_t scores[HOLDERS];
    int count = 0;

    for (int i = 0; i < members->live_count; i++) {
        struct member *member = members->live[i];
        uint64_t score = mix(key ^ member->hash);
        int at = count;
        if (member->is_leaving && !with_leaving)
            continue;
        while (at > 0 && scores[at - 1] < score)
            at--;
        if (at == HOLDERS)
            continue;
        if (count < HOLDERS)
            count++;
        for (int k = count - 1; k > at; k--) {
            scores[k] = scores[k - 1];
            out[k] = out[k - 1];
        }
        scores[at] = score;
        out[at] = member;
    }
    return count;
}

int members_rank(const struct core *core, uint64_t key, struct member *out[HOLDERS])
{
    int count = rank(core->members, key, false, out);

    return count > 0 ? count : rank(core->members, key, true, out);
}

static const size_t key_lengths[KEYS_MAX] = {2, 4, 6, 8}; /* of numbers, with their '+' */

int members_keys(const char *name, uint64_t keys[KEYS_MAX])
{
    size_t length = strlen(name);
    int count = 0;

    if (name[0] != '+') {
        keys[0] = members_hash(name, length);
        return 1;
    }
    while (count < KEYS_MAX && key_lengths[count] <= length) {
        keys[count] = members_hash(name, key_lengths[count]);
        count++;
    }
    return count;
}

uint64_t members_key(const char *name)
{
    uint64_t keys[KEYS_MAX];
    int count = members_keys(name, keys);

    return count > 0 ? keys[count - 1] : members_hash(name, strlen(name));
}

/* ---- life -------------------------------------------------------------------------------------
 */

void members_close(struct core *core)
{
    struct members *members = core->members;
    struct member *member, *after;

    if (!members)
        return;
    core_timer_stop(core, &members->flush_timer);
    core_timer_stop(core, &members->say_timer);
    core_timer_stop(core, &members->compare_timer);
    core_timer_stop(core, &members->pulse_timer);
    HASH_ITER(hh, members->table, member, after)
    {
        if (member->dialling)
            member->dialling->member = NULL;
        HASH_DELETE(hh, members->table, member);
        forget_wire(core, member);
        free(member);
    }
    free(members->live);
    free(members);
    core->members = NULL;
}
