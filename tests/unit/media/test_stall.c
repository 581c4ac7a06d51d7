/* A way that stalls, and one that changes to a faster one, heard by the phone behind the far node:
 * forwarded (Opus) and transcoded (PCMA). */
#include "tests/unit/media/fixture.h"

#define FRAME_MS 20
#define QUEUE_MAX 64

/* The way from the near to the far node. All on the near one's worker. */
struct way {
    struct wire wire;
    enum { DIRECT, STALLED, SLOW, FASTER } how;
    struct parcel *queue[QUEUE_MAX]; /* oldest first */
    int queued;
};

static void way_release(struct way *way, int count)
{
    for (int i = 0; i < count; i++)
        wire_post(way->queue[i]);
    way->queued -= count;
    memmove(way->queue, way->queue + count, (size_t)way->queued * sizeof way->queue[0]);
}

static int way_send(void *port, const uint8_t *packet, size_t bytes)
{
    struct way *way = port;
    struct parcel *parcel = wire_pack(&way->wire, packet, bytes);
    if (rtp_is_rtcp(packet, bytes) || way->how == DIRECT) {
        wire_post(parcel);
    } else if (way->how == FASTER) { /* overtakes those that are still under way */
        wire_post(parcel);
        way_release(way, way->queued > 0);
    } else {
        assert_true(way->queued < QUEUE_MAX);
        way->queue[way->queued++] = parcel;
        if (way->how == SLOW) /* takes five frames longer */
            way_release(way, way->queued > 5);
    }
    return 0;
}

struct call_over {
    struct node node;
    struct phone from, to;
    struct call near, far;
    struct way way;
    struct wire back;
};

static void over_open(struct call_over *over, enum codec to)
{
    node_open(&over->node, 2, 0);
    phone_open(&over->from, CODEC_OPUS);
    phone_open(&over->to, to);
    call_open(&over->node, &over->near, 0);
    call_open(&over->node, &over->far, 1);
    over->way = (struct way){
        .wire = {.media = over->node.media, .to_worker = 1, .to_bridge = over->far.bridge}};
    over->back = (struct wire){.media = over->node.media, .to_bridge = over->near.bridge};
    struct media_leg leg = phone_leg(&over->node, &over->from);
    assert_int_equal(media_bridge_set(over->near.bridge, MEDIA_A, &leg), 0);
    leg = wire_leg(&over->back, CODEC_OPUS, true);
    leg.send = way_send;
    leg.port = &over->way;
    assert_int_equal(media_bridge_set(over->near.bridge, MEDIA_B, &leg), 0);
    leg = wire_leg(&over->back, CODEC_OPUS, false);
    assert_int_equal(media_bridge_set(over->far.bridge, MEDIA_A, &leg), 0);
    leg = phone_leg(&over->node, &over->to);
    assert_int_equal(media_bridge_set(over->far.bridge, MEDIA_B, &leg), 0);
    node_run(&over->node, 30);
}

static void over_close(struct call_over *over)
{
    call_close(&over->node, &over->near);
    call_close(&over->node, &over->far);
    phone_close(&over->from);
    phone_close(&over->to);
    node_close(&over->node);
}

struct order {
    struct way *way;
    int how;
};

static void obey(void *arg)
{
    struct order *order = arg;
    order->way->how = order->how;
    if (order->how == DIRECT)
        way_release(order->way, order->way->queued);
    free(order);
}

static void become(struct call_over *over, int how)
{
    struct order *order = malloc(sizeof *order);
    *order = (struct order){&over->way, how};
    assert_int_equal(media_post(over->node.media, 0, obey, order), 0);
}

/* In real time, whatever the machine does meanwhile. */
static void speak(struct call_over *over, int frames)
{
    uint64_t begun_us = now_us();
    for (int i = 1; i <= frames; i++) {
        phone_speak(&over->from, 440, FRAME_MS);
        do {
            node_run(&over->node, 1);
        } while (now_us() < begun_us + (uint64_t)i * FRAME_MS * 1000);
        phone_listen(&over->to);
    }
}

static void assert_in_order(const struct phone *phone)
{
    for (int i = 1; i < phone->arrived; i++) {
        assert_true((int16_t)(phone->header[i].sequence - phone->header[i - 1].sequence) > 0);
        assert_true((int32_t)(phone->header[i].timestamp - phone->header[i - 1].timestamp) > 0);
    }
}

static const enum codec phones[] = {CODEC_OPUS, CODEC_PCMA};

static void what_a_stall_kept_too_long_is_dropped(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct call_over over;
        over_open(&over, phones[i]);
        speak(&over, 30);
        become(&over, STALLED);
        speak(&over, 20);
        become(&over, DIRECT);
        speak(&over, 30);
        over_close(&over);
        const struct media_stats *stats = &over.far.stats[MEDIA_A];
        assert_in_range(stats->late, 10, 20);
        assert_int_equal(over.to.arrived, 80 - (int)stats->late);
        assert_int_equal(stats->packets_in, 80);
        assert_int_equal(stats->lost, 0);
        assert_true(stats->gaps >= 1);
        assert_in_range(stats->longest_gap_us, 380000, 600000);
        assert_in_order(&over.to);
        int units = codec_clock_hz(over.to.codec) / 50;
        assert_int_equal(over.to.header[over.to.arrived - 1].timestamp -
                             over.to.header[0].timestamp,
                         79 * units);
    }
}

static void a_faster_way_loses_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct call_over over;
        over_open(&over, phones[i]);
        become(&over, SLOW);
        speak(&over, 30);
        become(&over, FASTER);
        speak(&over, 30);
        node_run(&over.node, 100);
        phone_listen(&over.to);
        over_close(&over);
        const struct media_stats *stats = &over.far.stats[MEDIA_A];
        assert_int_equal(stats->late, 0);
        assert_int_equal(stats->concealed + stats->fec_recovered, 0);
        assert_int_equal(over.to.arrived, 60);
        assert_in_order(&over.to);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_stall_kept_too_long_is_dropped),
        cmocka_unit_test(a_faster_way_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
