/* A path whose ways are wires of the test: cut, mended, slow. What does the media do? */
#include "overlay/path_worker.h"
#include "tests/unit/overlay/path_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define FRAME_MS 20
#define WIRES_MAX 4
#define NOTES_MAX 64

/* ---- wires ------------------------------------------------------------------------------------
 */

struct wire_end {
    struct path_way way; /* first */
    struct wire_end *other;
    const char *name;
    unsigned delay_ms;
    atomic_bool is_cut; /* what is sent here is lost */
    atomic_int sent, doubts;
};

struct flight {
    uv_timer_t timer;
    struct wire_end *to;
    size_t bytes;
    uint8_t data[512];
};

static atomic_int flights;

static void on_flight_closed(uv_handle_t *handle)
{
    free(handle->data);
    atomic_fetch_sub(&flights, 1);
}

static void on_arrival(uv_timer_t *timer)
{
    struct flight *flight = timer->data;
    struct path_way *way = &flight->to->way;

    path_worker_receive(way->path->worker, way, NULL, flight->data, flight->bytes);
    uv_close((uv_handle_t *)timer, on_flight_closed);
}

static int wire_send(struct path_way *way, const uint8_t *packet, size_t bytes)
{
    struct wire_end *end = (struct wire_end *)way;
    struct flight *flight;

    atomic_fetch_add(&end->sent, 1);
    if (atomic_load(&end->is_cut) || !end->other)
        return 0;
    flight = calloc(1, sizeof *flight);
    assert_non_null(flight);
    atomic_fetch_add(&flights, 1);
    flight->to = end->other;
    flight->bytes = bytes;
    memcpy(flight->data, packet, bytes);
    uv_timer_init(way->path->worker->loop, &flight->timer);
    flight->timer.data = flight;
    uv_timer_start(&flight->timer, on_arrival, end->delay_ms, 0);
    return 0;
}

static void wire_doubt(struct path_way *way, uint64_t now_ms)
{
    (void)now_ms;
    atomic_fetch_add(&((struct wire_end *)way)->doubts, 1);
}

static void wire_describe(const struct path_way *way, char *text, size_t bytes)
{
    snprintf(text, bytes, "%s", ((const struct wire_end *)way)->name);
}

static void wire_close(struct path_way *way)
{
    path_way_fini(way);
}

static const struct path_way_ops direct_ops = {
    .rank = PATH_RANK_UDP,
    .send = wire_send,
    .doubt = wire_doubt,
    .describe = wire_describe,
    .close = wire_close,
};
static const struct path_way_ops relay_ops = {
    .rank = PATH_RANK_RELAY,
    .send = wire_send,
    .doubt = wire_doubt,
    .describe = wire_describe,
    .close = wire_close,
};

/* ---- a call over them -------------------------------------------------------------------------
 */

struct side {
    struct lab_node node;
    uv_timer_t talk;
    atomic_bool is_talking;
    uint16_t sequence;
    atomic_int last; /* sequence number that came last, -1: none */
    uint8_t seen[1024];
    atomic_int missing; /* numbers left out below `last` */
    char notes[NOTES_MAX][200];
    int note_count;
};

struct wire {
    struct wire_end ends[2];
};

struct scene {
    struct lab lab;
    struct side sides[2]; /* the maker of the path first */
    struct wire wires[WIRES_MAX];
    int wire_count;
};

static struct path *path_of(struct scene *scene, int side)
{
    return scene->sides[side].node.path;
}

static void hear(void *receiver, uint8_t *packet, size_t bytes)
{
    struct side *side = receiver;
    int number = packet[2] << 8 | packet[3], last = atomic_load(&side->last);

    assert_int_equal(bytes, 172);
    side->seen[number % 1024] = 1;
    atomic_fetch_add(&side->node.packets, 1);
    if (number > last)
        atomic_store(&side->last, number);
}

static void talk(uv_timer_t *timer)
{
    struct side *side = timer->data;
    uint8_t packet[172];

    if (!atomic_load(&side->is_talking))
        return;
    lab_rtp(packet, side->node.ssrc_out, 0);
    packet[2] = (uint8_t)(side->sequence >> 8);
    packet[3] = (uint8_t)side->sequence++;
    paths_send(side->node.path, packet, sizeof packet);
}

