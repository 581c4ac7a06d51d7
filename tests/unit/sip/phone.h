/* Phones for the tests: a socket, a script, and just enough SIP to be believed. See lab.h. */
#ifndef TESTS_UNIT_SIP_PHONE_H
#define TESTS_UNIT_SIP_PHONE_H

#include "lab.h"

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
