/* The crossing of threads: order, fullness, and a storm from all sides. */
#include "tests/unit/media/fixture.h"

#include "media/inbox.h"

struct reader {
    struct inbox inbox;
    int count, last;
    bool in_order, closed;
};

static void on_item(void *ctx, const struct inbox_item *item)
{
    struct reader *reader = ctx;
    if (item->duration_ms != reader->last + 1)
        reader->in_order = false;
    reader->last = item->duration_ms;
    reader->count++;
}

static void on_closed(void *ctx)
{
    ((struct reader *)ctx)->closed = true;
}

static void it_is_bounded_and_keeps_room(void **state)
{
    uv_loop_t loop;
    struct reader reader = {.in_order = true};
    int posted = 0;
    (void)state;
    uv_loop_init(&loop);
    assert_int_equal(inbox_open(&reader.inbox, &loop, on_item, &reader), 0);
    struct inbox_item item = {.tag = INBOX_CALL};
    while (item.duration_ms = posted + 1, inbox_post(&reader.inbox, &item, INBOX_RESERVE) == 0)
        posted++;
    assert_int_equal(posted, INBOX_SLOTS - INBOX_RESERVE + 1);
    /* no new bridges any more, but all these still fit */
    while (item.duration_ms = posted + 1, inbox_post(&reader.inbox, &item, 1) == 0)
        posted++;
    assert_int_equal(posted, INBOX_SLOTS);
    uv_run(&loop, UV_RUN_NOWAIT);
    inbox_close(&reader.inbox, on_closed); /* hands out the rest first */
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(reader.count, INBOX_SLOTS);
    assert_true(reader.in_order && reader.closed);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void an_outbox_loses_nothing(void **state)
{
    enum { ITEMS = 3 * INBOX_SLOTS };
    uv_loop_t loop;
    struct reader reader = {.in_order = true};
    struct outbox outbox;
    (void)state;
    uv_loop_init(&loop);
    assert_int_equal(inbox_open(&reader.inbox, &loop, on_item, &reader), 0);
    outbox_open(&outbox, &loop, &reader.inbox);
    for (int i = 1; i <= ITEMS; i++) {
        const struct inbox_item item = {.tag = INBOX_CALL, .duration_ms = i};
        outbox_send(&outbox, &item);
    }
    assert_false(outbox_is_empty(&outbox));
    while (reader.count < ITEMS)
        uv_run(&loop, UV_RUN_ONCE);
    assert_true(reader.in_order && outbox_is_empty(&outbox));
    outbox_close(&outbox, NULL);
    inbox_close(&reader.inbox, on_closed);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

/* ---- through a whole `struct media` ---------------------------------------------------------- */

struct storm {
    struct node node;
    int returned, refused;
    int64_t sum;
};
struct ball {
    struct storm *storm;
    int number, worker;
    uv_thread_t thread;
};

static void on_return(void *arg)
{
    struct ball *ball = arg;
    ball->storm->returned++;
    ball->storm->sum += ball->number;
    free(ball);
}

static void on_throw(void *arg)
{
    struct ball *ball = arg;
    ball->thread = uv_thread_self();
    while (media_post(ball->storm->node.media, MEDIA_CONTROL, on_return, ball) < 0)
        uv_sleep(1);
}

static void posts_come_back_from_all_workers(void **state)
{
    enum { BALLS = 20000 };
    struct storm storm = {0};
    int64_t expected = 0;
    (void)state;
    node_open(&storm.node, 3, 0);
    assert_int_equal(media_worker_count(storm.node.media), 3);
    for (int i = 0; i < BALLS; i++) {
        struct ball *ball = calloc(1, sizeof *ball);
        ball->storm = &storm;
        ball->number = i;
        expected += i;
        while (media_post(storm.node.media, i % 3, on_throw, ball) < 0) {
            storm.refused++;
            uv_run(&storm.node.loop, UV_RUN_NOWAIT);
        }
    }
    while (storm.returned < BALLS)
        uv_run(&storm.node.loop, UV_RUN_ONCE);
    assert_true(storm.sum == expected);
    node_close(&storm.node);
}

struct hold {
    uv_sem_t is_held, go_on;
};

static void hold_up(void *arg)
{
    struct hold *hold = arg;
    uv_sem_post(&hold->is_held);
    uv_sem_wait(&hold->go_on);
}

static void a_busy_worker_takes_no_new_bridges(void **state)
{
    struct node node;
    struct call call;
    static struct call calls[INBOX_SLOTS];
    int opened = 0;
    struct hold hold;
    (void)state;
    node_open(&node, 1, 0);
    assert_int_equal(uv_sem_init(&hold.is_held, 0) + uv_sem_init(&hold.go_on, 0), 0);
    assert_int_equal(media_post(node.media, 0, hold_up, &hold), 0);
    uv_sem_wait(&hold.is_held);
    while (opened < INBOX_SLOTS && media_bridge_open(node.media, 0, &call_events, &calls[opened],
                                                     &calls[opened].bridge) == 0)
        opened++;
    assert_in_range(opened, 1, INBOX_SLOTS - INBOX_RESERVE + 1);
    assert_int_equal(media_bridge_open(node.media, 0, &call_events, &call, &call.bridge), -EAGAIN);
    /* those that are there can still be changed, asked and closed, however often */
    const struct media_leg echo = {.kind = MEDIA_LEG_ECHO};
    for (int i = 0; i < opened; i++) {
        for (int n = 0; n < 5; n++)
            assert_int_equal(media_bridge_set(calls[i].bridge, MEDIA_B, &echo), 0);
        media_bridge_ask(calls[i].bridge);
        media_bridge_close(calls[i].bridge);
    }
    uv_sem_post(&hold.go_on);
    for (int i = 0; i < opened; i++)
        while (!calls[i].closed)
            uv_run(&node.loop, UV_RUN_ONCE);
    node_close(&node);
    uv_sem_destroy(&hold.is_held);
    uv_sem_destroy(&hold.go_on);
}

static void ports_run_out_and_come_back(void **state)
{
    struct node node = {0};
    struct conf_media settings = {.port_min = 41991, .port_max = 41999, .workers = 1};
    const struct sockaddr_storage local = loopback(0);
    struct media_rtp *rtp[4], *more;
    (void)state;
    uv_loop_init(&node.loop);
    assert_int_equal(media_open(&node.loop, &settings, &node.media), 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(media_rtp_open(node.media, &local, &rtp[i]), 0);
        assert_in_range(media_rtp_port(rtp[i]), 41992, 41998);
        assert_int_equal(media_rtp_port(rtp[i]) % 2, 0);
    }
    assert_int_equal(media_rtp_open(node.media, &local, &more), -EADDRINUSE);
    uint16_t port = media_rtp_port(rtp[2]);
    media_rtp_close(rtp[2]);
    assert_int_equal(media_rtp_open(node.media, &local, &rtp[2]), 0);
    assert_int_equal(media_rtp_port(rtp[2]), port);
    for (int i = 0; i < 4; i++)
        media_rtp_close(rtp[i]);
    const struct sockaddr_storage nothing = {0};
    assert_int_equal(media_rtp_open(node.media, &nothing, &more), -EINVAL);
    node_close(&node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_bounded_and_keeps_room),
        cmocka_unit_test(an_outbox_loses_nothing),
        cmocka_unit_test(posts_come_back_from_all_workers),
        cmocka_unit_test(a_busy_worker_takes_no_new_bridges),
        cmocka_unit_test(ports_run_out_and_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
