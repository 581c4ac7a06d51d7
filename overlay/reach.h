/* overlay/reach.h: how well others can reach this node, judged from what was observed.
 *
 *   open      whoever knows our address can connect, by TCP and by UDP
 *   udp-easy  UDP goes out, and what is outside sees one address whomever we talk to: two such
 * nodes reach each other directly udp-hard  UDP goes out, but with an address for each we talk to
 * (RFC 4787 section 4.1: address-dependent mapping): only open or easy nodes reach us directly tcp
 * only outgoing TCP
 *
 * Pure: no sockets, no clock.
 */
#ifndef OVERLAY_REACH_H
#define OVERLAY_REACH_H

#include "overlay/overlay.h"

#define REACH_SERVERS_MAX 4
#define REACH_HOSTS_MAX 16

enum reach_answer { REACH_WAITING, REACH_ANSWERED, REACH_SILENT, REACH_UNREACHABLE };

/* What a server on the other side of our firewall sees. */
struct reach_server {
    char name[ADDRESS_TEXT_MAX]; /* "198.18.0.11:443" */
    enum reach_answer answer;
    struct sockaddr_storage mapped; /* when answered */
};

/* The result of a dial-back. */
enum reach_dialed { REACH_NOT_TRIED, REACH_DIALED, REACH_NOT_DIALED };

struct reach_facts {
    bool is_udp_off;   /* by our settings */
    bool is_hidden;    /* by our settings: peers see our relay only */
    const char *proxy; /* "host:port"; NULL: none */
    bool listens;      /* overlay.listen is set */
    bool serves;       /* as supernode or relay: it is meant to be open */
    struct sockaddr_storage host[REACH_HOSTS_MAX]; /* ours, with the port of the first worker */
    int host_count;
    struct reach_server server[REACH_SERVERS_MAX];
    int server_count;
    enum reach_dialed tcp, udp;
    char dialed_why[96]; /* why TCP could not be dialled back */
};

struct reach_verdict {
    enum overlay_class class;
    bool is_udp_blocked; /* although our settings want it */
    bool takes_tcp;      /* others can connect to us by TCP, whatever the class is */
    char reason[256];    /* for people */
};
void reach_judge(const struct reach_facts *facts, struct reach_verdict *verdict);
/* "open", "udp-easy", "udp-hard", "tcp", "unknown" */
const char *reach_class_name(enum overlay_class class);

#endif
