#include "media/srtp.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <srtp2/srtp.h>

/* In packets: 10 s of voice at 20 ms. A path change may bring the same packets twice, late. */
#define REPLAY_WINDOW 512

struct srtp_link {
    srtp_t in, out;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static srtp_err_status_t started;

static void start(void)
{
    started = srtp_init();
}

int srtp_start(void)
{
    pthread_once(&once, start);
    return started == srtp_err_status_ok ? 0 : -EIO;
}

static int session_new(uint32_t ssrc, const uint8_t key[MEDIA_KEY_BYTES], srtp_t *session)
{
    unsigned char copy[MEDIA_KEY_BYTES];
    for (int i = 0; i < MEDIA_KEY_BYTES; i++)
        copy[i] = key[i];
    srtp_policy_t policy = {
        .ssrc = {.type = ssrc_specific, .value = ssrc},
        .key = copy,
        .window_size = REPLAY_WINDOW,
    };
    srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtp);
    srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtcp);
    srtp_err_status_t status = srtp_create(session, &policy);
    explicit_bzero(copy, sizeof copy);
    return status == srtp_err_status_ok ? 0 : status == srtp_err_status_alloc_fail ? -ENOMEM : -EIO;
}

int srtp_link_new(const struct media_leg *leg, struct srtp_link **link)
{
    struct srtp_link *made = calloc(1, sizeof *made);
    if (!made)
        return -ENOMEM;
    int error = session_new(leg->ssrc_in, leg->key_in, &made->in);
    if (!error)
        error = session_new(leg->ssrc_out, leg->key_out, &made->out);
    if (error) {
        srtp_link_free(made);
        return error;
    }
    *link = made;
    return 0;
}

void srtp_link_free(struct srtp_link *link)
{
    if (!link)
        return;
    if (link->in)
        srtp_dealloc(link->in);
    if (link->out)
        srtp_dealloc(link->out);
    free(link);
}

static int error_of(srtp_err_status_t status)
{
    switch (status) {
    case srtp_err_status_ok:
        return 0;
    case srtp_err_status_replay_fail:
        return -EEXIST;
    case srtp_err_status_replay_old:
        return -ETIME;
    default:
        return -EBADMSG;
    }
}

int srtp_link_protect(struct srtp_link *link, bool rtcp, uint8_t *packet, size_t *bytes)
{
    int length = (int)*bytes;
    srtp_err_status_t status = rtcp ? srtp_protect_rtcp(link->out, packet, &length)
                                    : srtp_protect(link->out, packet, &length);
    *bytes = (size_t)length;
    return error_of(status);
}

int srtp_link_unprotect(struct srtp_link *link, bool rtcp, uint8_t *packet, size_t *bytes)
{
    if (*bytes > UINT16_MAX)
        return -EBADMSG;
    int length = (int)*bytes;
    srtp_err_status_t status = rtcp ? srtp_unprotect_rtcp(link->in, packet, &length)
                                    : srtp_unprotect(link->in, packet, &length);
    *bytes = (size_t)length;
    return error_of(status);
}
