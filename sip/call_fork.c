/* Calls to phones: INVITE to all contacts at once; what comes of it is in call_out.c. */
#include "sip/call.h"
#include "sip/dialog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sofia-sip/nta_tag.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_tag.h>
#include <sofia-sip/su_alloc.h>

/* The caller's host may come from another node. */
#define HOST_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]"

/* The request URI: the contact as registered, without what must not stand there. */
static url_t *request_uri(su_home_t *home, const struct binding *binding)
{
    url_t *url = url_make(home, binding->contact);

    if (url) {
        url->url_headers = NULL;
        url->url_params =
            url->url_params ? url_strip_param_string((char *)url->url_params, "method") : NULL;
    }
    return url;
}

static void format_from(const struct sip *sip, const struct sip_caller *caller, const char *user,
                        char *text, size_t size)
{
    const char *host = caller->host;
    char name[NAME_MAX_BYTES] = "";
    size_t used = 0;

    for (const char *p = caller->name ? caller->name : ""; *p && used < sizeof name - 3; p++) {
        if ((unsigned char)*p < ' ' || *p == 127)
            continue;
        if (*p == '"' || *p == '\\')
            name[used++] = '\\';
        name[used++] = *p;
    }
    name[used] = '\0';
    if (!host || !host[0] || host[strspn(host, HOST_CHARACTERS)])
        host = sip->conf->sip.domain;
    snprintf(text, size, "%s%s%s<sip:%s%s%s>", name[0] ? "\"" : "", name, name[0] ? "\" " : "",
             user, user[0] ? "@" : "", host);
}

static void branch_free(struct branch *b)
{
    if (b->invite)
        nta_outgoing_destroy(b->invite);
    if (b->leg)
        nta_leg_destroy(b->leg);
    free(b);
}

/* What is the same for all contacts. */
struct fork {
    const char *phone, *from; /* From as a header value */
    char user[3 * USER_MAX];  /* of our Contact */
};

static int branch_send(struct branch *b, const struct binding *binding, const struct fork *fork)
{
    struct sip *sip = b->call->sip;
    struct tport_s *tport = agent_tport(sip, &binding->flow);
    su_home_t home[1] = {SU_HOME_INIT(home)};
    char route[ROUTE_MAX], to[CONTACT_MAX];
    url_t *uri;
    int err = 0;

    su_home_init(home);
    uri = request_uri(home, binding);
    snprintf(to, sizeof to, "<sip:%s@%s>", fork->phone, sip->conf->sip.domain);
    b->leg = nta_leg_tcreate(sip->agent.nta, call_dialog_request, (nta_leg_magic_t *)b->call,
                             SIPTAG_FROM_STR(fork->from), SIPTAG_TO_STR(to), TAG_END());
    if (!uri || !tport || !b->leg || !nta_leg_tag(b->leg, NULL))
        err = -ENOTCONN;
    if (!err)
        b->invite = nta_outgoing_tcreate(
            b->leg, call_out_response, (nta_outgoing_magic_t *)b,
            URL_STRING_MAKE(agent_route(&binding->flow, route)), SIP_METHOD_INVITE,
            (url_string_t *)uri, NTATAG_TPORT(tport), SIPTAG_CONTACT_STR(b->contact),
            SIPTAG_USER_AGENT_STR(AGENT_NAME), SIPTAG_ALLOW_STR(AGENT_ALLOW),
            TAG_IF(binding->path[0], SIPTAG_ROUTE_STR(binding->path)),
            SIPTAG_CONTENT_TYPE_STR("application/sdp"), SIPTAG_PAYLOAD_STR(b->call->sdp),
            TAG_END());
    if (!err && !b->invite)
        err = -EIO;
    su_home_deinit(home);
    return err;
}

static int branch_new(struct sip_call *call, const struct binding *binding, const struct fork *fork)
{
    struct branch *b = calloc(1, sizeof *b);
    int err;

    if (!b)
        return -ENOMEM;
    b->call = call;
    b->flow = binding->flow;
    agent_contact(&b->flow, fork->user, b->contact, sizeof b->contact);
    err = branch_send(b, binding, fork);
    if (err)
        branch_free(b);
    else
        TAILQ_INSERT_TAIL(&call->branches, b, entry);
    return err;
}

static void note_branches(struct sip_call *call)
{
    char text[ADDRESS_TEXT_MAX];
    struct branch *b;

    TAILQ_FOREACH(b, &call->branches, entry)
    sip_event_note(call, "invite", "INVITE goes to %s over %s",
                   address_format(&b->flow.remote, text), flow_transport_name(&b->flow));
}

int sip_call_new(struct sip *sip, const char *phone, const struct sip_caller *caller,
                 const struct sip_local_audio *local, const char *call_id,
                 const struct sip_call_events *events, void *ctx, struct sip_call **out)
{
    const struct bindings *bindings = registrar_find(sip->registrar, phone);
    const struct binding *binding;
    struct fork fork = {.phone = phone};
    struct sip_call *call;
    char from[768];

    if (!conf_phone_find(sip->conf, phone))
        return -ENOENT;
    if (!bindings || sip->closing)
        return -ENOTCONN;
    call = call_new(sip, false, CALL_STATE_CALLING);
    if (!call)
        return -ENOMEM;
    strncpy(call->id, call_id, CALL_ID_LEN);
    call->local = *local;
    call_offer_write(call, local);
    if (strlen(caller->user) < USER_MAX)
        url_escape(fork.user, caller->user, ":@/?;=,\"<> ");
    format_from(sip, caller, fork.user, from, sizeof from);
    fork.from = from;
    TAILQ_FOREACH(binding, bindings, entry)
    branch_new(call, binding, &fork);
    if (TAILQ_EMPTY(&call->branches)) {
        sip_call_finish(call);
        return -ENOTCONN;
    }
    call->events = events;
    call->ctx = ctx;
    call->announced = true;
    sip->counters.calls_out++;
    call_out_begin(call);
    note_branches(call);
    *out = call;
    return 0;
}

int sip_phone_local(struct sip *sip, const char *phone, struct sockaddr_storage *local)
{
    const struct bindings *bindings = registrar_find(sip->registrar, phone);

    if (!conf_phone_find(sip->conf, phone))
        return -ENOENT;
    if (!bindings)
        return -ENOTCONN;
    *local = TAILQ_FIRST(bindings)->flow.local;
    return 0;
}
