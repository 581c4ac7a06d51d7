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

static const struct sip_call_events lab_call_events = {lab_on_ringing, lab_on_media, lab_on_answer,
                                                       lab_on_digit, lab_on_end};

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

static const struct sip_events lab_events = {lab_on_invite, lab_on_registration};

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

/* ---- phones ---- */

struct phone {
    struct lab *lab;
    int fd;
    bool tcp;
    uint16_t port;
    const char *user, *secret;
    char in[65536]; /* TCP: bytes not looked at yet */
    size_t in_used;
    char message[16384]; /* the last one that was read */
    int cseq;
    char realm_nonce[128];
};

static void phone_open(struct phone *p, struct lab *lab, bool tcp, const char *user,
                       const char *secret)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;

    memset(p, 0, sizeof *p);
    p->lab = lab;
    p->tcp = tcp;
    p->user = user;
    p->secret = secret;
    p->fd = socket(AF_INET, tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
    lab_loopback(&address, 0);
    assert_int_equal(bind(p->fd, (struct sockaddr *)&address, sizeof(struct sockaddr_in)), 0);
    lab_loopback(&address, lab->port);
    assert_int_equal(connect(p->fd, (struct sockaddr *)&address, sizeof(struct sockaddr_in)), 0);
    getsockname(p->fd, (struct sockaddr *)&address, &length);
    p->port = ntohs(((struct sockaddr_in *)&address)->sin_port);
    fcntl(p->fd, F_SETFL, O_NONBLOCK);
    lab_turn(lab, 1);
}

static void phone_close(struct phone *p)
{
    close(p->fd);
}

static void phone_send_bytes(struct phone *p, const char *bytes, size_t count)
{
    ssize_t sent = send(p->fd, bytes, count, MSG_NOSIGNAL);

    (void)sent;
}

