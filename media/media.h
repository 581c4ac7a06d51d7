/* media/media.h: the sound of the calls.
 *
 * A `struct media` is a set of workers: threads with a libuv loop each, which own their calls,
 * sockets and (through the gateway) the overlay's paths. A *bridge* joins two *legs* on one worker
 * and carries sound between them: packets are forwarded with rewritten headers when both legs use
 * the same codec, else decoded and encoded again. Legs are
 *
 *   RTP   a phone: plain RTP and RTCP over UDP from a port pair that this folder bound
 *   PEER  another node: SRTP (AEAD_AES_128_GCM, RFC 7714) under the call's own keys, through a port
 *         that the overlay gave (a send function and its argument); packets from the overlay enter
 *         by media_bridge_receive
 *   ECHO  sends back what it hears
 *   FILE  plays and records WAV files (the native client)
 *
 * Life: media_open -> media_bridge_open -> media_bridge_set as often as needed ->
 * media_bridge_close (reports the final figures, after which the bridge is gone) -> media_close.
 * RTP sockets are bound on the control thread by media_rtp_open, so an SDP answer needs no round
 * trip to a worker, and are owned by the bridge from the media_bridge_set that names them on.
 *
 * Threads: everything here is called on the control thread, except where it says "worker". Events
 * are delivered on the control thread, never from inside a call into this folder. Only inbox.c
 * crosses threads. Nothing allocates, locks or logs per packet.
 *
 * Order and lateness: what comes in order goes on at once, so a clean path has no added delay.
 * Packets that overtook others wait for them until their own time (at most 200 ms). From a PEER
 * leg, packets that come more than 150 ms later than usual (a stalled TCP connection lets go of
 * them) are dropped and counted as late; a lasting change of the path's length is no lateness. To a
 * PEER leg, packets are sent twice while losses are reported that the codec's own redundancy does
 * not cover; doubles, from there or by way of two paths, cost the receiver next to nothing.
 *
 * RTP from a phone is accepted from the address that SDP named, or, inside a short learning window
 * after each media_bridge_set that changes `remote`, from the first address that sends several
 * well-formed consecutive packets of an expected payload type; after that never from a stranger
 * (RTP Bleed). Only a phone that sends from another address than it named needs the window. As long
 * as nothing was ever heard, it opens again with each media_bridge_set: after early media a phone
 * may send only once it is answered.
 */
#ifndef MEDIA_MEDIA_H
#define MEDIA_MEDIA_H

#include "conf/conf.h"

#include <uv.h>

struct media;
struct media_rtp;
struct media_bridge;

/* Starts the workers. `control` is the loop of the control thread. 0 or negative errno. */
int media_open(uv_loop_t *control, const struct conf_media *settings, struct media **media);
/* Stops and joins the workers, then calls on_closed. All bridges must be closed before (on_closed
 * of each delivered), and whatever others have put on the workers' loops. */
void media_close(struct media *media, void (*on_closed)(void *ctx), void *ctx);

/* ---- workers (for the overlay's paths, wired up by the gateway) -------------------------------
 */

#define MEDIA_CONTROL (-1)
int media_worker_count(const struct media *media);
/* The worker with the fewest bridges. */
int media_worker_pick(const struct media *media);
/* The loop of a worker; to be touched on that worker only. */
uv_loop_t *media_worker_loop(struct media *media, int worker);
/* Runs fn(arg) on a worker, or on the control thread with MEDIA_CONTROL; in the order posted. Any
 * of our threads may call. -ENOBUFS when that inbox is full: then nothing will be run. */
int media_post(struct media *media, int worker, void (*fn)(void *arg), void *arg);

/* ---- RTP sockets ------------------------------------------------------------------------------
 */

/* Binds an even RTP port and the odd RTCP port above it on `address` (its port is ignored) within
 * the configured range. -EADDRINUSE when the range is used up. */
int media_rtp_open(struct media *media, const struct sockaddr_storage *address,
                   struct media_rtp **rtp);
/* The bound RTP port. */
uint16_t media_rtp_port(const struct media_rtp *rtp);
/* Closes a socket pair that was never given to a bridge. */
void media_rtp_close(struct media_rtp *rtp);

/* ---- bridges ----------------------------------------------------------------------------------
 */

enum media_leg_kind {
    MEDIA_LEG_NONE,
    MEDIA_LEG_RTP,
    MEDIA_LEG_PEER,
    MEDIA_LEG_ECHO,
    MEDIA_LEG_FILE
};

#define MEDIA_KEY_BYTES 28 /* AES-128 key, then the 12-byte salt */

/* What one leg does from now on. A copy is taken. */
struct media_leg {
    enum media_leg_kind kind;
    enum media_direction direction; /* seen from us: RECVONLY never sends to this leg */

