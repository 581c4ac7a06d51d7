/* Values that name places in the network: addresses, listeners, hosts, port ranges. */
#include "conf/settings.h"
#include "conf/text.h"
#include "conf/values.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PORTS_LEAST 4

static int parse_listen_address(const struct value *value, const char *text, const char *example,
                                struct sockaddr_storage *address)
{
    char shown[VALUE_SHOWN_MAX];

    if (address_parse(text, address) < 0) {
        value_error(value, "\"%s\" is no address; write %s", value_shown(shown, text), example);
        return -EINVAL;
    }
    if (address_port(address) == 0) {
        value_error(value, "\"%s\" has port 0; give a port from 1 to 65535",
                    value_shown(shown, text));
        return -EINVAL;
    }
    address_normalise(address);
    return 0;
}

void value_address(const struct value *value, void *field)
{
    struct sockaddr_storage address;

    if (parse_listen_address(value, value->texts[0],
                             "IP:PORT, for example \"0.0.0.0:443\" or \"[::]:443\"", &address) == 0)
        memcpy(field, &address, sizeof address);
}

static bool is_wildcard(const struct sockaddr_storage *address)
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;

    return address->ss_family == AF_INET ? four->sin_addr.s_addr == htonl(INADDR_ANY)
                                         : IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr);
}

void value_ip(const struct value *value, void *field)
{
    struct sockaddr_storage address;
    char with_port[ADDRESS_TEXT_MAX], shown[VALUE_SHOWN_MAX];
    const char *text = value->texts[0];

    snprintf(with_port, sizeof with_port, strchr(text, ':') ? "[%s]:0" : "%s:0", text);
    if (strlen(text) + 5 > sizeof with_port || address_parse(with_port, &address) < 0) {
        value_error(value, "\"%s\" is no IP address; write for example \"192.0.2.1\"",
                    value_shown(shown, text));
        return;
    }
    address_normalise(&address);
    if (is_wildcard(&address))
        value_error(value,
                    "\"%s\" is no address that a phone can send to; name one of this machine",
                    value_shown(shown, text));
    else
        memcpy(field, &address, sizeof address);
}

/* "name.example:443", "192.0.2.1:443" or "[2001:db8::1]:443". */
static bool is_host_port(const char *text)
{
    static const char name_characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "0123456789.-";
    struct sockaddr_storage address;
    const char *colon = strrchr(text, ':');

    if (address_parse(text, &address) == 0)
        return address_port(&address) != 0;
    if (!colon || colon == text || colon - text > 253 || *text == '-' || *text == '.')
        return false;
    size_t host = strspn(text, name_characters);
    size_t digits = strspn(colon + 1, "0123456789");
    bool is_numeric = strspn(text, "0123456789.") == host;
    long port = digits > 0 && digits <= 5 ? strtol(colon + 1, NULL, 10) : 0;
    return text + host == colon && !is_numeric && colon[1 + digits] == '\0' && port > 0 &&
           port <= UINT16_MAX;
}

static int check_host_port(const struct value *value, const char *text)
{
    char shown[VALUE_SHOWN_MAX];

    if (is_host_port(text))
        return 0;
    value_error(value, "\"%s\" is not HOST:PORT; write for example \"gate.example:443\"",
                value_shown(shown, text));
    return -EINVAL;
}

void value_host_port(const struct value *value, void *field)
{
    char **text = field;

    if (check_host_port(value, value->texts[0]) < 0)
        return;
    free(*text);
    *text = strdup(value->texts[0]);
}

static int check_count(const struct value *value)
{
    if (value->count <= CONF_LISTS_MAX)
        return 0;
    value_error(value, "names %d; allowed are %d", value->count, CONF_LISTS_MAX);
    return -EINVAL;
}

void value_host_ports(const struct value *value, void *field)
{
    struct conf_overlay *overlay = field;

    if (check_count(value) < 0)
        return;
    for (int i = 0; i < value->count; i++)
        if (check_host_port(value, value->texts[i]) == 0)
            overlay->supernodes[overlay->supernode_count++] = strdup(value->texts[i]);
}

