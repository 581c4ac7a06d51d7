#include "overlay/advertise.h"

#include "overlay/tls_address.h"

#include "conf/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <uv.h>

static bool is_any(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET6)
        return IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)address)->sin6_addr);
    return ((const struct sockaddr_in *)address)->sin_addr.s_addr == htonl(INADDR_ANY);
}

/* An address that others can use, too: IPv4 before IPv6, because any node has it. */
static bool is_usable(const uv_interface_address_t *interface, int family)
{
    const struct sockaddr_in6 *in6 = &interface->address.address6;

    if (interface->is_internal || interface->address.address4.sin_family != family)
        return false;
    return family == AF_INET || !IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr);
}

static void replace_any(struct sockaddr_storage *address)
{
    static const int families[] = {AF_INET, AF_INET6};
    const uint16_t port = address_port(address);
    bool is_dual = address->ss_family == AF_INET6, is_found = false;
    uv_interface_address_t *interfaces;
    int count;

    if (uv_interface_addresses(&interfaces, &count) == 0) {
        for (int f = 0; f < (is_dual ? 2 : 1) && !is_found; f++) {
            for (int i = 0; i < count && !is_found; i++) {
                is_found = is_usable(&interfaces[i], families[f]);
                if (is_found)
                    memcpy(address, &interfaces[i].address, sizeof interfaces[i].address);
            }
        }
        uv_free_interface_addresses(interfaces, count);
    }
    if (!is_found) /* a machine alone: then it can only be asked from inside */
        uv_ip4_addr("127.0.0.1", port, (struct sockaddr_in *)address);
    address_set_port(address, port);
}

int advertise_choose(const struct conf_overlay *conf, const struct sockaddr_storage *listen,
                     char *text)
{
    struct sockaddr_storage address = *listen;
    struct tls_address checked;

    if (conf->advertise) {
        if (strlen(conf->advertise) >= ADDRESS_TEXT_MAX ||
            tls_address_parse(conf->advertise, &checked) < 0)
            return -EINVAL;
        strcpy(text, conf->advertise);
        return 0;
    }
    if (is_any(&address)) {
        replace_any(&address);
        address_format(&address, text);
        log_info(LOG_OVERLAY, NULL,
                 "others are told to find us at %s; set overlay.advertise if that is wrong", text);
        return 0;
    }
    address_format(&address, text);
    return 0;
}
