/* Calls of one core: what is refused, what crosses unchanged, what is told to whom. */
#include "tests/unit/overlay/core_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define BODY(name) SALLYPORT__ENVELOPE__BODY_##name
#define MESSAGE(name) SALLYPORT__CALL_MESSAGE__BODY_##name

static struct identity *hub, *berlin, *paris, *twin, *relay;

static int setup(void **state)
{
    struct realm realm;

    (void)state;
    log_set_level(LOG_OVERLAY, LOG_ERROR);
    fixture_realm(&realm);
    hub = fixture_identity(&realm, "hub", CONF_ROLE_SUPERNODE);
    berlin = fixture_identity(&realm, "berlin", CONF_ROLE_GATEWAY);
    paris = fixture_identity(&realm, "paris", CONF_ROLE_GATEWAY);
    twin = fixture_identity(&realm, "paris", CONF_ROLE_GATEWAY);
    relay = fixture_identity(&realm, "plain", CONF_ROLE_RELAY);
    realm_fini(&realm);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    identity_free(hub);
    identity_free(berlin);
    identity_free(paris);
    identity_free(twin);
    identity_free(relay);
    return 0;
}

/* ---- pure --------------------------------------------------------------------------------------
 */

static void causes_cross_unchanged(void **state)
{
    (void)state;
    for (int reason = 0; reason < CALL_REASONS; reason++) {
        struct call_cause cause = call_cause((enum call_reason)reason, "nobody home");
        Sallyport__End end;
        cause.sip_status = 486;
        cause.q850 = 17;
        call_cause_encode(&end, &cause);
        struct call_cause read = call_cause_decode(&end);
        assert_int_equal(read.reason, reason);
        assert_int_equal(read.sip_status, 486);
        assert_int_equal(read.q850, 17);
        assert_string_equal(read.text, "nobody home");
    }
}

static void strange_causes_are_made_harmless(void **state)
{
    Sallyport__End end = SALLYPORT__END__INIT;

    (void)state;
    end.reason = (char *)"the moon";
    end.sip_status = 200;
    end.q850 = 1000;
    end.text = (char *)"line\r\nInjected: yes";
    struct call_cause cause = call_cause_decode(&end);
    assert_int_equal(cause.reason, CALL_FAILURE);
    assert_int_equal(cause.sip_status, 0);
    assert_int_equal(cause.q850, 0);
    assert_null(strpbrk(cause.text, "\r\n"));
}

static void codecs_are_kept_in_order(void **state)
{
    char *names[] = {"g729", "Opus", "pcma", "opus", "pcmu", "nothing"};
    Sallyport__Media media = SALLYPORT__MEDIA__INIT;
    struct codec_list codecs;

    (void)state;
    media.codecs = names;
    media.n_codecs = 6;
    call_codecs_decode(&codecs, &media);
    assert_int_equal(codecs.count, 3);
    assert_int_equal(codecs.codec[0], CODEC_OPUS);
    assert_int_equal(codecs.codec[1], CODEC_PCMA);
    assert_int_equal(codecs.codec[2], CODEC_PCMU);
    call_codecs_decode(&codecs, NULL);
    assert_int_equal(codecs.count, 0);
    assert_int_equal(call_direction_flip(MEDIA_SENDONLY), MEDIA_RECVONLY);
    assert_int_equal(call_direction_flip(MEDIA_RECVONLY), MEDIA_SENDONLY);
    assert_int_equal(call_direction_flip(MEDIA_SENDRECV), MEDIA_SENDRECV);
    assert_int_equal(call_direction_flip(MEDIA_INACTIVE), MEDIA_INACTIVE);
}

/* ---- a node that is called ---------------------------------------------------------------------
 */

struct offering {
    const char *site;
    const struct identity *signer;
    int64_t late_s;
    const char *codec, *dialled;
};
static const struct offering good = {"berlin", NULL, 0, "opus", "202"};

/* The caller: a core of its own for sending letters, whose only frame is handed over. */
struct caller_side {
    struct stand stand;
    uint8_t public_key[32], secret_key[32];
    uint8_t id[CALL_ID_BYTES];
};

static void open_attached(struct stand *stand, const struct identity *identity)
{
    struct core_settings settings = {.identity = identity, .roles = CONF_ROLE_GATEWAY};

    settings.supernodes[settings.supernode_count++] = "a.example:443";
    stand_open(stand, &settings);
    stand_welcome(stand, stand->dialled[0], hub);
    stand_clear(stand);
}

static void open_caller(struct caller_side *caller, const struct identity *identity)
{
    open_attached(&caller->stand, identity);
    call_fresh_key(caller->stand.core, caller->public_key, caller->secret_key);
    memcpy(caller->id, "callcall", CALL_ID_BYTES);
}

