/* STUN messages: the vectors of RFC 5769 and RFC 8489, our own there and back, and broken ones. */
#include "overlay/stun.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "conf/conf.h"

static const uint8_t key[32] = "0123456789abcdef0123456789abcde";
static const uint8_t transaction[STUN_TRANSACTION_BYTES] = "abcdefghijk";

static size_t bytes_of(const char *hex, uint8_t *out, size_t room)
{
    size_t bytes;

    assert_int_equal(sodium_hex2bin(out, room, hex, strlen(hex), " \n", &bytes, NULL), 0);
    return bytes;
}

/* RFC 5769 section 2.1, with RFC 8445's attributes, which are known but not used. */
static void reads_the_sample_request(void **state)
{
    uint8_t data[256];
    size_t bytes = bytes_of("000100582112a442b7e7a701bc34d686fa87dfae"
                            "802200105354554e207465737420636c69656e74"
                            "002400046e0001ff80290008932ff9b151263b36"
                            "000600096576746a3a68367659202020"
                            "000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2"
                            "80280004e57a3bcf",
                            data, sizeof data);
    struct stun_message message;

    (void)state;
    assert_int_equal(stun_decode(data, bytes, &message), 0);
    assert_int_equal(message.type, STUN_BINDING_REQUEST);
    assert_string_equal(message.username, "evtj:h6vY");
    assert_true(message.has_fingerprint);
    assert_int_equal(message.unknown_required, 0);
    assert_int_equal(message.integrity_at, 0); /* SHA-1 is not ours */
}

