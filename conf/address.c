/* Socket addresses as text, and what is equal among them. */
#include "conf/conf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static const struct sockaddr_in *in4(const struct sockaddr_storage *address)
{
    return (const struct sockaddr_in *)address;
}

static const struct sockaddr_in6 *in6(const struct sockaddr_storage *address)
{
    return (const struct sockaddr_in6 *)address;
}

/* Digits only, and no more than `max`; -1 on anything else. */
static long number_parse(const char *text, long max)
{
    long value = 0;

    if (*text == '\0')
        return -1;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return -1;
        value = value * 10 + (*text - '0');
        if (value > max)
            return -1;
    }
    return value;
}

static int scope_parse(const char *text, uint32_t *scope)
{
    long number = number_parse(text, INT32_MAX);

    *scope = number >= 0 ? (uint32_t)number : if_nametoindex(text);
    return *scope ? 0 : -EINVAL;
}

static int parse_ipv6(char *host, uint16_t port, struct sockaddr_storage *address)
{
    struct sockaddr_in6 parsed = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    char *percent = strchr(host, '%');

    if (percent) {
        *percent = '\0';
        if (scope_parse(percent + 1, &parsed.sin6_scope_id) < 0)
            return -EINVAL;
    }
    if (inet_pton(AF_INET6, host, &parsed.sin6_addr) != 1)
        return -EINVAL;
    memset(address, 0, sizeof *address);
    memcpy(address, &parsed, sizeof parsed);
    return 0;
}

static int parse_ipv4(const char *host, uint16_t port, struct sockaddr_storage *address)
{
    struct sockaddr_in parsed = {.sin_family = AF_INET, .sin_port = htons(port)};

    if (inet_pton(AF_INET, host, &parsed.sin_addr) != 1)
        return -EINVAL;
    memset(address, 0, sizeof *address);
    memcpy(address, &parsed, sizeof parsed);
    return 0;
}

int address_parse(const char *text, struct sockaddr_storage *address)
{
    char host[ADDRESS_TEXT_MAX];
    const char *colon = strrchr(text, ':');

    if (!colon || (size_t)(colon - text) >= sizeof host)
        return -EINVAL;
    size_t length = (size_t)(colon - text);
    memcpy(host, text, length);
    host[length] = '\0';

    long port = number_parse(colon + 1, UINT16_MAX);
    if (port < 0 || strlen(colon + 1) > 5)
        return -EINVAL;
    if (host[0] != '[')
        return parse_ipv4(host, (uint16_t)port, address);
    if (host[length - 1] != ']')
        return -EINVAL;
    host[length - 1] = '\0';
    return parse_ipv6(host + 1, (uint16_t)port, address);
}

static void scope_format(uint32_t scope, char *text, size_t bytes)
{
    char name[IF_NAMESIZE];

    if (scope == 0)
        text[0] = '\0';
    else if (if_indextoname(scope, name))
        snprintf(text, bytes, "%%%s", name);
    else
        snprintf(text, bytes, "%%%u", scope);
}

const char *address_format(const struct sockaddr_storage *address, char *text)
{
    char ip[INET6_ADDRSTRLEN], scope[IF_NAMESIZE + 1];

    switch (address->ss_family) {
    case AF_INET:
        inet_ntop(AF_INET, &in4(address)->sin_addr, ip, sizeof ip);
        snprintf(text, ADDRESS_TEXT_MAX, "%s:%u", ip, address_port(address));
        break;
    case AF_INET6:
        inet_ntop(AF_INET6, &in6(address)->sin6_addr, ip, sizeof ip);
        scope_format(in6(address)->sin6_scope_id, scope, sizeof scope);
        snprintf(text, ADDRESS_TEXT_MAX, "[%s%s]:%u", ip, scope, address_port(address));
        break;
    default:
        snprintf(text, ADDRESS_TEXT_MAX, "-");
        break;
    }
    return text;
}

bool address_equal(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    struct sockaddr_storage left = *a, right = *b;

    address_normalise(&left);
    address_normalise(&right);
    if (left.ss_family != right.ss_family || address_port(&left) != address_port(&right))
        return false;
    switch (left.ss_family) {
    case AF_INET:
        return in4(&left)->sin_addr.s_addr == in4(&right)->sin_addr.s_addr;
    case AF_INET6:
        return memcmp(&in6(&left)->sin6_addr, &in6(&right)->sin6_addr, sizeof(struct in6_addr)) ==
                   0 &&
               in6(&left)->sin6_scope_id == in6(&right)->sin6_scope_id;
    default:
        return true;
    }
}

uint16_t address_port(const struct sockaddr_storage *address)
{
    switch (address->ss_family) {
    case AF_INET:
        return ntohs(in4(address)->sin_port);
    case AF_INET6:
        return ntohs(in6(address)->sin6_port);
    default:
        return 0;
    }
}

void address_set_port(struct sockaddr_storage *address, uint16_t port)
{
    if (address->ss_family == AF_INET)
        ((struct sockaddr_in *)address)->sin_port = htons(port);
    else if (address->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)address)->sin6_port = htons(port);
}

socklen_t address_length(const struct sockaddr_storage *address)
{
    switch (address->ss_family) {
    case AF_INET:
        return sizeof(struct sockaddr_in);
    case AF_INET6:
        return sizeof(struct sockaddr_in6);
    default:
        return 0;
    }
}

void address_normalise(struct sockaddr_storage *address)
{
    if (address->ss_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&in6(address)->sin6_addr))
        return;

    struct sockaddr_in plain = {.sin_family = AF_INET, .sin_port = in6(address)->sin6_port};
    memcpy(&plain.sin_addr, &in6(address)->sin6_addr.s6_addr[12], sizeof plain.sin_addr);
    memset(address, 0, sizeof *address);
    memcpy(address, &plain, sizeof plain);
}
