/* Nodes with paths in one process: a control loop, real worker threads with a small inbox each, and
 * identities of one realm. */
#ifndef TESTS_PATH_FIXTURE_H
#define TESTS_PATH_FIXTURE_H

#include "overlay/path.h"
#include "tests/unit/overlay/realm_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define LAB_WORKERS 3 /* two for paths, one for the relay */
#define LAB_PATH_WORKERS 2
#define LAB_INBOX 8 /* so small that posts fail now and then */

struct lab_job {
    void (*fn)(void *arg);
    void *arg;
};

/* An inbox with its thread; the control thread has one, too. */
struct lab_thread {
    uv_loop_t loop;
    uv_async_t async;
    pthread_t thread;
    pthread_mutex_t lock;
    struct lab_job inbox[LAB_INBOX];
    int jobs;
    unsigned refused;
    bool is_full; /* takes nothing for now */
};

struct lab {
    struct lab_thread control, worker[LAB_WORKERS];
    struct overlay_workers workers;
    uv_timer_t tick;
    int next;
    struct realm realm;
};

static inline void lab_on_async(uv_async_t *async)
{
    struct lab_thread *thread = async->data;
    struct lab_job jobs[LAB_INBOX];
    int count;

    pthread_mutex_lock(&thread->lock);
    count = thread->jobs;
    memcpy(jobs, thread->inbox, sizeof jobs);
    thread->jobs = 0;
    pthread_mutex_unlock(&thread->lock);
    for (int i = 0; i < count; i++)
        jobs[i].fn(jobs[i].arg);
}

static inline int lab_post(void *ctx, int worker, void (*fn)(void *arg), void *arg)
{
    struct lab *lab = ctx;
    struct lab_thread *thread = worker < 0 ? &lab->control : &lab->worker[worker];
    int err = 0;

    pthread_mutex_lock(&thread->lock);
    if (thread->jobs < LAB_INBOX && !thread->is_full)
        thread->inbox[thread->jobs++] = (struct lab_job){fn, arg};
    else
        err = -105; /* ENOBUFS */
    thread->refused += err < 0;
    pthread_mutex_unlock(&thread->lock);
    if (err == 0)
        uv_async_send(&thread->async);
    return err;
}

static inline void lab_set_full(struct lab *lab, bool is_full)
{
    struct lab_thread *threads[] = {&lab->control, &lab->worker[0], &lab->worker[1]};

    for (int i = 0; i < 3; i++) {
        pthread_mutex_lock(&threads[i]->lock);
        threads[i]->is_full = is_full;
        pthread_mutex_unlock(&threads[i]->lock);
    }
}

static inline int lab_count(void *ctx)
{
    (void)ctx;
    return LAB_PATH_WORKERS;
}

static inline int lab_pick(void *ctx)
{
    return ((struct lab *)ctx)->next++ % LAB_PATH_WORKERS;
}

static inline uv_loop_t *lab_loop(void *ctx, int worker)
{
    return &((struct lab *)ctx)->worker[worker].loop;
}

static inline void *lab_main(void *arg)
{
    struct lab_thread *thread = arg;

    uv_run(&thread->loop, UV_RUN_DEFAULT); /* ends when no handle is left: nothing was forgotten */
    return NULL;
}

static inline void lab_thread_init(struct lab_thread *thread)
{
    uv_loop_init(&thread->loop);
    uv_async_init(&thread->loop, &thread->async, lab_on_async);
    thread->async.data = thread;
    pthread_mutex_init(&thread->lock, NULL);
}

static inline void lab_on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static inline void lab_init(struct lab *lab)
{
    memset(lab, 0, sizeof *lab);
    lab_thread_init(&lab->control);
    uv_timer_init(&lab->control.loop, &lab->tick);
    uv_timer_start(&lab->tick, lab_on_tick, 2, 2);
    lab->workers = (struct overlay_workers){lab, lab_count, lab_pick, lab_loop, lab_post};
    for (int i = 0; i < LAB_WORKERS; i++) {
        lab_thread_init(&lab->worker[i]);
        pthread_create(&lab->worker[i].thread, NULL, lab_main, &lab->worker[i]);
    }
    fixture_realm(&lab->realm);
}

/* Runs the control loop until done(arg), at most `ms`. */
static inline bool lab_run(struct lab *lab, bool (*done)(void *arg), void *arg, unsigned ms)
{
    uint64_t end = uv_hrtime() + (uint64_t)ms * 1000000;

    while (!(done && done(arg)) && uv_hrtime() < end)
        uv_run(&lab->control.loop, UV_RUN_ONCE);
    return done && done(arg);
}