static void phone_send(struct phone *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void phone_send(struct phone *p, const char *fmt, ...)
{
    static char text[32768];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    phone_send_bytes(p, text, strlen(text));
}

/* Takes one message out of the stream. */
static bool phone_frame(struct phone *p)
{
    char *end, *length;
    size_t bytes;

    p->in[p->in_used] = '\0';
    while (p->in_used >= 2 && !memcmp(p->in, "\r\n", 2)) {
        p->in_used -= 2;
        memmove(p->in, p->in + 2, p->in_used + 1);
    }
    end = strstr(p->in, "\r\n\r\n");
    length = strcasestr(p->in, "\r\nContent-Length:");
    if (!end || !length)
        return false;
    bytes = (size_t)(end + 4 - p->in) + strtoul(length + 17, NULL, 10);
    if (bytes > p->in_used || bytes >= sizeof p->message)
        return false;
    memcpy(p->message, p->in, bytes);
    p->message[bytes] = '\0';
    p->in_used -= bytes;
    memmove(p->in, p->in + bytes, p->in_used + 1);
    return true;
}

static bool phone_poll(struct phone *p)
{
    ssize_t count;

    if (p->tcp) {
        count = recv(p->fd, p->in + p->in_used, sizeof p->in - p->in_used - 1, 0);
        if (count > 0)
            p->in_used += (size_t)count;
        return phone_frame(p);
    }
    count = recv(p->fd, p->message, sizeof p->message - 1, 0);
    if (count <= 0)
        return false;
    p->message[count] = '\0';
    return true;
}

/* Waits for the next message; false when none comes in time. */
static bool phone_read_within(struct phone *p, unsigned ms)
{
    for (uint64_t end = lab_now_ms() + ms; lab_now_ms() < end;) {
        if (phone_poll(p))
            return true;
        lab_turn(p->lab, 2);
    }
    return false;
}

static int phone_status(const struct phone *p)
{
    return strncmp(p->message, "SIP/2.0 ", 8) ? 0 : atoi(p->message + 8);
}

/* Waits for a response with this status; provisional ones before it are skipped. */
static void phone_expect(struct phone *p, int status)
{
    for (;;) {
        assert_true(phone_read_within(p, PATIENCE_MS));
        if (phone_status(p) >= 200 || phone_status(p) == status || !phone_status(p))
            break;
    }
    if (phone_status(p) != status)
        print_message("%s\n", p->message);
    assert_int_equal(phone_status(p), status);
}

/* Waits for a request of this method; other requests fail the test. */
static void phone_expect_request(struct phone *p, const char *method)
{
    assert_true(phone_read_within(p, PATIENCE_MS));
    if (strncmp(p->message, method, strlen(method)))
        print_message("%s\n", p->message);
    assert_memory_equal(p->message, method, strlen(method));
}

/* The value of the n-th header of that name in the last message; "" when there is none. */
static const char *phone_header_at(const struct phone *p, const char *name, int n)
{
    static char values[4][1024];
    static int turn;
    char *value = values[turn++ % 4];
    const char *at = p->message;
    size_t length = strlen(name);

    value[0] = '\0';
    while ((at = strstr(at, "\r\n")) && at[2] != '\r') {
        at += 2;
        if (strncasecmp(at, name, length) || at[length] != ':' || n--)
            continue;
        at += length + 1;
        at += strspn(at, " ");
        snprintf(value, sizeof values[0], "%.*s", (int)strcspn(at, "\r\n"), at);
        break;
    }
    return value;
}

static const char *phone_header(const struct phone *p, const char *name)
{
    return phone_header_at(p, name, 0);
}

static const char *phone_body(const struct phone *p)
{
    const char *at = strstr(p->message, "\r\n\r\n");

    return at ? at + 4 : "";
}

static void quoted_param(const char *header, const char *name, char *to, size_t size)
{
    char pattern[32];
    const char *at;

    snprintf(pattern, sizeof pattern, "%s=\"", name);
    at = strstr(header, pattern);
    assert_non_null(at);
    at += strlen(pattern);
    snprintf(to, size, "%.*s", (int)strcspn(at, "\""), at);
}

/* Answers the challenge in the last message; writes a whole header line. */
static const char *phone_credentials(struct phone *p, const char *method, const char *uri,
                                     enum digest_algorithm algorithm)
{
    static char line[1024];
    struct digest_credentials c = {.algorithm = algorithm, .has_qop = true};
    bool proxy = phone_status(p) == 407;
    const char *challenge = phone_header_at(p, proxy ? "Proxy-Authenticate" : "WWW-Authenticate",
                                            algorithm == DIGEST_MD5);
    char hex[DIGEST_HEX_MAX];

    quoted_param(challenge, "realm", c.realm, sizeof c.realm);
    quoted_param(challenge, "nonce", c.nonce, sizeof c.nonce);
    assert_non_null(strstr(challenge, digest_algorithm_name(algorithm)));
    strcpy(c.username, p->user);
    strcpy(c.uri, uri);
    strcpy(c.cnonce, "abcdef");
    strcpy(c.nc, "00000001");
    digest_response(&c, p->secret, method, hex);
    snprintf(line, sizeof line,
             "%s: Digest username=\"%s\", realm=\"%s\", nonce=\"%s\", uri=\"%s\", response=\"%s\", "
             "algorithm=%s, cnonce=\"%s\", nc=%s, qop=auth\r\n",
             proxy ? "Proxy-Authorization" : "Authorization", c.username, c.realm, c.nonce, c.uri,
             hex, digest_algorithm_name(algorithm), c.cnonce, c.nc);
    return line;
}

static void phone_send_register(struct phone *p, const char *contact, const char *extra,
                                const char *credentials)
{
    p->cseq++;
    phone_send(p,
               "REGISTER sip:lab.example SIP/2.0\r\n"
               "Via: SIP/2.0/%s 10.1.2.3:5060;branch=z9hG4bKr%s%d%d;rport\r\n"
               "Max-Forwards: 70\r\n"
               "From: <sip:%s@lab.example>;tag=r%d\r\n"
               "To: <sip:%s@lab.example>\r\n"
               "Call-ID: reg-%d\r\n"
               "CSeq: %d REGISTER\r\n"
               "%s%s%s%s"
               "Content-Length: 0\r\n\r\n",
               p->tcp ? "TCP" : "UDP", p->user, p->port, p->cseq, p->user, p->port, p->user,
               p->port, p->cseq, contact[0] ? "Contact: " : "", contact, contact[0] ? "\r\n" : "",
               extra);
    (void)credentials;
}

/* Registers with credentials; the last message is the final response. */
static void phone_register(struct phone *p, const char *contact, const char *extra)
{
    char lines[2048];

    phone_send_register(p, contact, extra, "");
    phone_expect(p, 401);
    snprintf(lines, sizeof lines, "%s%s",
             phone_credentials(p, "REGISTER", "sip:lab.example", DIGEST_SHA256), extra);
    phone_send_register(p, contact, lines, "");
    assert_true(phone_read_within(p, PATIENCE_MS));
}

/* Its usual contact: a private address, as from behind a NAT. */
static const char *phone_contact(const struct phone *p)
{
    static char text[128];

    snprintf(text, sizeof text, "<sip:%s@10.1.2.3:5060%s>", p->user,
             p->tcp ? ";transport=tcp" : "");
    return text;
}

/* Answers the request in the last message. `extra` are whole header lines. */
static void phone_reply_to(struct phone *p, const char *request, int status, const char *extra,
                           const char *sdp)
{
    struct phone *copy = calloc(1, sizeof *copy);
    char vias[2048] = "", routes[1024] = "";
    const char *to;

    assert_non_null(copy);
    strcpy(copy->message, request);
    for (int i = 0; *phone_header_at(copy, "Via", i); i++)
        snprintf(vias + strlen(vias), sizeof vias - strlen(vias), "Via: %s\r\n",
                 phone_header_at(copy, "Via", i));
    to = phone_header(copy, "To");
    phone_send(p,
               "SIP/2.0 %d Whatever\r\n%s%s"
               "From: %s\r\nTo: %s%s%d\r\nCall-ID: %s\r\nCSeq: %s\r\n"
               "%s%sContent-Length: %zu\r\n\r\n%s",
               status, vias, routes, phone_header(copy, "From"), to,
               strstr(to, "tag=") || status == 100 ? ";x=" : ";tag=p", p->port,
               phone_header(copy, "Call-ID"), phone_header(copy, "CSeq"), extra,
               sdp ? "Content-Type: application/sdp\r\n" : "", sdp ? strlen(sdp) : 0,
               sdp ? sdp : "");
    free(copy);
}

static void phone_reply(struct phone *p, int status, const char *extra, const char *sdp)
{
    char *request = strdup(p->message);

    phone_reply_to(p, request, status, extra, sdp);
    free(request);
}

/* A dialog as the phone sees it. */
struct talk {
    char call_id[256], local[512], remote[512], target[512];
    int cseq;
};

#define SDP_HEAD "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
#define SDP_PCMA SDP_HEAD "m=audio 43990 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n"

/* Sends a request in (or, without a remote tag, at the start of) a dialog. */
static void talk_send(struct phone *p, struct talk *t, const char *method, const char *extra,
                      const char *sdp)
{
    bool same = !strcmp(method, "ACK") || !strcmp(method, "CANCEL");

    if (!same)
        t->cseq++;
    phone_send(p,
               "%s %s SIP/2.0\r\n"
               "Via: SIP/2.0/%s 10.1.2.3:5060;branch=z9hG4bK%s%.8s%d;rport\r\n"
               "Max-Forwards: 70\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\n"
               "Contact: %s\r\n%s%sContent-Length: %zu\r\n\r\n%s",
               method, t->target, p->tcp ? "TCP" : "UDP",
               same               ? "i"
               : method[0] == 'I' ? "i"
                                  : "o",
               t->call_id, t->cseq, t->local, t->remote, t->call_id, t->cseq, method,
               phone_contact(p), extra, sdp ? "Content-Type: application/sdp\r\n" : "",
               sdp ? strlen(sdp) : 0, sdp ? sdp : "");
}

/* Takes tag and target from the response in the last message. */
static void talk_confirm(struct phone *p, struct talk *t)
{
    const char *contact = phone_header(p, "Contact");

    snprintf(t->remote, sizeof t->remote, "%s", phone_header(p, "To"));
    if (*contact == '<')
        snprintf(t->target, sizeof t->target, "%.*s", (int)strcspn(contact + 1, ">"), contact + 1);
}

/* Dials; authenticates; the gateway has then been told. */
static void phone_dial(struct phone *p, struct talk *t, const char *number, const char *sdp)
{
    static int serial;
    char uri[128];

    snprintf(uri, sizeof uri, "sip:%s@lab.example", number);
    snprintf(t->call_id, sizeof t->call_id, "c%06d-%d", ++serial, p->port);
    snprintf(t->local, sizeof t->local, "\"A phone\" <sip:%s@lab.example>;tag=l%d", p->user,
             serial);
    snprintf(t->remote, sizeof t->remote, "<%s>", uri);
    snprintf(t->target, sizeof t->target, "%s", uri);
    t->cseq = 0;
    talk_send(p, t, "INVITE", "", sdp);
    phone_expect(p, 407);
    {
        char *challenge = strdup(p->message);

        talk_confirm(p, t);
        talk_send(p, t, "ACK", "", NULL);
        snprintf(t->remote, sizeof t->remote, "<%s>", uri);
        strcpy(p->message, challenge);
        free(challenge);
    }
    talk_send(p, t, "INVITE", phone_credentials(p, "INVITE", uri, DIGEST_MD5), sdp);
}

/* The dialog of an INVITE that came to the phone, seen from the phone. */
static void talk_from_invite(struct phone *p, struct talk *t)
{
    const char *contact = phone_header(p, "Contact");

    snprintf(t->call_id, sizeof t->call_id, "%s", phone_header(p, "Call-ID"));
    snprintf(t->local, sizeof t->local, "%s;tag=p%d", phone_header(p, "To"), p->port);
    snprintf(t->remote, sizeof t->remote, "%s", phone_header(p, "From"));
    snprintf(t->target, sizeof t->target, "%.*s", (int)strcspn(contact + 1, ">"), contact + 1);
    t->cseq = 100;
}

#endif
