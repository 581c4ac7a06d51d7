/* Settings that must fit together. */
#include "conf/build.h"

#include "conf/duration.h"
#include "conf/suggest.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

const struct section *build_section(const struct build *build, enum section_id id)
{
    for (int i = 0; i < build->outline->section_count; i++)
        if (build->outline->sections[i]->id == id)
            return build->outline->sections[i];
    return NULL;
}

bool build_has(const struct section *section, const char *key)
{
    return section->key_line[setting_find(section->id, key)] > 0;
}

int build_line(const struct section *section, const char *key)
{
    return build_has(section, key) ? section->key_line[setting_find(section->id, key)]
                                   : section->line;
}

/* ---- ports that are wanted twice ---------------------------------------------------------------
 */

#define BOUND_MAX (CONF_LISTS_MAX + 5)
#define BOUND_TEXT_MAX (ADDRESS_TEXT_MAX + 8)

/* A port, or with `last` a range, that the node is going to bind. */
struct bound {
    bool is_udp;
    struct sockaddr_storage address;
    uint16_t last;
    const struct section *section;
    const char *key;
};

static bool is_any(const struct sockaddr_storage *address)
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;

    return address->ss_family == AF_INET ? four->sin_addr.s_addr == htonl(INADDR_ANY)
                                         : IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr);
}

static bool is_loopback(const struct sockaddr_storage *address)
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;

    return address->ss_family == AF_INET ? ntohl(four->sin_addr.s_addr) >> 24 == 127
                                         : IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
}

static bool is_same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    struct sockaddr_storage left = *a, right = *b;

    address_set_port(&left, 0);
    address_set_port(&right, 0);
    return a->ss_family == b->ss_family && (is_any(a) || is_any(b) || address_equal(&left, &right));
}

static bool is_clash(const struct bound *a, const struct bound *b)
{
    uint16_t first_a = address_port(&a->address), first_b = address_port(&b->address);
    uint16_t last_a = a->last ? a->last : first_a, last_b = b->last ? b->last : first_b;

    return a->is_udp == b->is_udp && first_a <= last_b && first_b <= last_a &&
           is_same_host(&a->address, &b->address);
}

/* "udp 0.0.0.0:5060", or of a range "udp 20000-29999". */
static const char *bound_format(const struct bound *bound, char *text)
{
    char address[ADDRESS_TEXT_MAX];
    const char *transport = bound->is_udp ? "udp" : "tcp";

    if (bound->last)
        snprintf(text, BOUND_TEXT_MAX, "%s %u-%u", transport, address_port(&bound->address),
                 bound->last);
    else
        snprintf(text, BOUND_TEXT_MAX, "%s %s", transport,
                 address_format(&bound->address, address));
    return text;
}

static void report_clash(struct build *build, const struct bound *later, const struct bound *first)
{
    char mine[BOUND_TEXT_MAX], other[BOUND_TEXT_MAX];

    messages_error(&build->outline->messages, later->section->source,
                   build_line(later->section, later->key),
                   "%s: %s %s is the same port as %s of section %s, %s; choose another",
                   section_kinds[later->section->id].name, later->key, bound_format(later, mine),
                   first->key, section_kinds[first->section->id].name, bound_format(first, other));
}

/* A supernode or relay has UDP open at the number of its listen; so has one that is to become a
 * supernode, which only counts when the file says so: nobody is refused for a default. */
static bool is_udp_served(const struct conf *conf, const struct section *overlay)
{
    return (conf->overlay.roles & (CONF_ROLE_SUPERNODE | CONF_ROLE_RELAY)) ||
           (conf->overlay.serve == CONF_SERVE_AUTO && build_has(overlay, "supernode"));
}

static int collect_bound(const struct build *build, struct bound *list)
{
    const struct conf *conf = &build->loaded->conf;
    const struct section *sip = build_section(build, SECTION_SIP);
    const struct section *overlay = build_section(build, SECTION_OVERLAY);
    const struct section *admin = build_section(build, SECTION_ADMIN);
    const struct section *media = build_section(build, SECTION_MEDIA);
    struct sockaddr_storage any;
    int count = 0;

    if (address_parse("0.0.0.0:0", &any) < 0)
        return 0;
    for (int i = 0; sip && i < conf->sip.listen_count; i++)
        list[count++] = (struct bound){conf->sip.listen[i].transport == CONF_UDP,
                                       conf->sip.listen[i].address, 0, sip, "listen"};
    if (conf->overlay.listen.ss_family)
        list[count++] = (struct bound){false, conf->overlay.listen, 0, overlay, "listen"};
    if (conf->overlay.listen.ss_family && conf->overlay.udp && is_udp_served(conf, overlay))
        list[count++] = (struct bound){true, conf->overlay.listen, 0, overlay, "listen"};
    if (conf->admin.listen.ss_family)
        list[count++] = (struct bound){false, conf->admin.listen, 0, admin, "listen"};
    if (overlay && conf->overlay.udp_port) {
        address_set_port(&any, conf->overlay.udp_port);
        int last = conf->overlay.udp_port + (conf->media.workers ? conf->media.workers - 1 : 0);
        list[count] = (struct bound){true, any, 0, overlay, "udp_port"};
        list[count++].last = (uint16_t)(last > conf->overlay.udp_port ? last : 0);
    }
    if (media && build_has(media, "ports")) {
        address_set_port(&any, conf->media.port_min);
        list[count++] = (struct bound){true, any, conf->media.port_max, media, "ports"};
    }
    return count;
}

