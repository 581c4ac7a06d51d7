/* Frames into cores in each role: a supernode hears strangers, clients and fellows, a node hears
 * its supernode; with real signatures and seals around what the fuzzer makes, so that it gets past
 * them.
 *
 * The input is a list of steps: one byte that says what, two of length, and that many bytes. */
#include "overlay/call.h"
#include "overlay/core_internal.h"
#include "overlay/realm.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STEPS_MAX 24
#define FRAMES_KEPT 8

enum step {
    STEP_STRANGER, /* a frame on a link that has not greeted */
    STEP_CLIENT,
    STEP_FELLOW,
    STEP_UPSTREAM,
    STEP_OFFER,  /* a CallMessage, signed by a caller, sealed to the node's certificate */
    STEP_REPLY,  /* a CallMessage, signed by the callee of the node's own call */
    STEP_RECORD, /* a Record, signed by the client */
    STEP_TIME,
    STEP_MEMBER,  /* a Member, signed by the fellow */
    STEP_DOWN,    /* a Down, signed by the fellow or the other one */
    STEP_DIALLED, /* a frame on a link that the node has dialled and that has not welcomed */
    STEP_REACHED, /* the same of the supernode */
    STEPS
};

#define UP_MS 33000 /* after which a node is willing to serve */

/* A core and what it sent last. */
struct party {
    struct core *core;
    const struct identity *identity;
    uint64_t wake_ms;
    core_link dialled, home; /* the last link, and the one that has welcomed */
    size_t bytes[FRAMES_KEPT];
    uint8_t *frame[FRAMES_KEPT];
    unsigned sent;
};

static struct identity *supernode, *fellow, *third, *berlin, *paris;
static uint64_t now_ms, dice;
static int64_t start_s;
static struct party hub, node;
static struct overlay_call *own_call;
static uint8_t own_call_key[32], own_call_id[CALL_ID_BYTES];

static struct identity *make(const struct realm *realm, const char *site, unsigned roles)
{
    struct overlay_enrolment enrolment = {.site = site, .roles = roles, .days = 30};
    struct identity *identity;
    char why[200], *pem;

    if (realm_issue(realm, &enrolment, time(NULL), &pem, NULL, why, sizeof why) < 0 ||
        identity_parse(pem, strlen(pem), &identity, why, sizeof why) < 0)
        abort();
    free(pem);
    return identity;
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct realm realm;
    char why[200];

    (void)argc;
    (void)argv;
    log_set_level(LOG_OVERLAY, LOG_ERROR);
    if (realm_make(&realm, "fuzz", 99, why, sizeof why) < 0)
        abort();
    supernode = make(&realm, "hub", CONF_ROLE_SUPERNODE | CONF_ROLE_RELAY | CONF_ROLE_GATEWAY);
    fellow = make(&realm, "other", CONF_ROLE_SUPERNODE);
    third = make(&realm, "third", CONF_ROLE_SUPERNODE);
    berlin = make(&realm, "berlin", CONF_ROLE_GATEWAY | CONF_ROLE_SUPERNODE);
    paris = make(&realm, "paris", CONF_ROLE_GATEWAY);
    realm_fini(&realm);
    start_s = time(NULL);
    return 0;
}

/* ---- the I/O side ------------------------------------------------------------------------------
 */

static uint64_t io_now_ms(void *ctx)
{
    (void)ctx;
    return now_ms;
}

static int64_t io_time_s(void *ctx)
{
    (void)ctx;
    return start_s + (int64_t)(now_ms / 1000);
}

static void io_random(void *ctx, void *bytes, size_t count)
{
    (void)ctx;
    for (size_t i = 0; i < count; i++) {
        dice = dice * 6364136223846793005u + 1442695040888963407u;
        ((uint8_t *)bytes)[i] = (uint8_t)(dice >> 56);
    }
}

static void io_dial(void *ctx, core_link link, const char *address)
{
    (void)address;
    ((struct party *)ctx)->dialled = link;
}