/* Signs, seals, and hands the Route to `callee`. */
static void give_message(struct caller_side *caller, struct stand *callee, const uint8_t *key,
                         Sallyport__CallMessage *message)
{
    struct homes homes = {.count = 0};
    size_t bytes = sallyport__call_message__get_packed_size(message);
    uint8_t *data = malloc(bytes);
    struct call_letter letter = {
        .to = callee->core->self, .key = key, .homes = &homes, .message = data, .bytes = bytes};

    sallyport__call_message__pack(message, data);
    assert_int_equal(call_letter_send(caller->stand.core, &letter, NULL, NULL), 0);
    free(data);
    stand_give(callee, callee->dialled[0], stand_sent(&caller->stand, 0, BODY(ROUTE)));
}

static void give_offer(struct caller_side *caller, struct stand *callee,
                       const struct offering *offering)
{
    Sallyport__CallMessage message = SALLYPORT__CALL_MESSAGE__INIT;
    Sallyport__Offer offer = SALLYPORT__OFFER__INIT;
    Sallyport__Media media = SALLYPORT__MEDIA__INIT;
    char *codec = (char *)offering->codec;

    media.codecs = &codec;
    media.n_codecs = 1;
    media.direction = SALLYPORT__DIRECTION__SENDRECV;
    offer.key.data = caller->public_key;
    offer.key.len = 32;
    offer.caller = (char *)"201";
    offer.dialled = (char *)offering->dialled;
    offer.site = (char *)offering->site;
    offer.media = &media;
    message.call.data = caller->id;
    message.call.len = CALL_ID_BYTES;
    message.number = 1;
    message.sent_s = time(NULL) - offering->late_s;
    message.body_case = MESSAGE(OFFER);
    message.offer = &offer;
    give_message(caller, callee, NULL, &message);
}

/* What the callee sent last, opened with the caller's fresh key; the caller of this frees. */
static Sallyport__CallMessage *open_reply(struct caller_side *caller, struct stand *callee)
{
    Sallyport__Envelope *envelope = stand_sent(callee, 0, BODY(ROUTE));
    uint8_t plain[8192];

    assert_non_null(envelope);
    const ProtobufCBinaryData *sealed = &envelope->route->sealed;
    assert_memory_equal(envelope->route->key.data, caller->public_key, KEY_HINT_BYTES);
    assert_int_equal(identity_unseal_with(caller->public_key, caller->secret_key, sealed->data,
                                          sealed->len, plain),
                     0);
    Sallyport__SignedCall *outer =
        sallyport__signed_call__unpack(NULL, sealed->len - IDENTITY_SEAL_BYTES, plain);
    assert_non_null(outer);
    assert_true(call_letter_is_from(caller->stand.core, outer, callee->core->self));
    Sallyport__CallMessage *message =
        sallyport__call_message__unpack(NULL, outer->message.len, outer->message.data);
    sallyport__signed_call__free_unpacked(outer, NULL);
    assert_non_null(message);
    return message;
}