static void take_note(void *ctx, void *path, const char *event, const char *text)
{
    struct lab_node *node = ctx;
    struct side *side = (struct side *)((char *)node - offsetof(struct side, node));

    (void)path;
    if (side->note_count < NOTES_MAX)
        snprintf(side->notes[side->note_count++], sizeof side->notes[0], "%s: %s", event, text);
}

static bool was_noted(const struct side *side, const char *beginning)
{
    for (int i = 0; i < side->note_count; i++)
        if (strncmp(side->notes[i], beginning, strlen(beginning)) == 0)
            return true;
    return false;
}

static void start_talking(void *arg)
{
    struct side *side = arg;

    uv_timer_init(((struct path *)side->node.path)->worker->loop, &side->talk);
    side->talk.data = side;
    uv_timer_start(&side->talk, talk, FRAME_MS, FRAME_MS);
}

static void stop_talking(void *arg)
{
    uv_close((uv_handle_t *)&((struct side *)arg)->talk, NULL);
}

struct added {
    struct scene *scene;
    struct wire *wire;
    const struct path_way_ops *ops;
};

static void do_add(void *arg)
{
    struct added *added = arg;

    for (int i = 0; i < 2; i++) {
        struct wire_end *end = &added->wire->ends[i];
        struct path *path = path_of(added->scene, i);

        end->other = &added->wire->ends[1 - i];
        path_way_init(&end->way, added->ops, path);
        end->way.is_up = true;
        path_live_add_way(path, &end->way);
        path_check_hurry(&end->way, uv_now(path->worker->loop));
    }
}

static struct wire *add_wire(struct scene *scene, const char *name, const struct path_way_ops *ops,
                             unsigned delay_ms)
{
    struct wire *wire = &scene->wires[scene->wire_count++];
    struct added added = {scene, wire, ops};

    for (int i = 0; i < 2; i++) {
        wire->ends[i].name = name;
        wire->ends[i].delay_ms = delay_ms;
    }
    lab_on_worker(&scene->lab, 0, do_add, &added);
    return wire;
}

static void cut(struct wire *wire, bool is_cut)
{
    atomic_store(&wire->ends[0].is_cut, is_cut);
    atomic_store(&wire->ends[1].is_cut, is_cut);
}

/* Both ends on worker 0, without any way of their own. */
static void call(struct scene *scene)
{
    struct lab_node *caller = &scene->sides[0].node, *callee = &scene->sides[1].node;
    struct core_path offer, reply;

    scene->lab.next = 0;
    assert_int_equal(paths_offer(caller->paths, identity_certificate(callee->identity), &offer,
                                 &caller->path, &caller->ssrc_in),
                     0);
    scene->lab.next = 0;
    assert_int_equal(paths_accept(callee->paths, identity_certificate(caller->identity), &offer,
                                  &reply, &callee->path, &callee->ssrc_in),
                     0);
    assert_int_equal(paths_learn(caller->paths, caller->path, &reply), 0);
    caller->ssrc_out = callee->ssrc_in;
    callee->ssrc_out = caller->ssrc_in;
    for (int i = 0; i < 2; i++) {
        struct side *side = &scene->sides[i];

        paths_hold(side->node.path);
        side->node.is_listening = true;
        atomic_store(&side->is_talking, true);
        atomic_store(&side->last, -1);
        paths_listen(side->node.path, side->node.ssrc_in, hear, side);
        lab_on_worker(&scene->lab, 0, start_talking, side);
    }
}

static int setup(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);

    lab_init(&scene->lab);
    for (int i = 0; i < 2; i++) {
        scene->sides[i].node.on_note = take_note;
        if (lab_open(&scene->lab, &scene->sides[i].node, i ? "paris" : "berlin") < 0)
            return -1;
    }
    call(scene);
    *state = scene;
    return 0;
}

static bool has_landed(void *arg)
{
    (void)arg;
    return atomic_load(&flights) == 0;
}

