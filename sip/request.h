/* sip/request.h: requests outside of dialogs, and stray responses: everything that nta has no
 * transaction or dialog for. They are answered statelessly unless a call comes of them. Private. */
#ifndef SIP_REQUEST_H
#define SIP_REQUEST_H

#include "sip/core.h"

#include <sofia-sip/su_tag.h>

struct request {
    struct sip *sip;
    msg_t *msg; /* owned until it is answered */
    sip_t *in;
    struct flow flow;
};

/* The message callback of the agent. */
int request_on_message(nta_agent_magic_t *magic, nta_agent_t *agent, msg_t *msg, sip_t *in);

/* Answers without keeping state, with our Allow and Server headers and the given tags. */
void request_reply(struct request *request, int status, const char *phrase, tag_type_t tag,
                   tag_value_t value, ...);
/* Lets it go without an answer. */
void request_drop(struct request *request);

/* Tells the gateway of a request that is being refused, if it is one that sip_refused is for;
 * before it is answered. */
void request_refused(struct request *request, enum sip_refusal why, int status);

/* Challenges with 401, or 407 for `proxy`. */
void request_challenge(struct request *request, bool proxy, bool stale);
/* Authenticates; answers by itself and returns NULL when that fails. */
const struct conf_phone *request_authenticate(struct request *request, bool proxy);

/* register.c */
void register_handle(struct request *request);
/* call_in.c */
void call_in_invite(struct request *request, const struct conf_phone *phone);

/* Options in Require that we do not have, as an Unsupported value; NULL when all are known. */
const char *request_unsupported(const sip_t *in, char *text, size_t size);

#endif
