#include "sip/request.h"

#include "sip/stray.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <sofia-sip/msg.h>
#include <sofia-sip/nta_stateless.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/sip_tag.h>
#include <sofia-sip/su_tagarg.h>

void request_reply(struct request *r, int status, const char *phrase, tag_type_t tag,
                   tag_value_t value, ...)
{
    ta_list ta;

    ta_start(ta, tag, value);
    nta_msg_treply(r->sip->agent.nta, r->msg, status, phrase, SIPTAG_ALLOW_STR(AGENT_ALLOW),
                   SIPTAG_SERVER_STR(AGENT_NAME), ta_tags(ta));
    ta_end(ta);
    r->msg = NULL;
}

void request_drop(struct request *r)
{
    msg_destroy(r->msg);
    r->msg = NULL;
}

/* Phones that give up when any challenge is of an algorithm that they do not know (measured: their
 * library looks at each header and fails at the first strange one, in whatever order they come).
 * They are shown MD5 alone; who only pretends to be one weakens nobody but himself. */
static bool is_md5_only(const struct request *r)
{
    static const char *const agents[] = {"baresip v0.", "baresip v1.", "baresip v2."};
    const sip_user_agent_t *agent = r->in->sip_user_agent;

    for (size_t i = 0; agent && agent->g_string && i < sizeof agents / sizeof *agents; i++)
        if (strncasecmp(agent->g_string, agents[i], strlen(agents[i])) == 0)
            return true;
    return false;
}

void request_challenge(struct request *r, bool proxy, bool stale)
{
    char nonce[DIGEST_NONCE_MAX], sha256[CHALLENGE_MAX], md5[CHALLENGE_MAX];
    unsigned offered = r->sip->conf->sip.digest;

    if (offered & CONF_DIGEST_MD5 && is_md5_only(r))
        offered = CONF_DIGEST_MD5;
    digest_nonce_make(&r->sip->auth.nonces, (uint64_t)time(NULL), nonce);
    auth_challenge(&r->sip->auth, DIGEST_SHA256, nonce, stale, sha256);
    auth_challenge(&r->sip->auth, DIGEST_MD5, nonce, stale, md5);
    /* The better one first (RFC 8760, 2.4). */
    const char *first = offered & CONF_DIGEST_SHA256 ? sha256 : NULL;
    const char *second = offered & CONF_DIGEST_MD5 ? md5 : NULL;
    if (proxy)
        request_reply(r, SIP_407_PROXY_AUTH_REQUIRED,
                      TAG_IF(first, SIPTAG_PROXY_AUTHENTICATE_STR(first)),
                      TAG_IF(second, SIPTAG_PROXY_AUTHENTICATE_STR(second)), TAG_END());
    else
        request_reply(r, SIP_401_UNAUTHORIZED, TAG_IF(first, SIPTAG_WWW_AUTHENTICATE_STR(first)),
                      TAG_IF(second, SIPTAG_WWW_AUTHENTICATE_STR(second)), TAG_END());
}

void request_refused(struct request *r, enum sip_refusal why, int status)
{
    const sip_from_t *from = r->in->sip_from;
    const char *user = from ? from->a_url->url_user : NULL;
    const char *dialled = r->in->sip_request->rq_url->url_user;
    sip_method_t method = r->in->sip_request->rq_method;
    bool is_registration = method == sip_method_register && why == SIP_REFUSED_PASSWORD;
    struct event *event;

    if ((method != sip_method_invite && !is_registration) || !r->sip->events->on_refused)
        return;
    event = event_post(r->sip, EVENT_REFUSED, NULL);
    snprintf(event->u.refused.user, sizeof event->u.refused.user, "%s", user ? user : "");
    snprintf(event->u.refused.dialled, sizeof event->u.refused.dialled, "%s",
             dialled ? dialled : "");
    event->u.refused.what = (struct sip_refused){.is_registration = is_registration,
                                                 .why = why,
                                                 .user = event->u.refused.user,
                                                 .dialled = event->u.refused.dialled,
                                                 .source = r->flow.remote,
                                                 .transport = r->flow.transport,
                                                 .status = status};
}

static void complain_auth(struct request *r)
{
    const sip_from_t *from = r->in->sip_from;
    const char *user = from && from->a_url->url_user ? from->a_url->url_user : "nobody";
    char text[ADDRESS_TEXT_MAX];
    uint64_t count;

    r->sip->counters.auth_failures++;
    if (log_limit(&r->sip->auth_limit, sip_now_ms(), &count))
        log_warn(LOG_SIP, NULL,
                 "%s of \"%.40s\" from %s with a wrong user or secret refused (%llu so far)",
                 r->in->sip_request->rq_method_name, user, address_format(&r->flow.remote, text),
                 (unsigned long long)r->sip->counters.auth_failures);
}

