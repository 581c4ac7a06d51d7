/* media/srtp.h: SRTP and SRTCP between nodes: AEAD_AES_128_GCM (RFC 7714) by libsrtp, one key and
 * one SSRC each way. Worker thread, except srtp_start. */
#ifndef MEDIA_SRTP_H
#define MEDIA_SRTP_H

#include "media/media.h"

/* What protecting may add to a packet: the tag, and for SRTCP the index. */
#define SRTP_TRAILER_MAX 64

struct srtp_link;

/* Makes the library ready; may be called again. */
int srtp_start(void);
/* 0 or negative errno. */
int srtp_link_new(const struct media_leg *leg, struct srtp_link **link);
void srtp_link_free(struct srtp_link *link);

/* Both work in place; *bytes is updated. Protecting needs SRTP_TRAILER_MAX bytes of room behind.
 * -EEXIST: this number has been sent. */
int srtp_link_protect(struct srtp_link *link, bool rtcp, uint8_t *packet, size_t *bytes);
/* -EEXIST: seen before. -ETIME: too old to tell. -EBADMSG: forged or malformed. */
int srtp_link_unprotect(struct srtp_link *link, bool rtcp, uint8_t *packet, size_t *bytes);

#endif