/* RFC 5769 sections 2.2 and 2.3 */
static void reads_mapped_addresses(void **state)
{
    static const struct {
        const char *hex, *address;
    } cases[] = {
        {"0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220"
         "002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7"
         "80280004c07d4c96",
         "192.0.2.1:32853"},
        {"010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220"
         "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
         "00080014a382954e4be67bf11784c97c8292c275bfe3ed41"
         "80280004c8fb0b4c",
         "[2001:db8:1234:5678:11:2233:4455:6677]:32853"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t data[256];
        char text[ADDRESS_TEXT_MAX];
        struct stun_message message;
        size_t bytes = bytes_of(cases[i].hex, data, sizeof data);

        assert_int_equal(stun_decode(data, bytes, &message), 0);
        assert_int_equal(message.type, STUN_BINDING_RESPONSE);
        assert_string_equal(address_format(&message.mapped, text), cases[i].address);
    }
}

/* RFC 8489 appendix B.1 with erratum 6268: the integrity that we use. */
static void verifies_the_sample_with_sha256(void **state)
{
    static const char password[] = "\xe3\x83\x9e\xe3\x83\x88\xe3\x83\xaa\xe3\x83\x83\xe3\x82\xaf"
                                   "\xe3\x82\xb9:example.org:TheMatrIX";
    uint8_t data[256], sample_key[crypto_hash_sha256_BYTES];
    size_t bytes =
        bytes_of("000100902112a44278ad3433c6ad72c029da412e"
                 "001e00204a3cf38fef6992bda952c6780417da0f24819415569e60b205c46e41407f1704"
                 "001500296f624d61744a6f733241414143662f2f3439396b39353464364f4c33346f4c39"
                 "4653547679363473410000000014000b6578616d706c652e6f726700"
                 "001d000400020000001c0020"
                 "b5c7bf005b6c52a21c51c5e892f81924136296cb927c43149309278cc6518e65",
                 data, sizeof data);
    struct stun_message message;

    (void)state;
    crypto_hash_sha256(sample_key, (const uint8_t *)password, sizeof password - 1);
    assert_int_equal(stun_decode(data, bytes, &message), 0);
    assert_int_equal(message.unknown_required, 2); /* USERHASH, PASSWORD-ALGORITHM */
    assert_true(stun_verify(data, &message, sample_key, sizeof sample_key));
    sample_key[0] ^= 1;
    assert_false(stun_verify(data, &message, sample_key, sizeof sample_key));
}

static void request_comes_back(void **state)
{
    uint8_t data[STUN_MESSAGE_MAX];
    struct stun_message message;
    size_t bytes = stun_encode_request(data, transaction, "0011223344556677", key);

    (void)state;
    assert_true(bytes <= sizeof data);
    assert_int_equal(stun_decode(data, bytes, &message), 0);
    assert_int_equal(message.type, STUN_BINDING_REQUEST);
    assert_memory_equal(message.transaction, transaction, sizeof transaction);
    assert_string_equal(message.username, "0011223344556677");
    assert_true(message.has_fingerprint);
    assert_true(stun_verify(data, &message, key, sizeof key));
}

static void response_comes_back(void **state)
{
    static const char *const addresses[] = {"192.0.2.1:4000", "[2001:db8::7]:65535"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        uint8_t data[STUN_MESSAGE_MAX];
        struct stun_message message;
        struct sockaddr_storage mapped;

        address_parse(addresses[i], &mapped);
        size_t bytes = stun_encode_response(data, transaction, &mapped, key);
        assert_int_equal(stun_decode(data, bytes, &message), 0);
        assert_int_equal(message.type, STUN_BINDING_RESPONSE);
        assert_true(address_equal(&message.mapped, &mapped));
        assert_true(stun_verify(data, &message, key, sizeof key));
    }
}

/* The longest answer is just as long as the question. */
static void plain_ones_come_back_and_no_answer_is_longer(void **state)
{
    static const char *const addresses[] = {"192.0.2.1:4000", "[2001:db8::7]:65535"};
    uint8_t data[STUN_MESSAGE_MAX];
    struct stun_message message;
    size_t asked = stun_encode_plain_request(data, transaction);

    (void)state;
    assert_int_equal(asked, STUN_PLAIN_BYTES);
    assert_int_equal(stun_decode(data, asked, &message), 0);
    assert_int_equal(message.type, STUN_BINDING_REQUEST);
    assert_int_equal(message.unknown_required, 0);
    assert_int_equal(message.integrity_at, 0);
    assert_string_equal(message.username, "");
    assert_true(message.has_fingerprint);
    for (int i = 0; i < 4; i++) {
        struct sockaddr_storage mapped;

        address_parse(addresses[i / 2], &mapped);
        size_t bytes = stun_encode_plain_response(data, transaction, &mapped, i % 2);
        assert_true(bytes <= asked);
        assert_int_equal(stun_decode(data, bytes, &message), 0);
        assert_int_equal(message.type, STUN_BINDING_RESPONSE);
        assert_int_equal(message.has_fingerprint, i % 2);
        assert_memory_equal(message.transaction, transaction, sizeof transaction);
        assert_true(address_equal(&message.mapped, &mapped));
    }
}

/* Whatever bit is turned, and wherever it is cut, it counts no more. */
static void any_change_is_noticed(void **state)
{
    uint8_t data[STUN_MESSAGE_MAX], changed[STUN_MESSAGE_MAX];
    struct stun_message message;
    size_t bytes = stun_encode_request(data, transaction, "0011223344556677", key);

    (void)state;
    for (size_t bit = 0; bit < bytes * 8; bit++) {
        memcpy(changed, data, bytes);
        changed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(stun_decode(changed, bytes, &message) == 0 && message.has_fingerprint &&
                     stun_verify(changed, &message, key, sizeof key));
    }
    for (size_t cut = 0; cut < bytes; cut++)
        assert_int_equal(stun_decode(data, cut, &message), -EBADMSG);
}

static void attributes_after_the_integrity_do_not_count(void **state)
{
    uint8_t data[STUN_MESSAGE_MAX];
    struct stun_message message;
    size_t bytes = stun_encode_request(data, transaction, "good", key) - 8; /* no fingerprint */

    (void)state;
    memcpy(data + bytes,
           "\x00\x06\x00\x04"
           "evil",
           8);
    bytes += 8;
    data[3] = (uint8_t)(bytes - STUN_HEADER_BYTES);
    assert_int_equal(stun_decode(data, bytes, &message), 0);
    assert_string_equal(message.username, "good");
    assert_true(stun_verify(data, &message, key, sizeof key));
}

static void broken_messages_are_refused(void **state)
{
    static const struct {
        const char *what, *hex;
    } cases[] = {
        {"empty", ""},
        {"header cut short", "000100002112a442b7e7a701bc34d686fa87df"},
        {"wrong cookie", "000100002112a443b7e7a701bc34d686fa87dfae"},
        {"first bits set", "800100002112a442b7e7a701bc34d686fa87dfae"},
        {"length too long", "000100042112a442b7e7a701bc34d686fa87dfae"},
        {"length no multiple of four", "000100022112a442b7e7a701bc34d686fa87dfae0000"},
        {"attribute longer than the rest", "000100042112a442b7e7a701bc34d686fa87dfae00060004"},
        {"attribute of 65535", "000100082112a442b7e7a701bc34d686fa87dfae0006ffff61616161"},
        {"empty user name", "000100042112a442b7e7a701bc34d686fa87dfae00060000"},
        {"NUL in the user name", "000100082112a442b7e7a701bc34d686fa87dfae0006000461006161"},
        {"short integrity", "000100082112a442b7e7a701bc34d686fa87dfae001c000461616161"},
        {"mapped address of no family",
         "0101000c2112a442b7e7a701bc34d686fa87dfae002000080003a147e112a643"},
        {"mapped address of 12 bytes",
         "010100102112a442b7e7a701bc34d686fa87dfae0020000c0001a147e112a64300000000"},
        {"fingerprint of 3 bytes", "000100082112a442b7e7a701bc34d686fa87dfae80280003e57a3bcf"},
        {"wrong fingerprint", "000100082112a442b7e7a701bc34d686fa87dfae80280004e57a3bcf"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t data[256];
        struct stun_message message;
        size_t bytes = bytes_of(cases[i].hex, data, sizeof data);

        if (stun_decode(data, bytes, &message) != -EBADMSG)
            fail_msg("accepted: %s", cases[i].what);
    }
}

static void a_check_says_what_its_sender_hears(void **state)
{
    struct stun_check check = {STUN_BINDING_INDICATION,
                               transaction,
                               "path",
                               STUN_PATH_DEAF | STUN_PATH_NOMINATED,
                               key,
                               NULL};
    struct stun_message message;
    uint8_t data[STUN_MESSAGE_MAX];
    size_t bytes = stun_encode_check(data, &check);

    (void)state;
    assert_int_equal(stun_decode(data, bytes, &message), 0);
    assert_int_equal(message.type, STUN_BINDING_INDICATION);
    assert_string_equal(message.username, "path");
    assert_int_equal(message.path_flags, STUN_PATH_DEAF | STUN_PATH_NOMINATED);
    assert_true(stun_verify(data, &message, key, sizeof key));
    check.path_flags = 0;
    assert_int_equal(stun_encode_check(data, &check), bytes - 8);
    assert_int_equal(stun_decode(data, bytes - 8, &message), 0);
    assert_int_equal(message.path_flags, 0);
    assert_int_equal(message.mapped.ss_family, 0);

    struct sockaddr_storage address;
    address_parse("[2001:db8::7]:4000", &address);
    check.mapped = &address;
    bytes = stun_encode_check(data, &check);
    assert_int_equal(stun_decode(data, bytes, &message), 0);
    assert_true(address_equal(&message.mapped, &address));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_check_says_what_its_sender_hears),
        cmocka_unit_test(reads_the_sample_request),
        cmocka_unit_test(reads_mapped_addresses),
        cmocka_unit_test(verifies_the_sample_with_sha256),
        cmocka_unit_test(request_comes_back),
        cmocka_unit_test(response_comes_back),
        cmocka_unit_test(plain_ones_come_back_and_no_answer_is_longer),
        cmocka_unit_test(any_change_is_noticed),
        cmocka_unit_test(attributes_after_the_integrity_do_not_count),
        cmocka_unit_test(broken_messages_are_refused),
    };
    return sodium_init() < 0 || cmocka_run_group_tests(tests, NULL, NULL);
}
