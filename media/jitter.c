#include "media/jitter.h"

#include <errno.h>
#include <string.h>

#define WAIT_MIN_US 10000u
#define WAIT_START_US 30000u
#define WAIT_MAX_US 120000u
/* A number so far from the one that is due belongs to another stream: start again there. */
#define LEAP 256

void jitter_init(struct jitter *jitter)
{
    jitter->started = false;
    jitter->has_lost = false;
    jitter->wait_us = WAIT_START_US;
    jitter->held = 0;
    for (int i = 0; i < JITTER_SLOTS; i++)
        jitter->order[i] = (uint8_t)i;
}

static int ahead(const struct jitter *jitter, uint16_t sequence)
{
    return (int16_t)(uint16_t)(sequence - jitter->next);
}

/* A packet came so long after its turn: wait at least so long for the next, with some margin. */
static void stretch(struct jitter *jitter, uint64_t late_us)
{
    uint64_t wanted = late_us + late_us / 4 + 2000;
    if (wanted > WAIT_MAX_US)
        wanted = WAIT_MAX_US;
    if (wanted > jitter->wait_us)
        jitter->wait_us = (uint32_t)wanted;
}

static void shrink(struct jitter *jitter)
{
    jitter->wait_us -= jitter->wait_us / 32;
    if (jitter->wait_us < WAIT_MIN_US)
        jitter->wait_us = WAIT_MIN_US;
}

static void start(struct jitter *jitter, uint16_t sequence)
{
    jitter->started = true;
    jitter->has_lost = false;
    jitter->next = sequence;
    jitter->held = 0;
}

/* Where in the order a number belongs; *taken when it is there already. */
static int position(const struct jitter *jitter, uint16_t sequence, bool *taken)
{
    int at = jitter->held;
    *taken = false;
    while (at > 0) {
        uint16_t before = jitter->slot[jitter->order[at - 1]].sequence;
        if (before == sequence)
            *taken = true;
        if (ahead(jitter, before) < ahead(jitter, sequence))
            break;
        at--;
    }
    return at;
}

static void remove_first(struct jitter *jitter)
{
    uint8_t slot = jitter->order[0];
    jitter->held--;
    memmove(jitter->order, jitter->order + 1, (size_t)jitter->held);
    /* In front of the other free ones: a clean stream touches a single slot's memory. */
    jitter->order[jitter->held] = slot;
}

int jitter_put(struct jitter *jitter, enum jitter_kind kind, const struct rtp_header *rtp,
               uint64_t now_us)
{
    if (rtp->payload_bytes > RTP_PAYLOAD_MAX)
        return -EMSGSIZE;
    int distance = ahead(jitter, rtp->sequence);
    if (!jitter->started || distance > LEAP || distance < -LEAP) {
        start(jitter, rtp->sequence);
        distance = 0;
    }
    if (distance < 0) {
        if (jitter->has_lost && jitter->lost == rtp->sequence)
            stretch(jitter, jitter->waited_us + (now_us - jitter->lost_us));
        return -ETIME;
    }
    bool taken;
    int at = position(jitter, rtp->sequence, &taken);
    if (taken)
        return -EEXIST;
    if (distance == 0 && jitter->held > 0) /* it fills the hole */
        stretch(jitter, now_us - jitter->slot[jitter->order[0]].arrived_us);
    if (jitter->held == JITTER_SLOTS) { /* cannot be: jitter_get never leaves it full */
        remove_first(jitter);
        return -ETIME;
    }
    uint8_t slot = jitter->order[jitter->held];
    memmove(jitter->order + at + 1, jitter->order + at, (size_t)(jitter->held - at));
    jitter->order[at] = slot;
    jitter->held++;
    struct jitter_packet *packet = &jitter->slot[slot];
    packet->kind = kind;
    packet->sequence = rtp->sequence;
    packet->marker = rtp->marker;
    packet->timestamp = rtp->timestamp;
    packet->bytes = (uint16_t)rtp->payload_bytes;
    packet->arrived_us = now_us;
    memcpy(packet->payload, rtp->payload, rtp->payload_bytes);
    return 0;
}

/* The oldest packet behind the hole has waited longest, whatever its number. */
static uint64_t waiting_since(const struct jitter *jitter)
{
    uint64_t oldest = UINT64_MAX;
    for (int i = 0; i < jitter->held; i++) {
        uint64_t arrived = jitter->slot[jitter->order[i]].arrived_us;
        if (arrived < oldest)
            oldest = arrived;
    }
    return oldest;
}

uint64_t jitter_deadline_us(const struct jitter *jitter)
{
    return jitter->held ? waiting_since(jitter) + jitter->wait_us : 0;
}

enum jitter_result jitter_get(struct jitter *jitter, uint64_t now_us,
                              const struct jitter_packet **packet, int *missing)
{
    if (jitter->held == 0)
        return JITTER_NOTHING;
    const struct jitter_packet *first = &jitter->slot[jitter->order[0]];
    int hole = ahead(jitter, first->sequence);
    *packet = first;
    if (hole == 0) {
        remove_first(jitter);
        jitter->next++;
        return JITTER_PACKET;
    }
    uint64_t since = waiting_since(jitter);
    if (now_us < since + jitter->wait_us && jitter->held < JITTER_SLOTS - 1)
        return JITTER_NOTHING;
    *missing = hole;
    jitter->has_lost = true;
    jitter->lost = jitter->next;
    jitter->lost_us = now_us;
    jitter->waited_us = (uint32_t)(now_us - since);
    jitter->next++;
    shrink(jitter);
    return JITTER_LOST;
}
