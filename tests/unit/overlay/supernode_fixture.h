/* A supernode's core among supernodes and clients that the test plays, of version 2. */
#ifndef TESTS_SUPERNODE_FIXTURE_H
#define TESTS_SUPERNODE_FIXTURE_H

#include "tests/unit/overlay/core_fixture.h"

/* What a supernode says of itself when all is well. */
static inline struct statement fixture_statement(const struct identity *identity, uint64_t sequence)
{
    struct statement statement = {.sequence = sequence,
                                  .instance = 1,
                                  .issued_s = time(NULL),
                                  .lifetime_s = 600,
                                  .version = 2,
                                  .seats = 100};

    snprintf(statement.address, sizeof statement.address, "%.64s.example:443",
             identity_certificate(identity)->site);
    return statement;
}

static inline void stand_members(struct stand *stand, core_link link, Sallyport__Members *members)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;

    envelope.body_case = SALLYPORT__ENVELOPE__BODY_MEMBERS;
    envelope.members = members;
    stand_give(stand, link, &envelope);
}

/* By this link comes what `signer` says of itself. */
static inline void stand_tell(struct stand *stand, core_link link, const struct identity *signer,
                              const struct statement *statement)
{
    Sallyport__Members members = SALLYPORT__MEMBERS__INIT;
    Sallyport__SignedMember wire, *list = &wire;

    statement_sign(signer, statement, &wire);
    members.members = &list;
    members.n_members = 1;
    stand_members(stand, link, &members);
    statement_signed_fini(&wire);
}

/* The same with a field that nobody knows, so that the statement has so many bytes. */
static inline void stand_tell_padded(struct stand *stand, core_link link,
                                     const struct identity *signer, size_t bytes)
{
    static const char label[] = "sallyport member";
    struct statement statement = fixture_statement(signer, 5);
    Sallyport__Members members = SALLYPORT__MEMBERS__INIT;
    Sallyport__SignedMember wire, *list = &wire;

    statement_sign(signer, &statement, &wire);
    size_t pad = bytes - wire.member.len - 4, all = sizeof label + bytes;
    uint8_t *data = calloc(1, all), *at = data + sizeof label;
    memcpy(data, label, sizeof label);
    memcpy(at, wire.member.data, wire.member.len);
    at += wire.member.len;
    *at++ = 0xa2; /* field 100, a string; `pad` bytes, as two bytes of a varint */
    *at++ = 0x06;
    *at++ = (uint8_t)(0x80 | (pad & 0x7f));
    *at++ = (uint8_t)(pad >> 7);
    memset(at, 'x', pad);
    identity_sign(signer, data, all, wire.signature.data);
    free(wire.member.data);
    wire.member.data = data + sizeof label;
    wire.member.len = bytes;
    members.members = &list;
    members.n_members = 1;
    stand_members(stand, link, &members);
    free(data);
    free(wire.signature.data);
}

/* By this link comes that `whom` does not answer `accuser`. */
static inline void stand_accuse(struct stand *stand, core_link link, const struct identity *accuser,
                                const struct identity *whom, uint64_t sequence)
{
    Sallyport__Members members = SALLYPORT__MEMBERS__INIT;
    struct accusation accusation = {.sequence = sequence};
    Sallyport__Down wire, *list = &wire;

    memcpy(accusation.node, identity_certificate(whom)->node, sizeof accusation.node);
    accusation_sign(accuser, &accusation);
    accusation_encode(&wire, &accusation);
    members.downs = &list;
    members.n_downs = 1;
    stand_members(stand, link, &members);
}

/* The Hello of a supernode with its statement. */
static inline void stand_fellow(struct stand *stand, core_link link,
                                const struct identity *identity, uint64_t sequence)
{
    struct statement statement = fixture_statement(identity, sequence);
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Hello hello = SALLYPORT__HELLO__INIT;
    Sallyport__SignedMember wire;

    core_on_link_up(stand->core, link, true, identity_certificate(identity), NULL);
    statement_sign(identity, &statement, &wire);
    hello.version = 2;
    hello.supernode = true;
    hello.address = statement.address;
    hello.member = &wire;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_HELLO;
    envelope.hello = &hello;
    stand_give(stand, link, &envelope);
    statement_signed_fini(&wire);
}

