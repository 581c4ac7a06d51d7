/* REGISTER (RFC 3261, 10.3): authentication, checks, and only then the bindings, all or nothing. */
#include "sip/request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/sip_tag.h>
#include <sofia-sip/su_alloc.h>

#define CONTACTS_MAX 10 /* in one request */

struct registration {
    struct binding binding;
    uint64_t expires_s; /* 0: remove */
};

/* How long one contact wants to stay; `expires` of the contact goes before the header. */
static uint64_t wanted_expires(const struct request *r, const sip_contact_t *contact)
{
    const struct conf_sip *settings = &r->sip->conf->sip;
    uint64_t wanted = (uint64_t)settings->max_expires_s;

    if (contact->m_expires && contact->m_expires[0] >= '0' && contact->m_expires[0] <= '9')
        wanted = strtoull(contact->m_expires, NULL, 10);
    else if (!contact->m_expires && r->in->sip_expires)
        wanted = (uint64_t)r->in->sip_expires->ex_delta;
    return wanted > (uint64_t)settings->max_expires_s ? (uint64_t)settings->max_expires_s : wanted;
}

static int copy_url(msg_t *msg, const url_t *url, char *to, size_t size)
{
    char *text = agent_is_target(url) ? url_as_string(msg_home(msg), url) : NULL;

    if (!text || strlen(text) >= size)
        return -EINVAL;
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 127 || *p == '<' || *p == '>')
            return -EINVAL;
    strcpy(to, text);
    return 0;
}

/* The Path values in their order, as a Route for requests to the phone (RFC 3327). */
static int copy_path(const struct request *r, char *to, size_t size)
{
    char url[CONTACT_MAX];
    size_t used = 0;

    to[0] = '\0';
    for (const sip_path_t *path = r->in->sip_path; path; path = path->r_next) {
        if (copy_url(r->msg, path->r_url, url, sizeof url) || used + strlen(url) + 5 > size)
            return -EINVAL;
        used += (size_t)snprintf(to + used, size - used, "%s<%s>", used ? ", " : "", url);
    }
    return 0;
}

static void copy_instance(const sip_contact_t *contact, char *to, size_t size)
{
    const char *value = msg_header_find_param(contact->m_common, "+sip.instance=");

    to[0] = '\0';
    if (value && strlen(value) < size)
        strcpy(to, value);
}

static void copy_printable(const char *from, char *to, size_t size)
{
    size_t used = 0;

    for (; *from && used + 1 < size; from++)
        if ((unsigned char)*from >= ' ' && *from != 127)
            to[used++] = *from;
    to[used] = '\0';
}

static int read_contact(struct request *r, const sip_contact_t *contact, struct registration *reg)
{
    const sip_t *in = r->in;
    struct binding *b = &reg->binding;

    memset(reg, 0, sizeof *reg);
    reg->expires_s = wanted_expires(r, contact);
    if (copy_url(r->msg, contact->m_url, b->contact, sizeof b->contact) ||
        copy_path(r, b->path, sizeof b->path) || strlen(in->sip_call_id->i_id) >= CALL_ID_MAX)
        return -EINVAL;
    strcpy(b->call_id, in->sip_call_id->i_id);
    b->cseq = in->sip_cseq->cs_seq;
    b->flow = r->flow;
    copy_instance(contact, b->instance, sizeof b->instance);
    if (in->sip_user_agent && in->sip_user_agent->g_string)
        copy_printable(in->sip_user_agent->g_string, b->user_agent, sizeof b->user_agent);
    b->expires_ms = sip_now_ms() + reg->expires_s * 1000;
    return 0;
}

/* "Contact: *" stands alone and only with "Expires: 0". */
static bool is_star(const struct request *r, bool *valid)
{
    const sip_contact_t *contact = r->in->sip_contact;

    *valid = true;
    for (; contact; contact = contact->m_next) {
        if (contact->m_url->url_type != url_any)
            continue;
        *valid = contact == r->in->sip_contact && !contact->m_next && r->in->sip_expires &&
                 r->in->sip_expires->ex_delta == 0;
        return true;
    }
    return false;
}

