/* The OpenSSL side of a TLS connection: two memory BIOs, no sockets. */
#include "overlay/tls_stream.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#define PLAIN_MAX 16384
#define IDLE_BYTES_MAX 512 /* more than a Ping and a Pong need */
#define ALERT_OF(reason) ((reason)-SSL_AD_REASON_OFFSET)

/* What the other side means by an alert about our certificate (RFC 8446, section 6.2). */
static const struct {
    int alert;
    const char *words;
} certificate_alerts[] = {
    {SSL_AD_CERTIFICATE_EXPIRED, "expired"},
    {SSL_AD_CERTIFICATE_REVOKED, "revoked; enrol this node again with `sallyport realm enrol`"},
    {SSL_AD_UNKNOWN_CA, "of another realm"},
    {SSL_AD_BAD_CERTIFICATE, "not accepted, its log says why (is the clock right on both sides?)"},
    {SSL_AD_CERTIFICATE_UNKNOWN, "not accepted, its log says why"},
    {SSL_AD_UNSUPPORTED_CERTIFICATE, "of a kind that it does not know"},
    {SSL_AD_CERTIFICATE_REQUIRED, "we showed none"},
};

static const struct {
    int alert;
    const char *words;
} other_alerts[] = {
    {SSL_AD_HANDSHAKE_FAILURE, "it agrees to none of our TLS parameters"},
    {SSL_AD_PROTOCOL_VERSION, "it does not speak TLS 1.3"},
    {SSL_AD_NO_APPLICATION_PROTOCOL, "it does not speak our protocol"},
    {SSL_AD_ACCESS_DENIED, "access denied"},
    {SSL_AD_DECRYPT_ERROR, "it could not check our signature"},
    {SSL_AD_INTERNAL_ERROR, "it has an internal error"},
};

static void fail_by_alert(struct tls_stream *stream, int alert)
{
    for (size_t i = 0; i < sizeof certificate_alerts / sizeof certificate_alerts[0]; i++) {
        if (certificate_alerts[i].alert == alert) {
            tls_fail(stream, "peer refused our certificate: %s", certificate_alerts[i].words);
            return;
        }
    }
    for (size_t i = 0; i < sizeof other_alerts / sizeof other_alerts[0]; i++) {
        if (other_alerts[i].alert == alert) {
            tls_fail(stream, "peer ended TLS: %s", other_alerts[i].words);
            return;
        }
    }
    tls_fail(stream, "peer ended TLS: alert %d", alert);
}