    /* RTP and PEER */
    enum codec codec;
    uint8_t payload_type;   /* what we send; received formats are told apart by `receive` */
    int event_payload_type; /* RFC 4733; -1: none */
    int ptime_ms;           /* what we send; 0: 20 */
    struct {
        uint8_t payload_type;
        enum codec codec;
    } receive[CODECS_MAX]; /* what the far end may send us (at least the codec above) */
    int receive_count;

    /* RTP */
    struct media_rtp *rtp;
    struct sockaddr_storage remote;      /* family 0: not known yet */
    struct sockaddr_storage remote_rtcp; /* family 0: remote's port + 1 */

    /* PEER: `send` is called on the worker, with a packet that it must not keep */
    int (*send)(void *port, const uint8_t *packet, size_t bytes);
    void *port;
    uint32_t ssrc_in, ssrc_out;
    uint8_t key_in[MEDIA_KEY_BYTES], key_out[MEDIA_KEY_BYTES];

    /* FILE; NULL: silence, or do not record */
    const char *play, *record;
};

enum media_side { MEDIA_A = 0, MEDIA_B = 1 };

/* Figures of one leg since the bridge was opened. */
struct media_stats {
    uint64_t packets_in, packets_out, bytes_in, bytes_out;
    uint64_t lost, late, duplicate, rejected; /* rejected: stranger, forged, malformed */
    uint64_t concealed, fec_recovered;        /* frames */
    uint64_t forwarded, transcoded;           /* packets sent to this leg, by how they were made */
    uint64_t repeated;                 /* of those, sent twice because the far end reports losses */
    uint32_t jitter_us, round_trip_us; /* round trip by RTCP; 0: unknown */
    uint32_t remote_lost_per_mille;    /* as the far end reports by RTCP */
    uint64_t first_in_us, first_out_us; /* uv_hrtime()/1000 of the first packet; 0: none yet */
    struct sockaddr_storage source;     /* where its packets really come from */
    uint32_t gaps;                      /* times of 60 ms and more without a packet that was due */
    uint32_t longest_gap_us;            /* between two packets */
};

struct media_events {
    /* The first packet came in on this leg, at uv_hrtime()/1000 = at_us. Once per leg. */
    void (*on_first_packet)(void *ctx, enum media_side side, uint64_t at_us);
    /* Nothing came in on this leg from at_us (uv_hrtime()/1000) on for `gap_ms`, 60 or more; told
     * when it is over, of at most 20 gaps per leg and one a second. */
    void (*on_gap)(void *ctx, enum media_side side, uint64_t at_us, int gap_ms);
    /* A digit was heard as RFC 4733 event on this leg (it is forwarded by itself). */
    void (*on_digit)(void *ctx, enum media_side side, char digit, int duration_ms);
    /* No packet from this leg for conf_media.timeout_s although it should send: its direction is
     * SENDRECV (who holds need not play music). Each media_bridge_set starts the time anew. */
    void (*on_silence)(void *ctx, enum media_side side);
    /* The far end said by RTCP that it leaves (once). A PEER leg's is proved; a phone's is not. A
     * leg that is closed, or set to another kind, says so itself. */
    void (*on_bye)(void *ctx, enum media_side side);
    /* The FILE leg played its file to the end. */
    void (*on_played)(void *ctx, enum media_side side);
    /* Answer to media_bridge_ask. */
    void (*on_stats)(void *ctx, const struct media_stats stats[2]);
    /* The bridge is gone; last event. */
    void (*on_closed)(void *ctx, const struct media_stats stats[2]);
};

/* -EAGAIN when the worker is overloaded. */
int media_bridge_open(struct media *media, int worker, const struct media_events *events, void *ctx,
                      struct media_bridge **bridge);
/* Sets or changes a leg. A leg that is set to another kind, or to another `rtp`, closes the socket
 * pair that it had. A FILE leg begins anew with each set. `event_payload_type` is only looked at
 * for RTP and PEER, but there 0 is a payload type: say -1 for none. Sequence numbers, timestamps
 * and SSRC sent to the other leg stay continuous. 0, or -EINVAL for a leg that cannot be (then
 * nothing changed), -ENOENT for a file that cannot be opened. */
int media_bridge_set(struct media_bridge *bridge, enum media_side side,
                     const struct media_leg *leg);
void media_bridge_ask(struct media_bridge *bridge);
/* Sends a digit as RFC 4733 event to a leg. -EINVAL: no digit; -ENOTSUP: the leg has no
 * event_payload_type (or is no RTP or PEER leg). */
int media_bridge_send_digit(struct media_bridge *bridge, enum media_side side, char digit,
                            int duration_ms);
/* Ends; on_closed follows. No other event is delivered after the call. */
void media_bridge_close(struct media_bridge *bridge);

/* Worker: a packet for the bridge's PEER leg has come in by the overlay. The bytes may be changed
 * (decrypted in place) and are not kept. Harmless on a bridge that is gone: the order in which path
 * and bridge are closed does not matter here; but `send` may be called until on_closed is delivered
 * or another leg is set in its place. */
void media_bridge_receive(void *bridge, uint8_t *packet, size_t bytes);

#endif
