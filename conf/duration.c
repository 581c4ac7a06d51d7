#include "conf/duration.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define YEAR_S (366 * 86400)

static const struct {
    char unit;
    int seconds;
} units[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};

#define UNITS (sizeof units / sizeof units[0])

int duration_parse(const char *text, int *seconds)
{
    long number = 0;
    size_t digits = strspn(text, "0123456789");

    if (digits == 0)
        return -EINVAL;
    if (text[digits] == '\0')
        return -EDOM;
    for (size_t i = 0; i < UNITS; i++) {
        if (text[digits] != units[i].unit || text[digits + 1] != '\0')
            continue;
        if (digits > 9)
            return -ERANGE;
        number = strtol(text, NULL, 10);
        if (number > YEAR_S / units[i].seconds)
            return -ERANGE;
        *seconds = (int)number * units[i].seconds;
        return 0;
    }
    return -ENOTSUP;
}

const char *duration_format(int seconds, char *text)
{
    size_t unit = 0;

    while (unit < UNITS - 1 && (seconds == 0 || seconds % units[unit].seconds != 0))
        unit++;
    snprintf(text, DURATION_TEXT_MAX, "%d%c", seconds / units[unit].seconds, units[unit].unit);
    return text;
}
