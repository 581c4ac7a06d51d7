/* conf/duration.h: durations as written in settings: a whole number and its unit.
 *
 * Private to conf/ and its tests. No state.
 */
#ifndef CONF_DURATION_H
#define CONF_DURATION_H

#define DURATION_TEXT_MAX 16

/* Reads "30s", "5m", "1h" or "7d" into seconds. -EINVAL: no number at the start, -EDOM: a number
 * without unit, -ENOTSUP: another unit, -ERANGE: more than a year. */
int duration_parse(const char *text, int *seconds);

/* Writes the largest unit that gives a whole number ("90s", "2m", "1h") into `text`
 * (DURATION_TEXT_MAX bytes) and returns it. */
const char *duration_format(int seconds, char *text);

#endif
