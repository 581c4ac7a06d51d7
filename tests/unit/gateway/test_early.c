/* Early media of the called end: passed on to a caller that can take it, else it hears ringing. */
#include "gateway/call_internal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static int progress_result, progressed, rang;

static int progress(struct leg *leg, enum codec like)
{
    (void)leg;
    assert_int_equal(like, CODEC_PCMA);
    progressed++;
    return progress_result;
}

static void ring(struct leg *leg)
{
    (void)leg;
    rang++;
}

static const struct leg_ops caller = {.kind = "phone", .progress = progress, .ring = ring};

static void check(bool is_early, int result, int progresses, int rings)
{
    struct call call = {.id = "0123456789abcdef", .state = CALL_STATE_CALLING};
    struct leg *b = &call.legs[MEDIA_B];
    call.legs[MEDIA_A] = (struct leg){.call = &call, .ops = &caller, .side = MEDIA_A};
    *b = (struct leg){.call = &call, .side = MEDIA_B, .is_early = is_early};
    b->media.codec = CODEC_PCMA;
    progress_result = result;
    progressed = rang = 0;
    call_leg_media(b);
    assert_int_equal(progressed, progresses);
    assert_int_equal(rang, rings);
    journal_fini(&call.journal);
}

static void early_media_is_passed_on(void **state)
{
    (void)state;
    check(true, 0, 1, 0);
    check(true, -EINVAL, 1, 1); /* the caller has offered nothing yet */
    check(false, 0, 0, 0);      /* it is the answer's */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(early_media_is_passed_on)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
