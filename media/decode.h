/* media/decode.h: packets into samples: order (media/jitter.h), decoding, redundancy and
 * concealment, and the stream's own time line. Whoever wants the samples gives a sink. Worker;
 * touches no socket. */
#ifndef MEDIA_DECODE_H
#define MEDIA_DECODE_H

#include "media/codec.h"
#include "media/event.h"
#include "media/jitter.h"
#include "media/media.h"

struct decode_event {
    struct event event;
    uint32_t timestamp;
    int32_t offset; /* from the sample that is due next to the event's begin, in clock units */
    int clock_hz;
};

struct decode_sink {
    void (*audio)(void *ctx, const int16_t *pcm, int samples, uint64_t now_us);
    /* The sender paused for `samples`. */
    void (*gap)(void *ctx, int samples, uint64_t now_us);
    /* Another stream begins. */
    void (*restart)(void *ctx);
    void (*event)(void *ctx, const struct decode_event *event, uint64_t now_us); /* or NULL */
};

struct decode {
    enum codec codec;
    int rate, clock_hz;
    struct decoder *decoder;
    const struct decode_sink *sink;
    void *ctx;
    struct media_stats *stats; /* late, concealed, fec_recovered are counted here */
    uint32_t ssrc;
    bool running;
    uint32_t due;  /* timestamp of the next sample */
    int concealed; /* in a row */
    struct jitter jitter;
};

/* NULL: no memory. The sink must be set before packets come. */
struct decode *decode_new(enum codec codec, int rate, struct media_stats *stats);
void decode_free(struct decode *decode);
/* Forgets the stream. */
void decode_reset(struct decode *decode);
/* A packet came in; what is due now goes to the sink. */
void decode_packet(struct decode *decode, enum jitter_kind kind, const struct rtp_header *rtp,
                   uint64_t now_us);
/* Hands out what is due. Returns when to come again although no packet comes; 0: not. */
uint64_t decode_run(struct decode *decode, uint64_t now_us);

#endif
