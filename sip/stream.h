/* sip/stream.h: SIP over TCP. Private.
 *
 * sofia's own stream transports are not used: their framing aborts the process on hostile input,
 * they leak, and they spin when descriptors run out. So this file owns listeners and connections,
 * cuts the bytes into messages (stream_frame.h), and stands between the phones and nta as the
 * smallest possible edge proxy (RFC 3261, 16.11, stateless): every connection has one UDP socket on
 * loopback, connected to the one that nta has there.
 *
 *   phone == TCP ==> frame -> note where it came from in its Via, push our Via -> UDP -> nta
 *   phone <== TCP == pop our Via (response) or push one (request)              <- UDP <- nta
 *
 * nta thus never sees a byte that is not one whole message, and needs no change: the loopback port
 * is the name of the connection in a `struct flow`. Only sockets of ours can stand behind those
 * ports; what a stranger on this machine sends to nta's loopback socket belongs to no connection
 * and is dropped. One frame is handed over per turn of the loop, and a connection is not read while
 * it has one waiting: that is as fast as nta reads, so the loopback socket cannot overflow.
 * Requests that nta sends again because it thinks of UDP end here.
 *
 * (Other ways were: a transport of our own inside sofia, whose interface is not public; or its TCP
 * bound to loopback behind our framer, which keeps its stream code and its POLLERR leak in the
 * play.)
 *
 * Phones connect to us; we never dial a phone. A connection that says nothing whole for 30 seconds,
 * or leaves a message unfinished for 10, is closed; there are limits per address and in all.
 */
#ifndef SIP_STREAM_H
#define SIP_STREAM_H

#include "sip/registrar.h"

struct sip;
struct stream;

/* Listens on the TCP addresses of the settings. *stream is NULL when there are none. 0 or negative
 * errno (logged). */
int stream_open(struct sip *sip, struct stream **stream);
/* Closes all; counts down sip->handles by one when done. */
void stream_close(struct stream *stream);

/* The flow of the connection behind a loopback port; -ENOENT when there is none. */
int stream_flow(struct stream *stream, uint16_t port, struct flow *flow);
bool stream_is_open(const struct stream *stream, uint16_t port);
unsigned stream_count(const struct stream *stream);

#endif
