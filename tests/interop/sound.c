/* sound: makes test tones and judges recordings, so that tests can listen.
 *
 *   sound tone FREQ SECONDS RATE OUT.wav [AMPLITUDE]   16-bit mono sine, amplitude 0..1 (0.25)
 *   sound measure FILE.wav FREQ                        what of that tone is in the file
 *   sound compare SENT.wav HEARD.wav                   how much of the sent speech was heard
 *
 * Figures are printed as one line of key=value pairs. Levels are in dB of a full-scale sine.
 *
 * measure fits a sine of FREQ to windows of 20 ms, one every 5 ms. A window holds the tone when
 * the sine has at least half of the file's usual amplitude and most of the window's power. A gap is
 * 10 ms or more without it between the first and the last such window; with half of the amplitude
 * as the limit the time between two windows on either side of a gap is the gap's own length.
 *
 * compare brings both files to 8 kHz, the band that every codec carries, finds the delay from their
 * envelopes and then judges each 20 ms frame of speech by its level and the shape of its spectrum,
 * aligned anew every half second: playout buffers may stretch time a little, codecs change phases.
 */
#include <errno.h>
#include <math.h>
#include <sndfile.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sound {
    double *samples; /* mono, -1..1 */
    int count;
    int rate;
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "sound: %s: %s\n", what, why);
    exit(2);
}

static void *allocate(size_t count, size_t bytes)
{
    void *memory = calloc(count ? count : 1, bytes);
    if (!memory)
        die("memory", strerror(errno));
    return memory;
}

static double to_db(double power)
{
    return power > 1e-12 ? 10 * log10(power) : -120;
}

/* Reads a file, mixed down to one channel. Caller frees samples. */
static struct sound sound_read(const char *path)
{
    SF_INFO info = {0};
    SNDFILE *file = sf_open(path, SFM_READ, &info);
    if (!file)
        die(path, sf_strerror(NULL));
    struct sound sound = {.count = (int)info.frames, .rate = info.samplerate};
    sound.samples = allocate((size_t)sound.count, sizeof(double));
    double *frame = allocate((size_t)info.channels, sizeof(double));
    for (int i = 0; i < sound.count && sf_readf_double(file, frame, 1) == 1; i++) {
        for (int c = 0; c < info.channels; c++)
            sound.samples[i] += frame[c] / info.channels;
    }
    free(frame);
    sf_close(file);
    return sound;
}

/* ---- tone ------------------------------------------------------------------------------------ */

static int tone(double freq, double seconds, int rate, const char *path, double amplitude)
{
    SF_INFO info = {.samplerate = rate, .channels = 1, .format = SF_FORMAT_WAV | SF_FORMAT_PCM_16};
    SNDFILE *file = sf_open(path, SFM_WRITE, &info);
    if (!file)
        die(path, sf_strerror(NULL));
    int count = (int)lround(seconds * rate);
    double *samples = allocate((size_t)count, sizeof(double));
    for (int i = 0; i < count; i++)
        samples[i] = amplitude * sin(2 * M_PI * freq * i / rate);
    sf_writef_double(file, samples, count);
    sf_close(file);
    free(samples);
    return 0;
}

/* ---- measure --------------------------------------------------------------------------------- */

#define WINDOW_MS 20
#define HOP_MS 5
#define GAP_MIN_MS 10
#define SILENCE_POWER 1e-6 /* -60 dBFS: less than that is no tone */

struct fit {
    double tone;  /* mean power of the sine, 1 for a full-scale one */
    double noise; /* mean power of the rest */
};

/* Least squares fit of a sine of unknown phase and amplitude. */
static struct fit sine_fit(const double *x, int count, double freq, int rate)
{
    double ss = 0, cc = 0, sc = 0, xs = 0, xc = 0, xx = 0;
    for (int i = 0; i < count; i++) {
        double s = sin(2 * M_PI * freq * i / rate), c = cos(2 * M_PI * freq * i / rate);
        ss += s * s, cc += c * c, sc += s * c;
        xs += x[i] * s, xc += x[i] * c, xx += x[i] * x[i];
    }
    double det = ss * cc - sc * sc;
    if (det < 1e-9)
        return (struct fit){0, 2 * xx / count};
    double a = (xs * cc - xc * sc) / det, b = (xc * ss - xs * sc) / det;
    double explained = a * xs + b * xc;
    return (struct fit){a * a + b * b, 2 * fmax(xx - explained, 0) / count};
}