static int io_send(void *ctx, core_link link, const uint8_t *frame, size_t bytes)
{
    struct party *party = ctx;
    unsigned place = party->sent++ % FRAMES_KEPT;

    (void)link;
    free(party->frame[place]);
    party->frame[place] = malloc(bytes);
    memcpy(party->frame[place], frame, bytes);
    party->bytes[place] = bytes;
    return 0;
}

static void io_close(void *ctx, core_link link, const char *why)
{
    (void)ctx;
    (void)link;
    (void)why;
}

static void io_wake(void *ctx, uint64_t at_ms)
{
    ((struct party *)ctx)->wake_ms = at_ms;
}

static void io_defer(void *ctx)
{
    (void)ctx;
}

static void on_end(void *ctx, const struct call_cause *cause)
{
    (void)cause;
    if (ctx == &own_call)
        own_call = NULL;
}

static const struct overlay_call_events call_events = {.on_end = on_end};

/* What it does depends on what is dialled, so that the fuzzer reaches all of it. */
static void on_offer(void *ctx, struct overlay_call *call, const struct overlay_offer *offer)
{
    struct overlay_media media = {.codec = offer->codecs.codec[0], .direction = MEDIA_SENDRECV};
    struct call_cause cause = call_cause(CALL_BUSY, NULL);

    (void)ctx;
    overlay_call_accept(call, &call_events, NULL);
    overlay_call_ring(call);
    if (offer->dialled[0] & 1)
        overlay_call_progress(call, &media);
    if (offer->dialled[0] & 2)
        overlay_call_answer(call, &media);
    if (offer->dialled[0] & 4)
        overlay_call_end(call, &cause);
}

static const struct overlay_events events = {.on_offer = on_offer};

static void open_party(struct party *party, const struct identity *identity, unsigned roles,
                       const char *address)
{
    struct core_settings settings = {
        .identity = identity, .roles = roles, .address = address, .may_serve = true};
    struct core_io io = {.ctx = party,
                         .now_ms = io_now_ms,
                         .time_s = io_time_s,
                         .random = io_random,
                         .dial = io_dial,
                         .send = io_send,
                         .close = io_close,
                         .wake = io_wake,
                         .defer = io_defer,
                         .events = &events};

    *party = (struct party){.identity = identity};
    if (!(roles & CONF_ROLE_SUPERNODE))
        settings.supernodes[settings.supernode_count++] = "hub.example:443";
    if (core_new(&settings, &io, &party->core) < 0)
        abort();
    core_tick(party->core);
    core_deliver(party->core);
}

static void close_party(struct party *party)
{
    core_free(party->core);
    for (int i = 0; i < FRAMES_KEPT; i++)
        free(party->frame[i]);
}

/* ---- frames that are true ----------------------------------------------------------------------
 */

static void give(struct party *party, core_link link, Sallyport__Envelope *envelope)
{
    size_t bytes = sallyport__envelope__get_packed_size(envelope);
    uint8_t *frame = malloc(bytes + 1);

    sallyport__envelope__pack(envelope, frame);
    core_on_frame(party->core, link, frame, bytes);
    free(frame);
}

static struct statement statement_of(const char *address)
{
    struct statement statement = {
        .sequence = 5, .issued_s = io_time_s(NULL), .lifetime_s = 600, .version = 2, .seats = 100};

    strcpy(statement.address, address);
    return statement;
}

static void greet(core_link link, const struct identity *identity, bool is_supernode)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Hello hello = SALLYPORT__HELLO__INIT;
    struct statement statement = statement_of("other.example:443");
    Sallyport__SignedMember member;

    core_on_link_up(hub.core, link, true, identity_certificate(identity), NULL);
    statement_sign(identity, &statement, &member);
    hello.version = 2;
    hello.supernode = is_supernode;
    hello.member = &member;
    hello.address = (char *)"other.example:443";
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_HELLO;
    envelope.hello = &hello;
    give(&hub, link, &envelope);
    statement_signed_fini(&member);
}

