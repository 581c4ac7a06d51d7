#include "tests/unit/media/unit.h"

#include "media/learn.h"

#define PHONE "192.0.2.1:4000"
#define SAME_HOST "192.0.2.1:5000"
#define NAT "198.51.100.7:4000"
#define STRANGER "203.0.113.9:9999"

struct step {
    int at_ms;
    const char *from;
    uint16_t sequence;
    enum learn_verdict verdict;
    const char *remote; /* where we send afterwards; NULL: nowhere */
};

static void tell(const char *named, const struct step *story, size_t count)
{
    struct sockaddr_storage address = {0}, source;
    struct learn learn;
    char text[ADDRESS_TEXT_MAX];
    if (named)
        assert_int_equal(address_parse(named, &address), 0);
    learn_begin(&learn, &address, 0);
    for (size_t i = 0; i < count; i++) {
        const struct rtp_header rtp = {.ssrc = 1, .sequence = story[i].sequence};
        assert_int_equal(address_parse(story[i].from, &source), 0);
        assert_int_equal(learn_packet(&learn, &source, &rtp, (uint64_t)story[i].at_ms * 1000),
                         story[i].verdict);
        if (story[i].remote)
            assert_string_equal(address_format(&learn.remote, text), story[i].remote);
        else
            assert_int_equal(learn.remote.ss_family, 0);
    }
}
#define TELL(named, ...)                                  \
    do {                                                  \
        static const struct step story[] = {__VA_ARGS__}; \
        tell(named, story, COUNT(story));                 \
    } while (0)

static void the_named_address_is_heard_at_once(void **state)
{
    (void)state;
    TELL(PHONE, {0, PHONE, 1, LEARN_ACCEPT, PHONE}, {20, STRANGER, 1, LEARN_REJECT, PHONE},
         {21, STRANGER, 2, LEARN_REJECT, PHONE}, {22, STRANGER, 3, LEARN_REJECT, PHONE},
         {23, STRANGER, 4, LEARN_REJECT, PHONE}, {24, STRANGER, 5, LEARN_REJECT, PHONE},
         {60000, PHONE, 2, LEARN_ACCEPT, PHONE});
}

static void another_address_is_learnt_after_some_packets(void **state)
{
    (void)state;
    TELL(PHONE, {0, NAT, 7, LEARN_REJECT, PHONE}, {20, NAT, 8, LEARN_REJECT, PHONE},
         {40, NAT, 9, LEARN_REJECT, PHONE}, {60, NAT, 10, LEARN_ACCEPT, NAT},
         {80, STRANGER, 1, LEARN_REJECT, NAT}, {81, STRANGER, 2, LEARN_REJECT, NAT},
         {82, STRANGER, 3, LEARN_REJECT, NAT}, {83, STRANGER, 4, LEARN_REJECT, NAT},
         {84, STRANGER, 5, LEARN_REJECT, NAT});
    TELL(PHONE, {0, SAME_HOST, 7, LEARN_REJECT, PHONE}, {20, SAME_HOST, 8, LEARN_REJECT, PHONE},
         {40, SAME_HOST, 9, LEARN_ACCEPT, SAME_HOST});
}

static void disorder_is_no_proof(void **state)
{
    (void)state;
    TELL(PHONE, {0, STRANGER, 7, LEARN_REJECT, PHONE}, {20, STRANGER, 9, LEARN_REJECT, PHONE},
         {40, STRANGER, 11, LEARN_REJECT, PHONE}, {60, STRANGER, 13, LEARN_REJECT, PHONE},
         {80, STRANGER, 15, LEARN_REJECT, PHONE});
}

static void a_stranger_does_not_hinder_the_phone(void **state)
{
    (void)state;
    TELL(PHONE, {0, NAT, 7, LEARN_REJECT, PHONE}, {1, STRANGER, 50, LEARN_REJECT, PHONE},
         {20, NAT, 8, LEARN_REJECT, PHONE}, {21, STRANGER, 90, LEARN_REJECT, PHONE},
         {40, NAT, 9, LEARN_REJECT, PHONE}, {41, STRANGER, 20, LEARN_REJECT, PHONE},
         {60, NAT, 10, LEARN_ACCEPT, NAT});
}

