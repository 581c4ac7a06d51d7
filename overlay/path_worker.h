/* overlay/path_worker.h: what lives on a worker: its socket, its paths and their ways.
 *
 * A *way* is one means of reaching the far end: a UDP address, or a connection to a relay. Each is
 * a `struct path_way` with an operations table, at the end of the file of its kind. What is common
 * to all:
 *
 *   path_check.c   proves a way by STUN checks that travel on the way itself
 *   path_choice.c  which of the proved ways is taken, and which stands by
 *   path_watch.c   while calls are up: notices within a few frames that nothing comes any more,
 *                  and has both ends send over a second way until one is chosen
 *   path_trickle.c tells the far end of addresses that became known later
 *   path_live.c    the path itself: its ways, its timer, its end
 *
 * `struct path` has three parts: what is fixed from its birth, what only the control thread touches
 * (path_control.c), and what only its worker touches (the rest). They talk by letters
 * (path_post.h).
 */
#ifndef OVERLAY_PATH_WORKER_H
#define OVERLAY_PATH_WORKER_H

#include "overlay/bucket.h"
#include "overlay/bundle.h"
#include "overlay/candidate.h"
#include "overlay/path.h"
#include "overlay/path_channel.h"
#include "overlay/path_post.h"
#include "overlay/path_socket.h"
#include "overlay/path_stun.h"
#include "overlay/stun.h"

#include <sys/queue.h>
#include <uthash.h>

struct path;
struct path_way;
struct path_worker;

/* ---- ways -------------------------------------------------------------------------------------
 */

#define PATH_NEVER UINT64_MAX
#define PATH_WAY_TEXT_MAX (CANDIDATE_HOST_MAX + 16)

enum path_rank { PATH_RANK_RELAY, PATH_RANK_TCP, PATH_RANK_UDP }; /* higher is better */

struct path_way_ops {
    enum path_rank rank;
    /* -ENOTCONN while it is not up */
    int (*send)(struct path_way *way, const uint8_t *packet, size_t bytes);
    /* Does what is due and returns when it wants to be called again (uv_now); NULL: nothing ever.
     */
    uint64_t (*tick)(struct path_way *way, uint64_t now_ms);
    /* Nothing comes over it although it should: if there is another means inside (a second
     * connection, TCP instead of UDP to the relay), use that from now on, and mend what is broken.
     * NULL: there is none. */
    void (*doubt)(struct path_way *way, uint64_t now_ms);
    void (*describe)(const struct path_way *way, char *text, size_t bytes);
    void (*close)(struct path_way *way); /* frees */
};

/* A check that is on its way, findable by its transaction id. */
struct path_probe {
    uint8_t transaction[STUN_TRANSACTION_BYTES];
    bool is_out;
    uint64_t sent_us; /* uv_hrtime / 1000 */
    struct path_way *way;
    UT_hash_handle hh;
};
#define PATH_PROBES 8 /* answers to earlier ones are too late to count */

struct path_way {
    const struct path_way_ops *ops;
    struct path *path;
    bool is_proved;
    bool is_up; /* checks can be sent */

    /* checks */
    unsigned unanswered;     /* in a row */
    uint64_t asked_ms;       /* when the first of those was sent */
    unsigned answers_wanted; /* in a row, until it is proved */
    unsigned losses;         /* how often it was proved and lost again, lately */
    uint64_t lost_ms;        /* when last; 0: never */
    uint64_t hurry_until_ms; /* checks are frequent until then */
    uint64_t due_ms;         /* of the next check */
    uint32_t round_trip_us;  /* smoothed; 0: never measured */
    uint32_t loss_permille;  /* of checks, smoothed */
    uint32_t penalty_us;     /* what its kind adds for load */
    unsigned next_probe;
    struct path_probe probe[PATH_PROBES];

    /* use */
    uint64_t heard_ms; /* when anything came over it last that was good */
    uint64_t deaf_ms; /* since when the far end says that it hears nothing of what we send here, and
                         no check was answered; 0: it does not */
    TAILQ_ENTRY(path_way) next;
};

/* The voice of who has just answered takes a shorter way than the answer: its first packets are
 * kept for a moment, for whoever will listen. */