/* By the fellow's link the hub hears of supernodes. */
static void give_members(Sallyport__SignedMember *member, Sallyport__Down *down)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Members members = SALLYPORT__MEMBERS__INIT;

    members.members = &member;
    members.n_members = member ? 1 : 0;
    members.downs = &down;
    members.n_downs = down ? 1 : 0;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_MEMBERS;
    envelope.members = &members;
    give(&hub, 0x80000003, &envelope);
}

/* The hub knows of one more supernode, and dials it. */
static void tell_of_third(void)
{
    struct statement statement = statement_of("third.example:443");
    Sallyport__SignedMember member;

    statement_sign(third, &statement, &member);
    give_members(&member, NULL);
    statement_signed_fini(&member);
    core_tick(hub.core);
    if (hub.dialled)
        core_on_link_up(hub.core, hub.dialled, false, identity_certificate(third), NULL);
}

static Sallyport__Envelope *last_sent(const struct party *party, int body)
{
    for (unsigned i = party->sent; i-- > 0 && party->sent - i <= FRAMES_KEPT;) {
        Sallyport__Envelope *envelope = sallyport__envelope__unpack(
            NULL, party->bytes[i % FRAMES_KEPT], party->frame[i % FRAMES_KEPT]);
        if (envelope && (int)envelope->body_case == body)
            return envelope;
        if (envelope)
            sallyport__envelope__free_unpacked(envelope, NULL);
    }
    return NULL;
}

/* The node is attached, and its call to paris has been offered. */
static void open_node(void)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Welcome welcome = SALLYPORT__WELCOME__INIT;
    Sallyport__Found found = SALLYPORT__FOUND__INIT;
    Sallyport__SignedRecord wire, *list = &wire;
    struct overlay_call_request request = {.call_id = "0123456789abcdef",
                                           .to = "202@paris",
                                           .caller = "201",
                                           .codecs = {.codec = {CODEC_OPUS}, .count = 1}};

    node.home = node.dialled;
    core_on_link_up(node.core, node.home, false, identity_certificate(supernode), NULL);
    welcome.version = 2;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_WELCOME;
    envelope.welcome = &welcome;
    give(&node, node.home, &envelope);
    core_reachable(node.core, true);
    core_add_host(node.core, "other.example:443");
    core_tick(node.core);
    core_on_link_up(node.core, node.dialled, false, identity_certificate(fellow), NULL);
    if (core_call_new(node.core, &request, &call_events, &own_call, &own_call) < 0)
        abort();

    struct record *record = calloc(1, sizeof *record);
    strcpy(record->name, "paris");
    record->issued_s = io_time_s(NULL);
    record->lifetime_s = 600;
    record_sign(paris, record, &wire);
    free(record);
    Sallyport__Envelope *asked = last_sent(&node, SALLYPORT__ENVELOPE__BODY_LOOKUP);
    found.request = asked->lookup->request;
    found.records = &list;
    found.n_records = 1;
    sallyport__envelope__free_unpacked(asked, NULL);
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_FOUND;
    envelope.found = &found;
    give(&node, node.home, &envelope);
    record_signed_fini(&wire);
    memcpy(own_call_key, own_call->our_public, sizeof own_call_key);
    memcpy(own_call_id, own_call->name.call, sizeof own_call_id);
}

/* ---- steps -------------------------------------------------------------------------------------
 */

