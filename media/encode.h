/* media/encode.h: samples into packets of a leg: framing to its ptime, encoding, timestamps, and
 * the relaying of telephone events on the same time line. Worker. */
#ifndef MEDIA_ENCODE_H
#define MEDIA_ENCODE_H

#include "media/codec.h"
#include "media/decode.h"

struct leg;

struct encode {
    struct leg *leg;
    struct encoder *encoder;
    enum codec codec;
    int rate, clock_hz;
    int frame_samples;
    bool running;
    bool marker;        /* for the next packet */
    uint16_t sent;      /* our last sequence number; when the leg is further, others sent too */
    uint32_t timestamp; /* of the first sample in pcm */
    uint32_t event_in;  /* the event being relayed: its timestamp there and here */
    uint32_t event_out;
    bool has_event, event_over;
    int fill;
    int16_t pcm[];
};

/* Makes leg->encode fit the leg and `rate`, keeping the one that is there if it does. */
int encode_prepare(struct leg *leg, int rate);
void encode_free(struct encode *encode);

void encode_audio(struct encode *encode, const int16_t *pcm, int samples, uint64_t now_us);
/* `samples` of nothing: sends what is begun, and goes on later. */
void encode_gap(struct encode *encode, int samples, uint64_t now_us);
/* What comes next has nothing to do with what was before. */
void encode_restart(struct encode *encode);
void encode_event(struct encode *encode, const struct decode_event *event, uint64_t now_us);

/* The way of decoded sound into a leg that encodes; its context is the leg. */
extern const struct decode_sink encode_sink;

#endif
