/* The TLS context of an identity: TLS 1.3 and Ed25519 only, both sides show a certificate of the
 * realm.
 *
 * Chains are judged by identity_verify alone, so a link, a record and a call apply the same rules.
 * A link may be resumed by a ticket, always with a fresh X25519 agreement (psk_dhe_ke) and never
 * with early data. OpenSSL asks for no certificate then, and calls verify() not at all: see
 * on_ticket_opened. */
#include "overlay/identity_tls.h"
#include "overlay/identity_ticket.h"
#include "overlay/identity_x509.h"
#include "overlay/tls.h"

#include <assert.h>
#include <errno.h>
#include <openssl/core_names.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* A peer has to show that it still has its key at least so often, however many tickets follow each
 * other (RFC 8446, section 4.6.1). */
#define DESCENT_MAX_S (12 * 3600)

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int verdict_index = -1;

static void make_index(void)
{
    verdict_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

int identity_tls_attach(SSL *ssl, struct identity_verdict *verdict)
{
    return SSL_set_ex_data(ssl, verdict_index, verdict) == 1 ? 0 : -ENOMEM;
}

/* OpenSSL turns the error into the alert that the peer sees: all it will know of our reason. */
static int alert_error(const char *why)
{
    if (strncmp(why, "expired", 7) == 0)
        return X509_V_ERR_CERT_HAS_EXPIRED;
    if (strcmp(why, "revoked") == 0)
        return X509_V_ERR_CERT_REVOKED;
    if (strcmp(why, "of another realm") == 0)
        return X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT;
    return X509_V_ERR_CERT_UNTRUSTED;
}

/* ---- the peer's certificate ----------------------------------------------------------- */

/* DER into `der` (IDENTITY_DER_MAX bytes); 0: too large, or none. */
static size_t der_of(const X509 *x509, uint8_t *der)
{
    int bytes = x509 ? i2d_X509(x509, NULL) : 0;

    return bytes > 0 && bytes <= IDENTITY_DER_MAX && i2d_X509(x509, &der) == bytes ? (size_t)bytes
                                                                                   : 0;
}

static bool judge(const struct identity *identity, X509 *x509, struct identity_verdict *verdict)
{
    snprintf(verdict->why, sizeof verdict->why, "is no certificate");
    verdict->is_good = x509 && identity_x509_verify(identity, x509, time(NULL), &verdict->peer,
                                                    verdict->why, sizeof verdict->why) == 0;
    return verdict->is_good;
}

static int verify(X509_STORE_CTX *chain, void *arg)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct identity_verdict *verdict = SSL_get_ex_data(ssl, verdict_index);
    bool is_good = verdict && judge(arg, X509_STORE_CTX_get0_cert(chain), verdict);

    X509_STORE_CTX_set_error(chain, is_good   ? X509_V_OK
                                    : verdict ? alert_error(verdict->why)
                                              : X509_V_ERR_UNSPECIFIED);
    return is_good;
}

bool identity_tls_offer(const struct identity *identity, SSL *ssl, SSL_SESSION *session)
{
    struct identity_verdict *verdict = SSL_get_ex_data(ssl, verdict_index);

    if (SSL_SESSION_is_resumable(session) && verdict &&
        judge(identity, SSL_SESSION_get0_peer(session), verdict) &&
        SSL_set_session(ssl, session) == 1)
        return true;
    if (verdict)
        memset(verdict, 0, sizeof *verdict);
    return false;
}

bool identity_tls_is_judged(const SSL *ssl)
{
    const struct identity_verdict *verdict = SSL_get_ex_data(ssl, verdict_index);
    uint8_t der[IDENTITY_DER_MAX];
    size_t bytes = der_of(SSL_get0_peer_certificate(ssl), der);

    return bytes > 0 && verdict && verdict->is_good && verdict->peer.der_bytes == bytes &&
           memcmp(verdict->peer.der, der, bytes) == 0;
}

/* ---- tickets -------------------------------------------------------------------------- */

static int64_t clock_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return now.tv_sec;
}

static int set_ticket_key(struct identity_ticket_key *key, const unsigned char *iv,
                          EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int is_sealing)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof key->mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, "SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    bool is_set =
        EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv, is_sealing) == 1 &&
        EVP_MAC_CTX_set_params(mac, params) == 1;

    sodium_memzero(key, sizeof *key);
    return is_set ? 1 : -1;
}

/* OpenSSL asks for the key of a ticket. 0: there is none, hence no ticket, or a full handshake. */
static int on_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                         EVP_MAC_CTX *mac, int is_sealing)
{
    const struct identity *identity = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    struct identity_ticket_key key;

    if (is_sealing) {
        identity_tickets_seal(identity->tickets, clock_s(), &key);
        memcpy(name, key.name, sizeof key.name);
        randombytes_buf(iv, 16);
    } else if (identity_tickets_open(identity->tickets, clock_s(), name, &key) < 0) {
        return 0;
    }
    return set_ticket_key(&key, iv, cipher, mac, is_sealing);
}

/* A ticket of a resumed session keeps the time of the full handshake. */
static int on_ticket_made(SSL *ssl, void *arg)
{
    SSL_SESSION *session = SSL_get0_session(ssl);
    int64_t now_s = time(NULL);
    size_t bytes = 0;
    void *data;

    (void)arg;
    if (SSL_SESSION_get0_ticket_appdata(session, &data, &bytes) == 1 && bytes == sizeof now_s)
        return 1;
    return SSL_SESSION_set1_ticket_appdata(session, &now_s, sizeof now_s);
}

