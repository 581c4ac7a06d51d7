/* netemu: a bad line. A wire between two network namespaces that delays, loses, doubles, reorders
 * and throttles what it carries; for kernels without sch_netem.
 *
 *   netemu NAMESPACE_A INTERFACE_A NAMESPACE_B INTERFACE_B FILE
 *
 * Makes a TAP device in each namespace, prints "ready", and carries frames between them until
 * SIGTERM. FILE says how, one line for each direction, and is read again whenever it changes:
 *
 *   ab|ba|both KEY=VALUE …
 *     delay, jitter   milliseconds; jitter is the standard deviation
 *     loss, double, reorder   percent of frames
 *     burst_start, burst_end  percent: chance per frame to enter or leave a state in which all is
 *                     lost (Gilbert's model)
 *     rate, queue     kbit/s (0: no limit) and frames that wait before more are dropped
 *
 * Jitter alone does not reorder: most real lines keep order. ARP passes unharmed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <math.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FRAME_MAX 2048
#define WAITING_MAX 8192 /* frames on the wire in one direction */
#define LOOK_MS 100      /* how often FILE is looked at */

struct settings {
    double delay, jitter, loss, twice, reorder, burst_start, burst_end, rate, queue;
};

static const struct key {
    const char *name;
    size_t offset;
} keys[] = {
    {"delay", offsetof(struct settings, delay)},
    {"jitter", offsetof(struct settings, jitter)},
    {"loss", offsetof(struct settings, loss)},
    {"double", offsetof(struct settings, twice)},
    {"reorder", offsetof(struct settings, reorder)},
    {"burst_start", offsetof(struct settings, burst_start)},
    {"burst_end", offsetof(struct settings, burst_end)},
    {"rate", offsetof(struct settings, rate)},
    {"queue", offsetof(struct settings, queue)},
};

struct frame {
    double due_ms;
    int bytes;
    uint8_t data[FRAME_MAX];
};

/* One direction. Waiting frames are kept sorted by when they are due, soonest first. */
struct direction {
    struct settings settings;
    int in, out;
    struct frame *waiting[WAITING_MAX];
    int count;
    double line_free_ms, last_due_ms;
    bool in_burst;
    unsigned long carried, lost;
};

static struct direction directions[2];
static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

static void die(const char *what)
{
    fprintf(stderr, "netemu: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

static bool happens(double percent)
{
    return percent > 0 && drand48() * 100 < percent;
}

/* Normal enough: the sum of twelve uniform numbers. */
static double normal(void)
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += drand48();
    return sum;
}

/* ---- devices --------------------------------------------------------------------------------- */

static void enter(const char *namespace)
{
    char path[256];
    snprintf(path, sizeof path, "/run/netns/%s", namespace);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET) != 0)
        die(path);
    close(fd);
}

/* A TAP device in the namespace we are in, up, with a queue long enough to never be the limit. */
static int tap_open(const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    int tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (tap < 0 || ioctl(tap, TUNSETIFF, &request) != 0)
        die("/dev/net/tun");
    int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    request.ifr_qlen = WAITING_MAX;
    if (control < 0 || ioctl(control, SIOCSIFTXQLEN, &request) != 0)
        die(name);
    request.ifr_flags = IFF_UP;
    if (ioctl(control, SIOCSIFFLAGS, &request) != 0)
        die(name);
    close(control);
    return tap;
}

/* ---- the wire -------------------------------------------------------------------------------- */

static void put(struct direction *to, double due_ms, const uint8_t *data, int bytes)
{
    struct frame *frame = to->count < WAITING_MAX ? malloc(sizeof *frame) : NULL;
    if (!frame) {
        to->lost++;
        return;
    }
    frame->due_ms = due_ms;
    frame->bytes = bytes;
    memcpy(frame->data, data, (size_t)bytes);
    int at = to->count++;
    for (; at > 0 && to->waiting[at - 1]->due_ms > due_ms; at--)
        to->waiting[at] = to->waiting[at - 1];
    to->waiting[at] = frame;
}

static bool is_arp(const uint8_t *data, int bytes)
{
    return bytes > 14 && data[12] == 0x08 && data[13] == 0x06;
}

static bool is_lost(struct direction *through)
{
    const struct settings *settings = &through->settings;
    if (happens(through->in_burst ? settings->burst_end : settings->burst_start))
        through->in_burst = !through->in_burst;
    return through->in_burst || happens(settings->loss);
}

