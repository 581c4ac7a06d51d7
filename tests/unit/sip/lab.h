/* A gateway and its phones in one process: the real sip/ on loopback sockets, a gateway that writes
 * down what it hears, and phones that are a socket, a script and no more. Everything runs on one
 * thread: whoever waits turns the loop.
 *
 * Included by the tests of this folder; each makes its own copy, with its own port. */
#ifndef TESTS_UNIT_SIP_LAB_H
#define TESTS_UNIT_SIP_LAB_H

#include "sip/digest.h"
#include "sip/sip.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <sofia-sip/su.h>
#include <sofia-sip/su_wait.h>

#pragma GCC diagnostic ignored "-Wunused-function"

#define PATIENCE_MS 3000
#define SECRET_201 "one two three"
#define SECRET_202 "swordfish"

/* ---- the loop, as gateway/loop.c makes it ---- */

struct lab {
    uv_loop_t uv;
    su_root_t *root;
    su_wait_t wait[1];
    struct conf conf;
    struct conf_phone phones[3];
    struct sip *sip;
    bool closed;
    uint16_t port;

    /* what the gateway heard */
    struct sip_call *call; /* the last that came in, or the one that we made */
    char log[1024];        /* one word per event */
    char journal[2048], refused[160];
    char from_user[64], from_name[64], dialled[64], host[64];
    struct codec_list codecs;
    enum media_direction offered;
    struct sip_audio audio;
    struct call_cause cause;
    struct sip_local_audio local;
};

static int lab_on_backend(su_root_magic_t *magic, su_wait_t *wait, su_wakeup_arg_t *arg)
{
    (void)magic;
    (void)wait;
    (void)arg;
    return 0;
}

static void lab_turn(struct lab *lab, int max_ms)
{
    int timeout;

    uv_run(&lab->uv, UV_RUN_NOWAIT);
    timeout = uv_backend_timeout(&lab->uv);
    if (timeout < 0 || timeout > max_ms)
        timeout = max_ms;
    su_root_step(lab->root, timeout);
}

static uint64_t lab_now_ms(void)
{
    return uv_hrtime() / 1000000;
}

static void lab_run(struct lab *lab, unsigned ms)
{
    uint64_t end = lab_now_ms() + ms;

    while (lab_now_ms() < end)
        lab_turn(lab, 2);
}

/* ---- the gateway ---- */

static void lab_note(struct lab *lab, const char *word)
{
    size_t used = strlen(lab->log);

    snprintf(lab->log + used, sizeof lab->log - used, "%s%s", used ? " " : "", word);
}

static void lab_on_ringing(void *ctx)
{
    lab_note(ctx, "ringing");
}

static void lab_on_media(void *ctx, const struct sip_audio *audio)
{
    struct lab *lab = ctx;

    lab->audio = *audio;
    lab_note(lab, "media");
}

static void lab_on_answer(void *ctx)
{
    lab_note(ctx, "answer");
}

static void lab_on_digit(void *ctx, char digit, int duration_ms)
{
    char word[32];

    snprintf(word, sizeof word, "digit:%c/%d", digit, duration_ms);
    lab_note(ctx, word);
}

static void lab_on_end(void *ctx, const struct call_cause *cause)
{
    struct lab *lab = ctx;

    lab->cause = *cause;
    lab->call = NULL;
    lab_note(lab, "end");
}

static void lab_on_note(void *ctx, const char *event, const char *text)
{
    struct lab *lab = ctx;
    size_t used = strlen(lab->journal);

    snprintf(lab->journal + used, sizeof lab->journal - used, "%s: %s\n", event, text);
}

static const struct sip_call_events lab_call_events = {
    .on_ringing = lab_on_ringing,
    .on_media = lab_on_media,
    .on_answer = lab_on_answer,
    .on_digit = lab_on_digit,
    .on_note = lab_on_note,
    .on_end = lab_on_end,
};

static void lab_on_invite(void *ctx, struct sip_call *call, const struct sip_invite *invite)
{
    struct lab *lab = ctx;

    lab->call = call;
    snprintf(lab->from_user, sizeof lab->from_user, "%s", invite->from_user);
    snprintf(lab->from_name, sizeof lab->from_name, "%s", invite->from_name);
    snprintf(lab->dialled, sizeof lab->dialled, "%s", invite->dialled);
    snprintf(lab->host, sizeof lab->host, "%s", invite->host);
    lab->codecs = invite->codecs;
    lab->offered = invite->direction;
    lab_note(lab, "invite");
    sip_call_accept(call, &lab_call_events, lab, "0123456789abcdef");
}

static void lab_on_registration(void *ctx, const char *phone, int contacts)
{
    char word[64];

    snprintf(word, sizeof word, "reg:%s=%d", phone, contacts);
    lab_note(ctx, word);
}

