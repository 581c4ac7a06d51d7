#include "overlay/tls_address.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static int port_parse(const char *text, char port[6])
{
    size_t digits = strspn(text, "0123456789");

    if (digits == 0 || digits > 5 || text[digits] != '\0')
        return -EINVAL;
    long value = strtol(text, NULL, 10);
    if (value < 1 || value > 65535)
        return -EINVAL;
    memcpy(port, text, digits + 1);
    return 0;
}

/* Letters, digits, '-' and '.'; '_' is met in real names of hosts. */
static bool is_host(const char *host, size_t length)
{
    if (host[0] == '.' || host[0] == '-')
        return false;
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)host[i]) && !strchr("-._", host[i]))
            return false;
    return true;
}

/* The resolver judges the rest: here it is only kept free of what it could not be. */
static bool is_ipv6(const char *host, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!isxdigit((unsigned char)host[i]) && host[i] != ':' && host[i] != '.')
            return false;
    return memchr(host, ':', length) != NULL;
}

int tls_address_parse(const char *text, struct tls_address *address)
{
    const char *colon = strrchr(text, ':'), *host = text;

    if (!colon)
        return -EINVAL;
    size_t length = (size_t)(colon - text);
    bool has_brackets = length > 2 && text[0] == '[' && colon[-1] == ']';
    if (has_brackets) {
        host++;
        length -= 2;
    }
    if (length == 0 || length >= sizeof address->host)
        return -EINVAL;
    if (has_brackets ? !is_ipv6(host, length) : !is_host(host, length))
        return -EINVAL;

    struct tls_address parsed;
    if (port_parse(colon + 1, parsed.port) < 0)
        return -EINVAL;
    memcpy(parsed.host, host, length);
    parsed.host[length] = '\0';
    *address = parsed;
    return 0;
}
