/* overlay/identity_tls.h: how a TLS handshake judges the peer's certificate.
 *
 * Private to identity_tls.c and tls*.c. Every handshake of the realm's context needs a verdict to
 * write to: attach one to the SSL before it begins. The thread is that of the handshake.
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

/* The verdict must outlive the SSL's handshake. */
int identity_tls_attach(SSL *ssl, struct identity_verdict *verdict);

#endif
