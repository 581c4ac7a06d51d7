/* overlay/stream.h: packets over a byte stream: RFC 4571 frames and a queue bounded by age.
 *
 * Voice that waited is worth nothing: behind a TCP connection that does not move, packets are kept
 * here, not in the socket, and the oldest are dropped after 100 ms. Pure: no sockets, no clock.
 */
#ifndef OVERLAY_STREAM_H
#define OVERLAY_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STREAM_LENGTH_BYTES 2
#define STREAM_PACKET_MAX 2048 /* longer frames end the connection: nothing of ours is so long */
#define STREAM_AGE_MS 100
#define STREAM_QUEUE_BYTES (64 * 1024)

/* ---- what comes in ----------------------------------------------------------------------------
 */

/* Puts frames together from whatever pieces a stream delivers. Zero-initialise. */
struct stream_frames {
    size_t have;
    uint8_t buffer[STREAM_LENGTH_BYTES + STREAM_PACKET_MAX];
};
/* Takes the next piece of the stream from *data and *bytes (both move on). 1 and a whole packet,
 * good until the next call; 0 when more bytes are needed; -EMSGSIZE for a frame longer than
 * STREAM_PACKET_MAX. The packet may be changed. */
int stream_frames_next(struct stream_frames *frames, const uint8_t **data, size_t *bytes,
                       uint8_t **packet, size_t *packet_bytes);

/* Writes the length before a packet. */
void stream_frame_length(uint8_t out[STREAM_LENGTH_BYTES], size_t packet_bytes);

/* ---- what goes out ----------------------------------------------------------------------------
 */

/* Framed packets that wait for their turn, oldest first. Zero-initialise; stream_queue_fini frees.
 */
struct stream_queue {
    uint8_t *buffer; /* allocated when first needed, then kept */
    size_t start, end;
    uint64_t dropped; /* packets, too old or too many */
};
void stream_queue_fini(struct stream_queue *queue);
/* Keeps a packet (up to STREAM_PACKET_MAX; a longer one is -EMSGSIZE). When there is no room, the
 * oldest are dropped. -ENOMEM. */
int stream_queue_put(struct stream_queue *queue, const uint8_t *packet, size_t bytes,
                     uint64_t now_ms);
/* The oldest packet as a frame (length and packet), after dropping those that are STREAM_AGE_MS
 * old; NULL when there is none. Good until the next put. */
const uint8_t *stream_queue_peek(struct stream_queue *queue, uint64_t now_ms, size_t *frame_bytes);
/* Forgets the packet that peek showed, without counting it as dropped. */
void stream_queue_pop(struct stream_queue *queue);
bool stream_queue_is_empty(const struct stream_queue *queue);

#endif