/* Where the loudest second starts; -1 when all is silence. */
static int loudest_second(const struct sound *sound, int length)
{
    int start = -1;
    double loudest = SILENCE_POWER * length;
    for (int at = 0; at + length <= sound->count; at += sound->rate / 10) {
        double power = 0;
        for (int i = at; i < at + length; i++)
            power += sound->samples[i] * sound->samples[i];
        if (power > loudest)
            loudest = power, start = at;
    }
    return start;
}

/* Power at one frequency (Goertzel), scaled anyhow. */
static double power_at(const double *x, int count, double freq, int rate)
{
    double k = 2 * cos(2 * M_PI * freq / rate), s1 = 0, s2 = 0;
    for (int i = 0; i < count; i++) {
        double s = x[i] + k * s1 - s2;
        s2 = s1, s1 = s;
    }
    return s1 * s1 + s2 * s2 - k * s1 * s2;
}

/* The strongest frequency of the loudest second: steps of 5 Hz first, then finer around the best.
 * It is looked at in fifths under a Hann window, which makes a peak wide enough for these steps. */
static double dominant_frequency(const struct sound *sound)
{
    int length = sound->rate < sound->count ? sound->rate : sound->count, part = length / 5;
    int start = loudest_second(sound, length);
    if (start < 0)
        return 0;
    double *x = allocate((size_t)length, sizeof(double));
    for (int i = 0; i < part * 5; i++)
        x[i] = sound->samples[start + i] * (0.5 - 0.5 * cos(2 * M_PI * (i % part) / part));
    double best = 0, from = 50, to = fmin(sound->rate / 2.0 - 50, 7500), step = 5;
    for (int pass = 0; pass < 3; pass++) {
        double strongest = -1;
        for (double f = from; f <= to; f += step) {
            double power = 0;
            for (int p = 0; p < 5; p++)
                power += power_at(x + p * part, part, f, sound->rate);
            if (power > strongest)
                strongest = power, best = f;
        }
        from = best - step, to = best + step, step /= 5;
    }
    free(x);
    return best;
}

static int compare_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double *values, int count)
{
    if (count == 0)
        return 0;
    double *sorted = allocate((size_t)count, sizeof(double));
    memcpy(sorted, values, (size_t)count * sizeof(double));
    qsort(sorted, (size_t)count, sizeof(double), compare_double);
    double middle = sorted[count / 2];
    free(sorted);
    return middle;
}

struct gaps {
    int first, last; /* windows with the tone; first -1: none */
    int count;
    int longest; /* windows */
    int missing; /* windows in all between first and last */
};

static struct gaps gaps_find(const bool *present, int count)
{
    struct gaps gaps = {.first = -1, .last = -1};
    for (int i = 0; i < count; i++) {
        if (!present[i])
            continue;
        int missing = gaps.first < 0 ? 0 : i - gaps.last - 1;
        if (gaps.first < 0)
            gaps.first = i;
        if (missing * HOP_MS >= GAP_MIN_MS)
            gaps.count++;
        gaps.longest = missing > gaps.longest ? missing : gaps.longest;
        gaps.missing += missing;
        gaps.last = i;
    }
    return gaps;
}