/* The Hello of a plain node. */
static inline void stand_client(struct stand *stand, core_link link,
                                const struct identity *identity, unsigned calls)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Hello hello = SALLYPORT__HELLO__INIT;

    core_on_link_up(stand->core, link, true, identity_certificate(identity), NULL);
    hello.version = 2;
    hello.calls = calls;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_HELLO;
    envelope.hello = &hello;
    stand_give(stand, link, &envelope);
}

/* A supernode welcomes on a link that the core dialled. */
static inline void stand_welcome_as(struct stand *stand, core_link link,
                                    const struct identity *identity,
                                    const Sallyport__Welcome *values)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Welcome welcome = *values;

    core_on_link_up(stand->core, link, false, identity_certificate(identity), NULL);
    welcome.version = 2;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_WELCOME;
    envelope.welcome = &welcome;
    stand_give(stand, link, &envelope);
}

/* Answers the Ping that was sent last on this link; false: there is none. */
static inline bool stand_pong(struct stand *stand, core_link link)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Pong pong = SALLYPORT__PONG__INIT;
    const Sallyport__Envelope *ping = stand_sent(stand, link, SALLYPORT__ENVELOPE__BODY_PING);

    if (!ping)
        return false;
    pong.number = ping->ping->number;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_PONG;
    envelope.pong = &pong;
    stand_give(stand, link, &envelope);
    return true;
}

static inline struct member *stand_member(const struct stand *stand,
                                          const struct identity *identity)
{
    return members_find(stand->core, identity_certificate(identity)->node);
}

static inline bool stand_lives(const struct stand *stand, const struct identity *identity)
{
    const struct member *member = stand_member(stand, identity);

    return member && !member->is_down;
}

/* How many statements of this node were sent by `link` (0: any). */
static inline int stand_statements(struct stand *stand, core_link link,
                                   const struct identity *identity)
{
    const struct certificate *whose = identity_certificate(identity);
    int count = 0;

    for (int i = 0; i < stand->frames; i++) {
        const Sallyport__Envelope *envelope = stand->frame[i].envelope;
        if ((link && stand->frame[i].link != link) ||
            envelope->body_case != SALLYPORT__ENVELOPE__BODY_MEMBERS)
            continue;
        for (size_t k = 0; k < envelope->members->n_members; k++) {
            Sallyport__Member *member =
                sallyport__member__unpack(NULL, envelope->members->members[k]->member.len,
                                          envelope->members->members[k]->member.data);
            count += member->certificate.len == whose->der_bytes &&
                     memcmp(member->certificate.data, whose->der, whose->der_bytes) == 0;
            sallyport__member__free_unpacked(member, NULL);
        }
    }
    return count;
}

/* How many accusations of this node were sent by `link` (0: any). */
static inline int stand_downs(struct stand *stand, core_link link, const struct identity *identity)
{
    int count = 0;

    for (int i = 0; i < stand->frames; i++) {
        const Sallyport__Envelope *envelope = stand->frame[i].envelope;
        if ((link && stand->frame[i].link != link) ||
            envelope->body_case != SALLYPORT__ENVELOPE__BODY_MEMBERS)
            continue;
        for (size_t k = 0; k < envelope->members->n_downs; k++)
            count += memcmp(envelope->members->downs[k]->node.data,
                            identity_certificate(identity)->node, OVERLAY_NODE_ID_BYTES) == 0;
    }
    return count;
}

static int fixture_compare(const void *left, const void *right)
{
    return memcmp(identity_certificate(*(struct identity *const *)left)->node,
                  identity_certificate(*(struct identity *const *)right)->node,
                  OVERLAY_NODE_ID_BYTES);
}

/* In the order of the ring: the first is the one after `self`. */
static inline void fixture_ring(struct identity **all, int count, const struct identity *self)
{
    struct identity *sorted[64];
    int first = 0;

    if (count > 64)
        abort();
    qsort(all, (size_t)count, sizeof *all, fixture_compare);
    while (first < count && memcmp(identity_certificate(all[first])->node,
                                   identity_certificate(self)->node, OVERLAY_NODE_ID_BYTES) < 0)
        first++;
    for (int i = 0; i < count; i++)
        sorted[i] = all[(first + i) % count];
    memcpy(all, sorted, (size_t)count * sizeof *all);
}

static inline void fixture_supernodes(const struct realm *realm, struct identity **out, int count)
{
    char site[16];

    for (int i = 0; i < count; i++) {
        snprintf(site, sizeof site, "s%d", i);
        out[i] = fixture_identity(realm, site, CONF_ROLE_SUPERNODE);
    }
}

#endif
