/* Packets over two connections at once, while the line loses some.
 *
 * Measured with 2 % loss at 40 ms round trip, one call (bench_stream): the packet that is least
 * behind finds its way in 20 ms, but what is lost comes after 80 to 600 ms, because nothing follows
 * on the same connection that would tell TCP of the loss. Twice, 99.9 % come in time for any
 * playout. Thicker streams have it easier: what tells of a loss comes at once.
 */
#include "overlay/bundle.h"

#include <string.h>

#define LOOK_MS 200
#define LOSING_MS 10000
#define THIN_PACKETS 250 /* a second: five calls */
/* A line whose round trip has grown so much is not losing but full: more is the last it needs. */
#define FULL_TIMES 2
#define FULL_US 60000

static void look(struct bundle *bundle, uint64_t now_ms)
{
    struct bundle_loss *loss = &bundle->loss;
    bool is_losing = false, is_full = false;

    loss->looked_ms = now_ms;
    for (int i = 0; i < BUNDLE_PLACES; i++) {
        struct bundle_stream *one = &bundle->streams[i];
        uint32_t before = one->line.resent;

        if (!one->stream || one->is_leaving)
            continue;
        tls_stream_line(one->stream, &one->line);
        if (one->line.round_trip_us < one->least_round_trip_us)
            one->least_round_trip_us = one->line.round_trip_us;
        is_losing |= one->line.resent != before;
        is_full |= one->line.round_trip_us > FULL_TIMES * one->least_round_trip_us + FULL_US;
    }
    if (is_losing)
        loss->double_until_ms = now_ms + LOSING_MS;
    if (is_full)
        loss->double_until_ms = 0;
}

bool bundle_double_is_wanted(struct bundle *bundle, uint64_t now_ms)
{
    struct bundle_loss *loss = &bundle->loss;

    if (now_ms >= loss->second_ms + 1000) {
        loss->second_ms = now_ms;
        loss->packets = 0;
    }
    if (++loss->packets > THIN_PACKETS)
        return false;
    if (now_ms >= loss->looked_ms + LOOK_MS)
        look(bundle, now_ms);
    return now_ms < loss->double_until_ms && stream_queue_is_empty(&bundle->queue);
}

bool bundle_double_is_seen(struct bundle_stream *one, const uint8_t *packet, size_t bytes)
{
    struct bundle *bundle = one->bundle;
    const uint8_t *tail = packet + bytes - BUNDLE_TAIL_BYTES;
    uint8_t from = (uint8_t)(one - bundle->streams + 1);

    if (bytes < BUNDLE_TAIL_BYTES)
        return false;
    struct bundle_seen *seen = &bundle->seen[tail[BUNDLE_TAIL_BYTES - 1] % BUNDLE_SEEN];
    bool is_double =
        seen->from && seen->from != from && memcmp(seen->tail, tail, BUNDLE_TAIL_BYTES) == 0;
    memcpy(seen->tail, tail, BUNDLE_TAIL_BYTES);
    seen->from = from;
    return is_double;
}