static int measure(const char *path, double freq)
{
    struct sound sound = sound_read(path);
    int window = sound.rate * WINDOW_MS / 1000, hop = sound.rate * HOP_MS / 1000;
    int count = sound.count >= window ? (sound.count - window) / hop + 1 : 0;
    struct fit *fits = allocate((size_t)count, sizeof(*fits));
    double *clear = allocate((size_t)count, sizeof(double)); /* tone power where the tone rules */
    int clears = 0;
    for (int i = 0; i < count; i++) {
        fits[i] = sine_fit(sound.samples + i * hop, window, freq, sound.rate);
        if (fits[i].tone > SILENCE_POWER && fits[i].tone > fits[i].noise)
            clear[clears++] = fits[i].tone;
    }
    double usual = median(clear, clears), tone_power = 0, noise_power = 0;
    bool *present = allocate((size_t)count, sizeof(bool));
    for (int i = 0; i < count && clears; i++)
        present[i] = fits[i].tone >= usual / 4 && fits[i].tone > fits[i].noise;
    struct gaps gaps = gaps_find(present, count);
    for (int i = 0; i < count; i++) {
        if (present[i])
            tone_power += fits[i].tone, noise_power += fits[i].noise;
    }
    bool heard = gaps.first >= 0;
    /* The tone starts and ends in the middle of a window that holds half of it. */
    int start_ms = heard && gaps.first ? gaps.first * HOP_MS + WINDOW_MS / 2 : 0;
    int end_ms = gaps.last * HOP_MS + (gaps.last == count - 1 ? WINDOW_MS : WINDOW_MS / 2);
    int length_ms = heard ? end_ms - start_ms : 0;
    printf("freq=%.1f level_dbfs=%.1f snr_db=%.1f start_ms=%d length_ms=%d heard_ms=%d gaps=%d "
           "longest_gap_ms=%d\n",
           dominant_frequency(&sound), to_db(usual),
           to_db(tone_power) - to_db(fmax(noise_power, tone_power * 1e-9)), heard ? start_ms : -1,
           length_ms, length_ms - gaps.missing * HOP_MS, gaps.count, gaps.longest * HOP_MS);
    free(fits), free(clear), free(present), free(sound.samples);
    return 0;
}

/* ---- compare --------------------------------------------------------------------------------- */

#define SPEECH_RATE 8000
#define FRAME 160        /* 20 ms */
#define STEP 80          /* of the envelope: 10 ms */
#define SEGMENT 25       /* frames that are aligned together: 500 ms */
#define DRIFT 400        /* samples that playout may have moved a segment by: 50 ms */
#define BANDS 14         /* of 250 Hz, from 250 Hz up to 3750 */
#define NOT_SPEECH_DB 30 /* frames so far below the loud ones are pauses */
#define ALIKE 0.5        /* correlation of two log spectra of the same sound */
#define TOO_QUIET_DB 12  /* below what the rest of the file makes expect */

/* Windowed sinc interpolation to 8 kHz; the filter also keeps what would alias out. */
static struct sound to_speech_rate(struct sound in)
{
    struct sound out = {.rate = SPEECH_RATE};
    out.count = (int)((double)in.count * SPEECH_RATE / in.rate);
    out.samples = allocate((size_t)out.count, sizeof(double));
    double ratio = (double)in.rate / SPEECH_RATE, cutoff = 0.95 / fmax(ratio, 1);
    int half = (int)ceil(16 * fmax(ratio, 1));
    for (int i = 0; i < out.count; i++) {
        double centre = i * ratio, sum = 0;
        for (int k = (int)centre - half + 1; k <= (int)centre + half; k++) {
            double t = k - centre, x = M_PI * t * cutoff;
            if (k < 0 || k >= in.count || fabs(t) >= half)
                continue;
            double sinc = fabs(x) < 1e-9 ? 1 : sin(x) / x;
            sum += in.samples[k] * sinc * (0.5 + 0.5 * cos(M_PI * t / half));
        }
        out.samples[i] = sum * cutoff;
    }
    free(in.samples);
    return out;
}

static double mean_power(const struct sound *sound, int from, int count)
{
    double power = 0;
    for (int i = from < 0 ? 0 : from; i < from + count && i < sound->count; i++)
        power += sound->samples[i] * sound->samples[i];
    return 2 * power / count;
}

