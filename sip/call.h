/* sip/call.h: a call inside this folder: the states, and what the call_*.c files share. Private.
 *
 *              INVITE in                          sip_call_new
 *                  |                                   |
 *               RINGING                             CALLING
 *                  | 200                               | 2xx
 *               ANSWERED ----- ACK ------> UP <--------+
 *                  |                        |          |
 *                  +--------> LEAVING <-----+----------+     the gateway is told, or has let go
 *                                |
 *                              GONE                          freed when its timers are closed
 *
 * LEAVING is where a call waits for what SIP still needs: an ACK before our BYE, final responses to
 * what was cancelled, or the gateway to take its on_end.
 */
#ifndef SIP_CALL_H
#define SIP_CALL_H

#include "sip/core.h"
#include "sip/sdp.h"

#define RESEND_FIRST_MS 500u  /* T1 */
#define RESEND_LAST_MS 4000u  /* T2 */
#define ACK_TIMEOUT_MS 32000u /* 64 * T1 */
#define ALIVE_MS 8000u        /* an INVITE has been sent five times by then */
#define LINGER_MS 36000u      /* a cancelled branch without any answer is forgotten */
#define USER_MAX 128
#define CALL_CONTACT_MAX 512
#define NAME_MAX_BYTES 128

enum call_state {
    CALL_STATE_RINGING,
    CALL_STATE_CALLING,
    CALL_STATE_ANSWERED,
    CALL_STATE_UP,
    CALL_STATE_LEAVING,
    CALL_STATE_GONE,
    CALL_STATES
};

/* One contact that rings. */
struct branch {
    TAILQ_ENTRY(branch) entry;
    struct sip_call *call;
    nta_leg_t *leg; /* moves to the call when this branch wins */
    nta_outgoing_t *invite;
    struct flow flow;
    char contact[CALL_CONTACT_MAX];
    int last_status; /* of the provisional responses; 0: none yet */
    bool heard;      /* there was some response: somebody is there */
    bool cancelled, done;
};
TAILQ_HEAD(branch_list, branch);

/* A 200 of ours to an INVITE that waits for its ACK: nta runs as a stateless element towards 2xx
 * (NTATAG_UA(0)), so we send it again ourselves (RFC 3261, 13.3.1.4). */
struct unacked {
    nta_incoming_t *invite; /* NULL: none */
    uint32_t cseq;
    uint64_t since_ms, interval_ms;
    bool offered; /* it carries our offer; the ACK brings the answer */
};

struct sip_call {
    LIST_ENTRY(sip_call) entry;
    struct sip *sip;
    char id[CALL_ID_LEN + 1];             /* "" until the gateway took it */
    const struct sip_call_events *events; /* NULL: not taken yet, or let go */
    void *ctx;
    enum call_state state;
    bool incoming;
    bool announced; /* the gateway has heard of it */
    bool ended;     /* the far end is gone; EVENT_END is queued or waits for sip_call_accept */
    struct call_cause end_cause;

    /* dialog */
    nta_leg_t *leg;
    struct flow flow;
    char contact[CALL_CONTACT_MAX];
    uint32_t remote_cseq;

    /* incoming */
    nta_incoming_t *invite; /* until it is answered */
    struct sdp *offer;      /* of the INVITE; NULL: none */
    char from_user[USER_MAX], from_name[NAME_MAX_BYTES], dialled[USER_MAX], host[USER_MAX];
    struct unacked unacked;

    /* outgoing */
    struct branch_list branches;
    struct branch *early; /* whose early media is heard */
    bool rang;
    struct call_cause best;
    int best_score;

    /* session */
    struct sip_local_audio local;
    struct sip_audio audio;
    bool has_audio;
    struct sdp_origin origin;
    char sdp[SDP_TEXT_MAX]; /* the last one that we sent */

    /* our re-INVITE */
    nta_outgoing_t *reinvite;
    bool reinvite_open;  /* no final response yet */
    bool update_waiting; /* `wanted` is to be sent as soon as it may */
    struct sip_local_audio wanted;

    uv_timer_t timer;  /* ring time, then lingering */
    uv_timer_t resend; /* of the 200 */
    uv_timer_t alive;  /* outgoing: by then contacts must have given a sign of life */
    uv_timer_t retry;  /* of a re-INVITE that met another one */
    int open_timers;
};

/* ---- call.c: life ---- */
struct sip_call *call_new(struct sip *sip, bool incoming, enum call_state state);
void sip_call_set_state(struct sip_call *call, enum call_state state, const char *why);
/* The gateway has no part in it any more: no event will come. */
void sip_call_let_go(struct sip_call *call);
/* Sends BYE (cause NULL: none is told) if there is a dialog. */
void call_bye(struct sip_call *call, const struct call_cause *cause);
/* The far end is gone: tells the gateway once; the call is finished when it has heard. */
void call_report_end(struct sip_call *call, const struct call_cause *cause);
/* Frees it when nothing is left to wait for. */
void call_settle(struct sip_call *call);
void sip_call_finish(struct sip_call *call);
/* We shut down: says goodbye without waiting for answers. */
void sip_call_close(struct sip_call *call, const struct call_cause *cause);
const char *call_log_id(const struct sip_call *call);

/* ---- call_offer.c: descriptions ---- */
/* Reads the SDP of a message into *sdp (malloc'ed; NULL when the message has none). 0, -EINVAL or
 * -E2BIG when it is malformed, -EPROTONOSUPPORT for another content type. */
int call_sdp_read(const sip_t *in, struct sdp **sdp);
/* Write what we say next into call->sdp, with a new version when it changed. */
int call_offer_write(struct sip_call *call, const struct sip_local_audio *local);
/* Answers `offer` from `local`; sets call->audio. -ENOTSUP. */
int call_answer_write(struct sip_call *call, const struct sdp *offer,
                      const struct sip_local_audio *local);
/* Takes the answer to our offer of `local`; sets call->audio and call->local. */
int call_answer_take(struct sip_call *call, const struct sdp *answer,
                     const struct sip_local_audio *local);
void call_media_post(struct sip_call *call);

/* ---- call_answer.c: 2xx of ours ---- */
void call_answer_send(struct sip_call *call, nta_incoming_t *invite, uint32_t cseq, bool offered);
void call_answer_acked(struct sip_call *call, const sip_t *ack);
void call_answer_stop(struct sip_call *call);

/* ---- call_in.c ---- */
void call_in_announce(struct sip_call *call);

/* ---- call_dialog.c: requests of the far end inside the dialog ---- */
int call_dialog_request(nta_leg_magic_t *magic, nta_leg_t *leg, nta_incoming_t *irq,
                        const sip_t *in);
void call_refuse(nta_incoming_t *irq, const struct call_cause *cause);

/* ---- call_out.c ---- */
/* The INVITEs are out: starts the ring time. */
void call_out_begin(struct sip_call *call);
/* What a branch is answered; `magic` is the branch. */
int call_out_response(nta_outgoing_magic_t *magic, nta_outgoing_t *orq, const sip_t *in);
void call_out_cancel(struct sip_call *call, const struct call_cause *cause);
void call_out_release(struct sip_call *call);
bool call_out_is_open(const struct sip_call *call);

/* ---- call_update.c ---- */
/* Sends the waiting re-INVITE if it may go now. */
void call_update_next(struct sip_call *call);

#endif