static void lab_on_refused(void *ctx, const struct sip_refused *refused)
{
    static const char *const whys[] = {"user", "password", "codec", "request"};
    struct lab *lab = ctx;

    snprintf(lab->refused, sizeof lab->refused, "%s %s->%s %d", whys[refused->why], refused->user,
             refused->dialled, refused->status);
}

static const struct sip_events lab_events = {
    .on_invite = lab_on_invite,
    .on_registration = lab_on_registration,
    .on_refused = lab_on_refused,
};

/* ---- start and stop ---- */

static void lab_loopback(struct sockaddr_storage *address, uint16_t port)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)address;

    memset(address, 0, sizeof *address);
    v4->sin_family = AF_INET;
    v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    v4->sin_port = htons(port);
}

static void lab_settings(struct lab *lab, uint16_t port)
{
    struct conf_sip *sip = &lab->conf.sip;

    sip->digest = CONF_DIGEST_SHA256 | CONF_DIGEST_MD5;

    lab->port = port;
    lab_loopback(&sip->listen[0].address, port);
    sip->listen[0].transport = CONF_UDP;
    lab_loopback(&sip->listen[1].address, port);
    sip->listen[1].transport = CONF_TCP;
    sip->listen_count = 2;
    sip->domain = "lab.example";
    sip->min_expires_s = 60;
    sip->max_expires_s = 3600;
    sip->ring_timeout_s = 60;
    sip->max_connections = 20;
    sip->max_connections_per_address = 10;
    lab->phones[0] = (struct conf_phone){
        .id = "201", .name = "Reception", .secret = SECRET_201, .max_contacts = 3};
    lab->phones[1] = (struct conf_phone){.id = "202", .secret = SECRET_202, .max_contacts = 2};
    lab->conf.phones = lab->phones;
    lab->conf.phone_count = 2;
    lab_loopback(&lab->local.address, 40000);
    lab->local.codecs = (struct codec_list){{CODEC_OPUS, CODEC_PCMA, CODEC_PCMU}, 3};
    lab->local.direction = MEDIA_SENDRECV;
}

static int lab_start(struct lab *lab)
{
    return sip_open(&lab->uv, (struct su_root_t *)lab->root, &lab->conf, &lab_events, lab,
                    &lab->sip);
}

static void lab_on_closed(void *ctx)
{
    ((struct lab *)ctx)->closed = true;
}

static void lab_stop(struct lab *lab)
{
    lab->closed = false;
    sip_close(lab->sip, lab_on_closed, lab);
    for (uint64_t end = lab_now_ms() + PATIENCE_MS; !lab->closed && lab_now_ms() < end;)
        lab_turn(lab, 2);
    assert_true(lab->closed);
    lab->sip = NULL;
}

static bool lab_can_bind(int type, uint16_t port)
{
    struct sockaddr_storage address;
    int fd = socket(AF_INET, type, 0), on = 1, err;

    lab_loopback(&address, port);
    setsockopt(fd, SOL_SOCKET, type == SOCK_STREAM ? SO_REUSEADDR : SO_KEEPALIVE, &on, sizeof on);
    err = bind(fd, (struct sockaddr *)&address, sizeof(struct sockaddr_in));
    if (!err && type == SOCK_STREAM)
        err = listen(fd, 1);
    close(fd);
    return !err;
}

/* The first port from `port` on that nobody else uses now, for UDP and TCP. */
static uint16_t lab_free_port(uint16_t port)
{
    while (!lab_can_bind(SOCK_DGRAM, port) || !lab_can_bind(SOCK_STREAM, port))
        port++;
    return port;
}

static struct lab *lab_open(uint16_t port)
{
    struct lab *lab = calloc(1, sizeof *lab);

    assert_non_null(lab);
    assert_int_equal(uv_loop_init(&lab->uv), 0);
    assert_int_equal(su_init(), 0);
    lab->root = su_root_create(NULL);
    su_root_threading(lab->root, 0);
    su_wait_create(lab->wait, uv_backend_fd(&lab->uv), SU_WAIT_IN);
    assert_true(su_root_register(lab->root, lab->wait, lab_on_backend, NULL, 0) > 0);
    lab_settings(lab, lab_free_port(port));
    return lab;
}

static void lab_close(struct lab *lab)
{
    if (lab->sip)
        lab_stop(lab);
    su_root_unregister(lab->root, lab->wait, lab_on_backend, NULL);
    su_root_destroy(lab->root);
    su_deinit();
    uv_run(&lab->uv, UV_RUN_NOWAIT);
    assert_int_equal(uv_loop_close(&lab->uv), 0);
    free(lab);
}

/* Waits until the gateway has heard `words`, no more and no less, since the last time. */
static void lab_expect(struct lab *lab, const char *words)
{
    for (uint64_t end = lab_now_ms() + PATIENCE_MS; lab_now_ms() < end;) {
        if (!strcmp(lab->log, words))
            break;
        lab_turn(lab, 2);
    }
    assert_string_equal(lab->log, words);
    lab->log[0] = '\0';
}

#endif