static int teardown(void **state)
{
    struct scene *scene = *state;

    for (int i = 0; i < 2; i++)
        lab_on_worker(&scene->lab, 0, stop_talking, &scene->sides[i]);
    for (int i = 0; i < scene->wire_count; i++)
        cut(&scene->wires[i], true);
    lab_run(&scene->lab, has_landed, NULL, 2000);
    for (int i = 0; i < 2; i++)
        lab_close(&scene->sides[i].node);
    lab_fini(&scene->lab);
    free(scene);
    return 0;
}

/* ---- what is waited for -----------------------------------------------------------------------
 */

struct wish {
    struct scene *scene;
    const char *way;
    int packets[2];
};

static bool both_use(void *arg)
{
    struct wish *wish = arg;

    return strcmp(wish->scene->sides[0].node.way, wish->way) == 0 &&
           strcmp(wish->scene->sides[1].node.way, wish->way) == 0;
}

static void wait_way(struct scene *scene, const char *way)
{
    struct wish wish = {scene, way, {0}};

    if (lab_run(&scene->lab, both_use, &wish, 4000))
        return;
    for (int i = 0; i < 2; i++)
        for (int n = 0; n < scene->sides[i].note_count; n++)
            print_message("%s %s\n", i ? "paris" : "berlin", scene->sides[i].notes[n]);
    fail_msg("ways are \"%s\" and \"%s\", not \"%s\"", scene->sides[0].node.way,
             scene->sides[1].node.way, way);
}

static bool have_heard(void *arg)
{
    struct wish *wish = arg;

    for (int i = 0; i < 2; i++)
        if (atomic_load(&wish->scene->sides[i].node.packets) < wish->packets[i])
            return false;
    return true;
}

/* Both hear so many packets more. */
static void wait_heard(struct scene *scene, int more)
{
    struct wish wish = {.scene = scene};

    for (int i = 0; i < 2; i++)
        wish.packets[i] = atomic_load(&scene->sides[i].node.packets) + more;
    assert_true(lab_run(&scene->lab, have_heard, &wish, 4000));
}

struct range {
    struct side *side;
    int from, to, missing;
};

static void do_count(void *arg)
{
    struct range *range = arg;

    for (int i = range->from; i < range->to; i++)
        range->missing += !range->side->seen[i % 1024];
}

static int missing(struct scene *scene, int side, int from, int to)
{
    struct range range = {&scene->sides[side], from, to, 0};

    lab_on_worker(&scene->lab, 0, do_count, &range);
    return range.missing;
}

/* ---- stories ----------------------------------------------------------------------------------
 */

static void the_better_kind_takes_over_without_loss(void **state)
{
    struct scene *scene = *state;
    int from[2];

    add_wire(scene, "relay", &relay_ops, 40);
    wait_way(scene, "relay");
    wait_heard(scene, 5);
    for (int i = 0; i < 2; i++)
        from[i] = atomic_load(&scene->sides[i].last);
    add_wire(scene, "direct", &direct_ops, 2);
    wait_way(scene, "direct");
    wait_heard(scene, 30);
    for (int i = 0; i < 2; i++)
        assert_int_equal(missing(scene, i, from[i], atomic_load(&scene->sides[i].last) - 10), 0);
    assert_true(was_noted(&scene->sides[0], "moved: from relay to direct"));
}

/* Who answers at once is heard before any check has come back. */
static void voice_does_not_wait_for_a_proof(void **state)
{
    struct scene *scene = *state;
    struct wish wish = {.scene = scene, .packets = {1, 1}};

    cut(add_wire(scene, "a relay that the other end cannot reach", &relay_ops, 5), true);
    add_wire(scene, "relay", &relay_ops, 200);
    assert_true(lab_run(&scene->lab, have_heard, &wish, 4000));
    assert_int_equal(scene->sides[0].node.ways + scene->sides[1].node.ways, 0);
    wait_way(scene, "relay");
    assert_true(was_noted(&scene->sides[0], "chosen: relay"));
}