/* Signs and seals what the fuzzer says, as `signer` would. */
static void give_call(const struct identity *signer, const uint8_t *key, const uint8_t *message,
                      size_t bytes)
{
    struct party sender = {.identity = signer};
    struct core *borrowed = core_alloc(sizeof *borrowed);
    struct peer *peer = core_alloc(sizeof *peer);
    struct homes homes = {.count = 0};
    struct call_letter letter = {.to = identity_certificate(berlin),
                                 .key = key,
                                 .homes = &homes,
                                 .message = message,
                                 .bytes = bytes};

    /* Just enough of a core to send one letter. */
    borrowed->identity = signer;
    borrowed->self = identity_certificate(signer);
    borrowed->io =
        (struct core_io){.ctx = &sender, .now_ms = io_now_ms, .random = io_random, .send = io_send};
    borrowed->upstream[0] = peer;
    borrowed->upstream_count = 1;
    peer->core = borrowed;
    peer->is_up = true;
    call_letter_send(borrowed, &letter, NULL, NULL);
    if (sender.sent > 0)
        core_on_frame(node.core, node.home, sender.frame[0], sender.bytes[0]);
    free(sender.frame[0]);
    free(peer);
    free(borrowed);
}

static void step_call(bool is_reply, const uint8_t *data, size_t bytes)
{
    Sallyport__CallMessage *message = sallyport__call_message__unpack(NULL, bytes, data);

    if (!message)
        return;
    /* What chance would never find. */
    uint8_t *held = message->call.data;
    size_t held_bytes = message->call.len;
    if (is_reply) {
        message->call.data = own_call_id;
        message->call.len = sizeof own_call_id;
    }
    message->sent_s = io_time_s(NULL);
    size_t packed = sallyport__call_message__get_packed_size(message);
    uint8_t *copy = malloc(packed + 1);
    sallyport__call_message__pack(message, copy);
    message->call.data = held;
    message->call.len = held_bytes;
    sallyport__call_message__free_unpacked(message, NULL);
    give_call(paris, is_reply ? own_call_key : NULL, copy, packed);
    free(copy);
}

static void step_record(const uint8_t *data, size_t bytes)
{
    static const char label[] = "sallyport record";
    uint8_t signature[IDENTITY_SIGNATURE_BYTES], *signed_bytes = malloc(sizeof label + bytes);
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Publish publish = SALLYPORT__PUBLISH__INIT;
    Sallyport__SignedRecord wire = SALLYPORT__SIGNED_RECORD__INIT, *list = &wire;
    Sallyport__Record *record = sallyport__record__unpack(NULL, bytes, data);
    uint8_t *packed = NULL;

    if (record) { /* with a certificate that is good */
        const struct certificate *own = identity_certificate(paris);
        ProtobufCBinaryData held = record->certificate;
        record->certificate.data = (uint8_t *)own->der;
        record->certificate.len = own->der_bytes;
        record->issued_s = io_time_s(NULL);
        packed = malloc(sallyport__record__get_packed_size(record));
        bytes = sallyport__record__pack(record, packed);
        record->certificate = held;
        sallyport__record__free_unpacked(record, NULL);
        signed_bytes = realloc(signed_bytes, sizeof label + bytes);
        data = packed;
    }
    memcpy(signed_bytes, label, sizeof label);
    memcpy(signed_bytes + sizeof label, data, bytes);
    identity_sign(paris, signed_bytes, sizeof label + bytes, signature);
    free(signed_bytes);
    wire.record.data = (uint8_t *)data;
    wire.record.len = bytes;
    wire.signature.data = signature;
    wire.signature.len = sizeof signature;
    publish.records = &list;
    publish.n_records = 1;
    envelope.body_case = SALLYPORT__ENVELOPE__BODY_PUBLISH;
    envelope.publish = &publish;
    give(&hub, 0x80000002, &envelope);
    free(packed);
}