/* Whether `a` stands behind `b` in the files. */
static bool is_later(const struct bound *a, const struct bound *b)
{
    int by_file = a->section->source->ordinal - b->section->source->ordinal;

    return by_file > 0 ||
           (by_file == 0 && build_line(a->section, a->key) > build_line(b->section, b->key));
}

static void check_clashes(struct build *build)
{
    struct bound list[BOUND_MAX];
    int count = collect_bound(build, list);

    for (int i = 0; i < count; i++) {
        for (int j = 0; j < i; j++) {
            if (!is_clash(&list[i], &list[j]))
                continue;
            bool swapped = is_later(&list[j], &list[i]);
            report_clash(build, &list[swapped ? j : i], &list[swapped ? i : j]);
            break;
        }
    }
}

/* ---- sections ----------------------------------------------------------------------------------
 */

static void check_sip(struct build *build)
{
    const struct conf_sip *sip = &build->loaded->conf.sip;
    const struct section *section = build_section(build, SECTION_SIP);
    char least[DURATION_TEXT_MAX], most[DURATION_TEXT_MAX];

    if (!section)
        return;
    if (sip->min_expires_s > sip->max_expires_s)
        messages_error(
            &build->outline->messages, section->source,
            build_line(section, build_has(section, "min_expires") ? "min_expires" : "max_expires"),
            "sip: min_expires %s is more than max_expires %s; make it smaller",
            duration_format(sip->min_expires_s, least), duration_format(sip->max_expires_s, most));
    if (sip->max_connections_per_address > sip->max_connections)
        messages_error(&build->outline->messages, section->source,
                       build_line(section, build_has(section, "max_connections_per_address")
                                               ? "max_connections_per_address"
                                               : "max_connections"),
                       "sip: max_connections_per_address %d is more than max_connections %d; make "
                       "it smaller",
                       sip->max_connections_per_address, sip->max_connections);
}

static bool has_enrolment(const struct build *build)
{
    const struct section *realm = build_section(build, SECTION_REALM);

    return realm && build_has(realm, "enrolment");
}

static bool is_any_given(const struct section *section)
{
    for (int i = 0; i < section_kinds[section->id].count; i++)
        if (section->key_line[i] > 0)
            return true;
    return false;
}

static void check_serving(struct build *build, const struct section *section,
                          const struct conf_overlay *overlay)
{
    bool is_given = build_has(section, "supernode");

    if (overlay->serve == CONF_SERVE_NEVER && (overlay->roles & CONF_ROLE_SUPERNODE))
        messages_error(&build->outline->messages, section->source, build_line(section, "supernode"),
                       "overlay: supernode is \"never\", but roles has supernode; remove one of "
                       "the two");
    if (overlay->serve == CONF_SERVE_ALWAYS && !build_has(section, "listen"))
        messages_error(&build->outline->messages, section->source,
                       build_line(section, is_given ? "supernode" : "roles"),
                       "overlay: %s, but there is no listen; add listen = \"0.0.0.0:443\"",
                       is_given ? "supernode is \"always\"" : "roles has supernode");
}

static void check_overlay(struct build *build)
{
    const struct conf_overlay *overlay = &build->loaded->conf.overlay;
    const struct section *section = build_section(build, SECTION_OVERLAY);

    if (!section)
        return;
    check_serving(build, section, overlay);
    if (!has_enrolment(build) && is_any_given(section))
        messages_error(&build->outline->messages, section->source, section->line,
                       "section overlay needs a realm; add realm { enrolment = \"FILE\" }");
}

static void check_realm(struct build *build)
{
    const struct section *section = build_section(build, SECTION_REALM);

    if (section && build_has(section, "revocation") && !build_has(section, "enrolment"))
        messages_error(&build->outline->messages, section->source,
                       build_line(section, "revocation"),
                       "realm: revocation needs an enrolment; add enrolment = \"FILE\"");
}

static void check_admin(struct build *build)
{
    const struct section *section = build_section(build, SECTION_ADMIN);
    const struct sockaddr_storage *listen = &build->loaded->conf.admin.listen;
    char text[ADDRESS_TEXT_MAX];

    if (listen->ss_family && !is_loopback(listen))
        messages_warn(&build->outline->messages, section->source, build_line(section, "listen"),
                      "admin: listen %s can be reached by other machines; use 127.0.0.1 unless a "
                      "firewall guards it",
                      address_format(listen, text));
}

static void check_phones(struct build *build)
{
    static const char *const keys[] = {"secret", "secret_file", "secret_env"};
    const struct conf *conf = &build->loaded->conf;

    for (int i = 0; i < conf->phone_count; i++) {
        const struct section *section = build->phones[i];
        int given = 0;
        for (int k = 0; k < 3; k++)
            given += build_has(section, keys[k]);
        if (!given)
            messages_error(&build->outline->messages, section->source, section->line,
                           "phone \"%s\" has no secret; add secret, secret_file or secret_env",
                           section->title);
        if (i == 0 && !build_section(build, SECTION_SIP))
            messages_error(&build->outline->messages, section->source, section->line,
                           "phone \"%s\" cannot register without SIP; add sip { listen = "
                           "\"udp:0.0.0.0:5060\" }",
                           section->title);
    }
}

void check_all(struct build *build)
{
    check_realm(build);
    check_overlay(build);
    check_sip(build);
    check_admin(build);
    check_clashes(build);
    check_phones(build);
    for (int i = 0; i < build->loaded->conf.route_count; i++)
        route_check(build, i);
}
