#include "media/learn.h"

#include <netinet/in.h>

/* Long enough for a phone's first packets to arrive, short enough to be hard to hit. */
#define WINDOW_US 5000000
/* Consecutive packets wanted from the named host at another port (its NAT), and from elsewhere. */
#define PROBATION_SAME_HOST 3
#define PROBATION 4

static bool same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    struct sockaddr_storage x = *a, y = *b;
    address_normalise(&x);
    address_normalise(&y);
    if (x.ss_family == 0 || x.ss_family != y.ss_family)
        return false;
    address_set_port(&x, 1);
    address_set_port(&y, 1);
    return address_equal(&x, &y);
}

/* "0.0.0.0" and port 0 are how old phones spell hold. To send there would reach ourselves. */
static bool is_somewhere(const struct sockaddr_storage *address)
{
    struct sockaddr_storage plain = *address;
    address_normalise(&plain);
    if (plain.ss_family == AF_INET)
        return ((struct sockaddr_in *)&plain)->sin_addr.s_addr != INADDR_ANY &&
               address_port(&plain) != 0;
    if (plain.ss_family == AF_INET6)
        return !IN6_IS_ADDR_UNSPECIFIED(&((struct sockaddr_in6 *)&plain)->sin6_addr) &&
               address_port(&plain) != 0;
    return false;
}

void learn_begin(struct learn *learn, const struct sockaddr_storage *named, uint64_t now_us)
{
    *learn = (struct learn){0};
    if (is_somewhere(named))
        learn->named = learn->remote = *named;
    learn->open = true;
    learn->open_until_us = now_us + WINDOW_US;
}

static bool is_named(const struct learn *learn, const struct sockaddr_storage *named)
{
    if (!is_somewhere(named) || learn->named.ss_family == 0)
        return !is_somewhere(named) && learn->named.ss_family == 0;
    return address_equal(&learn->named, named);
}

bool learn_again(struct learn *learn, const struct sockaddr_storage *named, uint64_t now_us)
{
    bool anew = !is_named(learn, named);
    if (anew)
        learn_begin(learn, named, now_us);
    else if (learn->open)
        learn->open_until_us = now_us + WINDOW_US;
    return anew;
}

/* Counts a packet of a stranger; returns how many have come in a row. */
static int watch(struct learn *learn, const struct sockaddr_storage *source,
                 const struct rtp_header *rtp)
{
    struct learn_candidate *found = NULL;
    for (int i = 0; i < LEARN_CANDIDATES && !found; i++)
        if (learn->candidate[i].count > 0 && address_equal(&learn->candidate[i].source, source))
            found = &learn->candidate[i];
    if (!found) {
        found = &learn->candidate[learn->next_candidate++ % LEARN_CANDIDATES];
        found->count = 0;
    }
    bool follows = found->count > 0 && found->ssrc == rtp->ssrc &&
                   rtp->sequence == (uint16_t)(found->sequence + 1);
    found->count = follows ? found->count + 1 : 1;
    found->source = *source;
    found->ssrc = rtp->ssrc;
    found->sequence = rtp->sequence;
    return found->count;
}

enum learn_verdict learn_packet(struct learn *learn, const struct sockaddr_storage *source,
                                const struct rtp_header *rtp, uint64_t now_us)
{
    if (learn->remote.ss_family && address_equal(&learn->remote, source)) {
        learn->open = false;
        return LEARN_ACCEPT;
    }
    if (learn->named.ss_family && address_equal(&learn->named, source)) {
        learn->remote = learn->named; /* somebody else was learnt meanwhile: SDP's word counts */
        learn->open = false;
        return LEARN_ACCEPT;
    }
    if (!learn->open || now_us > learn->open_until_us)
        return LEARN_REJECT;
    int wanted = same_host(&learn->named, source) ? PROBATION_SAME_HOST : PROBATION;
    if (watch(learn, source, rtp) < wanted)
        return LEARN_REJECT;
    learn->remote = *source;
    learn->open = false;
    return LEARN_ACCEPT;
}

bool learn_is_host(const struct learn *learn, const struct sockaddr_storage *source)
{
    return same_host(&learn->remote, source) || same_host(&learn->named, source);
}