#define PATH_EARLY_MAX 32
#define PATH_EARLY_BYTES 400
struct path_early {
    uint32_t ssrc;
    uint64_t at_ms;
    size_t bytes; /* 0: none */
    uint8_t packet[PATH_EARLY_BYTES];
};

/* path_check.c */
void path_way_init(struct path_way *way, const struct path_way_ops *ops, struct path *path);
void path_way_fini(struct path_way *way);
void path_way_doubt(struct path_way *way, uint64_t now_ms); /* ops->doubt, if there is one */
/* Check it frequently from now on, for a while. */
void path_check_hurry(struct path_way *way, uint64_t now_ms);
void path_check_send(struct path_way *way, uint64_t now_ms);
/* It is dead, `why` in words: is proved anew, with growing distrust, before it is used again. */
void path_check_lose(struct path_way *way, uint64_t now_ms, const char *why);
/* It has to answer a check again before it is used. */
void path_check_disprove(struct path_way *way, uint64_t now_ms);
/* Something small and signed, for which there is no answer; `flags` of enum stun_path_flag. */
void path_check_beat(struct path_way *way, unsigned flags);
/* A beat that says where we can be reached, too. */
void path_check_tell(struct path_way *way, const struct sockaddr_storage *address);
/* A STUN message came: over `way`, or, when that is NULL, by UDP from `source` (normalised). */
void path_check_receive(struct path_worker *worker, struct path_way *way,
                        const struct sockaddr_storage *source, const uint8_t *data, size_t bytes);

/* path_udp.c */
#define PATH_UDP_MAX CANDIDATES_MAX
/* The way to this address (normalised, plausible): the one that is there, or a new one; NULL when
 * there is no room. Of those that never answered the oldest makes room for a source that has proved
 * itself
 * (`is_seen`). */
struct path_way *path_udp_find(const struct path *path, const struct sockaddr_storage *remote);
struct path_way *path_udp_add(struct path *path, const struct sockaddr_storage *remote,
                              bool is_seen);

/* path_relay.c */
#define PATH_RELAY_MAX 4
#define PATH_OWN_RELAYS 3   /* that the caller names: the best one and its standby … */
#define PATH_READY_RELAYS 2 /* … are made ready at once, the third one when one of these fails */
/* Dials the relay unless there is a way through that tunnel already, which then gets the newer
 * ticket. `signer` is the certificate of the ticket's signer (DER), unless it is our own. */
void path_relay_add(struct path *path, const struct candidate *candidate, const uint8_t *signer,
                    size_t signer_bytes);

/* path_tcp.c */
#define PATH_TCP_MAX 2 /* that we dial */
/* Dials the far end there, unless it is done already. */
void path_tcp_add(struct path *path, const struct candidate *candidate);
/* The far end has dialled: takes the connection, which is detached, and answers its PathBind. */
void path_tcp_accept(struct path *path, struct tls_stream *stream);

/* ---- paths ------------------------------------------------------------------------------------
 */

#define PATH_WANTED_MS 15000 /* how long a call may take from its offer until it listens */
#define PATH_USERNAME_BYTES (2 * PATH_ID_BYTES + 1)

struct path {
    /* fixed */
    struct paths *paths;
    struct path_worker *worker;
    uint8_t id[PATH_ID_BYTES];
    uint8_t key[PATH_KEY_BYTES];
    char username[PATH_USERNAME_BYTES]; /* the id in hex */
    uint8_t peer[OVERLAY_NODE_ID_BYTES];
    uint8_t send_key[32],
        receive_key[32]; /* of checks; two, so that ours cannot be sent back to us */
    bool is_loopback_allowed;
    bool is_leading; /* we say which way is taken: of two nodes the one with the lower id */
    bool is_loopback_dialled; /* by TCP: for relays on this machine */