static void reply_bindings(struct request *r, const char *phone)
{
    const struct bindings *bindings = registrar_find(r->sip->registrar, phone);
    const struct binding *b;
    uint64_t now = sip_now_ms();
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);

    if (!out) {
        request_reply(r, SIP_500_INTERNAL_SERVER_ERROR, TAG_END());
        return;
    }
    if (bindings)
        TAILQ_FOREACH(b, bindings, entry)
    fprintf(out, "%s<%s>;expires=%" PRIu64, b == TAILQ_FIRST(bindings) ? "" : ", ", b->contact,
            b->expires_ms > now ? (b->expires_ms - now + 999) / 1000 : 0);
    fclose(out);
    request_reply(r, SIP_200_OK, TAG_IF(text && text[0], SIPTAG_CONTACT_STR(text)),
                  SIPTAG_SUPPORTED_STR("path"),
                  TAG_IF(r->in->sip_path, SIPTAG_PATH(r->in->sip_path)), TAG_END());
    free(text);
}

static void report(struct request *r, const char *phone, int before)
{
    int after = registrar_count(r->sip->registrar, phone);
    char text[ADDRESS_TEXT_MAX];
    struct event *event;

    if (before == after)
        return;
    log_info(LOG_SIP, NULL, "%s %s at %s:%s, %d contact%s", phone,
             after > before ? "registered" : "unregistered",
             r->flow.transport == CONF_TCP ? "tcp" : "udp", address_format(&r->flow.remote, text),
             after, after == 1 ? "" : "s");
    event = event_post(r->sip, EVENT_REGISTRATION, NULL);
    event->u.registration.phone = strdup(phone);
    event->u.registration.contacts = after;
}

static int apply(struct request *r, const struct conf_phone *phone, struct registration *regs,
                 int count)
{
    struct registrar *registrar = r->sip->registrar;
    int err = 0;

    /* All or nothing. */
    for (int i = 0; i < count; i++)
        if (registrar_is_outdated(registrar, phone->id, &regs[i].binding))
            return -EALREADY;
    for (int i = 0; i < count && !err; i++) {
        struct binding *b = &regs[i].binding;

        err = regs[i].expires_s
                  ? registrar_bind(registrar, phone->id, b, phone->max_contacts)
                  : registrar_unbind(registrar, phone->id, b->contact, b->call_id, b->cseq);
    }
    return err;
}

/* Reads all contacts. The count, or -1 when the request has been answered with an error. */
static int read_contacts(struct request *r, struct registration *regs)
{
    const struct conf_sip *settings = &r->sip->conf->sip;
    char min[16];
    int count = 0;

    for (const sip_contact_t *c = r->in->sip_contact; c; c = c->m_next) {
        if (count == CONTACTS_MAX || read_contact(r, c, &regs[count])) {
            request_reply(r, 400, "Bad Contact", TAG_END());
            return -1;
        }
        if (regs[count].expires_s && regs[count].expires_s < (uint64_t)settings->min_expires_s) {
            snprintf(min, sizeof min, "%d", settings->min_expires_s);
            request_reply(r, SIP_423_INTERVAL_TOO_BRIEF, SIPTAG_MIN_EXPIRES_STR(min), TAG_END());
            return -1;
        }
        count++;
    }
    return count;
}

static void update(struct request *r, const struct conf_phone *phone)
{
    static struct registration regs[CONTACTS_MAX]; /* too much for the stack; one thread */
    struct registrar *registrar = r->sip->registrar;
    int before = registrar_count(registrar, phone->id), count, err;
    bool valid;

    if (is_star(r, &valid)) {
        if (!valid) {
            request_reply(r, 400, "Bad Contact", TAG_END());
            return;
        }
        err = registrar_unbind(registrar, phone->id, NULL, r->in->sip_call_id->i_id,
                               r->in->sip_cseq->cs_seq);
    } else {
        count = read_contacts(r, regs);
        if (count < 0)
            return;
        err = apply(r, phone, regs, count);
    }
    if (err) {
        request_reply(r, 500, err == -EALREADY ? "Out Of Order" : "Server Internal Error",
                      TAG_END());
        return;
    }
    report(r, phone->id, before);
    reply_bindings(r, phone->id);
}

void register_handle(struct request *r)
{
    const struct conf_phone *phone = request_authenticate(r, false);
    const url_t *to;

    if (!phone)
        return; /* answered: the message is gone */
    to = r->in->sip_to->a_url;
    if (!to->url_user || strcmp(to->url_user, phone->id)) {
        request_reply(r, SIP_403_FORBIDDEN, TAG_END());
        return;
    }
    update(r, phone);
}