/* Loudness in dB each 10 ms, above -60 dBFS, so that silence is 0. Caller frees. */
static double *envelope(const struct sound *sound, int *count)
{
    *count = sound->count / STEP;
    double *values = allocate((size_t)*count, sizeof(double));
    for (int i = 0; i < *count; i++)
        values[i] = fmax(to_db(mean_power(sound, i * STEP, STEP)) + 60, 0);
    return values;
}

static double mean(const double *values, int count)
{
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += values[i];
    return count ? sum / count : 0;
}

struct match {
    int lag;
    double correlation;
};

/* Pearson correlation of a[0..count) and b[lag..), b taken as 0 outside. */
static double correlate(const double *a, int count, const double *b, int b_count, int lag)
{
    double sa = 0, sb = 0, saa = 0, sbb = 0, sab = 0;
    for (int i = 0; i < count; i++) {
        double x = a[i], y = i + lag >= 0 && i + lag < b_count ? b[i + lag] : 0;
        sa += x, sb += y, saa += x * x, sbb += y * y, sab += x * y;
    }
    double va = saa - sa * sa / count, vb = sbb - sb * sb / count;
    return va > 1e-12 && vb > 1e-12 ? (sab - sa * sb / count) / sqrt(va * vb) : 0;
}

static struct match best_match(const double *a, int count, const struct sound *b, int from, int to)
{
    struct match best = {.lag = from, .correlation = -1};
    for (int lag = from; lag <= to; lag++) {
        double correlation = correlate(a, count, b->samples, b->count, lag);
        if (correlation > best.correlation)
            best = (struct match){lag, correlation};
    }
    return best;
}

/* How far into `heard` the start of `sent` lies; lag in envelope steps. The sum of products finds
 * it even when one half is missing; how well it fits there is said by the correlation. */
static struct match envelope_match(const struct sound *sent, const struct sound *heard)
{
    int a_count, b_count;
    double *a = envelope(sent, &a_count), *b = envelope(heard, &b_count);
    double a_mean = mean(a, a_count), b_mean = mean(b, b_count), best = -INFINITY;
    struct match match = {0};
    for (int lag = -a_count; lag <= b_count; lag++) {
        double sum = 0;
        for (int i = lag < 0 ? -lag : 0; i < a_count && i + lag < b_count; i++)
            sum += (a[i] - a_mean) * (b[i + lag] - b_mean);
        if (sum > best)
            best = sum, match.lag = lag;
    }
    match.correlation = correlate(a, a_count, b, b_count, match.lag);
    free(a), free(b);
    return match;
}

/* Log power in BANDS bands of one Hann-windowed frame. */
static void spectrum(const struct sound *sound, int from, double *bands)
{
    for (int band = 0; band < BANDS; band++) {
        double power = 0;
        for (int bin = 0; bin < 5; bin++) {
            double f = 250 + 250 * band + 50 * bin, re = 0, im = 0;
            for (int i = 0; i < FRAME; i++) {
                if (from + i < 0 || from + i >= sound->count)
                    continue;
                double x = sound->samples[from + i] * (0.5 - 0.5 * cos(2 * M_PI * i / FRAME));
                re += x * cos(2 * M_PI * f * i / SPEECH_RATE);
                im += x * sin(2 * M_PI * f * i / SPEECH_RATE);
            }
            power += re * re + im * im;
        }
        bands[band] = log10(power / (FRAME * FRAME) + 1e-9); /* noise of coding is not a shape */
    }
}

struct frame {
    bool speech;
    double spectral; /* likeness of the spectra */
    double gain_db;  /* of heard over sent */
};

/* Fills frames[from..to) of one segment, aligned for itself around `lag`. The waveform's
 * correlation at the best place is returned. */
static double segment_judge(const struct sound *sent, const struct sound *heard, int lag, int from,
                            int to, struct frame *frames)
{
    struct match match = best_match(sent->samples + from * FRAME, (to - from) * FRAME, heard,
                                    from * FRAME + lag - DRIFT, from * FRAME + lag + DRIFT);
    int shift = match.lag - from * FRAME;
    for (int i = from; i < to; i++) {
        double a[BANDS], b[BANDS];
        spectrum(sent, i * FRAME, a);
        spectrum(heard, i * FRAME + shift, b);
        frames[i].spectral = correlate(a, BANDS, b, BANDS, 0);
        frames[i].gain_db = to_db(mean_power(heard, i * FRAME + shift, FRAME)) -
                            to_db(mean_power(sent, i * FRAME, FRAME));
    }
    return match.correlation;
}

