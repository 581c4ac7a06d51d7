/* sip/registrar.h: where each phone can be reached (RFC 3261, 10.3). Pure state: no sofia, no
 * sockets; time is given. Persistence is told of changes through `struct registrar_sink`.
 */
#ifndef SIP_REGISTRAR_H
#define SIP_REGISTRAR_H

#include "sip/sip.h"

#include <sys/queue.h>

#define CONTACT_MAX 512 /* longest contact URI */
#define CALL_ID_MAX 256
#define PATH_MAX_BYTES 512
#define AGENT_MAX 96
#define INSTANCE_MAX 128

/* Where a message came from, and where everything for that phone goes: a UDP address seen through
 * one of our sockets, or a TCP connection. */
struct flow {
    enum conf_transport transport;
    struct sockaddr_storage remote, local;
    uint16_t connection; /* TCP: the loopback port that stands for the connection; UDP: 0 */
};
static inline const char *flow_transport_name(const struct flow *flow)
{
    return flow->transport == CONF_TCP ? "TCP" : "UDP";
}
bool flow_equal(const struct flow *a, const struct flow *b);

struct binding {
    TAILQ_ENTRY(binding) entry;
    char contact[CONTACT_MAX]; /* URI as registered */
    char call_id[CALL_ID_MAX];
    uint32_t cseq;
    char path[PATH_MAX_BYTES]; /* Path header values (RFC 3327), "" when none */
    char user_agent[AGENT_MAX];
    char instance[INSTANCE_MAX]; /* +sip.instance (RFC 5626), "" when none */
    struct flow flow;
    uint64_t expires_ms; /* monotonic */
};
TAILQ_HEAD(bindings, binding);

/* Told of each change, on the control thread. */
struct registrar_sink {
    void (*saved)(void *ctx, const char *phone, const struct binding *binding);
    void (*removed)(void *ctx, const char *phone, const struct binding *binding);
};

struct registrar;
/* NULL when out of memory. */
struct registrar *registrar_new(const struct registrar_sink *sink, void *ctx);
void registrar_free(struct registrar *registrar);

/* Adds or refreshes; newest replaces oldest above `max_contacts`. A copy is taken. A binding of the
 * same device (its +sip.instance, or another Call-ID from the same address without Path) is
 * replaced. -EALREADY when the request is older than what is known (same Call-ID, lower CSeq);
 * a repeated one (same CSeq) is taken again. */
int registrar_bind(struct registrar *registrar, const char *phone, const struct binding *binding,
                   int max_contacts);
/* Whether a request with this Call-ID and CSeq is older than what is known of its contact. */
bool registrar_is_outdated(struct registrar *registrar, const char *phone,
                           const struct binding *binding);
/* Removes one contact, or with NULL all. -EALREADY when out of order: then nothing was removed. */
int registrar_unbind(struct registrar *registrar, const char *phone, const char *contact,
                     const char *call_id, uint32_t cseq);
/* Removes what has expired, and what came by a connection (its loopback port) that is gone. `gone`
 * is called for each phone whose last binding went. */
typedef void registrar_gone(void *ctx, const char *phone);
void registrar_expire(struct registrar *registrar, uint64_t now_ms, registrar_gone *gone,
                      void *ctx);
void registrar_drop_connection(struct registrar *registrar, uint16_t connection,
                               registrar_gone *gone, void *ctx);

/* Newest first; NULL when there are none. Good until the next change. */
const struct bindings *registrar_find(struct registrar *registrar, const char *phone);
int registrar_count(struct registrar *registrar, const char *phone);
unsigned registrar_total(const struct registrar *registrar);
/* Whether any phone is registered from this address. */
bool registrar_knows(struct registrar *registrar, const struct sockaddr_storage *remote);
void registrar_each(struct registrar *registrar,
                    void (*each)(void *ctx, const char *phone, const struct binding *binding),
                    void *ctx);

#endif