static void the_window_closes(void **state)
{
    (void)state;
    TELL(PHONE, {6000, NAT, 7, LEARN_REJECT, PHONE}, {6020, NAT, 8, LEARN_REJECT, PHONE},
         {6040, NAT, 9, LEARN_REJECT, PHONE}, {6060, NAT, 10, LEARN_REJECT, PHONE},
         {6080, PHONE, 1, LEARN_ACCEPT, PHONE});
}

static void the_named_address_wins_it_back(void **state)
{
    (void)state;
    TELL(PHONE, {0, STRANGER, 1, LEARN_REJECT, PHONE}, {1, STRANGER, 2, LEARN_REJECT, PHONE},
         {2, STRANGER, 3, LEARN_REJECT, PHONE}, {3, STRANGER, 4, LEARN_ACCEPT, STRANGER},
         {20, PHONE, 1, LEARN_ACCEPT, PHONE}, {21, STRANGER, 5, LEARN_REJECT, PHONE});
}

static void without_a_name_somebody_is_learnt(void **state)
{
    (void)state;
    TELL(NULL, {0, NAT, 1, LEARN_REJECT, NULL}, {20, NAT, 2, LEARN_REJECT, NULL},
         {40, NAT, 3, LEARN_REJECT, NULL}, {60, NAT, 4, LEARN_ACCEPT, NAT});
}

static void nowhere_is_no_address(void **state)
{
    static const char *const nowhere[] = {"0.0.0.0:4000", "[::]:4000", "[::ffff:0.0.0.0]:4000",
                                          "192.0.2.1:0"};
    (void)state;
    for (size_t i = 0; i < COUNT(nowhere); i++) {
        struct sockaddr_storage named;
        struct learn learn;
        assert_int_equal(address_parse(nowhere[i], &named), 0);
        learn_begin(&learn, &named, 0);
        assert_int_equal(learn.remote.ss_family, 0);
        assert_int_equal(learn.named.ss_family, 0);
    }
}

static void the_window_opens_again_until_something_was_heard(void **state)
{
    struct sockaddr_storage named, nat;
    struct learn learn;
    (void)state;
    address_parse(PHONE, &named);
    address_parse(NAT, &nat);
    for (int heard = 0; heard < 2; heard++) {
        struct rtp_header rtp = {.ssrc = 1};
        enum learn_verdict verdict = LEARN_REJECT;
        learn_begin(&learn, &named, 0);
        if (heard)
            assert_int_equal(learn_packet(&learn, &named, &rtp, 1), LEARN_ACCEPT);
        assert_false(learn_again(&learn, &named, 60000000));
        for (int i = 0; i < 4; i++, rtp.sequence++)
            verdict = learn_packet(&learn, &nat, &rtp, 60000000);
        assert_int_equal(verdict, heard ? LEARN_REJECT : LEARN_ACCEPT);
    }
}

static void another_name_begins_anew(void **state)
{
    static const char *const names[] = {PHONE, NAT, "0.0.0.0:4000", "0.0.0.0:0"};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        for (size_t k = 0; k < 4; k++) {
            struct sockaddr_storage first, second;
            struct learn learn;
            address_parse(names[i], &first);
            address_parse(names[k], &second);
            learn_begin(&learn, &first, 0);
            /* Nowhere is nowhere, however it is spelt. */
            assert_int_equal(learn_again(&learn, &second, 1), i != k && (i < 2 || k < 2));
        }
    }
}

static void reports_come_from_the_same_host(void **state)
{
    struct sockaddr_storage named, same, stranger;
    struct learn learn;
    (void)state;
    address_parse(PHONE, &named);
    address_parse(SAME_HOST, &same);
    address_parse(STRANGER, &stranger);
    learn_begin(&learn, &named, 0);
    assert_true(learn_is_host(&learn, &same));
    assert_false(learn_is_host(&learn, &stranger));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_named_address_is_heard_at_once),
        cmocka_unit_test(another_address_is_learnt_after_some_packets),
        cmocka_unit_test(disorder_is_no_proof),
        cmocka_unit_test(a_stranger_does_not_hinder_the_phone),
        cmocka_unit_test(the_window_closes),
        cmocka_unit_test(the_named_address_wins_it_back),
        cmocka_unit_test(without_a_name_somebody_is_learnt),
        cmocka_unit_test(nowhere_is_no_address),
        cmocka_unit_test(the_window_opens_again_until_something_was_heard),
        cmocka_unit_test(another_name_begins_anew),
        cmocka_unit_test(reports_come_from_the_same_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
