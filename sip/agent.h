/* sip/agent.h: our end of sofia's transaction layer (nta): which sockets it has, where a message
 * came from, and how a message is sent there. Private.
 *
 * nta gets one UDP socket per address (a wildcard in the settings is expanded, so each socket knows
 * its local address), and one more on loopback when TCP is configured: sip/stream.h tells why. It
 * never resolves names: every request is sent along a flow, to a numeric address, and what would
 * escape that goes to a black hole as default proxy.
 */
#ifndef SIP_AGENT_H
#define SIP_AGENT_H

#include "sip/registrar.h"

#include <sofia-sip/nta.h>
#include <sofia-sip/sip.h>

struct sip;
struct tport_s;

#define AGENT_SOCKETS_MAX 128
#define ROUTE_MAX 96
#define HOST_MAX 64

#define AGENT_ALLOW "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, REGISTER"
#define AGENT_NAME "Sallyport"

struct agent_socket {
    struct tport_s *tport;
    struct sockaddr_storage local;
    char ident[8];
};

struct agent {
    nta_agent_t *nta;
    struct agent_socket sockets[AGENT_SOCKETS_MAX];
    int count;
    int stream; /* index of the loopback socket behind TCP; -1: none */
};

/* Opens all sockets. 0 or negative errno (logged). */
int agent_open(struct sip *sip);
void agent_close(struct sip *sip);

/* Where a received message came from. -ENOENT when that cannot be told (a connection just went, or
 * a stranger sent to the loopback socket). */
int agent_flow(struct sip *sip, msg_t *msg, struct flow *flow);
/* The socket that a flow leaves by; NULL when it is gone. */
struct tport_s *agent_tport(struct sip *sip, const struct flow *flow);
/* Writes the numeric URL that nta sends to into `text` (ROUTE_MAX bytes) and returns it. */
const char *agent_route(const struct flow *flow, char *text);
/* Writes our Contact for a flow: "<sip:user@host:port;transport=tcp>". */
void agent_contact(const struct flow *flow, const char *user, char *text, size_t size);
/* Writes the address as it stands in a URI: "192.0.2.1" or "[2001:db8::1]". */
const char *agent_host(const struct sockaddr_storage *address, char text[HOST_MAX]);

/* Whether a URI may become the target of a dialog: sip: or sips: with a host. */
bool agent_is_target(const url_t *url);

#endif
