/* Which names a certificate may grant, and who is granted what. */
#include "overlay/identity_x509.h"

#include <string.h>

#define DIGITS "0123456789"
#define SITE_FIRST "abcdefghijklmnopqrstuvwxyz" DIGITS

static const struct {
    unsigned role;
    const char *name;
} roles[] = {
    {CONF_ROLE_GATEWAY, "gateway"},
    {CONF_ROLE_SUPERNODE, "supernode"},
    {CONF_ROLE_RELAY, "relay"},
    {CONF_ROLE_CLIENT, "client"},
};

bool identity_is_site(const char *name)
{
    size_t length = strlen(name);

    return length >= 1 && length <= 63 && strchr(SITE_FIRST, name[0]) &&
           strspn(name, SITE_FIRST ".-") == length;
}

bool identity_is_number(const char *name)
{
    size_t length = strlen(name);

    return name[0] == '+' && length >= 2 && length <= 16 && strspn(name + 1, DIGITS) == length - 1;
}

unsigned identity_role_find(const char *name)
{
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
        if (strcmp(roles[i].name, name) == 0)
            return roles[i].role;
    return 0;
}

const char *identity_role_name(unsigned role)
{
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
        if (roles[i].role == role)
            return roles[i].name;
    return NULL;
}

bool certificate_grants(const struct certificate *certificate, const char *name)
{
    if (!identity_is_number(name))
        return name[0] != '\0' && strcmp(certificate->site, name) == 0;
    for (int i = 0; i < certificate->number_count; i++) {
        const char *prefix = certificate->numbers[i];
        if (strncmp(name, prefix, strlen(prefix)) == 0)
            return true;
    }
    return false;
}
