#include "conf/settings.h"

#include "conf/log.h"

#include <errno.h>
#include <string.h>

#define COUNT(table) ((int)(sizeof(table) / sizeof(table)[0]))

/* The rest of a row is .min, .max, .list, .may_be_empty and .fallback. */
#define ROW(owner, name, type, member, ...)                                               \
    {                                                                                     \
        .key = name, .parse = type, .offset = offsetof(struct owner, member), __VA_ARGS__ \
    }
#define CONF(...) ROW(conf, __VA_ARGS__)
#define PHONE(...) ROW(conf_phone, __VA_ARGS__)
#define ROUTE(...) ROW(conf_route, __VA_ARGS__)
#define LIMITS(least, most) .min = (least), .max = (most)

#define MINUTE 60
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

static const struct setting top[] = {
    CONF("state_dir", value_path, state_dir, .fallback = "/var/lib/sallyport"),
};

static const struct setting realm[] = {
    CONF("enrolment", value_file, realm.enrolment, ),
    CONF("revocation", value_file, realm.revocation, ),
};

static const struct setting overlay[] = {
    CONF("listen", value_address, overlay.listen, ),
    CONF("advertise", value_host_port, overlay.advertise, ),
    CONF("supernodes", value_host_ports, overlay, .list = true, .may_be_empty = true),
    CONF("proxy", value_proxy, overlay.proxy, ),
    CONF("roles", value_roles, overlay.roles, .list = true, .may_be_empty = true,
         .fallback = "gateway"),
    CONF("supernode", value_serve, overlay.serve, ),
    CONF("seats", value_int, overlay.seats, LIMITS(1, 1000000), ),
    CONF("priority", value_int, overlay.priority, LIMITS(0, 65535), .fallback = "0"),
    CONF("weight", value_int, overlay.weight, LIMITS(1, 65535), .fallback = "1"),
    CONF("udp", value_bool, overlay.udp, .fallback = "true"),
    CONF("udp_port", value_port, overlay.udp_port, .fallback = "any"),
    CONF("trust", value_sites, overlay, .list = true, .may_be_empty = true, .fallback = "*"),
    CONF("relay_only", value_bool, overlay.relay_only, .fallback = "false"),
    CONF("relay_kbit", value_int, overlay.relay_kbit, LIMITS(0, 100000000), .fallback = "0"),
    CONF("keep_path", value_duration, overlay.keep_path_s, LIMITS(0, HOUR), .fallback = "1m"),
};

static const struct setting sip[] = {
    CONF("listen", value_listens, sip, .list = true),
    CONF("domain", value_domain, sip.domain, .fallback = "sallyport"),
    CONF("registrations", value_path, sip.registrations, ),
    CONF("digest", value_digests, sip.digest, .list = true, .fallback = "sha-256 md5"),
    CONF("min_expires", value_duration, sip.min_expires_s, LIMITS(10, DAY), .fallback = "1m"),
    CONF("max_expires", value_duration, sip.max_expires_s, LIMITS(10, DAY), .fallback = "1h"),
    CONF("ring_timeout", value_duration, sip.ring_timeout_s, LIMITS(5, 10 * MINUTE),
         .fallback = "1m"),
    CONF("max_connections", value_int, sip.max_connections, LIMITS(1, 100000), .fallback = "1000"),
    CONF("max_connections_per_address", value_int, sip.max_connections_per_address,
         LIMITS(1, 100000), .fallback = "50"),
};

static const struct setting media[] = {
    CONF("ports", value_port_range, media, .fallback = "20000-29999"),
    CONF("workers", value_int, media.workers, LIMITS(0, 64), .fallback = "0"),
    CONF("address", value_ip, media.address, ),
    CONF("codecs", value_codecs, media.codecs, .list = true, .fallback = "opus g722 pcma pcmu"),
    CONF("peer_codecs", value_codecs, media.peer_codecs, .list = true,
         .fallback = "opus g722 pcma pcmu"),
    CONF("timeout", value_duration_or_never, media.timeout_s, LIMITS(5, HOUR), .fallback = "1m"),
};

static const struct setting admin[] = {
    CONF("listen", value_address, admin.listen, ),
};

/* "level" comes first: the folders' own levels override it. */
static const struct setting logs[] = {
    CONF("level", value_levels_all, log_level, .fallback = "info"),
    CONF("gateway", value_level, log_level[LOG_GATEWAY], ),
    CONF("sip", value_level, log_level[LOG_SIP], ),
    CONF("overlay", value_level, log_level[LOG_OVERLAY], ),
    CONF("media", value_level, log_level[LOG_MEDIA], ),
    CONF("conf", value_level, log_level[LOG_CONF], ),
};

static const struct setting phone[] = {
    PHONE("secret", value_secret, secret, ),
    PHONE("secret_file", value_secret_file, secret, ),
    PHONE("secret_env", value_secret_env, secret, ),
    PHONE("name", value_text, name, ),
    PHONE("max_contacts", value_int, max_contacts, LIMITS(1, 20), .fallback = "5"),
};

static const struct setting route[] = {
    ROUTE("match", value_text, match_text, ),
    ROUTE("to", value_text, to, ),
};

const struct section_kind section_kinds[SECTIONS] = {
    [SECTION_TOP] = {"", false, COUNT(top), top},
    [SECTION_REALM] = {"realm", false, COUNT(realm), realm},
    [SECTION_OVERLAY] = {"overlay", false, COUNT(overlay), overlay},
    [SECTION_SIP] = {"sip", false, COUNT(sip), sip},
    [SECTION_MEDIA] = {"media", false, COUNT(media), media},
    [SECTION_ADMIN] = {"admin", false, COUNT(admin), admin},
    [SECTION_LOG] = {"log", false, COUNT(logs), logs},
    [SECTION_PHONE] = {"phone", true, COUNT(phone), phone},
    [SECTION_ROUTE] = {"route", true, COUNT(route), route},
};

int section_find(const char *name, enum section_id *id)
{
    for (int i = SECTION_TOP + 1; i < SECTIONS; i++) {
        if (strcmp(name, section_kinds[i].name) == 0) {
            *id = (enum section_id)i;
            return 0;
        }
    }
    return -ENOENT;
}

int setting_find(enum section_id id, const char *key)
{
    for (int i = 0; i < section_kinds[id].count; i++)
        if (strcmp(key, section_kinds[id].settings[i].key) == 0)
            return i;
    return -ENOENT;
}

int setting_names(enum section_id id, const char *names[SETTINGS_MAX])
{
    for (int i = 0; i < section_kinds[id].count; i++)
        names[i] = section_kinds[id].settings[i].key;
    return section_kinds[id].count;
}

int section_names(const char *names[SECTIONS])
{
    for (int i = SECTION_TOP + 1; i < SECTIONS; i++)
        names[i - 1] = section_kinds[i].name;
    return SECTIONS - 1;
}
