/* gateway/call_internal.h: what call.c and call_media.c share. */
#ifndef GATEWAY_CALL_INTERNAL_H
#define GATEWAY_CALL_INTERNAL_H

#include "gateway/gateway.h"

static inline struct leg *call_other_leg(struct leg *leg)
{
    return &leg->call->legs[leg->side == MEDIA_A ? MEDIA_B : MEDIA_A];
}

/* Opens the bridge as soon as its worker is known, and gives it the legs that have media. */
void call_media_apply(struct call *call);
/* Tells the other leg what became of hold on this one. */
void call_media_mirror(struct leg *leg);
/* Stops the media step by step; call_media_stopped (call.c) follows, maybe at once. */
void call_media_stop(struct call *call);
void call_media_stopped(struct call *call);

#endif
