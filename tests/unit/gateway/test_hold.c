/* Hold across the bridge: two phones that hold and resume in every order, and each hears at the end
 * what both want. The legs are made up; what passes between them is the gateway's. */
#include "gateway/call_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* What the user of each phone wants, seen from us. */
static enum media_direction wish[2];
static int updates;

/* A phone that is asked answers with what it wants of that; about the rest it says nothing. */
static int update(struct leg *leg, enum media_direction direction)
{
    unsigned before = leg->willing;
    leg->wanted = direction;
    leg->willing = (wish[leg->side] & direction) | (before & ~direction);
    assert_true(++updates < 50); /* they do not go round in circles */
    call_media_mirror(leg);
    return 0;
}

static const struct leg_ops ops = {.kind = "phone", .update = update};

static struct call make_call(void)
{
    struct call call = {.id = "0123456789abcdef", .state = CALL_STATE_UP};
    for (int side = 0; side < 2; side++) {
        call.legs[side].ops = &ops;
        call.legs[side].side = (enum media_side)side;
        call.legs[side].is_signalling = true;
        call.legs[side].willing = call.legs[side].wanted = wish[side] = MEDIA_SENDRECV;
    }
    updates = 0;
    return call;
}

/* The user presses a key: the phone offers what he wants. */
static void press(struct call *call, int side, enum media_direction direction)
{
    struct leg *leg = &call->legs[side];
    leg->call = call;
    call->legs[!side].call = call;
    leg->willing = wish[side] = direction;
    call_media_mirror(leg);
}

static unsigned agreed(const struct call *call, int side)
{
    return call->legs[side].willing & call->legs[side].wanted;
}

static void hold_is_right_in_every_order(void **state)
{
    static const enum media_direction holds[] = {MEDIA_RECVONLY, MEDIA_INACTIVE};
    (void)state;
    for (int i = 0; i < 16; i++) {
        struct call call = make_call();
        int first = i & 1, resumes_first = i >> 1 & 1;
        press(&call, first, holds[i >> 2 & 1]);
        press(&call, !first, holds[i >> 3]);
        assert_int_equal(agreed(&call, 0) & MEDIA_SENDONLY, 0); /* nobody hears anything */
        assert_int_equal(agreed(&call, 1) & MEDIA_SENDONLY, 0);
        press(&call, resumes_first, MEDIA_SENDRECV);
        assert_int_equal(agreed(&call, !resumes_first) & MEDIA_SENDONLY, 0); /* still holds */
        press(&call, !resumes_first, MEDIA_SENDRECV);
        assert_int_equal(agreed(&call, 0), MEDIA_SENDRECV);
        assert_int_equal(agreed(&call, 1), MEDIA_SENDRECV);
        journal_fini(&call.journal);
    }
}

static void the_held_end_is_told_once(void **state)
{
    struct call call = make_call();
    (void)state;
    press(&call, MEDIA_A, MEDIA_RECVONLY);
    assert_int_equal(call.legs[MEDIA_B].wanted, MEDIA_SENDONLY);
    press(&call, MEDIA_A, MEDIA_RECVONLY);
    assert_int_equal(updates, 1);
    press(&call, MEDIA_A, MEDIA_SENDRECV);
    assert_int_equal(call.legs[MEDIA_B].wanted, MEDIA_SENDRECV);
    assert_int_equal(updates, 2);
    journal_fini(&call.journal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hold_is_right_in_every_order),
        cmocka_unit_test(the_held_end_is_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
