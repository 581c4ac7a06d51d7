/* media/file.h: the WAV files of a FILE leg, by libsndfile. Opened on the control thread, used and
 * closed on a worker. */
#ifndef MEDIA_FILE_H
#define MEDIA_FILE_H

#include <stdint.h>

#define FILE_RECORD_HZ 16000
/* The longest piece that is read at once. */
#define FILE_STEP_MS 20

struct file;

/* Either path may be NULL. -ENOENT when one cannot be opened, -EINVAL when it is no sound. */
int file_open(const char *play, const char *record, struct file **file);
/* Finishes the recording. */
void file_close(struct file *file);

/* Reads the next FILE_STEP_MS as mono at `rate` (8000 or 16000). Returns the samples written to
 * `pcm`, at most rate * 2 * FILE_STEP_MS / 1000 + 8; 0: the end (or nothing to play). */
int file_read(struct file *file, int rate, int16_t *pcm);
/* Appends to the recording, if there is one. NULL: silence. */
void file_write(struct file *file, const int16_t *pcm, int samples);

#endif
