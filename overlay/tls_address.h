/* overlay/tls_address.h: "host:port" taken apart: what enrolment files, settings and peers name.
 *
 * Private to identity*.c, realm*.c, tls*.c and proxy.c. Pure; any thread.
 */
#ifndef OVERLAY_TLS_ADDRESS_H
#define OVERLAY_TLS_ADDRESS_H

#define TLS_HOST_MAX 254 /* RFC 1035, section 2.3.4, with its NUL */

struct tls_address {
    char host[TLS_HOST_MAX]; /* name or number; IPv6 without its brackets */
    char port[6];            /* 1-65535 */
};

/* Takes "host.example:443", "192.0.2.1:443" or "[2001:db8::1]:443" apart. -EINVAL on anything else.
 */
int tls_address_parse(const char *text, struct tls_address *address);

#endif
