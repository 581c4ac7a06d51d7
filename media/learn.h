/* media/learn.h: from which address a phone's RTP is accepted, and where we send to.
 *
 * The address that SDP named is accepted at once and always. Another one is learnt only while the
 * window is open, and only after several consecutive packets of one stream; the first packet from
 * the named address closes the window for good. Nobody is ever learnt outside it, which is what
 * stops RTP Bleed: strangers who spray packets at all ports. Pure. */
#ifndef MEDIA_LEARN_H
#define MEDIA_LEARN_H

#include "conf/conf.h"
#include "media/rtp.h"

/* So many strangers are watched at once: one who sprays packets does not keep the phone from being
 * learnt. */
#define LEARN_CANDIDATES 4

struct learn_candidate {
    struct sockaddr_storage source;
    uint32_t ssrc;
    uint16_t sequence; /* newest */
    int count;         /* consecutive packets; 0: this place is free */
};

struct learn {
    struct sockaddr_storage named;  /* by SDP; family 0: none */
    struct sockaddr_storage remote; /* where we send to; family 0: not known */
    bool open;                      /* somebody else may still be learnt … */
    uint64_t open_until_us;         /* … until then */
    struct learn_candidate candidate[LEARN_CANDIDATES];
    unsigned next_candidate; /* place to be taken next */
};

enum learn_verdict { LEARN_ACCEPT, LEARN_REJECT };

/* A new description: `named` as SDP says (family 0: it does not). */
void learn_begin(struct learn *learn, const struct sockaddr_storage *named, uint64_t now_us);
/* A description of the same socket. True: it names another address, so all begins anew. Else the
 * window opens again if nothing was ever heard: after early media or hold a phone only starts to
 * send now. */
bool learn_again(struct learn *learn, const struct sockaddr_storage *named, uint64_t now_us);
/* A well-formed packet of an expected payload type came from `source`. */
enum learn_verdict learn_packet(struct learn *learn, const struct sockaddr_storage *source,
                                const struct rtp_header *rtp, uint64_t now_us);
/* RTCP teaches nothing; it is accepted from the host that we talk to, any port. */
bool learn_is_host(const struct learn *learn, const struct sockaddr_storage *source);

#endif
