/* The native client: plays a WAV file to the other leg and records what it hears, both from the
 * moment on when there is somebody to send to. The recording keeps real time: what does not come
 * is silence. */
#include "media/file.h"
#include "media/leg.h"
#include "media/resample.h"

#include <errno.h>
#include <stdlib.h>

/* Steps made up for in one go when the loop was held up. */
#define CATCH_UP 10
/* The recording may lag the clock by the jitter of the path before silence is put in. */
#define LAG_MAX_SAMPLES (FILE_RECORD_HZ / 5)

struct file_state {
    struct leg *leg;
    struct file *file;
    uv_timer_t timer;
    uint64_t begun_us; /* 0: not yet */
    uint64_t steps;    /* played */
    bool played;       /* to the end */
    bool plays;
    bool aligns;         /* the next sound begins a stream: put it where the clock is */
    struct resample *up; /* 8 to 16 kHz for the recording */
    int64_t written;     /* samples recorded */
};

/* ---- playing --------------------------------------------------------------------------------- */

static void tell_played(struct leg *leg)
{
    const struct inbox_item item = {.tag = INBOX_PLAYED, .side = leg->side, .object = leg->bridge};
    worker_tell(leg->worker, &item);
}

/* After the file, and without one, silence is sent: to the far end we are there. */
static void play_step(struct file_state *state, struct leg *target, uint64_t now_us)
{
    int16_t pcm[FILE_RECORD_HZ / 1000 * FILE_STEP_MS * 2 + 8] = {0};
    int rate = codec_common_rate(target->set.codec, CODEC_OPUS);
    int samples = 0;
    if (state->plays && !state->played) {
        samples = file_read(state->file, rate, pcm);
        if (samples == 0) {
            state->played = true;
            tell_played(state->leg);
        }
    }
    if (samples == 0)
        samples = rate / 1000 * FILE_STEP_MS;
    if (leg_can_send(target) && encode_prepare(target, rate) == 0)
        encode_audio(target->encode, pcm, samples, now_us);
}

/* ---- recording ------------------------------------------------------------------------------- */

static int64_t due(const struct file_state *state, uint64_t now_us)
{
    return (int64_t)(now_us - state->begun_us) * (FILE_RECORD_HZ / 1000) / 1000;
}

static void append(struct file_state *state, const int16_t *pcm, int64_t samples)
{
    if (samples <= 0)
        return;
    file_write(state->file, pcm, (int)samples);
    state->written += samples;
}

/* Puts in the silence that the clock says is missing in front of `coming` samples. Returns by how
 * much the recording lags then; negative: it is ahead. */
static int64_t keep_time(struct file_state *state, int64_t coming, uint64_t now_us)
{
    int64_t lag = due(state, now_us) - coming - state->written;
    if (lag <= LAG_MAX_SAMPLES && !(state->aligns && lag > 0))
        return lag;
    append(state, NULL, lag);
    return 0;
}

static void sink_audio(void *ctx, const int16_t *pcm, int samples, uint64_t now_us)
{
    struct leg *leg = ctx;
    struct file_state *state = leg->state;
    int16_t up[CODEC_SAMPLES_MAX];
    if (!state->begun_us || !(leg->set.direction & MEDIA_SENDONLY))
        return;
    /* Only G.711 comes at 8 kHz: the rate is that of the leg that was heard. */
    const struct leg *from = leg->target;
    if (from && from->decode && from->decode->rate == 8000) {
        if (samples > CODEC_SAMPLES_MAX / 2 - 2)
            return;
        if (!state->up)
            state->up = resample_new(8000, FILE_RECORD_HZ);
        if (!state->up)
            return;
        samples = resample_run(state->up, pcm, samples, up, CODEC_SAMPLES_MAX);
        pcm = up;
    }
    /* What was held up so long that silence already stands in its place would only shift what
     * follows. */
    if (keep_time(state, samples, now_us) > -LAG_MAX_SAMPLES)
        append(state, pcm, samples);
    state->aligns = false;
}

static void sink_gap(void *ctx, int samples, uint64_t now_us)
{
    struct leg *leg = ctx;
    struct file_state *state = leg->state;
    if (!state->begun_us || !leg->target || !leg->target->decode)
        return;
    int64_t pause = (int64_t)samples * FILE_RECORD_HZ / leg->target->decode->rate;
    int64_t lag = due(state, now_us) - state->written;
    append(state, NULL, pause < lag ? pause : lag);
}

static void sink_restart(void *ctx)
{
    ((struct file_state *)((struct leg *)ctx)->state)->aligns = true;
}

static const struct decode_sink sink = {
    .audio = sink_audio,
    .gap = sink_gap,
    .restart = sink_restart,
};

/* ---- life ------------------------------------------------------------------------------------ */

static void on_timer(uv_timer_t *timer)
{
    struct file_state *state = timer->data;
    struct leg *target = state->leg->target;
    uint64_t now = now_us();
    if (!target)
        return;
    if (!state->begun_us) {
        if (!leg_can_send(target))
            return;
        state->begun_us = now;
    }
    uint64_t steps = (now - state->begun_us) / (FILE_STEP_MS * 1000) + 1;
    if (steps > state->steps + CATCH_UP)
        state->steps = steps - CATCH_UP; /* time that was lost stays lost */
    while (state->steps < steps) {
        state->steps++;
        if (leg_hears(state->leg))
            play_step(state, target, now);
    }
    if (!state->aligns)
        keep_time(state, LAG_MAX_SAMPLES, now);
}

static void release(struct file_state *state)
{
    if (state->begun_us)
        append(state, NULL, due(state, now_us()) - state->written);
    file_close(state->file);
    resample_free(state->up);
    state->file = NULL;
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void close_file(struct leg *leg)
{
    struct file_state *state = leg->state;
    if (!state)
        return;
    release(state);
    uv_close((uv_handle_t *)&state->timer, on_timer_closed);
}

static int set(struct leg *leg, struct bridge_change *change, uint64_t now_us)
{
    (void)now_us;
    close_file(leg); /* other files than before */
    struct file_state *state = leg->state = calloc(1, sizeof *state);
    if (!state) {
        file_close(change->file);
        return -ENOMEM;
    }
    state->leg = leg;
    state->file = change->file;
    state->plays = change->leg.play != NULL;
    uv_timer_init(&leg->worker->loop, &state->timer);
    state->timer.data = state;
    return uv_timer_start(&state->timer, on_timer, 0, FILE_STEP_MS);
}

const struct leg_ops media_file_ops = {
    .set = set,
    .sink = &sink,
    .close = close_file,
};