static void carry(struct direction *through, const uint8_t *data, int bytes)
{
    const struct settings *settings = &through->settings;
    double now = now_ms(), due = now;
    if (is_arp(data, bytes)) {
        put(through, now, data, bytes);
        return;
    }
    if (is_lost(through) || (settings->rate > 0 && through->count >= settings->queue)) {
        through->lost++;
        return;
    }
    if (!happens(settings->reorder)) {
        due += fmax(0, settings->delay + normal() * settings->jitter);
        due = fmax(due, through->last_due_ms);
        through->last_due_ms = due;
    }
    if (settings->rate > 0) {
        through->line_free_ms = fmax(now, through->line_free_ms) + bytes * 8 / settings->rate;
        due += through->line_free_ms - now;
    }
    put(through, due, data, bytes);
    if (happens(settings->twice))
        put(through, due, data, bytes);
}

static void deliver(struct direction *from, double now)
{
    int done = 0;
    for (; done < from->count && from->waiting[done]->due_ms <= now; done++) {
        struct frame *frame = from->waiting[done];
        if (write(from->out, frame->data, (size_t)frame->bytes) == frame->bytes)
            from->carried++;
        free(frame);
    }
    from->count -= done;
    memmove(from->waiting, from->waiting + done, (size_t)from->count * sizeof from->waiting[0]);
}

static void take_in(struct direction *from)
{
    uint8_t data[FRAME_MAX];
    for (int i = 0; i < 64; i++) {
        ssize_t bytes = read(from->in, data, sizeof data);
        if (bytes <= 0)
            return;
        carry(from, data, (int)bytes);
    }
}

/* ---- settings -------------------------------------------------------------------------------- */

static void apply_word(struct settings *settings, const char *word)
{
    const char *equals = strchr(word, '=');
    for (size_t i = 0; equals && i < sizeof keys / sizeof *keys; i++) {
        if (strlen(keys[i].name) == (size_t)(equals - word) &&
            !strncmp(word, keys[i].name, (size_t)(equals - word))) {
            *(double *)((char *)settings + keys[i].offset) = atof(equals + 1);
            return;
        }
    }
    fprintf(stderr, "netemu: what is '%s'?\n", word);
}

static void settings_read(const char *path)
{
    FILE *file = fopen(path, "r");
    if (!file)
        die(path);
    struct settings fresh[2] = {{.queue = 1000}, {.queue = 1000}};
    char line[512], *rest;
    while (fgets(line, sizeof line, file)) {
        const char *which = strtok_r(line, " \t\n", &rest), *word;
        while (which && (word = strtok_r(NULL, " \t\n", &rest))) {
            if (strcmp(which, "ba") != 0)
                apply_word(&fresh[0], word);
            if (strcmp(which, "ab") != 0)
                apply_word(&fresh[1], word);
        }
    }
    fclose(file);
    for (int i = 0; i < 2; i++)
        directions[i].settings = fresh[i];
}

/* Reads the file again when it has changed since the last look. */
static void settings_look(const char *path)
{
    static struct timespec seen;
    struct stat info;
    if (stat(path, &info) != 0 ||
        (info.st_mtim.tv_sec == seen.tv_sec && info.st_mtim.tv_nsec == seen.tv_nsec))
        return;
    seen = info.st_mtim;
    settings_read(path);
}

/* ---- main ------------------------------------------------------------------------------------ */

/* Sleeps until a frame comes in or is due; the answer is in the two descriptors. */
static void wait_for_work(double look_ms)
{
    double until = look_ms;
    for (int i = 0; i < 2; i++) {
        if (directions[i].count)
            until = fmin(until, directions[i].waiting[0]->due_ms);
    }
    double wait = fmax(0, until - now_ms());
    struct timespec time = {(time_t)(wait / 1e3), (long)(fmod(wait, 1e3) * 1e6)};
    struct pollfd polls[2] = {{directions[0].in, POLLIN, 0}, {directions[1].in, POLLIN, 0}};
    ppoll(polls, 2, &time, NULL);
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: netemu NAMESPACE_A INTERFACE_A NAMESPACE_B INTERFACE_B FILE\n");
        return 2;
    }
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    srand48(1); /* the same line twice behaves the same */
    enter(argv[1]);
    int a = tap_open(argv[2]);
    enter(argv[3]);
    int b = tap_open(argv[4]);
    directions[0].in = directions[1].out = a;
    directions[0].out = directions[1].in = b;
    settings_look(argv[5]);
    printf("ready\n");
    fflush(stdout);
    double look_ms = now_ms() + LOOK_MS;
    while (!stopped) {
        wait_for_work(look_ms);
        for (int i = 0; i < 2; i++) {
            take_in(&directions[i]);
            deliver(&directions[i], now_ms());
        }
        if (now_ms() >= look_ms) {
            settings_look(argv[5]);
            look_ms = now_ms() + LOOK_MS;
        }
    }
    for (int i = 0; i < 2; i++)
        fprintf(stderr, "%s: %lu frames carried, %lu lost\n", i ? "ba" : "ab",
                directions[i].carried, directions[i].lost);
    return 0;
}