static void offers_are_judged(void **state)
{
    const struct {
        struct offering offering;
        const char *reason; /* of the End; NULL: it rings */
    } cases[] = {
        {good, NULL},
        {{"berlin", NULL, 50, "pcmu", "+4930123"}, NULL},
        {{"paris", NULL, 0, "opus", "202"}, "forbidden"},
        {{"berlin", NULL, 70, "opus", "202"}, "bad request"},
        {{"berlin", NULL, -70, "opus", "202"}, "bad request"},
        {{"berlin", NULL, 0, "g729", "202"}, "not acceptable"},
        {{"berlin", NULL, 0, "opus", ""}, "bad request"},
        {{"berlin", NULL, 0, "opus", "2\r\n02"}, "bad request"},
        {{"plain", relay, 0, "opus", "202"}, "forbidden"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct offering *offering = &cases[i].offering;
        struct caller_side caller;
        struct stand callee;
        open_caller(&caller, offering->signer ? offering->signer : berlin);
        open_attached(&callee, paris);
        give_offer(&caller, &callee, offering);
        Sallyport__CallMessage *reply = open_reply(&caller, &callee);
        assert_int_equal(reply->body_case, cases[i].reason ? MESSAGE(END) : MESSAGE(ACK));
        if (cases[i].reason)
            assert_string_equal(reply->end->reason, cases[i].reason);
        assert_int_equal(callee.offers, cases[i].reason ? 0 : 1);
        sallyport__call_message__free_unpacked(reply, NULL);
        stand_finish(&caller.stand);
        stand_finish(&callee);
    }
}

static void a_replayed_offer_rings_once(void **state)
{
    struct call_cause cause = call_cause(CALL_BUSY, NULL);
    struct caller_side caller;
    struct stand callee;

    (void)state;
    open_caller(&caller, berlin);
    open_attached(&callee, paris);
    give_offer(&caller, &callee, &good);
    give_offer(&caller, &callee, &good);
    assert_int_equal(callee.offers, 1);
    overlay_call_end(callee.offered, &cause);
    give_offer(&caller, &callee, &good);
    assert_int_equal(callee.offers, 1);
    stand_run(&callee, 20000); /* the call is forgotten, its name is not */
    assert_int_equal(HASH_CNT(hh, callee.core->calls->by_name), 0);
    stand_clear(&callee);
    give_offer(&caller, &callee, &good);
    assert_int_equal(callee.offers, 1);
    assert_int_equal(callee.frames, 0);
    stand_finish(&caller.stand);
    stand_finish(&callee);
}

static void an_end_before_its_offer_prevents_it(void **state)
{
    Sallyport__CallMessage message = SALLYPORT__CALL_MESSAGE__INIT;
    Sallyport__End end = SALLYPORT__END__INIT;
    struct caller_side caller;
    struct stand callee;

    (void)state;
    open_caller(&caller, berlin);
    open_attached(&callee, paris);
    message.call.data = caller.id;
    message.call.len = CALL_ID_BYTES;
    message.number = 2;
    message.body_case = MESSAGE(END);
    message.end = &end;
    give_message(&caller, &callee, NULL, &message);
    give_offer(&caller, &callee, &good);
    assert_int_equal(callee.offers, 0);
    stand_finish(&caller.stand);
    stand_finish(&callee);
}

static void a_letter_for_another_or_by_another_is_refused(void **state)
{
    Sallyport__CallMessage message = SALLYPORT__CALL_MESSAGE__INIT;
    Sallyport__End end = SALLYPORT__END__INIT;
    struct caller_side caller, stranger;
    struct stand callee;

    (void)state;
    open_caller(&caller, berlin);
    open_caller(&stranger, twin);
    open_attached(&callee, paris);
    give_offer(&caller, &callee, &good);
    assert_int_equal(callee.offers, 1);

    /* Somebody else's End, even one sealed to the right key, is nobody's. */
    struct overlay_call *call = callee.offered;
    uint64_t before = callee.core->malformed;
    message.call.data = caller.id;
    message.call.len = CALL_ID_BYTES;
    message.number = 2;
    message.body_case = MESSAGE(END);
    message.end = &end;
    give_message(&stranger, &callee, call->our_public, &message);
    assert_int_equal(callee.core->malformed, before + 1);
    assert_int_equal(call->state, STATE_OFFERED);
    give_message(&stranger, &callee, NULL, &message); /* its own call of that number: unknown */
    assert_int_equal(call->state, STATE_OFFERED);

    /* A Route that names another node was misled. */
    Sallyport__Envelope *envelope = stand_sent(&caller.stand, 0, BODY(ROUTE));
    envelope->route->to.data[0] ^= 1;
    stand_give(&callee, callee.dialled[0], envelope);
    assert_int_equal(callee.core->malformed, before + 2);

    give_message(&caller, &callee, call->our_public, &message);
    assert_int_equal(call->state, STATE_CLOSING);
    for (int i = 0; i < 2; i++) { /* acknowledged, also when it comes again */
        Sallyport__CallMessage *reply = open_reply(&caller, &callee);
        assert_int_equal(reply->body_case, MESSAGE(ACK));
        assert_int_equal(reply->ack->number, 2);
        sallyport__call_message__free_unpacked(reply, NULL);
        stand_clear(&callee);
        give_message(&caller, &callee, call->our_public, &message);
    }
    stand_finish(&caller.stand);
    stand_finish(&stranger.stand);
    stand_finish(&callee);
}

static void a_node_may_offer_so_many(void **state)
{
    struct caller *caller;
    struct stand callee;
    unsigned admitted = 0;

    (void)state;
    open_attached(&callee, paris);
    const uint8_t *node = identity_certificate(berlin)->node;
    while (caller_admit(callee.core, node, &caller) == 0)
        admitted++;
    assert_true(admitted >= 500 && admitted <= 2000);
    assert_int_equal(caller_admit(callee.core, identity_certificate(twin)->node, &caller), 0);
    callee.now_ms += 1000;
    assert_int_equal(caller_admit(callee.core, node, &caller), 0);
    stand_finish(&callee);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(causes_cross_unchanged),
        cmocka_unit_test(strange_causes_are_made_harmless),
        cmocka_unit_test(codecs_are_kept_in_order),
        cmocka_unit_test(offers_are_judged),
        cmocka_unit_test(a_replayed_offer_rings_once),
        cmocka_unit_test(an_end_before_its_offer_prevents_it),
        cmocka_unit_test(a_letter_for_another_or_by_another_is_refused),
        cmocka_unit_test(a_node_may_offer_so_many),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