/* With or without http:// before and / behind it. The user and the secret are never shown. */
void value_proxy(const struct value *value, void *field)
{
    const char *text = value->texts[0], *at;
    char **proxy = field, shown[VALUE_SHOWN_MAX];
    size_t length;

    text += strncasecmp(text, "http://", 7) == 0 ? 7 : 0;
    char *copy = strdup(text);
    if (!copy)
        return;
    length = strlen(copy);
    if (length > 0 && copy[length - 1] == '/')
        copy[length - 1] = '\0';
    at = strrchr(copy, '@');
    if (!is_host_port(at ? at + 1 : copy) || (at && !memchr(copy, ':', (size_t)(at - copy)))) {
        value_error(value,
                    "\"%s\" is not HOST:PORT or USER:SECRET@HOST:PORT; write for example "
                    "\"proxy.example:3128\"",
                    value_shown(shown, at ? at + 1 : value->texts[0]));
        explicit_bzero(copy, strlen(copy));
        free(copy);
        return;
    }
    free(*proxy);
    *proxy = copy;
}

/* Replaces the default. */
void value_sites(const struct value *value, void *field)
{
    struct conf_overlay *overlay = field;
    char shown[VALUE_SHOWN_MAX];

    if (check_count(value) < 0)
        return;
    while (overlay->trust_count > 0)
        free(overlay->trust[--overlay->trust_count]);
    for (int i = 0; i < value->count; i++) {
        const char *text = value->texts[i];

        if (strcmp(text, "*") != 0 &&
            (text[0] == '\0' ||
             strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") !=
                 strlen(text))) {
            value_error(value,
                        "\"%s\" is no site name; write names such as \"paris\", or \"*\" "
                        "for all",
                        value_shown(shown, text));
            continue;
        }
        overlay->trust[overlay->trust_count++] = strdup(text);
    }
}

static int parse_listen(const struct value *value, const char *text, struct conf_listen *listen)
{
    static const char example[] =
        "\"udp:IP:PORT\" or \"tcp:IP:PORT\", for example \"udp:0.0.0.0:5060\"";
    char shown[VALUE_SHOWN_MAX];

    if (strncasecmp(text, "udp:", 4) != 0 && strncasecmp(text, "tcp:", 4) != 0) {
        value_error(value, "\"%s\" does not begin with udp: or tcp:; write %s",
                    value_shown(shown, text), example);
        return -EINVAL;
    }
    listen->transport = strncasecmp(text, "udp:", 4) == 0 ? CONF_UDP : CONF_TCP;
    return parse_listen_address(value, text + 4, example, &listen->address);
}

void value_listens(const struct value *value, void *field)
{
    struct conf_sip *sip = field;

    if (check_count(value) < 0)
        return;
    sip->listen_count = 0;
    for (int i = 0; i < value->count; i++)
        if (parse_listen(value, value->texts[i], &sip->listen[sip->listen_count]) == 0)
            sip->listen_count++;
}

void value_port_range(const struct value *value, void *field)
{
    struct conf_media *media = field;
    char shown[VALUE_SHOWN_MAX];
    int first = 0, last = 0, end = 0;
    const char *text = value_shown(shown, value->texts[0]);

    if (strspn(text, "0123456789-") != strlen(text) || strlen(text) > 11 ||
        sscanf(text, "%5d-%5d%n", &first, &last, &end) != 2 || last < 0 || text[end] != '\0')
        value_error(value, "\"%s\" is no range; write FIRST-LAST, for example \"20000-29999\"",
                    shown);
    else if (first < 1024 || last > UINT16_MAX)
        value_error(value, "\"%s\" is out of range; allowed are ports 1024 to 65535", shown);
    else if (first > last)
        value_error(value, "\"%s\" ends before it begins; write \"%d-%d\"", shown, last, first);
    else if (last - first + 1 < PORTS_LEAST)
        value_error(value,
                    "\"%s\" is too small; a call between two phones takes 4 ports, give 4 for each "
                    "call",
                    shown);
    else {
        media->port_min = (uint16_t)first;
        media->port_max = (uint16_t)last;
    }
}