static inline void lab_stop(void *arg)
{
    uv_close((uv_handle_t *)&((struct lab_thread *)arg)->async, NULL);
}

static inline void lab_must_post(struct lab *lab, int worker, void (*fn)(void *arg), void *arg)
{
    while (lab_post(lab, worker, fn, arg) < 0)
        lab_run(lab, NULL, NULL, 1);
}

static inline void lab_fini(struct lab *lab)
{
    for (int i = 0; i < LAB_WORKERS; i++) {
        lab_must_post(lab, i, lab_stop, &lab->worker[i]);
        pthread_join(lab->worker[i].thread, NULL);
        if (uv_loop_close(&lab->worker[i].loop) < 0)
            abort();
        pthread_mutex_destroy(&lab->worker[i].lock);
    }
    uv_close((uv_handle_t *)&lab->tick, NULL);
    uv_close((uv_handle_t *)&lab->control.async, NULL);
    uv_run(&lab->control.loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&lab->control.loop) < 0)
        abort();
    pthread_mutex_destroy(&lab->control.lock);
    realm_fini(&lab->realm);
}

/* Runs fn(arg) on a worker and waits for its end. */
struct lab_task {
    void (*fn)(void *arg);
    void *arg;
    atomic_bool is_done;
};

static inline void lab_on_task(void *arg)
{
    struct lab_task *task = arg;

    task->fn(task->arg);
    atomic_store(&task->is_done, true);
}

static inline bool lab_task_is_done(void *arg)
{
    return atomic_load(&((struct lab_task *)arg)->is_done);
}

static inline void lab_on_worker(struct lab *lab, int worker, void (*fn)(void *arg), void *arg)
{
    struct lab_task task = {.fn = fn, .arg = arg};

    lab_must_post(lab, worker, lab_on_task, &task);
    if (!lab_run(lab, lab_task_is_done, &task, 5000))
        abort();
}

/* ---- a node -----------------------------------------------------------------------------------
 */

struct lab_node {
    struct lab *lab;
    struct identity *identity;
    struct conf_overlay conf;
    bool is_wary; /* trusts only whom its conf names; else everybody */
    struct paths *paths;
    void *path; /* of its call */
    uint32_t ssrc_in, ssrc_out;
    char way[300];      /* as last told */
    int ways;           /* how often */
    atomic_int packets; /* that its listener heard */
    atomic_int last_byte;
    bool is_listening, is_closed;
    struct core_relay relays[CORE_RELAYS_MAX]; /* that it knows, best first */
    int relay_count;
    void (*on_note)(void *ctx, void *path, const char *event, const char *text);
    int lost; /* ways that carried calls */
};

static inline int lab_take_relays(void *ctx, struct core_relay *out, int max)
{
    struct lab_node *node = ctx;
    int count = node->relay_count < max ? node->relay_count : max;

    memcpy(out, node->relays, (size_t)count * sizeof *out);
    return count;
}

static inline void lab_knows_relay(struct lab_node *node, const struct identity *relay,
                                   const char *address)
{
    struct core_relay *known = &node->relays[node->relay_count++];

    memcpy(known->node, identity_certificate(relay)->node, sizeof known->node);
    snprintf(known->address, sizeof known->address, "%s", address);
}

static inline void lab_on_way(void *ctx, void *path, const char *text)
{
    struct lab_node *node = ctx;

    if (node->path == path) {
        snprintf(node->way, sizeof node->way, "%s", text);
        node->ways++;
    }
}

static inline void lab_on_lost(void *ctx)
{
    ((struct lab_node *)ctx)->lost++;
}

static inline int lab_open(struct lab *lab, struct lab_node *node, const char *site)
{
    struct paths_settings settings = {.conf = &node->conf,
                                      .workers = &lab->workers,
                                      .control = &lab->control.loop,
                                      .take_relays = lab_take_relays,
                                      .take_relays_ctx = node,
                                      .on_way = lab_on_way,
                                      .on_note = node->on_note,
                                      .on_lost = lab_on_lost,
                                      .on_way_ctx = node};

    node->lab = lab;
    if (!node->is_wary) {
        node->conf.trust[0] = (char *)"*";
        node->conf.trust_count = 1;
    }
    if (!node->identity)
        node->identity = fixture_identity(&lab->realm, site, CONF_ROLE_GATEWAY);
    settings.identity = node->identity;
    return paths_open(&settings, &node->paths);
}

static inline void lab_node_on_closed(void *ctx)
{
    ((struct lab_node *)ctx)->is_closed = true;
}

static inline bool lab_node_is_closed(void *arg)
{
    return ((struct lab_node *)arg)->is_closed;
}