static bool is_descent_fresh(SSL_SESSION *session)
{
    int64_t first_s, now_s = time(NULL);
    size_t bytes = 0;
    void *data;

    if (SSL_SESSION_get0_ticket_appdata(session, &data, &bytes) != 1 || bytes != sizeof first_s)
        return false;
    memcpy(&first_s, data, sizeof first_s);
    return first_s <= now_s && now_s - first_s < DESCENT_MAX_S;
}

/* A ticket costs as much as the rest of a resumed handshake: one that is young does once more. That
 * links two connections for who watches the wire (RFC 8446, appendix C.4), which the addresses of
 * nodes do as well. */
static bool is_young(const SSL_SESSION *session)
{
    long age_s = (long)time(NULL) - SSL_SESSION_get_time(session);

    return age_s >= 0 && age_s < IDENTITY_TICKET_S / 2;
}

/* Here the certificate of a peer that resumes is judged. It cannot be done later: once the
 * handshake is over there is no telling the peer why it is refused. */
static SSL_TICKET_RETURN on_ticket_opened(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
                                          size_t name_bytes, SSL_TICKET_STATUS status, void *arg)
{
    struct identity_verdict *verdict = SSL_get_ex_data(ssl, verdict_index);
    bool is_open = status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW;

    (void)name;
    (void)name_bytes;
    if (is_open && verdict && is_descent_fresh(session) &&
        judge(arg, SSL_SESSION_get0_peer(session), verdict))
        return is_young(session) ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
    if (verdict)
        memset(verdict, 0, sizeof *verdict);
    return SSL_TICKET_RETURN_IGNORE_RENEW;
}

/* ---- the protocol --------------------------------------------------------------------- */

/* A session goes on with the protocol that it began with. */
static bool is_of_session(SSL *ssl, const unsigned char *name, size_t bytes)
{
    const unsigned char *began_with;
    size_t began_bytes;

    if (!SSL_session_reused(ssl))
        return true;
    SSL_SESSION_get0_alpn_selected(SSL_get0_session(ssl), &began_with, &began_bytes);
    return began_bytes == bytes && memcmp(began_with, name, bytes) == 0;
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_bytes,
                           const unsigned char *in, unsigned in_bytes, void *arg)
{
    static const unsigned char ours[] = "\x0bsallyport/1\x11sallyport-relay/1\x10sallyport-path/1";
    unsigned char *chosen;

    (void)arg;
    static_assert(sizeof ours ==
                      sizeof TLS_ALPN_LINK + sizeof TLS_ALPN_RELAY + sizeof TLS_ALPN_PATH + 1,
                  "the three names");
    if (SSL_select_next_proto(&chosen, out_bytes, ours, sizeof ours - 1, in, in_bytes) !=
            OPENSSL_NPN_NEGOTIATED ||
        !is_of_session(ssl, chosen, *out_bytes))
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    if (*out_bytes != strlen(TLS_ALPN_LINK) || memcmp(chosen, TLS_ALPN_LINK, *out_bytes) != 0)
        SSL_set_num_tickets(ssl, 0); /* nobody comes back to a path or a relay again and again */
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int set_tickets(struct identity *identity, SSL_CTX *tls)
{
    const uint8_t *node = identity->own.node;

    identity->tickets = identity_tickets_new();
    if (!identity->tickets || SSL_CTX_set_app_data(tls, identity) != 1 ||
        SSL_CTX_set_session_id_context(tls, node, sizeof identity->own.node) != 1 ||
        SSL_CTX_set_tlsext_ticket_key_evp_cb(tls, on_ticket_key) != 1 ||
        SSL_CTX_set_session_ticket_cb(tls, on_ticket_made, on_ticket_opened, identity) != 1 ||
        SSL_CTX_set_num_tickets(tls, 1) != 1)
        return -EIO;
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF); /* all is in the ticket */
    SSL_CTX_set_timeout(tls, IDENTITY_TICKET_S);
    return 0;
}

int identity_tls_make(struct identity *identity)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_method());

    pthread_once(&once, make_index);
    identity->tls = tls;
    if (!tls || verdict_index < 0 || SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION) != 1 ||
        SSL_CTX_use_certificate(tls, identity->certificate) != 1 ||
        SSL_CTX_use_PrivateKey(tls, identity->key) != 1 ||
        SSL_CTX_set1_sigalgs_list(tls, "ed25519") != 1 ||
        SSL_CTX_set1_groups_list(tls, "X25519:P-256") != 1 ||
        SSL_CTX_set_ciphersuites(tls, "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256") != 1 ||
        set_tickets(identity, tls) < 0)
        return -EIO;
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(tls, verify, identity);
    SSL_CTX_set_alpn_select_cb(tls, choose_protocol, NULL);
    /* One certificate of at most 2 KiB: no stranger makes us hold more. */
    SSL_CTX_set_max_cert_list(tls, 4096);
    /* Nor do we look for a chain above our certificate: everybody has the root. */
    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
    return 0;
}

void *identity_tls_context(const struct identity *identity)
{
    return identity->tls;
}