/* With a certificate, a time and a signature that are good. */
static void step_member(const uint8_t *data, size_t bytes)
{
    static const char label[] = "sallyport member";
    const struct certificate *own = identity_certificate(fellow);
    uint8_t signature[IDENTITY_SIGNATURE_BYTES];
    Sallyport__SignedMember wire = SALLYPORT__SIGNED_MEMBER__INIT;
    Sallyport__Member *member = sallyport__member__unpack(NULL, bytes, data);

    if (!member)
        return;
    ProtobufCBinaryData held = member->certificate;
    member->certificate.data = (uint8_t *)own->der;
    member->certificate.len = own->der_bytes;
    member->issued_s = io_time_s(NULL);
    uint8_t *packed = malloc(sizeof label + sallyport__member__get_packed_size(member));
    memcpy(packed, label, sizeof label);
    wire.member.data = packed + sizeof label;
    wire.member.len = sallyport__member__pack(member, wire.member.data);
    member->certificate = held;
    sallyport__member__free_unpacked(member, NULL);
    identity_sign(fellow, packed, sizeof label + wire.member.len, signature);
    wire.signature.data = signature;
    wire.signature.len = sizeof signature;
    give_members(&wire, NULL);
    free(packed);
}

/* Of the hub, the fellow or the third one, by the fellow or the third one. */
static void step_down(const uint8_t *data, size_t bytes)
{
    const struct identity *const all[] = {supernode, fellow, third};
    struct accusation accusation = {.sequence = 0};
    Sallyport__Down wire;

    if (bytes < 2)
        return;
    memcpy(accusation.node, identity_certificate(all[data[0] % 3])->node, sizeof accusation.node);
    for (size_t i = 2; i < bytes && i < 10; i++)
        accusation.sequence = accusation.sequence << 8 | data[i];
    if (bytes == 2 && hub.core->members)
        accusation.sequence = hub.core->members->self->sequence;
    accusation_sign(data[1] & 1 ? fellow : third, &accusation);
    accusation_encode(&wire, &accusation);
    give_members(NULL, &wire);
}

static void step_time(const uint8_t *data, size_t bytes)
{
    now_ms += bytes ? 40u * data[0] * data[0] : 1000;
    core_tick(hub.core);
    core_tick(node.core);
}

static void run_step(unsigned step, const uint8_t *data, size_t bytes)
{
    switch (step % STEPS) {
    case STEP_STRANGER:
        core_on_frame(hub.core, 0x80000001, data, bytes);
        break;
    case STEP_CLIENT:
        core_on_frame(hub.core, 0x80000002, data, bytes);
        break;
    case STEP_FELLOW:
        core_on_frame(hub.core, 0x80000003, data, bytes);
        break;
    case STEP_UPSTREAM:
        core_on_frame(node.core, node.home, data, bytes);
        break;
    case STEP_DIALLED:
        core_on_frame(node.core, node.dialled, data, bytes);
        break;
    case STEP_REACHED:
        core_on_frame(hub.core, hub.dialled, data, bytes);
        break;
    case STEP_MEMBER:
        step_member(data, bytes);
        break;
    case STEP_DOWN:
        step_down(data, bytes);
        break;
    case STEP_OFFER:
    case STEP_REPLY:
        step_call(step % STEPS == STEP_REPLY, data, bytes);
        break;
    case STEP_RECORD:
        step_record(data, bytes);
        break;
    case STEP_TIME:
        step_time(data, bytes);
        break;
    }
    core_deliver(hub.core);
    core_deliver(node.core);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    now_ms = 1000;
    dice = 1;
    open_party(&node, berlin, CONF_ROLE_GATEWAY, "berlin.example:443");
    now_ms = UP_MS;
    open_party(&hub, supernode, CONF_ROLE_SUPERNODE | CONF_ROLE_RELAY | CONF_ROLE_GATEWAY,
               "hub.example:443");
    core_on_link_up(hub.core, 0x80000001, true, identity_certificate(berlin), NULL);
    greet(0x80000002, paris, false);
    greet(0x80000003, fellow, true);
    tell_of_third();
    open_node();

    for (int i = 0; i < STEPS_MAX && bytes >= 3; i++) {
        size_t length = (size_t)data[1] << 8 | data[2];
        if (length > bytes - 3)
            length = bytes - 3;
        run_step(data[0], data + 3, length);
        data += 3 + length;
        bytes -= 3 + length;
    }
    close_party(&node);
    close_party(&hub);
    own_call = NULL;
    return 0;
}
