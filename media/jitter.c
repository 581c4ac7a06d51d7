#include "media/jitter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MAX_US (JITTER_WAIT_MAX_MS * 1000u)
/* The adaptive part stays below that. */
#define STRETCH_MAX_US 120000u
/* A packet is before its time by so much: less is jitter, more is another time line. */
#define EARLY_MIN_US 5000
#define EARLY_MAX_US 1000000
/* So many in a row do not come late, they are gone: a way has died. */
#define LONG_HOLE 4
/* A number so far from the one that is due belongs to another stream: start again there. */
#define LEAP 256

void jitter_init(struct jitter *jitter, int clock_hz, uint32_t wait_min_us)
{
    struct jitter_packet *slot = jitter->slot;
    *jitter = (struct jitter){
        .clock_hz = clock_hz,
        .wait_min_us = wait_min_us,
        .wait_us = 3 * wait_min_us,
        .slot = slot,
    };
    for (int i = 0; i < JITTER_SLOTS; i++)
        jitter->order[i] = (uint8_t)i;
}

void jitter_fini(struct jitter *jitter)
{
    free(jitter->slot);
    jitter->slot = NULL;
    jitter->held = 0;
}

static int ahead(const struct jitter *jitter, uint16_t sequence)
{
    return (int16_t)(uint16_t)(sequence - jitter->next);
}

/* A packet came so long after its turn: wait at least so long for the next, with some margin. */
static void stretch(struct jitter *jitter, uint64_t late_us)
{
    uint64_t wanted = late_us + late_us / 4 + 2000;
    if (wanted > STRETCH_MAX_US)
        wanted = STRETCH_MAX_US;
    if (wanted > jitter->wait_us)
        jitter->wait_us = (uint32_t)wanted;
}

static void shrink(struct jitter *jitter)
{
    jitter->wait_us -= jitter->wait_us / 8;
    if (jitter->wait_us < jitter->wait_min_us + 100)
        jitter->wait_us = jitter->wait_min_us;
}

static void start(struct jitter *jitter, uint16_t sequence)
{
    jitter->started = true;
    jitter->has_lost = false;
    jitter->has_passed = false;
    jitter->next = sequence;
    jitter->held = 0;
}