const struct conf_phone *request_authenticate(struct request *r, bool proxy)
{
    const msg_auth_t *header = proxy ? r->in->sip_proxy_authorization : r->in->sip_authorization;
    const struct auth_origin origin = {&r->flow.remote, r->in};
    const struct conf_phone *phone = NULL;

    enum auth_verdict verdict =
        auth_check(&r->sip->auth, &origin, header, (uint64_t)time(NULL), &phone);
    switch (verdict) {
    case AUTH_OK:
        return phone;
    case AUTH_MISSING:
        request_challenge(r, proxy, false);
        return NULL;
    case AUTH_STALE:
        request_challenge(r, proxy, true);
        return NULL;
    case AUTH_UNKNOWN:
    case AUTH_WRONG:
        complain_auth(r);
        request_refused(r, verdict == AUTH_WRONG ? SIP_REFUSED_PASSWORD : SIP_REFUSED_USER, 403);
        request_reply(r, SIP_403_FORBIDDEN, TAG_END());
        return NULL;
    case AUTH_BAD:
        r->sip->counters.malformed++;
        request_refused(r, SIP_REFUSED_REQUEST, 400);
        request_reply(r, 400, "Bad Credentials", TAG_END());
        return NULL;
    }
    return NULL;
}

const char *request_unsupported(const sip_t *in, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (const sip_require_t *require = in->sip_require; require; require = require->k_next) {
        for (int i = 0; require->k_items && require->k_items[i]; i++) {
            if (!strcasecmp(require->k_items[i], "path") &&
                in->sip_request->rq_method == sip_method_register)
                continue;
            if (used + strlen(require->k_items[i]) + 3 > size)
                return text;
            used += (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "",
                                     require->k_items[i]);
        }
    }
    return used ? text : NULL;
}

static bool is_known(sip_method_t method)
{
    return method == sip_method_register || method == sip_method_options ||
           method == sip_method_invite;
}

/* Checks that hold for each request outside of a dialog. False: it has been answered. */
static bool check(struct request *r)
{
    const sip_t *in = r->in;
    char unsupported[256];
    enum url_type_e type = (enum url_type_e)in->sip_request->rq_url->url_type;

    if (in->sip_request->rq_method == sip_method_cancel ||
        (in->sip_to->a_tag && is_known(in->sip_request->rq_method) == false) ||
        (in->sip_to->a_tag && in->sip_request->rq_method == sip_method_invite)) {
        request_reply(r, SIP_481_NO_TRANSACTION, TAG_END());
        return false;
    }
    if (type != url_sip && type != url_sips) {
        request_reply(r, SIP_416_UNSUPPORTED_URI, TAG_END());
        return false;
    }
    if (in->sip_max_forwards && in->sip_max_forwards->mf_count == 0) {
        request_reply(r, SIP_483_TOO_MANY_HOPS, TAG_END());
        return false;
    }
    if (!is_known(in->sip_request->rq_method)) {
        request_reply(r, SIP_405_METHOD_NOT_ALLOWED, TAG_END());
        return false;
    }
    if (request_unsupported(in, unsupported, sizeof unsupported)) {
        request_reply(r, SIP_420_BAD_EXTENSION, SIPTAG_UNSUPPORTED_STR(unsupported), TAG_END());
        return false;
    }
    return true;
}

static void invite_handle(struct request *r)
{
    const struct conf_phone *phone;

    if (r->sip->closing) {
        request_reply(r, SIP_503_SERVICE_UNAVAILABLE, SIPTAG_RETRY_AFTER_STR("10"), TAG_END());
        return;
    }
    phone = request_authenticate(r, true);
    if (phone)
        call_in_invite(r, phone);
}

int request_on_message(nta_agent_magic_t *magic, nta_agent_t *agent, msg_t *msg, sip_t *in)
{
    struct request r = {.sip = (struct sip *)magic, .msg = msg, .in = in};

    (void)agent;
    if (in->sip_status) {
        stray_response(r.sip, msg, in);
        return 0;
    }
    r.sip->counters.requests++;
    if (in->sip_request->rq_method == sip_method_ack || agent_flow(r.sip, msg, &r.flow) ||
        !check(&r)) {
        if (r.msg)
            request_drop(&r);
        return 0;
    }
    switch (in->sip_request->rq_method) {
    case sip_method_register:
        register_handle(&r);
        break;
    case sip_method_options:
        request_reply(&r, SIP_200_OK, SIPTAG_ACCEPT_STR("application/sdp"), TAG_END());
        break;
    default:
        invite_handle(&r);
        break;
    }
    return 0;
}
