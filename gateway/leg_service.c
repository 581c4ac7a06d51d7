/* What answers by itself: the echo test and the native client's WAV files. */
#include "gateway/leg.h"

#include "gateway/call.h"

#include <stdio.h>

static int agree(struct leg *leg, enum codec like)
{
    (void)like;
    leg->has_media = true;
    return 0;
}

static const struct leg_ops echo_ops = {.kind = "echo", .answer = agree};
static const struct leg_ops file_ops = {.kind = "files", .answer = agree};

static void start(struct leg *leg, const struct leg_ops *ops, enum media_leg_kind kind)
{
    leg->ops = ops;
    leg->willing = leg->wanted = MEDIA_SENDRECV;
    leg->media = (struct media_leg){.kind = kind, .direction = MEDIA_SENDRECV};
    snprintf(leg->name, sizeof leg->name, "%s", ops->kind);
}

void leg_echo_start(struct leg *leg)
{
    start(leg, &echo_ops, MEDIA_LEG_ECHO);
    leg->has_media = true;
}

void leg_file_start(struct leg *leg, const char *play, const char *record)
{
    start(leg, &file_ops, MEDIA_LEG_FILE);
    leg->media.play = play;
    leg->media.record = record;
    leg->has_media = true;
}
