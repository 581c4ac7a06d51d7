/* overlay/tls_session.h: sessions of connections that were dialled, to be resumed at the next dial.
 *
 * The newest one per name; the names are those that the dialler chooses ("sallyport/1 host:port").
 * Private to tls*.c and tests. Thread: that of the loop whose streams use it.
 */
#ifndef OVERLAY_TLS_SESSION_H
#define OVERLAY_TLS_SESSION_H

#include "overlay/tls.h"

#include <openssl/ssl.h>

#define TLS_SESSIONS_MAX 16

bool tls_sessions_are_of(const struct tls_sessions *sessions, const struct identity *identity);
/* Keeps a session, which is taken over, in place of an older one of this name; what was kept
 * longest goes. */
void tls_sessions_put(struct tls_sessions *sessions, const char *name, SSL_SESSION *session);
/* Takes it out, the caller frees; what is good is put back when its connection ends. NULL: there is
 * none. */
SSL_SESSION *tls_sessions_take(struct tls_sessions *sessions, const char *name);

#endif
