#include "media/file.h"

#include "media/resample.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sndfile.h>

#define CHANNELS_MAX 8
#define RATE_MIN 4000
#define RATE_MAX 192000

struct file {
    SNDFILE *play, *record;
    int play_hz, channels;
    int64_t steps;  /* read so far */
    int64_t frames; /* read so far */
    struct resample *resample;
    int resample_to;
    int16_t *raw, *mono; /* one step of the file being played */
};

static int open_play(struct file *file, const char *path)
{
    SF_INFO info = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -ENOENT;
    /* Read ahead, so that the worker does not wait for the disk. */
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED);
    file->play = sf_open_fd(fd, SFM_READ, &info, SF_TRUE);
    if (!file->play) {
        close(fd);
        return -EINVAL;
    }
    if (info.channels < 1 || info.channels > CHANNELS_MAX || info.samplerate < RATE_MIN ||
        info.samplerate > RATE_MAX)
        return -EINVAL;
    file->play_hz = info.samplerate;
    file->channels = info.channels;
    size_t step = (size_t)(info.samplerate / (1000 / FILE_STEP_MS) + 1);
    file->raw = calloc(step * (size_t)info.channels, sizeof *file->raw);
    file->mono = calloc(step, sizeof *file->mono);
    return file->raw && file->mono ? 0 : -ENOMEM;
}

static int open_record(struct file *file, const char *path)
{
    SF_INFO info = {
        .samplerate = FILE_RECORD_HZ, .channels = 1, .format = SF_FORMAT_WAV | SF_FORMAT_PCM_16};
    file->record = sf_open(path, SFM_WRITE, &info);
    return file->record ? 0 : -ENOENT;
}

int file_open(const char *play, const char *record, struct file **opened)
{
    struct file *file = calloc(1, sizeof *file);
    if (!file)
        return -ENOMEM;
    int error = play ? open_play(file, play) : 0;
    if (!error && record)
        error = open_record(file, record);
    if (error) {
        file_close(file);
        return error;
    }
    *opened = file;
    return 0;
}

void file_close(struct file *file)
{
    if (!file)
        return;
    if (file->play)
        sf_close(file->play);
    if (file->record)
        sf_close(file->record);
    resample_free(file->resample);
    free(file->raw);
    free(file->mono);
    free(file);
}

static int read_mono(struct file *file)
{
    /* The exact share of this step, for rates that 20 ms do not divide. */
    int64_t end = (file->steps + 1) * file->play_hz * FILE_STEP_MS / 1000;
    int count = (int)sf_readf_short(file->play, file->raw, end - file->frames);
    if (count <= 0)
        return 0;
    file->steps++;
    file->frames = end;
    for (int i = 0; i < count; i++) {
        int sum = 0;
        for (int channel = 0; channel < file->channels; channel++)
            sum += file->raw[i * file->channels + channel];
        file->mono[i] = (int16_t)(sum / file->channels);
    }
    return count;
}

int file_read(struct file *file, int rate, int16_t *pcm)
{
    if (!file->play)
        return 0;
    int count = read_mono(file);
    if (count == 0)
        return 0;
    if (rate == file->play_hz) {
        memcpy(pcm, file->mono, (size_t)count * sizeof *pcm);
        return count;
    }
    if (!file->resample || file->resample_to != rate) {
        resample_free(file->resample);
        file->resample = resample_new(file->play_hz, rate);
        file->resample_to = rate;
        if (!file->resample)
            return 0;
    }
    int most = rate * 2 * FILE_STEP_MS / 1000 + 8, made = 0;
    made = resample_run(file->resample, file->mono, count, pcm, most);
    /* The very first step may stay in the filter: that is not the end. */
    if (made == 0) {
        pcm[0] = 0;
        made = 1;
    }
    return made;
}

void file_write(struct file *file, const int16_t *pcm, int samples)
{
    static const int16_t silence[256];
    if (!file->record)
        return;
    while (samples > 0) {
        int count = pcm || samples < 256 ? samples : 256;
        sf_write_short(file->record, pcm ? pcm : silence, count);
        if (pcm)
            return;
        samples -= count;
    }
}