    struct { /* control thread */
        UT_hash_handle hh;
        unsigned calls, ports;
        bool has_way;
        bool is_ended;
        uint64_t idle_since_ms;
        struct candidate relays[PATH_OWN_RELAYS]; /* that we named last */
        int relay_count;
        size_t peer_der_bytes;
        uint8_t serial[CERTIFICATE_SERIAL_BYTES];
        uint8_t *peer_der;           /* the far end's certificate, as it was shown last */
        bool is_shown;               /* the far end may know our addresses */
        struct candidate_path *held; /* what it named, as long as it may not; NULL: nothing */
        uint8_t peer_instance[PATH_INSTANCE_BYTES]; /* zeros: not known yet */
    } control;

    struct { /* worker */
        UT_hash_handle hh;
        uv_timer_t timer;
        bool is_hidden; /* the far end may not know our addresses: nothing is sent to its own */
        TAILQ_HEAD(, path_way) ways;
        struct path_way *current;   /* that we send on */
        bool is_guess;              /* it was not proved before, and nobody was told */
        struct path_way *nominated; /* by the leading end, to the other */
        struct path_way *second;    /* that we send on as well, for a while */
        uint64_t second_until_ms;
        uint64_t current_since_ms;
        unsigned listeners;
        uint64_t wanted_until_ms; /* being set up: ways are built although nobody listens yet */
        uint64_t last_check_ms;
        bool is_in_trouble;         /* a relay was lost or in doubt: those in reserve are bound */
        struct bucket media, notes; /* how much of each may still come */
        unsigned tcp_named;         /* addresses that we were told to dial, and since when */
        uint64_t tcp_named_ms;
        uint64_t check_number; /* of our last check */
        uint64_t seen_number;  /* highest of theirs, and which of the 64 below came */
        uint64_t seen_mask;

        /* path_trickle.c */
        struct path_trickle *trickle; /* what is being told; NULL: nothing */
        uint64_t heard_since_ms;
        unsigned heard_count; /* addresses that were unknown, since then */

        /* path_watch.c */
        uint64_t sent_ms, beat_ms; /* media and beats sent last */
        uint64_t heard_ms;         /* media or a beat came; 0: not since the first listener */
        bool is_heard_media;       /* it was media, not a beat */
        uint64_t interval_ms16;    /* between packets of media, smoothed, in 1/16 ms */
        bool is_deaf;
        uint64_t deaf_beat_ms;
        bool is_doubted; /* the current way was told so in this silence */
    } live;

    struct path_letter begin, end;
};

