/* The TLS context of an identity: TLS 1.3 and Ed25519 only, both sides show a certificate of the
 * realm.
 *
 * Chains are judged by identity_verify alone, so a link, a record and a call apply the same rules.
 * Session tickets are off: a resumed session would skip the certificate, and with it revocation. */
#include "overlay/identity_tls.h"
#include "overlay/identity_x509.h"
#include "overlay/tls.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

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

static int verify(X509_STORE_CTX *chain, void *arg)
{
    const struct identity *identity = arg;
    const SSL *ssl = X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct identity_verdict *verdict = SSL_get_ex_data(ssl, verdict_index);
    X509 *x509 = X509_STORE_CTX_get0_cert(chain);
    uint8_t der[IDENTITY_DER_MAX], *to = der;
    int bytes = x509 ? i2d_X509(x509, NULL) : 0, error = -EINVAL;

    snprintf(verdict->why, sizeof verdict->why, "is no certificate");
    if (bytes > 0 && bytes <= IDENTITY_DER_MAX && i2d_X509(x509, &to) == bytes)
        error = identity_verify(identity, der, (size_t)bytes, time(NULL), &verdict->peer,
                                verdict->why, sizeof verdict->why);
    verdict->is_good = error == 0;
    X509_STORE_CTX_set_error(chain, error == 0 ? X509_V_OK : alert_error(verdict->why));
    return error == 0;
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_bytes,
                           const unsigned char *in, unsigned in_bytes, void *arg)
{
    static const unsigned char ours[] = "\x0bsallyport/1\x11sallyport-relay/1\x10sallyport-path/1";
    unsigned char *chosen;

    (void)ssl;
    (void)arg;
    static_assert(sizeof ours ==
                      sizeof TLS_ALPN_LINK + sizeof TLS_ALPN_RELAY + sizeof TLS_ALPN_PATH + 1,
                  "the three names");
    if (SSL_select_next_proto(&chosen, out_bytes, ours, sizeof ours - 1, in, in_bytes) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
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
        SSL_CTX_set_ciphersuites(tls, "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256") != 1)
        return -EIO;
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(tls, verify, identity);
    SSL_CTX_set_alpn_select_cb(tls, choose_protocol, NULL);
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(tls, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(tls, 0);
    /* One certificate of at most 2 KiB: no stranger makes us hold more. */
    SSL_CTX_set_max_cert_list(tls, 4096);
    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
    return 0;
}

void *identity_tls_context(const struct identity *identity)
{
    return identity->tls;
}
