/* overlay/identity_tls.h: how a TLS handshake judges the peer's certificate.
 *
 * Private to identity_tls.c and tls*.c. Every handshake of the realm's context needs a verdict to
 * write to: attach one to the SSL before it begins. The thread is that of the handshake.
 *
 * A resumed handshake shows no certificate, but its session knows the one of the full handshake
 * that it descends from. That one is judged anew, by the root, the clock and the revocation list of
 * this moment: by the listening side when it opens the ticket, by the dialling side before it
 * offers one. Whoever is not good any more gets a full handshake instead, and is refused there in
 * the usual words.
 */
#ifndef OVERLAY_IDENTITY_TLS_H
#define OVERLAY_IDENTITY_TLS_H

#include "overlay/identity.h"

#include <openssl/ssl.h>

struct identity_verdict {
    struct certificate peer; /* good once `is_good` */
    bool is_good;
    char why[128]; /* why it was refused; "" when no certificate came */
};

/* The verdict must stay until the handshake is over; NULL takes it back. */
int identity_tls_attach(SSL *ssl, struct identity_verdict *verdict);
/* Offers to go on with a session of an earlier connection to the same place. False: not with this
 * one, a full handshake it will be. */
bool identity_tls_offer(const struct identity *identity, SSL *ssl, SSL_SESSION *session);
/* The handshake is over: is the peer it ended with the one that the attached verdict finds good? */
bool identity_tls_is_judged(const SSL *ssl);

#endif
