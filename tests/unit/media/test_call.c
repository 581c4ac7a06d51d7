/* A call from phone to phone over two nodes: every codec to every other, through a wire that loses,
 * doubles and reorders, and listened to at the other end. */
#include "tests/unit/media/fixture.h"

#define PAIRS (CODEC_COUNT * CODEC_COUNT)
#define FRAMES 75
#define TONE_HZ 440

struct pair {
    struct phone from, to;
    struct call near, far;
    struct wire there, back;
};

static void pair_open(struct node *node, struct pair *pair, enum codec from, enum codec to)
{
    enum codec between = CODEC_OPUS;
    phone_open(&pair->from, from);
    phone_open(&pair->to, to);
    call_open(node, &pair->near, 0);
    call_open(node, &pair->far, 1);
    pair->there =
        (struct wire){.media = node->media, .to_worker = 1, .to_bridge = pair->far.bridge};
    pair->back =
        (struct wire){.media = node->media, .to_worker = 0, .to_bridge = pair->near.bridge};
    struct media_leg leg = phone_leg(node, &pair->from);
    assert_int_equal(media_bridge_set(pair->near.bridge, MEDIA_A, &leg), 0);
    leg = wire_leg(&pair->there, between, true);
    assert_int_equal(media_bridge_set(pair->near.bridge, MEDIA_B, &leg), 0);
    leg = wire_leg(&pair->back, between, false);
    assert_int_equal(media_bridge_set(pair->far.bridge, MEDIA_A, &leg), 0);
    leg = phone_leg(node, &pair->to);
    assert_int_equal(media_bridge_set(pair->far.bridge, MEDIA_B, &leg), 0);
}

static void pair_close(struct node *node, struct pair *pair)
{
    call_close(node, &pair->near);
    call_close(node, &pair->far);
    phone_close(&pair->from);
    phone_close(&pair->to);
    free(pair->there.held);
    free(pair->back.held);
}

static void run(struct node *node, struct pair *pairs)
{
    node_run(node, 30);
    for (int frame = 0; frame < FRAMES; frame++) {
        for (int i = 0; i < PAIRS; i++) {
            phone_speak(&pairs[i].from, TONE_HZ, 20);
            phone_listen(&pairs[i].to);
        }
        node_run(node, 20);
    }
    node_run(node, 200);
    for (int i = 0; i < PAIRS; i++)
        phone_listen(&pairs[i].to);
}

static void check(const struct pair *pair, bool clean)
{
    const struct phone *to = &pair->to;
    double amplitude;
    /* The codecs settle within the first 100 ms. */
    int skip = to->rate / 10;
    assert_true(to->heard_count > skip);
    double share =
        ear_listen(to->heard + skip, to->heard_count - skip, to->rate, TONE_HZ, &amplitude);
    double seconds = (double)to->heard_count / to->rate;
    print_message("%s -> %s: %.2f s, share %.3f, amplitude %.0f, lost %d, fec %d, concealed %d\n",
                  codec_name(pair->from.codec), codec_name(to->codec), seconds, share, amplitude,
                  (int)pair->far.stats[0].lost, (int)pair->far.stats[0].fec_recovered,
                  (int)pair->far.stats[0].concealed);
    assert_true(share > (clean ? 0.95 : 0.70));
    assert_true(amplitude > 7500 && amplitude < 12000);
    assert_true(seconds > (clean ? 1.49 : 1.35));
    assert_true(seconds < 1.51);
}

/* Forwarded from node to phone: the holes of the wire are handed on, but for those that our own
 * encoder's repeats have filled. Nothing else happens. */
static void check_holes(const struct pair *pair)
{
    const struct phone *to = &pair->to;
    uint16_t newest = to->header[0].sequence, first = newest;
    bool seen[FRAMES] = {false};
    for (int i = 0; i < to->arrived; i++) {
        uint16_t at = (uint16_t)(to->header[i].sequence - first);
        assert_true(at < FRAMES);
        assert_false(seen[at]);
        seen[at] = true;
        assert_int_equal(to->header[i].timestamp - to->header[0].timestamp, 960 * at);
        if (at > (uint16_t)(newest - first))
            newest = to->header[i].sequence;
    }
    if (pair->from.codec == CODEC_OPUS)
        assert_int_equal(to->arrived, FRAMES - pair->there.lost);
    assert_in_range(to->arrived, FRAMES - pair->there.lost, FRAMES);
    assert_int_equal((uint16_t)(newest - first), FRAMES - 1);
}

static void all_pairs(bool clean)
{
    struct node node;
    struct pair *pairs = calloc(PAIRS, sizeof *pairs);
    node_open(&node, 2, 0);
    for (int i = 0; i < PAIRS; i++) {
        pair_open(&node, &pairs[i], (enum codec)(i / CODEC_COUNT), (enum codec)(i % CODEC_COUNT));
        if (!clean) {
            pairs[i].there.lose_each = 12;
            pairs[i].there.swap_each = 7;
            pairs[i].there.double_each = 5;
        }
    }
    run(&node, pairs);
    for (int i = 0; i < PAIRS; i++)
        pair_close(&node, &pairs[i]);
    node_close(&node);
    for (int i = 0; i < PAIRS; i++) {
        if (clean || pairs[i].to.codec != CODEC_OPUS)
            check(&pairs[i], clean);
        else
            check_holes(&pairs[i]);
    }
    free(pairs);
}

static void every_codec_reaches_every_other(void **state)
{
    (void)state;
    all_pairs(true);
}

static void loss_disorder_and_doubles_are_survived(void **state)
{
    (void)state;
    all_pairs(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_codec_reaches_every_other),
        cmocka_unit_test(loss_disorder_and_doubles_are_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