static void a_way_that_dies_is_left(void **state)
{
    struct scene *scene = *state;
    struct wire *direct = add_wire(scene, "direct", &direct_ops, 5);

    add_wire(scene, "relay", &relay_ops, 20);
    wait_way(scene, "direct");
    wait_heard(scene, 20);
    cut(direct, true);
    wait_heard(scene, 5); /* by doubles, long before the way is given up */
    wait_way(scene, "relay");
    for (int i = 0; i < 2; i++) {
        assert_true(was_noted(&scene->sides[i], "silent: "));
        assert_true(was_noted(&scene->sides[i], "heard: "));
        assert_true(was_noted(&scene->sides[i], "lost: direct"));
    }
    assert_true(scene->sides[0].node.lost + scene->sides[1].node.lost > 0);
    cut(direct, false);
    wait_way(scene, "direct");
}

static void one_direction_that_dies_is_enough(void **state)
{
    struct scene *scene = *state;

    for (int dead = 0; dead < 2; dead++) {
        struct wire *direct = &scene->wires[0];
        int from;

        if (dead == 0) {
            direct = add_wire(scene, "direct", &direct_ops, 5);
            add_wire(scene, "relay", &relay_ops, 20);
        }
        wait_way(scene, "direct");
        wait_heard(scene, 20);
        from = atomic_load(&scene->sides[dead].last); /* the direction that lives */
        atomic_store(&direct->ends[dead].is_cut, true);
        wait_way(scene, "relay");
        wait_heard(scene, 20);
        assert_int_equal(missing(scene, dead, from, atomic_load(&scene->sides[dead].last) - 10), 0);
        cut(direct, false);
    }
}

static void of_two_relays_the_faster_one_is_taken_by_both(void **state)
{
    struct scene *scene = *state;
    struct wire *fast;

    add_wire(scene, "slow relay", &relay_ops, 60);
    wait_way(scene, "slow relay");
    fast = add_wire(scene, "fast relay", &relay_ops, 5);
    wait_way(scene, "fast relay");
    wait_heard(scene, 20);
    cut(fast, true);
    wait_way(scene, "slow relay");
    wait_heard(scene, 5);
    assert_true(atomic_load(&fast->ends[0].doubts) + atomic_load(&fast->ends[1].doubts) > 0);
}

static void silence_of_the_phones_is_none_of_the_path(void **state)
{
    struct scene *scene = *state;
    struct wire *direct = add_wire(scene, "direct", &direct_ops, 5);
    int sent;

    add_wire(scene, "relay", &relay_ops, 20);
    wait_way(scene, "direct");
    wait_heard(scene, 20);
    scene->sides[0].note_count = scene->sides[1].note_count = 0;
    atomic_store(&scene->sides[0].is_talking, false);
    lab_run(&scene->lab, NULL, NULL, 200);
    sent = atomic_load(&direct->ends[0].sent);
    lab_run(&scene->lab, NULL, NULL, 1000);
    assert_in_range(atomic_load(&direct->ends[0].sent) - sent, 5, 25);
    for (int i = 0; i < 2; i++)
        assert_false(was_noted(&scene->sides[i], "lost: "));
    /* but its end is noticed, with beats alone */
    cut(direct, true);
    wait_way(scene, "relay");
    atomic_store(&scene->sides[0].is_talking, true);
    wait_heard(scene, 20);
}

static void an_end_that_leaves_is_not_missed(void **state)
{
    struct scene *scene = *state;

    add_wire(scene, "direct", &direct_ops, 5);
    add_wire(scene, "relay", &relay_ops, 20);
    wait_way(scene, "direct");
    wait_heard(scene, 20);
    scene->sides[0].note_count = 0;
    atomic_store(&scene->sides[1].is_talking, false);
    bool is_closed = false;
    struct lab_node *paris = &scene->sides[1].node;
    paths_unlisten(paris->path, paris->ssrc_in, lab_on_port_closed, &is_closed);
    assert_true(lab_run(&scene->lab, lab_flag, &is_closed, 2000));
    lab_run(&scene->lab, NULL, NULL, 700);
    assert_int_equal(scene->sides[0].note_count, 0);
    paths_hold(paris->path); /* for the teardown's unlisten */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_better_kind_takes_over_without_loss),
        TEST(voice_does_not_wait_for_a_proof),
        TEST(a_way_that_dies_is_left),
        TEST(one_direction_that_dies_is_enough),
        TEST(of_two_relays_the_faster_one_is_taken_by_both),
        TEST(silence_of_the_phones_is_none_of_the_path),
        TEST(an_end_that_leaves_is_not_missed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