/* Marks the frames of speech; returns how many there are. */
static int speech_find(const struct sound *sent, struct frame *frames, int count)
{
    double loudest = 0;
    for (int i = 0; i < count; i++)
        loudest = fmax(loudest, mean_power(sent, i * FRAME, FRAME));
    int speech = 0;
    for (int i = 0; i < count; i++) {
        double level = to_db(mean_power(sent, i * FRAME, FRAME));
        frames[i].speech = level > -60 && level > to_db(loudest) - NOT_SPEECH_DB;
        speech += frames[i].speech;
    }
    return speech;
}

static void report(const struct frame *frames, int count, int speech)
{
    double *gains = allocate((size_t)count, sizeof(double)), spectral = 0;
    int n = 0, heard = 0, missing = 0, longest = 0;
    for (int i = 0; i < count; i++) {
        if (frames[i].speech && frames[i].spectral > ALIKE)
            gains[n++] = frames[i].gain_db;
    }
    double gain = n ? median(gains, n) : -120;
    for (int i = 0; i < count; i++) {
        if (!frames[i].speech)
            continue;
        spectral += frames[i].spectral;
        /* One odd frame is the codec's right; a run of them is a hole. */
        if (frames[i].spectral > ALIKE && frames[i].gain_db > gain - TOO_QUIET_DB)
            heard++, missing = 0;
        else
            missing++;
        longest = missing > longest ? missing : longest;
    }
    printf("spectral=%.3f completeness=%.1f longest_missing_ms=%d level_diff_db=%.1f\n",
           speech ? spectral / speech : 0, speech ? 100.0 * heard / speech : 0, longest * 20, gain);
    free(gains);
}

static int compare(const char *sent_path, const char *heard_path)
{
    struct sound sent = to_speech_rate(sound_read(sent_path));
    struct sound heard = to_speech_rate(sound_read(heard_path));
    int count = sent.count / FRAME;
    struct frame *frames = allocate((size_t)count, sizeof(*frames));
    int speech = speech_find(&sent, frames, count);
    struct match rough = envelope_match(&sent, &heard);
    struct match fine = best_match(sent.samples, sent.count, &heard, rough.lag * STEP - DRIFT,
                                   rough.lag * STEP + DRIFT);
    double waveform = 0;
    int weight = 0;
    for (int from = 0; from < count; from += SEGMENT) {
        int to = from + SEGMENT < count ? from + SEGMENT : count, active = 0;
        for (int i = from; i < to; i++)
            active += frames[i].speech;
        if (active)
            waveform += active * segment_judge(&sent, &heard, fine.lag, from, to, frames);
        weight += active;
    }
    printf("delay_ms=%.1f envelope=%.3f waveform=%.3f ", 1000.0 * fine.lag / SPEECH_RATE,
           rough.correlation, weight ? waveform / weight : 0);
    report(frames, count, speech);
    free(frames), free(sent.samples), free(heard.samples);
    return 0;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    if (!strcmp(verb, "tone") && (argc == 6 || argc == 7))
        return tone(atof(argv[2]), atof(argv[3]), atoi(argv[4]), argv[5],
                    argc == 7 ? atof(argv[6]) : 0.25);
    if (!strcmp(verb, "measure") && argc == 4)
        return measure(argv[2], atof(argv[3]));
    if (!strcmp(verb, "compare") && argc == 4)
        return compare(argv[2], argv[3]);
    fprintf(stderr, "usage: sound tone FREQ SECONDS RATE OUT.wav [AMPLITUDE]\n"
                    "       sound measure FILE.wav FREQ\n"
                    "       sound compare SENT.wav HEARD.wav\n");
    return 2;
}
