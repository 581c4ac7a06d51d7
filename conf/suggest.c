#include "conf/suggest.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define WORD_MAX 63

static int least(int a, int b, int c)
{
    int ab = a < b ? a : b;
    return ab < c ? ab : c;
}

static int lower(char c)
{
    return tolower((unsigned char)c);
}

/* Optimal string alignment distance, row by row; three rows are enough for a swap. */
int suggest_distance(const char *a, const char *b)
{
    size_t length_a = strlen(a), length_b = strlen(b);
    int rows[3][WORD_MAX + 1];

    if (length_a > WORD_MAX || length_b > WORD_MAX)
        return INT_MAX;
    for (size_t j = 0; j <= length_b; j++)
        rows[0][j] = (int)j;

    for (size_t i = 1; i <= length_a; i++) {
        int *row = rows[i % 3], *above = rows[(i - 1) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = (int)i;
        for (size_t j = 1; j <= length_b; j++) {
            int differ = lower(a[i - 1]) != lower(b[j - 1]);
            row[j] = least(row[j - 1] + 1, above[j] + 1, above[j - 1] + differ);
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
                lower(a[i - 2]) == lower(b[j - 1]) && above2[j - 2] + 1 < row[j])
                row[j] = above2[j - 2] + 1;
        }
    }
    return rows[length_a % 3][length_b];
}

const char *suggest_nearest(const char *word, const char *const *names, int count)
{
    const char *nearest = NULL;
    /* One mistake in three letters is a slip, more is another word. */
    int limit = (int)(strnlen(word, WORD_MAX) + 2) / 3;
    int best = (limit > 3 ? 3 : limit) + 1;

    for (int i = 0; i < count; i++) {
        int distance = suggest_distance(word, names[i]);
        if (distance < best && distance < (int)strlen(names[i])) {
            best = distance;
            nearest = names[i];
        }
    }
    return nearest;
}

const char *suggest_list(char *text, const char *const *names, int count, const char *last)
{
    size_t used = 0;

    text[0] = '\0';
    for (int i = 0; i < count && used < SUGGEST_TEXT_MAX; i++) {
        const char *comma = i + 2 < count ? ", " : "";
        if (i + 2 == count)
            used +=
                (size_t)snprintf(text + used, SUGGEST_TEXT_MAX - used, "%s %s ", names[i], last);
        else
            used += (size_t)snprintf(text + used, SUGGEST_TEXT_MAX - used, "%s%s", names[i], comma);
    }
    return text;
}

const char *suggest_remedy(char *text, const char *word, const char *const *names, int count)
{
    static const char known[] = "known are ";
    const char *nearest = suggest_nearest(word, names, count);
    char list[SUGGEST_TEXT_MAX];

    if (nearest)
        snprintf(text, SUGGEST_TEXT_MAX, "did you mean \"%s\"?", nearest);
    else
        snprintf(text, SUGGEST_TEXT_MAX, "%s%.*s", known, (int)(SUGGEST_TEXT_MAX - sizeof known),
                 suggest_list(list, names, count, "and"));
    return text;
}
