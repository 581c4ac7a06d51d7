/* Messages out of a stream, and the Via work of the edge. */
#include "sip/stream_frame.h"
#include "sip/stream_via.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define START "OPTIONS sip:a@b SIP/2.0\r\n"
#define VIA "Via: SIP/2.0/TCP 10.0.0.1;branch=z9hG4bK1\r\n"

static struct framer framer;

static int feed(const char *bytes, size_t count, size_t *length)
{
    memset(&framer, 0, sizeof framer);
    memcpy(framer.bytes, bytes, count);
    framer.used = count;
    framer_skip(&framer);
    return framer_next(&framer, length);
}

static void frames_are_judged(void **state)
{
    static const struct {
        const char *text;
        int result; /* or the length when positive */
    } cases[] = {
        {START VIA "\r\n", -1},
        {START VIA "Content-Length: 0\r\n\r\n", -1},
        {START VIA "Content-Length: 5\r\n\r\nhello", -1},
        {START VIA "l: 5\r\n\r\nhello", -1},
        {START VIA "CONTENT-LENGTH \t: \t5 \r\n\r\nhello", -1},
        {START VIA "Content-Length:\r\n 5\r\n\r\nhello", -1},
        {"\r\n\r\n" START "\r\n", -1},
        {"SIP/2.0 200 OK\r\n\r\n", -1},
        {"OPTIONS sip:a@b SIP/2.0\nl: 2\n\nhi", -1},
        /* not yet */
        {"", 0},
        {"OPT", 0},
        {START, 0},
        {START VIA "Content-Length: 5\r\n\r\nhell", 0},
        /* never */
        {"GET / HTTP/1.1\r\n\r\n", -EBADMSG},
        {"\x16\x03\x01\x02\r\n", -EBADMSG},
        {START "Content-Length: 5\r\nl: 5\r\n\r\nhello", -EBADMSG},
        {START "Content-Length: -1\r\n\r\n", -EBADMSG},
        {START "Content-Length: 1 2\r\n\r\n", -EBADMSG},
        {START "Content-Length: \r\n\r\n", -EBADMSG},
        {START "Content-Length: 0x5\r\n\r\n", -EBADMSG},
        {START "Content-Length: 123456\r\n\r\n", -EBADMSG},
        {START "Content-Length: 99999\r\n\r\n", -EMSGSIZE},
        {START " X: folded into the start line\r\n\r\n", -EBADMSG},
        {START "X: a\rContent-Length: 5\r\n\r\n", -EBADMSG},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t length = 0;
        int result = feed(cases[i].text, strlen(cases[i].text), &length);

        if (result != (cases[i].result == -1 ? 1 : cases[i].result))
            fail_msg("case %zu gave %d", i, result);
        if (result > 0)
            assert_int_equal(length, framer.used);
    }
    assert_int_equal(feed(START "X: \0\r\n\r\n", sizeof START + 7, &(size_t){0}), -EBADMSG);
}

static void message_may_come_byte_by_byte(void **state)
{
    static const char text[] = START VIA "Content-Length: 5\r\n\r\nhello" START "\r\n";
    size_t length, found = 0;

    (void)state;
    memset(&framer, 0, sizeof framer);
    for (size_t i = 0; i < sizeof text - 1; i++) {
        framer.bytes[framer.used++] = text[i];
        framer_skip(&framer);
        if (framer_next(&framer, &length) > 0) {
            found++;
            framer_drop(&framer, length);
        }
    }
    assert_int_equal(found, 2);
    assert_int_equal(framer.used, 0);
}

static void endless_headers_are_too_large(void **state)
{
    size_t length;

    (void)state;
    memset(&framer, 0, sizeof framer);
    memset(framer.bytes, 'a', sizeof framer.bytes);
    memcpy(framer.bytes, START, sizeof START - 1);
    framer.used = sizeof framer.bytes;
    assert_int_equal(framer_next(&framer, &length), -EMSGSIZE);
    memset(framer.bytes, 'a', sizeof framer.bytes); /* and an endless first line is not SIP */
    assert_int_equal(framer_next(&framer, &length), -EBADMSG);
}

static void pings_are_seen(void **state)
{
    (void)state;
    memset(&framer, 0, sizeof framer);
    memcpy(framer.bytes, "\r\n\r\n", 4);
    framer.used = 4;
    assert_true(framer_skip(&framer));
    assert_int_equal(framer.used, 0);
    memcpy(framer.bytes, "\r\n", 2);
    framer.used = 2;
    assert_false(framer_skip(&framer));
}

static void vias_are_worked_on(void **state)
{
    static const struct {
        const char *what, *in, *out;
    } cases[] = {
        {"push", START VIA "\r\n", START "Via: MINE\r\n" VIA "\r\n"},
        {"pop", START VIA "v: second\r\n\r\n", START "v: second\r\n\r\n"},
        {"pop", START "To: x\r\nV : one, two\r\n\r\n", START "To: x\r\nV : two\r\n\r\n"},
        {"pop", START "Via: one;x=\"a,b\"\r\n , two\r\n\r\n", START "Via: two\r\n\r\n"},
        {"pop", START "To: x\r\n\r\nVia: body\r\n", NULL},
        {"mark", START VIA "\r\n",
         START "Via: SIP/2.0/TCP 10.0.0.1;branch=z9hG4bK1;received=192.0.2.1\r\n\r\n"},
        {"mark", START "Via: SIP/2.0/TCP h;rport;branch=z\r\n\r\n",
         START "Via: SIP/2.0/TCP h;rport=77;received=192.0.2.1;branch=z\r\n\r\n"},
        {"mark", START "Via: SIP/2.0/TCP h;rport\r\n\r\n",
         START "Via: SIP/2.0/TCP h;rport=77;received=192.0.2.1\r\n\r\n"},
        {"mark", START "Via: SIP/2.0/TCP h , two\r\n\r\n",
         START "Via: SIP/2.0/TCP h;received=192.0.2.1 , two\r\n\r\n"},
        {"mark", START "\r\n", NULL},
    };
    char out[512];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *in = cases[i].in;
        int length = cases[i].what[1] == 'u' ? via_push(in, strlen(in), "MINE", out, sizeof out)
                     : cases[i].what[1] == 'o'
                         ? via_pop(in, strlen(in), out, sizeof out)
                         : via_mark(in, strlen(in), "192.0.2.1", 77, out, sizeof out);

        if (!cases[i].out) {
            assert_int_equal(length, -EBADMSG);
            continue;
        }
        assert_true(length > 0);
        out[length] = '\0';
        assert_string_equal(out, cases[i].out);
    }
    assert_int_equal(via_push(START, sizeof START - 1, "MINE", out, 20), -ENOBUFS);
}

static void key_follows_the_branch(void **state)
{
    static const char invite[] = "INVITE sip:a SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9;x\r\n\r\n";
    static const char cancel[] = "CANCEL sip:a SIP/2.0\r\nv: SIP/2.0/TCP h;x; branch=z9\r\n\r\n";
    static const char other[] = "INVITE sip:a SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z8;x\r\n\r\n";

    (void)state;
    assert_true(via_key(invite, sizeof invite - 1) == via_key(cancel, sizeof cancel - 1));
    assert_true(via_key(invite, sizeof invite - 1) != via_key(other, sizeof other - 1));
    assert_true(via_key(START, sizeof START - 1) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_judged),
        cmocka_unit_test(message_may_come_byte_by_byte),
        cmocka_unit_test(endless_headers_are_too_large),
        cmocka_unit_test(pings_are_seen),
        cmocka_unit_test(vias_are_worked_on),
        cmocka_unit_test(key_follows_the_branch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