/* Worker. */
static inline void lab_receive(void *receiver, uint8_t *packet, size_t bytes)
{
    struct lab_node *node = receiver;

    atomic_store(&node->last_byte, packet[bytes - 1]);
    atomic_fetch_add(&node->packets, 1);
}

/* Offer, accept, learn, listen: as two cores would do it for one call. */
static inline int lab_call(struct lab_node *caller, struct lab_node *callee)
{
    struct core_path offer, reply;
    int err;

    err = paths_offer(caller->paths, identity_certificate(callee->identity), &offer, &caller->path,
                      &caller->ssrc_in);
    if (err == 0)
        err = paths_accept(callee->paths, identity_certificate(caller->identity), &offer, &reply,
                           &callee->path, &callee->ssrc_in);
    if (err == 0)
        err = paths_learn(caller->paths, caller->path, &reply);
    if (err < 0)
        return err;
    caller->ssrc_out = callee->ssrc_in;
    callee->ssrc_out = caller->ssrc_in;
    struct lab_node *ends[] = {caller, callee};
    for (int i = 0; i < 2; i++) {
        paths_hold(ends[i]->path);
        ends[i]->is_listening = true;
        paths_listen(ends[i]->path, ends[i]->ssrc_in, lab_receive, ends[i]);
    }
    return 0;
}

static inline void lab_on_port_closed(void *ctx)
{
    *(bool *)ctx = true;
}

static inline bool lab_flag(void *arg)
{
    return *(bool *)arg;
}

static inline void lab_hang_up(struct lab_node *node)
{
    bool is_closed = false;

    paths_unlisten(node->path, node->ssrc_in, lab_on_port_closed, &is_closed);
    if (!lab_run(node->lab, lab_flag, &is_closed, 5000))
        abort();
    paths_release(node->paths, node->path, node->ssrc_in);
    node->is_listening = false;
    node->path = NULL;
    node->way[0] = '\0';
}

static inline void lab_close(struct lab_node *node)
{
    if (node->path && node->is_listening) /* a test that failed half way */
        lab_hang_up(node);
    paths_close(node->paths, lab_node_on_closed, node);
    if (!lab_run(node->lab, lab_node_is_closed, node, 5000))
        abort();
    identity_free(node->identity);
    node->identity = NULL;
}

/* The node's process ends and another one takes its place, under the same identity. */
static inline int lab_restart(struct lab_node *node)
{
    struct identity *identity = node->identity;
    struct conf_overlay conf = node->conf;
    struct lab *lab = node->lab;

    node->identity = NULL;
    lab_close(node);
    *node = (struct lab_node){.identity = identity, .conf = conf};
    return lab_open(lab, node, NULL);
}

static inline bool lab_has_way(void *arg)
{
    return ((struct lab_node *)arg)->way[0] != '\0';
}

/* Sends `packet` on the node's worker; returns what paths_send said. */
struct lab_send {
    void *path;
    const uint8_t *packet;
    size_t bytes;
    int count, result;
};

static inline void lab_do_send(void *arg)
{
    struct lab_send *send = arg;

    static atomic_uint number;
    uint8_t packet[2048];

    /* no two are the same, as with SRTP */
    memcpy(packet, send->packet, send->bytes);
    for (int i = 0; i < send->count; i++) {
        unsigned next = atomic_fetch_add(&number, 1);
        memcpy(packet + send->bytes - 1 - sizeof next, &next, sizeof next);
        send->result = paths_send(send->path, packet, send->bytes);
    }
}

static inline void lab_rtp(uint8_t packet[172], uint32_t ssrc, uint8_t last)
{
    memset(packet, 0x55, 172);
    packet[0] = 0x80;
    packet[1] = 96;
    for (int i = 0; i < 4; i++)
        packet[8 + i] = (uint8_t)(ssrc >> (24 - 8 * i));
    packet[171] = last;
}

static inline int lab_say(struct lab_node *node, int count, uint8_t last)
{
    uint8_t packet[172];
    struct lab_send send = {node->path, packet, sizeof packet, count, 0};

    lab_rtp(packet, node->ssrc_out, last);
    lab_on_worker(node->lab, paths_worker(node->path), lab_do_send, &send);
    return send.result;
}

struct lab_hears {
    struct lab_node *node;
    int packets;
};

static inline bool lab_has_heard(void *arg)
{
    struct lab_hears *hears = arg;

    return atomic_load(&hears->node->packets) >= hears->packets;
}

static inline bool lab_wait_heard(struct lab_node *node, int packets, unsigned ms)
{
    struct lab_hears hears = {node, packets};

    return lab_run(node->lab, lab_has_heard, &hears, ms);
}

#endif
