/* overlay/proxy.h: through an HTTP proxy: CONNECT (RFC 9110, section 9.3.6), asked and answered.
 *
 * Pure: no sockets here. proxy_parse takes the setting apart, proxy_request writes what to send,
 * and proxy_answer_take reads what comes back, byte by byte and bounded, until the tunnel stands or
 * the refusal can be told in words. Private to tls*.c and tests.
 */
#ifndef OVERLAY_PROXY_H
#define OVERLAY_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROXY_ADDRESS_MAX 262       /* "host:port" */
#define PROXY_AUTHORIZATION_MAX 344 /* base64 of at most 256 bytes */
#define PROXY_REQUEST_MAX 1024
#define PROXY_ANSWER_MAX 8192

struct proxy {
    char address[PROXY_ADDRESS_MAX];             /* where to connect */
    char authorization[PROXY_AUTHORIZATION_MAX]; /* base64 of user:password; "": none */
};

/* "host:port" or "user:password@host:port". -EINVAL on anything else. */
int proxy_parse(const char *text, struct proxy *proxy);
/* The request for a tunnel to `target` ("host:port"); returns its length. */
size_t proxy_request(const struct proxy *proxy, const char *target,
                     char request[PROXY_REQUEST_MAX]);

/* Zero-initialise one per connection. */
struct proxy_answer {
    size_t used;
    char head[PROXY_ANSWER_MAX];
};
/* Takes what came; *taken of it belongs to the answer. 0: the tunnel stands, what was not taken
 * came through it. -EAGAIN: more is needed. -EACCES, -EPROTO: refused, or not HTTP; `why` says it
 * in words. */
int proxy_answer_take(struct proxy_answer *answer, const uint8_t *data, size_t bytes, size_t *taken,
                      char *why, size_t why_bytes);

#endif