/* All on the worker. path_live.c */
/* Nothing that was proved counts any more: all ways are proved anew. */
void path_live_distrust(struct path *path);
/* Our addresses have changed, or the network around us. */
void path_live_on_network_change(struct path *path);
void path_live_begin(struct path *path);
void path_live_end(struct path *path);
/* Something is due earlier than thought. */
void path_live_wake(struct path *path);
/* A call is up, or is being set up. */
bool path_live_is_wanted(const struct path *path, uint64_t now_ms);
bool path_live_is_active(const struct path *path); /* somebody listens */
void path_live_add_way(struct path *path, struct path_way *way);
void path_live_remove_way(struct path *path, struct path_way *way);
/* For the journals of its calls; `event` is a constant. */
void path_live_note(struct path *path, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* path_choice.c */
/* A way came, went, was proved, doubted or lost, `why` in words: chooses again. */
void path_choice_make(struct path *path, const char *why);
/* A connection is up, but nothing is proved yet: media goes there as long as there is nothing
 * better, for somebody may have answered already. */
void path_choice_guess(struct path *path, struct path_way *way);
/* The far end, which is leading, has chosen this way. */
void path_choice_follow(struct path *path, struct path_way *way);
/* The best proved way beside the current one, rather of another kind; NULL: none. */
struct path_way *path_choice_standby(const struct path *path);
/* Sends media over this way as well, from now on and for so long. */
void path_choice_double(struct path *path, struct path_way *way, unsigned ms);
/* Tells the control thread which way is taken, if any. */
void path_choice_report(struct path *path);
const char *path_way_text(const struct path_way *way, char text[PATH_WAY_TEXT_MAX]);

/* path_trickle.c */
void path_trickle_hear(struct path *path, const struct sockaddr_storage *address);
uint64_t path_trickle_tick(struct path *path, uint64_t now_ms);

/* path_watch.c */
/* The first listener came; the last one went. */
void path_watch_start(struct path *path);
void path_watch_stop(struct path *path);
/* A packet came; `way` NULL: from an address that is none of the ways. */
void path_watch_media(struct path *path, struct path_way *way);
void path_watch_beat(struct path *path, struct path_way *way, unsigned flags);
/* Nobody knows which way works: all may be tried with media, for a while. */
bool path_watch_is_dark(const struct path *path);
/* Does what is due and returns when it wants to be called again. */
uint64_t path_watch_tick(struct path *path, uint64_t now_ms);

/* ---- workers ----------------------------------------------------------------------------------
 */

struct path_listener {
    struct path_letter letter; /* that brought it */
    uint32_t ssrc;
    struct path *path;
    void (*receive)(void *receiver, uint8_t *packet, size_t bytes);
    void *receiver;
    UT_hash_handle hh;
};

/* What was dropped, by why. */
struct path_figures {
    uint64_t packets_in;
    uint64_t malformed; /* neither RTP, RTCP nor STUN */
    uint64_t stranger;  /* nobody listens to that SSRC */
    uint64_t flood;     /* more than any calls would send */
    uint64_t check_malformed;
    uint64_t check_unknown; /* of no path or no probe of ours */
    uint64_t check_forged;
    uint64_t check_replayed;
    uint64_t channel_unknown; /* by UDP, of no relay that we use */
    uint64_t check_hidden;    /* of far ends that may not know our addresses yet */
    uint64_t implausible;     /* sources that may not be checked */
    uint64_t checks_sent, checks_answered;
};

struct path_worker {
    struct paths *paths;
    int index;
    struct path_socket *socket; /* NULL: no UDP. Opened on the control thread, then the worker's. */
    bool is_hidden; /* by our settings: UDP to relays, but never directly to a far end */
    struct path_post *to_worker; /* control thread */
    struct path_letter start, stop;

    /* worker */
    uv_loop_t *loop;
    uv_poll_t poll;
    struct path_stun *stun; /* NULL: no UDP */
    struct path_post *to_control;
    struct path *live;
    struct path_listener *listeners;
    struct path_early early[PATH_EARLY_MAX]; /* media that nobody listened for yet; a ring */
    unsigned early_next;
    struct path_probe *probes;
    struct path_channel *channels; /* to relays, by UDP */
    struct path_figures figures;
    unsigned lingering; /* handles that are still closing; it stops when all are gone */
    bool is_stopping;
};

/* path_worker.c. Control thread: opens the socket, unless there shall be none; then starts. */
int path_worker_open(struct path_worker *worker, struct paths *paths, int index);
void path_worker_start(struct path_worker *worker);
/* Control thread: ends; no path may be left on it. `stop.run` comes back on the control thread. */
void path_worker_close(struct path_worker *worker);
/* Worker: a packet came; `way` or `source` as in path_check_receive. */
void path_worker_receive(struct path_worker *worker, struct path_way *way,
                         const struct sockaddr_storage *source, uint8_t *packet, size_t bytes);
/* Worker: letters of the control thread: a path_listener, and its end. */
void path_worker_listen(struct path_letter *letter);
void path_worker_unlisten(struct path_worker *worker, uint32_t ssrc);

/* Worker: one of `lingering` is gone. */
void path_worker_leave(struct path_worker *worker);
/* Worker: for bundles of its ways. */
struct bundle_host path_worker_host(struct path_worker *worker);

/* Which addresses may be dialled for this path: what a name leads to is judged as well. */
bool (*path_may_dial(const struct path *path))(const struct sockaddr_storage *to);

/* What the worker side needs of `struct paths`; fixed from paths_open on. */
const struct paths_settings *paths_get_settings(const struct paths *paths);
/* Control thread. */
void paths_on_lost(struct paths *paths);
void paths_on_way(struct paths *paths, struct path *path, const char *text);
void paths_on_note(struct paths *paths, struct path *path, const char *event, const char *text);
void paths_on_ended(struct path_letter *letter);
void paths_on_stun(struct path_letter *letter);
void paths_on_knock(struct path_letter *letter);
void paths_on_stopped(struct path_letter *letter);

#endif