/* Where in the order a number belongs; *taken when it is there already. */
static int position(const struct jitter *jitter, uint16_t sequence, bool *taken)
{
    int at = jitter->held;
    *taken = false;
    while (at > 0) {
        uint16_t before = jitter->slot[jitter->order[at - 1]].rtp.sequence;
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

/* ---- packets in ------------------------------------------------------------------------------ */

static void passed(struct jitter *jitter, enum jitter_kind kind, uint32_t timestamp,
                   uint64_t arrived_us)
{
    jitter->next++;
    if (kind != JITTER_AUDIO)
        return; /* events repeat their timestamps */
    jitter->has_passed = true;
    jitter->passed = timestamp;
    jitter->passed_us = arrived_us;
}

static void begin(struct jitter *jitter, uint16_t sequence)
{
    int distance = ahead(jitter, sequence);
    if (!jitter->started || distance > LEAP || distance < -LEAP)
        start(jitter, sequence);
}

bool jitter_pass(struct jitter *jitter, enum jitter_kind kind, const struct rtp_header *rtp,
                 uint64_t now_us)
{
    begin(jitter, rtp->sequence);
    if (jitter->held > 0 || rtp->sequence != jitter->next)
        return false;
    passed(jitter, kind, rtp->timestamp, now_us);
    return true;
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

/* When the first packet behind the hole was to be expected; `since` when it is not before that. */
static uint64_t natural_us(const struct jitter *jitter, uint64_t since)
{
    const struct jitter_packet *first = &jitter->slot[jitter->order[0]];
    if (!jitter->has_passed || first->kind != JITTER_AUDIO)
        return since;
    int64_t distance = (int32_t)(first->rtp.timestamp - jitter->passed);
    int64_t early = (int64_t)(jitter->passed_us - since) + distance * 1000000 / jitter->clock_hz;
    if (early < EARLY_MIN_US || early > EARLY_MAX_US)
        return since;
    return since + (early < WAIT_MAX_US ? (uint64_t)early : WAIT_MAX_US);
}

static void copy(struct jitter_packet *packet, enum jitter_kind kind, const struct rtp_header *rtp,
                 uint64_t now_us)
{
    packet->kind = kind;
    packet->rtp = *rtp;
    packet->rtp.payload = packet->payload;
    packet->arrived_us = now_us;
    memcpy(packet->payload, rtp->payload, rtp->payload_bytes);
}

int jitter_put(struct jitter *jitter, enum jitter_kind kind, const struct rtp_header *rtp,
               uint64_t now_us)
{
    if (rtp->payload_bytes > RTP_PAYLOAD_MAX)
        return -EMSGSIZE;
    begin(jitter, rtp->sequence);
    int distance = ahead(jitter, rtp->sequence);
    if (distance < 0) {
        if (jitter->has_lost && jitter->lost == rtp->sequence && kind != JITTER_LATE)
            stretch(jitter, jitter->waited_us + (now_us - jitter->lost_us));
        return -ETIME;
    }
    if (!jitter->slot)
        jitter->slot = malloc(JITTER_SLOTS * sizeof *jitter->slot);
    if (!jitter->slot)
        return -ENOMEM;
    bool taken;
    int at = position(jitter, rtp->sequence, &taken);
    if (taken)
        return -EEXIST;
    if (distance == 0 && jitter->held > 0 && kind != JITTER_LATE) { /* it fills the hole */
        uint64_t natural = natural_us(jitter, waiting_since(jitter));
        if (now_us > natural)
            stretch(jitter, now_us - natural);
    }
    if (jitter->held == JITTER_SLOTS) { /* cannot be: jitter_get never leaves it full */
        remove_first(jitter);
        return -ETIME;
    }
    uint8_t slot = jitter->order[jitter->held];
    memmove(jitter->order + at + 1, jitter->order + at, (size_t)(jitter->held - at));
    jitter->order[at] = slot;
    jitter->held++;
    copy(&jitter->slot[slot], kind, rtp, now_us);
    return 0;
}

/* ---- packets out ----------------------------------------------------------------------------- */

static uint64_t deadline_us(const struct jitter *jitter, uint64_t since)
{
    uint16_t first = jitter->slot[jitter->order[0]].rtp.sequence;
    if (jitter->has_lost && jitter->lost_up_to == first)
        return since; /* the others of this hole were waited for already */
    uint64_t natural = natural_us(jitter, since);
    uint64_t waited =
        since + (ahead(jitter, first) >= LONG_HOLE ? jitter->wait_min_us : jitter->wait_us);
    return natural > waited ? natural : waited;
}

uint64_t jitter_deadline_us(const struct jitter *jitter)
{
    return jitter->held ? deadline_us(jitter, waiting_since(jitter)) : 0;
}

enum jitter_result jitter_get(struct jitter *jitter, uint64_t now_us,
                              const struct jitter_packet **packet, int *missing)
{
    if (jitter->held == 0)
        return JITTER_NOTHING;
    const struct jitter_packet *first = &jitter->slot[jitter->order[0]];
    int hole = ahead(jitter, first->rtp.sequence);
    *packet = first;
    if (hole == 0) {
        remove_first(jitter);
        passed(jitter, first->kind, first->rtp.timestamp, first->arrived_us);
        return JITTER_PACKET;
    }
    uint64_t since = waiting_since(jitter);
    if (now_us < deadline_us(jitter, since) && jitter->held < JITTER_SLOTS - 1)
        return JITTER_NOTHING;
    *missing = hole;
    if (!jitter->has_lost || jitter->lost_up_to != first->rtp.sequence)
        shrink(jitter); /* once for a hole */
    jitter->has_lost = true;
    jitter->lost = jitter->next;
    jitter->lost_up_to = first->rtp.sequence;
    jitter->lost_us = now_us;
    jitter->waited_us = (uint32_t)(now_us - since);
    jitter->next++;
    return JITTER_LOST;
}