static void fail_by_error(struct tls_stream *stream)
{
    unsigned long error = ERR_peek_error();
    int reason = ERR_GET_REASON(error);
    const char *words = ERR_reason_error_string(error);

    ERR_clear_error();
    if (stream->verdict && !stream->verdict->is_good && stream->verdict->why[0])
        tls_fail(stream, "its certificate is refused: %s", stream->verdict->why);
    else if (ERR_GET_LIB(error) == ERR_LIB_SSL && reason > SSL_AD_REASON_OFFSET &&
             ALERT_OF(reason) < 256)
        fail_by_alert(stream, ALERT_OF(reason));
    else if (ERR_GET_LIB(error) == ERR_LIB_SSL && reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
        tls_fail(stream, "its certificate is refused: it showed none");
    else if (ERR_GET_LIB(error) == ERR_LIB_SSL &&
             (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST ||
              reason == SSL_R_PACKET_LENGTH_TOO_LONG || reason == SSL_R_BAD_RECORD_TYPE))
        tls_fail(stream, "it does not speak TLS");
    else
        tls_fail(stream, "TLS failed: %s", words ? words : "no reason given");
}

/* One name with its length before it, as ALPN wants it (RFC 7301, section 3.1). */
static int ask_protocol(struct tls_stream *stream)
{
    unsigned char name[sizeof stream->alpn + 1];
    size_t length = strlen(stream->alpn);

    name[0] = (unsigned char)length;
    memcpy(name + 1, stream->alpn, length);
    return SSL_set_alpn_protos(stream->ssl, name, (unsigned)length + 1) == 0 ? 0 : -ENOMEM;
}

/* Taken only now that there is a connection, so that a dial without an answer costs no session. */
static void offer_session(struct tls_stream *stream)
{
    SSL_SESSION *session =
        stream->sessions ? tls_sessions_take(stream->sessions, stream->session_name) : NULL;

    if (session)
        identity_tls_offer(stream->identity, stream->ssl, session);
    SSL_SESSION_free(session);
}

void tls_crypt_keep_session(struct tls_stream *stream)
{
    bool was_up = stream->ssl && SSL_is_init_finished(stream->ssl) && !stream->verdict;
    /* Nobody has looked at it: a crowd at the door, or no answer. */
    bool is_unseen = stream->ssl && SSL_get_state(stream->ssl) == TLS_ST_CW_CLNT_HELLO;

    if (!stream->sessions || (!was_up && !is_unseen))
        return;
    /* Cut or not, the session is as good as it was: OpenSSL would spoil it when it is freed. */
    SSL_set_shutdown(stream->ssl, SSL_get_shutdown(stream->ssl) | SSL_SENT_SHUTDOWN);
    SSL_SESSION *session = SSL_get1_session(stream->ssl);
    if (session && SSL_SESSION_is_resumable(session))
        tls_sessions_put(stream->sessions, stream->session_name, session);
    else
        SSL_SESSION_free(session);
    stream->sessions = NULL;
}

int tls_crypt_start(struct tls_stream *stream)
{
    stream->verdict = calloc(1, sizeof *stream->verdict);
    if (!stream->verdict)
        return -ENOMEM;
    stream->ssl = SSL_new(identity_tls_context(stream->identity));
    if (!stream->ssl)
        return -ENOMEM;
    stream->in = BIO_new(BIO_s_mem());
    stream->out = BIO_new(BIO_s_mem());
    if (!stream->in || !stream->out) {
        BIO_free(stream->in);
        BIO_free(stream->out);
        stream->in = stream->out = NULL;
        return -ENOMEM;
    }
    SSL_set_bio(stream->ssl, stream->in, stream->out);
    if (identity_tls_attach(stream->ssl, stream->verdict) < 0)
        return -ENOMEM;
    if (stream->is_server) {
        SSL_set_accept_state(stream->ssl);
        return 0;
    }
    SSL_set_connect_state(stream->ssl);
    offer_session(stream);
    return ask_protocol(stream);
}

/* The protocol that was agreed on; the client insists on the one it asked for. */
static bool is_protocol_agreed(struct tls_stream *stream)
{
    const unsigned char *name;
    unsigned length;

    SSL_get0_alpn_selected(stream->ssl, &name, &length);
    if (length == 0 || length >= sizeof stream->alpn)
        return false;
    if (!stream->is_server)
        return strlen(stream->alpn) == length && memcmp(stream->alpn, name, length) == 0;
    memcpy(stream->alpn, name, length);
    stream->alpn[length] = '\0';
    return true;
}

/* OpenSSL's memory BIOs never give back what they needed once: large ones are replaced when they
 * are empty. */
static BIO *small_for(BIO *bio)
{
    BUF_MEM *memory = NULL;

    BIO_get_mem_ptr(bio, &memory);
    if (BIO_ctrl_pending(bio) > 0 || !memory || memory->max <= IDLE_BYTES_MAX)
        return NULL;
    return BIO_new(BIO_s_mem());
}

void tls_crypt_trim(struct tls_stream *stream)
{
    BIO *in = small_for(stream->in), *out = small_for(stream->out);

    if (in)
        SSL_set0_rbio(stream->ssl, stream->in = in);
    if (out)
        SSL_set0_wbio(stream->ssl, stream->out = out);
}

/* The peer's certificate is for on_up; a stream that is up needs it no more. */
static void go_up(struct tls_stream *stream)
{
    struct identity_verdict *verdict = stream->verdict;
    char alpn[sizeof stream->alpn];

    identity_tls_attach(stream->ssl, NULL);
    stream->verdict = NULL;
    memcpy(alpn, stream->alpn, sizeof alpn);
    tls_set_state(stream, TLS_UP);
    uv_timer_stop(stream->timer);
    stream->events->on_up(stream->ctx, stream, &verdict->peer, alpn);
    free(verdict);
}

/* Returns true once the stream is up. */
static bool shake(struct tls_stream *stream)
{
    uv_tcp_t *tcp = stream->tcp;
    int result = SSL_do_handshake(stream->ssl);

    if (result != 1 && SSL_get_error(stream->ssl, result) != SSL_ERROR_WANT_READ)
        fail_by_error(stream);
    tls_wire_flush(stream); /* an alert, too */
    if (result != 1 || stream->state != TLS_HANDSHAKE)
        return false;
    if (!is_protocol_agreed(stream)) {
        tls_fail(stream, "it does not speak our protocol");
        return false;
    }
    if (!identity_tls_is_judged(stream->ssl)) {
        tls_fail(stream, "its certificate is refused: nobody has judged it");
        return false;
    }
    go_up(stream);
    return tls_is_live(stream, tcp);
}

static void read_plain(struct tls_stream *stream)
{
    static _Thread_local uint8_t plain[PLAIN_MAX];
    uv_tcp_t *tcp = stream->tcp;
    int bytes = 1;

    while (tls_is_live(stream, tcp) && stream->state == TLS_UP) {
        ERR_clear_error();
        bytes = SSL_read(stream->ssl, plain, sizeof plain);
        if (bytes <= 0)
            break;
        stream->events->on_data(stream->ctx, stream, plain, (size_t)bytes);
    }
    if (bytes > 0)
        return;
    switch (SSL_get_error(stream->ssl, bytes)) {
    case SSL_ERROR_WANT_READ:
        break;
    case SSL_ERROR_ZERO_RETURN:
        stream->is_eof = true;
        tls_fail(stream, "closed by the other side");
        break;
    default:
        fail_by_error(stream);
        break;
    }
    tls_wire_flush(stream);
}

void tls_crypt_take(struct tls_stream *stream, const uint8_t *data, size_t bytes)
{
    if (BIO_write(stream->in, data, (int)bytes) != (int)bytes)
        tls_fail(stream, "out of memory");
}

static bool give_unread(struct tls_stream *stream)
{
    uv_tcp_t *tcp = stream->tcp;
    uint8_t *data = stream->unread;

    if (!data)
        return true;
    stream->unread = NULL;
    stream->events->on_data(stream->ctx, stream, data, stream->unread_bytes);
    free(data);
    return tls_is_live(stream, tcp);
}

void tls_crypt_go(struct tls_stream *stream)
{
    uv_tcp_t *tcp = stream->tcp;

    ERR_clear_error();
    if (stream->state == TLS_HANDSHAKE && !shake(stream))
        return;
    if (stream->state == TLS_UP && give_unread(stream))
        read_plain(stream);
    if (tls_is_live(stream, tcp))
        tls_crypt_trim(stream);
}

int tls_crypt_send(struct tls_stream *stream, const uint8_t *data, size_t bytes)
{
    ERR_clear_error();
    /* A memory BIO takes all of it, so there is no half written record to come back to. */
    if (SSL_write(stream->ssl, data, (int)bytes) != (int)bytes) {
        ERR_clear_error();
        return -EIO;
    }
    return 0;
}
